/* x, weight * x where x <= 0, with a learned weight: one for each channel, or one for all. */
#include "kernels/kernel.h"

INLINE v_real prelu(v_real x, v_real weight) { return v_select(v_lt(v_zero(), x), x, x * weight); }

/* y over (rows, channels), one weight for each channel. y may be x. */
void KERNEL(prelu_forward)(ptrdiff_t rows, ptrdiff_t channels, const real *weight, const real *x, real *y) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t c = 0; c < channels; c += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(channels - c), i = r * channels + c;
            v_store_part(y + i, prelu(v_load_part(x + i, lanes), v_load_part(weight + c, lanes)), lanes);
        }
    }
}

/* Writes dx and returns the contribution dy * x (0 where x > 0) to the gradient of the weight. */
INLINE v_real prelu_gradient(const real *dy, const real *x, real *dx, v_real weight, ptrdiff_t lanes) {
    v_real x_here = v_load_part(x, lanes), dy_here = v_load_part(dy, lanes);
    v_mask positive = v_lt(v_zero(), x_here);
    v_store_part(dx, v_select(positive, dy_here, dy_here * weight), lanes);
    return v_select(positive, v_zero(), dy_here * x_here);
}

/* dx over (rows, channels); dweight[c] = the sum over these rows of dy * x where x <= 0. dx may be dy or x. */
void KERNEL(prelu_backward)(ptrdiff_t rows, ptrdiff_t channels, const real *weight, const real *dy, const real *x,
                            real *dx, real *dweight) {
    for (ptrdiff_t c = 0; c < channels; c += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(channels - c);
        v_real weights = v_load_part(weight + c, lanes), even = v_zero(), odd = v_zero();
        ptrdiff_t r = 0;
        for (; r + 2 <= rows; r += 2) {
            ptrdiff_t i = r * channels + c, j = i + channels;
            even = even + prelu_gradient(dy + i, x + i, dx + i, weights, lanes);
            odd = odd + prelu_gradient(dy + j, x + j, dx + j, weights, lanes);
        }
        if (r < rows) {
            ptrdiff_t i = r * channels + c;
            even = even + prelu_gradient(dy + i, x + i, dx + i, weights, lanes);
        }
        v_store_part(dweight + c, even + odd, lanes);
    }
}

/* The same over n elements that share weight[0]; dweight[0] is their sum. */
void KERNEL(prelu_backward_shared)(ptrdiff_t n, const real *weight, const real *dy, const real *x, real *dx,
                                   real *dweight) {
    v_real weights = v_set(weight[0]), even = v_zero(), odd = v_zero();
    ptrdiff_t i = 0;
    for (; i + 2 * V_LANES <= n; i += 2 * V_LANES) {
        ptrdiff_t j = i + V_LANES;
        even = even + prelu_gradient(dy + i, x + i, dx + i, weights, V_LANES);
        odd = odd + prelu_gradient(dy + j, x + j, dx + j, weights, V_LANES);
    }
    for (; i < n; i += V_LANES) {
        even = even + prelu_gradient(dy + i, x + i, dx + i, weights, v_lanes_left(n - i));
    }
    dweight[0] = v_sum(even + odd);
}
