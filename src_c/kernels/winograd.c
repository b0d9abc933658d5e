/* The transforms of Winograd's convolution F(2 x 2, 3 x 3); ops/winograd.h tells what they are for. With
 *
 *     B^T = 1  0 -1  0      G = 1    0    0      A^T = 1  1  1  0
 *           0  1  1  0          1/2  1/2  1/2          0  1 -1 -1
 *           0 -1  1  0          1/2 -1/2  1/2
 *           0  1  0 -1          0    0    1
 *
 * a tile of 4 x 4 inputs becomes B^T d B, a filter of 3 x 3 taps G g G^T, and the 16 products of the two become 2 x 2
 * outputs by A^T m A. Everything happens to whole vectors of channels: the 16 inputs of a tile are 16 pointers.
 */
#include "kernels/kernel.h"

/* (a, b, c, d) becomes B^T (a, b, c, d). */
#define INPUT_ROW(a, b, c, d)                                                                                          \
    {                                                                                                                  \
        v_real first = a - c, second = b + c, third = c - b, fourth = b - d;                                           \
        a = first, b = second, c = third, d = fourth;                                                                  \
    }

/* out[t * stride + i] = (B^T d B)[t] where d[t] = in[t][i], for the 16 positions t of a tile and i < n. */
void KERNEL(winograd_input)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real d[16];
#pragma GCC unroll 16
        for (int t = 0; t < 16; t++) {
            d[t] = v_load_part(in[t] + i, lanes);
        }
#pragma GCC unroll 4
        for (int w = 0; w < 4; w++) {
            INPUT_ROW(d[w], d[4 + w], d[8 + w], d[12 + w])
        }
#pragma GCC unroll 4
        for (int h = 0; h < 4; h++) {
            INPUT_ROW(d[4 * h], d[4 * h + 1], d[4 * h + 2], d[4 * h + 3])
        }
#pragma GCC unroll 16
        for (int t = 0; t < 16; t++) {
            v_store_part(out + t * stride + i, d[t], lanes);
        }
    }
}

/* out[t * stride + i] = (A d A^T)[t] where d[t] = in[t][i], for the 4 pixels t of an output tile and i < n: how the
 * gradient of the outputs goes back through A^T m A. */
void KERNEL(winograd_output_gradient)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real rows[4][2];
#pragma GCC unroll 2
        for (int w = 0; w < 2; w++) {
            v_real upper = v_load_part(in[w] + i, lanes), lower = v_load_part(in[2 + w] + i, lanes);
            rows[0][w] = upper, rows[1][w] = upper + lower, rows[2][w] = upper - lower, rows[3][w] = v_zero() - lower;
        }
#pragma GCC unroll 4
        for (int h = 0; h < 4; h++) {
            v_real left = rows[h][0], right = rows[h][1];
            real *to = out + 4 * h * stride + i;
            v_store_part(to, left, lanes);
            v_store_part(to + stride, left + right, lanes);
            v_store_part(to + 2 * stride, left - right, lanes);
            v_store_part(to + 3 * stride, v_zero() - right, lanes);
        }
    }
}

/* The pixel of lanes j of row r: what `winograd_output` stores for one t. */
INLINE void store_output(v_real sum, const real *addend, real *out, ptrdiff_t i, ptrdiff_t lanes) {
    if (out == NULL) {
        return;
    }
    if (addend != NULL) {
        sum = sum + v_load_part(addend + i, lanes);
    }
    v_store_part(out + i, sum, lanes);
}

/* out[t][r * columns + j] = (A^T m A)[t] + bias[j] + addend[t][r * columns + j] where m[t] = in[t * stride + r * columns
 * + j], r < rows, j < columns, for the 4 pixels t of an output tile; those whose out[t] is NULL are left out. bias or
 * addend[t] NULL: 0. */
void KERNEL(winograd_output)(ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t stride, const real *bias,
                             const real *const *addend, real *const *out) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - j), i = r * columns + j;
            v_real upper[4], lower[4];
            v_real offset = bias == NULL ? v_zero() : v_load_part(bias + j, lanes);
#pragma GCC unroll 4
            for (int w = 0; w < 4; w++) {
                const real *from = in + w * stride + i;
                v_real second = v_load_part(from + 4 * stride, lanes), third = v_load_part(from + 8 * stride, lanes);
                upper[w] = v_load_part(from, lanes) + second + third;
                lower[w] = second - third - v_load_part(from + 12 * stride, lanes);
            }
            store_output(upper[0] + upper[1] + upper[2] + offset, addend[0], out[0], i, lanes);
            store_output(upper[1] - upper[2] - upper[3] + offset, addend[1], out[1], i, lanes);
            store_output(lower[0] + lower[1] + lower[2] + offset, addend[2], out[2], i, lanes);
            store_output(lower[1] - lower[2] - lower[3] + offset, addend[3], out[3], i, lanes);
        }
    }
}

/* out[t * stride + i] = (G g G^T)[t] where g[t] = in[t][i], for i < n: from the 9 taps of a filter to side * side, which is
 * 16, or 25 with a fifth row of G: (0, 1, 0). */
INLINE void filter(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride, const int SIDE) {
    const v_real half = v_set((real)0.5);
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real rows[5][3];
#pragma GCC unroll 3
        for (int w = 0; w < 3; w++) {
            v_real top = v_load_part(in[w] + i, lanes), middle = v_load_part(in[3 + w] + i, lanes);
            v_real bottom = v_load_part(in[6 + w] + i, lanes), sum = (top + bottom) * half;
            rows[4][w] = middle;
            middle = middle * half;
            rows[0][w] = top, rows[1][w] = sum + middle, rows[2][w] = sum - middle, rows[3][w] = bottom;
        }
#pragma GCC unroll 5
        for (int h = 0; h < SIDE; h++) {
            v_real sum = (rows[h][0] + rows[h][2]) * half, middle = rows[h][1] * half;
            real *to = out + SIDE * h * stride + i;
            v_store_part(to, rows[h][0], lanes);
            v_store_part(to + stride, sum + middle, lanes);
            v_store_part(to + 2 * stride, sum - middle, lanes);
            v_store_part(to + 3 * stride, rows[h][2], lanes);
            if (SIDE == 5) {
                v_store_part(to + 4 * stride, rows[h][1], lanes);
            }
        }
    }
}

void KERNEL(winograd_filter)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride, ptrdiff_t side) {
    if (side == 5) {
        filter(n, in, out, stride, 5);
    } else {
        filter(n, in, out, stride, 4);
    }
}

/* out[t * out_stride + i] = (G^T u G)[t] where u[t] = in[t * in_stride + i], for i < n: how the gradient goes back
 * through G g G^T, from side * side to the 9 taps. */
INLINE void filter_gradient(ptrdiff_t n, const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride,
                            const int SIDE) {
    const v_real half = v_set((real)0.5);
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real rows[3][5];
#pragma GCC unroll 5
        for (int w = 0; w < SIDE; w++) {
            const real *from = in + w * in_stride + i;
            const ptrdiff_t row = SIDE * in_stride;
            v_real second = v_load_part(from + row, lanes), third = v_load_part(from + 2 * row, lanes);
            v_real sum = (second + third) * half;
            rows[0][w] = v_load_part(from, lanes) + sum;
            rows[1][w] = (second - third) * half;
            rows[2][w] = v_load_part(from + 3 * row, lanes) + sum;
            if (SIDE == 5) {
                rows[1][w] = rows[1][w] + v_load_part(from + 4 * row, lanes);
            }
        }
#pragma GCC unroll 3
        for (int h = 0; h < 3; h++) {
            v_real sum = (rows[h][1] + rows[h][2]) * half, middle = (rows[h][1] - rows[h][2]) * half;
            real *to = out + 3 * h * out_stride + i;
            v_store_part(to, rows[h][0] + sum, lanes);
            if (SIDE == 5) {
                middle = middle + rows[h][4];
            }
            v_store_part(to + out_stride, middle, lanes);
            v_store_part(to + 2 * out_stride, rows[h][3] + sum, lanes);
        }
    }
}

void KERNEL(winograd_filter_gradient)(ptrdiff_t n, const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride,
                                      ptrdiff_t side) {
    if (side == 5) {
        filter_gradient(n, in, in_stride, out, out_stride, 5);
    } else {
        filter_gradient(n, in, in_stride, out, out_stride, 4);
    }
}
