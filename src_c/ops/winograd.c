/* Winograd's convolution forward and backward to the input; winograd.h has the formula. */
#include "ops/winograd.h"

#include <string.h>

/* How many rows a task takes. */
typedef struct {
    ptrdiff_t bytes; /* of transformed inputs and outputs, if they can be so few: they stay in L2 */
    /* Whatever their size: fewer would read the transformed weights too often, more gain nothing. */
    ptrdiff_t least, most;
} row_limits;
/* Larger tiles have more weights, which leave less of L2, but fewer rows. */
static const row_limits LIMITS[] = {
    [FNN_WINOGRAD] = {FNN_L2_BYTES / 4 * 3, 48, 96},
    [FNN_WINOGRAD24] = {FNN_L2_BYTES / 2, 24, 72},
    [FNN_WINOGRAD4] = {FNN_L2_BYTES / 4, 12, 48},
};

/* Channels of the depth that a task of `filter_task` transforms, and what it keeps of 16 columns. */
enum { FILTER_DEPTH = 32, FILTER_ROWS = WINOGRAD_POSITIONS * FILTER_DEPTH * 16 };

typedef struct {
    conv2d conv;
    ptrdiff_t pad_h, pad_w; /* of x, as this direction reads it */
    winograd_tiles tiles;
    winograd_transforms transforms;
    ptrdiff_t input_stride, output_stride, filter_stride; /* between positions */
    real *filters;                                        /* [panel][filter][depth][stored columns] */
    real *inputs, *outputs;                               /* [thread][position][chunk][depth or columns] */
    real *zeros;                                          /* what lies on padding */
    real *filter_rows;                                    /* [thread][filter][column][depth], of `filter_task` */
    norm_pass norm;
} winograd;

static ptrdiff_t prepare(winograd *g, void *base) {
    const conv2d *c = &g->conv;
    const fnn_conv2d_shape *s = c->shape;
    g->pad_h = c->backward ? 2 - s->pad_top : s->pad_top;
    g->pad_w = c->backward ? 2 - s->pad_left : s->pad_left;
    ptrdiff_t positions = winograd_extent_h(s->algorithm).side * winograd_extent_w(s->algorithm).side;
    ptrdiff_t row_bytes = positions * (c->depth + c->columns) * (ptrdiff_t)sizeof(real);
    const row_limits *limits = LIMITS + s->algorithm;
    g->transforms = winograd_transforms_of(c->kernels, s->algorithm);
    ptrdiff_t rows = fnn_max(limits->least, fnn_min(limits->most, limits->bytes / row_bytes));
    g->tiles = winograd_cut(s->algorithm, s->n, (winograd_axis){c->x_height, c->y_height, g->pad_h},
                            (winograd_axis){c->x_width, c->y_width, g->pad_w}, rows);
    /* A line shifts the positions against each other, or they would share a set of the cache. */
    g->input_stride = g->tiles.chunk * c->depth + CONV2D_LINE;
    g->output_stride = g->tiles.chunk * c->columns + CONV2D_LINE;
    workspace_cursor workspace = {base, 0};
    norm_prepare(&g->norm, c->norm, c->kernels, c->columns, &workspace);
    g->filter_stride = c->depth * stored_columns(c, 0) + CONV2D_LINE;
    g->filters = workspace_take(&workspace, SIZE(c->panels, g->tiles.filters, g->filter_stride), sizeof(real));
    g->zeros = workspace_take(&workspace, SIZE(fnn_min(s->n, g->tiles.chunk), c->depth), sizeof(real));
    g->inputs = workspace_take(&workspace, SIZE(c->n_threads, g->tiles.positions, g->input_stride), sizeof(real));
    g->outputs = workspace_take(&workspace, SIZE(c->n_threads, g->tiles.positions, g->output_stride), sizeof(real));
    g->filter_rows = workspace_take(&workspace, c->backward ? SIZE(c->n_threads, FILTER_ROWS) : 0, sizeof(real));
    return workspace.used;
}

static real *panel_filters(const winograd *c, ptrdiff_t panel, ptrdiff_t filter) {
    return c->filters + (panel * c->tiles.filters + filter) * c->filter_stride;
}

/* Task: the weights of some channels of the depth, for one panel. */
static void filter_task(void *context, ptrdiff_t task, int thread) {
    const winograd *c = context;
    ptrdiff_t panel = task % c->conv.panels, column = panel * c->conv.panel_columns;
    fnn_range depth = fnn_chunk(task / c->conv.panels, FILTER_DEPTH, c->conv.depth);
    ptrdiff_t used = used_columns(&c->conv, panel), stored = stored_columns(&c->conv, panel);
    const real *taps[9];
    if (!c->conv.backward) {
        for (ptrdiff_t k = depth.begin; k < depth.end; k++) {
            for (ptrdiff_t tap = 0; tap < 9; tap++) {
                taps[tap] = c->conv.weight + (tap * c->conv.depth + k) * c->conv.columns + column;
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
                taps[tap] =
                    c->conv.weight + ((8 - tap) * c->conv.columns + column + first + j) * c->conv.depth + depth.begin;
            }
            c->transforms.filter(length, taps, rows + j * FILTER_DEPTH, FILTER_DEPTH * 16, c->tiles.middle);
        }
        for (ptrdiff_t filter = 0; filter < c->tiles.filters; filter++) {
            real *out = panel_filters(c, panel, filter) + depth.begin * stored + first;
            c->conv.kernels->transpose(n, length, rows + filter * FILTER_DEPTH * 16, FILTER_DEPTH, out, stored);
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
            int inside = h >= 0 && h < c->conv.x_height && w >= 0 && w < c->conv.x_width;
            in[position] = inside ? c->conv.x + ((h * c->conv.x_width + w) * c->tiles.n + segment.image) * c->conv.depth
                                  : c->zeros;
        }
        real *out = inputs + (row - range.begin) * c->conv.depth;
        c->transforms.input(segment.rows * c->conv.depth, in, out, c->input_stride);
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
            ptrdiff_t first = ((h * c->conv.y_width + w) * t->n + segment.image) * c->conv.columns;
            int inside = h < c->conv.y_height && w < c->conv.y_width;
            out[pixel] = inside ? c->conv.y + first : NULL;
            addend[pixel] = inside && c->conv.addend != NULL ? c->conv.addend + first : NULL;
        }
        const real *in = outputs + (row - range.begin) * c->conv.columns;
        c->transforms.output(segment.rows, c->conv.columns, in, c->output_stride, c->conv.bias, addend, out);
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
        for (ptrdiff_t h = size_h * segment.h; h < fnn_min(size_h * segment.h + size_h, c->conv.y_height); h++) {
            ptrdiff_t w = size_w * segment.w, end = fnn_min(w + size_w * tiles, c->conv.y_width);
            ptrdiff_t together = segment.rows == c->tiles.n ? end - w : 1;
            for (; w < end; w += together) {
                ptrdiff_t first = (h * c->conv.y_width + w) * c->tiles.n + segment.image;
                norm_apply(&c->norm, together * segment.rows, c->conv.columns, c->conv.columns, c->conv.y,
                           first * c->conv.columns, 0);
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
        memset(outputs + position * c->output_stride, 0, (size_t)(rows * c->conv.columns) * sizeof(real));
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
        .depth = c->conv.depth,
        .count = 1,
        .a_offset = &no_offset,
        .a_stride = c->conv.depth,
        .b_offset = &no_offset,
        .c_stride = c->conv.columns,
    };
    for (ptrdiff_t position = 0; position < c->tiles.positions; position++) {
        ptrdiff_t filter = winograd_filter_of(&c->tiles, chunk.region, position);
        if (filter < 0) {
            clear_product(c, &chunk, position, outputs);
            continue;
        }
        for (ptrdiff_t panel = 0; panel < c->conv.panels; panel++) {
            gemm.columns = used_columns(&c->conv, panel);
            gemm.a = inputs + position * c->input_stride;
            gemm.b = panel_filters(c, panel, filter);
            gemm.b_stride = stored_columns(&c->conv, panel);
            gemm.c = outputs + position * c->output_stride + panel * c->conv.panel_columns;
            c->conv.kernels->batch_gemm(&gemm);
        }
    }
    transform_outputs(c, &chunk, outputs);
    if (c->norm.norm != NULL) {
        normalize_outputs(c, &chunk);
    }
}

ptrdiff_t OP(winograd)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace) {
    winograd g = {.conv = OP(conv2d_of)(plan, operands)};
    const conv2d *c = &g.conv;
    ptrdiff_t bytes = prepare(&g, workspace);
    if (workspace == NULL) {
        return bytes;
    }
    memset(g.zeros, 0, (size_t)(fnn_min(g.tiles.n, g.tiles.chunk) * c->depth) * sizeof(real));
    double weights = (double)c->depth * c->columns;
    ptrdiff_t parts = fnn_ceil_div(c->depth, FILTER_DEPTH);
    fnn_parallel_for(c->panels * parts, weights * 4, c->n_threads, filter_task, &g);
    fnn_parallel_for(g.tiles.chunks, weights * (double)g.tiles.rows, c->n_threads, multiply_task, &g);
    return bytes;
}
