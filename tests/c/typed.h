/* For operations/, which are compiled for float and for double. */
#ifndef FNN_TESTS_TYPED_H
#define FNN_TESTS_TYPED_H

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/real.h"
#include "fnn.h"
#include "harness.h"

/* CALL(add, n, a, b, y, 1) is fnn_add_f32(n, a, b, y, 1), or that of f64. */
#define CALL_PASTE(name) FNN_TYPED(fnn_##name)
#define CALL(name, ...) (mark(#name), CALL_PASTE(name)(__VA_ARGS__))
#define TEST(name)                                                                                                     \
    void FNN_TYPED(test_##name)(void);                                                                                 \
    void FNN_TYPED(test_##name)(void)

/* The unit roundoff: one operation on reals has a relative error of at most UNIT. What the plain loops compute in double
 * has errors of its own, of at most UNIT of double for each operation; so tolerances count these too: with double, twice. */
#define UNIT (sizeof(real) == sizeof(float) ? (double)FLT_EPSILON / 2 : DBL_EPSILON)
/* Below this a result may be flushed to zero. */
#define TINY (sizeof(real) == sizeof(float) ? (double)FLT_MIN : DBL_MIN)

/* Reals that begin at an odd place, as a view of an array does. */
static inline real *reals(ptrdiff_t n) {
    return guarded(n * (ptrdiff_t)sizeof(real), between(0, 7) * (ptrdiff_t)sizeof(real));
}

static inline real *random_reals(ptrdiff_t n, double low, double high) {
    real *x = reals(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        x[i] = (real)uniform(low, high);
    }
    return x;
}

static inline real *random_or_null(ptrdiff_t n, double low, double high) {
    return between(0, 1) ? random_reals(n, low, high) : NULL;
}

static inline double *zeros(ptrdiff_t n) {
    double *x = doubles(n);
    memset(x, 0, (size_t)n * sizeof(double));
    return x;
}

/* `size` is what a rounding error is relative to, `operations` how many follow one another. A sum of n products has n
 * roundings of terms and sums, so its error is at most about n * UNIT * (the sum of the absolute products): Higham, 2002,
 * "Accuracy and stability of numerical algorithms", 3.1. Another order of the sum has the same bound. */
static inline void compare(const char *what, ptrdiff_t n, const real *got, const double *wanted, const double *size,
                           double operations) {
    for (ptrdiff_t i = 0; i < n; i++) {
        compare_one(what, i, (double)got[i], wanted[i], operations * UNIT * fabs(size[i]) + TINY);
    }
}

static inline void compare_doubles(const char *what, ptrdiff_t n, const double *got, const double *wanted,
                                   const double *size, double operations) {
    for (ptrdiff_t i = 0; i < n; i++) {
        compare_one(what, i, got[i], wanted[i], operations * UNIT * fabs(size[i]) + TINY);
    }
}

/* What an operation may apply to its result (fnn.h). */
static inline double then_of(fnn_then then, double z) {
    switch (then) {
    case FNN_THEN_RELU:
        return z > 0 ? z : 0;
    case FNN_THEN_RELU6:
        return z < 0 ? 0 : z > 6 ? 6 : z;
    case FNN_THEN_GELU:
        return z * 0.5 * erfc(-z * 0.70710678118654752440);
    case FNN_THEN_SILU:
        return z / (1 + exp(-z));
    default:
        return z;
    }
}

/* Lengths that are no multiple of a vector, and some that are. */
static inline ptrdiff_t some_length(ptrdiff_t most) {
    static const ptrdiff_t awkward[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65};
    if (most < 1) {
        return most;
    }
    ptrdiff_t n = between(0, 2) ? between(1, most) : awkward[between(0, sizeof awkward / sizeof *awkward - 1)];
    return n < most ? n : most;
}

#endif
