#include "core/pool.h"

#include "core/parallel.h"
#include "core/stream.h"

/* Fill `s` from its position on, and move it. */
static void take(const fnn_pool_shape *shape, ptrdiff_t h, ptrdiff_t w, pool_sources *s) {
    ptrdiff_t h_end = shape->h.begin[h + 1], w_begin = shape->w.begin[w], w_end = shape->w.begin[w + 1];
    s->count = 0;
    while (w_begin < w_end && s->next_h < h_end && s->count < POOL_SOURCES) {
        fnn_pool_entry vertical = shape->h.entries[s->next_h], horizontal = shape->w.entries[s->next_w];
        s->h[s->count] = vertical.source;
        s->w[s->count] = horizontal.source;
        s->offset[s->count] = (vertical.source * shape->source_w + horizontal.source) * shape->row;
        s->tap[s->count] = (int32_t)(vertical.tap * shape->taps_w + horizontal.tap);
        s->count++;
        if (++s->next_w == w_end) {
            s->next_w = w_begin;
            s->next_h++;
        }
    }
    s->is_last = w_begin == w_end || s->next_h == h_end;
}

void fnn_pool_first(const fnn_pool_shape *shape, ptrdiff_t h, ptrdiff_t w, pool_sources *s) {
    s->resume = 0;
    s->next_h = shape->h.begin[h];
    s->next_w = shape->w.begin[w];
    take(shape, h, w, s);
}

int fnn_pool_next(const fnn_pool_shape *shape, ptrdiff_t h, ptrdiff_t w, pool_sources *s) {
    if (s->is_last) {
        return 0;
    }
    s->resume = 1;
    take(shape, h, w, s);
    return 1;
}

ptrdiff_t fnn_pool_tasks(const fnn_pool_shape *shape) {
    return fnn_ceil_div(shape->h.length, POOL_ROWS) * fnn_ceil_div(shape->row, POOL_PIECE);
}

pool_task fnn_pool_task(const fnn_pool_shape *shape, ptrdiff_t task) {
    ptrdiff_t pieces = fnn_ceil_div(shape->row, POOL_PIECE); /* in the order of memory, as other operations */
    fnn_range rows = fnn_chunk(task / pieces, POOL_ROWS, shape->h.length);
    fnn_range piece = fnn_chunk(task % pieces, POOL_PIECE, shape->row);
    return (pool_task){rows.begin, rows.end, piece.begin, piece.end};
}

int fnn_pool_streams(const fnn_pool_shape *shape, const void *out, ptrdiff_t real_bytes) {
    ptrdiff_t row_bytes = shape->row * real_bytes;
    return fnn_worth_streaming(out, shape->h.length * shape->w.length * row_bytes, row_bytes);
}

double fnn_pool_cost(const fnn_pool_shape *shape) {
    return (double)shape->h.begin[shape->h.length] * (double)shape->w.begin[shape->w.length] * (double)shape->row;
}
