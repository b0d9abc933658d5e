/* Convolution in all directions for filters of one channel each (depthwise) and for small groups: the kernels take all
 * channels of a pixel, and so need no panels. */
#include <string.h>

#include "ops/bands.h"
#include "ops/conv2d.h"

enum {
    FEW_IMAGES = 8,             /* see `by_image` */
    CHUNK_IMAGES = 8,           /* a multiple of the rows of a tile */
    STAYING = FNN_L2_BYTES / 2, /* bytes: the rows of x that a row of y needs, that row, and room */
    LONG_CHUNK = 8 * 1024,      /* bytes of a chunk's images at one pixel: shorter pieces come slowly from memory */
    BLOCK = 64                  /* channels of a task, of gradients of small images: so there are fewer bands */
};

typedef struct {
    conv2d conv;
    int grouped;
    int by_image; /* of each image, pixels a stride apart are a run: there are too few images for one of their own */
    ptrdiff_t images, chunks; /* runs of images[chunk] go over all of y before those of the next */
    tap_map map;
    tap_pixels *pixels; /* of `by_image` */
    ptrdiff_t row_runs, step;
    norm_pass norm;
    real *packed;           /* of groups, backward: [tap][channel of dy in its group][channel of dx] */
    real *products;         /* of filters that share an input, backward: [thread][row of a run][channel of dy] */
    ptrdiff_t product_rows; /* of each thread */
    band_sums bands;
    ptrdiff_t band_rows; /* a row: of a chunk of images, one row of y */
    ptrdiff_t block, blocks;
    const real *dy;
} channels_conv2d;

/* Rows of y and of x that the taps of one pixel join: `rows` of them, the first at (h, w) and this image. */
typedef struct {
    ptrdiff_t h, w, image, rows;
    ptrdiff_t x_stride, y_stride;
} channels_run;

/* Runs are counted from one destination row of a chunk of images to the next. */
static channels_run run_of(const channels_conv2d *g, ptrdiff_t number) {
    const conv2d *c = &g->conv;
    ptrdiff_t row = number / g->row_runs, i = number % g->row_runs, h = row % c->y_height;
    ptrdiff_t n = c->shape->n, image = row / c->y_height * g->images;
    if (g->by_image) {
        ptrdiff_t sources = c->backward ? 1 : c->shape->stride_w;
        return (channels_run){h,
                              g->pixels[i].first,
                              image,
                              g->pixels[i].pixels,
                              sources * n * c->x_channels,
                              g->step * n * c->y_channels};
    }
    if (g->chunks > 1) {
        return (channels_run){h, i, image, fnn_min(g->images, n - image), c->x_channels, c->y_channels};
    }
    const tap_run *run = g->map.runs + i;
    return (channels_run){h, run->w, run->row, run->rows, c->x_channels, c->y_channels};
}

static ptrdiff_t output_of(const channels_conv2d *g, const channels_run *run) {
    const conv2d *c = &g->conv;
    return ((run->h * c->y_width + run->w) * c->shape->n + run->image) * c->y_channels;
}

/* Of some channels of y, without what depends on the direction. */
static fnn_grouped problem_of(const channels_conv2d *g, const channels_run *run, fnn_range channels) {
    const conv2d *c = &g->conv;
    return (fnn_grouped){
        .rows = run->rows,
        .channels = channels.end - channels.begin,
        .x_stride = run->x_stride,
        .y_stride = run->y_stride,
        .w_stride = c->y_channels,
        .group_in = c->depth,
        .group_out = c->columns,
        .x = c->x + run->image * c->x_channels + channels.begin / c->columns * c->depth,
    };
}

/* From tap `number` on, as many as one call takes: where they lie in x and among the weights. Returns the next. */
static ptrdiff_t list_taps(const channels_conv2d *g, const channels_run *run, ptrdiff_t number, ptrdiff_t *x_offset,
                           ptrdiff_t *w_offset, ptrdiff_t *count) {
    const conv2d *c = &g->conv;
    number = OP(conv2d_list_taps)(c, &g->map, run->h, run->w, number, count, x_offset, w_offset);
    for (ptrdiff_t i = 0; i < *count; i++) {
        w_offset[i] = tap_of_number(c, w_offset[i]) * c->depth * c->y_channels;
    }
    return number;
}

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

/* What the filters of one channel give back to it: the products of each, and sums of neighbours. */
static void multiply_shared(const channels_conv2d *g, const channels_run *run, real *products) {
    const conv2d *c = &g->conv;
    ptrdiff_t x_offset[CONV2D_TAPS], w_offset[CONV2D_TAPS], channels = c->x_channels;
    fnn_grouped problem = {
        .rows = run->rows,
        .channels = channels,
        .x_stride = run->x_stride,
        .y_stride = channels,
        .start_stride = channels,
        .x = c->x + run->image * channels,
        .x_offset = x_offset,
        .w = c->weight,
        .w_offset = w_offset,
        .y = products,
    };
    for (ptrdiff_t number = 0; number < c->taps;) {
        number = list_taps(g, run, number, x_offset, w_offset, &problem.count);
        c->kernels->depthwise(&problem);
        problem.start = products;
    }
    real *y = c->y + output_of(g, run);
    for (ptrdiff_t i = 0; i < run->rows; i++) {
        for (ptrdiff_t channel = 0; channel < c->y_channels; channel++) {
            const real *filter = products + i * channels + channel * c->depth;
            real sum = filter[0];
            for (ptrdiff_t j = 1; j < c->depth; j++) {
                sum += filter[j];
            }
            y[i * run->y_stride + channel] = sum;
        }
    }
}

/* Task: one run. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    const channels_conv2d *g = context;
    const conv2d *c = &g->conv;
    channels_run run = run_of(g, task);
    ptrdiff_t x_offset[CONV2D_TAPS], w_offset[CONV2D_TAPS];
    if (g->products != NULL) {
        multiply_shared(g, &run, g->products + thread * g->product_rows * c->x_channels);
        OP(conv2d_finish_rows)(c, &g->norm, run.rows, c->y_channels, run.y_stride, output_of(g, &run), 0);
        return;
    }
    fnn_grouped problem = problem_of(g, &run, (fnn_range){0, c->y_channels});
    problem.x_offset = x_offset, problem.w_offset = w_offset;
    problem.w = g->packed != NULL ? g->packed : c->weight;
    problem.start = c->bias;
    problem.y = c->y + output_of(g, &run);
    for (ptrdiff_t number = 0; number < c->taps;) {
        number = list_taps(g, &run, number, x_offset, w_offset, &problem.count);
        if (g->grouped) {
            c->kernels->grouped(&problem);
        } else {
            c->kernels->depthwise(&problem);
        }
        problem.start = problem.y;
        problem.start_stride = run.y_stride;
    }
    OP(conv2d_finish_rows)(c, &g->norm, run.rows, c->y_channels, run.y_stride, output_of(g, &run), 0);
}

/* Task: the sums of one band of rows, one block of channels. */
static void gradient_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const channels_conv2d *g = context;
    const conv2d *c = &g->conv;
    ptrdiff_t band = task / g->blocks, x_offset[CONV2D_TAPS], w_offset[CONV2D_TAPS];
    fnn_range channels = fnn_chunk(task % g->blocks, g->block, c->y_channels);
    ptrdiff_t columns = channels.end - channels.begin;
    real *sums = sums_of_band(&g->bands, band) + channels.begin;
    for (ptrdiff_t i = 0; i < c->taps * c->depth; i++) {
        memset(sums + i * c->y_channels, 0, (size_t)columns * sizeof(real));
    }
    fnn_range rows = fnn_chunk(band, g->band_rows, g->chunks * c->y_height);
    for (ptrdiff_t i = rows.begin * g->row_runs; i < rows.end * g->row_runs; i++) {
        channels_run run = run_of(g, i);
        const real *dy = g->dy + output_of(g, &run) + channels.begin;
        if (g->bands.dbias != NULL) {
            real *bias_sums = bias_sums_of_band(&g->bands, band) + channels.begin;
            c->kernels->column_sums(run.rows, columns, dy, run.y_stride, bias_sums);
        }
        fnn_grouped problem = problem_of(g, &run, channels);
        problem.x_offset = x_offset, problem.w_offset = w_offset;
        problem.dy = dy, problem.dw = sums;
        for (ptrdiff_t number = 0; number < c->taps;) {
            number = list_taps(g, &run, number, x_offset, w_offset, &problem.count);
            if (g->grouped) {
                c->kernels->grouped_backward_weight(&problem);
            } else {
                c->kernels->depthwise_backward_weight(&problem);
            }
        }
    }
}

/* Images that go over y together: all, if what a row needs stays in L2. */
static ptrdiff_t images_together(const conv2d *c) {
    const fnn_conv2d_shape *s = c->shape;
    ptrdiff_t image = c->x_channels * (ptrdiff_t)sizeof(real);
    int stay = SIZE(s->kernel_h + 2, c->y_width, s->n, image) <= STAYING;
    return stay || s->n <= CHUNK_IMAGES || CHUNK_IMAGES * image < LONG_CHUNK ? s->n : CHUNK_IMAGES;
}

ptrdiff_t OP(conv2d_by_channel)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *base) {
    channels_conv2d g = {.conv = OP(conv2d_of)(plan, operands)};
    const conv2d *c = &g.conv;
    const fnn_conv2d_shape *s = c->shape;
    int to_weights = plan->direction == FNN_BACKWARD_WEIGHT;
    g.grouped = !fnn_conv2d_is_depthwise(s);
    g.by_image = s->stride_w > 1 && s->n < FEW_IMAGES;
    g.images = g.by_image ? 1 : images_together(c);
    g.chunks = fnn_ceil_div(s->n, g.images);
    workspace_cursor workspace = {base, 0};
    fnn_tap_map(s, c->backward, TAP_RUN_ROWS, &workspace, &g.map);
    g.pixels = workspace_take(&workspace, g.by_image ? c->y_width : 0, sizeof(tap_pixels));
    norm_prepare(&g.norm, c->norm, c->kernels, c->y_channels, &workspace);
    int shares = c->backward && fnn_conv2d_shares_inputs(s), packs = g.grouped && c->backward && !shares;
    g.product_rows = g.by_image ? c->y_width : g.chunks > 1 ? g.images : fnn_min(TAP_RUN_ROWS, SIZE(s->n, c->y_width));
    ptrdiff_t products = shares ? SIZE(c->n_threads, g.product_rows, c->x_channels) : 0;
    g.products = workspace_take(&workspace, products, sizeof(real));
    g.products = shares ? g.products : NULL;
    g.packed = workspace_take(&workspace, packs ? SIZE(c->taps, c->depth, c->y_channels) : 0, sizeof(real));
    g.packed = packs ? g.packed : NULL;
    if (to_weights) {
        ptrdiff_t weights = c->taps * c->depth * c->y_channels, rows = g.chunks * c->y_height;
        int stays = SIZE(s->n, s->h, s->w, s->c_in, sizeof(real)) <= STAYING;
        g.block = stays ? BLOCK : c->y_channels;
        g.blocks = fnn_ceil_div(c->y_channels, g.block);
        g.band_rows = fnn_ceil_div(rows, OP(bands_wanted)(s, weights, g.blocks, rows));
        g.bands = OP(bands_take)(fnn_ceil_div(rows, g.band_rows), weights, c->y_channels, &workspace);
    }
    if (base == NULL) {
        return workspace.used;
    }
    g.row_runs = g.chunks > 1 ? c->y_width : g.map.n_runs;
    if (g.by_image) {
        g.step = c->backward ? s->stride_w : 1;
        g.row_runs = fnn_tap_pixels(&g.map.w, g.step, c->backward ? 1 : s->stride_w, g.pixels);
    }
    double cost = (double)c->y_height * c->y_width * s->n * c->taps * c->depth * c->y_channels / 16;
    if (to_weights) {
        g.dy = operands->dy;
        OP(bands_begin)(&g.bands, operands);
        fnn_parallel_for(g.bands.count * g.blocks, cost, c->n_threads, gradient_task, &g);
        OP(bands_finish)(&g.bands, c->kernels, c->n_threads);
        return workspace.used;
    }
    if (packs) {
        fnn_parallel_for(c->taps, (double)c->taps * c->depth * c->y_channels, c->n_threads, pack_task, &g);
    }
    fnn_parallel_for(g.chunks * c->y_height * g.row_runs, cost, c->n_threads, multiply_task, &g);
    return workspace.used;
}
