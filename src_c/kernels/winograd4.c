/* The transforms of Winograd's convolution F(4 x 4, 3 x 3): those of kernels/winograd.c for tiles of 6 x 6 inputs, which
 * become 36 products and 4 x 4 outputs.
 *
 * One axis of a tile is a product of two polynomials, taken from its values at the points 0, a, -a, b, -b and at infinity
 * (the leading coefficient). The row of a point p is, with M(x) = x (x^2 - a^2) (x^2 - b^2) and M' its derivative,
 *
 *     in B^T: the coefficients of M(x) / (x - p)     in G: (1, p, p^2) / M'(p)     in A: (1, p, p^2, p^3)
 *
 * and at infinity the coefficients of M, (0, 0, 1) and (0, 0, 0, 1). a = 3/4 and b = 3/2 have exact squares and cubes, and
 * half the rounding error of the usual 1 and 2.
 *
 * Source: Lavin and Gray, 2016, "Fast algorithms for convolutional neural networks"; Barabasz et al., 2020, "Error
 * analysis and improving the accuracy of Winograd convolution for deep neural networks", for the choice of points.
 */
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

/* A row of six positions of a transformed tile. */
INLINE void store_row(const v_real row[6], real *out, ptrdiff_t stride, ptrdiff_t lanes) {
#pragma GCC unroll 6
    for (int w = 0; w < 6; w++) {
        v_store_part(out + w * stride, row[w], lanes);
    }
}

/* The six elements d[0], d[step], ... become B^T d. */
INLINE void input_row(v_real *d, const int STEP) {
    const v_real a1 = v_set(A1), b1 = v_set(B1), minus_a2 = v_set(-A2), minus_b2 = v_set(-B2);
    const v_real minus_sum = v_set(-(A2 + B2)), product = v_set(A2 * B2);
    v_real d0 = d[0], d1 = d[STEP], d2 = d[2 * STEP], d3 = d[3 * STEP], d4 = d[4 * STEP], d5 = d[5 * STEP];
    v_real even_a = v_fma(minus_b2, d2, d4), odd_a = v_fma(minus_b2, d1, d3) * a1;
    v_real even_b = v_fma(minus_a2, d2, d4), odd_b = v_fma(minus_a2, d1, d3) * b1;
    d[0] = v_fma(product, d0, v_fma(minus_sum, d2, d4));
    d[STEP] = even_a + odd_a;
    d[2 * STEP] = even_a - odd_a;
    d[3 * STEP] = even_b + odd_b;
    d[4 * STEP] = even_b - odd_b;
    d[5 * STEP] = v_fma(product, d1, v_fma(minus_sum, d3, d5));
}

/* out[t * stride + i] = (B^T d B)[t] where d[t] = in[t][i], for the 36 positions t of a tile and i < n. */
void KERNEL(winograd4_input)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real d[36];
#pragma GCC unroll 6
        for (int w = 0; w < 6; w++) {
#pragma GCC unroll 6
            for (int h = 0; h < 6; h++) {
                d[6 * h + w] = v_load_part(in[6 * h + w] + i, lanes);
            }
            input_row(d + w, 6);
        }
#pragma GCC unroll 6
        for (int h = 0; h < 6; h++) {
            input_row(d + 6 * h, 1);
            store_row(d + 6 * h, out + 6 * h * stride + i, stride, lanes);
        }
    }
}

/* to = A (y0, y1, y2, y3). */
INLINE void output_gradient_row(v_real y0, v_real y1, v_real y2, v_real y3, v_real to[6]) {
    const v_real a2 = v_set(A2), b2 = v_set(B2);
    v_real even_a = v_fma(a2, y2, y0), odd_a = v_fma(a2, y3, y1) * v_set(A1);
    v_real even_b = v_fma(b2, y2, y0), odd_b = v_fma(b2, y3, y1) * v_set(B1);
    to[0] = y0, to[1] = even_a + odd_a, to[2] = even_a - odd_a;
    to[3] = even_b + odd_b, to[4] = even_b - odd_b, to[5] = y3;
}

/* out[t * stride + i] = (A d A^T)[t] where d[t] = in[t][i], for the 16 pixels t of an output tile and i < n. */
void KERNEL(winograd4_output_gradient)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real columns[4][6];
#pragma GCC unroll 4
        for (int w = 0; w < 4; w++) {
            output_gradient_row(v_load_part(in[w] + i, lanes), v_load_part(in[4 + w] + i, lanes),
                                v_load_part(in[8 + w] + i, lanes), v_load_part(in[12 + w] + i, lanes), columns[w]);
        }
#pragma GCC unroll 6
        for (int h = 0; h < 6; h++) {
            v_real row[6];
            output_gradient_row(columns[0][h], columns[1][h], columns[2][h], columns[3][h], row);
            store_row(row, out + 6 * h * stride + i, stride, lanes);
        }
    }
}

/* to = A^T m. */
INLINE void output_row(const v_real m[6], v_real to[4]) {
    v_real sum_a = m[1] + m[2], difference_a = m[1] - m[2], sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    to[0] = m[0] + sum_a + sum_b;
    to[1] = v_fma(v_set(B1), difference_b, difference_a * v_set(A1));
    to[2] = v_fma(v_set(B2), sum_b, sum_a * v_set(A2));
    to[3] = v_fma(v_set(B3), difference_b, v_fma(v_set(A3), difference_a, m[5]));
}

/* out[t][r * columns + j] = (A^T m A)[t] + bias[j] + addend[t][r * columns + j] where m[t] = in[t * stride + r * columns
 * + j], r < rows, j < columns, for the 16 pixels t of an output tile; those whose out[t] is NULL are left out. bias or
 * addend[t] NULL: 0. */
void KERNEL(winograd4_output)(ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t stride, const real *bias,
                              const real *const *addend, real *const *out) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - j), i = r * columns + j;
            v_real offset = bias == NULL ? v_zero() : v_load_part(bias + j, lanes);
            v_real halves[4][6];
#pragma GCC unroll 6
            for (int w = 0; w < 6; w++) {
                v_real m[6], y[4];
#pragma GCC unroll 6
                for (int h = 0; h < 6; h++) {
                    m[h] = v_load_part(in + (6 * h + w) * stride + i, lanes);
                }
                output_row(m, y);
                halves[0][w] = y[0], halves[1][w] = y[1], halves[2][w] = y[2], halves[3][w] = y[3];
            }
#pragma GCC unroll 4
            for (int h = 0; h < 4; h++) {
                v_real y[4];
                output_row(halves[h], y);
#pragma GCC unroll 4
                for (int w = 0; w < 4; w++) {
                    const int t = 4 * h + w;
                    if (out[t] == NULL) {
                        continue;
                    }
                    v_real sum = y[w] + offset;
                    if (addend[t] != NULL) {
                        sum = sum + v_load_part(addend[t] + i, lanes);
                    }
                    v_store_part(out[t] + i, sum, lanes);
                }
            }
        }
    }
}

/* to = G (g0, g1, g2). */
INLINE void filter_row(v_real g0, v_real g1, v_real g2, v_real to[6]) {
    v_real even_a = v_fma(v_set(A2 * AT_A), g2, g0 * v_set(AT_A)), odd_a = g1 * v_set(A1 * AT_A);
    v_real even_b = v_fma(v_set(B2 * AT_B), g2, g0 * v_set(AT_B)), odd_b = g1 * v_set(B1 * AT_B);
    to[0] = g0 * v_set(AT_ZERO), to[1] = even_a + odd_a, to[2] = even_a - odd_a;
    to[3] = even_b + odd_b, to[4] = even_b - odd_b, to[5] = g2;
}

/* out[t * stride + i] = (G g G^T)[t] where g[t] = in[t][i], for i < n: from the 9 taps of a filter to 36. */
void KERNEL(winograd4_filter)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real columns[3][6];
#pragma GCC unroll 3
        for (int w = 0; w < 3; w++) {
            filter_row(v_load_part(in[w] + i, lanes), v_load_part(in[3 + w] + i, lanes),
                       v_load_part(in[6 + w] + i, lanes), columns[w]);
        }
#pragma GCC unroll 6
        for (int h = 0; h < 6; h++) {
            v_real row[6];
            filter_row(columns[0][h], columns[1][h], columns[2][h], row);
            store_row(row, out + 6 * h * stride + i, stride, lanes);
        }
    }
}

/* to = G^T u. */
INLINE void filter_gradient_row(const v_real u[6], v_real to[3]) {
    v_real sum_a = (u[1] + u[2]) * v_set(AT_A), difference_a = (u[1] - u[2]) * v_set(AT_A);
    v_real sum_b = (u[3] + u[4]) * v_set(AT_B), difference_b = (u[3] - u[4]) * v_set(AT_B);
    to[0] = v_fma(v_set(AT_ZERO), u[0], sum_a + sum_b);
    to[1] = v_fma(v_set(B1), difference_b, difference_a * v_set(A1));
    to[2] = v_fma(v_set(B2), sum_b, v_fma(v_set(A2), sum_a, u[5]));
}

/* out[t * out_stride + i] = (G^T u G)[t] where u[t] = in[t * in_stride + i], for i < n: from 36 to the 9 taps. */
void KERNEL(winograd4_filter_gradient)(ptrdiff_t n, const real *in, ptrdiff_t in_stride, real *out,
                                       ptrdiff_t out_stride) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real rows[3][6];
#pragma GCC unroll 6
        for (int w = 0; w < 6; w++) {
            v_real u[6], g[3];
#pragma GCC unroll 6
            for (int h = 0; h < 6; h++) {
                u[h] = v_load_part(in + (6 * h + w) * in_stride + i, lanes);
            }
            filter_gradient_row(u, g);
            rows[0][w] = g[0], rows[1][w] = g[1], rows[2][w] = g[2];
        }
#pragma GCC unroll 3
        for (int h = 0; h < 3; h++) {
            v_real g[3];
            filter_gradient_row(rows[h], g);
            real *to = out + 3 * h * out_stride + i;
            v_store_part(to, g[0], lanes);
            v_store_part(to + out_stride, g[1], lanes);
            v_store_part(to + 2 * out_stride, g[2], lanes);
        }
    }
}
