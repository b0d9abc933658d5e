/* PReLU over (rows, channels), cut into chunks of rows. When all channels share one weight, the matrix counts as rows of a
 * single channel, for which there are kernels over flat arrays. */
#include "core/workspace.h"
#include "ops/op.h"

typedef struct {
    ptrdiff_t rows, channels; /* channels is 1 when the weight is shared */
    ptrdiff_t chunk;          /* rows of a task */
    const real *dy, *x, *weight;
    real *out;
    real *partial; /* [task][channels]: the sums of each chunk */
} prelu;

static prelu prelu_of(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t weights) {
    prelu p = {.rows = rows, .channels = channels};
    if (weights == 1) {
        p.rows = rows * channels;
        p.channels = 1;
    }
    p.chunk = fnn_max(1, FNN_POINTWISE_CHUNK / p.channels);
    return p;
}

static void forward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const prelu *p = context;
    fnn_range r = fnn_chunk(task, p->chunk, p->rows);
    ptrdiff_t first = r.begin * p->channels;
    if (p->channels == 1) { /* its parameter is the slope */
        KERNELS->leaky_relu_forward(r.end - r.begin, p->weight, p->x + first, p->out + first);
    } else {
        KERNELS->prelu_forward(r.end - r.begin, p->channels, p->weight, p->x + first, p->out + first);
    }
}

fnn_status OP(prelu_forward)(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t weights, const real *x, const real *weight,
                             real *y, int n_threads) {
    prelu p = prelu_of(rows, channels, weights);
    p.x = x, p.weight = weight, p.out = y;
    fnn_parallel_for(fnn_ceil_div(p.rows, p.chunk), (double)rows * (double)channels, n_threads, forward_task, &p);
    return FNN_OK;
}

static void backward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const prelu *p = context;
    fnn_range r = fnn_chunk(task, p->chunk, p->rows);
    ptrdiff_t first = r.begin * p->channels;
    real *partial = p->partial + task * p->channels;
    if (p->channels == 1) {
        KERNELS->prelu_backward_shared(r.end - r.begin, p->weight, p->dy + first, p->x + first, p->out + first,
                                       partial);
    } else {
        KERNELS->prelu_backward(r.end - r.begin, p->channels, p->weight, p->dy + first, p->x + first, p->out + first,
                                partial);
    }
}

ptrdiff_t OP(prelu_backward_workspace)(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t weights) {
    prelu p = prelu_of(rows, channels, weights);
    return SIZE(fnn_ceil_div(p.rows, p.chunk), p.channels);
}

fnn_status OP(prelu_backward)(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t weights, const real *dy, const real *x,
                              const real *weight, real *dx, real *dweight, real *workspace, int n_threads) {
    prelu p = prelu_of(rows, channels, weights);
    p.dy = dy, p.x = x, p.weight = weight, p.out = dx, p.partial = workspace;
    ptrdiff_t n_tasks = fnn_ceil_div(p.rows, p.chunk);
    fnn_parallel_for(n_tasks, (double)rows * (double)channels, n_threads, backward_task, &p);
    for (ptrdiff_t c = 0; c < p.channels; c++) { /* in the order of the chunks, whoever summed them */
        double sum = 0;
        for (ptrdiff_t task = 0; task < n_tasks; task++) {
            sum += (double)workspace[task * p.channels + c];
        }
        dweight[c] = (real)sum;
    }
    return FNN_OK;
}
