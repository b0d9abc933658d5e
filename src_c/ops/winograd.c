/* Winograd's convolution forward and backward to the input; winograd.h has the formula. */
#include "ops/winograd.h"

#include <string.h>

#include "core/workspace.h"
#include "ops/norm.h"

/* How many rows a task takes. */
typedef struct {
    ptrdiff_t bytes; /* of transformed inputs and outputs, if they can be so few: they stay in L2 */
    /* Whatever their size: fewer would read the transformed weights too often, more gain nothing. */
    ptrdiff_t least, most;
} row_limits;
/* Larger tiles have more weights, which leave less of L2, but fewer rows. */
static const row_limits LIMITS[] = {
    [FNN_WINOGRAD] = {768 * 1024, 48, 96},
    [FNN_WINOGRAD24] = {512 * 1024, 24, 72},
    [FNN_WINOGRAD4] = {256 * 1024, 12, 48},
};

enum {
    LINE = 64 / sizeof(real) /* shifts the positions against each other, or they would share a set of the cache */
};

/* Channels of the depth that a task of `filter_task` transforms, and what it keeps of 16 columns. */
enum { FILTER_DEPTH = 32, FILTER_ROWS = WINOGRAD_POSITIONS * FILTER_DEPTH * 16 };

typedef struct {
    const FNN_TYPED(fnn_kernels) * kernels;
    int backward;
    ptrdiff_t depth, columns;     /* channels summed over, channels produced */
    ptrdiff_t h, w, pad_h, pad_w; /* of x, as this direction reads it */
    ptrdiff_t y_h, y_w;
    ptrdiff_t panel_columns, panels;
    winograd_tiles tiles;
    winograd_transforms transforms;
    ptrdiff_t input_stride, output_stride, filter_stride; /* between positions */
    real *filters;                                        /* [panel][filter][depth][stored columns] */
    real *inputs, *outputs;                               /* [thread][position][chunk][depth or columns] */
    real *zeros;                                          /* what lies on padding */
    real *filter_rows;                                    /* [thread][filter][column][depth], of `filter_task` */
    norm_pass norm;
    const real *x, *weight, *bias, *addend;
    real *y;
} winograd;

static ptrdiff_t used_columns(const winograd *c, ptrdiff_t panel) {
    return fnn_min(c->panel_columns, c->columns - panel * c->panel_columns);
}
static ptrdiff_t stored_columns(const winograd *c, ptrdiff_t panel) {
    return fnn_min(c->panel_columns, fnn_ceil_div(used_columns(c, panel), LINE) * LINE);
}

static ptrdiff_t prepare(winograd *c, const fnn_conv2d_shape *s, int backward, const OP(norm) * norm, int n_threads,
                         void *base) {
    c->backward = backward;
    c->depth = backward ? s->c_out : s->c_in;
    c->columns = backward ? s->c_in : s->c_out;
    c->h = backward ? s->h_out : s->h;
    c->w = backward ? s->w_out : s->w;
    c->y_h = backward ? s->h : s->h_out;
    c->y_w = backward ? s->w : s->w_out;
    c->pad_h = backward ? 2 - s->pad_top : s->pad_top;
    c->pad_w = backward ? 2 - s->pad_left : s->pad_left;
    c->kernels = KERNELS_OF(s->isa);
    c->panel_columns = c->kernels->panel_columns;
    c->panels = fnn_ceil_div(c->columns, c->panel_columns);
    ptrdiff_t positions = winograd_extent_h(s->algorithm).side * winograd_extent_w(s->algorithm).side;
    ptrdiff_t row_bytes = positions * (c->depth + c->columns) * (ptrdiff_t)sizeof(real);
    const row_limits *limits = LIMITS + s->algorithm;
    c->transforms = winograd_transforms_of(c->kernels, s->algorithm);
    ptrdiff_t rows = fnn_max(limits->least, fnn_min(limits->most, limits->bytes / row_bytes));
    c->tiles = winograd_cut(s->algorithm, s->n, (winograd_axis){c->h, c->y_h, c->pad_h},
                            (winograd_axis){c->w, c->y_w, c->pad_w}, rows);
    c->input_stride = c->tiles.chunk * c->depth + LINE;
    c->output_stride = c->tiles.chunk * c->columns + LINE;
    workspace_cursor workspace = {base, 0};
    norm_prepare(&c->norm, norm, c->kernels, c->columns, &workspace);
    c->filter_stride = c->depth * stored_columns(c, 0) + LINE;
    c->filters = workspace_take(&workspace, SIZE(c->panels, c->tiles.filters, c->filter_stride), sizeof(real));
    c->zeros = workspace_take(&workspace, SIZE(fnn_min(s->n, c->tiles.chunk), c->depth), sizeof(real));
    c->inputs = workspace_take(&workspace, SIZE(n_threads, c->tiles.positions, c->input_stride), sizeof(real));
    c->outputs = workspace_take(&workspace, SIZE(n_threads, c->tiles.positions, c->output_stride), sizeof(real));
    c->filter_rows = workspace_take(&workspace, backward ? SIZE(n_threads, FILTER_ROWS) : 0, sizeof(real));
    return workspace.used;
}

ptrdiff_t OP(winograd_forward_workspace)(const fnn_conv2d_shape *shape, int n_threads) {
    winograd c;
    return prepare(&c, shape, 0, NULL, n_threads, NULL);
}

ptrdiff_t OP(winograd_backward_data_workspace)(const fnn_conv2d_shape *shape, int n_threads) {
    winograd c;
    return prepare(&c, shape, 1, NULL, n_threads, NULL);
}

static real *panel_filters(const winograd *c, ptrdiff_t panel, ptrdiff_t filter) {
    return c->filters + (panel * c->tiles.filters + filter) * c->filter_stride;
}

/* Task: the weights of some channels of the depth, for one panel. */
static void filter_task(void *context, ptrdiff_t task, int thread) {
    const winograd *c = context;
    ptrdiff_t panel = task % c->panels, column = panel * c->panel_columns;
    fnn_range depth = fnn_chunk(task / c->panels, FILTER_DEPTH, c->depth);
    ptrdiff_t used = used_columns(c, panel), stored = stored_columns(c, panel);
    const real *taps[9];
    if (!c->backward) {
        for (ptrdiff_t k = depth.begin; k < depth.end; k++) {
            for (ptrdiff_t tap = 0; tap < 9; tap++) {
                taps[tap] = c->weight + (tap * c->depth + k) * c->columns + column;
            }
            real *out = panel_filters(c, panel, 0) + k * stored;
            c->transforms.filter(used, taps, out, c->filter_stride, c->tiles.middle);
        }
        return;
    }
    /* The weight is [tap][column][depth]: transformed along the depth, then transposed. */
    real *rows = c->filter_rows + thread * FILTER_ROWS;
    for (ptrdiff_t first = 0; first < used; first += 16) {
        ptrdiff_t n = fnn_min(16, used - first), length = depth.end - depth.begin;
        for (ptrdiff_t j = 0; j < n; j++) {
            for (ptrdiff_t tap = 0; tap < 9; tap++) {
                taps[tap] = c->weight + ((8 - tap) * c->columns + column + first + j) * c->depth + depth.begin;
            }
            c->transforms.filter(length, taps, rows + j * FILTER_DEPTH, FILTER_DEPTH * 16, c->tiles.middle);
        }
        for (ptrdiff_t filter = 0; filter < c->tiles.filters; filter++) {
            real *out = panel_filters(c, panel, filter) + depth.begin * stored + first;
            c->kernels->transpose(n, length, rows + filter * FILTER_DEPTH * 16, FILTER_DEPTH, out, stored);
        }
    }
}

/* The inputs of the tiles of a chunk, transformed. */
static void transform_inputs(const winograd *c, const winograd_chunk *chunk, real *inputs) {
    fnn_range range = chunk->rows;
    for (ptrdiff_t row = range.begin; row < range.end;) {
        winograd_segment segment = winograd_next(&c->tiles, chunk->region, row, range.end);
        const real *in[WINOGRAD_POSITIONS];
        for (ptrdiff_t position = 0; position < c->tiles.positions; position++) {
            ptrdiff_t h = c->tiles.h.outputs * segment.h - c->pad_h + position / c->tiles.w.side;
            ptrdiff_t w = c->tiles.w.outputs * segment.w - c->pad_w + position % c->tiles.w.side;
            int inside = h >= 0 && h < c->h && w >= 0 && w < c->w;
            in[position] = inside ? c->x + ((h * c->w + w) * c->tiles.n + segment.image) * c->depth : c->zeros;
        }
        real *out = inputs + (row - range.begin) * c->depth;
        c->transforms.input(segment.rows * c->depth, in, out, c->input_stride);
        row += segment.rows;
    }
}

/* The outputs of the tiles of a chunk, transformed back. */
static void transform_outputs(const winograd *c, const winograd_chunk *chunk, const real *outputs) {
    const winograd_tiles *t = &c->tiles;
    fnn_range range = chunk->rows;
    for (ptrdiff_t row = range.begin; row < range.end;) {
        winograd_segment segment = winograd_next(t, chunk->region, row, range.end);
        real *out[WINOGRAD_OUTPUTS];
        const real *addend[WINOGRAD_OUTPUTS];
        for (ptrdiff_t pixel = 0; pixel < t->h.outputs * t->w.outputs; pixel++) {
            ptrdiff_t h = t->h.outputs * segment.h + pixel / t->w.outputs;
            ptrdiff_t w = t->w.outputs * segment.w + pixel % t->w.outputs;
            ptrdiff_t first = ((h * c->y_w + w) * t->n + segment.image) * c->columns;
            int inside = h < c->y_h && w < c->y_w;
            out[pixel] = inside ? c->y + first : NULL;
            addend[pixel] = inside && c->addend != NULL ? c->addend + first : NULL;
        }
        const real *in = outputs + (row - range.begin) * c->columns;
        c->transforms.output(segment.rows, c->columns, in, c->output_stride, c->bias, addend, out);
        row += segment.rows;
    }
}

/* The norm of the outputs of the tiles of a chunk. Of tiles side by side, whose rows are all in the chunk, the
 * outputs of an image row lie side by side too. */
static void normalize_outputs(const winograd *c, const winograd_chunk *chunk) {
    const winograd_region *region = chunk->region;
    const ptrdiff_t size_h = c->tiles.h.outputs, size_w = c->tiles.w.outputs;
    fnn_range range = chunk->rows;
    for (ptrdiff_t row = range.begin; row < range.end;) {
        winograd_segment segment = winograd_next(&c->tiles, region, row, range.end);
        ptrdiff_t tiles = 1;
        if (segment.rows == c->tiles.n) {
            tiles = fnn_min((range.end - row) / c->tiles.n, region->w + region->tiles_w - segment.w);
        }
        for (ptrdiff_t h = size_h * segment.h; h < fnn_min(size_h * segment.h + size_h, c->y_h); h++) {
            ptrdiff_t w = size_w * segment.w, end = fnn_min(w + size_w * tiles, c->y_w);
            ptrdiff_t together = segment.rows == c->tiles.n ? end - w : 1;
            for (; w < end; w += together) {
                ptrdiff_t first = (h * c->y_w + w) * c->tiles.n + segment.image;
                norm_apply(&c->norm, together * segment.rows, c->columns, c->columns, c->y, first * c->columns, 0);
            }
        }
        row += tiles * segment.rows;
    }
}

/* Of products that were not made, the third along an axis still goes into outputs: zero, if the second has its share. */
static void clear_product(const winograd *c, const winograd_chunk *chunk, ptrdiff_t position, real *outputs) {
    const winograd_region *r = chunk->region;
    if ((r->along_h == WINOGRAD_SHORT_AND_PADDING && position / c->tiles.w.side == 2) ||
        (r->along_w == WINOGRAD_SHORT_AND_PADDING && position % c->tiles.w.side == 2)) {
        ptrdiff_t rows = chunk->rows.end - chunk->rows.begin;
        memset(outputs + position * c->output_stride, 0, (size_t)(rows * c->columns) * sizeof(real));
    }
}

/* Task: one chunk of rows. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    const winograd *c = context;
    winograd_chunk chunk = winograd_chunk_of(&c->tiles, task);
    real *inputs = c->inputs + thread * c->tiles.positions * c->input_stride;
    real *outputs = c->outputs + thread * c->tiles.positions * c->output_stride;
    transform_inputs(c, &chunk, inputs);
    const ptrdiff_t no_offset = 0;
    fnn_batch_gemm gemm = {
        .rows = chunk.rows.end - chunk.rows.begin,
        .depth = c->depth,
        .count = 1,
        .a_offset = &no_offset,
        .a_stride = c->depth,
        .b_offset = &no_offset,
        .c_stride = c->columns,
    };
    for (ptrdiff_t position = 0; position < c->tiles.positions; position++) {
        ptrdiff_t filter = winograd_filter_of(&c->tiles, chunk.region, position);
        if (filter < 0) {
            clear_product(c, &chunk, position, outputs);
            continue;
        }
        for (ptrdiff_t panel = 0; panel < c->panels; panel++) {
            gemm.columns = used_columns(c, panel);
            gemm.a = inputs + position * c->input_stride;
            gemm.b = panel_filters(c, panel, filter);
            gemm.b_stride = stored_columns(c, panel);
            gemm.c = outputs + position * c->output_stride + panel * c->panel_columns;
            c->kernels->batch_gemm(&gemm);
        }
    }
    transform_outputs(c, &chunk, outputs);
    if (c->norm.norm != NULL) {
        normalize_outputs(c, &chunk);
    }
}

static void run_all(winograd *c, int n_threads) {
    memset(c->zeros, 0, (size_t)(fnn_min(c->tiles.n, c->tiles.chunk) * c->depth) * sizeof(real));
    double weights = (double)c->depth * c->columns;
    fnn_parallel_for(c->panels * fnn_ceil_div(c->depth, FILTER_DEPTH), weights * 4, n_threads, filter_task, c);
    fnn_parallel_for(c->tiles.chunks, weights * (double)c->tiles.rows, n_threads, multiply_task, c);
}

void OP(winograd_forward)(const fnn_conv2d_shape *shape, const real *x, const real *weight, const real *bias,
                          const OP(norm) * norm, real *y, void *workspace, int n_threads) {
    winograd c;
    prepare(&c, shape, 0, norm, n_threads, workspace);
    c.x = x, c.weight = weight, c.bias = bias, c.addend = NULL, c.y = y;
    run_all(&c, n_threads);
}

void OP(winograd_backward_data)(const fnn_conv2d_shape *shape, const real *dy, const real *weight, const real *addend,
                                real *dx, void *workspace, int n_threads) {
    winograd c;
    prepare(&c, shape, 1, NULL, n_threads, workspace);
    c.x = dy, c.weight = weight, c.bias = NULL, c.addend = addend, c.y = dx;
    run_all(&c, n_threads);
}
