/* Softmax and log_softmax along the rows of a matrix, cut into chunks of rows. */
#include "ops/op.h"

/* An exponential and three passes over an element, in elementary operations. */
enum { COST = 8 };

typedef struct {
    void (*forward)(ptrdiff_t rows, ptrdiff_t columns, const real *x, real *y);
    void (*backward)(ptrdiff_t rows, ptrdiff_t columns, const real *dy, const real *y, real *dx);
    ptrdiff_t rows, columns, chunk;
    const real *dy, *in;
    real *out;
} softmax;

static softmax softmax_of(int log, ptrdiff_t rows, ptrdiff_t columns) {
    const FNN_TYPED(fnn_kernels) *k = KERNELS;
    return (softmax){
        .forward = log ? k->log_softmax_forward : k->softmax_forward,
        .backward = log ? k->log_softmax_backward : k->softmax_backward,
        .rows = rows,
        .columns = columns,
        .chunk = fnn_max(1, FNN_POINTWISE_CHUNK / fnn_max(1, columns)),
    };
}

static void forward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const softmax *p = context;
    fnn_range r = fnn_chunk(task, p->chunk, p->rows);
    ptrdiff_t first = r.begin * p->columns;
    p->forward(r.end - r.begin, p->columns, p->in + first, p->out + first);
}

static void backward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const softmax *p = context;
    fnn_range r = fnn_chunk(task, p->chunk, p->rows);
    ptrdiff_t first = r.begin * p->columns;
    p->backward(r.end - r.begin, p->columns, p->dy + first, p->in + first, p->out + first);
}

fnn_status OP(softmax_forward)(int log, ptrdiff_t rows, ptrdiff_t columns, const real *x, real *y, int n_threads) {
    softmax p = softmax_of(log, rows, columns);
    p.in = x, p.out = y;
    fnn_parallel_for(fnn_ceil_div(rows, p.chunk), COST * (double)rows * (double)columns, n_threads, forward_task, &p);
    return FNN_OK;
}

fnn_status OP(softmax_backward)(int log, ptrdiff_t rows, ptrdiff_t columns, const real *dy, const real *y, real *dx,
                                int n_threads) {
    softmax p = softmax_of(log, rows, columns);
    p.dy = dy, p.in = y, p.out = dx;
    fnn_parallel_for(fnn_ceil_div(rows, p.chunk), COST * (double)rows * (double)columns, n_threads, backward_task, &p);
    return FNN_OK;
}
