/* A training batch in one pass: images gathered by index, shifted, mirrored, cut out, normalised, and written
 * pixel-major. The value of a byte comes from a table, so that the result is the correctly rounded (v / 255 -
 * mean) / std whatever it costs to compute. */
#include "ops/op.h"

enum { BLOCK = 16 }; /* images of one task: their pixels fill whole cache lines of the result from 1 channel on */

typedef struct {
    const fnn_augment_shape *shape;
    const uint8_t *images;
    const int64_t *indices, *shifts, *boxes;
    const uint8_t *flips;
    const real *table, *fill;
    real *out;
} augment;

/* The position that an image shows at `position` of the plane around it, or -1 where it shows nothing. */
static inline ptrdiff_t inside(ptrdiff_t position, ptrdiff_t size, int reflect) {
    if (reflect) {
        position = position < 0 ? -position : position;
        return position < size ? position : 2 * (size - 1) - position;
    }
    return position >= 0 && position < size ? position : -1;
}

/* Row `i` of image `k` of the batch. */
static void write_row(const augment *a, ptrdiff_t k, ptrdiff_t i) {
    const fnn_augment_shape *s = a->shape;
    ptrdiff_t stride = s->n * s->c, row = inside(i + a->shifts[2 * k], s->h, s->reflect), shift = a->shifts[2 * k + 1];
    ptrdiff_t plane = s->h * s->w;
    const uint8_t *image = a->images + a->indices[k] * s->c * plane + (row < 0 ? 0 : row * s->w);
    real *out = a->out + i * s->w * stride + k * s->c;
    for (ptrdiff_t j = 0; j < s->w; j++, out += stride) {
        ptrdiff_t column = inside((a->flips[k] ? s->w - 1 - j : j) + shift, s->w, s->reflect);
        for (ptrdiff_t channel = 0; channel < s->c; channel++) {
            /* Padding is black: it takes the value of byte 0. */
            uint8_t value = row < 0 || column < 0 ? 0 : image[channel * plane + column];
            out[channel] = a->table[channel * 256 + value];
        }
    }
}

static void fill_box(const augment *a, ptrdiff_t k) {
    const fnn_augment_shape *s = a->shape;
    const int64_t *box = a->boxes + 4 * k; /* top, left, bottom, right */
    for (ptrdiff_t i = fnn_max(box[0], 0); i < fnn_min(box[2], s->h); i++) {
        for (ptrdiff_t j = fnn_max(box[1], 0); j < fnn_min(box[3], s->w); j++) {
            for (ptrdiff_t channel = 0; channel < s->c; channel++) {
                a->out[((i * s->w + j) * s->n + k) * s->c + channel] = a->fill[channel];
            }
        }
    }
}

/* Task: BLOCK images, row by row, so that the lines they share stay in the first-level cache. */
static void augment_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const augment *a = context;
    fnn_range r = fnn_chunk(task, BLOCK, a->shape->n);
    for (ptrdiff_t i = 0; i < a->shape->h; i++) {
        for (ptrdiff_t k = r.begin; k < r.end; k++) {
            write_row(a, k, i);
        }
    }
    for (ptrdiff_t k = r.begin; k < r.end; k++) {
        fill_box(a, k);
    }
}

fnn_status OP(augment_batch)(const fnn_augment_shape *shape, const uint8_t *images, const int64_t *indices,
                             const int64_t *shifts, const uint8_t *flips, const int64_t *boxes, const real *table,
                             const real *fill, real *out, int n_threads) {
    for (ptrdiff_t k = 0; k < shape->n; k++) {
        int64_t down = shifts[2 * k], right = shifts[2 * k + 1];
        int outside = down <= -shape->h || down >= shape->h || right <= -shape->w || right >= shape->w;
        if (indices[k] < 0 || indices[k] >= shape->n_images || outside) {
            return FNN_BAD_INDEX;
        }
    }
    augment a = {shape, images, indices, shifts, boxes, flips, table, fill, out};
    fnn_parallel_for(fnn_ceil_div(shape->n, BLOCK), 2.0 * shape->n * shape->c * shape->h * shape->w, n_threads,
                     augment_task, &a);
    return FNN_OK;
}

/* Bilinear sampling: result pixel (i, j) of image k is the source at (y, x) = map_k (i, j, 1), with weight 0
 * outside. */
typedef struct {
    ptrdiff_t n, c, h, w;
    const real *x, *maps;
    real fill;
    real *out;
} warp;

static inline const real *pixel_or_null(const warp *p, ptrdiff_t k, ptrdiff_t i, ptrdiff_t j) {
    return i >= 0 && i < p->h && j >= 0 && j < p->w ? p->x + ((i * p->w + j) * p->n + k) * p->c : NULL;
}

static inline ptrdiff_t floor_of(real value) {
    ptrdiff_t truncated = (ptrdiff_t)value;
    return truncated - ((real)truncated > value);
}

/* Task: one row of the result, all images. */
static void warp_task(void *context, ptrdiff_t i, int thread) {
    (void)thread;
    const warp *p = context;
    for (ptrdiff_t j = 0; j < p->w; j++) {
        real *out = p->out + (i * p->w + j) * p->n * p->c;
        for (ptrdiff_t k = 0; k < p->n; k++, out += p->c) {
            const real *m = p->maps + 6 * k;
            real y = (m[0] * (real)i + m[1] * (real)j) + m[2], x = (m[3] * (real)i + m[4] * (real)j) + m[5];
            /* Far outside (or NaN) counts as just outside: a float beyond ptrdiff_t must not be converted. */
            y = y > -1 ? (y < (real)p->h ? y : (real)p->h) : -1;
            x = x > -1 ? (x < (real)p->w ? x : (real)p->w) : -1;
            ptrdiff_t top = floor_of(y), left = floor_of(x);
            real down = y - (real)top, right = x - (real)left;
            const real *corner[4] = {pixel_or_null(p, k, top, left), pixel_or_null(p, k, top, left + 1),
                                     pixel_or_null(p, k, top + 1, left), pixel_or_null(p, k, top + 1, left + 1)};
            real weight[4] = {(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right};
            for (ptrdiff_t channel = 0; channel < p->c; channel++) {
                real sum = 0;
                for (int q = 0; q < 4; q++) {
                    sum += weight[q] * (corner[q] ? corner[q][channel] : p->fill);
                }
                out[channel] = sum;
            }
        }
    }
}

fnn_status OP(warp_batch)(ptrdiff_t n, ptrdiff_t c, ptrdiff_t h, ptrdiff_t w, const real *x, const real *maps,
                          real fill, real *out, int n_threads) {
    warp p = {n, c, h, w, x, maps, fill, out};
    fnn_parallel_for(h, 10.0 * n * c * h * w, n_threads, warp_task, &p);
    return FNN_OK;
}
