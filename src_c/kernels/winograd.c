/* The transforms of Winograd's convolutions F(2 x 2, 3 x 3), F(2 x 4, 3 x 3) and F(4 x 4, 3 x 3); ops/winograd.h tells what
 * they are for, winograd_rows.h has the matrices. A tile of inputs d becomes B^T d B, a filter g of 3 x 3 taps G g G^T, and
 * the products m of the two become outputs by A^T m A. Both axes are transformed one after the other, each by its own
 * matrices. Everything happens to whole vectors of channels: the inputs of a tile are as many pointers.
 */
#include "kernels/winograd_rows.h"

enum {
    MOST_OUTPUTS = 4,
    MOST_PRODUCTS = 6,
    AHEAD = 1024 / sizeof(real) /* memory is fetched so far before its use: 1 and 2 KB gained most */
};

/* `call` for i < n, one after the other or in a loop. A tile of 6 x 6 does not fit into the registers of any CPU and is in
 * memory anyway: a loop is as fast then, and a fifth of the code. */
#define FOR_EACH(i, n, fits, call)                                                                                     \
    if (fits) {                                                                                                        \
        _Pragma("GCC unroll 6") for (int i = 0; i < (n); i++) { call; }                                                \
    } else {                                                                                                           \
        _Pragma("GCC unroll 1") for (int i = 0; i < (n); i++) { call; }                                                \
    }
#define TILE_FITS(H, W) ((H + 2) * (W + 2) <= 24)

INLINE void input_column(v_real *d, const real *const *in, ptrdiff_t i, ptrdiff_t lanes, int w, const int H,
                         const int W) {
#pragma GCC unroll 6
    for (int h = 0; h < H + 2; h++) {
        v_fetch(in[(W + 2) * h + w] + i + AHEAD);
        d[(W + 2) * h + w] = v_load_part(in[(W + 2) * h + w] + i, lanes);
    }
    input_row(d + w, W + 2, H);
}

INLINE void input_rest(v_real *d, real *out, ptrdiff_t stride, ptrdiff_t lanes, int h, const int W) {
    input_row(d + (W + 2) * h, 1, W);
#pragma GCC unroll 6
    for (int w = 0; w < W + 2; w++) {
        const int t = (W + 2) * h + w;
        v_store_part(out + t * stride, d[t], lanes);
    }
}

/* out[t * stride + i] = (B^T d B)[t] where d[t] = in[t][i], for all positions t of a tile and i < n. */
INLINE void input(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride, const int H, const int W) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real d[MOST_PRODUCTS * MOST_PRODUCTS];
        FOR_EACH(w, W + 2, TILE_FITS(H, W), input_column(d, in, i, lanes, w, H, W))
        FOR_EACH(h, H + 2, TILE_FITS(H, W), input_rest(d, out + i, stride, lanes, h, W))
    }
}

INLINE void output_gradient_column(v_real (*columns)[MOST_PRODUCTS], const real *const *in, ptrdiff_t i,
                                   ptrdiff_t lanes, int w, const int H, const int W) {
    v_real pixels[MOST_OUTPUTS];
#pragma GCC unroll 4
    for (int h = 0; h < H; h++) {
        v_fetch(in[W * h + w] + i + AHEAD);
        pixels[h] = v_load_part(in[W * h + w] + i, lanes);
    }
    output_gradient_row(pixels, columns[w], H);
}

INLINE void output_gradient_rest(v_real (*columns)[MOST_PRODUCTS], real *out, ptrdiff_t stride, ptrdiff_t lanes, int h,
                                 const int W) {
    v_real pixels[MOST_OUTPUTS], row[MOST_PRODUCTS];
#pragma GCC unroll 4
    for (int w = 0; w < W; w++) {
        pixels[w] = columns[w][h];
    }
    output_gradient_row(pixels, row, W);
#pragma GCC unroll 6
    for (int w = 0; w < W + 2; w++) {
        v_store_part(out + ((W + 2) * h + w) * stride, row[w], lanes);
    }
}

/* out[t * stride + i] = (A d A^T)[t] where d[t] = in[t][i], for the pixels t of an output tile and i < n: how the gradient
 * of the outputs goes back through A^T m A. */
INLINE void output_gradient(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride, const int H, const int W) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real columns[MOST_OUTPUTS][MOST_PRODUCTS];
        FOR_EACH(w, W, TILE_FITS(H, W), output_gradient_column(columns, in, i, lanes, w, H, W))
        FOR_EACH(h, H + 2, TILE_FITS(H, W), output_gradient_rest(columns, out + i, stride, lanes, h, W))
    }
}

INLINE void output_column(v_real (*halves)[MOST_PRODUCTS], const real *in, ptrdiff_t stride, ptrdiff_t lanes, int w,
                          const int H, const int W) {
    v_real m[MOST_PRODUCTS], y[MOST_OUTPUTS];
#pragma GCC unroll 6
    for (int h = 0; h < H + 2; h++) {
        m[h] = v_load_part(in + ((W + 2) * h + w) * stride, lanes);
    }
    output_row(m, y, H);
#pragma GCC unroll 4
    for (int h = 0; h < H; h++) {
        halves[h][w] = y[h];
    }
}

/* addend and out are those of the row's pixels. */
INLINE void output_rest(const v_real *half, v_real offset, const real *const *addend, real *const *out, ptrdiff_t i,
                        ptrdiff_t lanes, const int W) {
    v_real y[MOST_OUTPUTS];
    output_row(half, y, W);
#pragma GCC unroll 4
    for (int w = 0; w < W; w++) {
        if (out[w] == NULL) {
            continue;
        }
        v_real sum = y[w] + offset;
        if (addend[w] != NULL) {
            v_fetch(addend[w] + i + AHEAD);
            sum = sum + v_load_part(addend[w] + i, lanes);
        }
        v_fetch(out[w] + i + AHEAD);
        v_store_part(out[w] + i, sum, lanes);
    }
}

/* out[t][r * columns + j] = (A^T m A)[t] + bias[j] + addend[t][r * columns + j] where m[t] = in[t * stride + r * columns
 * + j], r < rows, j < columns, for the pixels t of an output tile; those whose out[t] is NULL are left out. bias or
 * addend[t] NULL: 0. */
INLINE void output(ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t stride, const real *bias,
                   const real *const *addend, real *const *out, const int H, const int W) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - j), i = r * columns + j;
            v_real offset = bias == NULL ? v_zero() : v_load_part(bias + j, lanes);
            v_real halves[MOST_OUTPUTS][MOST_PRODUCTS];
            FOR_EACH(w, W + 2, TILE_FITS(H, W), output_column(halves, in + i, stride, lanes, w, H, W))
            FOR_EACH(h, H, TILE_FITS(H, W), output_rest(halves[h], offset, addend + W * h, out + W * h, i, lanes, W))
        }
    }
}

/* out[t * stride + i] = (G g G^T)[t] where g[t] = in[t][i], for i < n: from the 9 taps of a filter to FILTERS_H * FILTERS_W,
 * which along an axis of two outputs are 4, or 5 with g1. */
INLINE void filter(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride, const int H, const int W,
                   const int FILTERS_H, const int FILTERS_W) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real columns[3][MOST_PRODUCTS];
#pragma GCC unroll 1
        for (int w = 0; w < 3; w++) {
            v_real taps[3];
#pragma GCC unroll 3
            for (int h = 0; h < 3; h++) {
                taps[h] = v_load_part(in[3 * h + w] + i, lanes);
            }
            filter_row(taps, columns[w], H);
        }
#pragma GCC unroll 1
        for (int h = 0; h < FILTERS_H; h++) {
            v_real taps[3] = {columns[0][h], columns[1][h], columns[2][h]}, row[MOST_PRODUCTS];
            filter_row(taps, row, W);
#pragma GCC unroll 6
            for (int w = 0; w < FILTERS_W; w++) {
                v_store_part(out + (FILTERS_W * h + w) * stride + i, row[w], lanes);
            }
        }
    }
}

/* out[t * out_stride + i] = (G^T u G)[t] where u[t] = in[t * in_stride + i], for i < n: how the gradient goes back
 * through G g G^T, from all filters to the 9 taps. */
INLINE void filter_gradient(ptrdiff_t n, const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride,
                            const int H, const int W, const int FILTERS_H, const int FILTERS_W) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_real rows[3][MOST_PRODUCTS];
#pragma GCC unroll 1
        for (int w = 0; w < FILTERS_W; w++) {
            v_real u[MOST_PRODUCTS], taps[3];
#pragma GCC unroll 6
            for (int h = 0; h < FILTERS_H; h++) {
                u[h] = v_load_part(in + (FILTERS_W * h + w) * in_stride + i, lanes);
            }
            filter_gradient_row(u, taps, H, FILTERS_H);
            rows[0][w] = taps[0], rows[1][w] = taps[1], rows[2][w] = taps[2];
        }
#pragma GCC unroll 1
        for (int h = 0; h < 3; h++) {
            v_real taps[3];
            filter_gradient_row(rows[h], taps, W, FILTERS_W);
#pragma GCC unroll 3
            for (int w = 0; w < 3; w++) {
                v_store_part(out + (3 * h + w) * out_stride + i, taps[w], lanes);
            }
        }
    }
}

/* The kernels `stem`_input and so on of tiles of H x W outputs. `middle`: with the filters of g1. */
#define WINOGRAD_KERNELS(stem, H, W, FILTERS_H, FILTERS_W, MIDDLE_H, MIDDLE_W)                                         \
    void KERNEL(stem##_input)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride) {                       \
        input(n, in, out, stride, H, W);                                                                               \
    }                                                                                                                  \
    void KERNEL(stem##_output_gradient)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride) {             \
        output_gradient(n, in, out, stride, H, W);                                                                     \
    }                                                                                                                  \
    void KERNEL(stem##_output)(ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t stride, const real *bias,  \
                               const real *const *addend, real *const *out) {                                          \
        output(rows, columns, in, stride, bias, addend, out, H, W);                                                    \
    }                                                                                                                  \
    void KERNEL(stem##_filter)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride, int middle) {          \
        if (middle) {                                                                                                  \
            filter(n, in, out, stride, H, W, MIDDLE_H, MIDDLE_W);                                                      \
        } else {                                                                                                       \
            filter(n, in, out, stride, H, W, FILTERS_H, FILTERS_W);                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    void KERNEL(stem##_filter_gradient)(ptrdiff_t n, const real *in, ptrdiff_t in_stride, real *out,                   \
                                        ptrdiff_t out_stride, int middle) {                                            \
        if (middle) {                                                                                                  \
            filter_gradient(n, in, in_stride, out, out_stride, H, W, MIDDLE_H, MIDDLE_W);                              \
        } else {                                                                                                       \
            filter_gradient(n, in, in_stride, out, out_stride, H, W, FILTERS_H, FILTERS_W);                            \
        }                                                                                                              \
    }

WINOGRAD_KERNELS(winograd, 2, 2, 4, 4, 5, 5)
WINOGRAD_KERNELS(winograd24, 2, 4, 4, 6, 5, 6)
WINOGRAD_KERNELS(winograd4, 4, 4, 6, 6, 6, 6)
