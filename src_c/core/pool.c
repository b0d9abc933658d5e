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

/* Enough tasks for many threads, if they are not too small; of a few rows, whose sources stay in the L1 cache when the task
 * goes from column to column, and of long streams of memory. */
enum { WANTED_TASKS = 64, MOST_ROWS = 4, MOST_REALS = 2048, LEAST_REALS = 512 };

typedef struct {
    ptrdiff_t rows, reals; /* of a task */
} cut;

static ptrdiff_t tasks_of(const fnn_pool_shape *shape, cut c) {
    return fnn_ceil_div(shape->h.length, c.rows) * fnn_ceil_div(shape->row, c.reals);
}

static cut cut_of(const fnn_pool_shape *shape) {
    cut c = {MOST_ROWS, MOST_REALS};
    while (c.rows > 1 && tasks_of(shape, c) < WANTED_TASKS) {
        c.rows /= 2;
    }
    while (c.reals > LEAST_REALS && tasks_of(shape, c) < WANTED_TASKS) {
        c.reals /= 2;
    }
    return c;
}

ptrdiff_t fnn_pool_tasks(const fnn_pool_shape *shape) { return tasks_of(shape, cut_of(shape)); }

pool_task fnn_pool_task(const fnn_pool_shape *shape, ptrdiff_t task) {
    cut c = cut_of(shape);
    ptrdiff_t pieces = fnn_ceil_div(shape->row, c.reals); /* in the order of memory, as other operations */
    fnn_range rows = fnn_chunk(task / pieces, c.rows, shape->h.length);
    fnn_range piece = fnn_chunk(task % pieces, c.reals, shape->row);
    return (pool_task){rows.begin, rows.end, piece.begin, piece.end};
}

int fnn_pool_streams(const fnn_pool_shape *shape, const void *out, ptrdiff_t real_bytes) {
    ptrdiff_t row_bytes = shape->row * real_bytes;
    return fnn_worth_streaming(out, shape->h.length * shape->w.length * row_bytes, row_bytes);
}

double fnn_pool_cost(const fnn_pool_shape *shape) {
    return (double)shape->h.begin[shape->h.length] * (double)shape->w.begin[shape->w.length] * (double)shape->row;
}
