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

static void fill_affine(column_passes *p, const fnn_batchnorm *b) {
    const real *weights = b->weight, *biases = b->bias;
    for (ptrdiff_t j = 0; j < p->width; j++) {
        ptrdiff_t c = j % b->channels;
        double weight = weights == NULL ? 1 : (double)weights[c], bias = biases == NULL ? 0 : (double)biases[c];
        norm_column(b->mean[c], b->invstd[c], weight, bias, p->center + j, p->scale + j, p->offset + j);
    }
}

fnn_status OP(batchnorm_forward)(const fnn_batchnorm *b, void *workspace, int n_threads) {
    column_passes p;
    prepare(&p, b->rows, b->channels, &(workspace_cursor){workspace, 0});
    fill_affine(&p, b);
    p.then = b->then, p.residual = b->residual;
    OP(columns_affine)(&p, b->x, b->y, n_threads);
    return FNN_OK;
}

/* The step of a running statistic towards that of this batch. */
static void move(double *running, double momentum, double batch) {
    *running = (1 - momentum) * *running + momentum * batch;
}

fnn_status OP(batchnorm_training)(const fnn_batchnorm *b, void *workspace, int n_threads) {
    column_passes p;
    prepare(&p, b->rows, b->channels, &(workspace_cursor){workspace, 0});
    OP(columns_moments)(&p, b->x, n_threads);
    for (ptrdiff_t c = 0; c < b->channels; c++) {
        column_statistics s = OP(columns_merge)(&p, c, b->channels, p.width / b->channels);
        b->mean[c] = s.mean;
        b->invstd[c] = 1 / sqrt(s.m2 / s.n + b->eps);
        if (b->running_mean != NULL) {
            move(b->running_mean + c, b->momentum, s.mean);
        }
        if (b->running_variance != NULL) {
            move(b->running_variance + c, b->momentum, s.m2 / (s.n - 1));
        }
    }
    return b->y == NULL ? FNN_OK : OP(batchnorm_forward)(b, workspace, n_threads);
}

/* The gradients of weight and bias, and with them what dx is computed from. */
static void fill_backward(column_passes *p, const fnn_batchnorm *b) {
    const real *weights = b->weight;
    real *dweight = b->dweight, *dbias = b->dbias;
    for (ptrdiff_t c = 0; c < b->channels; c++) {
        double sum = 0, product = 0;
        for (ptrdiff_t j = c; j < p->width; j += b->channels) {
            sum += p->sum[j];
            product += p->product[j];
        }
        double rounding = b->mean[c] - (double)p->center[c];
        double dy_x_hat = (product - rounding * sum) * b->invstd[c];
        dweight[c] = (real)dy_x_hat;
        dbias[c] = (real)sum;
        double dy_scale = b->invstd[c] * (weights == NULL ? 1 : (double)weights[c]);
        double x_scale = -dy_scale * b->invstd[c] * dy_x_hat / (double)b->rows;
        real unit = OP(columns_unit)(b->invstd[c]);
        double x_offset = -dy_scale * sum / (double)b->rows - x_scale * rounding;
        for (ptrdiff_t j = c; j < p->width; j += b->channels) {
            p->dy_scale[j] = (real)dy_scale;
            p->x_unit[j] = unit;
            p->x_scale[j] = (real)(x_scale / (double)unit);
            p->x_offset[j] = (real)x_offset;
        }
    }
}

fnn_status OP(batchnorm_backward)(const fnn_batchnorm *b, void *workspace, int n_threads) {
    const fnn_then then = b->then;
    const real *dy = b->dy;
    column_passes p;
    prepare(&p, b->rows, b->channels, &(workspace_cursor){workspace, 0});
    fill_affine(&p, b);
    p.then = then, p.y = b->y;
    /* relu's gradient is cheaper to find twice than to store; those of gelu and silu, and constants as statistics, need
     * it stored, for which dx serves. */
    int stored = then == FNN_THEN_GELU || then == FNN_THEN_SILU || (then != FNN_THEN_NOTHING && !b->training);
    p.gradient = b->dresidual != NULL ? b->dresidual : stored ? b->dx : NULL;
    OP(columns_products)(&p, dy, b->x, n_threads);
    fill_backward(&p, b);
    if (b->dx == NULL) {
        return FNN_OK;
    }
    if (p.gradient != NULL) {
        dy = p.gradient;
        p.gradient = NULL, p.then = FNN_THEN_NOTHING;
    }
    if (b->training) {
        OP(columns_backward)(&p, dy, b->x, b->dx, n_threads);
        return FNN_OK;
    }
    /* Statistics that are constants: dx = dy * dy_scale, whatever x is. */
    for (ptrdiff_t j = 0; j < p.width; j++) {
        p.scale[j] = p.dy_scale[j];
        p.center[j] = p.offset[j] = 0;
    }
    OP(columns_affine)(&p, dy, b->dx, n_threads);
    return FNN_OK;
}
