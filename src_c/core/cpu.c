#include "core/cpu.h"

#include "fnn.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#include <immintrin.h>

#define MXCSR_FLUSH_TO_ZERO 0x8000u
#define MXCSR_DENORMALS_ARE_ZERO 0x0040u

unsigned fnn_fp_mode_enter(int flush) {
    unsigned mode = _mm_getcsr();
    if (flush) {
        _mm_setcsr(mode | MXCSR_FLUSH_TO_ZERO | MXCSR_DENORMALS_ARE_ZERO);
    }
    return mode;
}

/* Only the two bits are restored: an exception flag raised in between stays visible. */
void fnn_fp_mode_leave(unsigned mode) {
    unsigned bits = MXCSR_FLUSH_TO_ZERO | MXCSR_DENORMALS_ARE_ZERO;
    _mm_setcsr((_mm_getcsr() & ~bits) | (mode & bits));
}

void fnn_store_fence(void) { _mm_sfence(); }

/* The register states that the operating system saves (XCR0). A CPU may have AVX-512 while its system does not. */
static unsigned long long saved_states(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) {
        return 0;
    }
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((unsigned long long)high << 32) | low;
}

int fnn_isa_is_supported(fnn_isa isa) {
    if (isa == FNN_BASELINE) {
        return 1;
    }
    unsigned a1, b1, c1, d1, a7, b7, c7, d7;
    if (!__get_cpuid(1, &a1, &b1, &c1, &d1) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7)) {
        return 0;
    }
    unsigned long long states = saved_states();
    int has_avx2 = (states & 0x6) == 0x6 && (c1 & bit_AVX) && (c1 & bit_FMA) && (b7 & bit_AVX2);
    if (isa == FNN_AVX2) {
        return has_avx2;
    }
    unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    return isa == FNN_AVX512 && has_avx2 && (states & 0xe6) == 0xe6 && (b7 & avx512) == avx512;
}

#else

unsigned fnn_fp_mode_enter(int flush) {
    (void)flush;
    return 0;
}
void fnn_fp_mode_leave(unsigned mode) { (void)mode; }
void fnn_store_fence(void) {}
int fnn_isa_is_supported(fnn_isa isa) { return isa == FNN_BASELINE; }

#endif
