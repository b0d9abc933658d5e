/* One axis of the transforms of Winograd's convolution, for tiles of OUTPUTS outputs along it: 2 or 4, a constant.
 *
 * An axis of a tile is a product of two polynomials, taken from its values at some points and at infinity (the leading
 * coefficient). For two outputs the points are 0, 1 and -1:
 *
 *     B^T = 1  0 -1  0      G = 1    0    0      A^T = 1  1  1  0
 *           0  1  1  0          1/2  1/2  1/2          0  1 -1 -1
 *           0 -1  1  0          1/2 -1/2  1/2
 *           0  1  0 -1          0    0    1
 *
 * For four they are 0, a, -a, b, -b. The row of a point p is, with M(x) = x (x^2 - a^2) (x^2 - b^2) and M' its derivative,
 *
 *     in B^T: the coefficients of M(x) / (x - p)     in G: (1, p, p^2) / M'(p)     in A: (1, p, p^2, p^3)
 *
 * and at infinity the coefficients of M, (0, 0, 1) and (0, 0, 0, 1). a = 3/4 and b = 3/2 have exact squares and cubes, and
 * half the rounding error of the usual 1 and 2.
 *
 * Source: Lavin and Gray, 2016, "Fast algorithms for convolutional neural networks"; Barabasz et al., 2020, "Error
 * analysis and improving the accuracy of Winograd convolution for deep neural networks", for the choice of points.
 */
#ifndef FNN_KERNELS_WINOGRAD_ROWS_H
#define FNN_KERNELS_WINOGRAD_ROWS_H

#include "kernels/kernel.h"

#define A1 ((real)0.75)
#define A2 (A1 * A1)
#define A3 (A2 * A1)
#define B1 ((real)1.5)
#define B2 (B1 * B1)
#define B3 (B2 * B1)

/* 1 / M'(0), 1 / M'(a), 1 / M'(b); those of -a and -b are the same. */
#define AT_ZERO (1 / (A2 * B2))
#define AT_A (1 / (2 * A2 * (A2 - B2)))
#define AT_B (1 / (2 * B2 * (B2 - A2)))

/* The elements d[0], d[STEP], ... become B^T d. */
INLINE void input_row(v_real *d, const int STEP, const int OUTPUTS) {
    v_real d0 = d[0], d1 = d[STEP], d2 = d[2 * STEP], d3 = d[3 * STEP];
    if (OUTPUTS == 2) {
        d[0] = d0 - d2, d[STEP] = d1 + d2, d[2 * STEP] = d2 - d1, d[3 * STEP] = d1 - d3;
        return;
    }
    const v_real a1 = v_set(A1), b1 = v_set(B1), minus_a2 = v_set(-A2), minus_b2 = v_set(-B2);
    const v_real minus_sum = v_set(-(A2 + B2)), product = v_set(A2 * B2);
    v_real d4 = d[4 * STEP], d5 = d[5 * STEP];
    v_real even_a = v_fma(minus_b2, d2, d4), odd_a = v_fma(minus_b2, d1, d3) * a1;
    v_real even_b = v_fma(minus_a2, d2, d4), odd_b = v_fma(minus_a2, d1, d3) * b1;
    d[0] = v_fma(product, d0, v_fma(minus_sum, d2, d4));
    d[STEP] = even_a + odd_a;
    d[2 * STEP] = even_a - odd_a;
    d[3 * STEP] = even_b + odd_b;
    d[4 * STEP] = even_b - odd_b;
    d[5 * STEP] = v_fma(product, d1, v_fma(minus_sum, d3, d5));
}

/* to = A y. */
INLINE void output_gradient_row(const v_real *y, v_real *to, const int OUTPUTS) {
    if (OUTPUTS == 2) {
        to[0] = y[0], to[1] = y[0] + y[1], to[2] = y[0] - y[1], to[3] = v_zero() - y[1];
        return;
    }
    const v_real a2 = v_set(A2), b2 = v_set(B2);
    v_real even_a = v_fma(a2, y[2], y[0]), odd_a = v_fma(a2, y[3], y[1]) * v_set(A1);
    v_real even_b = v_fma(b2, y[2], y[0]), odd_b = v_fma(b2, y[3], y[1]) * v_set(B1);
    to[0] = y[0], to[1] = even_a + odd_a, to[2] = even_a - odd_a;
    to[3] = even_b + odd_b, to[4] = even_b - odd_b, to[5] = y[3];
}

/* to = A^T m. */
INLINE void output_row(const v_real *m, v_real *to, const int OUTPUTS) {
    if (OUTPUTS == 2) {
        to[0] = m[0] + m[1] + m[2], to[1] = m[1] - m[2] - m[3];
        return;
    }
    v_real sum_a = m[1] + m[2], difference_a = m[1] - m[2], sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    to[0] = m[0] + sum_a + sum_b;
    to[1] = v_fma(v_set(B1), difference_b, difference_a * v_set(A1));
    to[2] = v_fma(v_set(B2), sum_b, sum_a * v_set(A2));
    to[3] = v_fma(v_set(B3), difference_b, v_fma(v_set(A3), difference_a, m[5]));
}

/* to = G g; for two outputs followed by g1, as by a fifth row of G. */
INLINE void filter_row(const v_real *g, v_real *to, const int OUTPUTS) {
    if (OUTPUTS == 2) {
        const v_real half = v_set((real)0.5);
        v_real sum = (g[0] + g[2]) * half, middle = g[1] * half;
        to[0] = g[0], to[1] = sum + middle, to[2] = sum - middle, to[3] = g[2], to[4] = g[1];
        return;
    }
    v_real even_a = v_fma(v_set(A2 * AT_A), g[2], g[0] * v_set(AT_A)), odd_a = g[1] * v_set(A1 * AT_A);
    v_real even_b = v_fma(v_set(B2 * AT_B), g[2], g[0] * v_set(AT_B)), odd_b = g[1] * v_set(B1 * AT_B);
    to[0] = g[0] * v_set(AT_ZERO), to[1] = even_a + odd_a, to[2] = even_a - odd_a;
    to[3] = even_b + odd_b, to[4] = even_b - odd_b, to[5] = g[2];
}

/* to = G^T u, where u may have an element for the fifth row. */
INLINE void filter_gradient_row(const v_real *u, v_real *to, const int OUTPUTS, const int FILTERS) {
    if (OUTPUTS == 2) {
        const v_real half = v_set((real)0.5);
        v_real sum = (u[1] + u[2]) * half, difference = (u[1] - u[2]) * half;
        to[0] = u[0] + sum, to[1] = difference, to[2] = u[3] + sum;
        if (FILTERS == 5) {
            to[1] = to[1] + u[4];
        }
        return;
    }
    v_real sum_a = (u[1] + u[2]) * v_set(AT_A), difference_a = (u[1] - u[2]) * v_set(AT_A);
    v_real sum_b = (u[3] + u[4]) * v_set(AT_B), difference_b = (u[3] - u[4]) * v_set(AT_B);
    to[0] = v_fma(v_set(AT_ZERO), u[0], sum_a + sum_b);
    to[1] = v_fma(v_set(B1), difference_b, difference_a * v_set(A1));
    to[2] = v_fma(v_set(B2), sum_b, v_fma(v_set(A2), sum_a, u[5]));
}

#endif
