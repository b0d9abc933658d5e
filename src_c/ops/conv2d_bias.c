/* Sums of the rows of dy, then of these. */
#include "ops/conv2d_bias.h"

typedef struct {
    ptrdiff_t rows, channels; /* of one output row */
    const real *dy;
    real *sums;
} bias_gradient;

/* Task: one output row. */
static void row_task(void *context, ptrdiff_t h, int thread) {
    (void)thread;
    const bias_gradient *g = context;
    KERNELS->column_sums(g->rows, g->channels, g->dy + h * g->rows * g->channels, g->sums + h * g->channels);
}

void OP(conv2d_bias_gradient)(const fnn_conv2d_shape *shape, const real *dy, real *sums, real *dbias, int n_threads) {
    bias_gradient g = {shape->w_out * shape->n, shape->c_out, dy, sums};
    double cost = (double)shape->h_out * g.rows * g.channels;
    fnn_parallel_for(shape->h_out, cost, n_threads, row_task, &g);
    KERNELS->column_sums(shape->h_out, shape->c_out, sums, dbias);
}
