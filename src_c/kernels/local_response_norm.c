/* Local response normalisation of one row of channels. The window of channel c starts size / 2 channels
 * before it.
 *
 *     scale[c] = k + alpha / size * sum of x[c']^2 over the window of c, zeros outside the row
 *     y = x * scale^-beta
 *     dx[c] = dy[c] * scale[c]^-beta
 *             - 2 * alpha / size * beta * x[c] * sum of (dy * y / scale)[c'] over the c' whose window holds c
 *
 * Nothing overlaps. */
#include "kernels/kernel.h"

/* base^-beta. The exponent of nearly everyone, 3/4, takes two square roots. */
INLINE v_real power(v_real base, real beta) {
    if (beta == (real)0.75) {
        v_real root = v_sqrt(base);
        return v_set(1) / (root * v_sqrt(root));
    }
    real lanes[V_LANES];
    v_store(lanes, base);
    for (int i = 0; i < V_LANES; i++) {
        lanes[i] =
            sizeof(real) == sizeof(float) ? (real)powf((float)lanes[i], (float)-beta) : (real)pow(lanes[i], -beta);
    }
    return v_load(lanes);
}

/* The sum of `size` neighbours from p on, for each lane. */
INLINE v_real window_sum(const real *p, ptrdiff_t size, ptrdiff_t lanes) {
    v_real sum = v_zero();
    for (ptrdiff_t j = 0; j < size; j++) {
        sum = sum + v_load_part(p + j, lanes);
    }
    return sum;
}

INLINE void clear(real *p, ptrdiff_t n) { memset(p, 0, (size_t)n * sizeof(real)); }

/* x^2 with zeros around it: element c + size / 2 belongs to channel c. */
INLINE void square_row(const fnn_local_response_norm *p, real *squares) {
    ptrdiff_t before = p->size / 2;
    clear(squares, before);
    for (ptrdiff_t c = 0; c < p->c; c += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->c - c);
        v_real x = v_load_part(p->x + c, lanes);
        v_store_part(squares + before + c, x * x, lanes);
    }
    clear(squares + before + p->c, p->size - 1 - before);
}

INLINE v_real scale(const fnn_local_response_norm *p, const real *squares, ptrdiff_t c, ptrdiff_t lanes) {
    return v_fma(v_set(p->alpha_over_size), window_sum(squares + c, p->size, lanes), v_set(p->k));
}

void KERNEL(local_response_norm_forward)(const fnn_local_response_norm *p) {
    real *squares = p->scratch;
    square_row(p, squares);
    for (ptrdiff_t c = 0; c < p->c; c += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->c - c);
        v_store_part(p->out + c, v_load_part(p->x + c, lanes) * power(scale(p, squares, c, lanes), p->beta), lanes);
    }
}

void KERNEL(local_response_norm_backward)(const fnn_local_response_norm *p) {
    /* The channels whose windows hold c start (size - 1) / 2 before c. */
    ptrdiff_t before = (p->size - 1) / 2;
    real *squares = p->scratch, *ratios = squares + p->c + p->size, *powers = ratios + p->c + p->size;
    square_row(p, squares);
    clear(ratios, before);
    for (ptrdiff_t c = 0; c < p->c; c += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->c - c);
        v_real base = scale(p, squares, c, lanes), to_minus_beta = power(base, p->beta);
        v_real dy = v_load_part(p->dy + c, lanes), x = v_load_part(p->x + c, lanes);
        v_store_part(powers + c, to_minus_beta, lanes);
        v_store_part(ratios + before + c, dy * x * to_minus_beta / base, lanes);
    }
    clear(ratios + before + p->c, p->size - 1 - before);
    v_real factor = v_set(-2 * p->alpha_over_size * p->beta);
    for (ptrdiff_t c = 0; c < p->c; c += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->c - c);
        v_real direct = v_load_part(p->dy + c, lanes) * v_load_part(powers + c, lanes);
        v_real neighbours = factor * v_load_part(p->x + c, lanes);
        v_store_part(p->out + c, v_fma(neighbours, window_sum(ratios + c, p->size, lanes), direct), lanes);
    }
}
