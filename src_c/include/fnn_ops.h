/* Every op, declared for FNN_REAL. Included by fnn.h once per dtype; hence no include guard. */

/* ---- machine: the peak that benchmarks compare with ------------------------------------------------------ */
/* n_tasks times the same loop of multiply-adds; flops and sums hold one value for each. */
fnn_status FNN_OP(fma_peak)(ptrdiff_t iterations, ptrdiff_t n_tasks, FNN_REAL *sums, double *flops, int n_threads);

/* ---- layout: between NCHW and the pixel-major HWNC ---------------------------------------------------- */
/* out[j][i] = in[i][j] for a dense (rows, columns) matrix of items of `width` reals each. */
fnn_status FNN_OP(layout_transpose)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width, const FNN_REAL *in,
                                    FNN_REAL *out, int n_threads);

/* ---- conv2d ------------------------------------------------------------------------------------------- */
/* Chooses the algorithm if the shape's is FNN_AUTO, the way, and the size of the workspace. */
void FNN_OP(conv2d_plan)(const fnn_conv2d_shape *shape, fnn_conv2d_direction direction, int n_threads,
                         fnn_conv2d_plan *plan);
void FNN_OP(conv2d_run)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace);

/* ---- im2col ------------------------------------------------------------------------------------------- */
/* Copy every patch of images x[n][c][h][w] into columns[n][c][kernel_h][kernel_w][h_out][w_out], zeros for padding;
 * c_out and groups of the shape are not read. col2im adds patches up and writes x in full. */
fnn_status FNN_OP(im2col)(const fnn_conv2d_shape *shape, const FNN_REAL *x, FNN_REAL *columns, int n_threads);
fnn_status FNN_OP(col2im)(const fnn_conv2d_shape *shape, const FNN_REAL *columns, FNN_REAL *x, int n_threads);

/* ---- activation: pointwise over n dense reals ---------------------------------------------------------- */
fnn_status FNN_OP(activation_forward)(fnn_activation kind, const double *parameters, ptrdiff_t n, const FNN_REAL *x,
                                      FNN_REAL *y, int n_threads);
/* `kept` is the x or the y of the forward call, as fnn_activation says. */
fnn_status FNN_OP(activation_backward)(fnn_activation kind, const double *parameters, ptrdiff_t n, const FNN_REAL *dy,
                                       const FNN_REAL *kept, FNN_REAL *dx, int n_threads);

/* ---- prelu: over (rows, channels); `weights` is 1 (shared by all channels) or channels ------------------- */
fnn_status FNN_OP(prelu_forward)(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t weights, const FNN_REAL *x,
                                 const FNN_REAL *weight, FNN_REAL *y, int n_threads);
/* Reals that the workspace must hold. */
ptrdiff_t FNN_OP(prelu_backward_workspace)(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t weights);
fnn_status FNN_OP(prelu_backward)(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t weights, const FNN_REAL *dy,
                                  const FNN_REAL *x, const FNN_REAL *weight, FNN_REAL *dx, FNN_REAL *dweight,
                                  FNN_REAL *workspace, int n_threads);

/* ---- add: y = a + b over n dense reals ------------------------------------------------------------------- */
fnn_status FNN_OP(add)(ptrdiff_t n, const FNN_REAL *a, const FNN_REAL *b, FNN_REAL *y, int n_threads);

/* ---- arithmetic: y = a kind b over n dense reals -------------------------------------------------------------- */
/* a or b may be small, `middle` reals: each is taken `inner` times, and all of them again and again. inner is 1 if none is. */
fnn_status FNN_OP(arithmetic)(fnn_arithmetic kind, ptrdiff_t n, ptrdiff_t middle, ptrdiff_t inner, const FNN_REAL *a,
                              int a_is_small, const FNN_REAL *b, int b_is_small, FNN_REAL *y, int n_threads);

/* ---- sum_rows: y[j] = sum over i of x[i][j], of a dense (rows, columns) matrix, by double from 32 rows on ----------- */
ptrdiff_t FNN_OP(sum_rows_workspace)(ptrdiff_t rows, ptrdiff_t columns); /* bytes */
void FNN_OP(sum_rows)(ptrdiff_t rows, ptrdiff_t columns, const FNN_REAL *x, FNN_REAL *y, void *workspace,
                      int n_threads);

/* ---- join_rows: `count` dense matrices of `rows` rows, of these lengths, side by side in `whole`; or with `cuts` they
 * are written from it ------------------------------------------------------------------------------------------------ */
void FNN_OP(join_rows)(int cuts, ptrdiff_t rows, ptrdiff_t count, const ptrdiff_t *lengths, FNN_REAL *const *parts,
                       FNN_REAL *whole, int n_threads);

/* ---- matmul: y = a kind b, of matrices (rows, depth) and (depth, columns), or the other way round where one is
 * transposed; one after the other in memory. `transposed` has room for all b, if kind is FNN_TIMES_TRANSPOSED ---- */
fnn_status FNN_OP(matmul)(fnn_matmul kind, ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                          const FNN_REAL *a, const FNN_REAL *b, FNN_REAL *transposed, FNN_REAL *y, int n_threads);

/* ---- attention: y = softmax(scale * q @ k.T) @ v, by rows, of many matrices ------------------------------------ */
ptrdiff_t FNN_OP(attention_workspace)(const fnn_attention_shape *shape, int backward, int n_threads); /* bytes */
void FNN_OP(attention_forward)(const fnn_attention_shape *shape, const fnn_attention_operands *operands,
                               void *workspace, int n_threads);
void FNN_OP(attention_backward)(const fnn_attention_shape *shape, const fnn_attention_operands *operands,
                                void *workspace, int n_threads);

/* ---- softmax: along each row of a dense (rows, columns) matrix; `log` selects log_softmax ----------------- */
fnn_status FNN_OP(softmax_forward)(int log, ptrdiff_t rows, ptrdiff_t columns, const FNN_REAL *x, FNN_REAL *y,
                                   int n_threads);
fnn_status FNN_OP(softmax_backward)(int log, ptrdiff_t rows, ptrdiff_t columns, const FNN_REAL *dy, const FNN_REAL *y,
                                    FNN_REAL *dx, int n_threads);

/* ---- maxpool2d, avgpool2d, adaptive_pool2d -------------------------------------------------------------- */
/* y = the maximum of every window; taps, unless NULL, which tap it was, as uint8_t or int32_t (tap_bytes 1 or 4). */
fnn_status FNN_OP(maxpool2d_forward)(const fnn_pool_shape *shape, const FNN_REAL *x, FNN_REAL *y, void *taps,
                                     int tap_bytes, int n_threads);
/* dx, written in full, from the taps that forward stored. */
fnn_status FNN_OP(maxpool2d_backward)(const fnn_pool_shape *shape, const FNN_REAL *dy, const void *taps, int tap_bytes,
                                      FNN_REAL *dx, int n_threads);
/* y = the sum of every window / (divisor_h * divisor_w) */
fnn_status FNN_OP(avgpool2d_forward)(const fnn_pool_shape *shape, const FNN_REAL *x, FNN_REAL *y, int n_threads);
fnn_status FNN_OP(avgpool2d_backward)(const fnn_pool_shape *shape, const FNN_REAL *dy, FNN_REAL *dx, int n_threads);

/* ---- batchnorm ------------------------------------------------------------------------------------------ */
/* Statistics are double: a float32 mean would already lose what a large mean leaves of the deviations. */
ptrdiff_t FNN_OP(batchnorm_workspace)(ptrdiff_t rows, ptrdiff_t channels); /* bytes, of each of these three */
fnn_status FNN_OP(batchnorm_forward)(const fnn_batchnorm *b, void *workspace, int n_threads);
/* The same with mean and invstd = 1 / sqrt(biased variance + eps) of x. The running statistics become (1 - momentum) *
 * running + momentum * (mean or unbiased variance); rows must be at least two. */
fnn_status FNN_OP(batchnorm_training)(const fnn_batchnorm *b, void *workspace, int n_threads);
/* `training`: mean and invstd are those of x, not constants. y is that of the forward pass, needed with relu or relu6 and
 * a residual, whose gradient, dresidual, goes with y only. */
fnn_status FNN_OP(batchnorm_backward)(const fnn_batchnorm *b, void *workspace, int n_threads);

/* ---- layernorm, groupnorm ------------------------------------------------------------------------------- */
/* Every row of x[rows][features] by itself: mean and invstd = 1 / sqrt(variance + eps) are outputs of the forward pass and
 * inputs of the backward pass. weight and bias may be NULL (ones and zeros). */
fnn_status FNN_OP(layernorm_forward)(ptrdiff_t rows, ptrdiff_t features, const FNN_REAL *x, const FNN_REAL *weight,
                                     const FNN_REAL *bias, double eps, FNN_REAL *y, double *mean, double *invstd,
                                     int n_threads);
ptrdiff_t FNN_OP(layernorm_backward_workspace)(ptrdiff_t rows, ptrdiff_t features, int need_dweight);
/* dx may be NULL, and dweight together with dbias. */
fnn_status FNN_OP(layernorm_backward)(ptrdiff_t rows, ptrdiff_t features, const FNN_REAL *dy, const FNN_REAL *x,
                                      const double *mean, const double *invstd, const FNN_REAL *weight, FNN_REAL *dx,
                                      FNN_REAL *dweight, FNN_REAL *dbias, void *workspace, int n_threads);
/* x[pixels][n][channels]; mean and invstd are [n][groups], weight and bias [channels] or NULL. */
ptrdiff_t FNN_OP(groupnorm_workspace)(const fnn_groupnorm_shape *shape); /* of both directions */
fnn_status FNN_OP(groupnorm_forward)(const fnn_groupnorm_shape *shape, const FNN_REAL *x, const FNN_REAL *weight,
                                     const FNN_REAL *bias, double eps, FNN_REAL *y, double *mean, double *invstd,
                                     void *workspace, int n_threads);
/* dx may be NULL. */
fnn_status FNN_OP(groupnorm_backward)(const fnn_groupnorm_shape *shape, const FNN_REAL *dy, const FNN_REAL *x,
                                      const double *mean, const double *invstd, const FNN_REAL *weight, FNN_REAL *dx,
                                      FNN_REAL *dweight, FNN_REAL *dbias, void *workspace, int n_threads);

/* ---- local_response_norm -------------------------------------------------------------------------------- */
/* Rows of c channels; scale = k + alpha / size * (sum of x^2 over the window), y = x / scale^beta. */
ptrdiff_t FNN_OP(local_response_norm_workspace)(ptrdiff_t c, ptrdiff_t size, int n_threads);
fnn_status FNN_OP(local_response_norm_forward)(ptrdiff_t rows, ptrdiff_t c, ptrdiff_t size, double alpha, double beta,
                                               double k, const FNN_REAL *x, FNN_REAL *y, void *workspace,
                                               int n_threads);
fnn_status FNN_OP(local_response_norm_backward)(ptrdiff_t rows, ptrdiff_t c, ptrdiff_t size, double alpha, double beta,
                                                double k, const FNN_REAL *dy, const FNN_REAL *x, FNN_REAL *dx,
                                                void *workspace, int n_threads);

/* ---- dropout -------------------------------------------------------------------------------------------- */
/* y[i] = 0 where random word i of `key` is below `threshold`, else x[i] * scale. It is its own backward. */
fnn_status FNN_OP(dropout)(ptrdiff_t n, uint64_t key, uint32_t threshold, double scale, const FNN_REAL *x, FNN_REAL *y,
                           int n_threads);
/* y[r][c] = 0 where factors[c] is 0, else x[r][c] * factors[c]. It is its own backward. */
fnn_status FNN_OP(dropout_channels)(ptrdiff_t rows, ptrdiff_t columns, const FNN_REAL *x, const FNN_REAL *factors,
                                    FNN_REAL *y, int n_threads);

/* ---- cross_entropy -------------------------------------------------------------------------------------- */
/* Loss and gradient in one pass over x[rows][classes]. One of labels[rows] and probabilities[rows][classes] is NULL;
 * class_weight[classes] may be. losses[rows] are the losses of the rows, before the division of a mean; loss is their
 * sum or mean; dx its gradient, in full. FNN_BAD_LABEL: nothing was written. */
fnn_status FNN_OP(cross_entropy)(const fnn_cross_entropy_shape *shape, const FNN_REAL *x, const int64_t *labels,
                                 const FNN_REAL *probabilities, const FNN_REAL *class_weight, double *losses,
                                 double *loss, FNN_REAL *dx, int n_threads);

/* ---- optimizer: one pass over each of several parameters -------------------------------------------------- */
/* No array overlaps another; only gradients may be the same. */
fnn_status FNN_OP(optimizer_step)(ptrdiff_t n_steps, fnn_parameter_step *steps, int n_threads);
/* The sum of x[i]^2 in double; `partial` holds fnn_sum_of_squares_partials(n) of them. */
ptrdiff_t FNN_OP(sum_of_squares_partials)(ptrdiff_t n);
fnn_status FNN_OP(sum_of_squares)(ptrdiff_t n, const FNN_REAL *x, double *sum, double *partial, int n_threads);

/* ---- augment: from uint8 images to a batch ---------------------------------------------------------------- */
/* out[h][w][n][c] from images[n_images][c][h][w]: image indices[k], seen through a window moved by shifts[k] = (down,
 * right) over its zero-padded or reflected surroundings, then mirrored where flips[k], then the box boxes[k] = (top, left,
 * bottom, right) set to fill[c]. table[c][256] gives the value of each byte. |shift| must be less than the image. */
fnn_status FNN_OP(augment_batch)(const fnn_augment_shape *shape, const uint8_t *images, const int64_t *indices,
                                 const int64_t *shifts, const uint8_t *flips, const int64_t *boxes,
                                 const FNN_REAL *table, const FNN_REAL *fill, FNN_REAL *out, int n_threads);
/* out[i][j][k][c] = bilinear sample of x[h][w][n][c] at (y, x) = maps[k] (2 by 3) times (i, j, 1); `fill` outside. */
fnn_status FNN_OP(warp_batch)(ptrdiff_t n, ptrdiff_t c, ptrdiff_t h, ptrdiff_t w, const FNN_REAL *x,
                              const FNN_REAL *maps, FNN_REAL fill, FNN_REAL *out, int n_threads);
