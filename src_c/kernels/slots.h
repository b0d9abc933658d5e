/* Every kernel, once. This list makes the prototypes, the table's fields, the table of each ISA, and the list that the
 * tests walk. A slot that no source defines does not link.
 *
 *     FNN_SLOT(name, (parameters))
 *
 * Kernels run on one thread, cannot fail, and return nothing. `real` is float or double. Contracts (formula, layout,
 * aliasing, NaN) stand above the definition, in kernels/<stem>.c.
 */

/* gemm: the register kernel under conv2d and linear */
FNN_SLOT(batch_gemm, (const fnn_batch_gemm *problem))
FNN_SLOT(batch_gemm_transposed, (const fnn_batch_gemm *problem))
FNN_SLOT(transpose, (ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride))
FNN_SLOT(column_sums, (ptrdiff_t rows, ptrdiff_t columns, const real *x, real *sums))

/* depthwise: convolution of each channel with its own filter */
FNN_SLOT(depthwise, (const fnn_depthwise *problem))
FNN_SLOT(depthwise_backward_weight, (const fnn_depthwise *problem))

/* activation */
FNN_SLOT(relu_forward, (ptrdiff_t n, const real *x, real *y))
FNN_SLOT(relu_backward, (ptrdiff_t n, const real *dy, const real *y, real *dx))

/* softmax */

/* maxpool2d, avgpool2d */

/* batchnorm, layernorm, groupnorm */

/* dropout, local_response_norm */

/* cross_entropy */
FNN_SLOT(cross_entropy, (const fnn_cross_entropy *problem))

/* optimizer */
FNN_SLOT(sgd_step, (const fnn_sgd *sgd, ptrdiff_t n, real *w, const real *g, real *velocity))
FNN_SLOT(adam_step, (const fnn_adam *adam, ptrdiff_t n, real *w, const real *g, real *first, real *second, real *largest))
FNN_SLOT(rmsprop_step, (const fnn_rmsprop *rmsprop, ptrdiff_t n, real *w, const real *g, real *square, real *velocity, real *mean))
FNN_SLOT(adagrad_step, (const fnn_adagrad *adagrad, ptrdiff_t n, real *w, const real *g, real *sum))
FNN_SLOT(average_step, (double weight, ptrdiff_t n, real *average, const real *value))
FNN_SLOT(sum_of_squares, (ptrdiff_t n, const real *x, double *sum))

/* augment */
