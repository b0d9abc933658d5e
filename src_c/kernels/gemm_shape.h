/* The register tile of each ISA: as many rows as leave room, besides their sums, for one row of b and one broadcast:
 * rows * v + v + 1 <= 32 registers (AVX-512) or 16, with v vectors of columns. Wide tiles load less: a 6 x 4-vector tile
 * makes 24 multiply-adds from 10 loads, which two load ports deliver in half the time. AVX-512 multiplies by broadcasts
 * from memory, so that 7 rows fit too. */
#ifndef FNN_KERNELS_GEMM_SHAPE_H
#define FNN_KERNELS_GEMM_SHAPE_H

#if defined(FNN_ISA_AVX512)
#define GEMM_MAX_VECTORS 4
#else
#define GEMM_MAX_VECTORS 2
#endif

#endif
