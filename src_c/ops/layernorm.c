/* Layer normalisation of x[rows][features]: rows are independent, but for the gradients of weight and bias,
 * which every chunk of rows sums up by itself. */
#include <string.h>

#include "core/workspace.h"
#include "ops/op.h"

enum {
    CHUNK_VALUES = 16384, /* of x in a task */
    MAX_CHUNKS = 128,     /* of the backward pass, unless rows are short: each has sums of the size of weight */
    MAX_CHUNK_ROWS = 512, /* so that sums of type real stay accurate */
    TOTALS_BLOCK = 512    /* features whose chunks one task adds up */
};

typedef struct {
    ptrdiff_t rows, features, chunk, chunks;
    const real *dy, *x, *weight, *bias;
    double eps;
    double *mean_out, *invstd_out;
    const double *mean, *invstd;
    real *y, *dx, *dweight, *dbias;
    real *dweight_sums, *dbias_sums; /* [chunks][features] */
} layernorm;

static void forward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const layernorm *l = context;
    fnn_range r = fnn_chunk(task, l->chunk, l->rows);
    ptrdiff_t at = r.begin * l->features;
    KERNELS->layernorm_forward(r.end - r.begin, l->features, l->x + at, l->weight, l->bias, l->eps, l->y + at,
                               l->mean_out + r.begin, l->invstd_out + r.begin);
}

fnn_status OP(layernorm_forward)(ptrdiff_t rows, ptrdiff_t features, const real *x, const real *weight,
                                 const real *bias, double eps, real *y, double *mean, double *invstd, int n_threads) {
    layernorm l = {.rows = rows, .features = features, .x = x, .weight = weight, .bias = bias, .eps = eps, .y = y};
    l.mean_out = mean, l.invstd_out = invstd;
    l.chunk = fnn_max(1, CHUNK_VALUES / features);
    fnn_parallel_for(fnn_ceil_div(rows, l.chunk), 4.0 * rows * features, n_threads, forward_task, &l);
    return FNN_OK;
}

static ptrdiff_t prepare(layernorm *l, ptrdiff_t rows, ptrdiff_t features, int need_dweight, void *base) {
    *l = (layernorm){.rows = rows, .features = features};
    ptrdiff_t chunk = fnn_max(CHUNK_VALUES / features, fnn_ceil_div(rows, MAX_CHUNKS));
    l->chunk = fnn_max(1, fnn_min(chunk, MAX_CHUNK_ROWS));
    l->chunks = fnn_ceil_div(rows, l->chunk);
    workspace_cursor workspace = {base, 0};
    l->dweight_sums = workspace_take(&workspace, need_dweight ? SIZE(l->chunks, features) : 0, sizeof(real));
    l->dbias_sums = workspace_take(&workspace, need_dweight ? SIZE(l->chunks, features) : 0, sizeof(real));
    return workspace.used;
}

ptrdiff_t OP(layernorm_backward_workspace)(ptrdiff_t rows, ptrdiff_t features, int need_dweight) {
    layernorm l;
    return prepare(&l, rows, features, need_dweight, NULL);
}

static void backward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const layernorm *l = context;
    fnn_range r = fnn_chunk(task, l->chunk, l->rows);
    ptrdiff_t at = r.begin * l->features;
    real *dweight = NULL, *dbias = NULL;
    if (l->dweight != NULL) {
        dweight = l->dweight_sums + task * l->features;
        dbias = l->dbias_sums + task * l->features;
        memset(dweight, 0, (size_t)l->features * sizeof(real));
        memset(dbias, 0, (size_t)l->features * sizeof(real));
    }
    KERNELS->layernorm_backward(r.end - r.begin, l->features, l->dy + at, l->x + at, l->mean + r.begin,
                                l->invstd + r.begin, l->weight, l->dx == NULL ? NULL : l->dx + at, dweight, dbias);
}

static void totals_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const layernorm *l = context;
    fnn_range r = fnn_chunk(task, TOTALS_BLOCK, l->features);
    double dweight[TOTALS_BLOCK] = {0}, dbias[TOTALS_BLOCK] = {0};
    for (ptrdiff_t chunk = 0; chunk < l->chunks; chunk++) {
        for (ptrdiff_t j = r.begin; j < r.end; j++) {
            dweight[j - r.begin] += l->dweight_sums[chunk * l->features + j];
            dbias[j - r.begin] += l->dbias_sums[chunk * l->features + j];
        }
    }
    for (ptrdiff_t j = r.begin; j < r.end; j++) {
        l->dweight[j] = (real)dweight[j - r.begin];
        l->dbias[j] = (real)dbias[j - r.begin];
    }
}

fnn_status OP(layernorm_backward)(ptrdiff_t rows, ptrdiff_t features, const real *dy, const real *x, const double *mean,
                                  const double *invstd, const real *weight, real *dx, real *dweight, real *dbias,
                                  void *workspace, int n_threads) {
    layernorm l;
    prepare(&l, rows, features, dweight != NULL, workspace);
    l.dy = dy, l.x = x, l.mean = mean, l.invstd = invstd, l.weight = weight;
    l.dx = dx, l.dweight = dweight, l.dbias = dbias;
    fnn_parallel_for(l.chunks, 4.0 * rows * features, n_threads, backward_task, &l);
    if (dweight != NULL) {
        fnn_parallel_for(fnn_ceil_div(features, TOTALS_BLOCK), (double)l.chunks * features, n_threads, totals_task, &l);
    }
    return FNN_OK;
}
