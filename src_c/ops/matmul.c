/* Products of small matrices, one by one or many at once: without packing, in tasks of some rows of one of them. */
#include "ops/op.h"

/* Rows of one task: whole tiles of all ISAs, enough of them that b is read seldom. */
enum { ROWS_PER_TASK = 96 };

typedef struct {
    const FNN_TYPED(fnn_kernels) * kernels;
    int a_is_transposed;
    ptrdiff_t rows, depth, columns;
    ptrdiff_t tasks_per_matrix;
    const real *a, *b;
    real *y;
} matmul;

static void matmul_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const matmul *p = context;
    ptrdiff_t matrix = task / p->tasks_per_matrix;
    fnn_range r = fnn_chunk(task % p->tasks_per_matrix, ROWS_PER_TASK, p->rows);
    ptrdiff_t panel_columns = p->kernels->panel_columns;
    const ptrdiff_t no_offset = 0;
    const real *b = p->b + matrix * p->depth * p->columns;
    real *y = p->y + (matrix * p->rows + r.begin) * p->columns;
    fnn_batch_gemm gemm = {
        .rows = r.end - r.begin,
        .depth = p->depth,
        .count = 1,
        .a = p->a + matrix * p->rows * p->depth + r.begin * (p->a_is_transposed ? 1 : p->depth),
        .a_offset = &no_offset,
        .a_stride = p->a_is_transposed ? p->rows : p->depth,
        .b_offset = &no_offset,
        .b_stride = p->columns,
        .c_stride = p->columns,
    };
    for (ptrdiff_t column = 0; column < p->columns; column += panel_columns) {
        gemm.columns = fnn_min(panel_columns, p->columns - column);
        gemm.b = b + column;
        gemm.c = y + column;
        if (p->a_is_transposed) {
            p->kernels->batch_gemm_transposed(&gemm);
        } else {
            p->kernels->batch_gemm(&gemm);
        }
    }
}

typedef struct {
    ptrdiff_t rows, columns;
    const real *in;
    real *out;
} transposition;

static void transpose_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const transposition *p = context;
    ptrdiff_t size = p->rows * p->columns;
    KERNELS->transpose(p->rows, p->columns, p->in + task * size, p->columns, p->out + task * size, p->rows);
}

fnn_status OP(matmul)(fnn_matmul kind, ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                      const real *a, const real *b, real *transposed, real *y, int n_threads) {
    if (kind == FNN_TIMES_TRANSPOSED) {
        transposition t = {columns, depth, b, transposed};
        fnn_parallel_for(matrices, (double)matrices * (double)depth * (double)columns, n_threads, transpose_task, &t);
        b = transposed;
    }
    matmul p = {
        .kernels = KERNELS,
        .a_is_transposed = kind == FNN_TRANSPOSED_TIMES,
        .rows = rows,
        .depth = depth,
        .columns = columns,
        .tasks_per_matrix = fnn_ceil_div(rows, ROWS_PER_TASK),
        .a = a,
        .b = b,
        .y = y,
    };
    /* A vector of multiply-adds is one operation. */
    double cost = (double)matrices * (double)rows * (double)depth * (double)columns / 8;
    fnn_parallel_for(matrices * p.tasks_per_matrix, cost, n_threads, matmul_task, &p);
    return FNN_OK;
}
