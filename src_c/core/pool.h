/* The sources of each destination pixel of a pooling, in pieces that fit into one kernel call. */
#ifndef FNN_CORE_POOL_H
#define FNN_CORE_POOL_H

#include "fnn.h"

/* Sources of one kernel call; larger windows take several. Each source is a stream of memory, and CPUs prefetch some
 * sixteen to thirty of them at a time. */
enum { POOL_SOURCES = 16 };

typedef struct {
    ptrdiff_t count;
    int resume;                     /* these are not the first ones */
    ptrdiff_t offset[POOL_SOURCES]; /* of the source pixel, in reals */
    int32_t tap[POOL_SOURCES];
    ptrdiff_t h[POOL_SOURCES], w[POOL_SOURCES];
    int is_last;
    ptrdiff_t next_h, next_w; /* entries to go on with */
} pool_sources;

/* Start with the sources of destination (h, w), in the order of rows, then columns: always one piece, maybe
 * empty. */
void fnn_pool_first(const fnn_pool_shape *shape, ptrdiff_t h, ptrdiff_t w, pool_sources *sources);

/* Replace `sources` by the next ones of destination (h, w). Returns 0 if there are none. */
int fnn_pool_next(const fnn_pool_shape *shape, ptrdiff_t h, ptrdiff_t w, pool_sources *sources);

/* How the work is cut: a task takes some rows of destination pixels, and of each pixel some reals. */
typedef struct {
    ptrdiff_t h_begin, h_end; /* rows of destination pixels */
    ptrdiff_t begin, end;     /* reals of each pixel */
} pool_task;

ptrdiff_t fnn_pool_tasks(const fnn_pool_shape *shape);
pool_task fnn_pool_task(const fnn_pool_shape *shape, ptrdiff_t task);

/* Whether destinations, reals of so many bytes, are written past the caches. */
int fnn_pool_streams(const fnn_pool_shape *shape, const void *out, ptrdiff_t real_bytes);

/* Elements read by the whole pooling. */
double fnn_pool_cost(const fnn_pool_shape *shape);

#endif
