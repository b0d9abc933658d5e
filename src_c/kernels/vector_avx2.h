/* Vectors of 256 bits; tails by masked moves. */
#include <immintrin.h>

#define V_REGISTERS 16
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
    FNN_READS(p, lanes);
    return lanes == V_LANES ? v_load(p) : V_CALL(maskload)(p, v_first(lanes));
}
INLINE void v_store_part(real *p, v_real v, ptrdiff_t lanes) {
    FNN_WRITES(p, lanes);
    if (lanes == V_LANES) {
        v_store(p, v);
    } else {
        V_CALL(maskstore)(p, v_first(lanes), v);
    }
}
INLINE void v_stream(real *p, v_real v) {
    FNN_WRITES(p, V_LANES);
    V_CALL(stream)(p, v);
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
INLINE v_mask v_and(v_mask a, v_mask b) { return V_CALL (and)(a, b); }
INLINE v_real v_select(v_mask mask, v_real yes, v_real no) { return V_CALL(blendv)(no, yes, mask); }

/* Lanes are moved as floats, doubles as two of them. */
typedef __m256i v_index;
#ifdef FNN_DTYPE_F32
INLINE v_index v_load_index(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
INLINE v_real v_permute(v_real v, v_index index) { return _mm256_permutevar8x32_ps(v, index); }
#else
INLINE v_index v_load_index(const int32_t *p) {
    return _mm256_setr_epi32(2 * p[0], 2 * p[0] + 1, 2 * p[1], 2 * p[1] + 1, 2 * p[2], 2 * p[2] + 1, 2 * p[3],
                             2 * p[3] + 1);
}
INLINE v_real v_permute(v_real v, v_index index) {
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(v), index));
}
#endif

/* Lanes as 32-bit integers, which fill a whole register of floats and half of one of doubles. */
#ifdef FNN_DTYPE_F32
typedef __m256i v_int;
INLINE v_int v_to_int(v_real v) { return _mm256_cvttps_epi32(v); }
INLINE v_real v_from_int(v_int v) { return _mm256_cvtepi32_ps(v); }
INLINE v_int v_widen_u8(__m128i v) { return _mm256_cvtepu8_epi32(v); }
INLINE __m128i v_narrow_u8(v_int v) {
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return _mm_packus_epi16(words, words);
}
#else
typedef __m128i v_int;
INLINE v_int v_to_int(v_real v) { return _mm256_cvttpd_epi32(v); }
INLINE v_real v_from_int(v_int v) { return _mm256_cvtepi32_pd(v); }
INLINE v_int v_widen_u8(__m128i v) { return _mm_cvtepu8_epi32(v); }
INLINE __m128i v_narrow_u8(v_int v) {
    __m128i words = _mm_packus_epi32(v, v);
    return _mm_packus_epi16(words, words);
}
#endif
INLINE v_real v_load_u8(const uint8_t *p, ptrdiff_t lanes) {
    uint64_t bytes = 0;
    memcpy(&bytes, p, (size_t)lanes);
    return v_from_int(v_widen_u8(_mm_cvtsi64_si128((long long)bytes)));
}
INLINE void v_store_u8(uint8_t *p, v_real v, ptrdiff_t lanes) {
    uint64_t bytes = (uint64_t)_mm_cvtsi128_si64(v_narrow_u8(v_to_int(v)));
    memcpy(p, &bytes, (size_t)lanes);
}
INLINE v_real v_load_i32(const int32_t *p, ptrdiff_t lanes) {
    v_int v = {0};
    memcpy(&v, p, (size_t)lanes * sizeof *p);
    return v_from_int(v);
}
INLINE void v_store_i32(int32_t *p, v_real v, ptrdiff_t lanes) {
    v_int integers = v_to_int(v);
    memcpy(p, &integers, (size_t)lanes * sizeof *p);
}
