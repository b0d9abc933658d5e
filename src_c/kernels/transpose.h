/* Transposition in registers: a block of V_LANES x V_LANES is a whole number of vectors in both directions. */
#ifndef FNN_KERNELS_TRANSPOSE_H
#define FNN_KERNELS_TRANSPOSE_H

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

/* rows[i][j] = rows[j][i] */
INLINE void turn(v_real *rows) {
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
}

#endif
