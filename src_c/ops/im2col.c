/* im2col and col2im, as fnn_ops.h states them. Patches are copied tap by tap, in rows as long as they fall on the image. */
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

/* Task: one plane of x. */
static void im2col_task(void *context, ptrdiff_t plane, int thread) {
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

fnn_status OP(im2col)(const fnn_conv2d_shape *shape, const real *x, real *columns, int n_threads) {
    im2col t = {shape, x, columns};
    fnn_parallel_for(shape->n * shape->c_in, cost(shape), n_threads, im2col_task, &t);
    return FNN_OK;
}

/* Task: one plane of x. */
static void col2im_task(void *context, ptrdiff_t plane, int thread) {
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

fnn_status OP(col2im)(const fnn_conv2d_shape *shape, const real *columns, real *x, int n_threads) {
    im2col t = {shape, columns, x};
    fnn_parallel_for(shape->n * shape->c_in, cost(shape), n_threads, col2im_task, &t);
    return FNN_OK;
}
