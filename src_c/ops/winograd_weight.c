/* Winograd's convolution backward to the weights; winograd.h has the formula.
 *
 * A task owns a band of chunks, a block of input channels and a block of output channels. Bands have sums of their own,
 * which are added in ascending order: how many there are depends on the shape alone.
 */
#include "ops/winograd.h"

#include <string.h>

#include "ops/bands.h"

enum {
    CHUNK_ROWS = 192,  /* that a task works on at a time; more read the sums less often */
    CHUNK_ROWS4 = 128, /* of tiles of 2 x 4 and 4 x 4 */
    FEW_CHUNK_ROWS24 = 64,
    FEW_CHUNK_ROWS4 = 48,
    SMALL_SUMS = FNN_L2_BYTES, /* they stay in it, if tiles leave them room, which takes few rows */
    BLOCK_CHANNELS = 128,      /* of a task */
    WIDE_BLOCK_CHANNELS = 256, /* of the outputs, if there are MANY_ROWS: inputs are transformed half as often, */
    MANY_ROWS = 4096,          /* and more bands, which keep the threads busy, cost little to add */
    GEMM_ROWS = 96,            /* input channels of one kernel call: a multiple of every tile height */
    WANTED_TASKS = 64,         /* enough to keep many threads busy to the end; */
    FEW_TASKS = 8,             /* so many, even if */
    BAND_CHUNKS = 2,           /* and less, are hardly worth sums of their own */
    MAX_BAND_BYTES = 64 << 20, /* of memory for the sums of all bands, or half of what is read */
    FINISH_CHUNK = 1024        /* weights that a task transforms back */
};

typedef struct {
    const fnn_conv2d_shape *shape;
    const FNN_TYPED(fnn_kernels) * kernels;
    ptrdiff_t panel_columns;
    ptrdiff_t block_in, blocks_in, block_out, blocks_out;
    winograd_tiles tiles;
    winograd_transforms transforms;
    ptrdiff_t bands, band_chunks;
    ptrdiff_t weights;                     /* of one tap */
    ptrdiff_t sums_stride;                 /* between two transformed gradients */
    ptrdiff_t input_stride, output_stride; /* between positions */
    real *sums;                            /* [band][filter][c_in][c_out] */
    real *inputs, *outputs;                /* [thread][position][chunk][block] */
    real *bias_sums;                       /* [band][c_out] */
    real *zeros;
    const real *x, *dy;
    real *dweight, *dbias; /* dbias may be NULL */
} weight_gradient;

static ptrdiff_t prepare(weight_gradient *g, const fnn_conv2d_shape *s, int n_threads, void *base) {
    g->shape = s;
    g->kernels = KERNELS_OF(s->isa);
    g->panel_columns = g->kernels->panel_columns;
    g->blocks_in = fnn_ceil_div(s->c_in, BLOCK_CHANNELS);
    g->transforms = winograd_transforms_of(g->kernels, s->algorithm);
    winograd_extent h = winograd_extent_h(s->algorithm), w = winograd_extent_w(s->algorithm);
    ptrdiff_t all_rows = s->n * fnn_ceil_div(s->h_out, h.outputs) * fnn_ceil_div(s->w_out, w.outputs);
    g->blocks_out = fnn_ceil_div(s->c_out, all_rows < MANY_ROWS ? BLOCK_CHANNELS : WIDE_BLOCK_CHANNELS);
    g->block_in = fnn_ceil_div(s->c_in, g->blocks_in);
    g->block_out = fnn_ceil_div(fnn_ceil_div(s->c_out, g->blocks_out), CONV2D_LINE) * CONV2D_LINE;
    ptrdiff_t rows = CHUNK_ROWS;
    if (s->algorithm != FNN_WINOGRAD) {
        ptrdiff_t sums = h.side * w.side * g->block_in * g->block_out * (ptrdiff_t)sizeof(real);
        ptrdiff_t few = s->algorithm == FNN_WINOGRAD4 ? FEW_CHUNK_ROWS4 : FEW_CHUNK_ROWS24;
        rows = sums <= SMALL_SUMS ? few : CHUNK_ROWS4;
    }
    g->tiles = winograd_cut(s->algorithm, s->n, (winograd_axis){s->h, s->h_out, s->pad_top},
                            (winograd_axis){s->w, s->w_out, s->pad_left}, rows);
    g->weights = s->c_in * s->c_out;
    g->sums_stride = g->weights + CONV2D_LINE;
    ptrdiff_t blocks = g->blocks_in * g->blocks_out,
              read = s->n * (s->h * s->w * s->c_in + s->h_out * s->w_out * s->c_out);
    ptrdiff_t few = fnn_min(fnn_ceil_div(FEW_TASKS, blocks), g->tiles.chunks);
    ptrdiff_t bands = fnn_max(few, fnn_min(fnn_ceil_div(WANTED_TASKS, blocks), g->tiles.chunks / BAND_CHUNKS));
    ptrdiff_t affordable =
        fnn_max(MAX_BAND_BYTES / (ptrdiff_t)sizeof(real), read / 2) / (g->tiles.filters * g->weights);
    bands = fnn_max(1, fnn_min(bands, affordable));
    g->band_chunks = fnn_ceil_div(g->tiles.chunks, bands);
    g->bands = fnn_ceil_div(g->tiles.chunks, g->band_chunks);
    g->input_stride = g->tiles.chunk * g->block_in + CONV2D_LINE;
    g->output_stride = g->tiles.chunk * g->block_out + CONV2D_LINE;
    workspace_cursor workspace = {base, 0};
    g->sums = workspace_take(&workspace, SIZE(g->bands, g->tiles.filters, g->sums_stride), sizeof(real));
    g->bias_sums = workspace_take(&workspace, SIZE(g->bands, s->c_out), sizeof(real));
    g->zeros = workspace_take(&workspace, SIZE(fnn_max(g->block_in, g->block_out), g->tiles.chunk), sizeof(real));
    g->inputs = workspace_take(&workspace, SIZE(n_threads, g->tiles.positions, g->input_stride), sizeof(real));
    g->outputs = workspace_take(&workspace, SIZE(n_threads, g->tiles.positions, g->output_stride), sizeof(real));
    return workspace.used;
}

/* Images of height x width pixels of `channels` reals. */
typedef struct {
    const real *pixels;
    ptrdiff_t height, width, channels;
} image_map;

/* to[position][row][channel] = the tile of pixels in `rows` and `columns`, transformed; for the images of a segment and the
 * channels in `block`. Rows are `width` reals apart. Outside the map, pixels are zero. */
static void transform_tile(const weight_gradient *g, winograd_tile_transform transform, const image_map *map,
                           fnn_range rows, fnn_range columns, const winograd_segment *segment, fnn_range block,
                           real *to, ptrdiff_t width, ptrdiff_t stride) {
    const real *sources[WINOGRAD_POSITIONS];
    ptrdiff_t steps[WINOGRAD_POSITIONS], count = 0; /* to the next image */
    for (ptrdiff_t h = rows.begin; h < rows.end; h++) {
        for (ptrdiff_t w = columns.begin; w < columns.end; w++, count++) {
            int inside = h >= 0 && h < map->height && w >= 0 && w < map->width;
            ptrdiff_t pixel = (h * map->width + w) * g->shape->n + segment->image;
            sources[count] = inside ? map->pixels + pixel * map->channels + block.begin : g->zeros;
            steps[count] = inside ? map->channels : 0;
        }
    }
    ptrdiff_t n = block.end - block.begin;
    if (n == map->channels && n == width) {
        transform(segment->rows * n, sources, to, stride);
        return;
    }
    for (ptrdiff_t row = 0; row < segment->rows; row++) {
        transform(n, sources, to + row * width, stride);
        for (ptrdiff_t i = 0; i < count; i++) {
            sources[i] += steps[i];
        }
    }
}

/* Add the pixels of dy in `rows` and `columns` to the sums of `block`, for the images of a segment. */
static void add_bias(const weight_gradient *g, fnn_range rows, fnn_range columns, const winograd_segment *segment,
                     fnn_range block, real *sums) {
    const fnn_conv2d_shape *s = g->shape;
    for (ptrdiff_t h = rows.begin; h < fnn_min(rows.end, s->h_out); h++) {
        for (ptrdiff_t w = columns.begin; w < fnn_min(columns.end, s->w_out); w++) {
            const real *dy = g->dy + ((h * s->w_out + w) * s->n + segment->image) * s->c_out + block.begin;
            g->kernels->column_sums(segment->rows, block.end - block.begin, dy, s->c_out, sums + block.begin);
        }
    }
}

/* The tiles of x and of dy of a chunk, transformed; of the channels in the two blocks. bias_sums not NULL: dy is added to
 * these, too, while it is in a cache. */
static void transform(const weight_gradient *g, const winograd_chunk *chunk, fnn_range in, fnn_range out, real *inputs,
                      real *outputs, real *bias_sums) {
    const fnn_conv2d_shape *s = g->shape;
    const winograd_tiles *t = &g->tiles;
    const image_map x = {g->x, s->h, s->w, s->c_in}, dy = {g->dy, s->h_out, s->w_out, s->c_out};
    fnn_range range = chunk->rows;
    for (ptrdiff_t row = range.begin; row < range.end;) {
        winograd_segment segment = winograd_next(t, chunk->region, row, range.end);
        ptrdiff_t h = t->h.outputs * segment.h, w = t->w.outputs * segment.w, first = row - range.begin;
        fnn_range in_h = {h - s->pad_top, h - s->pad_top + t->h.side};
        fnn_range in_w = {w - s->pad_left, w - s->pad_left + t->w.side};
        transform_tile(g, g->transforms.input, &x, in_h, in_w, &segment, in, inputs + first * g->block_in, g->block_in,
                       g->input_stride);
        fnn_range out_h = {h, h + t->h.outputs}, out_w = {w, w + t->w.outputs};
        transform_tile(g, g->transforms.output_gradient, &dy, out_h, out_w, &segment, out,
                       outputs + first * g->block_out, g->block_out, g->output_stride);
        if (bias_sums != NULL) {
            add_bias(g, out_h, out_w, &segment, out, bias_sums);
        }
        row += segment.rows;
    }
}

/* Task: one band, one block of input channels, one block of output channels. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    const weight_gradient *g = context;
    const fnn_conv2d_shape *s = g->shape;
    fnn_range in = fnn_chunk(task % g->blocks_in, g->block_in, s->c_in);
    fnn_range out = fnn_chunk(task / g->blocks_in % g->blocks_out, g->block_out, s->c_out);
    ptrdiff_t band = task / g->blocks_in / g->blocks_out;
    fnn_range chunks = fnn_chunk(band, g->band_chunks, g->tiles.chunks);
    real *inputs = g->inputs + thread * g->tiles.positions * g->input_stride;
    real *outputs = g->outputs + thread * g->tiles.positions * g->output_stride;
    real *bias_sums = g->dbias != NULL && in.begin == 0 ? g->bias_sums + band * s->c_out : NULL;
    const ptrdiff_t no_offset = 0;
    fnn_batch_gemm gemm = {
        .count = 1,
        .a_offset = &no_offset,
        .a_stride = g->block_in,
        .b_offset = &no_offset,
        .b_stride = g->block_out,
        .start_stride = s->c_out,
        .c_stride = s->c_out,
    };
    int started[WINOGRAD_POSITIONS] = {0};
    for (ptrdiff_t i = chunks.begin; i < chunks.end; i++) {
        winograd_chunk chunk = winograd_chunk_of(&g->tiles, i);
        transform(g, &chunk, in, out, inputs, outputs, bias_sums);
        gemm.depth = chunk.rows.end - chunk.rows.begin;
        for (ptrdiff_t position = 0; position < g->tiles.positions; position++) {
            ptrdiff_t filter = winograd_filter_of(&g->tiles, chunk.region, position);
            if (filter < 0) {
                continue;
            }
            real *sums = g->sums + (band * g->tiles.filters + filter) * g->sums_stride;
            for (ptrdiff_t row = in.begin; row < in.end; row += GEMM_ROWS) {
                gemm.rows = fnn_min(GEMM_ROWS, in.end - row);
                gemm.a = inputs + position * g->input_stride + row - in.begin;
                for (ptrdiff_t column = out.begin; column < out.end; column += g->panel_columns) {
                    gemm.columns = fnn_min(g->panel_columns, out.end - column);
                    gemm.b = outputs + position * g->output_stride + column - out.begin;
                    gemm.c = sums + row * s->c_out + column;
                    gemm.start = started[filter] ? gemm.c : NULL;
                    g->kernels->batch_gemm_transposed(&gemm);
                }
            }
            started[filter] = 1;
        }
    }
    for (ptrdiff_t filter = 0; filter < g->tiles.filters; filter++) {
        real *sums = g->sums + (band * g->tiles.filters + filter) * g->sums_stride;
        for (ptrdiff_t row = in.begin; row < in.end && !started[filter]; row++) {
            memset(sums + row * s->c_out + out.begin, 0, (size_t)(out.end - out.begin) * sizeof(real));
        }
    }
}

/* Task: some weights of all taps, from the sums of all bands. */
static void finish_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const weight_gradient *g = context;
    fnn_range r = fnn_chunk(task, FINISH_CHUNK, g->weights);
    for (ptrdiff_t filter = 0; filter < g->tiles.filters; filter++) {
        real *first = g->sums + filter * g->sums_stride + r.begin;
        for (ptrdiff_t band = 1; band < g->bands; band++) {
            const real *next = first + band * g->tiles.filters * g->sums_stride;
            g->kernels->add(r.end - r.begin, first, next, first);
        }
    }
    const real *sums = g->sums + r.begin;
    real *dweight = g->dweight + r.begin;
    g->transforms.filter_gradient(r.end - r.begin, sums, g->sums_stride, dweight, g->weights, g->tiles.middle);
}

ptrdiff_t OP(winograd_weight)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace) {
    weight_gradient g;
    ptrdiff_t bytes = prepare(&g, &plan->shape, plan->n_threads, workspace);
    if (workspace == NULL) {
        return bytes;
    }
    int n_threads = plan->n_threads;
    ptrdiff_t channels = plan->shape.c_out;
    g.x = operands->x, g.dy = operands->dy, g.dweight = operands->dweight, g.dbias = operands->dbias;
    memset(g.bias_sums, 0, (size_t)(g.bands * channels) * sizeof(real));
    memset(g.zeros, 0, (size_t)(fnn_max(g.block_in, g.block_out) * g.tiles.chunk) * sizeof(real));
    double cost = (double)g.weights * g.tiles.rows, finish_cost = (double)g.weights * g.bands * 8;
    fnn_parallel_for(g.bands * g.blocks_in * g.blocks_out, cost, n_threads, multiply_task, &g);
    fnn_parallel_for(fnn_ceil_div(g.weights, FINISH_CHUNK), finish_cost, n_threads, finish_task, &g);
    OP(sum_bias)(g.kernels, g.bands, channels, g.bias_sums, g.dbias, n_threads);
    return bytes;
}
