/* A convolution by plain loops, in all three directions at once. */
#ifndef FNN_TESTS_CONVOLUTION_H
#define FNN_TESTS_CONVOLUTION_H

#include "typed.h"

typedef struct {
    fnn_conv2d_shape s;
    ptrdiff_t n_x, n_y, n_weight;
    real *x, *weight, *dy, *bias, *addend; /* the last two may be NULL */
    double *y, *dx, *dweight, *dbias;      /* what is right */
    double *y_size, *dx_size, *dweight_size, *dbias_size;
} convolution;

static inline fnn_conv2d_shape shape_of(ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c_in, ptrdiff_t c_out,
                                        ptrdiff_t groups, ptrdiff_t kernel_h, ptrdiff_t kernel_w) {
    return (fnn_conv2d_shape){.n = n,
                              .c_in = c_in,
                              .h = h,
                              .w = w,
                              .c_out = c_out,
                              .kernel_h = kernel_h,
                              .kernel_w = kernel_w,
                              .stride_h = 1,
                              .stride_w = 1,
                              .dilation_h = 1,
                              .dilation_w = 1,
                              .groups = groups,
                              .algorithm = FNN_AUTO};
}

/* Fill in the size of the result, of a padding that is the same on both sides. Returns 0 if there is none. */
static inline int has_result(fnn_conv2d_shape *s) {
    s->isa = fnn_isa_selected();
    ptrdiff_t left_h = s->h + 2 * s->pad_top - (s->kernel_h - 1) * s->dilation_h - 1;
    ptrdiff_t left_w = s->w + 2 * s->pad_left - (s->kernel_w - 1) * s->dilation_w - 1;
    s->h_out = left_h / s->stride_h + 1;
    s->w_out = left_w / s->stride_w + 1;
    return left_h >= 0 && left_w >= 0;
}

static inline void name_case(const fnn_conv2d_shape *s) {
    case_begins(
        "%td images %td x %td, %td to %td channels in %td groups, kernel %td x %td, stride %td, %td, padding %td, "
        "%td, dilation %td, %td, algorithm %d",
        s->n, s->h, s->w, s->c_in, s->c_out, s->groups, s->kernel_h, s->kernel_w, s->stride_h, s->stride_w, s->pad_top,
        s->pad_left, s->dilation_h, s->dilation_w, (int)s->algorithm);
}

static inline convolution convolve(const fnn_conv2d_shape *shape) {
    convolution c = {.s = *shape};
    const fnn_conv2d_shape *s = &c.s;
    ptrdiff_t group_in = s->c_in / s->groups, group_out = s->c_out / s->groups;
    c.n_x = s->h * s->w * s->n * s->c_in;
    c.n_y = s->h_out * s->w_out * s->n * s->c_out;
    c.n_weight = s->kernel_h * s->kernel_w * group_in * s->c_out;
    c.x = random_reals(c.n_x, -1, 1), c.weight = random_reals(c.n_weight, -1, 1), c.dy = random_reals(c.n_y, -1, 1);
    c.bias = random_or_null(s->c_out, -1, 1), c.addend = random_or_null(c.n_x, -1, 1);
    c.y = zeros(c.n_y), c.dx = zeros(c.n_x), c.dweight = zeros(c.n_weight), c.dbias = zeros(s->c_out);
    c.y_size = zeros(c.n_y), c.dx_size = zeros(c.n_x), c.dweight_size = zeros(c.n_weight);
    c.dbias_size = zeros(s->c_out);
    for (ptrdiff_t i = 0; c.addend != NULL && i < c.n_x; i++) {
        c.dx[i] = (double)c.addend[i], c.dx_size[i] = fabs((double)c.addend[i]);
    }
    for (ptrdiff_t i = 0; i < c.n_y; i++) {
        ptrdiff_t co = i % s->c_out, image = i / s->c_out % s->n, pixel = i / s->c_out / s->n;
        ptrdiff_t o_h = pixel / s->w_out, o_w = pixel % s->w_out, first = co / group_out * group_in;
        double dy = (double)c.dy[i], sum = c.bias == NULL ? 0 : (double)c.bias[co], size = fabs(sum);
        c.dbias[co] += dy, c.dbias_size[co] += fabs(dy);
        for (ptrdiff_t tap = 0; tap < s->kernel_h * s->kernel_w; tap++) {
            ptrdiff_t h = o_h * s->stride_h - s->pad_top + tap / s->kernel_w * s->dilation_h;
            ptrdiff_t w = o_w * s->stride_w - s->pad_left + tap % s->kernel_w * s->dilation_w;
            if (h < 0 || h >= s->h || w < 0 || w >= s->w) {
                continue;
            }
            for (ptrdiff_t k = 0; k < group_in; k++) {
                ptrdiff_t at_x = ((h * s->w + w) * s->n + image) * s->c_in + first + k;
                ptrdiff_t at_weight = (tap * group_in + k) * s->c_out + co;
                double x = (double)c.x[at_x], weight = (double)c.weight[at_weight];
                sum += x * weight, size += fabs(x * weight);
                c.dx[at_x] += dy * weight, c.dx_size[at_x] += fabs(dy * weight);
                c.dweight[at_weight] += dy * x, c.dweight_size[at_weight] += fabs(dy * x);
            }
        }
        c.y[i] = sum, c.y_size[i] = size;
    }
    return c;
}

/* Plan and run one direction. */
static inline void run_direction(const convolution *c, fnn_conv2d_direction direction, const fnn_conv2d_operands *o) {
    fnn_conv2d_plan plan;
    CALL(conv2d_plan, &c->s, direction, one_of_threads(), &plan);
    CALL(conv2d_run, &plan, o, workspace_of(plan.workspace));
}

#endif
