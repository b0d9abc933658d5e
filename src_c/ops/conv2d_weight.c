/* Convolution backward to the weights:  dW[t] = sum over pixels p of  x[source(p, t)]^T @ dy[p].
 *
 * A task owns a block of input channels, a panel of output channels or some, and a band of chunks of pixels, for all taps.
 * A chunk stays in L2 while all taps and channels use it. Bands have sums of their own (bands.h).
 */
#include <string.h>

#include "ops/bands.h"
#include "ops/conv2d.h"

enum {
    CHUNK_ROWS = 256,     /* rows of the (w, n) x channels matrix that are summed in registers at a time */
    BLOCK_CHANNELS = 96,  /* input channels of a task: a multiple of every tile height; twice as many of wide panels, */
    MANY_TASKS = 64,      /* if that leaves so many */
    JOINED_COLUMNS = 256, /* of panels for which x is packed once: a tile of narrow ones reads much of it for each; */
    MOST_PANELS = JOINED_COLUMNS / 4, /* the narrowest are two vectors of two doubles */
    MANY_PANELS = 4,
    NARROW_ROWS = 128 /* then a tile's x and dy stay in L1 */
};

typedef struct {
    const fnn_conv2d_shape *shape;
    const FNN_TYPED(fnn_kernels) * kernels;
    ptrdiff_t c_in, c_out; /* per group */
    ptrdiff_t panel_columns, panels, block, blocks;
    ptrdiff_t joined, joints; /* panels of a task, tasks of a block */
    ptrdiff_t images, parts;  /* of a chunk, in how many parts of n */
    ptrdiff_t pixels;         /* of a chunk */
    ptrdiff_t rows_together;  /* of the result: whole ones, if a chunk has room for one, else a part of one */
    ptrdiff_t row_chunks, chunks, band_chunks;
    tap_map map;
    const real *x, *dy;
    band_sums bands;
    real *packed;   /* [thread][panel][row of a chunk][panel columns]: see `pack_rows`; NULL if dy lies like that */
    real *packed_x; /* [thread][row of a chunk][block]; or NULL */
} weight_gradient;

static ptrdiff_t prepare(weight_gradient *g, const fnn_conv2d_plan *plan, void *base) {
    const fnn_conv2d_shape *s = &plan->shape;
    g->shape = s;
    g->c_in = s->c_in / s->groups;
    g->c_out = s->c_out / s->groups;
    g->kernels = KERNELS_OF(s->isa);
    g->panel_columns = g->kernels->panel_columns;
    g->panels = fnn_ceil_div(g->c_out, g->panel_columns);
    int narrow = g->panel_columns * (ptrdiff_t)sizeof(real) <= CONV2D_NARROW;
    int far = s->c_in * (ptrdiff_t)sizeof(real) >= FNN_L1_WAY_BYTES; /* rows of x share few sets of L1 */
    int packs_x = g->panels >= MANY_PANELS && (narrow || far);
    ptrdiff_t joints = fnn_ceil_div(g->panels, MANY_PANELS), wide = 2 * BLOCK_CHANNELS;
    int large = !narrow && s->groups * joints * fnn_ceil_div(g->c_in, wide) >= MANY_TASKS;
    g->blocks = fnn_ceil_div(g->c_in, large ? wide : BLOCK_CHANNELS);
    g->block = fnn_ceil_div(g->c_in, g->blocks);
    int few_rows = SIZE(s->n, s->h_out, s->w_out) <= CHUNK_ROWS; /* that are one chunk: sums are read once */
    ptrdiff_t most_rows = narrow && !few_rows ? NARROW_ROWS : CHUNK_ROWS;
    g->joined = packs_x ? fnn_min(g->panels, JOINED_COLUMNS / g->panel_columns) : 1;
    while (g->joined > MANY_PANELS && s->groups * g->blocks * fnn_ceil_div(g->panels, g->joined) < BANDS_FEW_TASKS) {
        g->joined /= 2;
    }
    g->joints = fnn_ceil_div(g->panels, g->joined);
    g->parts = fnn_ceil_div(s->n, most_rows);
    g->images = fnn_ceil_div(s->n, g->parts);
    g->pixels = g->parts > 1 ? 1 : most_rows / s->n;
    g->row_chunks = fnn_ceil_div(s->w_out, g->pixels) * g->parts;
    ptrdiff_t weights = s->kernel_h * s->kernel_w * g->c_in * s->c_out;
    ptrdiff_t tasks = s->groups * g->joints * g->blocks;
    ptrdiff_t bands = OP(bands_wanted)(s, weights, tasks, s->h_out * g->row_chunks);
    g->rows_together = fnn_max(1, fnn_min(g->pixels / s->w_out, s->h_out / bands));
    g->chunks = fnn_ceil_div(s->h_out, g->rows_together) * g->row_chunks;
    g->band_chunks = fnn_ceil_div(g->chunks, bands);
    ptrdiff_t rows = g->images * g->pixels;
    workspace_cursor workspace = {base, 0};
    fnn_tap_map(s, 0, TAP_RUN_ROWS, &workspace, &g->map);
    g->bands = OP(bands_take)(fnn_ceil_div(g->chunks, g->band_chunks), weights, s->c_out, &workspace);
    int packs = s->c_out > g->panel_columns;
    ptrdiff_t packed = packs ? SIZE(plan->n_threads, g->joined, rows, g->panel_columns) : 0;
    ptrdiff_t packed_x = packs_x ? SIZE(plan->n_threads, rows, g->block) : 0;
    g->packed = workspace_take(&workspace, packed, sizeof(real));
    g->packed = packs ? g->packed : NULL;
    g->packed_x = workspace_take(&workspace, packed_x, sizeof(real));
    g->packed_x = packs_x ? g->packed_x : NULL;
    return workspace.used;
}

/* Pixels of the result: in rows `h`, of each those in `w`, which are all if there are several rows; and images, which are
 * all if there are several pixels. */
typedef struct {
    fnn_range h, w, n;
} chunk;

static chunk chunk_of(const weight_gradient *g, ptrdiff_t i) {
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t place = i % g->row_chunks;
    return (chunk){fnn_chunk(i / g->row_chunks, g->rows_together, s->h_out),
                   fnn_chunk(place / g->parts, g->pixels, s->w_out), fnn_chunk(place % g->parts, g->images, s->n)};
}

static ptrdiff_t chunk_rows(const chunk *p) {
    return (p->h.end - p->h.begin) * (p->w.end - p->w.begin) * (p->n.end - p->n.begin);
}

/* What a tap reads for the pixels of a chunk: where it lies in x, and the numbers of these pixels, counted from the first of
 * the chunk. Returns how many there are; with stride 1 those of a row are one matrix, and it is that of rows, each of `*depth`
 * rows of it. */
static ptrdiff_t list_pixels(const weight_gradient *g, ptrdiff_t tap, const chunk *p, ptrdiff_t *x_offset,
                             ptrdiff_t *pixel, ptrdiff_t *depth) {
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t count = 0, images = p->n.end - p->n.begin;
    for (ptrdiff_t h = p->h.begin; h < p->h.end; h++) {
        ptrdiff_t in_h = g->map.h.source[h * s->kernel_h + tap / s->kernel_w], first = count;
        if (in_h < 0) {
            continue;
        }
        *depth = images;
        for (ptrdiff_t w = p->w.begin; w < p->w.end; w++) {
            ptrdiff_t in_w = g->map.w.source[w * s->kernel_w + tap % s->kernel_w];
            if (in_w < 0) {
                continue;
            }
            if (count > first && s->stride_w == 1) {
                *depth += images;
                continue;
            }
            x_offset[count] = ((in_h * s->w + in_w) * s->n + p->n.begin) * s->c_in;
            pixel[count] = (h - p->h.begin) * s->w_out + w - p->w.begin;
            count++;
        }
    }
    return count;
}

/* Some columns of a matrix as a dense one: rows whose distance is a power of two would share a few sets of the cache. */
static void pack_rows(const real *from, ptrdiff_t rows, ptrdiff_t stride, ptrdiff_t columns, real *packed) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        copy_row(packed + i * columns, from + i * stride, columns);
    }
}

/* The weights of a task: all taps of a block of input channels and some output channels. */
typedef struct {
    ptrdiff_t group, row, rows; /* the input channels, of the group */
    ptrdiff_t panel, end;
} weight_block;

/* One panel of the gradients of a chunk. */
typedef struct {
    ptrdiff_t column, columns, stride;
    const real *dy;
} panel_rows;

static panel_rows panel_of(const weight_gradient *g, ptrdiff_t band, const weight_block *block, ptrdiff_t panel,
                           const chunk *p, real *packed) {
    const fnn_conv2d_shape *s = g->shape;
    panel_rows r = {
        .column = block->group * g->c_out + panel * g->panel_columns,
        .columns = fnn_min(g->panel_columns, g->c_out - panel * g->panel_columns),
        .stride = s->c_out,
    };
    r.dy = g->dy + ((p->h.begin * s->w_out + p->w.begin) * s->n + p->n.begin) * s->c_out + r.column;
    if (packed != NULL) {
        pack_rows(r.dy, chunk_rows(p), r.stride, r.columns, packed);
        r.dy = packed, r.stride = r.columns;
    }
    if (g->bands.dbias != NULL && block->row == 0) { /* while this piece of dy is in a cache */
        real *sums = bias_sums_of_band(&g->bands, band) + r.column;
        g->kernels->column_sums(chunk_rows(p), r.columns, r.dy, r.stride, sums);
    }
    return r;
}

/* The sums of a tap that reads no pixel of the first chunk. */
static void clear(const weight_gradient *g, ptrdiff_t band, const weight_block *block, ptrdiff_t tap) {
    ptrdiff_t stride = g->shape->c_out, column = block->group * g->c_out + block->panel * g->panel_columns;
    ptrdiff_t columns = fnn_min(block->end * g->panel_columns, g->c_out) - block->panel * g->panel_columns;
    real *to = sums_of_band(&g->bands, band) + (tap * g->c_in + block->row) * stride + column;
    for (ptrdiff_t i = 0; i < block->rows; i++) {
        memset(to + i * stride, 0, (size_t)columns * sizeof(real));
    }
}

/* Add what the pixels of a chunk contribute to a block, and to the bias; the first chunk of a band begins its sums. */
static void add_chunk(const weight_gradient *g, ptrdiff_t band, const weight_block *block, const chunk *p, int is_first,
                      real *packed, real *packed_x) {
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t x_offset[CHUNK_ROWS], dy_offset[CHUNK_ROWS], pixel[CHUNK_ROWS], panels = block->end - block->panel;
    panel_rows panel[MOST_PANELS];
    for (ptrdiff_t i = 0; i < panels; i++) {
        real *to = packed == NULL ? NULL : packed + i * g->images * g->pixels * g->panel_columns;
        panel[i] = panel_of(g, band, block, block->panel + i, p, to);
    }
    const real *x = g->x + block->group * g->c_in + block->row;
    fnn_batch_gemm gemm = {
        .rows = block->rows,
        .a = packed_x != NULL ? packed_x : x,
        .a_offset = x_offset,
        .a_stride = packed_x != NULL ? block->rows : s->c_in,
        .b_offset = dy_offset,
        .start_stride = s->c_out,
        .c_stride = s->c_out,
    };
    for (ptrdiff_t tap = 0; tap < s->kernel_h * s->kernel_w; tap++) {
        gemm.count = list_pixels(g, tap, p, x_offset, pixel, &gemm.depth);
        for (ptrdiff_t i = 0; packed_x != NULL && i < gemm.count; i++) {
            ptrdiff_t at = i * gemm.depth * block->rows;
            pack_rows(x + x_offset[i], gemm.depth, s->c_in, block->rows, packed_x + at);
            x_offset[i] = at;
        }
        if (is_first && gemm.count == 0) {
            clear(g, band, block, tap);
        }
        for (ptrdiff_t i = 0; gemm.count > 0 && i < panels; i++) {
            for (ptrdiff_t j = 0; j < gemm.count; j++) {
                dy_offset[j] = pixel[j] * s->n * panel[i].stride;
            }
            gemm.columns = panel[i].columns;
            gemm.b = panel[i].dy;
            gemm.b_stride = panel[i].stride;
            gemm.c = sums_of_band(&g->bands, band) + (tap * g->c_in + block->row) * s->c_out + panel[i].column;
            gemm.start = is_first ? NULL : gemm.c;
            g->kernels->batch_gemm_transposed(&gemm);
        }
    }
}

/* Task: one band, one block of input channels, one panel of output channels, or some. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    const weight_gradient *g = context;
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t joint = task % g->joints, number = task / g->joints % g->blocks;
    ptrdiff_t group = task / g->joints / g->blocks % s->groups, band = task / g->joints / g->blocks / s->groups;
    weight_block block = {
        .group = group,
        .row = number * g->block,
        .rows = fnn_min(g->block, g->c_in - number * g->block),
        .panel = joint * g->joined,
        .end = fnn_min(g->panels, (joint + 1) * g->joined),
    };
    ptrdiff_t rows = g->images * g->pixels;
    real *packed = g->packed == NULL ? NULL : g->packed + thread * g->joined * rows * g->panel_columns;
    real *packed_x = g->packed_x == NULL ? NULL : g->packed_x + thread * rows * g->block;
    fnn_range chunks = fnn_chunk(band, g->band_chunks, g->chunks);
    for (ptrdiff_t i = chunks.begin; i < chunks.end; i++) {
        chunk p = chunk_of(g, i);
        add_chunk(g, band, &block, &p, i == chunks.begin, packed, packed_x);
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
    fnn_parallel_for(g.bands.count * s->groups * g.blocks * g.joints, cost, n_threads, multiply_task, &g);
    OP(bands_finish)(&g.bands, g.kernels, n_threads);
    return bytes;
}
