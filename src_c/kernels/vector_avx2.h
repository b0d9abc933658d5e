/* Vectors of 256 bits; tails by masked moves. */
#include <immintrin.h>

#ifdef FNN_DTYPE_F32
#define V_LANES 8
#define V_CALL(name) _mm256_##name##_ps
typedef __m256 v_real;
#define V_COMPARE _mm256_cmp_ps
INLINE __m256i v_first(ptrdiff_t lanes) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#else
#define V_LANES 4
#define V_CALL(name) _mm256_##name##_pd
typedef __m256d v_real;
#define V_COMPARE _mm256_cmp_pd
INLINE __m256i v_first(ptrdiff_t lanes) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(lanes), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif
typedef v_real v_mask;

INLINE v_real v_zero(void) { return V_CALL(setzero)(); }
INLINE v_real v_set(real value) { return V_CALL(set1)(value); }
INLINE v_real v_load(const real *p) { return V_CALL(loadu)(p); }
INLINE void v_store(real *p, v_real v) { V_CALL(storeu)(p, v); }
/* A full vector avoids the masked moves: those that store are slow on several AMD generations. */
INLINE v_real v_load_part(const real *p, ptrdiff_t lanes) {
    return lanes == V_LANES ? v_load(p) : V_CALL(maskload)(p, v_first(lanes));
}
INLINE void v_store_part(real *p, v_real v, ptrdiff_t lanes) {
    if (lanes == V_LANES) {
        v_store(p, v);
    } else {
        V_CALL(maskstore)(p, v_first(lanes), v);
    }
}
INLINE v_real v_fma(v_real a, v_real b, v_real c) { return V_CALL(fmadd)(a, b, c); }
INLINE v_real v_max(v_real a, v_real b) { return V_CALL(max)(a, b); }
INLINE v_real v_min(v_real a, v_real b) { return V_CALL(min)(a, b); }
INLINE v_real v_sqrt(v_real a) { return V_CALL(sqrt)(a); }

INLINE v_mask v_first_mask(ptrdiff_t lanes) { return (v_mask)v_first(lanes); }
INLINE v_mask v_lt(v_real a, v_real b) { return V_COMPARE(a, b, _CMP_LT_OQ); }
INLINE v_mask v_le(v_real a, v_real b) { return V_COMPARE(a, b, _CMP_LE_OQ); }
INLINE v_mask v_eq(v_real a, v_real b) { return V_COMPARE(a, b, _CMP_EQ_OQ); }
INLINE v_mask v_is_nan(v_real a) { return V_COMPARE(a, a, _CMP_UNORD_Q); }
INLINE v_mask v_or(v_mask a, v_mask b) { return V_CALL(or)(a, b); }
INLINE v_mask v_and(v_mask a, v_mask b) { return V_CALL(and)(a, b); }
INLINE v_real v_select(v_mask mask, v_real yes, v_real no) { return V_CALL(blendv)(no, yes, mask); }
