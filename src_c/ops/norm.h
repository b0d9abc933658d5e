/* Batch norm with given statistics as a pass over columns (core/kernels.h), and that pass over a part of a convolution's
 * result, as soon as it is stored and while it is in cache. To the same bits as in a pass of its own. */
#ifndef FNN_OPS_NORM_H
#define FNN_OPS_NORM_H

#include <math.h>

#include "core/workspace.h"
#include "ops/op.h"

/* The parameters of z = (x - mean) * invstd * weight + bias for one column. The mean, rounded, is subtracted from x; the
 * little that it was rounded by goes into the offset. */
static inline void norm_column(double mean, double invstd, double weight, double bias, real *center, real *scale,
                               real *offset) {
    *center = (real)mean;
    *scale = (real)(invstd * weight);
    *offset = (real)(bias - (mean - (double)*center) * (invstd * weight));
}

typedef struct {
    const fnn_norm *norm; /* NULL: nothing is to be done */
    const FNN_TYPED(fnn_kernels) * kernels;
    real *center, *scale, *offset; /* of each channel */
} norm_pass;

static inline void norm_prepare(norm_pass *pass, const fnn_norm *norm, const FNN_TYPED(fnn_kernels) * kernels,
                                ptrdiff_t channels, workspace_cursor *workspace) {
    pass->norm = norm;
    pass->kernels = kernels;
    pass->center = workspace_take(workspace, channels, sizeof(real));
    pass->scale = workspace_take(workspace, channels, sizeof(real));
    pass->offset = workspace_take(workspace, channels, sizeof(real));
    if (norm == NULL) {
        return;
    }
    const real *mean = norm->mean, *variance = norm->variance, *weights = norm->weight, *biases = norm->bias;
    for (ptrdiff_t c = 0; c < channels; c++) {
        double weight = weights == NULL ? 1 : (double)weights[c], bias = biases == NULL ? 0 : (double)biases[c];
        norm_column((double)mean[c], 1 / sqrt((double)variance[c] + norm->eps), weight, bias, pass->center + c,
                    pass->scale + c, pass->offset + c);
    }
}

/* The pass over rows that are `stride` apart in y, from y[at] on, which belongs to channel `column`. */
static inline void norm_apply(const norm_pass *pass, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride, real *y,
                              ptrdiff_t at, ptrdiff_t column) {
    if (pass->norm == NULL) {
        return;
    }
    fnn_columns problem = {
        .rows = rows,
        .columns = columns,
        .stride = stride,
        .then = pass->norm->then,
        .x = y + at,
        .residual = pass->norm->residual == NULL ? NULL : (const real *)pass->norm->residual + at,
        .center = pass->center + column,
        .scale = pass->scale + column,
        .offset = pass->offset + column,
        .out = y + at,
    };
    pass->kernels->column_affine(&problem);
}

#endif
