/* Passes over a matrix, column by column: the passes of batch norm (a column is a channel) and of group norm
 * (a column is a channel of one image). Rows are `stride` apart, and every row is read and written once.
 * Inputs may be the output only if they start at the same element. NaN propagates within its column.
 */
#include "kernels/activation.h"

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

/* What the blocks below are made for; constants wherever they are inlined. */
#define PASS                                                                                                           \
    const int VECTORS, const fnn_then THEN, const int FLAG, const fnn_columns *p, ptrdiff_t column, ptrdiff_t lanes

/* The parameters of the columns of one block. */
INLINE void load_columns(const int VECTORS, const real *from, ptrdiff_t lanes, v_real *to) {
    for (int v = 0; v < VECTORS; v++) {
        to[v] = v_load_part(from + v * V_LANES, lanes);
    }
}

/* What relu6 keeps values below; for relu NaN, which nothing is compared with. */
INLINE v_real bound_of(const fnn_columns *p) { return v_set(p->then == FNN_THEN_RELU6 ? (real)6 : (real)NAN); }

/* What stands for relu is also for relu6: one more comparison. */
INLINE v_real applied(const fnn_then THEN, v_real z, v_real bound) {
    switch (THEN) {
    case FNN_THEN_RELU:
        return v_min(bound, relu(z, NULL));
    case FNN_THEN_GELU:
        return gelu(z, NULL);
    case FNN_THEN_SILU:
        return silu(z, NULL);
    default:
        return z;
    }
}

/* FLAG: there is a residual. The difference to the center comes first, so that a large mean costs no precision. */
INLINE void affine_block(PASS) {
    v_real center[BLOCK], scale[BLOCK], offset[BLOCK], bound = bound_of(p);
    load_columns(VECTORS, p->center + column, lanes, center);
    load_columns(VECTORS, p->scale + column, lanes, scale);
    load_columns(VECTORS, p->offset + column, lanes, offset);
    for (ptrdiff_t i = 0; i < p->rows; i++) {
        for (int v = 0; v < VECTORS; v++) {
            ptrdiff_t at = i * p->stride + column + v * V_LANES;
            v_real z = v_fma(v_load_part(p->x + at, lanes) - center[v], scale[v], offset[v]);
            if (FLAG) {
                z = z + v_load_part(p->residual + at, lanes);
            }
            v_store_or_stream(p->streams, p->out + at, applied(THEN, z, bound), lanes);
        }
    }
}

/* The gradient before `then`. */
INLINE v_real through(const fnn_then THEN, const int FROM_Y, const fnn_columns *p, ptrdiff_t at, ptrdiff_t lanes,
                      v_real distance, v_real scale, v_real offset, v_real bound) {
    v_real dy = v_load_part(p->dy + at, lanes);
    if (THEN == FNN_THEN_NOTHING) {
        return dy;
    }
    v_real kept = FROM_Y ? v_load_part(p->y + at, lanes) : v_fma(distance, scale, offset);
    switch (THEN) {
    case FNN_THEN_RELU:
        return v_select(v_or(v_le(kept, v_zero()), v_le(bound, kept)), v_zero(), dy);
    case FNN_THEN_GELU:
        return gelu_gradient(dy, kept, NULL);
    default:
        return silu_gradient(dy, kept, NULL);
    }
}

/* FLAG: relu's gradient is told from y. */
INLINE void products_block(PASS) {
    v_real center[BLOCK], scale[BLOCK], offset[BLOCK], sum[BLOCK], product_sum[BLOCK], bound = bound_of(p);
    load_columns(VECTORS, p->center + column, lanes, center);
    for (int v = 0; v < VECTORS; v++) {
        sum[v] = product_sum[v] = scale[v] = offset[v] = v_zero();
    }
    if (THEN != FNN_THEN_NOTHING && !FLAG) {
        load_columns(VECTORS, p->scale + column, lanes, scale);
        load_columns(VECTORS, p->offset + column, lanes, offset);
    }
    for (ptrdiff_t i = 0; i < p->rows; i++) {
        for (int v = 0; v < VECTORS; v++) {
            ptrdiff_t at = i * p->stride + column + v * V_LANES;
            v_real distance = v_load_part(p->x + at, lanes) - center[v];
            v_real gradient = through(THEN, FLAG, p, at, lanes, distance, scale[v], offset[v], bound);
            sum[v] = sum[v] + gradient;
            product_sum[v] = v_fma(gradient, distance, product_sum[v]);
            if (p->gradient != NULL) {
                v_store_part(p->gradient + at, gradient, lanes);
            }
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        v_store_part(p->sum + column + v * V_LANES, sum[v], lanes);
        v_store_part(p->product_sum + column + v * V_LANES, product_sum[v], lanes);
    }
}

/* FLAG: relu's gradient is told from y. */
INLINE void backward_block(PASS) {
    v_real center[BLOCK], scale[BLOCK], offset[BLOCK], dy_scale[BLOCK], x_unit[BLOCK], x_scale[BLOCK], x_offset[BLOCK];
    v_real bound = bound_of(p);
    load_columns(VECTORS, p->center + column, lanes, center);
    load_columns(VECTORS, p->dy_scale + column, lanes, dy_scale);
    load_columns(VECTORS, p->x_unit + column, lanes, x_unit);
    load_columns(VECTORS, p->x_scale + column, lanes, x_scale);
    load_columns(VECTORS, p->x_offset + column, lanes, x_offset);
    for (int v = 0; v < VECTORS; v++) {
        scale[v] = offset[v] = v_zero();
    }
    if (THEN != FNN_THEN_NOTHING && !FLAG) {
        load_columns(VECTORS, p->scale + column, lanes, scale);
        load_columns(VECTORS, p->offset + column, lanes, offset);
    }
    for (ptrdiff_t i = 0; i < p->rows; i++) {
        for (int v = 0; v < VECTORS; v++) {
            ptrdiff_t at = i * p->stride + column + v * V_LANES;
            v_real distance = v_load_part(p->x + at, lanes) - center[v];
            v_real gradient = through(THEN, FLAG, p, at, lanes, distance, scale[v], offset[v], bound);
            v_real from_statistics = v_fma(distance * x_unit[v], x_scale[v], x_offset[v]);
            v_real dx = v_fma(gradient, dy_scale[v], from_statistics);
            v_store_or_stream(p->streams, p->out + at, dx, lanes);
        }
    }
}

/* All columns: in blocks of several vectors, then one by one. */
#define ALL_COLUMNS(block, THEN, FLAG)                                                                                 \
    {                                                                                                                  \
        ptrdiff_t column = 0;                                                                                          \
        for (; column + BLOCK * V_LANES <= p->columns; column += BLOCK * V_LANES) {                                    \
            block(BLOCK, THEN, FLAG, p, column, V_LANES);                                                              \
        }                                                                                                              \
        for (; column < p->columns; column += V_LANES) {                                                               \
            block(1, THEN, FLAG, p, column, v_lanes_left(p->columns - column));                                        \
        }                                                                                                              \
    }

INLINE int is_relu(const fnn_columns *p) { return p->then == FNN_THEN_RELU || p->then == FNN_THEN_RELU6; }

void KERNEL(column_affine)(const fnn_columns *p) {
    if (p->then == FNN_THEN_GELU) {
        ALL_COLUMNS(affine_block, FNN_THEN_GELU, 0)
    } else if (p->then == FNN_THEN_SILU) {
        ALL_COLUMNS(affine_block, FNN_THEN_SILU, 0)
    } else if (is_relu(p) && p->residual != NULL) {
        ALL_COLUMNS(affine_block, FNN_THEN_RELU, 1)
    } else if (is_relu(p)) {
        ALL_COLUMNS(affine_block, FNN_THEN_RELU, 0)
    } else if (p->residual != NULL) {
        ALL_COLUMNS(affine_block, FNN_THEN_NOTHING, 1)
    } else {
        ALL_COLUMNS(affine_block, FNN_THEN_NOTHING, 0)
    }
}

void KERNEL(column_products)(const fnn_columns *p) {
    if (p->then == FNN_THEN_GELU) {
        ALL_COLUMNS(products_block, FNN_THEN_GELU, 0)
    } else if (p->then == FNN_THEN_SILU) {
        ALL_COLUMNS(products_block, FNN_THEN_SILU, 0)
    } else if (is_relu(p) && p->y != NULL) {
        ALL_COLUMNS(products_block, FNN_THEN_RELU, 1)
    } else if (is_relu(p)) {
        ALL_COLUMNS(products_block, FNN_THEN_RELU, 0)
    } else {
        ALL_COLUMNS(products_block, FNN_THEN_NOTHING, 0)
    }
}

void KERNEL(column_backward)(const fnn_columns *p) {
    if (is_relu(p) && p->y != NULL) {
        ALL_COLUMNS(backward_block, FNN_THEN_RELU, 1)
    } else if (is_relu(p)) {
        ALL_COLUMNS(backward_block, FNN_THEN_RELU, 0)
    } else {
        ALL_COLUMNS(backward_block, FNN_THEN_NOTHING, 0)
    }
}
