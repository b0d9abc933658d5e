/* Steps of optimisers: cut into chunks, one kernel call a chunk. */
#include "ops/op.h"

/* Elementary operations per element, for the decision whether threads are worth it. */
enum { COST_LINEAR = 4, COST_ROOT = 16 };

typedef struct {
    ptrdiff_t n;
    const void *settings;
    real *w;
    const real *g;
    real *state[3]; /* NULL where the optimiser keeps none */
} optimizer_step;

/* The arrays of one chunk; a NULL stays one. */
static optimizer_step chunk_of(const optimizer_step *whole, ptrdiff_t task) {
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, whole->n);
    optimizer_step part = {.n = r.end - r.begin, .w = whole->w + r.begin, .g = whole->g + r.begin};
    for (int i = 0; i < 3; i++) {
        part.state[i] = whole->state[i] == NULL ? NULL : whole->state[i] + r.begin;
    }
    return part;
}

static fnn_status run(const optimizer_step *step, int cost, fnn_task task, int n_threads) {
    ptrdiff_t n_tasks = fnn_ceil_div(step->n, FNN_POINTWISE_CHUNK);
    fnn_parallel_for(n_tasks, (double)step->n * cost, n_threads, task, (void *)step);
    return FNN_OK;
}

static void sgd_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const optimizer_step *step = context;
    optimizer_step p = chunk_of(step, task);
    KERNELS->sgd_step(step->settings, p.n, p.w, p.g, p.state[0]);
}

fnn_status OP(sgd_step)(const fnn_sgd *sgd, ptrdiff_t n, real *w, const real *g, real *velocity, int n_threads) {
    optimizer_step step = {.n = n, .settings = sgd, .w = w, .g = g, .state = {velocity}};
    return run(&step, COST_LINEAR, sgd_task, n_threads);
}

static void adam_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const optimizer_step *step = context;
    optimizer_step p = chunk_of(step, task);
    KERNELS->adam_step(step->settings, p.n, p.w, p.g, p.state[0], p.state[1], p.state[2]);
}

fnn_status OP(adam_step)(const fnn_adam *adam, ptrdiff_t n, real *w, const real *g, real *first, real *second,
                         real *largest, int n_threads) {
    optimizer_step step = {.n = n, .settings = adam, .w = w, .g = g, .state = {first, second, largest}};
    return run(&step, COST_ROOT, adam_task, n_threads);
}

static void rmsprop_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const optimizer_step *step = context;
    optimizer_step p = chunk_of(step, task);
    KERNELS->rmsprop_step(step->settings, p.n, p.w, p.g, p.state[0], p.state[1], p.state[2]);
}

fnn_status OP(rmsprop_step)(const fnn_rmsprop *rmsprop, ptrdiff_t n, real *w, const real *g, real *square,
                            real *velocity, real *mean, int n_threads) {
    optimizer_step step = {.n = n, .settings = rmsprop, .w = w, .g = g, .state = {square, velocity, mean}};
    return run(&step, COST_ROOT, rmsprop_task, n_threads);
}

static void adagrad_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const optimizer_step *step = context;
    optimizer_step p = chunk_of(step, task);
    KERNELS->adagrad_step(step->settings, p.n, p.w, p.g, p.state[0]);
}

fnn_status OP(adagrad_step)(const fnn_adagrad *adagrad, ptrdiff_t n, real *w, const real *g, real *sum, int n_threads) {
    optimizer_step step = {.n = n, .settings = adagrad, .w = w, .g = g, .state = {sum}};
    return run(&step, COST_ROOT, adagrad_task, n_threads);
}

static void average_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const optimizer_step *step = context;
    optimizer_step p = chunk_of(step, task);
    KERNELS->average_step(*(const double *)step->settings, p.n, p.w, p.g);
}

fnn_status OP(average_step)(double weight, ptrdiff_t n, real *average, const real *value, int n_threads) {
    optimizer_step step = {.n = n, .settings = &weight, .w = average, .g = value};
    return run(&step, COST_LINEAR, average_task, n_threads);
}

typedef struct {
    ptrdiff_t n;
    const real *x;
    double *partial;
} square_sum;

static void sum_of_squares_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const square_sum *s = context;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, s->n);
    KERNELS->sum_of_squares(r.end - r.begin, s->x + r.begin, s->partial + task);
}

ptrdiff_t OP(sum_of_squares_partials)(ptrdiff_t n) { return fnn_ceil_div(n, FNN_POINTWISE_CHUNK); }

fnn_status OP(sum_of_squares)(ptrdiff_t n, const real *x, double *sum, double *partial, int n_threads) {
    square_sum s = {.n = n, .x = x, .partial = partial};
    ptrdiff_t n_tasks = OP(sum_of_squares_partials)(n);
    fnn_parallel_for(n_tasks, (double)n, n_threads, sum_of_squares_task, &s);
    *sum = 0;
    for (ptrdiff_t i = 0; i < n_tasks; i++) {
        *sum += partial[i];
    }
    return FNN_OK;
}
