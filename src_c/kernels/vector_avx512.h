/* Vectors of 512 bits; tails by mask registers. */
#include <immintrin.h>

#define V_REGISTERS 32
#ifdef FNN_DTYPE_F32
#define V_LANES 16
#define V_CALL(name) _mm512_##name##_ps
typedef __m512 v_real;
typedef __mmask16 v_mask;
#define V_COMPARE _mm512_cmp_ps_mask
#else
#define V_LANES 8
#define V_CALL(name) _mm512_##name##_pd
typedef __m512d v_real;
typedef __mmask8 v_mask;
#define V_COMPARE _mm512_cmp_pd_mask
#endif

INLINE v_mask v_first(ptrdiff_t lanes) { return (v_mask)((1u << lanes) - 1u); }

INLINE v_real v_zero(void) { return V_CALL(setzero)(); }
INLINE v_real v_set(real value) { return V_CALL(set1)(value); }
INLINE v_real v_load(const real *p) { return V_CALL(loadu)(p); }
INLINE void v_store(real *p, v_real v) { V_CALL(storeu)(p, v); }
INLINE v_real v_load_part(const real *p, ptrdiff_t lanes) {
    FNN_READS(p, lanes);
    return V_CALL(maskz_loadu)(v_first(lanes), p);
}
INLINE void v_store_part(real *p, v_real v, ptrdiff_t lanes) {
    FNN_WRITES(p, lanes);
    V_CALL(mask_storeu)(p, v_first(lanes), v);
}
INLINE void v_stream(real *p, v_real v) {
    FNN_WRITES(p, V_LANES);
    V_CALL(stream)(p, v);
}
INLINE v_real v_fma(v_real a, v_real b, v_real c) { return V_CALL(fmadd)(a, b, c); }
INLINE v_real v_max(v_real a, v_real b) { return V_CALL(max)(a, b); }
INLINE v_real v_min(v_real a, v_real b) { return V_CALL(min)(a, b); }
INLINE v_real v_sqrt(v_real a) { return V_CALL(sqrt)(a); }

INLINE v_mask v_first_mask(ptrdiff_t lanes) { return v_first(lanes); }
INLINE v_mask v_lt(v_real a, v_real b) { return V_COMPARE(a, b, _CMP_LT_OQ); }
INLINE v_mask v_le(v_real a, v_real b) { return V_COMPARE(a, b, _CMP_LE_OQ); }
INLINE v_mask v_eq(v_real a, v_real b) { return V_COMPARE(a, b, _CMP_EQ_OQ); }
INLINE v_mask v_is_nan(v_real a) { return V_COMPARE(a, a, _CMP_UNORD_Q); }
INLINE v_mask v_or(v_mask a, v_mask b) { return (v_mask)(a | b); }
INLINE v_mask v_and(v_mask a, v_mask b) { return (v_mask)(a & b); }
INLINE v_real v_select(v_mask mask, v_real yes, v_real no) { return V_CALL(mask_blend)(mask, no, yes); }

typedef __m512i v_index;
INLINE v_real v_permute(v_real v, v_index index) { return V_CALL(permutexvar)(index, v); }

#ifdef FNN_DTYPE_F32
INLINE v_index v_load_index(const int32_t *p) { return _mm512_loadu_si512(p); }
INLINE v_real v_load_u8(const uint8_t *p, ptrdiff_t lanes) {
    FNN_READS(p, lanes);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(v_first(lanes), p)));
}
INLINE void v_store_u8(uint8_t *p, v_real v, ptrdiff_t lanes) {
    FNN_WRITES(p, lanes);
    _mm_mask_storeu_epi8(p, v_first(lanes), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v)));
}
INLINE v_real v_load_i32(const int32_t *p, ptrdiff_t lanes) {
    FNN_READS(p, lanes);
    return _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(v_first(lanes), p));
}
INLINE void v_store_i32(int32_t *p, v_real v, ptrdiff_t lanes) {
    FNN_WRITES(p, lanes);
    _mm512_mask_storeu_epi32(p, v_first(lanes), _mm512_cvttps_epi32(v));
}
#else
INLINE v_index v_load_index(const int32_t *p) {
    return _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
INLINE v_real v_load_u8(const uint8_t *p, ptrdiff_t lanes) {
    FNN_READS(p, lanes);
    return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_maskz_loadu_epi8(v_first(lanes), p)));
}
INLINE void v_store_u8(uint8_t *p, v_real v, ptrdiff_t lanes) {
    FNN_WRITES(p, lanes);
    _mm_mask_storeu_epi8(p, v_first(lanes), _mm256_cvtepi32_epi8(_mm512_cvttpd_epi32(v)));
}
INLINE v_real v_load_i32(const int32_t *p, ptrdiff_t lanes) {
    FNN_READS(p, lanes);
    return _mm512_cvtepi32_pd(_mm256_maskz_loadu_epi32(v_first(lanes), p));
}
INLINE void v_store_i32(int32_t *p, v_real v, ptrdiff_t lanes) {
    FNN_WRITES(p, lanes);
    _mm256_mask_storeu_epi32(p, v_first(lanes), _mm512_cvttpd_epi32(v));
}
#endif
