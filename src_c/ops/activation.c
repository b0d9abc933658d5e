/* Pointwise activations: cut into chunks, one kernel call a chunk. */
#include "ops/op.h"

typedef void (*forward_kernel)(ptrdiff_t n, const real *parameters, const real *x, real *y);
typedef void (*backward_kernel)(ptrdiff_t n, const real *parameters, const real *dy, const real *kept, real *dx);

typedef struct {
    forward_kernel forward;
    backward_kernel backward;
    double cost; /* of an element in elementary operations, to decide on threads */
} activation;

static activation activation_of(fnn_activation kind) {
    const FNN_TYPED(fnn_kernels) *k = KERNELS;
    const activation table[FNN_ACTIVATION_COUNT] = {
        [FNN_RELU] = {k->relu_forward, k->relu_backward, 1},
        [FNN_LEAKY_RELU] = {k->leaky_relu_forward, k->leaky_relu_backward, 1},
        [FNN_ELU] = {k->elu_forward, k->elu_backward, 4},
        [FNN_GELU] = {k->gelu_forward, k->gelu_backward, 8},
        [FNN_GELU_TANH] = {k->gelu_tanh_forward, k->gelu_tanh_backward, 5},
        [FNN_SILU] = {k->silu_forward, k->silu_backward, 5},
        [FNN_SIGMOID] = {k->sigmoid_forward, k->sigmoid_backward, 5},
        [FNN_TANH] = {k->tanh_forward, k->tanh_backward, 5},
        [FNN_SOFTPLUS] = {k->softplus_forward, k->softplus_backward, 8},
        [FNN_HARDTANH] = {k->hardtanh_forward, k->hardtanh_backward, 1},
    };
    return table[kind];
}

typedef struct {
    activation kernels;
    real parameters[FNN_ACTIVATION_PARAMETERS];
    ptrdiff_t n;
    const real *dy, *in; /* in: x, or what was kept for the backward pass */
    real *out;
} pointwise;

static pointwise pointwise_of(fnn_activation kind, const double *parameters, ptrdiff_t n, const real *in, real *out) {
    pointwise p = {.kernels = activation_of(kind), .n = n, .in = in, .out = out};
    for (int i = 0; i < FNN_ACTIVATION_PARAMETERS; i++) {
        p.parameters[i] = (real)parameters[i];
    }
    return p;
}

static void forward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const pointwise *p = context;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, p->n);
    p->kernels.forward(r.end - r.begin, p->parameters, p->in + r.begin, p->out + r.begin);
}

static void backward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const pointwise *p = context;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, p->n);
    p->kernels.backward(r.end - r.begin, p->parameters, p->dy + r.begin, p->in + r.begin, p->out + r.begin);
}

fnn_status OP(activation_forward)(fnn_activation kind, const double *parameters, ptrdiff_t n, const real *x, real *y,
                                  int n_threads) {
    pointwise p = pointwise_of(kind, parameters, n, x, y);
    fnn_parallel_for(fnn_ceil_div(n, FNN_POINTWISE_CHUNK), (double)n * p.kernels.cost, n_threads, forward_task, &p);
    return FNN_OK;
}

fnn_status OP(activation_backward)(fnn_activation kind, const double *parameters, ptrdiff_t n, const real *dy,
                                   const real *kept, real *dx, int n_threads) {
    pointwise p = pointwise_of(kind, parameters, n, kept, dx);
    p.dy = dy;
    fnn_parallel_for(fnn_ceil_div(n, FNN_POINTWISE_CHUNK), (double)n * p.kernels.cost, n_threads, backward_task, &p);
    return FNN_OK;
}
