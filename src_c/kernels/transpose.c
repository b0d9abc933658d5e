/* Transposition in registers: a block of V_LANES x V_LANES is a whole number of vectors in both directions. */
#include "kernels/kernel.h"

/* The lanes of two vectors, a's before b's, in the order of `index`. */
#ifdef FNN_DTYPE_F32
typedef int32_t lane_index __attribute__((vector_size(V_LANES * sizeof(real))));
#else
typedef int64_t lane_index __attribute__((vector_size(V_LANES * sizeof(real))));
#endif
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lane_index){__VA_ARGS__})
#endif

/* Which lanes come together when blocks of `step` lanes are exchanged: UPPER makes the row without the bit `step` in its
 * number, LOWER the one with it. */
#define UPPER_LANE(lane, step) (((lane) & (step)) ? (lane) - (step) + V_LANES : (lane))
#define LOWER_LANE(lane, step) (((lane) & (step)) ? (lane) + V_LANES : (lane) + (step))
#define LANES_2(OF, first, step) OF(first, step), OF((first) + 1, step)
#define LANES_4(OF, first, step) LANES_2(OF, first, step), LANES_2(OF, (first) + 2, step)
#define LANES_8(OF, first, step) LANES_4(OF, first, step), LANES_4(OF, (first) + 4, step)
#define LANES_16(OF, first, step) LANES_8(OF, first, step), LANES_8(OF, (first) + 8, step)
#if V_LANES == 16
#define ALL_LANES LANES_16
#elif V_LANES == 8
#define ALL_LANES LANES_8
#elif V_LANES == 4
#define ALL_LANES LANES_4
#else
#define ALL_LANES LANES_2
#endif

#define EXCHANGE(step)                                                                                                 \
    _Pragma("GCC unroll 16") for (int i = 0; i < V_LANES; i++) {                                                       \
        if (!(i & (step))) {                                                                                           \
            v_real upper = rows[i], lower = rows[i | (step)];                                                          \
            rows[i] = SHUFFLE(upper, lower, ALL_LANES(UPPER_LANE, 0, step));                                           \
            rows[i | (step)] = SHUFFLE(upper, lower, ALL_LANES(LOWER_LANE, 0, step));                                  \
        }                                                                                                              \
    }

/* One block, of which `rows_used` rows and `columns_used` columns are there. */
INLINE void transpose_block(const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride, ptrdiff_t rows_used,
                            ptrdiff_t columns_used) {
    v_real rows[V_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < V_LANES; i++) {
        rows[i] = i < rows_used ? v_load_part(in + i * in_stride, columns_used) : v_zero();
    }
    EXCHANGE(1)
#if V_LANES > 2
    EXCHANGE(2)
#endif
#if V_LANES > 4
    EXCHANGE(4)
#endif
#if V_LANES > 8
    EXCHANGE(8)
#endif
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
