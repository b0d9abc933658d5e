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

static unsigned find_supported(void) {
    const unsigned baseline = 1u << FNN_BASELINE, avx2 = 1u << FNN_AVX2, avx512 = 1u << FNN_AVX512;
    unsigned a1, b1, c1, d1, a7, b7, c7, d7;
    if (!__get_cpuid(1, &a1, &b1, &c1, &d1) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7)) {
        return baseline;
    }
    unsigned long long states = saved_states();
    if ((states & 0x6) != 0x6 || !(c1 & bit_AVX) || !(c1 & bit_FMA) || !(b7 & bit_AVX2)) {
        return baseline;
    }
    unsigned parts = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    return (states & 0xe6) == 0xe6 && (b7 & parts) == parts ? baseline | avx2 | avx512 : baseline | avx2;
}

#elif defined(__aarch64__)

#define FPCR_FLUSH_TO_ZERO (1ull << 24)

static unsigned long long read_fpcr(void) {
    unsigned long long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

/* Not if it is so already: on some CPUs a write waits for all that runs. */
static void set_flush_to_zero(int flush) {
    unsigned long long before = read_fpcr();
    unsigned long long mode = flush ? before | FPCR_FLUSH_TO_ZERO : before & ~FPCR_FLUSH_TO_ZERO;
    if (mode != before) {
        __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
    }
}

unsigned fnn_fp_mode_enter(int flush) {
    unsigned flushes = (read_fpcr() & FPCR_FLUSH_TO_ZERO) != 0;
    if (flush) {
        set_flush_to_zero(1);
    }
    return flushes;
}
void fnn_fp_mode_leave(unsigned mode) { set_flush_to_zero(mode != 0); }

void fnn_store_fence(void) {} /* no store of a kernel passes the caches (vector_neon.h) */

/* Every 64-bit Arm CPU that runs a general operating system has NEON. */
static unsigned find_supported(void) { return 1u << FNN_BASELINE | 1u << FNN_NEON; }

#else

unsigned fnn_fp_mode_enter(int flush) {
    (void)flush;
    return 0;
}
void fnn_fp_mode_leave(unsigned mode) { (void)mode; }
void fnn_store_fence(void) {}
static unsigned find_supported(void) { return 1u << FNN_BASELINE; }

#endif

/* Asked once: in a virtual machine, each cpuid is a call of its host, and takes longer than a small operation. */
int fnn_isa_is_supported(fnn_isa isa) {
    static atomic_uint known; /* a bit for each ISA; baseline's is always set */
    unsigned supported = atomic_load_explicit(&known, memory_order_relaxed);
    if (supported == 0) {
        supported = find_supported();
        atomic_store_explicit(&known, supported, memory_order_relaxed);
    }
    return supported >> isa & 1;
}
