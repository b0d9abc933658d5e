/* The activations that other kernels apply as well, on vectors: y(x) and dx(dy, kept). What is kept for the backward
 * pass, x or y, stands in fnn.h; relu_gradient gives the same for both. */
#ifndef FNN_KERNELS_ACTIVATION_H
#define FNN_KERNELS_ACTIVATION_H

#include "kernels/kernel.h"
#include "kernels/vector_math.h"

INLINE v_real relu(v_real x, const real *parameters) {
    (void)parameters;
    return v_max(v_zero(), x); /* x as the second operand: x86 returns the second when one is NaN */
}

INLINE v_real relu_gradient(v_real dy, v_real y, const real *parameters) {
    (void)parameters;
    return v_select(v_le(y, v_zero()), v_zero(), dy);
}

/* The distribution function at x, and exp(-x^2 / 2). From the tail P(N(0, 1) > |x|), which stays accurate where
 * 1 + erf(x) cancels, and whose exponential is that of the derivative. */
INLINE v_real normal_cdf(v_real x, v_real *exp_of_half_square) {
    *exp_of_half_square = v_exp(v_set(-0.5) * x * x);
    v_real tail = v_normal_tail(v_abs(x), *exp_of_half_square);
    return v_select(v_lt(x, v_zero()), tail, v_set(1) - tail);
}

INLINE v_real gelu(v_real x, const real *parameters) {
    (void)parameters;
    v_real density;
    return x * normal_cdf(x, &density);
}

INLINE v_real gelu_gradient(v_real dy, v_real x, const real *parameters) {
    (void)parameters;
    v_real density;
    v_real cdf = normal_cdf(x, &density);
    return dy * v_fma(x * v_set((real)0.39894228040143267794), density, cdf); /* 1 / sqrt(2 pi) */
}

INLINE v_real silu(v_real x, const real *parameters) {
    (void)parameters;
    return x / (v_set(1) + v_exp(-x));
}

INLINE v_real silu_gradient(v_real dy, v_real x, const real *parameters) {
    (void)parameters;
    v_real s = v_sigmoid(x);
    return dy * s * v_fma(x, v_set(1) - s, v_set(1));
}

#endif
