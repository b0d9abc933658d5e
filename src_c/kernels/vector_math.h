/* Elementary functions on vectors. The same formulas on every ISA; ISAs differ in the last bit because the baseline has
 * no fused multiply-add.
 *
 * The polynomials are minimax fits (Remez exchange in 50 digits) to the functions named next to them. Largest errors in
 * units in the last place, measured on the three ISAs with 2 million arguments per function against 80-bit results
 * (v_normal_tail: 24 000 arguments up to 12, against 40 digits):
 *
 *                       float32        float64
 *     v_exp             1.1            1.1
 *     v_expm1_negative  1.1            1.2
 *     v_tanh            2.5            2.5
 *     v_sigmoid         2.5            2.3
 *     v_log1p_unit      2.0            2.0
 *     v_normal_tail     6 + t^2 / 2    6 + t^2 / 2
 *
 * Results below the normal range are accurate to the distance of denormal numbers, and 0 where those are flushed.
 * NaN gives NaN everywhere.
 */
#ifndef FNN_KERNELS_VECTOR_MATH_H
#define FNN_KERNELS_VECTOR_MATH_H

#include "kernels/vector.h"

#ifdef FNN_DTYPE_F32
typedef uint32_t v_bits __attribute__((vector_size(V_LANES * sizeof(real))));
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127u
#define SIGN_BIT 0x80000000u
/* Adding and subtracting 1.5 * 2^23 rounds to an integer, which then stands in the low bits of the sum. */
#define ROUND_TO_INTEGER 12582912.0f
/* Beyond these, exp is infinite or rounds to 0, denormals included; expm1 rounds to -1. */
#define EXP_LARGEST 89.0f
#define EXP_SMALLEST (-104.0f)
#define EXPM1_SMALLEST (-18.0f)
/* ln 2 in two parts; the first has so few bits that its product with an exponent is exact, fused or not. */
#define LN2_HIGH 0.693359375f
#define LN2_LOW (-2.12194440054690583e-4f)
/* (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2 */
static const real EXP_POLYNOMIAL[] = {0.50000000619, 0.16666542979, 0.041666282274, 0.0083665852187, 0.0013946433672};
/* (atanh(s) / s - 1) / s^2 as a function of s^2 <= 1/9 */
static const real ATANH_POLYNOMIAL[] = {0.33333206581, 0.20010849063, 0.13999573716, 0.14012228249};
/* (t + NORMAL_CENTRE) * exp(t^2 / 2) * P(N(0, 1) > t) as a function of (t - NORMAL_CENTRE) / (t + NORMAL_CENTRE) */
#define NORMAL_CENTRE 3.5f
#define NORMAL_LARGEST 14.0f
static const real NORMAL_POLYNOMIAL[] = {0.74441607463,    -0.56556175131,  0.31542500974,    -0.11605289491,
                                         0.017406909377,   0.0064924091471, -0.0031777955224, -0.00049465334044,
                                         0.00042565776580, 0.00011273516776};
#else
typedef uint64_t v_bits __attribute__((vector_size(V_LANES * sizeof(real))));
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023u
#define SIGN_BIT 0x8000000000000000u
#define ROUND_TO_INTEGER 6755399441055744.0
#define EXP_LARGEST 710.0
#define EXP_SMALLEST (-746.0)
#define EXPM1_SMALLEST (-38.0)
#define LN2_HIGH 0.693145751953125
#define LN2_LOW 1.42860682030941723212e-6
static const real EXP_POLYNOMIAL[] = {0.50000000000000055491,     0.16666666666666686080,   0.041666666666573627352,
                                      0.0083333333333145472493,   0.0013888888932379015938, 0.00019841269903113439081,
                                      0.000024801504445144908766, 2.7557227889080414097e-6, 2.7626326957034061146e-7,
                                      2.5114491310876774757e-8};
static const real ATANH_POLYNOMIAL[] = {0.33333333333333151910,  0.20000000000078619126,  0.14285714273927093872,
                                        0.11111111984864116963,  0.090908719622880121189, 0.076932799688386218670,
                                        0.066504866633726786305, 0.060530443422942927737, 0.041700448601352673605,
                                        0.085092993433181353022};
#define NORMAL_CENTRE 5.0
#define NORMAL_LARGEST 39.0
static const real NORMAL_POLYNOMIAL[] = {
    0.76919304975006295591,     -0.66538250289005678118,   0.49530561596997729932,      -0.31353315667129619742,
    0.16502036617033740835,     -0.069118638706569944730,  0.020795066800837820632,     -0.0029933767667063093618,
    -0.00079786940801091872391, 0.00054489903339483081348, -0.000059375674785979142300, -0.000049762654926307322969,
    0.000016681041198824759558, 3.9803847379584727301e-6,  -2.7689524209148255799e-6,   -3.3553723908931431758e-7,
    4.3288401099336990078e-7,   4.0880517804715329407e-8,  -6.6011441186888099664e-8,   -8.2948160286187719641e-9,
    7.9421375131587169356e-9,   1.4319744648495468897e-9,  -3.0288942967604008525e-10};
#endif

#define POLYNOMIAL(x, coefficients) v_polynomial(x, coefficients, (int)(sizeof(coefficients) / sizeof(real)))

/* coefficients[0] + coefficients[1] * x + ..., by Horner's rule. */
INLINE v_real v_polynomial(v_real x, const real *coefficients, int count) {
    v_real sum = v_set(coefficients[count - 1]);
#pragma GCC unroll 32
    for (int i = count - 2; i >= 0; i--) {
        sum = v_fma(sum, x, v_set(coefficients[i]));
    }
    return sum;
}

INLINE v_bits v_bits_of(v_real v) { return (v_bits)v; }
INLINE v_real v_of_bits(v_bits v) { return (v_real)v; }

INLINE v_real v_abs(v_real x) { return v_of_bits(v_bits_of(x) & ~SIGN_BIT); }
/* |x| with the sign of `sign`. */
INLINE v_real v_copysign(v_real x, v_real sign) {
    return v_of_bits((v_bits_of(x) & ~SIGN_BIT) | (v_bits_of(sign) & SIGN_BIT));
}

/* 2^k from k + EXPONENT_BIAS, for normal results. */
INLINE v_real v_power_of_two(v_bits biased) { return v_of_bits(biased << MANTISSA_BITS); }

/* x = k ln 2 + r with |r| <= ln(2) / 2: returns exp(r) - 1, and k as an integer modulo 2^32 or 2^64. */
INLINE v_real v_exp_reduced(v_real x, v_bits *k) {
    v_real shifted = v_fma(x, v_set((real)1.44269504088896340736), v_set(ROUND_TO_INTEGER));
    v_real whole = shifted - v_set(ROUND_TO_INTEGER);
    *k = v_bits_of(shifted) - v_bits_of(v_set(ROUND_TO_INTEGER));
    v_real r = v_fma(whole, v_set(-LN2_HIGH), x);
    r = v_fma(whole, v_set(-LN2_LOW), r);
    return v_fma(r * r, POLYNOMIAL(r, EXP_POLYNOMIAL), r);
}

/* exp(x). 2^k is applied in two factors, so that results near the ends of the range neither overflow nor vanish early. */
INLINE v_real v_exp(v_real x) {
    v_bits k;
    x = v_max(v_set(EXP_SMALLEST), v_min(v_set(EXP_LARGEST), x)); /* in this order of operands NaN passes */
    v_real reduced = v_exp_reduced(x, &k);
    v_bits biased_twice = k + 2 * EXPONENT_BIAS;
    v_bits half = biased_twice >> 1;
    return (v_set(1) + reduced) * v_power_of_two(half) * v_power_of_two(biased_twice - half);
}

/* exp(x) - 1 for x <= 0, without the cancellation near 0. */
INLINE v_real v_expm1_negative(v_real x) {
    v_bits k;
    v_real reduced = v_exp_reduced(v_max(v_set(EXPM1_SMALLEST), x), &k);
    v_real power = v_power_of_two(k + EXPONENT_BIAS);
    return v_fma(reduced, power, power - v_set(1));
}

/* tanh(|x|) = -m / (2 + m) with m = expm1(-2 |x|) */
INLINE v_real v_tanh(v_real x) {
    v_real m = v_expm1_negative(v_set(-2) * v_abs(x));
    return v_copysign(m / (v_set(2) + m), x);
}

/* 1 / (1 + exp(-x)) */
INLINE v_real v_sigmoid(v_real x) { return v_set(1) / (v_set(1) + v_exp(-x)); }

/* log(1 + u) for 0 <= u <= 1, as 2 atanh(u / (2 + u)). */
INLINE v_real v_log1p_unit(v_real u) {
    v_real s = u / (v_set(2) + u);
    v_real square = s * s;
    v_real twice = s + s;
    return v_fma(twice * square, POLYNOMIAL(square, ATANH_POLYNOMIAL), twice);
}

/* P(N(0, 1) > t) for t >= 0, given exp(-t^2 / 2), which callers need anyway. The relative error grows with the
 * rounding of t^2, on which exp acts. */
INLINE v_real v_normal_tail(v_real t, v_real exp_of_half_square) {
    t = v_min(v_set(NORMAL_LARGEST), t);
    v_real inverse = v_set(1) / (t + v_set(NORMAL_CENTRE));
    v_real u = (t - v_set(NORMAL_CENTRE)) * inverse;
    return exp_of_half_square * (POLYNOMIAL(u, NORMAL_POLYNOMIAL) * inverse);
}

#endif
