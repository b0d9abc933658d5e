#include "core/cpu.h"

#include <stdatomic.h>

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

static fnn_isa find_most_capable(void) {
    unsigned a1, b1, c1, d1, a7, b7, c7, d7;
    if (!__get_cpuid(1, &a1, &b1, &c1, &d1) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7)) {
        return FNN_BASELINE;
    }
    unsigned long long states = saved_states();
    if ((states & 0x6) != 0x6 || !(c1 & bit_AVX) || !(c1 & bit_FMA) || !(b7 & bit_AVX2)) {
        return FNN_BASELINE;
    }
    unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    return (states & 0xe6) == 0xe6 && (b7 & avx512) == avx512 ? FNN_AVX512 : FNN_AVX2;
}

/* Asked once: in a virtual machine, each cpuid is a call of its host, and takes longer than a small operation. */
static fnn_isa most_capable(void) {
    enum { NOT_KNOWN = -1 };
    static atomic_int known = NOT_KNOWN;
    int isa = atomic_load_explicit(&known, memory_order_relaxed);
    if (isa == NOT_KNOWN) {
        isa = (int)find_most_capable();
        atomic_store_explicit(&known, isa, memory_order_relaxed);
    }
    return (fnn_isa)isa;
}

int fnn_isa_is_supported(fnn_isa isa) { return isa == FNN_BASELINE || (int)isa <= (int)most_capable(); }

#else

unsigned fnn_fp_mode_enter(int flush) {
    (void)flush;
    return 0;
}
void fnn_fp_mode_leave(unsigned mode) { (void)mode; }
void fnn_store_fence(void) {}
int fnn_isa_is_supported(fnn_isa isa) { return isa == FNN_BASELINE; }

#endif
