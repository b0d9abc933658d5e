/* im2col and col2im, in the two layouts that fnn_ops.h states: planes for users, pixels for our own
 * convolution.
 *
 * Groups need no code: with pixels, an image of groups * c channels is as good as `groups` images of c
 * channels. */
#include <string.h>

#include "ops/op.h"

typedef struct {
    const fnn_conv2d_shape *shape;
    const real *in;
    real *out;
} im2col;

static ptrdiff_t taps(const fnn_conv2d_shape *s) { return s->kernel_h * s->kernel_w; }

static double cost(const fnn_conv2d_shape *s) {
    return (double)s->n * (double)s->c_in * (double)taps(s) * (double)s->h_out * (double)s->w_out;
}

/* The outputs along one axis for which a tap falls on the image: first .. first + count - 1, and the input
 * that the first of them reads. */
typedef struct {
    ptrdiff_t first, count, source;
} reached;

static reached reached_outputs(ptrdiff_t size, ptrdiff_t out, ptrdiff_t tap, ptrdiff_t stride, ptrdiff_t pad) {
    ptrdiff_t shift = tap - pad; /* output i reads input i * stride + shift */
    ptrdiff_t first = shift < 0 ? fnn_ceil_div(-shift, stride) : 0;
    ptrdiff_t end = shift < size ? fnn_min(out, (size - 1 - shift) / stride + 1) : 0;
    return (reached){first, fnn_max(0, end - first), first * stride + shift};
}

static void clear(real *p, ptrdiff_t n) { memset(p, 0, (size_t)n * sizeof(real)); }

/* ---- planes: x[n][c][h][w], columns[n][c][kernel_h][kernel_w][h_out][w_out]
 * ------------------------------------- */

/* Task: one plane of x. */
static void im2col_planes_task(void *context, ptrdiff_t plane, int thread) {
    (void)thread;
    const im2col *t = context;
    const fnn_conv2d_shape *s = t->shape;
    const real *x = t->in + plane * s->h * s->w;
    real *out = t->out + plane * taps(s) * s->h_out * s->w_out;
    for (ptrdiff_t p = 0; p < s->kernel_h; p++) {
        for (ptrdiff_t q = 0; q < s->kernel_w; q++) {
            reached h = reached_outputs(s->h, s->h_out, p * s->dilation_h, s->stride_h, s->pad_top);
            reached w = reached_outputs(s->w, s->w_out, q * s->dilation_w, s->stride_w, s->pad_left);
            clear(out, s->h_out * s->w_out);
            for (ptrdiff_t i = 0; i < h.count; i++) {
                const real *from = x + (h.source + i * s->stride_h) * s->w + w.source;
                real *to = out + (h.first + i) * s->w_out + w.first;
                for (ptrdiff_t j = 0; j < w.count; j++) {
                    to[j] = from[j * s->stride_w];
                }
            }
            out += s->h_out * s->w_out;
        }
    }
}

fnn_status OP(im2col_planes)(const fnn_conv2d_shape *shape, const real *x, real *columns, int n_threads) {
    im2col t = {shape, x, columns};
    fnn_parallel_for(shape->n * shape->c_in, cost(shape), n_threads, im2col_planes_task, &t);
    return FNN_OK;
}

/* Task: one plane of x. */
static void col2im_planes_task(void *context, ptrdiff_t plane, int thread) {
    (void)thread;
    const im2col *t = context;
    const fnn_conv2d_shape *s = t->shape;
    const real *in = t->in + plane * taps(s) * s->h_out * s->w_out;
    real *x = t->out + plane * s->h * s->w;
    clear(x, s->h * s->w);
    for (ptrdiff_t p = 0; p < s->kernel_h; p++) {
        for (ptrdiff_t q = 0; q < s->kernel_w; q++) {
            reached h = reached_outputs(s->h, s->h_out, p * s->dilation_h, s->stride_h, s->pad_top);
            reached w = reached_outputs(s->w, s->w_out, q * s->dilation_w, s->stride_w, s->pad_left);
            for (ptrdiff_t i = 0; i < h.count; i++) {
                const real *from = in + (h.first + i) * s->w_out + w.first;
                real *to = x + (h.source + i * s->stride_h) * s->w + w.source;
                for (ptrdiff_t j = 0; j < w.count; j++) {
                    to[j * s->stride_w] += from[j];
                }
            }
            in += s->h_out * s->w_out;
        }
    }
}

fnn_status OP(col2im_planes)(const fnn_conv2d_shape *shape, const real *columns, real *x, int n_threads) {
    im2col t = {shape, columns, x};
    fnn_parallel_for(shape->n * shape->c_in, cost(shape), n_threads, col2im_planes_task, &t);
    return FNN_OK;
}

/* ---- pixels: x[h][w][n][c], rows[h_out][w_out][n][kernel_h][kernel_w][c]
 * ------------------------------------------ */

/* Task: one row of output pixels. */
static void im2col_pixels_task(void *context, ptrdiff_t h_out, int thread) {
    (void)thread;
    const im2col *t = context;
    const fnn_conv2d_shape *s = t->shape;
    ptrdiff_t c = s->c_in, row = taps(s) * c;
    for (ptrdiff_t w_out = 0; w_out < s->w_out; w_out++) {
        real *out = t->out + (h_out * s->w_out + w_out) * s->n * row;
        for (ptrdiff_t p = 0; p < s->kernel_h; p++) {
            for (ptrdiff_t q = 0; q < s->kernel_w; q++) {
                ptrdiff_t h = h_out * s->stride_h - s->pad_top + p * s->dilation_h;
                ptrdiff_t w = w_out * s->stride_w - s->pad_left + q * s->dilation_w;
                int inside = h >= 0 && h < s->h && w >= 0 && w < s->w;
                const real *pixel = inside ? t->in + (h * s->w + w) * s->n * c : NULL;
                real *to = out + (p * s->kernel_w + q) * c;
                for (ptrdiff_t n = 0; n < s->n; n++) {
                    if (inside) {
                        memcpy(to + n * row, pixel + n * c, (size_t)c * sizeof(real));
                    } else {
                        clear(to + n * row, c);
                    }
                }
            }
        }
    }
}

fnn_status OP(im2col_pixels)(const fnn_conv2d_shape *shape, const real *x, real *rows, int n_threads) {
    im2col t = {shape, x, rows};
    fnn_parallel_for(shape->h_out, cost(shape), n_threads, im2col_pixels_task, &t);
    return FNN_OK;
}

/* The output that reads input `i` through a tap, or -1. */
static ptrdiff_t reading_output(ptrdiff_t i, ptrdiff_t out, ptrdiff_t tap, ptrdiff_t stride, ptrdiff_t pad) {
    ptrdiff_t from = i + pad - tap;
    return from >= 0 && from % stride == 0 && from / stride < out ? from / stride : -1;
}

/* Sources of one kernel call; a pixel that more taps reach takes several. */
enum { SOURCES = 64 };

/* x[w of row h] of all images (+)= the rows of the sources. */
static void add_sources(const im2col *t, ptrdiff_t count, const ptrdiff_t *offset, int resume, real *x) {
    const fnn_conv2d_shape *s = t->shape;
    real ones[SOURCES];
    for (ptrdiff_t b = 0; b < count; b++) {
        ones[b] = 1;
    }
    for (ptrdiff_t n = 0; n < s->n; n++) {
        fnn_avgpool problem = {
            .n = s->c_in,
            .count = count,
            .resume = resume,
            .x = t->in + n * taps(s) * s->c_in,
            .offset = offset,
            .weight = ones,
            .divisor = 1,
            .out = x + n * s->c_in,
        };
        KERNELS->avgpool(&problem);
    }
}

/* Task: one row of pixels of x. */
static void col2im_pixels_task(void *context, ptrdiff_t h, int thread) {
    (void)thread;
    const im2col *t = context;
    const fnn_conv2d_shape *s = t->shape;
    ptrdiff_t offset[SOURCES];
    for (ptrdiff_t w = 0; w < s->w; w++) {
        real *x = t->out + (h * s->w + w) * s->n * s->c_in;
        ptrdiff_t count = 0;
        int resume = 0;
        for (ptrdiff_t p = 0; p < s->kernel_h; p++) {
            ptrdiff_t h_out = reading_output(h, s->h_out, p * s->dilation_h, s->stride_h, s->pad_top);
            for (ptrdiff_t q = 0; h_out >= 0 && q < s->kernel_w; q++) {
                ptrdiff_t w_out = reading_output(w, s->w_out, q * s->dilation_w, s->stride_w, s->pad_left);
                if (w_out < 0) {
                    continue;
                }
                if (count == SOURCES) {
                    add_sources(t, count, offset, resume, x);
                    resume = 1;
                    count = 0;
                }
                ptrdiff_t row = (h_out * s->w_out + w_out) * s->n;
                offset[count++] = (row * taps(s) + p * s->kernel_w + q) * s->c_in;
            }
        }
        add_sources(t, count, offset, resume, x);
    }
}

fnn_status OP(col2im_pixels)(const fnn_conv2d_shape *shape, const real *rows, real *x, int n_threads) {
    im2col t = {shape, rows, x};
    fnn_parallel_for(shape->h, cost(shape), n_threads, col2im_pixels_task, &t);
    return FNN_OK;
}
