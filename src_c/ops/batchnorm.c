/* Batch normalisation of x[rows][channels], rows being the pixels of all images.
 *
 * Few channels would leave vectors partly empty and sums waiting for each other. So several rows are taken as
 * one (fold), until a row fills vectors of every instruction set; a channel then has `fold` columns, which
 * are merged.
 */
#include <math.h>

#include "ops/columns.h"
#include "ops/norm.h"

enum {
    WIDEST_VECTOR = 16, /* reals */
    MIN_WIDTH = 64      /* columns that fill the registers of a kernel */
};

static void prepare(column_passes *p, ptrdiff_t rows, ptrdiff_t channels, workspace_cursor *workspace) {
    ptrdiff_t fold = 1;
    while (fold < rows && fold * channels < MIN_WIDTH) {
        fold++;
    }
    while (fold > 1 && fold < rows && fold * channels % WIDEST_VECTOR != 0) {
        fold++;
    }
    OP(columns_prepare)(p, rows / fold, fold * channels, rows % fold * channels, workspace);
}

ptrdiff_t OP(batchnorm_workspace)(ptrdiff_t rows, ptrdiff_t channels) {
    column_passes p;
    workspace_cursor workspace = {NULL, 0};
    prepare(&p, rows, channels, &workspace);
    return workspace.used;
}

static void fill_affine(column_passes *p, ptrdiff_t channels, const double *mean, const double *invstd,
                        const real *weight, const real *bias) {
    for (ptrdiff_t j = 0; j < p->width; j++) {
        ptrdiff_t c = j % channels;
        norm_column(mean[c], invstd[c], weight == NULL ? 1 : (double)weight[c], bias == NULL ? 0 : (double)bias[c],
                    p->center + j, p->scale + j, p->offset + j);
    }
}

fnn_status OP(batchnorm_forward)(ptrdiff_t rows, ptrdiff_t channels, const real *x, const double *mean,
                                 const double *invstd, const real *weight, const real *bias, fnn_then then,
                                 const real *residual, real *y, void *workspace, int n_threads) {
    column_passes p;
    prepare(&p, rows, channels, &(workspace_cursor){workspace, 0});
    fill_affine(&p, channels, mean, invstd, weight, bias);
    p.then = then, p.residual = residual;
    OP(columns_affine)(&p, x, y, n_threads);
    return FNN_OK;
}

/* The step of a running statistic towards that of this batch. */
static void move(double *running, double momentum, double batch) {
    *running = (1 - momentum) * *running + momentum * batch;
}

fnn_status OP(batchnorm_training)(ptrdiff_t rows, ptrdiff_t channels, const real *x, double eps, double momentum,
                                  double *running_mean, double *running_variance, const real *weight, const real *bias,
                                  fnn_then then, const real *residual, double *mean, double *invstd, real *y,
                                  void *workspace, int n_threads) {
    column_passes p;
    prepare(&p, rows, channels, &(workspace_cursor){workspace, 0});
    OP(columns_moments)(&p, x, n_threads);
    for (ptrdiff_t c = 0; c < channels; c++) {
        column_statistics s = OP(columns_merge)(&p, c, channels, p.width / channels);
        mean[c] = s.mean;
        invstd[c] = 1 / sqrt(s.m2 / s.n + eps);
        if (running_mean != NULL) {
            move(running_mean + c, momentum, s.mean);
        }
        if (running_variance != NULL) {
            move(running_variance + c, momentum, s.m2 / (s.n - 1));
        }
    }
    if (y == NULL) {
        return FNN_OK;
    }
    return OP(batchnorm_forward)(rows, channels, x, mean, invstd, weight, bias, then, residual, y, workspace,
                                 n_threads);
}

fnn_status OP(batchnorm_backward)(ptrdiff_t rows, ptrdiff_t channels, const real *dy, const real *x, const double *mean,
                                  const double *invstd, const real *weight, const real *bias, fnn_then then,
                                  const real *y, int training, real *dx, real *dresidual, real *dweight, real *dbias,
                                  void *workspace, int n_threads) {
    column_passes p;
    prepare(&p, rows, channels, &(workspace_cursor){workspace, 0});
    fill_affine(&p, channels, mean, invstd, weight, bias);
    p.then = then, p.y = y;
    /* relu's gradient is cheaper to find twice than to store; those of gelu and silu, and constants as statistics, need
     * it stored, for which dx serves. */
    int stored = then == FNN_THEN_GELU || then == FNN_THEN_SILU || (then != FNN_THEN_NOTHING && !training);
    p.gradient = dresidual != NULL ? dresidual : stored ? dx : NULL;
    OP(columns_products)(&p, dy, x, n_threads);
    for (ptrdiff_t c = 0; c < channels; c++) {
        double sum = 0, product = 0;
        for (ptrdiff_t j = c; j < p.width; j += channels) {
            sum += p.sum[j];
            product += p.product[j];
        }
        double rounding = mean[c] - (double)p.center[c];
        double dy_x_hat = (product - rounding * sum) * invstd[c];
        dweight[c] = (real)dy_x_hat;
        dbias[c] = (real)sum;
        double dy_scale = invstd[c] * (weight == NULL ? 1 : (double)weight[c]);
        double x_scale = -dy_scale * invstd[c] * dy_x_hat / (double)rows;
        real unit = OP(columns_unit)(invstd[c]);
        double x_offset = -dy_scale * sum / (double)rows - x_scale * rounding;
        for (ptrdiff_t j = c; j < p.width; j += channels) {
            p.dy_scale[j] = (real)dy_scale;
            p.x_unit[j] = unit;
            p.x_scale[j] = (real)(x_scale / (double)unit);
            p.x_offset[j] = (real)x_offset;
        }
    }
    if (dx == NULL) {
        return FNN_OK;
    }
    if (p.gradient != NULL) {
        dy = p.gradient;
        p.gradient = NULL, p.then = FNN_THEN_NOTHING;
    }
    if (training) {
        OP(columns_backward)(&p, dy, x, dx, n_threads);
        return FNN_OK;
    }
    /* Statistics that are constants: dx = dy * dy_scale, whatever x is. */
    for (ptrdiff_t j = 0; j < p.width; j++) {
        p.scale[j] = p.dy_scale[j];
        p.center[j] = p.offset[j] = 0;
    }
    OP(columns_affine)(&p, dy, dx, n_threads);
    return FNN_OK;
}
