/* Sums of dense arrays. */
#include "ops/op.h"

typedef struct {
    ptrdiff_t n;
    const real *a, *b;
    real *y;
} addition;

static void add_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const addition *p = context;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, p->n);
    KERNELS->add(r.end - r.begin, p->a + r.begin, p->b + r.begin, p->y + r.begin);
}

fnn_status OP(add)(ptrdiff_t n, const real *a, const real *b, real *y, int n_threads) {
    addition p = {n, a, b, y};
    fnn_parallel_for(fnn_ceil_div(n, FNN_POINTWISE_CHUNK), (double)n, n_threads, add_task, &p);
    return FNN_OK;
}
