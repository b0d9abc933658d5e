/* The dispatch table: one struct of function pointers per dtype, filled per ISA from kernels/slots.h. */
#ifndef FNN_CORE_KERNELS_H
#define FNN_CORE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "core/real.h"

/* A batch-reduced matrix product, the one inner problem of convolution and linear layers:
 *
 *     c[i][j] = start[i][j] + sum over b < count, k < depth of a_b[i][k] * b_b[k][j]      0 <= i < rows, 0 <= j < columns
 *
 * where a_b = a + a_offset[b] and b_b = b + b_offset[b]. All strides are in elements.
 * batch_gemm reads a[i * a_stride + k]; batch_gemm_transposed reads a[k * a_stride + i].
 * b[k][j] = b[k * b_stride + j]. columns <= the table's panel_columns.
 * start[i][j] = start[i * start_stride + j], or 0 if start is NULL; start may be c. Nothing else may overlap.
 */
typedef struct {
    ptrdiff_t rows, columns, depth, count;
    const real *a;
    const ptrdiff_t *a_offset;
    ptrdiff_t a_stride;
    const real *b;
    const ptrdiff_t *b_offset;
    ptrdiff_t b_stride;
    const real *start;
    ptrdiff_t start_stride;
    real *c;
    ptrdiff_t c_stride;
} fnn_batch_gemm;

/* A batch-reduced product channel by channel, for depthwise convolution; r < rows, c < channels:
 *
 *     forward:          out[r][c] = start[r * start_stride + c] + sum over b of x_b[r][c] * w_b[c]  (start NULL: 0)
 *     backward_weight:  out[c] += sum over b, r of x_b[r][c] * w_b[r][c]
 *
 * where x_b = x + x_offset[b] and w_b = w + w_offset[b]; rows are `channels` apart. start may be out; nothing else
 * overlaps.
 */
typedef struct {
    ptrdiff_t rows, channels, count;
    const real *x;
    const ptrdiff_t *x_offset;
    const real *w;
    const ptrdiff_t *w_offset;
    const real *start;
    ptrdiff_t start_stride;
    real *out;
} fnn_depthwise;

typedef struct {
    ptrdiff_t panel_columns;
#define FNN_SLOT(name, parameters) void(*name) parameters;
#include "kernels/slots.h"
#undef FNN_SLOT
} FNN_TYPED(fnn_kernels);

/* The table of the selected ISA. */
const FNN_TYPED(fnn_kernels) * FNN_TYPED(fnn_kernel_table)(void);

/* How ops call a kernel: KERNELS->relu_forward(n, x, y). */
#define KERNELS (FNN_TYPED(fnn_kernel_table)())

#endif
