/* Convolution forward with at most FNN_FEW_ROWS results of each filter, and so a linear layer with few samples. Reading the
 * weights takes the time, so that they are read once, from beginning to end, as they lie; threads divide the depth. Its parts
 * have sums of their own, which are added in ascending order: how many depends on the shape alone. What the results read is
 * copied first, one result a row of (taps, channels), unless it lies like that.
 *
 * A linear layer backward: threads divide the rows of the weights, each of which is a column of dx, or of their gradient,
 * which is written once.
 */
#include <string.h>

#include "core/stream.h"
#include "ops/bands.h"
#include "ops/conv2d.h"

enum { MOST_PARTS = 8, LEAST_DEPTH = 64, BACKWARD_CHANNELS = 64 };

typedef struct {
    conv2d conv;
    ptrdiff_t rows, depth, part, parts, sums_stride;
    const real *x;
    real *sums; /* [part][row][column] */
    norm_pass norm;
    const real *dy; /* of the gradient of the weights: */
    real *dweight;
    int streams;
} few_rows;

/* The rows that the taps of each destination read; zeros on padding. */
static void gather(const conv2d *c, const tap_map *map, real *to) {
    const ptrdiff_t n = c->shape->n;
    for (ptrdiff_t pixel = 0; pixel < c->y_height * c->y_width; pixel++) {
        const ptrdiff_t *source_h = map->h.source + pixel / c->y_width * map->h.kernel;
        const ptrdiff_t *source_w = map->w.source + pixel % c->y_width * map->w.kernel;
        for (ptrdiff_t image = 0; image < n; image++) {
            for (ptrdiff_t tap = 0; tap < c->taps; tap++, to += c->depth) {
                ptrdiff_t h = source_h[tap / map->w.kernel], w = source_w[tap % map->w.kernel];
                if (h < 0 || w < 0) {
                    memset(to, 0, (size_t)c->depth * sizeof(real));
                } else {
                    memcpy(to, c->x + ((h * c->x_width + w) * n + image) * c->depth, (size_t)c->depth * sizeof(real));
                }
            }
        }
    }
}

/* Task: the sums of one part of the depth. */
static void part_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const few_rows *p = context;
    const conv2d *c = &p->conv;
    fnn_range depth = fnn_chunk(task, p->part, p->depth);
    real *sums = p->sums + task * p->rows * p->sums_stride;
    memset(sums, 0, (size_t)(p->rows * p->sums_stride) * sizeof(real));
    c->kernels->few_rows_gemm(p->rows, depth.end - depth.begin, c->columns, p->x + depth.begin, p->depth,
                              c->weight + depth.begin * c->columns, c->columns, sums, p->sums_stride);
}

/* Task: one row of the result, from the sums of all parts. */
static void row_task(void *context, ptrdiff_t row, int thread) {
    (void)thread;
    const few_rows *p = context;
    const conv2d *c = &p->conv;
    real *first = p->sums + row * p->sums_stride, *y = c->y + row * c->columns;
    for (ptrdiff_t part = 1; part < p->parts; part++) {
        c->kernels->add(c->columns, first, first + part * p->rows * p->sums_stride, first);
    }
    for (ptrdiff_t j = 0; j < c->columns; j++) {
        y[j] = first[j] + (c->bias == NULL ? 0 : c->bias[j]);
    }
    norm_apply(&p->norm, 1, c->columns, c->columns, c->y, row * c->columns, 0);
}

/* Task: some columns of dx. */
static void backward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const few_rows *p = context;
    const conv2d *c = &p->conv;
    fnn_range r = fnn_chunk(task, BACKWARD_CHANNELS, c->columns);
    c->kernels->few_rows_gemm_transposed(p->rows, c->depth, r.end - r.begin, c->x, c->depth,
                                         c->weight + r.begin * c->depth, c->depth, c->y + r.begin, c->columns);
    OP(conv2d_finish_rows)(c, &p->norm, p->rows, r.end - r.begin, c->columns, r.begin, r.begin);
}

ptrdiff_t OP(conv2d_few_rows)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *base) {
    few_rows p = {.conv = OP(conv2d_of)(plan, operands)};
    const conv2d *c = &p.conv;
    p.rows = c->y_height * c->y_width * c->shape->n;
    p.depth = c->taps * c->depth;
    double cost = (double)p.depth * c->columns; /* of reading the weights, once */
    if (c->backward) {
        if (base != NULL) {
            fnn_parallel_for(fnn_ceil_div(c->columns, BACKWARD_CHANNELS), cost, c->n_threads, backward_task, &p);
        }
        return 0;
    }
    /* A multiple of the rows of weights that the kernel takes at once. */
    p.part = fnn_max(LEAST_DEPTH, fnn_ceil_div(fnn_ceil_div(p.depth, MOST_PARTS), 8) * 8);
    p.parts = fnn_ceil_div(p.depth, p.part);
    /* Rows that lie a power of two apart would share a set of the cache. */
    p.sums_stride = fnn_ceil_div(c->columns, CONV2D_LINE) * CONV2D_LINE + CONV2D_LINE;
    workspace_cursor workspace = {base, 0};
    tap_map map;
    fnn_tap_map(c->shape, 0, TAP_RUN_ROWS, &workspace, &map);
    norm_prepare(&p.norm, c->norm, c->kernels, c->columns, &workspace);
    p.sums = workspace_take(&workspace, SIZE(p.parts, p.rows, p.sums_stride), sizeof(real));
    int lies = fnn_conv2d_is_linear(c->shape);
    real *gathered = workspace_take(&workspace, lies ? 0 : SIZE(p.rows, p.depth), sizeof(real));
    if (base == NULL) {
        return workspace.used;
    }
    p.x = lies ? c->x : gathered;
    if (!lies) {
        gather(c, &map, gathered);
    }
    fnn_parallel_for(p.parts, cost, c->n_threads, part_task, &p);
    fnn_parallel_for(p.rows, (double)p.rows * c->columns * p.parts, c->n_threads, row_task, &p);
    return workspace.used;
}

/* Task: the gradients of the weights of some input channels. */
static void weight_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const few_rows *p = context;
    const conv2d *c = &p->conv;
    fnn_range r = fnn_chunk(task, BACKWARD_CHANNELS, c->depth);
    c->kernels->few_rows_outer(p->rows, r.end - r.begin, c->columns, c->x + r.begin, c->depth, p->dy, c->columns,
                               p->dweight + r.begin * c->columns, c->columns, p->streams);
}

ptrdiff_t OP(conv2d_few_rows_weight)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *base) {
    if (base == NULL) {
        return 0;
    }
    few_rows p = {.conv = OP(conv2d_of)(plan, operands), .dy = operands->dy, .dweight = operands->dweight};
    const conv2d *c = &p.conv;
    ptrdiff_t row_bytes = c->columns * (ptrdiff_t)sizeof(real);
    p.rows = c->shape->n;
    p.streams = fnn_worth_streaming(p.dweight, c->depth * row_bytes, row_bytes);
    double cost = (double)c->depth * c->columns;
    fnn_parallel_for(fnn_ceil_div(c->depth, BACKWARD_CHANNELS), cost, c->n_threads, weight_task, &p);
    OP(sum_bias)(c->kernels, p.rows, c->columns, p.dy, operands->dbias, c->n_threads);
    return 0;
}
