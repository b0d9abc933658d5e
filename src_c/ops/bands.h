/* A gradient as sums of bands: each has sums of its own, which are added in ascending order, so that threads do not change
 * bits. How many there are depends on the shape alone. */
#ifndef FNN_OPS_BANDS_H
#define FNN_OPS_BANDS_H

#include "core/workspace.h"
#include "ops/op.h"

enum { BANDS_FEW_TASKS = 16 }; /* with fewer, there are bands whatever they cost */

typedef struct {
    ptrdiff_t count, weights, channels;
    real *sums;            /* [band][weights]; of one band dweight itself */
    real *bias_sums;       /* [band][channels] */
    real *dweight, *dbias; /* dbias may be NULL */
} band_sums;

/* How many bands there are to be, of `units` that can be parted, of a convolution of `tasks` tasks a band. */
ptrdiff_t OP(bands_wanted)(const fnn_conv2d_shape *shape, ptrdiff_t weights, ptrdiff_t tasks, ptrdiff_t units);

band_sums OP(bands_take)(ptrdiff_t count, ptrdiff_t weights, ptrdiff_t channels, workspace_cursor *workspace);

/* Where the results go, and zeros to the sums of the bias. */
void OP(bands_begin)(band_sums *bands, const fnn_conv2d_operands *operands);

static inline real *sums_of_band(const band_sums *bands, ptrdiff_t band) {
    return bands->count > 1 ? bands->sums + band * bands->weights : bands->dweight;
}

static inline real *bias_sums_of_band(const band_sums *bands, ptrdiff_t band) {
    return bands->bias_sums + band * bands->channels;
}

/* dbias from rows of sums, in ascending order; NULL: nothing. It runs as a task, and so flushes denormals as the rest does. */
void OP(sum_bias)(const FNN_TYPED(fnn_kernels) * kernels, ptrdiff_t rows, ptrdiff_t channels, const real *sums,
                  real *dbias, int n_threads);

/* dweight and dbias from the sums of all bands. */
void OP(bands_finish)(const band_sums *bands, const FNN_TYPED(fnn_kernels) * kernels, int n_threads);

#endif
