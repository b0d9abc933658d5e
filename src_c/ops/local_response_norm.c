/* Local response normalisation over channels: rows are independent. */
#include "core/workspace.h"
#include "ops/op.h"

typedef struct {
    ptrdiff_t rows, rows_per_task, scratch_bytes;
    fnn_local_response_norm row; /* of row 0 */
    int backward;
    char *workspace;
} local_response_norm;

/* A window of 2 c channels reaches all others from each of them: what a larger one has more of is zeros. */
static ptrdiff_t reaching(ptrdiff_t c, ptrdiff_t size) { return fnn_min(size, SIZE(2, c)); }

static ptrdiff_t scratch_bytes(ptrdiff_t c, ptrdiff_t size) {
    workspace_cursor cursor = {NULL, 0};
    workspace_take(&cursor, SIZE(3, size_plus(c, size)), sizeof(real));
    return cursor.used;
}

ptrdiff_t OP(local_response_norm_workspace)(ptrdiff_t c, ptrdiff_t size, int n_threads) {
    return SIZE(scratch_bytes(c, reaching(c, size)), n_threads);
}

static void local_response_norm_task(void *context, ptrdiff_t task, int thread) {
    const local_response_norm *l = context;
    fnn_range r = fnn_chunk(task, l->rows_per_task, l->rows);
    for (ptrdiff_t i = r.begin; i < r.end; i++) {
        fnn_local_response_norm row = l->row;
        row.x += i * row.c;
        row.out += i * row.c;
        row.scratch = (real *)(l->workspace + thread * l->scratch_bytes);
        if (l->backward) {
            row.dy += i * row.c;
            KERNELS->local_response_norm_backward(&row);
        } else {
            KERNELS->local_response_norm_forward(&row);
        }
    }
}

static fnn_status run(ptrdiff_t rows, fnn_local_response_norm row, int backward, void *workspace, int n_threads) {
    local_response_norm l = {
        .rows = rows,
        .rows_per_task = fnn_ceil_div(FNN_POINTWISE_CHUNK, row.c),
        .scratch_bytes = scratch_bytes(row.c, row.size),
        .row = row,
        .backward = backward,
        .workspace = workspace,
    };
    double cost = (double)rows * (double)row.c * (double)(row.size + 8);
    fnn_parallel_for(fnn_ceil_div(rows, l.rows_per_task), cost, n_threads, local_response_norm_task, &l);
    return FNN_OK;
}

fnn_status OP(local_response_norm_forward)(ptrdiff_t rows, ptrdiff_t c, ptrdiff_t size, double alpha, double beta,
                                           double k, const real *x, real *y, void *workspace, int n_threads) {
    fnn_local_response_norm row = {
        c, reaching(c, size), (real)(alpha / (double)size), (real)beta, (real)k, x, NULL, y, NULL};
    return run(rows, row, 0, workspace, n_threads);
}

fnn_status OP(local_response_norm_backward)(ptrdiff_t rows, ptrdiff_t c, ptrdiff_t size, double alpha, double beta,
                                            double k, const real *dy, const real *x, real *dx, void *workspace,
                                            int n_threads) {
    fnn_local_response_norm row = {c,   reaching(c, size), (real)(alpha / (double)size), (real)beta, (real)k, x, dy, dx,
                                   NULL};
    return run(rows, row, 1, workspace, n_threads);
}
