/* The dispatch table: one struct of function pointers per dtype, filled per ISA from kernels/slots.h. */
#ifndef FNN_CORE_KERNELS_H
#define FNN_CORE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "core/real.h"
#include "core/taps.h"
#include "fnn.h"

/* A number in an array of the caller, which another thread may write into meanwhile: what is checked is what is used. */
static inline int64_t fnn_read_once(const int64_t *p) { return *(const volatile int64_t *)p; }

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

/* The most rows that the few_rows kernels take. */
#define FNN_FEW_ROWS 16

/* Products of groups of channels, of group_in inputs and group_out results each; r < rows, k < group_in. The group of result
 * c < channels is c / group_out, and g = c / group_out * group_in its first input:
 *
 *     forward:          y[r][c] = start[r * start_stride + c] + sum over b, k of x_b[r][g + k] * w_b[k][c]  (start NULL: 0)
 *     backward_weight:  dw_b[k][c] += sum over r of x_b[r][g + k] * dy[r][c]
 *
 * where x_b = x + x_offset[b], w_b = w + w_offset[b] and dw_b = dw + w_offset[b]; rows of x are x_stride apart, those of y and
 * dy y_stride; w_b[k] and dw_b[k] are w_stride apart. start may be y; nothing else overlaps.
 * depthwise: groups of one channel. grouped: the lanes of a vector (of the table) are a multiple of group_out, and
 * group_in <= group_out, FNN_GROUPED_MOST.
 */
typedef struct {
    ptrdiff_t rows, channels, x_stride, y_stride, w_stride, group_in, group_out, count;
    const real *x;
    const ptrdiff_t *x_offset;
    const real *w;
    const ptrdiff_t *w_offset;
    const real *start;
    ptrdiff_t start_stride;
    real *y;
    const real *dy;
    real *dw;
} fnn_grouped;

/* Softmax cross-entropy of some rows, and its gradient times `scale`. With t the target of a row, which sums to T:
 *
 *     t[c] = class_weight[c] * ((1 - label_smoothing) * q[c] + label_smoothing / classes)
 *     losses[r] = -sum over c of t[c] * log p[c],  p = softmax(x[r]);  classes with t[c] = 0 add nothing
 *     dx[r][c] = scale * (T * p[c] - t[c])
 *
 * where q = probabilities[r], or 1 at labels[r] and 0 elsewhere; one of the two is NULL. class_weight NULL: all 1.
 * Rows whose label is ignore_index have losses[r] = 0 and dx[r] = 0. All other labels are in [0, classes). Nothing overlaps.
 */
typedef struct {
    ptrdiff_t rows, classes;
    const real *x;
    const int64_t *labels;
    const real *probabilities;
    const real *class_weight;
    int64_t ignore_index;
    double label_smoothing, scale;
    double *losses;
    real *dx;
} fnn_cross_entropy;

/* Max pooling of n reals, element by element, over `count` sources.
 *
 *     forward:   out[i] = the largest x[offset[b] + i], taps[i] = its tap[b]; the first of equals, and the first NaN
 *     backward:  out[i] = sum over b of x[offset[b] + i] where taps[offset[b] + i] == tap[b]
 *
 * With `resume`, earlier sources are already in out (and taps), and these are added. taps are uint8_t or int32_t
 * (tap_bytes 1 or 4), or not wanted (0, forward only). `streams`: out, which begins a cache line, is written past the caches.
 */
typedef struct {
    ptrdiff_t n, count;
    int resume, streams;
    const real *x;
    const ptrdiff_t *offset;
    const int32_t *tap;
    int tap_bytes;
    void *taps;
    real *out;
} fnn_maxpool;

/* A sum of n reals, element by element, over `count` sources:
 *
 *     out[i] = (start[i] + sum over b of weight[b] * x[offset[b] + i]) / divisor
 *
 * start is out with `resume`, else 0. The sum over b is made first, so that many short sums add up precisely. `streams`:
 * as for max pooling.
 */
typedef struct {
    ptrdiff_t n, count;
    int resume, streams;
    const real *x;
    const ptrdiff_t *offset;
    const real *weight;
    real divisor;
    real *out;
} fnn_avgpool;

/* A pass over a matrix of rows x columns, rows `stride` apart, with parameters for each column. `then` is applied to what
 * column_affine computes, and its gradient g to what the others read as dy:
 *
 *     column_affine     out = then(z + residual),  z = (x - center) * scale + offset      residual NULL: 0
 *     column_products   sum = sum of g, product_sum = sum of g * (x - center), gradient = g unless it is NULL
 *     column_backward   out = g * dy_scale + (x - center) * x_unit * x_scale + x_offset
 *
 * g = dy without `then`; for relu, dy where y > 0, or where z > 0 if y is NULL, for relu6 also only where that is < 6; for
 * gelu and silu dy times the derivative at z, but column_backward does not know them, nor column_affine with a residual.
 * x_unit is a power of two: x_scale alone, of the size of 1 / x^2, may be no float. out and gradient may be x, dy or
 * residual. `streams`: out, whose rows begin cache lines, is written past the caches.
 */
typedef struct {
    ptrdiff_t rows, columns, stride;
    int streams;
    fnn_then then;
    const real *x, *dy, *y, *residual;
    const real *center, *scale, *offset;
    const real *dy_scale, *x_unit, *x_scale, *x_offset;
    real *out, *gradient, *sum, *product_sum;
} fnn_columns;

/* Local response normalisation of one row of c channels. `scratch` holds 3 * (c + size) reals. */
typedef struct {
    ptrdiff_t c, size;
    real alpha_over_size, beta, k;
    const real *x, *dy;
    real *out, *scratch;
} fnn_local_response_norm;

typedef struct {
    ptrdiff_t panel_columns, lanes;
#define FNN_SLOT(name, parameters) void(*name) parameters;
#include "kernels/slots.h"
#undef FNN_SLOT
} FNN_TYPED(fnn_kernels);

/* The table of an ISA. An op whose memory is cut by one must run by the same one, whoever selects another meanwhile: it
 * keeps the table, of the ISA in its shape. */
const FNN_TYPED(fnn_kernels) * FNN_TYPED(fnn_kernel_table)(fnn_isa isa);
#define KERNELS_OF(isa) (FNN_TYPED(fnn_kernel_table)(isa))

/* How the other ops call a kernel, by the selected ISA: KERNELS->relu_forward(n, x, y). */
#define KERNELS KERNELS_OF(fnn_isa_selected())

#endif
