/* Vectors of `real`, of the width of this ISA. One formula for body and tail: a tail is a partial load and store.
 *
 * v_real            a vector of V_LANES reals; +, -, *, / work on it
 * V_REGISTERS       how many vectors the CPU holds in registers
 * v_mask            the result of a comparison, for v_select
 * v_fma(a, b, c)    a * b + c, rounded once (the baseline rounds twice)
 * v_max(a, b)       b if either is NaN, like the x86 instruction
 * v_first_mask(lanes)  true in the first `lanes` lanes
 * v_load_part(p, lanes), v_store_part(p, v, lanes)   the first `lanes` elements; the others read as 0
 * v_stream(p, v)    a store past the caches; p is a multiple of the vector's bytes
 * v_fetch(p)        into L2, what will be read or written soon; p may lie outside the array
 * v_index, v_load_index(p), v_permute(v, index)      lane i of the result is lane index[i] of v; p has V_LANES int32_t
 * v_load_u8, v_store_u8, v_load_i32, v_store_i32     the same, between reals and small integers in memory
 */
#ifndef FNN_KERNELS_VECTOR_H
#define FNN_KERNELS_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/real.h"
#include "core/sanitize.h"

#define INLINE static inline __attribute__((always_inline, unused))

#if defined(FNN_ISA_AVX512)
#include "kernels/vector_avx512.h"
#elif defined(FNN_ISA_AVX2)
#include "kernels/vector_avx2.h"
#elif defined(FNN_ISA_NEON)
#include "kernels/vector_neon.h"
#else
#include "kernels/vector_baseline.h"
#endif

/* How many lanes of the next vector are used when `left` elements are left. */
INLINE ptrdiff_t v_lanes_left(ptrdiff_t left) { return left < V_LANES ? left : V_LANES; }

/* Past the caches if `streams`; p is a multiple of the vector's bytes then. */
INLINE void v_store_or_stream(int streams, real *p, v_real v, ptrdiff_t lanes) {
    if (streams && lanes == V_LANES) {
        v_stream(p, v);
    } else {
        v_store_part(p, v, lanes);
    }
}

/* For the pixels of a tile or the taps of a convolution, more streams than the CPU follows by itself. Not into L1, which
 * gained little: streams whole pages apart share a set there. */
INLINE void v_fetch(const real *p) { __builtin_prefetch(p, 0, 2); }

/* How many of n elements fill whole vectors. A pass over these, with V_LANES as a constant, is free of masks; the tail is
 * a second pass of the same inlined function. */
INLINE ptrdiff_t v_whole(ptrdiff_t n) { return n - n % V_LANES; }

/* The sum of the lanes, always in the same order: halves are added until one lane is left. */
INLINE real v_sum(v_real v) {
    real lanes[V_LANES];
    v_store(lanes, v);
    for (int half = V_LANES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            lanes[i] += lanes[i + half];
        }
    }
    return lanes[0];
}

/* The largest lane; NaN lanes may be passed over. */
INLINE real v_max_lane(v_real v) {
    real lanes[V_LANES];
    v_store(lanes, v);
    for (int half = V_LANES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
        }
    }
    return lanes[0];
}

#endif
