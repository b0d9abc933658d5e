/* Steps of optimisers: all parameters are cut into chunks, one kernel call a chunk. */
#include "ops/op.h"

typedef struct {
    ptrdiff_t n_steps;
    const fnn_parameter_step *steps;
} optimizer_job;

/* The last parameter whose first task is no later than this one. */
static const fnn_parameter_step *step_of(const optimizer_job *job, ptrdiff_t task) {
    ptrdiff_t low = 0, high = job->n_steps;
    while (high - low > 1) {
        ptrdiff_t middle = low + (high - low) / 2;
        *(job->steps[middle].first_task <= task ? &low : &high) = middle;
    }
    return job->steps + low;
}

static real *state_at(const fnn_parameter_step *step, int i, ptrdiff_t begin) {
    return step->states[i] == NULL ? NULL : (real *)step->states[i] + begin;
}

static void step_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const fnn_parameter_step *step = step_of(context, task);
    const fnn_optimizer_settings *settings = &step->settings;
    fnn_range r = fnn_chunk(task - step->first_task, FNN_POINTWISE_CHUNK, step->n);
    ptrdiff_t n = r.end - r.begin;
    real *w = (real *)step->w + r.begin;
    const real *g = (const real *)step->g + r.begin;
    real *first = state_at(step, 0, r.begin);
    real *second = state_at(step, 1, r.begin), *third = state_at(step, 2, r.begin);
    switch (step->kind) {
    case FNN_SGD:
        KERNELS->sgd_step(&settings->sgd, n, w, g, first);
        break;
    case FNN_ADAM:
        KERNELS->adam_step(&settings->adam, n, w, g, first, second, third);
        break;
    case FNN_RMSPROP:
        KERNELS->rmsprop_step(&settings->rmsprop, n, w, g, first, second, third);
        break;
    case FNN_ADAGRAD:
        KERNELS->adagrad_step(&settings->adagrad, n, w, g, first);
        break;
    case FNN_AVERAGE:
        KERNELS->average_step(settings->average, n, w, g);
        break;
    }
}

/* Elementary operations per element, for the decision whether threads are worth it. */
static double cost_of(fnn_optimizer kind) { return kind == FNN_SGD || kind == FNN_AVERAGE ? 4 : 16; }

fnn_status OP(optimizer_step)(ptrdiff_t n_steps, fnn_parameter_step *steps, int n_threads) {
    optimizer_job job = {n_steps, steps};
    ptrdiff_t n_tasks = 0;
    double cost = 0;
    for (ptrdiff_t i = 0; i < n_steps; i++) {
        steps[i].first_task = n_tasks;
        n_tasks += fnn_ceil_div(steps[i].n, FNN_POINTWISE_CHUNK);
        cost += cost_of(steps[i].kind) * (double)steps[i].n;
    }
    fnn_parallel_for(n_tasks, cost, n_threads, step_task, &job);
    return FNN_OK;
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
