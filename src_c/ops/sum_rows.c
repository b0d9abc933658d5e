/* Sums of the columns of a matrix. Those of some rows are of type `real`; they are added in double, from top to bottom. */
#include <string.h>

#include "core/workspace.h"
#include "ops/op.h"

enum { ROWS = 32, COLUMNS = 1024 }; /* of a task */

typedef struct {
    const FNN_TYPED(fnn_kernels) * kernels;
    ptrdiff_t rows, columns, chunks, blocks;
    const real *x;
    real *partial, *y; /* partial: [chunk][column] */
} sum_rows;

/* Task: some columns of some rows. */
static void part_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const sum_rows *p = context;
    ptrdiff_t chunk = task / p->blocks;
    fnn_range rows = fnn_chunk(chunk, ROWS, p->rows), columns = fnn_chunk(task % p->blocks, COLUMNS, p->columns);
    ptrdiff_t n = columns.end - columns.begin;
    real *sums = p->partial + chunk * p->columns + columns.begin;
    memset(sums, 0, (size_t)n * sizeof(real));
    p->kernels->column_sums(rows.end - rows.begin, n, p->x + rows.begin * p->columns + columns.begin, p->columns, sums);
}

/* Task: some columns, from the sums of all chunks. */
static void total_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const sum_rows *p = context;
    fnn_range columns = fnn_chunk(task, COLUMNS, p->columns);
    double totals[COLUMNS] = {0};
    for (ptrdiff_t chunk = 0; chunk < p->chunks; chunk++) {
        const real *sums = p->partial + chunk * p->columns;
        for (ptrdiff_t j = columns.begin; j < columns.end; j++) {
            totals[j - columns.begin] += (double)sums[j];
        }
    }
    for (ptrdiff_t j = columns.begin; j < columns.end; j++) {
        p->y[j] = (real)totals[j - columns.begin];
    }
}

ptrdiff_t OP(sum_rows_workspace)(ptrdiff_t rows, ptrdiff_t columns) {
    workspace_cursor workspace = {NULL, 0};
    workspace_take(&workspace, SIZE(fnn_ceil_div(rows, ROWS), columns), sizeof(real));
    return workspace.used;
}

void OP(sum_rows)(ptrdiff_t rows, ptrdiff_t columns, const real *x, real *y, void *workspace, int n_threads) {
    sum_rows p = {KERNELS, rows, columns, fnn_ceil_div(rows, ROWS), fnn_ceil_div(columns, COLUMNS), x, workspace, y};
    fnn_parallel_for(p.chunks * p.blocks, (double)rows * (double)columns, n_threads, part_task, &p);
    fnn_parallel_for(p.blocks, (double)p.chunks * (double)columns, n_threads, total_task, &p);
}
