/* Passes over a matrix, column by column: the passes of batch norm (a column is a channel) and of group norm
 * (a column is a channel of one image). Rows are `stride` apart, and every row is read and written once.
 * Inputs may be the output only if they start at the same element. NaN propagates within its column.
 */
#include "kernels/kernel.h"

enum {
    BLOCK = 4,      /* vectors of columns in registers: enough independent sums to hide the latency of an addition */
    SHIFT_ROWS = 16 /* whose mean is the shift of column_moments */
};

/* shift = mean of the first rows, sum = sum of (x - shift), square_sum = sum of (x - shift)^2, of every column.
 *
 * The shift keeps the variance free of cancellation. The squared distance between the mean m of n rows and
 * that of k of them is at most M2 / k, where M2 = sum of (x - m)^2. So square_sum <= (1 + n / k) M2 for any
 * data, and about (1 + 1 / k) M2 for data in random order: nothing is lost when sum^2 / n is subtracted. */
INLINE void moments_block(int vectors, ptrdiff_t lanes, ptrdiff_t rows, ptrdiff_t stride, const real *x, real *shift,
                          real *sum, real *square_sum) {
    ptrdiff_t shift_rows = rows < SHIFT_ROWS ? rows : SHIFT_ROWS;
    v_real center[BLOCK], sums[BLOCK], squares[BLOCK];
    for (int v = 0; v < vectors; v++) {
        center[v] = v_zero();
        sums[v] = v_zero();
        squares[v] = v_zero();
    }
    for (ptrdiff_t i = 0; i < shift_rows; i++) {
        for (int v = 0; v < vectors; v++) {
            center[v] = center[v] + v_load_part(x + i * stride + v * V_LANES, lanes);
        }
    }
    for (int v = 0; v < vectors; v++) {
        center[v] = center[v] / v_set((real)shift_rows);
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            v_real distance = v_load_part(x + i * stride + v * V_LANES, lanes) - center[v];
            sums[v] = sums[v] + distance;
            squares[v] = v_fma(distance, distance, squares[v]);
        }
    }
    for (int v = 0; v < vectors; v++) {
        v_store_part(shift + v * V_LANES, center[v], lanes);
        v_store_part(sum + v * V_LANES, sums[v], lanes);
        v_store_part(square_sum + v * V_LANES, squares[v], lanes);
    }
}

void KERNEL(column_moments)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride, const real *x, real *shift, real *sum,
                            real *square_sum) {
    ptrdiff_t j = 0;
    for (; j + BLOCK * V_LANES <= columns; j += BLOCK * V_LANES) {
        moments_block(BLOCK, V_LANES, rows, stride, x + j, shift + j, sum + j, square_sum + j);
    }
    for (; j < columns; j += V_LANES) {
        moments_block(1, v_lanes_left(columns - j), rows, stride, x + j, shift + j, sum + j, square_sum + j);
    }
}

INLINE void affine_block(int vectors, ptrdiff_t lanes, ptrdiff_t rows, ptrdiff_t stride, const real *x,
                         const real *center, const real *scale, const real *offset, real *y) {
    v_real centers[BLOCK], scales[BLOCK], offsets[BLOCK];
    for (int v = 0; v < vectors; v++) {
        centers[v] = v_load_part(center + v * V_LANES, lanes);
        scales[v] = v_load_part(scale + v * V_LANES, lanes);
        offsets[v] = v_load_part(offset + v * V_LANES, lanes);
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            ptrdiff_t at = i * stride + v * V_LANES;
            v_real distance = v_load_part(x + at, lanes) - centers[v];
            v_store_part(y + at, v_fma(distance, scales[v], offsets[v]), lanes);
        }
    }
}

/* y = (x - center) * scale + offset. The difference comes first, so that a large mean costs no precision. */
void KERNEL(column_affine)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride, const real *x, const real *center,
                           const real *scale, const real *offset, real *y) {
    ptrdiff_t j = 0;
    for (; j + BLOCK * V_LANES <= columns; j += BLOCK * V_LANES) {
        affine_block(BLOCK, V_LANES, rows, stride, x + j, center + j, scale + j, offset + j, y + j);
    }
    for (; j < columns; j += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(columns - j);
        affine_block(1, lanes, rows, stride, x + j, center + j, scale + j, offset + j, y + j);
    }
}

INLINE void products_block(int vectors, ptrdiff_t lanes, ptrdiff_t rows, ptrdiff_t stride, const real *dy,
                           const real *x, const real *center, real *sum, real *product_sum) {
    v_real centers[BLOCK], sums[BLOCK], products[BLOCK];
    for (int v = 0; v < vectors; v++) {
        centers[v] = v_load_part(center + v * V_LANES, lanes);
        sums[v] = v_zero();
        products[v] = v_zero();
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            ptrdiff_t at = i * stride + v * V_LANES;
            v_real gradient = v_load_part(dy + at, lanes);
            sums[v] = sums[v] + gradient;
            products[v] = v_fma(gradient, v_load_part(x + at, lanes) - centers[v], products[v]);
        }
    }
    for (int v = 0; v < vectors; v++) {
        v_store_part(sum + v * V_LANES, sums[v], lanes);
        v_store_part(product_sum + v * V_LANES, products[v], lanes);
    }
}

/* sum = sum of dy, product_sum = sum of dy * (x - center), for every column. */
void KERNEL(column_products)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride, const real *dy, const real *x,
                             const real *center, real *sum, real *product_sum) {
    ptrdiff_t j = 0;
    for (; j + BLOCK * V_LANES <= columns; j += BLOCK * V_LANES) {
        products_block(BLOCK, V_LANES, rows, stride, dy + j, x + j, center + j, sum + j, product_sum + j);
    }
    for (; j < columns; j += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(columns - j);
        products_block(1, lanes, rows, stride, dy + j, x + j, center + j, sum + j, product_sum + j);
    }
}

INLINE void backward_block(int vectors, ptrdiff_t lanes, ptrdiff_t rows, ptrdiff_t stride, const real *dy,
                           const real *x, const real *center, const real *dy_scale, const real *x_scale,
                           const real *offset, real *dx) {
    v_real centers[BLOCK], dy_scales[BLOCK], x_scales[BLOCK], offsets[BLOCK];
    for (int v = 0; v < vectors; v++) {
        centers[v] = v_load_part(center + v * V_LANES, lanes);
        dy_scales[v] = v_load_part(dy_scale + v * V_LANES, lanes);
        x_scales[v] = v_load_part(x_scale + v * V_LANES, lanes);
        offsets[v] = v_load_part(offset + v * V_LANES, lanes);
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            ptrdiff_t at = i * stride + v * V_LANES;
            v_real distance = v_load_part(x + at, lanes) - centers[v];
            v_real from_statistics = v_fma(distance, x_scales[v], offsets[v]);
            v_store_part(dx + at, v_fma(v_load_part(dy + at, lanes), dy_scales[v], from_statistics), lanes);
        }
    }
}

/* dx = dy * dy_scale + (x - center) * x_scale + offset */
void KERNEL(column_backward)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride, const real *dy, const real *x,
                             const real *center, const real *dy_scale, const real *x_scale, const real *offset,
                             real *dx) {
    ptrdiff_t j = 0;
    for (; j + BLOCK * V_LANES <= columns; j += BLOCK * V_LANES) {
        backward_block(BLOCK, V_LANES, rows, stride, dy + j, x + j, center + j, dy_scale + j, x_scale + j, offset + j,
                       dx + j);
    }
    for (; j < columns; j += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(columns - j);
        backward_block(1, lanes, rows, stride, dy + j, x + j, center + j, dy_scale + j, x_scale + j, offset + j,
                       dx + j);
    }
}
