/* Convolution backward to the weights:  dW[t] = sum over pixels p of  x[source(p, t)]^T @ dy[p].
 *
 * A task owns a block of input channels, a panel of output channels and a band of output rows, for all taps. It walks
 * over the band in chunks of pixels that stay in L2 while all taps and channels use them. Bands have sums of their own
 * (bands.h).
 */
#include <string.h>

#include "ops/bands.h"
#include "ops/conv2d.h"

enum {
    CHUNK_ROWS = 256,   /* rows of the (w, n) x channels matrix that are summed in registers at a time */
    BLOCK_CHANNELS = 96 /* input channels of a task: a multiple of every tile height */
};

typedef struct {
    const fnn_conv2d_shape *shape;
    const FNN_TYPED(fnn_kernels) * kernels;
    ptrdiff_t c_in, c_out; /* per group */
    ptrdiff_t panel_columns, panels, block, blocks;
    ptrdiff_t band_rows;
    tap_map map;
    const real *x, *dy;
    band_sums bands;
    real *packed; /* [thread][row of a chunk][panel columns]: see `pack_chunk`; NULL if dy lies like that */
} weight_gradient;

/* The pixels of a chunk, and their rows. */
static ptrdiff_t chunk_pixels(const fnn_conv2d_shape *s) { return fnn_max(1, CHUNK_ROWS / fnn_max(1, s->n)); }
static ptrdiff_t chunk_rows(const fnn_conv2d_shape *s) { return chunk_pixels(s) * s->n; }

static ptrdiff_t prepare(weight_gradient *g, const fnn_conv2d_plan *plan, void *base) {
    const fnn_conv2d_shape *s = &plan->shape;
    g->shape = s;
    g->c_in = s->c_in / s->groups;
    g->c_out = s->c_out / s->groups;
    g->kernels = KERNELS_OF(s->isa);
    g->panel_columns = g->kernels->panel_columns;
    g->panels = fnn_ceil_div(g->c_out, g->panel_columns);
    g->blocks = fnn_ceil_div(g->c_in, BLOCK_CHANNELS);
    g->block = fnn_ceil_div(g->c_in, g->blocks);
    ptrdiff_t weights = s->kernel_h * s->kernel_w * g->c_in * s->c_out;
    g->band_rows = fnn_ceil_div(s->h_out, OP(bands_wanted)(s, weights, s->groups * g->panels * g->blocks, s->h_out));
    workspace_cursor workspace = {base, 0};
    fnn_tap_map(s, 0, TAP_RUN_ROWS, &workspace, &g->map);
    g->bands = OP(bands_take)(fnn_ceil_div(s->h_out, g->band_rows), weights, s->c_out, &workspace);
    int packs = s->c_out > g->panel_columns;
    ptrdiff_t packed = packs ? SIZE(plan->n_threads, chunk_rows(s), g->panel_columns) : 0;
    g->packed = workspace_take(&workspace, packed, sizeof(real));
    g->packed = packs ? g->packed : NULL;
    return workspace.used;
}

/* Pixels of the result: in rows `h`, of each those in `w`, which are all if there are several rows. */
typedef struct {
    fnn_range h, w;
} chunk;

static ptrdiff_t chunk_length(const chunk *p) { return (p->h.end - p->h.begin) * (p->w.end - p->w.begin); }

/* What a tap reads for the pixels of a chunk: where it lies in x, and where the gradients of these pixels lie in the piece
 * of dy that begins with the first, `dy_pixel` elements a pixel. Returns the number of pixels; with stride 1 those of a row
 * are one matrix, and the number is that of rows, each of `*depth` rows of it. */
static ptrdiff_t list_pixels(const weight_gradient *g, ptrdiff_t tap, const chunk *p, ptrdiff_t dy_pixel,
                             ptrdiff_t *x_offset, ptrdiff_t *dy_offset, ptrdiff_t *depth) {
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t count = 0;
    for (ptrdiff_t h = p->h.begin; h < p->h.end; h++) {
        ptrdiff_t in_h = g->map.h.source[h * s->kernel_h + tap / s->kernel_w], first = count;
        if (in_h < 0) {
            continue;
        }
        *depth = s->n;
        for (ptrdiff_t w = p->w.begin; w < p->w.end; w++) {
            ptrdiff_t in_w = g->map.w.source[w * s->kernel_w + tap % s->kernel_w];
            if (in_w < 0) {
                continue;
            }
            if (count > first && s->stride_w == 1) {
                *depth += s->n;
                continue;
            }
            x_offset[count] = (in_h * s->w + in_w) * s->n * s->c_in;
            dy_offset[count] = ((h - p->h.begin) * s->w_out + w - p->w.begin) * dy_pixel;
            count++;
        }
    }
    return count;
}

/* Whole rows of the result, if a chunk has room for one, else a part of one. */
static ptrdiff_t rows_together(const fnn_conv2d_shape *s) { return fnn_max(1, chunk_pixels(s) / s->w_out); }

static ptrdiff_t chunks_of_row(const fnn_conv2d_shape *s) { return fnn_ceil_div(s->w_out, chunk_pixels(s)); }

static ptrdiff_t chunks_of_band(const weight_gradient *g, ptrdiff_t band) {
    fnn_range rows = fnn_chunk(band, g->band_rows, g->shape->h_out);
    return fnn_ceil_div(rows.end - rows.begin, rows_together(g->shape)) * chunks_of_row(g->shape);
}

static chunk chunk_of(const weight_gradient *g, ptrdiff_t band, ptrdiff_t i) {
    const fnn_conv2d_shape *s = g->shape;
    fnn_range rows = fnn_chunk(band, g->band_rows, s->h_out);
    ptrdiff_t together = rows_together(s), h = rows.begin + i / chunks_of_row(s) * together;
    return (chunk){{h, fnn_min(rows.end, h + together)}, fnn_chunk(i % chunks_of_row(s), chunk_pixels(s), s->w_out)};
}

/* The gradients of one panel, which all taps and input channels read, as a dense matrix: rows of a panel whose distance
 * is a power of two would share a few sets of the cache. */
static void pack_chunk(const real *dy, ptrdiff_t rows, ptrdiff_t stride, ptrdiff_t columns, real *packed) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        memcpy(packed + i * columns, dy + i * stride, (size_t)columns * sizeof(real));
    }
}

/* Add what the pixels of a chunk contribute to one block x panel of all taps, and to the bias. */
static void add_chunk(const weight_gradient *g, ptrdiff_t band, ptrdiff_t group, ptrdiff_t block, ptrdiff_t panel,
                      const chunk *p, real *packed) {
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t x_offset[CHUNK_ROWS], dy_offset[CHUNK_ROWS];
    ptrdiff_t column = group * g->c_out + panel * g->panel_columns, row = block * g->block;
    ptrdiff_t columns = fnn_min(g->panel_columns, g->c_out - panel * g->panel_columns), stride = s->c_out;
    ptrdiff_t rows = chunk_length(p) * s->n;
    const real *dy = g->dy + (p->h.begin * s->w_out + p->w.begin) * s->n * s->c_out + column;
    if (packed != NULL) {
        pack_chunk(dy, rows, stride, columns, packed);
        dy = packed, stride = columns;
    }
    if (g->bands.dbias != NULL && block == 0) { /* while this piece of dy is in a cache */
        g->kernels->column_sums(rows, columns, dy, stride, bias_sums_of_band(&g->bands, band) + column);
    }
    fnn_batch_gemm gemm = {
        .rows = fnn_min(g->block, g->c_in - row),
        .columns = columns,
        .a = g->x + group * g->c_in + row,
        .a_offset = x_offset,
        .a_stride = s->c_in,
        .b = dy,
        .b_offset = dy_offset,
        .b_stride = stride,
        .start_stride = s->c_out,
        .c_stride = s->c_out,
    };
    for (ptrdiff_t tap = 0; tap < s->kernel_h * s->kernel_w; tap++) {
        gemm.count = list_pixels(g, tap, p, s->n * stride, x_offset, dy_offset, &gemm.depth);
        gemm.c = sums_of_band(&g->bands, band) + (tap * g->c_in + row) * s->c_out + column;
        gemm.start = gemm.c;
        if (gemm.count > 0) {
            g->kernels->batch_gemm_transposed(&gemm);
        }
    }
}

/* Task: one band, one block of input channels, one panel of output channels. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    const weight_gradient *g = context;
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t panel = task % g->panels, block = task / g->panels % g->blocks;
    ptrdiff_t group = task / g->panels / g->blocks % s->groups, band = task / g->panels / g->blocks / s->groups;
    real *sums = sums_of_band(&g->bands, band);
    ptrdiff_t row = block * g->block, rows = fnn_min(g->block, g->c_in - row);
    ptrdiff_t column = group * g->c_out + panel * g->panel_columns;
    ptrdiff_t columns = fnn_min(g->panel_columns, g->c_out - panel * g->panel_columns);
    for (ptrdiff_t tap = 0; tap < s->kernel_h * s->kernel_w; tap++) {
        for (ptrdiff_t i = 0; i < rows; i++) {
            real *to = sums + (tap * g->c_in + row + i) * s->c_out + column;
            memset(to, 0, (size_t)columns * sizeof(real));
        }
    }
    real *packed = g->packed == NULL ? NULL : g->packed + thread * chunk_rows(s) * g->panel_columns;
    for (ptrdiff_t i = 0; i < chunks_of_band(g, band); i++) {
        chunk p = chunk_of(g, band, i);
        add_chunk(g, band, group, block, panel, &p, packed);
    }
}

ptrdiff_t OP(conv2d_weight)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace) {
    weight_gradient g;
    const fnn_conv2d_shape *s = &plan->shape;
    int n_threads = plan->n_threads;
    ptrdiff_t bytes = prepare(&g, plan, workspace);
    if (workspace == NULL) {
        return bytes;
    }
    g.x = operands->x, g.dy = operands->dy;
    OP(bands_begin)(&g.bands, operands);
    double outputs = (double)s->n * s->h_out * s->w_out * s->c_out;
    double cost = outputs * s->kernel_h * s->kernel_w * g.c_in / 16;
    fnn_parallel_for(g.bands.count * s->groups * g.blocks * g.panels, cost, n_threads, multiply_task, &g);
    OP(bands_finish)(&g.bands, g.kernels, n_threads);
    return bytes;
}
