/* Products of so few rows (FNN_FEW_ROWS) that reading b takes the time: it is read once, in the order of memory. */
#include "kernels/transpose.h"

/* What few_rows_gemm does with DEPTH rows of b. */
INLINE void add_products(ptrdiff_t rows, ptrdiff_t columns, const real *a, ptrdiff_t a_stride, const real *b,
                         ptrdiff_t b_stride, real *c, ptrdiff_t c_stride, const int DEPTH) {
    real factors[FNN_FEW_ROWS][8];
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (int k = 0; k < DEPTH; k++) {
            factors[i][k] = a[i * a_stride + k];
        }
    }
    for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(columns - j);
        v_real b_row[8];
#pragma GCC unroll 8
        for (int k = 0; k < DEPTH; k++) {
            b_row[k] = v_load_part(b + k * b_stride + j, lanes);
            __builtin_prefetch(b + (DEPTH + k) * b_stride + j);
        }
        for (ptrdiff_t i = 0; i < rows; i++) {
            v_real sum = v_load_part(c + i * c_stride + j, lanes);
#pragma GCC unroll 8
            for (int k = 0; k < DEPTH; k++) {
                sum = v_fma(v_set(factors[i][k]), b_row[k], sum);
            }
            v_store_part(c + i * c_stride + j, sum, lanes);
        }
    }
}

/* c[i][j] += sum over k of a[i][k] * b[k][j], one chain in ascending order of k: some rows of b at once, and c, which is in
 * a cache, comes along. */
void KERNEL(few_rows_gemm)(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a, ptrdiff_t a_stride,
                           const real *b, ptrdiff_t b_stride, real *c, ptrdiff_t c_stride) {
    ptrdiff_t k = 0;
    for (; k + 8 <= depth; k += 8) {
        add_products(rows, columns, a + k, a_stride, b + k * b_stride, b_stride, c, c_stride, 8);
    }
    for (; k < depth; k++) {
        add_products(rows, columns, a + k, a_stride, b + k * b_stride, b_stride, c, c_stride, 1);
    }
}

/* What `depth` columns of `rows_used` rows of b add to as many columns of c: lanes of sums[i]. */
INLINE void add_block(ptrdiff_t rows, const real *a, ptrdiff_t a_stride, const real *b, ptrdiff_t b_stride,
                      ptrdiff_t rows_used, ptrdiff_t depth, v_real *sums) {
    v_real block[V_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < V_LANES; i++) {
        block[i] = i < rows_used ? v_load_part(b + i * b_stride, depth) : v_zero();
        __builtin_prefetch(b + i * b_stride + 4 * 64 / sizeof(real));
    }
    turn(block);
    for (ptrdiff_t i = 0; i < rows; i++) {
        v_real sum = sums[i];
#pragma GCC unroll 16
        for (int k = 0; k < V_LANES; k++) {
            if (k < depth) {
                sum = v_fma(v_set(a[i * a_stride + k]), block[k], sum);
            }
        }
        sums[i] = sum;
    }
}

/* c[i][j] = sum over k of a[i][k] * b[j][k], one chain in ascending order of k, as in a product with the transpose: the rows
 * of b are turned over in registers, a block of vectors at a time. */
void KERNEL(few_rows_gemm_transposed)(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a,
                                      ptrdiff_t a_stride, const real *b, ptrdiff_t b_stride, real *c,
                                      ptrdiff_t c_stride) {
    for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(columns - j), k = 0;
        const real *from = b + j * b_stride;
        v_real sums[FNN_FEW_ROWS];
        for (ptrdiff_t i = 0; i < rows; i++) {
            sums[i] = v_zero();
        }
        for (; lanes == V_LANES && k + V_LANES <= depth; k += V_LANES) {
            add_block(rows, a + k, a_stride, from + k, b_stride, V_LANES, V_LANES, sums);
        }
        for (; k < depth; k += V_LANES) {
            add_block(rows, a + k, a_stride, from + k, b_stride, lanes, v_lanes_left(depth - k), sums);
        }
        for (ptrdiff_t i = 0; i < rows; i++) {
            v_store_part(c + i * c_stride + j, sums[i], lanes);
        }
    }
}

/* VECTORS vectors of one row of the result of few_rows_outer; `lanes` are the used ones of a single vector. */
INLINE void add_outer(ptrdiff_t rows, const real *a, ptrdiff_t a_stride, const real *b, ptrdiff_t b_stride, real *c,
                      ptrdiff_t lanes, int streams, const int VECTORS) {
    v_real sum[4];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
        sum[v] = v_zero();
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        v_real factor = v_set(a[i * a_stride]);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            const real *from = b + i * b_stride + v * V_LANES;
            sum[v] = v_fma(factor, VECTORS > 1 ? v_load(from) : v_load_part(from, lanes), sum[v]);
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
        if (VECTORS == 1) {
            v_store_part(c, sum[v], lanes);
        } else if (streams) {
            v_stream(c + v * V_LANES, sum[v]);
        } else {
            v_store(c + v * V_LANES, sum[v]);
        }
    }
}

/* c[k][j] = sum over i of a[i][k] * b[i][j], rows i in ascending order, k < depth, j < columns: c is written once, past the
 * caches if it `streams`; a row of it is whole lines then. Columns are taken so many together that b stays in L1. */
void KERNEL(few_rows_outer)(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a, ptrdiff_t a_stride,
                            const real *b, ptrdiff_t b_stride, real *c, ptrdiff_t c_stride, int streams) {
    const ptrdiff_t together = 1024 / (ptrdiff_t)sizeof(real);
    for (ptrdiff_t first = 0; first < columns; first += together) {
        const ptrdiff_t end = first + together < columns ? first + together : columns;
        for (ptrdiff_t k = 0; k < depth; k++) {
            ptrdiff_t j = first;
            real *to = c + k * c_stride;
            for (; j + 4 * V_LANES <= end; j += 4 * V_LANES) {
                add_outer(rows, a + k, a_stride, b + j, b_stride, to + j, V_LANES, streams, 4);
            }
            for (; j < end; j += V_LANES) {
                add_outer(rows, a + k, a_stride, b + j, b_stride, to + j, v_lanes_left(end - j), 0, 1);
            }
        }
    }
}
