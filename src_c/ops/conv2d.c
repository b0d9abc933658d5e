/* Convolution forward and backward to the input: one sum of small matrix products over a list of taps.
 *
 *     y[p] = sum over taps t that reach p of  x[source(p, t)] @ W[t]        each x[.] an (n, c_in) matrix
 *
 * Going backward, y is dx, x is dy, W[t] is transposed and source() inverts. Taps on padding are not in the list:
 * nothing is padded, copied or multiplied by zero. Where runs of such rows are short, conv2d_gathered.c is faster.
 */
#include <string.h>

#include "core/taps.h"
#include "core/workspace.h"
#include "ops/conv2d_gathered.h"
#include "ops/conv2d_planes.h"
#include "ops/few_rows.h"
#include "ops/norm.h"
#include "ops/op.h"
#include "ops/winograd.h"

/* Taps of one kernel call; more are added by further calls. */
enum { MAX_TAPS = 64 };

/* Bytes of packed weights that one kernel call reads for every tile of rows: a part of the L2 cache (1 MB or more on
 * CPUs of the last ten years, 256 KB on older ones), the rest of which holds the activations. */
enum { WEIGHT_BYTES = 192 * 1024 };

/* Going forward, weights lie as the kernel needs them, but for the distance of their rows. Packing them pays when they are
 * read for more rows than this. */
enum { ROWS_WORTH_PACKING = 256 };

/* Of those few rows, so many read a slice of the weights together. */
enum { ROWS_TOGETHER = 28 };

enum {
    WANTED_TASKS = 32,   /* enough for many threads, if runs of rows can be cut */
    LEAST_RUN_ROWS = 60, /* to so few: shorter ones read the weights too often */
    TILE_ROWS = 12,      /* of which runs are a multiple */
    FEW_IMAGES = 8       /* see `by_image` */
};

typedef struct {
    const fnn_conv2d_shape *shape;
    const FNN_TYPED(fnn_kernels) * kernels;
    int backward, packs, few_rows, grouped;
    int by_image; /* of each image, pixels a stride apart are a run: there are too few images for one of their own */
    ptrdiff_t depth, columns; /* per group: channels summed over, channels produced */
    ptrdiff_t x_channels, y_channels, x_width, y_width;
    ptrdiff_t panel_columns, panels; /* panels per group */
    ptrdiff_t taps;
    ptrdiff_t slice; /* of the depth, whose weights stay in cache */
    tap_map map;
    tap_pixels *pixels; /* of `by_image` */
    ptrdiff_t n_pixels, step;
    real *packed; /* [group][panel][tap number][depth][panel columns] */
    real *sums;   /* of `few_rows` */
    norm_pass norm;
    const real *x, *weight, *bias, *addend;
    real *y;
} conv2d;

/* Whether the kernels take whole pixels, not panels of one group. */
static int is_by_channel(const conv2d *c) { return c->grouped || fnn_conv2d_is_depthwise(c->shape); }

/* Forward, with one pixel and one tap that reads it: a linear layer. */
static int is_product_of_few_rows(const conv2d *c) {
    const fnn_conv2d_shape *s = c->shape;
    int one_pixel = s->h * s->w == 1 && s->h_out * s->w_out == 1 && s->pad_top == 0 && s->pad_left == 0;
    return !c->backward && s->groups == 1 && c->taps == 1 && one_pixel && s->n <= FNN_FEW_ROWS;
}

ptrdiff_t OP(conv2d_slice)(const FNN_TYPED(fnn_kernels) * kernels, ptrdiff_t taps, ptrdiff_t columns) {
    ptrdiff_t bytes = taps * fnn_min(kernels->panel_columns, columns) * (ptrdiff_t)sizeof(real);
    return fnn_max(16, WEIGHT_BYTES / bytes / 16 * 16);
}

/* Rows of a run: fewer if there would be too few tasks for many threads, but not so few that reading the weights takes
 * the time. */
static ptrdiff_t run_rows(const conv2d *c) {
    const fnn_conv2d_shape *s = c->shape;
    ptrdiff_t rows = SIZE(c->y_width, s->n), tasks = SIZE(c->backward ? s->h : s->h_out, c->panels, s->groups);
    ptrdiff_t pieces = fnn_max(1, fnn_min(fnn_ceil_div(WANTED_TASKS, tasks), rows / LEAST_RUN_ROWS));
    return fnn_min(TAP_RUN_ROWS, fnn_ceil_div(fnn_ceil_div(rows, pieces), TILE_ROWS) * TILE_ROWS);
}

/* Set up `c` and take its pieces of the workspace; returns the bytes used. With base NULL only counts. */
static ptrdiff_t prepare(conv2d *c, const fnn_conv2d_shape *s, int backward, const OP(norm) * norm, void *base) {
    ptrdiff_t c_in = s->c_in / s->groups, c_out = s->c_out / s->groups;
    c->shape = s;
    c->backward = backward;
    c->depth = backward ? c_out : c_in;
    c->columns = backward ? c_in : c_out;
    c->x_channels = backward ? s->c_out : s->c_in;
    c->y_channels = backward ? s->c_in : s->c_out;
    c->x_width = backward ? s->w_out : s->w;
    c->y_width = backward ? s->w : s->w_out;
    c->kernels = KERNELS_OF(s->isa);
    c->panel_columns = c->kernels->panel_columns;
    c->panels = fnn_ceil_div(c->columns, c->panel_columns);
    c->taps = s->kernel_h * s->kernel_w;
    c->slice = OP(conv2d_slice)(c->kernels, c->taps, c->columns);
    c->grouped = fnn_conv2d_is_grouped(c->depth, c->columns, s->groups, c->kernels->lanes);
    c->packs =
        !fnn_conv2d_is_depthwise(s) && !c->grouped && (backward || s->n * c->y_width * s->h_out > ROWS_WORTH_PACKING);
    workspace_cursor workspace = {base, 0};
    fnn_tap_map(s, backward, run_rows(c), &workspace, &c->map);
    c->by_image = is_by_channel(c) && s->stride_w > 1 && s->n < FEW_IMAGES;
    c->pixels = workspace_take(&workspace, c->by_image ? c->y_width : 0, sizeof(tap_pixels));
    if (c->by_image && base != NULL) {
        c->step = backward ? s->stride_w : 1;
        c->n_pixels = fnn_tap_pixels(&c->map.w, c->step, backward ? 1 : s->stride_w, c->pixels);
    }
    norm_prepare(&c->norm, norm, c->kernels, c->y_channels, &workspace);
    c->few_rows = is_product_of_few_rows(c);
    c->sums =
        workspace_take(&workspace, !c->few_rows ? 0 : OP(few_rows_sums)(s->n, c->depth, c->columns), sizeof(real));
    ptrdiff_t packed = c->packs                    ? SIZE(s->groups, c->panels, c->taps, c->depth, c->panel_columns)
                       : c->grouped && c->backward ? SIZE(c->taps, c->depth, c->y_channels)
                                                   : 0;
    c->packed = workspace_take(&workspace, packed, sizeof(real));
    return workspace.used;
}

ptrdiff_t OP(conv2d_forward_workspace)(const fnn_conv2d_shape *shape, int n_threads) {
    if (shape->algorithm != FNN_DIRECT) {
        return OP(winograd_forward_workspace)(shape, n_threads);
    }
    if (OP(conv2d_multiplies_planes)(shape)) {
        return OP(conv2d_planes_workspace)(shape, n_threads);
    }
    if (OP(conv2d_gathers)(shape, 0)) {
        return OP(conv2d_gathered_workspace)(shape, 0, n_threads);
    }
    conv2d c;
    return prepare(&c, shape, 0, NULL, NULL);
}

ptrdiff_t OP(conv2d_backward_data_workspace)(const fnn_conv2d_shape *shape, int n_threads) {
    if (shape->algorithm != FNN_DIRECT) {
        return OP(winograd_backward_data_workspace)(shape, n_threads);
    }
    if (OP(conv2d_gathers)(shape, 1)) {
        return OP(conv2d_gathered_workspace)(shape, 1, n_threads);
    }
    conv2d c;
    return prepare(&c, shape, 1, NULL, NULL);
}

/* The columns of a panel that are used, and those that it stores: whole cache lines. */
static ptrdiff_t used_columns(const conv2d *c, ptrdiff_t panel) {
    return fnn_min(c->panel_columns, c->columns - panel * c->panel_columns);
}
static ptrdiff_t stored_columns(const conv2d *c, ptrdiff_t panel) {
    ptrdiff_t line = 64 / (ptrdiff_t)sizeof(real);
    return fnn_min(c->panel_columns, fnn_ceil_div(used_columns(c, panel), line) * line);
}
/* Runs that one task multiplies by one slice of the weights after the other, so that each slice is fetched once for all
 * of them. Long runs use a slice often enough. */
static ptrdiff_t runs_together(const conv2d *c) {
    ptrdiff_t rows = c->shape->n * c->y_width;
    int long_runs = c->packs || c->slice >= c->depth || rows > LEAST_RUN_ROWS;
    return long_runs ? 1 : fnn_max(1, ROWS_TOGETHER / rows) * c->map.n_runs;
}
static real *packed_panel(const conv2d *c, ptrdiff_t group, ptrdiff_t panel) {
    return c->packed + (group * c->panels + panel) * c->taps * c->depth * c->panel_columns;
}

/* Taps are numbered by what they read: going backward the last tap reads the first pixel. So a run reads its source and
 * its weights upwards; downwards, where prefetchers do not follow, costs a sixth of the speed. */
static ptrdiff_t tap_of_number(const conv2d *c, ptrdiff_t number) {
    return c->backward ? c->taps - 1 - number : number;
}

/* Task: one tap of one panel of one group. Padding columns are zero. */
static void pack_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const conv2d *c = context;
    const fnn_conv2d_shape *s = c->shape;
    ptrdiff_t number = task % c->taps, panel = task / c->taps % c->panels, group = task / c->taps / c->panels;
    ptrdiff_t used = used_columns(c, panel), stored = stored_columns(c, panel);
    ptrdiff_t c_in = s->c_in / s->groups, c_out = s->c_out / s->groups;
    const real *weight = c->weight + tap_of_number(c, number) * c_in * s->c_out + group * c_out;
    real *packed = packed_panel(c, group, panel) + number * c->depth * stored;
    if (c->backward) {
        const real *from = weight + panel * c->panel_columns * s->c_out;
        for (ptrdiff_t k = 0; k < c->depth && used < stored; k++) {
            for (ptrdiff_t j = used; j < stored; j++) {
                packed[k * stored + j] = 0;
            }
        }
        c->kernels->transpose(used, c->depth, from, s->c_out, packed, stored);
        return;
    }
    for (ptrdiff_t k = 0; k < c->depth; k++) {
        const real *from = weight + k * s->c_out + panel * c->panel_columns;
        for (ptrdiff_t j = 0; j < stored; j++) {
            packed[k * stored + j] = j < used ? from[j] : 0;
        }
    }
}

/* The taps that reach destination (h, w), from number `first` on; at most MAX_TAPS. Offsets are in elements: of x, and
 * of weights of `weight_step` elements a tap. Returns the number to go on with. */
static ptrdiff_t list_taps(const conv2d *c, ptrdiff_t h, ptrdiff_t w, ptrdiff_t first, ptrdiff_t weight_step,
                           ptrdiff_t *count, ptrdiff_t *x_offset, ptrdiff_t *weight_offset) {
    const ptrdiff_t *source_h = c->map.h.source + h * c->map.h.kernel;
    const ptrdiff_t *source_w = c->map.w.source + w * c->map.w.kernel;
    *count = 0;
    ptrdiff_t number = first;
    for (; number < c->taps && *count < MAX_TAPS; number++) {
        ptrdiff_t tap = tap_of_number(c, number);
        ptrdiff_t in_h = source_h[tap / c->map.w.kernel], in_w = source_w[tap % c->map.w.kernel];
        if (in_h >= 0 && in_w >= 0) {
            x_offset[*count] = (in_h * c->x_width + in_w) * c->shape->n * c->x_channels;
            weight_offset[*count] = (is_by_channel(c) ? tap : number) * weight_step;
            ++*count;
        }
    }
    return number;
}

/* Where a run of one destination row begins in y, at this column. */
static real *run_output(const conv2d *c, ptrdiff_t h, const tap_run *run, ptrdiff_t column) {
    return c->y + ((h * c->y_width + run->w) * c->shape->n + run->row) * c->y_channels + column;
}

/* One run of rows times one panel: what channels from k on add, as many as a slice has. */
static void multiply_slice(const conv2d *c, ptrdiff_t group, ptrdiff_t panel, ptrdiff_t h, const tap_run *run,
                           ptrdiff_t k) {
    ptrdiff_t x_offset[MAX_TAPS], weight_offset[MAX_TAPS];
    /* Weights of tap t, channel k and this panel begin at weights + (t * depth + k) * stored. */
    ptrdiff_t stored = c->packs ? stored_columns(c, panel) : c->shape->c_out;
    ptrdiff_t column = group * c->columns + panel * c->panel_columns;
    const real *weights = c->packs ? packed_panel(c, group, panel) : c->weight + column;
    fnn_batch_gemm gemm = {
        .rows = run->rows,
        .columns = used_columns(c, panel),
        .depth = fnn_min(c->slice, c->depth - k),
        .a = c->x + run->row * c->x_channels + group * c->depth + k,
        .a_offset = x_offset,
        .a_stride = c->x_channels,
        .b = weights + k * stored,
        .b_offset = weight_offset,
        .b_stride = stored,
        .start = c->bias == NULL ? NULL : c->bias + column,
        .start_stride = 0,
        .c = run_output(c, h, run, column),
        .c_stride = c->y_channels,
    };
    for (ptrdiff_t tap = 0; tap < c->taps;) {
        if (k > 0 || tap > 0) {
            gemm.start = gemm.c;
            gemm.start_stride = gemm.c_stride;
        }
        tap = list_taps(c, h, run->w, tap, c->depth * stored, &gemm.count, x_offset, weight_offset);
        c->kernels->batch_gemm(&gemm);
    }
}

/* What comes after all products of a run with one panel. */
static void finish_run(const conv2d *c, ptrdiff_t group, ptrdiff_t panel, ptrdiff_t h, const tap_run *run) {
    ptrdiff_t column = group * c->columns + panel * c->panel_columns, columns = used_columns(c, panel);
    real *y = run_output(c, h, run, column);
    for (ptrdiff_t i = 0; c->addend != NULL && i < run->rows; i++) {
        real *to = y + i * c->y_channels;
        c->kernels->add(columns, to, c->addend + (to - c->y), to);
    }
    norm_apply(&c->norm, run->rows, columns, c->y_channels, c->y, y - c->y, column);
}

/* Task: some runs, one panel. Whatever is larger, weights or activations, stays in cache from one task to the next. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const conv2d *c = context;
    ptrdiff_t runs = c->map.h.length * c->map.n_runs, together = runs_together(c);
    ptrdiff_t parts = fnn_ceil_div(runs, together), panels = c->shape->groups * c->panels;
    ptrdiff_t weights = c->taps * c->depth * c->columns * c->shape->groups;
    ptrdiff_t activations = c->shape->n * c->x_width * c->x_channels;
    int weights_stay = weights > activations;
    ptrdiff_t part = weights_stay ? task % parts : task / panels, panel = weights_stay ? task / parts : task % panels;
    ptrdiff_t first = part * together, end = fnn_min(runs, first + together);
    ptrdiff_t group = panel / c->panels;
    panel %= c->panels;
    for (ptrdiff_t k = 0; k < c->depth; k += c->slice) {
        for (ptrdiff_t i = first; i < end; i++) {
            multiply_slice(c, group, panel, i / c->map.n_runs, c->map.runs + i % c->map.n_runs, k);
        }
    }
    for (ptrdiff_t i = first; i < end; i++) {
        finish_run(c, group, panel, i / c->map.n_runs, c->map.runs + i % c->map.n_runs);
    }
}

/* Task: the weights of one tap, backward: [channel of dy in its group][channel of dx]. */
static void pack_groups_task(void *context, ptrdiff_t tap, int thread) {
    (void)thread;
    const conv2d *c = context;
    real *to = c->packed + tap * c->depth * c->y_channels;
    const real *weight = c->weight + tap * c->columns * c->x_channels;
    for (ptrdiff_t k = 0; k < c->depth; k++) {
        for (ptrdiff_t j = 0; j < c->y_channels; j++) {
            ptrdiff_t group = j / c->columns;
            to[k * c->y_channels + j] = weight[j % c->columns * c->x_channels + group * c->depth + k];
        }
    }
}

/* `rows` rows of all channels, that of the pixel at (h, w) and this image first, with its taps. */
static void multiply_pixels(const conv2d *c, ptrdiff_t h, ptrdiff_t w, ptrdiff_t image, ptrdiff_t rows,
                            ptrdiff_t x_stride, ptrdiff_t row_stride) {
    ptrdiff_t x_offset[MAX_TAPS], weight_offset[MAX_TAPS], count, channels = c->y_channels;
    const real *x = c->x + image * c->x_channels, *start = c->bias;
    const real *weight = c->grouped && c->backward ? c->packed : c->weight;
    real *out = c->y + ((h * c->y_width + w) * c->shape->n + image) * channels;
    ptrdiff_t start_stride = 0;
    for (ptrdiff_t tap = 0; tap < c->taps;) {
        tap = list_taps(c, h, w, tap, c->depth * channels, &count, x_offset, weight_offset);
        fnn_grouped problem = {
            .rows = rows,
            .channels = channels,
            .x_stride = x_stride,
            .row_stride = row_stride,
            .group_in = c->depth,
            .group_out = c->columns,
            .count = count,
            .x = x,
            .x_offset = x_offset,
            .w = weight,
            .w_offset = weight_offset,
            .start = start,
            .start_stride = start_stride,
            .out = out,
        };
        if (c->grouped) {
            c->kernels->grouped(&problem);
        } else {
            c->kernels->depthwise(&problem);
        }
        start = out;
        start_stride = row_stride;
    }
    for (ptrdiff_t i = 0; c->addend != NULL && i < rows; i++) {
        real *to = out + i * row_stride;
        c->kernels->add(channels, to, c->addend + (to - c->y), to);
    }
    norm_apply(&c->norm, rows, channels, row_stride, c->y, out - c->y, 0);
}

/* Task: one run of one destination row, all channels. */
static void by_channel_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const conv2d *c = context;
    if (!c->by_image) {
        const tap_run *run = c->map.runs + task % c->map.n_runs;
        multiply_pixels(c, task / c->map.n_runs, run->w, run->row, run->rows, c->x_channels, c->y_channels);
        return;
    }
    const tap_pixels *run = c->pixels + task % c->n_pixels;
    ptrdiff_t x_stride = (c->backward ? 1 : c->shape->stride_w) * c->shape->n * c->x_channels;
    for (ptrdiff_t image = 0; image < c->shape->n; image++) {
        ptrdiff_t row_stride = c->step * c->shape->n * c->y_channels;
        multiply_pixels(c, task / c->n_pixels, run->first, image, run->pixels, x_stride, row_stride);
    }
}

static void run_all(conv2d *c, int n_threads) {
    ptrdiff_t work_items = c->map.h.length * (c->by_image ? c->n_pixels : c->map.n_runs);
    if (c->few_rows) {
        OP(few_rows_product)(c->kernels, c->shape->n, c->depth, c->columns, c->x, c->weight, c->bias, c->y, c->sums,
                             n_threads);
        norm_apply(&c->norm, c->shape->n, c->columns, c->columns, c->y, 0, 0);
        return;
    }
    double cost = (double)c->map.h.length * c->y_width * c->shape->n * c->taps * c->depth * c->y_channels / 16;
    if (is_by_channel(c)) {
        if (c->grouped && c->backward) {
            double packed = (double)c->taps * c->depth * c->y_channels;
            fnn_parallel_for(c->taps, packed, n_threads, pack_groups_task, c);
        }
        fnn_parallel_for(work_items, cost, n_threads, by_channel_task, c);
        return;
    }
    ptrdiff_t panels = c->shape->groups * c->panels, parts = fnn_ceil_div(work_items, runs_together(c));
    if (c->packs) {
        fnn_parallel_for(panels * c->taps, (double)c->taps * c->depth * c->y_channels, n_threads, pack_task, c);
    }
    fnn_parallel_for(parts * panels, cost, n_threads, multiply_task, c);
}

fnn_status OP(conv2d_forward)(const fnn_conv2d_shape *shape, const real *x, const real *weight, const real *bias,
                              const OP(norm) * norm, real *y, void *workspace, int n_threads) {
    if (shape->algorithm != FNN_DIRECT) {
        OP(winograd_forward)(shape, x, weight, bias, norm, y, workspace, n_threads);
        return FNN_OK;
    }
    if (OP(conv2d_multiplies_planes)(shape)) {
        OP(conv2d_planes)(shape, x, weight, bias, norm, y, workspace, n_threads);
        return FNN_OK;
    }
    if (OP(conv2d_gathers)(shape, 0)) {
        OP(conv2d_gathered)(shape, 0, x, weight, bias, NULL, norm, y, workspace, n_threads);
        return FNN_OK;
    }
    conv2d c;
    prepare(&c, shape, 0, norm, workspace);
    c.x = x, c.weight = weight, c.bias = bias, c.addend = NULL, c.y = y;
    run_all(&c, n_threads);
    return FNN_OK;
}

fnn_status OP(conv2d_backward_data)(const fnn_conv2d_shape *shape, const real *dy, const real *weight,
                                    const real *addend, real *dx, void *workspace, int n_threads) {
    if (shape->algorithm != FNN_DIRECT) {
        OP(winograd_backward_data)(shape, dy, weight, addend, dx, workspace, n_threads);
        return FNN_OK;
    }
    if (OP(conv2d_gathers)(shape, 1)) {
        OP(conv2d_gathered)(shape, 1, dy, weight, NULL, addend, NULL, dx, workspace, n_threads);
        return FNN_OK;
    }
    conv2d c;
    prepare(&c, shape, 1, NULL, workspace);
    c.x = dy, c.weight = weight, c.bias = NULL, c.addend = addend, c.y = dx;
    run_all(&c, n_threads);
    return FNN_OK;
}
