/* Softmax and its logarithm along the rows of a dense matrix. The output may be an input. */
#include "kernels/softmax.h"

/* y = exp(x) / sum of exp(x) */
void KERNEL(softmax_forward)(ptrdiff_t rows, ptrdiff_t columns, const real *x, real *y) {
    for (; rows > 0; rows--, x += columns, y += columns) {
        v_real sum = v_set(row_exponentials(columns, row_maximum(columns, x), x, y));
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - j);
            v_store_part(y + j, v_load_part(y + j, lanes) / sum, lanes);
        }
    }
}

/* y = x - log(sum of exp(x)); the logarithm, one a row, is that of the C library. */
void KERNEL(log_softmax_forward)(ptrdiff_t rows, ptrdiff_t columns, const real *x, real *y) {
    for (; rows > 0; rows--, x += columns, y += columns) {
        real maximum = row_maximum(columns, x);
        v_real log_sum = v_set((real)log((double)row_exponentials(columns, maximum, x, NULL)));
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - j);
            v_store_part(y + j, v_load_part(x + j, lanes) - v_set(maximum) - log_sum, lanes);
        }
    }
}

/* dx = y * (dy - sum of dy * y) */
void KERNEL(softmax_backward)(ptrdiff_t rows, ptrdiff_t columns, const real *dy, const real *y, real *dx) {
    for (; rows > 0; rows--, dy += columns, y += columns, dx += columns) {
        v_real sums = v_zero();
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - j);
            sums = v_fma(v_load_part(dy + j, lanes), v_load_part(y + j, lanes), sums);
        }
        v_real sum = v_set(v_sum(sums));
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - j);
            v_real difference = v_load_part(dy + j, lanes) - sum;
            v_store_part(dx + j, v_load_part(y + j, lanes) * difference, lanes);
        }
    }
}

/* dx = dy - exp(y) * sum of dy */
void KERNEL(log_softmax_backward)(ptrdiff_t rows, ptrdiff_t columns, const real *dy, const real *y, real *dx) {
    for (; rows > 0; rows--, dy += columns, y += columns, dx += columns) {
        v_real sums = v_zero();
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            sums = sums + v_load_part(dy + j, v_lanes_left(columns - j));
        }
        v_real minus_sum = v_set(-v_sum(sums));
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - j);
            v_real probability = v_exp(v_load_part(y + j, lanes));
            v_store_part(dx + j, v_fma(probability, minus_sum, v_load_part(dy + j, lanes)), lanes);
        }
    }
}
