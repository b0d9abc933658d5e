/* The selected instruction set, shared by the two tables. */
#ifndef FNN_CORE_ISA_H
#define FNN_CORE_ISA_H

#include "fnn.h"

/* X(NAME, name): the ISAs that this build contains, those of one architecture, least capable first. */
#define FNN_EACH_ISA_ALWAYS(X) X(BASELINE, baseline)
#ifdef FNN_HAVE_AVX2
#define FNN_EACH_ISA_AVX2(X) X(AVX2, avx2)
#else
#define FNN_EACH_ISA_AVX2(X)
#endif
#ifdef FNN_HAVE_AVX512
#define FNN_EACH_ISA_AVX512(X) X(AVX512, avx512)
#else
#define FNN_EACH_ISA_AVX512(X)
#endif
#ifdef FNN_HAVE_NEON
#define FNN_EACH_ISA_NEON(X) X(NEON, neon)
#else
#define FNN_EACH_ISA_NEON(X)
#endif
#define FNN_EACH_ISA(X) FNN_EACH_ISA_ALWAYS(X) FNN_EACH_ISA_AVX2(X) FNN_EACH_ISA_AVX512(X) FNN_EACH_ISA_NEON(X)

#endif
