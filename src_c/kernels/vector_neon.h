/* Vectors of 128 bits; tails by single lanes, since Arm has no masked moves without SVE. */
#include <arm_neon.h>

#define V_REGISTERS 32
#ifdef FNN_DTYPE_F32
#define V_LANES 4
#define V_CALL(name) name##_f32
typedef float32x4_t v_real;
typedef uint32x4_t v_mask;
INLINE v_mask v_first_mask(ptrdiff_t lanes) { return vcltq_s32((int32x4_t){0, 1, 2, 3}, vdupq_n_s32((int32_t)lanes)); }
INLINE v_real v_load_part(const real *p, ptrdiff_t lanes) {
    if (lanes == V_LANES) {
        return vld1q_f32(p);
    }
    v_real v = vdupq_n_f32(0);
    if (lanes & 2) {
        v = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
        return lanes & 1 ? vld1q_lane_f32(p + 2, v, 2) : v;
    }
    return lanes & 1 ? vld1q_lane_f32(p, v, 0) : v;
}
INLINE void v_store_part(real *p, v_real v, ptrdiff_t lanes) {
    if (lanes == V_LANES) {
        vst1q_f32(p, v);
        return;
    }
    if (lanes & 2) {
        vst1_f32(p, vget_low_f32(v));
        p += 2;
        v = vextq_f32(v, v, 2);
    }
    if (lanes & 1) {
        vst1q_lane_f32(p, v, 0);
    }
}
#else
#define V_LANES 2
#define V_CALL(name) name##_f64
typedef float64x2_t v_real;
typedef uint64x2_t v_mask;
INLINE v_mask v_first_mask(ptrdiff_t lanes) { return vcltq_s64((int64x2_t){0, 1}, vdupq_n_s64(lanes)); }
INLINE v_real v_load_part(const real *p, ptrdiff_t lanes) {
    if (lanes == V_LANES) {
        return vld1q_f64(p);
    }
    return lanes == 1 ? vld1q_lane_f64(p, vdupq_n_f64(0), 0) : vdupq_n_f64(0);
}
INLINE void v_store_part(real *p, v_real v, ptrdiff_t lanes) {
    if (lanes == V_LANES) {
        vst1q_f64(p, v);
    } else if (lanes == 1) {
        vst1q_lane_f64(p, v, 0);
    }
}
#endif

INLINE v_real v_zero(void) { return V_CALL(vdupq_n)(0); }
INLINE v_real v_set(real value) { return V_CALL(vdupq_n)(value); }
INLINE v_real v_load(const real *p) { return V_CALL(vld1q)(p); }
INLINE void v_store(real *p, v_real v) { V_CALL(vst1q)(p, v); }
INLINE void v_stream(real *p, v_real v) { v_store(p, v); } /* the CPU sees by itself that lines are written whole */
INLINE v_real v_fma(v_real a, v_real b, v_real c) { return V_CALL(vfmaq)(c, a, b); }
INLINE v_real v_sqrt(v_real a) { return V_CALL(vsqrtq)(a); }

INLINE v_mask v_lt(v_real a, v_real b) { return V_CALL(vcltq)(a, b); }
INLINE v_mask v_le(v_real a, v_real b) { return V_CALL(vcleq)(a, b); }
INLINE v_mask v_eq(v_real a, v_real b) { return V_CALL(vceqq)(a, b); }
INLINE v_mask v_is_nan(v_real a) { return ~V_CALL(vceqq)(a, a); }
INLINE v_mask v_or(v_mask a, v_mask b) { return a | b; }
INLINE v_mask v_and(v_mask a, v_mask b) { return a & b; }
INLINE v_real v_select(v_mask mask, v_real yes, v_real no) { return V_CALL(vbslq)(mask, yes, no); }
/* Not by fmax and fmin, which return NaN if either operand is one. */
INLINE v_real v_max(v_real a, v_real b) { return v_select(v_lt(b, a), a, b); }
INLINE v_real v_min(v_real a, v_real b) { return v_select(v_lt(a, b), a, b); }

/* Lanes are moved byte by byte. */
typedef uint8x16_t v_index;
#ifdef FNN_DTYPE_F32
INLINE v_index v_load_index(const int32_t *p) {
    return vreinterpretq_u8_u32(vmlaq_n_u32(vdupq_n_u32(0x03020100), vreinterpretq_u32_s32(vld1q_s32(p)), 0x04040404));
}
INLINE v_real v_permute(v_real v, v_index index) {
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(v), index));
}
#else
INLINE v_index v_load_index(const int32_t *p) {
    const uint64_t bytes = 0x0706050403020100, each = 0x0808080808080808;
    return vreinterpretq_u8_u64((uint64x2_t){bytes + (uint64_t)p[0] * each, bytes + (uint64_t)p[1] * each});
}
INLINE v_real v_permute(v_real v, v_index index) {
    return vreinterpretq_f64_u8(vqtbl1q_u8(vreinterpretq_u8_f64(v), index));
}
#endif

/* Lanes as 32-bit integers, which fill a whole register of floats and half of one of doubles. */
#ifdef FNN_DTYPE_F32
typedef int32x4_t v_int;
INLINE v_int v_to_int(v_real v) { return vcvtq_s32_f32(v); }
INLINE v_real v_from_int(v_int v) { return vcvtq_f32_s32(v); }
INLINE v_int v_widen_u8(uint32_t bytes) {
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes)))));
}
INLINE uint32_t v_narrow_u8(v_int v) {
    uint16x4_t words = vmovn_u32(vreinterpretq_u32_s32(v));
    return vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(words, words))), 0);
}
#else
typedef int32x2_t v_int;
INLINE v_int v_to_int(v_real v) { return vmovn_s64(vcvtq_s64_f64(v)); }
INLINE v_real v_from_int(v_int v) { return vcvtq_f64_s64(vmovl_s32(v)); }
INLINE v_int v_widen_u8(uint32_t bytes) { return (v_int){(int32_t)(bytes & 255), (int32_t)(bytes >> 8 & 255)}; }
INLINE uint32_t v_narrow_u8(v_int v) { return ((uint32_t)v[0] & 255) | ((uint32_t)v[1] & 255) << 8; }
#endif
INLINE v_real v_load_u8(const uint8_t *p, ptrdiff_t lanes) {
    uint32_t bytes = 0;
    memcpy(&bytes, p, (size_t)lanes);
    return v_from_int(v_widen_u8(bytes));
}
INLINE void v_store_u8(uint8_t *p, v_real v, ptrdiff_t lanes) {
    uint32_t bytes = v_narrow_u8(v_to_int(v));
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
