/* The register tile of each ISA: as many rows as leave room, besides their sums, for one row of b and one broadcast:
 * rows * v + v + 1 <= V_REGISTERS, with v vectors of columns. Wide tiles load less: a 6 x 4-vector tile makes 24
 * multiply-adds from 10 loads, which two load ports deliver in half the time. */
#ifndef FNN_KERNELS_GEMM_SHAPE_H
#define FNN_KERNELS_GEMM_SHAPE_H

#include "kernels/vector.h"

#if V_REGISTERS >= 32
#define GEMM_MAX_VECTORS 4
#else
#define GEMM_MAX_VECTORS 2
#endif

/* Rows of most tiles, of so many vectors: of all that have as many sums. */
#define GEMM_ROWS 6
#define GEMM_TALL(vectors) (GEMM_ROWS * GEMM_MAX_VECTORS / (vectors))

/* The most rows of the widest tile. AVX-512 multiplies by broadcasts from memory, which need no register. */
#if defined(FNN_ISA_AVX512)
#define GEMM_TALLEST 7
#else
#define GEMM_TALLEST GEMM_ROWS
#endif

/* Whether part of a vector is moved without going through its lanes, and whether that costs as much as the whole. */
#if defined(FNN_ISA_AVX512)
#define GEMM_HAS_MASKS 1
#define GEMM_MASKS_ARE_FREE 1
#elif defined(FNN_ISA_AVX2)
#define GEMM_HAS_MASKS 1
#define GEMM_MASKS_ARE_FREE 0
#else
#define GEMM_HAS_MASKS 0
#define GEMM_MASKS_ARE_FREE 0
#endif

/* Whether a multiply-add takes a lane of a vector as its factor: one load then brings several. */
#if defined(FNN_ISA_NEON)
#define GEMM_BY_LANES 1
#else
#define GEMM_BY_LANES 0
#endif

#endif
