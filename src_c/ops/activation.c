/* Pointwise activations: cut into chunks, one kernel call a chunk. */
#include "ops/op.h"

typedef struct {
    ptrdiff_t n;
    const real *dy, *x, *y;
    real *out;
} pointwise;

static void relu_forward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const pointwise *p = context;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, p->n);
    KERNELS->relu_forward(r.end - r.begin, p->x + r.begin, p->out + r.begin);
}

fnn_status OP(relu_forward)(ptrdiff_t n, const real *x, real *y, int n_threads) {
    pointwise p = {.n = n, .x = x, .out = y};
    fnn_parallel_for(fnn_ceil_div(n, FNN_POINTWISE_CHUNK), (double)n, n_threads, relu_forward_task, &p);
    return FNN_OK;
}

static void relu_backward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const pointwise *p = context;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, p->n);
    KERNELS->relu_backward(r.end - r.begin, p->dy + r.begin, p->y + r.begin, p->out + r.begin);
}

fnn_status OP(relu_backward)(ptrdiff_t n, const real *dy, const real *y, real *dx, int n_threads) {
    pointwise p = {.n = n, .dy = dy, .y = y, .out = dx};
    fnn_parallel_for(fnn_ceil_div(n, FNN_POINTWISE_CHUNK), (double)n, n_threads, relu_backward_task, &p);
    return FNN_OK;
}
