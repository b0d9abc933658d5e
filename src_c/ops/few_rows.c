#include "ops/few_rows.h"

#include <string.h>

#include "core/workspace.h"

enum { MOST_PARTS = 8, LEAST_DEPTH = 64, LINE = 64 / sizeof(real) };

typedef struct {
    const FNN_TYPED(fnn_kernels) * kernels;
    ptrdiff_t rows, depth, columns, part, sums_stride;
    ptrdiff_t parts;
    const real *x, *weight, *bias;
    real *sums; /* [part][row][column] */
    real *y;
} product;

/* The depth of a part: a multiple of the rows of weights that the kernel takes at once. */
static ptrdiff_t part_depth(ptrdiff_t depth) {
    return fnn_max(LEAST_DEPTH, fnn_ceil_div(fnn_ceil_div(depth, MOST_PARTS), 8) * 8);
}

/* Rows that lie a power of two apart would share a set of the cache. */
static ptrdiff_t sums_stride(ptrdiff_t columns) { return fnn_ceil_div(columns, LINE) * LINE + LINE; }

ptrdiff_t OP(few_rows_sums)(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns) {
    return SIZE(fnn_ceil_div(depth, part_depth(depth)), rows, sums_stride(columns));
}

/* Task: the sums of one part of the depth. */
static void part_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const product *p = context;
    fnn_range depth = fnn_chunk(task, p->part, p->depth);
    real *sums = p->sums + task * p->rows * p->sums_stride;
    memset(sums, 0, (size_t)(p->rows * p->sums_stride) * sizeof(real));
    p->kernels->few_rows_gemm(p->rows, depth.end - depth.begin, p->columns, p->x + depth.begin, p->depth,
                              p->weight + depth.begin * p->columns, p->columns, sums, p->sums_stride);
}

/* Task: one row of the result, from the sums of all parts. */
static void row_task(void *context, ptrdiff_t row, int thread) {
    (void)thread;
    const product *p = context;
    real *first = p->sums + row * p->sums_stride, *y = p->y + row * p->columns;
    for (ptrdiff_t part = 1; part < p->parts; part++) {
        p->kernels->add(p->columns, first, first + part * p->rows * p->sums_stride, first);
    }
    for (ptrdiff_t j = 0; j < p->columns; j++) {
        y[j] = first[j] + (p->bias == NULL ? 0 : p->bias[j]);
    }
}

void OP(few_rows_product)(const FNN_TYPED(fnn_kernels) * kernels, ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                          const real *x, const real *weight, const real *bias, real *y, real *sums, int n_threads) {
    product p = {
        .kernels = kernels,
        .rows = rows,
        .depth = depth,
        .columns = columns,
        .part = part_depth(depth),
        .sums_stride = sums_stride(columns),
        .x = x,
        .weight = weight,
        .bias = bias,
        .sums = sums,
        .y = y,
    };
    p.parts = fnn_ceil_div(depth, p.part);
    fnn_parallel_for(p.parts, (double)rows * depth * columns / 16, n_threads, part_task, &p);
    fnn_parallel_for(rows, (double)rows * columns * p.parts, n_threads, row_task, &p);
}
