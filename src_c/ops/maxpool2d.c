/* Max pooling: forward stores which tap won, backward asks every input pixel which windows it won.
 *
 * So backward writes each pixel of dx once, whether windows overlap or not, in an order that no thread
 * changes. */
#include "core/pool.h"
#include "ops/op.h"

typedef struct {
    const fnn_pool_shape *shape;
    int backward, streams;
    const real *x; /* the sources: x forward, dy backward */
    char *taps;
    int tap_bytes;
    real *out;
} maxpool2d;

/* Task: see core/pool.h. */
static void maxpool2d_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const maxpool2d *m = context;
    const fnn_pool_shape *shape = m->shape;
    pool_task t = fnn_pool_task(shape, task);
    pool_sources sources;
    for (ptrdiff_t w = 0; w < shape->w.length; w++) {
        for (ptrdiff_t h = t.h_begin; h < t.h_end; h++) {
            ptrdiff_t out = (h * shape->w.length + w) * shape->row + t.begin;
            ptrdiff_t taps = m->backward ? t.begin : out; /* of source 0, or of the destination */
            fnn_pool_first(shape, h, w, &sources);
            do {
                fnn_maxpool problem = {
                    .n = t.end - t.begin,
                    .count = sources.count,
                    .resume = sources.resume,
                    .streams = m->streams && !sources.resume && sources.is_last,
                    .x = m->x + t.begin,
                    .offset = sources.offset,
                    .tap = sources.tap,
                    .tap_bytes = m->tap_bytes,
                    .taps = m->taps == NULL ? NULL : m->taps + taps * m->tap_bytes,
                    .out = m->out + out,
                };
                if (m->backward) {
                    KERNELS->maxpool_backward(&problem);
                } else {
                    KERNELS->maxpool_forward(&problem);
                }
            } while (fnn_pool_next(shape, h, w, &sources));
        }
    }
}

fnn_status OP(maxpool2d_forward)(const fnn_pool_shape *shape, const real *x, real *y, void *taps, int tap_bytes,
                                 int n_threads) {
    maxpool2d m = {shape, 0, fnn_pool_streams(shape, y, sizeof(real)), x, taps, taps == NULL ? 0 : tap_bytes, y};
    fnn_parallel_for(fnn_pool_tasks(shape), fnn_pool_cost(shape), n_threads, maxpool2d_task, &m);
    return FNN_OK;
}

fnn_status OP(maxpool2d_backward)(const fnn_pool_shape *shape, const real *dy, const void *taps, int tap_bytes,
                                  real *dx, int n_threads) {
    maxpool2d m = {shape, 1, fnn_pool_streams(shape, dx, sizeof(real)), dy, (char *)taps, tap_bytes, dx};
    fnn_parallel_for(fnn_pool_tasks(shape), fnn_pool_cost(shape), n_threads, maxpool2d_task, &m);
    return FNN_OK;
}
