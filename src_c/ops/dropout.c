/* Dropout: chunks of elements, or of rows of pixels when whole channels are dropped. */
#include "ops/op.h"

/* Chunks must begin at a block of random words; see kernels/dropout.c. */
_Static_assert(FNN_POINTWISE_CHUNK % 64 == 0, "chunks must be whole blocks of 64 random words");

/* The random word of an element, in elementary operations. */
enum { COST = 5 };

typedef struct {
    ptrdiff_t n;
    uint64_t key;
    uint32_t threshold;
    real scale;
    const real *x;
    real *y;
} dropout;

static void dropout_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const dropout *p = context;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, p->n);
    KERNELS->dropout(r.begin, r.end - r.begin, p->key, p->threshold, p->scale, p->x + r.begin, p->y + r.begin);
}

fnn_status OP(dropout)(ptrdiff_t n, uint64_t key, uint32_t threshold, double scale, const real *x, real *y,
                       int n_threads) {
    dropout p = {n, key, threshold, (real)scale, x, y};
    fnn_parallel_for(fnn_ceil_div(n, FNN_POINTWISE_CHUNK), COST * (double)n, n_threads, dropout_task, &p);
    return FNN_OK;
}

typedef struct {
    ptrdiff_t rows, columns, chunk;
    const real *factors, *x;
    real *y;
} channel_dropout;

static void channels_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const channel_dropout *p = context;
    fnn_range r = fnn_chunk(task, p->chunk, p->rows);
    ptrdiff_t first = r.begin * p->columns;
    KERNELS->dropout_channels(r.end - r.begin, p->columns, p->factors, p->x + first, p->y + first);
}

fnn_status OP(dropout_channels)(ptrdiff_t rows, ptrdiff_t columns, const real *x, const real *factors, real *y,
                                int n_threads) {
    channel_dropout p = {rows, columns, fnn_max(1, FNN_POINTWISE_CHUNK / fnn_max(1, columns)), factors, x, y};
    fnn_parallel_for(fnn_ceil_div(rows, p.chunk), (double)rows * (double)columns, n_threads, channels_task, &p);
    return FNN_OK;
}
