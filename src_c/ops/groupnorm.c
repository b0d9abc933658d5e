/* Group normalisation of x[pixels][n][channels]: statistics over the pixels and the channels of a group,
 * image by image.
 *
 * As a matrix of `pixels` rows and n * channels columns it is batch norm of every column, but for the
 * statistics: those of a group of neighbouring columns are merged.
 */
#include <math.h>

#include "ops/columns.h"

static void prepare(column_passes *p, const fnn_groupnorm_shape *s, workspace_cursor *workspace) {
    OP(columns_prepare)(p, s->pixels, s->n * s->channels, 0, workspace);
}

ptrdiff_t OP(groupnorm_workspace)(const fnn_groupnorm_shape *shape) {
    column_passes p;
    workspace_cursor workspace = {NULL, 0};
    prepare(&p, shape, &workspace);
    return workspace.used;
}

fnn_status OP(groupnorm_forward)(const fnn_groupnorm_shape *shape, const real *x, const real *weight, const real *bias,
                                 double eps, real *y, double *mean, double *invstd, void *workspace, int n_threads) {
    column_passes p;
    prepare(&p, shape, &(workspace_cursor){workspace, 0});
    OP(columns_moments)(&p, x, n_threads);
    ptrdiff_t size = shape->channels / shape->groups;
    for (ptrdiff_t g = 0; g < shape->n * shape->groups; g++) {
        column_statistics s = OP(columns_merge)(&p, g * size, 1, size);
        mean[g] = s.mean;
        invstd[g] = 1 / sqrt(s.m2 / s.n + eps);
        for (ptrdiff_t j = g * size; j < (g + 1) * size; j++) {
            ptrdiff_t c = j % shape->channels;
            double scale = invstd[g] * (weight == NULL ? 1 : (double)weight[c]);
            p.center[j] = (real)mean[g];
            p.scale[j] = (real)scale;
            p.offset[j] = (real)((bias == NULL ? 0 : (double)bias[c]) - (mean[g] - (double)p.center[j]) * scale);
        }
    }
    OP(columns_affine)(&p, x, y, n_threads);
    return FNN_OK;
}

fnn_status OP(groupnorm_backward)(const fnn_groupnorm_shape *shape, const real *dy, const real *x, const double *mean,
                                  const double *invstd, const real *weight, real *dx, real *dweight, real *dbias,
                                  void *workspace, int n_threads) {
    column_passes p;
    prepare(&p, shape, &(workspace_cursor){workspace, 0});
    ptrdiff_t channels = shape->channels, size = channels / shape->groups;
    for (ptrdiff_t j = 0; j < p.width; j++) {
        p.center[j] = (real)mean[j / size];
    }
    OP(columns_products)(&p, dy, x, n_threads);
    for (ptrdiff_t j = 0; j < p.width; j++) { /* from the center to the normalised x */
        p.product[j] = (p.product[j] - (mean[j / size] - (double)p.center[j]) * p.sum[j]) * invstd[j / size];
    }
    for (ptrdiff_t c = 0; c < channels; c++) {
        double sum = 0, product = 0;
        for (ptrdiff_t j = c; j < p.width; j += channels) {
            sum += p.sum[j];
            product += p.product[j];
        }
        dweight[c] = (real)product;
        dbias[c] = (real)sum;
    }
    if (dx == NULL) {
        return FNN_OK;
    }
    for (ptrdiff_t g = 0; g < shape->n * shape->groups; g++) {
        double sum = 0, product = 0, values = (double)size * shape->pixels;
        for (ptrdiff_t j = g * size; j < (g + 1) * size; j++) {
            double scale = weight == NULL ? 1 : (double)weight[j % channels];
            sum += scale * p.sum[j];
            product += scale * p.product[j];
        }
        double x_scale = -invstd[g] * invstd[g] * product / values;
        real unit = OP(columns_unit)(invstd[g]);
        for (ptrdiff_t j = g * size; j < (g + 1) * size; j++) {
            double scale = weight == NULL ? 1 : (double)weight[j % channels];
            p.dy_scale[j] = (real)(invstd[g] * scale);
            p.x_unit[j] = unit;
            p.x_scale[j] = (real)(x_scale / (double)unit);
            p.x_offset[j] = (real)(-invstd[g] * sum / values - x_scale * (mean[g] - (double)p.center[j]));
        }
    }
    OP(columns_backward)(&p, dy, x, dx, n_threads);
    return FNN_OK;
}
