/* Convolution forward and backward to the input for filters of one channel each (depthwise) and for small groups: the
 * kernels take all channels of a pixel, and so need no panels. */
#include "ops/conv2d.h"

enum { FEW_IMAGES = 8 }; /* see `by_image` */

typedef struct {
    conv2d conv;
    int grouped;
    int by_image; /* of each image, pixels a stride apart are a run: there are too few images for one of their own */
    tap_map map;
    tap_pixels *pixels; /* of `by_image` */
    ptrdiff_t n_pixels, step;
    norm_pass norm;
    real *packed; /* of groups, backward: [tap][channel of dy in its group][channel of dx] */
} channels_conv2d;

/* Task: the weights of one tap, packed. */
static void pack_task(void *context, ptrdiff_t tap, int thread) {
    (void)thread;
    const channels_conv2d *g = context;
    const conv2d *c = &g->conv;
    real *to = g->packed + tap * c->depth * c->y_channels;
    const real *weight = c->weight + tap * c->columns * c->x_channels;
    for (ptrdiff_t k = 0; k < c->depth; k++) {
        for (ptrdiff_t j = 0; j < c->y_channels; j++) {
            ptrdiff_t group = j / c->columns;
            to[k * c->y_channels + j] = weight[j % c->columns * c->x_channels + group * c->depth + k];
        }
    }
}

/* `rows` rows of all channels, that of the pixel at (h, w) and this image first, with its taps. */
static void multiply_pixels(const channels_conv2d *g, ptrdiff_t h, ptrdiff_t w, ptrdiff_t image, ptrdiff_t rows,
                            ptrdiff_t x_stride, ptrdiff_t row_stride) {
    const conv2d *c = &g->conv;
    ptrdiff_t x_offset[CONV2D_TAPS], weight_offset[CONV2D_TAPS], channels = c->y_channels;
    ptrdiff_t at = ((h * c->y_width + w) * c->shape->n + image) * channels;
    fnn_grouped problem = {
        .rows = rows,
        .channels = channels,
        .x_stride = x_stride,
        .row_stride = row_stride,
        .group_in = c->depth,
        .group_out = c->columns,
        .x = c->x + image * c->x_channels,
        .x_offset = x_offset,
        .w = g->packed != NULL ? g->packed : c->weight,
        .w_offset = weight_offset,
        .start = c->bias,
        .start_stride = 0,
        .out = c->y + at,
    };
    for (ptrdiff_t number = 0; number < c->taps;) {
        number = OP(conv2d_list_taps)(c, &g->map, h, w, number, &problem.count, x_offset, weight_offset);
        for (ptrdiff_t i = 0; i < problem.count; i++) {
            weight_offset[i] = tap_of_number(c, weight_offset[i]) * c->depth * channels;
        }
        if (g->grouped) {
            c->kernels->grouped(&problem);
        } else {
            c->kernels->depthwise(&problem);
        }
        problem.start = problem.out;
        problem.start_stride = row_stride;
    }
    OP(conv2d_finish_rows)(c, &g->norm, rows, channels, row_stride, at, 0);
}

/* Task: one run of one destination row. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const channels_conv2d *g = context;
    const conv2d *c = &g->conv;
    if (!g->by_image) {
        const tap_run *run = g->map.runs + task % g->map.n_runs;
        multiply_pixels(g, task / g->map.n_runs, run->w, run->row, run->rows, c->x_channels, c->y_channels);
        return;
    }
    const tap_pixels *run = g->pixels + task % g->n_pixels;
    ptrdiff_t x_stride = (c->backward ? 1 : c->shape->stride_w) * c->shape->n * c->x_channels;
    for (ptrdiff_t image = 0; image < c->shape->n; image++) {
        ptrdiff_t row_stride = g->step * c->shape->n * c->y_channels;
        multiply_pixels(g, task / g->n_pixels, run->first, image, run->pixels, x_stride, row_stride);
    }
}

ptrdiff_t OP(conv2d_by_channel)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *base) {
    channels_conv2d g = {.conv = OP(conv2d_of)(plan, operands)};
    const conv2d *c = &g.conv;
    const fnn_conv2d_shape *s = c->shape;
    g.grouped = !fnn_conv2d_is_depthwise(s);
    g.by_image = s->stride_w > 1 && s->n < FEW_IMAGES;
    workspace_cursor workspace = {base, 0};
    fnn_tap_map(s, c->backward, TAP_RUN_ROWS, &workspace, &g.map);
    g.pixels = workspace_take(&workspace, g.by_image ? c->y_width : 0, sizeof(tap_pixels));
    norm_prepare(&g.norm, c->norm, c->kernels, c->y_channels, &workspace);
    int packs = g.grouped && c->backward;
    g.packed = workspace_take(&workspace, packs ? SIZE(c->taps, c->depth, c->y_channels) : 0, sizeof(real));
    g.packed = packs ? g.packed : NULL;
    if (base == NULL) {
        return workspace.used;
    }
    if (g.by_image) {
        g.step = c->backward ? s->stride_w : 1;
        g.n_pixels = fnn_tap_pixels(&g.map.w, g.step, c->backward ? 1 : s->stride_w, g.pixels);
    }
    if (packs) {
        fnn_parallel_for(c->taps, (double)c->taps * c->depth * c->y_channels, c->n_threads, pack_task, &g);
    }
    double cost = (double)c->y_height * c->y_width * s->n * c->taps * c->depth * c->y_channels / 16;
    fnn_parallel_for(c->y_height * (g.by_image ? g.n_pixels : g.map.n_runs), cost, c->n_threads, multiply_task, &g);
    return workspace.used;
}
