/* One step of an optimiser over n elements: gradients are read, weights w and states are read and written,
 * each once. Arrays are dense and do not overlap. NaN in a gradient reaches the weight and the states.
 *
 * A step runs over whole vectors, then over the tail. Settings come by value: stores cannot change them, so that they are
 * read once and not for every vector. */
#include "kernels/kernel.h"

/* The direction of descent before any state: +-g + weight_decay * w. */
INLINE v_real decayed(v_real g, v_real w, double weight_decay, int maximize) {
    return v_fma(v_set((real)weight_decay), w, maximize ? -g : g);
}

/* d = +-g + weight_decay w;  u = momentum u + (1 - dampening) d;  w -= lr u, or lr (d + momentum u) with
 * nesterov. velocity u may be NULL: w -= lr d. */
INLINE void sgd_range(fnn_sgd sgd, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t lanes, real *w, const real *g,
                      real *velocity) {
    v_real momentum = v_set((real)sgd.momentum), undamped = v_set((real)(1 - sgd.dampening));
    v_real minus_lr = v_set((real)-sgd.lr);
    for (ptrdiff_t i = begin; i < end; i += V_LANES) {
        v_real weight = v_load_part(w + i, lanes);
        v_real d = decayed(v_load_part(g + i, lanes), weight, sgd.weight_decay, sgd.maximize);
        if (velocity != NULL) {
            v_real u = v_fma(momentum, v_load_part(velocity + i, lanes), undamped * d);
            v_store_part(velocity + i, u, lanes);
            d = sgd.nesterov ? v_fma(momentum, u, d) : u;
        }
        v_store_part(w + i, v_fma(minus_lr, d, weight), lanes);
    }
}

void KERNEL(sgd_step)(const fnn_sgd *sgd, ptrdiff_t n, real *w, const real *g, real *velocity) {
    sgd_range(*sgd, 0, v_whole(n), V_LANES, w, g, velocity);
    sgd_range(*sgd, v_whole(n), n, n - v_whole(n), w, g, velocity);
}

/* w *= 1 - lr decoupled_decay;  d = +-g + weight_decay w
 * m += (1 - beta1) (d - m);  v = beta2 v + (1 - beta2) d^2;  if largest is not NULL: v = largest =
 * max(largest, v) w -= lr / bias_correction1 * m / (sqrt(v) / sqrt(bias_correction2) + eps) */
INLINE void adam_range(fnn_adam adam, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t lanes, real *w, const real *g,
                       real *first, real *second, real *largest) {
    v_real shrink = v_set((real)(1 - adam.lr * adam.decoupled_decay)), eps = v_set((real)adam.eps);
    v_real gain1 = v_set((real)(1 - adam.beta1)), gain2 = v_set((real)(1 - adam.beta2));
    v_real beta2 = v_set((real)adam.beta2), root_gain = v_set((real)(1 / sqrt(adam.bias_correction2)));
    v_real minus_lr = v_set((real)(-adam.lr / adam.bias_correction1));
    for (ptrdiff_t i = begin; i < end; i += V_LANES) {
        v_real weight = v_load_part(w + i, lanes) * shrink;
        v_real d = decayed(v_load_part(g + i, lanes), weight, adam.weight_decay, adam.maximize);
        v_real m = v_load_part(first + i, lanes);
        m = v_fma(gain1, d - m, m);
        v_real v = v_fma(beta2, v_load_part(second + i, lanes), gain2 * d * d);
        v_store_part(first + i, m, lanes);
        v_store_part(second + i, v, lanes);
        if (largest != NULL) {
            v = v_max(v_load_part(largest + i, lanes), v);
            v_store_part(largest + i, v, lanes);
        }
        v_real root = v_fma(v_sqrt(v), root_gain, eps);
        v_store_part(w + i, v_fma(minus_lr, m / root, weight), lanes);
    }
}

void KERNEL(adam_step)(const fnn_adam *adam, ptrdiff_t n, real *w, const real *g, real *first, real *second,
                       real *largest) {
    adam_range(*adam, 0, v_whole(n), V_LANES, w, g, first, second, largest);
    adam_range(*adam, v_whole(n), n, n - v_whole(n), w, g, first, second, largest);
}

/* d = +-g + weight_decay w;  s = alpha s + (1 - alpha) d^2;  if mean a is not NULL: a += (1 - alpha) (d - a)
 * r = d / (sqrt(max(s - a^2, 0)) + eps);  if velocity u is not NULL: r = u = momentum u + r;  w -= lr r
 * The maximum with 0 keeps a variance that rounds to less from becoming a NaN. */
INLINE void rmsprop_range(fnn_rmsprop rmsprop, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t lanes, real *w, const real *g,
                          real *square, real *velocity, real *mean) {
    v_real alpha = v_set((real)rmsprop.alpha), gain = v_set((real)(1 - rmsprop.alpha));
    v_real momentum = v_set((real)rmsprop.momentum), eps = v_set((real)rmsprop.eps);
    v_real minus_lr = v_set((real)-rmsprop.lr);
    for (ptrdiff_t i = begin; i < end; i += V_LANES) {
        v_real weight = v_load_part(w + i, lanes);
        v_real d = decayed(v_load_part(g + i, lanes), weight, rmsprop.weight_decay, rmsprop.maximize);
        v_real s = v_fma(alpha, v_load_part(square + i, lanes), gain * d * d);
        v_store_part(square + i, s, lanes);
        if (mean != NULL) {
            v_real a = v_load_part(mean + i, lanes);
            a = v_fma(gain, d - a, a);
            v_store_part(mean + i, a, lanes);
            s = v_max(v_zero(), s - a * a);
        }
        v_real r = d / (v_sqrt(s) + eps);
        if (velocity != NULL) {
            r = v_fma(momentum, v_load_part(velocity + i, lanes), r);
            v_store_part(velocity + i, r, lanes);
        }
        v_store_part(w + i, v_fma(minus_lr, r, weight), lanes);
    }
}

void KERNEL(rmsprop_step)(const fnn_rmsprop *rmsprop, ptrdiff_t n, real *w, const real *g, real *square, real *velocity,
                          real *mean) {
    rmsprop_range(*rmsprop, 0, v_whole(n), V_LANES, w, g, square, velocity, mean);
    rmsprop_range(*rmsprop, v_whole(n), n, n - v_whole(n), w, g, square, velocity, mean);
}

/* d = +-g + weight_decay w;  sum += d^2;  w -= lr d / (sqrt(sum) + eps) */
INLINE void adagrad_range(fnn_adagrad adagrad, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t lanes, real *w, const real *g,
                          real *sum) {
    v_real minus_lr = v_set((real)-adagrad.lr), eps = v_set((real)adagrad.eps);
    for (ptrdiff_t i = begin; i < end; i += V_LANES) {
        v_real weight = v_load_part(w + i, lanes);
        v_real d = decayed(v_load_part(g + i, lanes), weight, adagrad.weight_decay, adagrad.maximize);
        v_real s = v_fma(d, d, v_load_part(sum + i, lanes));
        v_store_part(sum + i, s, lanes);
        v_store_part(w + i, v_fma(minus_lr, d / (v_sqrt(s) + eps), weight), lanes);
    }
}

void KERNEL(adagrad_step)(const fnn_adagrad *adagrad, ptrdiff_t n, real *w, const real *g, real *sum) {
    adagrad_range(*adagrad, 0, v_whole(n), V_LANES, w, g, sum);
    adagrad_range(*adagrad, v_whole(n), n, n - v_whole(n), w, g, sum);
}

/* average += weight * (value - average) */
INLINE void average_range(double weight, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t lanes, real *average,
                          const real *value) {
    v_real gain = v_set((real)weight);
    for (ptrdiff_t i = begin; i < end; i += V_LANES) {
        v_real a = v_load_part(average + i, lanes);
        v_store_part(average + i, v_fma(gain, v_load_part(value + i, lanes) - a, a), lanes);
    }
}

void KERNEL(average_step)(double weight, ptrdiff_t n, real *average, const real *value) {
    average_range(weight, 0, v_whole(n), V_LANES, average, value);
    average_range(weight, v_whole(n), n, n - v_whole(n), average, value);
}

/* *sum = sum of x[i]^2 in double. Sixteen interleaved sums on every ISA, so that all of them give the same
 * bits. */
void KERNEL(sum_of_squares)(ptrdiff_t n, const real *x, double *sum) {
    enum { SUMS = 16 };
    double sums[SUMS] = {0};
    ptrdiff_t i = 0;
    for (; i + SUMS <= n; i += SUMS) {
        for (int j = 0; j < SUMS; j++) {
            sums[j] += (double)x[i + j] * (double)x[i + j];
        }
    }
    for (int j = 0; i + j < n; j++) {
        sums[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (int half = SUMS / 2; half > 0; half /= 2) {
        for (int j = 0; j < half; j++) {
            sums[j] += sums[j + half];
        }
    }
    *sum = sums[0];
}
