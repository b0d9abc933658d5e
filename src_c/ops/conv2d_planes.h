/* Convolution of images of few channels, forward and backward to the weights. */
#ifndef FNN_OPS_CONV2D_PLANES_H
#define FNN_OPS_CONV2D_PLANES_H

#include "ops/op.h"

/* Whether it is faster than the products of pixels: backward to the weights (conv2d_weight.c), and forward (conv2d.c). */
int OP(conv2d_sums_planes)(const fnn_conv2d_shape *shape);
int OP(conv2d_multiplies_planes)(const fnn_conv2d_shape *shape);

ptrdiff_t OP(conv2d_planes_workspace)(const fnn_conv2d_shape *shape, int n_threads);
ptrdiff_t OP(conv2d_planes_backward_weight_workspace)(const fnn_conv2d_shape *shape, int n_threads);

/* As conv2d_forward and conv2d_backward_weight. */
void OP(conv2d_planes)(const fnn_conv2d_shape *shape, const real *x, const real *weight, const real *bias,
                       const OP(norm) * norm, real *y, void *workspace, int n_threads);
void OP(conv2d_planes_backward_weight)(const fnn_conv2d_shape *shape, const real *x, const real *dy, real *dweight,
                                       real *dbias, void *workspace, int n_threads);

#endif
