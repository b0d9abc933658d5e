/* The gradient of a convolution's bias, which all algorithms share. */
#ifndef FNN_OPS_CONV2D_BIAS_H
#define FNN_OPS_CONV2D_BIAS_H

#include "ops/op.h"

/* Reals of scratch memory that it needs: sums of each output row. */
static inline ptrdiff_t conv2d_bias_sums(const fnn_conv2d_shape *shape) { return shape->h_out * shape->c_out; }

/* dbias[k] = sum over h, w, n of dy[h][w][n][k]. */
void OP(conv2d_bias_gradient)(const fnn_conv2d_shape *shape, const real *dy, real *sums, real *dbias, int n_threads);

#endif
