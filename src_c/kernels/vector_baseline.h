/* Plain C with the vector types of GCC and Clang, which they lower to whatever the CPU has. */
#define V_REGISTERS 16 /* at least */
typedef real v_real __attribute__((vector_size(16)));
#ifdef FNN_DTYPE_F32
#define V_LANES 4
typedef int32_t v_mask __attribute__((vector_size(16)));
INLINE v_real v_set(real value) { return (v_real){value, value, value, value}; }
INLINE v_mask v_first_mask(ptrdiff_t lanes) { return (v_mask){0, 1, 2, 3} < (int32_t)lanes; }
#else
#define V_LANES 2
typedef int64_t v_mask __attribute__((vector_size(16)));
INLINE v_real v_set(real value) { return (v_real){value, value}; }
INLINE v_mask v_first_mask(ptrdiff_t lanes) { return (v_mask){0, 1} < (int64_t)lanes; }
#endif

INLINE v_real v_zero(void) { return v_set(0); }
INLINE v_real v_load(const real *p) {
    v_real v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void v_store(real *p, v_real v) { memcpy(p, &v, sizeof v); }
/* The tail of a row; not inlined, since a kernel has dozens of places for it. */
static __attribute__((noinline, unused)) v_real v_load_tail(const real *p, ptrdiff_t lanes) {
    v_real v = v_zero();
    for (ptrdiff_t i = 0; i < lanes; i++) {
        v[i] = p[i];
    }
    return v;
}
static __attribute__((noinline, unused)) void v_store_tail(real *p, v_real v, ptrdiff_t lanes) {
    for (ptrdiff_t i = 0; i < lanes; i++) {
        p[i] = v[i];
    }
}
INLINE v_real v_load_part(const real *p, ptrdiff_t lanes) {
    return lanes == V_LANES ? v_load(p) : v_load_tail(p, lanes);
}
INLINE void v_store_part(real *p, v_real v, ptrdiff_t lanes) {
    if (lanes == V_LANES) {
        v_store(p, v);
    } else {
        v_store_tail(p, v, lanes);
    }
}
INLINE void v_stream(real *p, v_real v) { v_store(p, v); } /* C knows no other store */
INLINE v_real v_fma(v_real a, v_real b, v_real c) { return a * b + c; }

INLINE v_mask v_lt(v_real a, v_real b) { return a < b; }
INLINE v_mask v_le(v_real a, v_real b) { return a <= b; }
INLINE v_mask v_eq(v_real a, v_real b) { return a == b; }
INLINE v_mask v_is_nan(v_real a) { return a != a; }
INLINE v_mask v_or(v_mask a, v_mask b) { return a | b; }
INLINE v_mask v_and(v_mask a, v_mask b) { return a & b; }
INLINE v_real v_select(v_mask mask, v_real yes, v_real no) {
    return (v_real)(((v_mask)yes & mask) | ((v_mask)no & ~mask));
}
INLINE v_real v_max(v_real a, v_real b) { return v_select(b < a, a, b); }
INLINE v_real v_min(v_real a, v_real b) { return v_select(a < b, a, b); }
INLINE v_real v_sqrt(v_real a) {
    for (int i = 0; i < V_LANES; i++) {
        a[i] = (real)sqrt((double)a[i]);
    }
    return a;
}

INLINE v_real v_load_u8(const uint8_t *p, ptrdiff_t lanes) {
    v_real v = v_zero();
    for (ptrdiff_t i = 0; i < lanes; i++) {
        v[i] = p[i];
    }
    return v;
}
INLINE void v_store_u8(uint8_t *p, v_real v, ptrdiff_t lanes) {
    for (ptrdiff_t i = 0; i < lanes; i++) {
        p[i] = (uint8_t)v[i];
    }
}
INLINE v_real v_load_i32(const int32_t *p, ptrdiff_t lanes) {
    v_real v = v_zero();
    for (ptrdiff_t i = 0; i < lanes; i++) {
        v[i] = (real)p[i];
    }
    return v;
}
INLINE void v_store_i32(int32_t *p, v_real v, ptrdiff_t lanes) {
    for (ptrdiff_t i = 0; i < lanes; i++) {
        p[i] = (int32_t)v[i];
    }
}

typedef struct {
    int32_t lane[V_LANES];
} v_index;
INLINE v_index v_load_index(const int32_t *p) {
    v_index index;
    memcpy(&index, p, sizeof index);
    return index;
}
INLINE v_real v_permute(v_real v, v_index index) {
    v_real permuted;
    for (int i = 0; i < V_LANES; i++) {
        permuted[i] = v[index.lane[i]];
    }
    return permuted;
}
