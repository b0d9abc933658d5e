/* The only place that knows about threads. */
#ifndef FNN_CORE_PARALLEL_H
#define FNN_CORE_PARALLEL_H

#include <stddef.h>

/* One piece of work. `thread` is in [0, n_threads): it may choose scratch memory, never a result. */
typedef void (*fnn_task)(void *context, ptrdiff_t task, int thread);

/* Run body(context, 0 .. n_tasks - 1, thread), in any order, on at most n_threads threads.
 * `cost` is the work of all tasks together in elementary operations: small work stays on the calling thread, since
 * waking another takes longer (FNN_MIN_COST_PER_THREAD). Denormals are flushed inside, and the caller's
 * floating-point mode is restored. */
void fnn_parallel_for(ptrdiff_t n_tasks, double cost, int n_threads, fnn_task body, void *context);

/* Waking a thread takes some 3 us while it waits in its spin loop, as between the layers of a network, and 60 us when it
 * sleeps; 30 000 simple operations take about 6 us. */
#define FNN_MIN_COST_PER_THREAD 3e4

static inline ptrdiff_t fnn_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t fnn_max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
static inline ptrdiff_t fnn_ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

/* The range of items that task `task` of chunks of `chunk` items covers. */
typedef struct {
    ptrdiff_t begin, end;
} fnn_range;

static inline fnn_range fnn_chunk(ptrdiff_t task, ptrdiff_t chunk, ptrdiff_t n) {
    return (fnn_range){task * chunk, fnn_min(n, (task + 1) * chunk)};
}

/* Items of a pointwise op that one task takes: 64 KB of floats, so that a chunk's input and output stay in L2. */
#define FNN_POINTWISE_CHUNK 16384

#endif
