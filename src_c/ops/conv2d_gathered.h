/* Convolution forward and backward to the input whose rows are gathered first. */
#ifndef FNN_OPS_CONV2D_GATHERED_H
#define FNN_OPS_CONV2D_GATHERED_H

#include "ops/op.h"

/* Whether it is faster than the products of rows as they lie (conv2d.c). */
int OP(conv2d_gathers)(const fnn_conv2d_shape *shape, int backward);

/* Channels that are summed before those after them, for all taps, whose weights stay in cache. */
ptrdiff_t OP(conv2d_slice)(const FNN_TYPED(fnn_kernels) * kernels, ptrdiff_t taps, ptrdiff_t columns);

ptrdiff_t OP(conv2d_gathered_workspace)(const fnn_conv2d_shape *shape, int backward, int n_threads);

/* y = norm(conv(x, weight) + bias), or backward dx + addend from dy; as conv2d_forward and conv2d_backward_data. */
void OP(conv2d_gathered)(const fnn_conv2d_shape *shape, int backward, const real *x, const real *weight,
                         const real *bias, const real *addend, const OP(norm) * norm, real *y, void *workspace,
                         int n_threads);

#endif
