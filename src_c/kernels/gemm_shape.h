/* The register tile of each ISA. With v vectors of columns the tile has GEMM_ROWS_v rows, so that accumulators, one row
 * of b and one broadcast fit into the register file: rows * v + v + 1 <= 32 (AVX-512) or 16. Wide tiles load less: a
 * 6 x 4-vector tile makes 24 multiply-adds from 10 loads, which two load ports deliver in half the time. */
#ifndef FNN_KERNELS_GEMM_SHAPE_H
#define FNN_KERNELS_GEMM_SHAPE_H

#if defined(FNN_ISA_AVX512)
#define GEMM_MAX_VECTORS 4
#else
#define GEMM_MAX_VECTORS 2
#endif

#endif
