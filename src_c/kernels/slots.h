/* Every kernel, once. This list makes the prototypes, the table's fields, the table of each ISA, and the list that the
 * tests walk. A slot that no source defines does not link.
 *
 *     FNN_SLOT(name, (parameters))
 *
 * Kernels run on one thread, cannot fail, and return nothing. `real` is float or double. Contracts (formula, layout,
 * aliasing, NaN) stand above the definition, in kernels/<stem>.c.
 */

/* machine: the peak that benchmarks compare with */
FNN_SLOT(fma_peak, (ptrdiff_t iterations, real *sum, double *flops))

/* gemm: the register kernel under conv2d and linear */
FNN_SLOT(batch_gemm, (const fnn_batch_gemm *problem))
FNN_SLOT(batch_gemm_transposed, (const fnn_batch_gemm *problem))
FNN_SLOT(column_sums, (ptrdiff_t rows, ptrdiff_t columns, const real *x, ptrdiff_t x_stride, real *sums))

/* few_rows: products of which reading b takes the time */
#define FEW_ROWS_SLOT(stem)                                                                                            \
    FNN_SLOT(stem, (ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a, ptrdiff_t a_stride,             \
                    const real *b, ptrdiff_t b_stride, real *c, ptrdiff_t c_stride))
FEW_ROWS_SLOT(few_rows_gemm)
FEW_ROWS_SLOT(few_rows_gemm_transposed)
#undef FEW_ROWS_SLOT
FNN_SLOT(few_rows_outer, (ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a, ptrdiff_t a_stride,
                          const real *b, ptrdiff_t b_stride, real *c, ptrdiff_t c_stride, int streams))

/* transpose */
FNN_SLOT(transpose,
         (ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride))

/* winograd, winograd24, winograd4: the transforms of F(2 x 2, 3 x 3), F(2 x 4, 3 x 3) and F(4 x 4, 3 x 3) */
#define WINOGRAD_SLOTS(stem)                                                                                           \
    FNN_SLOT(stem##_input, (ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride))                          \
    FNN_SLOT(stem##_output_gradient, (ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride))                \
    FNN_SLOT(stem##_output, (ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t stride, const real *bias,    \
                             const real *const *addend, real *const *out))                                             \
    FNN_SLOT(stem##_filter, (ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride, int middle))             \
    FNN_SLOT(stem##_filter_gradient,                                                                                   \
             (ptrdiff_t n, const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride, int middle))
WINOGRAD_SLOTS(winograd)
WINOGRAD_SLOTS(winograd24)
WINOGRAD_SLOTS(winograd4)
#undef WINOGRAD_SLOTS

/* depthwise: convolution of each channel with its own filter */
FNN_SLOT(depthwise, (const fnn_grouped *problem))
FNN_SLOT(depthwise_backward_weight, (const fnn_grouped *problem))

/* grouped: convolution of small groups of channels */
FNN_SLOT(grouped, (const fnn_grouped *problem))
FNN_SLOT(grouped_backward_weight, (const fnn_grouped *problem))

/* activation: the parameters of each stand in fnn.h; `kept` is x or y, as its definition says */
FNN_SLOT(relu_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(relu_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(leaky_relu_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(leaky_relu_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(elu_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(elu_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(gelu_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(gelu_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(gelu_tanh_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(gelu_tanh_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(silu_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(silu_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(sigmoid_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(sigmoid_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(tanh_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(tanh_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(softplus_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(softplus_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(hardtanh_forward, (ptrdiff_t n, const real *parameters, const real *x, real *y))
FNN_SLOT(hardtanh_backward, (ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx))
FNN_SLOT(prelu_forward, (ptrdiff_t rows, ptrdiff_t channels, const real *weight, const real *x, real *y))
FNN_SLOT(prelu_backward, (ptrdiff_t rows, ptrdiff_t channels, const real *weight, const real *dy, const real *x,
                          real *dx, real *dweight))
FNN_SLOT(prelu_backward_shared,
         (ptrdiff_t n, const real *weight, const real *dy, const real *x, real *dx, real *dweight))

/* add */
FNN_SLOT(add, (ptrdiff_t n, const real *a, const real *b, real *y))

/* arithmetic */
FNN_SLOT(arithmetic,
         (fnn_arithmetic kind, ptrdiff_t n, const real *a, int a_is_number, const real *b, int b_is_number, real *y))

/* softmax */
FNN_SLOT(softmax_forward, (ptrdiff_t rows, ptrdiff_t columns, const real *x, real *y))
FNN_SLOT(softmax_backward, (ptrdiff_t rows, ptrdiff_t columns, const real *dy, const real *y, real *dx))
FNN_SLOT(log_softmax_forward, (ptrdiff_t rows, ptrdiff_t columns, const real *x, real *y))
FNN_SLOT(log_softmax_backward, (ptrdiff_t rows, ptrdiff_t columns, const real *dy, const real *y, real *dx))

/* maxpool2d, avgpool2d */
FNN_SLOT(maxpool_forward, (const fnn_maxpool *problem))
FNN_SLOT(maxpool_backward, (const fnn_maxpool *problem))
FNN_SLOT(avgpool, (const fnn_avgpool *problem))

/* batchnorm (and groupnorm): passes over the columns of a matrix */
FNN_SLOT(column_moments,
         (ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride, const real *x, real *shift, real *sum, real *square_sum))
FNN_SLOT(column_affine, (const fnn_columns *problem))
FNN_SLOT(column_products, (const fnn_columns *problem))
FNN_SLOT(column_backward, (const fnn_columns *problem))

/* layernorm */
FNN_SLOT(layernorm_forward, (ptrdiff_t rows, ptrdiff_t features, const real *x, const real *weight, const real *bias,
                             double eps, real *y, double *mean, double *invstd))
FNN_SLOT(layernorm_backward, (ptrdiff_t rows, ptrdiff_t features, const real *dy, const real *x, const double *mean,
                              const double *invstd, const real *weight, real *dx, real *dweight, real *dbias))

/* dropout, local_response_norm */
FNN_SLOT(dropout, (ptrdiff_t first, ptrdiff_t n, uint64_t key, uint32_t threshold, real scale, const real *x, real *y))
FNN_SLOT(dropout_channels, (ptrdiff_t rows, ptrdiff_t columns, const real *factors, const real *x, real *y))
FNN_SLOT(local_response_norm_forward, (const fnn_local_response_norm *problem))
FNN_SLOT(local_response_norm_backward, (const fnn_local_response_norm *problem))

/* cross_entropy */
FNN_SLOT(cross_entropy, (const fnn_cross_entropy *problem))

/* optimizer */
FNN_SLOT(sgd_step, (const fnn_sgd *sgd, ptrdiff_t n, real *w, const real *g, real *velocity))
FNN_SLOT(adam_step,
         (const fnn_adam *adam, ptrdiff_t n, real *w, const real *g, real *first, real *second, real *largest))
FNN_SLOT(rmsprop_step,
         (const fnn_rmsprop *rmsprop, ptrdiff_t n, real *w, const real *g, real *square, real *velocity, real *mean))
FNN_SLOT(adagrad_step, (const fnn_adagrad *adagrad, ptrdiff_t n, real *w, const real *g, real *sum))
FNN_SLOT(average_step, (double weight, ptrdiff_t n, real *average, const real *value))
FNN_SLOT(sum_of_squares, (ptrdiff_t n, const real *x, double *sum))

/* augment */
