#include "kernels/transpose.h"

/* One block, of which `rows_used` rows and `columns_used` columns are there. */
INLINE void transpose_block(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride, ptrdiff_t rows_used,
                            ptrdiff_t columns_used) {
    v_real rows[V_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < V_LANES; i++) {
        rows[i] = i < rows_used ? v_load_part(in + i * in_stride, columns_used) : v_zero();
    }
    turn(rows);
#pragma GCC unroll 16
    for (int j = 0; j < V_LANES; j++) {
        if (j < columns_used) {
            v_store_part(out + j * out_stride, rows[j], rows_used);
        }
    }
}

/* out[j * out_stride + i] = in[i * in_stride + j], i < rows, j < columns. Nothing may overlap. */
void KERNEL(transpose)(ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t in_stride, real *out,
                       ptrdiff_t out_stride) {
    for (ptrdiff_t i = 0; i < rows; i += V_LANES) {
        for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
            ptrdiff_t rows_used = v_lanes_left(rows - i), columns_used = v_lanes_left(columns - j);
            const real *from = in + i * in_stride + j;
            real *to = out + j * out_stride + i;
            if (rows_used == V_LANES && columns_used == V_LANES) {
                transpose_block(from, in_stride, to, out_stride, V_LANES, V_LANES);
            } else {
                transpose_block(from, in_stride, to, out_stride, rows_used, columns_used);
            }
        }
    }
}
