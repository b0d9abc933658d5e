/* Average pooling. Forward: the sum of a window over its divisor. Backward: the sum, over the windows that a
 * pixel lies in, of dy over their divisors. */
#include "core/pool.h"
#include "ops/op.h"

typedef struct {
    const fnn_pool_shape *shape;
    int backward, streams;
    const real *x; /* the sources: x forward, dy backward */
    real *out;
} avgpool2d;

static real divisor(const fnn_pool_shape *shape, ptrdiff_t h, ptrdiff_t w) {
    return (real)shape->divisor_h[h] * (real)shape->divisor_w[w];
}

/* Task: see core/pool.h. */
static void avgpool2d_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const avgpool2d *a = context;
    const fnn_pool_shape *shape = a->shape;
    pool_task t = fnn_pool_task(shape, task);
    pool_sources sources;
    real weight[POOL_SOURCES];
    for (ptrdiff_t w = 0; w < shape->w.length; w++) {
        for (ptrdiff_t h = t.h_begin; h < t.h_end; h++) {
            fnn_pool_first(shape, h, w, &sources);
            do {
                for (ptrdiff_t b = 0; b < sources.count; b++) {
                    weight[b] = a->backward ? 1 / divisor(shape, sources.h[b], sources.w[b]) : 1;
                }
                fnn_avgpool problem = {
                    .n = t.end - t.begin,
                    .count = sources.count,
                    .resume = sources.resume,
                    .streams = a->streams && !sources.resume && sources.is_last,
                    .x = a->x + t.begin,
                    .offset = sources.offset,
                    .weight = weight,
                    .divisor = a->backward || !sources.is_last ? 1 : divisor(shape, h, w),
                    .out = a->out + (h * shape->w.length + w) * shape->row + t.begin,
                };
                KERNELS->avgpool(&problem);
            } while (fnn_pool_next(shape, h, w, &sources));
        }
    }
}

fnn_status OP(avgpool2d_forward)(const fnn_pool_shape *shape, const real *x, real *y, int n_threads) {
    avgpool2d a = {shape, 0, fnn_pool_streams(shape, y, sizeof(real)), x, y};
    fnn_parallel_for(fnn_pool_tasks(shape), fnn_pool_cost(shape), n_threads, avgpool2d_task, &a);
    return FNN_OK;
}

fnn_status OP(avgpool2d_backward)(const fnn_pool_shape *shape, const real *dy, real *dx, int n_threads) {
    avgpool2d a = {shape, 1, fnn_pool_streams(shape, dx, sizeof(real)), dy, dx};
    fnn_parallel_for(fnn_pool_tasks(shape), fnn_pool_cost(shape), n_threads, avgpool2d_task, &a);
    return FNN_OK;
}
