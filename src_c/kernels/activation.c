/* Pointwise activations on dense arrays. Output may be an input; otherwise nothing overlaps.
 *
 * Each activation is two functions on vectors, y(x) and dx(dy, kept); map_forward and map_backward run them over an
 * array. What is kept for the backward pass, x or y, stands in fnn.h. NaN in x gives NaN in y, and in dx. */
#include "kernels/activation.h"

typedef v_real (*forward_function)(v_real x, const real *parameters);
typedef v_real (*backward_function)(v_real dy, v_real kept, const real *parameters);

/* The function is a constant where this is inlined, so that it becomes part of the loop. */
INLINE void map_forward(forward_function f, ptrdiff_t n, const real *parameters, const real *x, real *y) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_store_part(y + i, f(v_load_part(x + i, lanes), parameters), lanes);
    }
}

INLINE void map_backward(backward_function f, ptrdiff_t n, const real *parameters, const real *dy, const real *kept,
                         real *dx) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_store_part(dx + i, f(v_load_part(dy + i, lanes), v_load_part(kept + i, lanes), parameters), lanes);
    }
}

/* ---- relu: max(x, 0) ----------------------------------------------------------------------------------- */

void KERNEL(relu_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(relu, n, parameters, x, y);
}
void KERNEL(relu_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *y, real *dx) {
    map_backward(relu_gradient, n, parameters, dy, y, dx);
}

/* ---- leaky_relu: x, slope * x where x <= 0 ---------------------------------------------------------------- */

INLINE v_real leaky_relu(v_real x, const real *parameters) {
    return v_select(v_lt(v_zero(), x), x, x * v_set(parameters[0]));
}

INLINE v_real leaky_relu_gradient(v_real dy, v_real x, const real *parameters) {
    return v_select(v_lt(v_zero(), x), dy, dy * v_set(parameters[0]));
}

void KERNEL(leaky_relu_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(leaky_relu, n, parameters, x, y);
}
void KERNEL(leaky_relu_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *x, real *dx) {
    map_backward(leaky_relu_gradient, n, parameters, dy, x, dx);
}

/* ---- hardtanh: min(max(x, low), high) ---------------------------------------------------------------------- */

INLINE v_real hardtanh(v_real x, const real *parameters) {
    v_real low = v_set(parameters[0]), high = v_set(parameters[1]);
    return v_select(v_lt(x, low), low, v_select(v_lt(high, x), high, x));
}

INLINE v_real hardtanh_gradient(v_real dy, v_real x, const real *parameters) {
    v_mask outside = v_or(v_le(x, v_set(parameters[0])), v_le(v_set(parameters[1]), x));
    return v_select(outside, v_zero(), dy);
}

void KERNEL(hardtanh_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(hardtanh, n, parameters, x, y);
}
void KERNEL(hardtanh_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *x, real *dx) {
    map_backward(hardtanh_gradient, n, parameters, dy, x, dx);
}

/* ---- elu: x, alpha * (exp(x) - 1) where x <= 0 ------------------------------------------------------------ */

INLINE v_real elu(v_real x, const real *parameters) {
    v_real negative = v_set(parameters[0]) * v_expm1_negative(v_min(v_zero(), x));
    return v_select(v_lt(v_zero(), x), x, negative);
}

/* From x, since y + alpha would cancel far below 0, and alpha may be negative. */
INLINE v_real elu_gradient(v_real dy, v_real x, const real *parameters) {
    v_real negative = dy * v_set(parameters[0]) * v_exp(x);
    return v_select(v_lt(v_zero(), x), dy, negative);
}

void KERNEL(elu_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(elu, n, parameters, x, y);
}
void KERNEL(elu_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *x, real *dx) {
    map_backward(elu_gradient, n, parameters, dy, x, dx);
}

/* ---- gelu: x * P(N(0, 1) < x) ----------------------------------------------------------------------------- */

void KERNEL(gelu_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(gelu, n, parameters, x, y);
}
void KERNEL(gelu_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *x, real *dx) {
    map_backward(gelu_gradient, n, parameters, dy, x, dx);
}

/* ---- gelu_tanh: x / 2 * (1 + tanh(u / 2)) = x * sigmoid(u), u = sqrt(8 / pi) * (x + 0.044715 x^3) ----------- */

#define GELU_TANH_SLOPE ((real)1.59576912160573071176)
#define GELU_TANH_CUBIC ((real)(1.59576912160573071176 * 0.044715))

INLINE v_real gelu_tanh(v_real x, const real *parameters) {
    (void)parameters;
    v_real u = x * v_fma(v_set(GELU_TANH_CUBIC), x * x, v_set(GELU_TANH_SLOPE));
    return x * v_sigmoid(u);
}

/* dy/dx = s + x * s * (1 - s) * du/dx with s = sigmoid(u). Beyond +-30 the second term is 0 in any precision; the clamp
 * keeps 0 * infinity out of it. */
INLINE v_real gelu_tanh_gradient(v_real dy, v_real x, const real *parameters) {
    (void)parameters;
    x = v_max(v_set(-30), v_min(v_set(30), x));
    v_real square = x * x;
    v_real s = v_sigmoid(x * v_fma(v_set(GELU_TANH_CUBIC), square, v_set(GELU_TANH_SLOPE)));
    v_real du = v_fma(v_set(3 * GELU_TANH_CUBIC), square, v_set(GELU_TANH_SLOPE));
    return dy * s * v_fma(x * du, v_set(1) - s, v_set(1));
}

void KERNEL(gelu_tanh_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(gelu_tanh, n, parameters, x, y);
}
void KERNEL(gelu_tanh_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *x, real *dx) {
    map_backward(gelu_tanh_gradient, n, parameters, dy, x, dx);
}

/* ---- silu: x * sigmoid(x) --------------------------------------------------------------------------------- */

void KERNEL(silu_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(silu, n, parameters, x, y);
}
void KERNEL(silu_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *x, real *dx) {
    map_backward(silu_gradient, n, parameters, dy, x, dx);
}

/* ---- sigmoid ------------------------------------------------------------------------------------------------ */

INLINE v_real sigmoid(v_real x, const real *parameters) {
    (void)parameters;
    return v_sigmoid(x);
}

INLINE v_real sigmoid_gradient(v_real dy, v_real y, const real *parameters) {
    (void)parameters;
    return dy * y * (v_set(1) - y);
}

void KERNEL(sigmoid_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(sigmoid, n, parameters, x, y);
}
void KERNEL(sigmoid_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *y, real *dx) {
    map_backward(sigmoid_gradient, n, parameters, dy, y, dx);
}

/* ---- tanh --------------------------------------------------------------------------------------------------- */

INLINE v_real hyperbolic_tangent(v_real x, const real *parameters) {
    (void)parameters;
    return v_tanh(x);
}

/* 1 - y^2 as a product: 1 - y is exact for y near 1. */
INLINE v_real hyperbolic_tangent_gradient(v_real dy, v_real y, const real *parameters) {
    (void)parameters;
    return dy * ((v_set(1) - y) * (v_set(1) + y));
}

void KERNEL(tanh_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(hyperbolic_tangent, n, parameters, x, y);
}
void KERNEL(tanh_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *y, real *dx) {
    map_backward(hyperbolic_tangent_gradient, n, parameters, dy, y, dx);
}

/* ---- softplus: log(1 + exp(beta * x)) / beta, x where beta * x > threshold ---------------------------------- */

INLINE v_real softplus(v_real x, const real *parameters) {
    v_real beta = v_set(parameters[0]);
    v_real z = x * beta;
    /* log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)); NaN passes as the second operand of v_max */
    v_real y = (v_max(v_zero(), z) + v_log1p_unit(v_exp(-v_abs(z)))) / beta;
    return v_select(v_lt(v_set(parameters[1]), z), x, y);
}

INLINE v_real softplus_gradient(v_real dy, v_real x, const real *parameters) {
    v_real z = x * v_set(parameters[0]);
    return v_select(v_lt(v_set(parameters[1]), z), dy, dy * v_sigmoid(z));
}

void KERNEL(softplus_forward)(ptrdiff_t n, const real *parameters, const real *x, real *y) {
    map_forward(softplus, n, parameters, x, y);
}
void KERNEL(softplus_backward)(ptrdiff_t n, const real *parameters, const real *dy, const real *x, real *dx) {
    map_backward(softplus_gradient, n, parameters, dy, x, dx);
}
