/* Matrices of as many rows side by side, and one cut into such matrices. */
#include <string.h>

#include "ops/op.h"

typedef struct {
    int cuts;
    ptrdiff_t rows, chunk, row, count;
    const ptrdiff_t *lengths;
    real *const *parts;
    real *whole;
} join_rows;

/* Task: some rows. */
static void join_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const join_rows *p = context;
    fnn_range rows = fnn_chunk(task, p->chunk, p->rows);
    for (ptrdiff_t i = rows.begin; i < rows.end; i++) {
        real *whole = p->whole + i * p->row;
        for (ptrdiff_t k = 0; k < p->count; whole += p->lengths[k++]) {
            real *part = p->parts[k] + i * p->lengths[k];
            memcpy(p->cuts ? part : whole, p->cuts ? whole : part, (size_t)p->lengths[k] * sizeof(real));
        }
    }
}

void OP(join_rows)(int cuts, ptrdiff_t rows, ptrdiff_t count, const ptrdiff_t *lengths, real *const *parts, real *whole,
                   int n_threads) {
    join_rows p = {.cuts = cuts, .rows = rows, .count = count, .lengths = lengths, .parts = parts, .whole = whole};
    for (ptrdiff_t k = 0; k < count; k++) {
        p.row += lengths[k];
    }
    p.chunk = fnn_max(1, FNN_POINTWISE_CHUNK / p.row);
    fnn_parallel_for(fnn_ceil_div(rows, p.chunk), (double)rows * (double)p.row, n_threads, join_task, &p);
}
