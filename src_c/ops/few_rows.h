/* The product of at most FNN_FEW_ROWS rows with weights as they lie, y = x W + bias: what a linear layer does with a few
 * samples. Reading the weights takes the time, so that they are read once, from beginning to end; threads divide the
 * depth. Its parts have sums of their own, which are added in ascending order: how many depends on the shape alone.
 */
#ifndef FNN_OPS_FEW_ROWS_H
#define FNN_OPS_FEW_ROWS_H

#include "ops/op.h"

/* Elements of the workspace. */
ptrdiff_t OP(few_rows_sums)(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns);
/* Of dense matrices x (rows, depth), weight (depth, columns) and y (rows, columns); bias may be NULL. */
void OP(few_rows_product)(const FNN_TYPED(fnn_kernels) * kernels, ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                          const real *x, const real *weight, const real *bias, real *y, real *sums, int n_threads);

#endif
