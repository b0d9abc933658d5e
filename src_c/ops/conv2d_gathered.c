/* Convolution as a product of gathered rows: im2col of one block of destination pixels at a time.
 *
 * With a stride, with dilation, beside borders and for few images, few destinations in a row read sources that lie in
 * step, and each such run reads all weights again. So the sources of a block of destinations are copied, one destination
 * a row of (taps, channels), and multiplied as one matrix:
 *
 *     y[p] = gathered[p] @ W      gathered[p] = (x[source(p, t)] for all taps t)
 *
 * A copy costs about as much as two columns of the product. Destinations whose rows have the same taps are a class: those
 * of the border lack some, and going backward with a stride only those that lie alike between the strides have the same.
 * Beside the left and right border what a tap misses is zero.
 */
#include <string.h>

#include "ops/conv2d.h"

enum {
    BLOCK_ROWS = 96,          /* destinations of a task: a multiple of every tile height, whose slices stay in L2 */
    ROWS_WORTH_PACKING = 256, /* that read the weights: of fewer, those forward are read as they lie */
    WANTED_TASKS = 64,        /* enough for many threads; each gathers for itself */
    SCATTERED_PANELS = 4      /* of a task whose destinations do not lie in step: their sums stay in L2 */
};

/* Destinations with the same taps, but for those left and right of the image. */
typedef struct {
    ptrdiff_t h, w;            /* the first pixel; others are the map's steps away */
    ptrdiff_t height, width;   /* in pixels */
    ptrdiff_t first_tap, taps; /* in `order` */
} tap_class;

/* Some of them. */
typedef struct {
    const tap_class *own;
    fnn_range rows;
} block;

typedef struct {
    conv2d conv;
    int packs, scattered;
    ptrdiff_t step_h, step_w; /* between the pixels of a class */
    ptrdiff_t classes, teams, parts;
    ptrdiff_t slice; /* of the depth, at most all */
    ptrdiff_t a_stride, sums_stride;
    tap_map map;
    tap_class *classes_of;
    block *blocks;
    ptrdiff_t *team;      /* the first block of each task: together they have BLOCK_ROWS at most; one more at the end */
    ptrdiff_t *axis_taps; /* [kernel_h + kernel_w]: see `list_axis` */
    packed_taps
        packed; /* those that some destination has: between the same strides together, in the order of what they read */
    real *gathered; /* [thread][row][tap][slice] */
    real *sums;     /* [thread][row][panels of a part], if destinations do not lie in step */
    real *zeros;    /* of all channels of a group */
    norm_pass norm;
} gathered_conv2d;

/* Pixels of a block: so many images of one destination, and which. */
typedef struct {
    ptrdiff_t h, w, image, rows;
} pixel_rows;

static ptrdiff_t modulo(ptrdiff_t a, ptrdiff_t b) { return (a % b + b) % b; }

/* Along one axis, the taps of destinations that lie as the one of this offset, from the first source that one reads. Returns
 * how many. */
static ptrdiff_t list_axis(const gathered_conv2d *g, ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t offset,
                           ptrdiff_t dilation, ptrdiff_t *taps) {
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < kernel; i++) {
        ptrdiff_t tap = g->conv.backward ? kernel - 1 - i : i;
        if (!g->conv.backward || modulo(offset - tap * dilation, stride) == 0) {
            taps[count++] = tap;
        }
    }
    return count;
}

/* Which of these taps row h has: neighbours, since they read rows in ascending order. */
static fnn_range taps_of_row(const gathered_conv2d *g, ptrdiff_t h, const ptrdiff_t *taps, ptrdiff_t count) {
    const ptrdiff_t *source = g->map.h.source + h * g->map.h.kernel;
    fnn_range found = {0, count};
    while (found.begin < found.end && source[taps[found.begin]] < 0) {
        found.begin++;
    }
    while (found.begin < found.end && source[taps[found.end - 1]] < 0) {
        found.end--;
    }
    return found;
}

/* The classes of the pixels (h, w), (h + step_h, w), (h, w + step_w), ..., whose taps stand in the order from `first` on.
 * Returns how many taps. */
static ptrdiff_t add_classes(gathered_conv2d *g, ptrdiff_t h, ptrdiff_t w, ptrdiff_t first) {
    const fnn_conv2d_shape *s = g->conv.shape;
    ptrdiff_t *taps_h = g->axis_taps, *taps_w = g->axis_taps + s->kernel_h;
    ptrdiff_t count_h = list_axis(g, s->kernel_h, s->stride_h, h + s->pad_top, s->dilation_h, taps_h);
    ptrdiff_t count_w = list_axis(g, s->kernel_w, s->stride_w, w + s->pad_left, s->dilation_w, taps_w);
    for (ptrdiff_t i = 0; i < count_h * count_w; i++) {
        g->packed.order[first + i] = taps_h[i / count_w] * s->kernel_w + taps_w[i % count_w];
    }
    ptrdiff_t width = fnn_ceil_div(g->conv.y_width - w, g->step_w);
    for (tap_class *own = NULL; h < g->map.h.length; h += g->step_h) {
        fnn_range rows = taps_of_row(g, h, taps_h, count_h);
        ptrdiff_t first_tap = first + rows.begin * count_w, taps = (rows.end - rows.begin) * count_w;
        if (own == NULL || own->taps != taps || (taps > 0 && own->first_tap != first_tap)) {
            own = g->classes_of + g->classes++;
            *own = (tap_class){.h = h, .w = w, .width = width, .first_tap = first_tap, .taps = taps};
        }
        own->height++;
    }
    return count_h * count_w;
}

static void find_classes(gathered_conv2d *g) {
    g->classes = g->packed.places = 0;
    for (ptrdiff_t h = 0; h < g->step_h; h++) {
        for (ptrdiff_t w = 0; w < g->step_w; w++) {
            g->packed.places += add_classes(g, h, w, g->packed.places);
        }
    }
}

/* Cut the classes into blocks of about the same length, and let neighbours that are small be one task. */
static void cut(gathered_conv2d *g) {
    ptrdiff_t blocks = 0, rows_of_team = BLOCK_ROWS;
    g->teams = 0;
    for (ptrdiff_t i = 0; i < g->classes; i++) {
        const tap_class *own = g->classes_of + i;
        ptrdiff_t rows = own->height * own->width * g->conv.shape->n, pieces = fnn_ceil_div(rows, BLOCK_ROWS);
        for (ptrdiff_t piece = 0; piece < pieces; piece++) {
            fnn_range part = {piece * rows / pieces, (piece + 1) * rows / pieces};
            rows_of_team += part.end - part.begin;
            if (rows_of_team > BLOCK_ROWS) {
                g->team[g->teams++] = blocks;
                rows_of_team = part.end - part.begin;
            }
            g->blocks[blocks++] = (block){own, part};
        }
    }
    g->team[g->teams] = blocks;
}

static ptrdiff_t prepare(gathered_conv2d *g, void *base) {
    const conv2d *c = &g->conv;
    const fnn_conv2d_shape *s = c->shape;
    ptrdiff_t rows = SIZE(c->y_height, c->y_width, s->n);
    g->step_h = c->backward ? fnn_min(s->stride_h, s->h) : 1;
    g->step_w = c->backward ? fnn_min(s->stride_w, s->w) : 1;
    g->scattered = g->step_h * g->step_w > 1;
    g->packs = c->backward || rows > ROWS_WORTH_PACKING;
    g->parts = fnn_min(c->panels, fnn_ceil_div(WANTED_TASKS, fnn_ceil_div(rows, BLOCK_ROWS)));
    if (g->scattered) {
        g->parts = fnn_max(g->parts, fnn_ceil_div(c->panels, SCATTERED_PANELS));
    }
    g->slice = fnn_min(c->depth, c->slice);
    /* Not a power of two: rows would share a set of the cache. */
    g->a_stride = fnn_ceil_div(SIZE(c->taps, g->slice), CONV2D_LINE) * CONV2D_LINE + CONV2D_LINE;
    g->sums_stride = fnn_ceil_div(c->panels, g->parts) * c->panel_columns + CONV2D_LINE;
    workspace_cursor workspace = {base, 0};
    fnn_tap_map(s, c->backward, TAP_RUN_ROWS, &workspace, &g->map);
    norm_prepare(&g->norm, c->norm, c->kernels, c->y_channels, &workspace);
    ptrdiff_t classes_down = fnn_min(fnn_ceil_div(c->y_height, g->step_h), size_plus(2 * s->kernel_h, 1));
    ptrdiff_t classes = SIZE(g->step_h, g->step_w, classes_down);
    ptrdiff_t blocks = size_plus(classes, rows / BLOCK_ROWS);
    g->classes_of = workspace_take(&workspace, classes, sizeof(tap_class));
    g->blocks = workspace_take(&workspace, blocks, sizeof(block));
    g->team = workspace_take(&workspace, size_plus(blocks, 1), sizeof(ptrdiff_t));
    g->axis_taps = workspace_take(&workspace, size_plus(s->kernel_h, s->kernel_w), sizeof(ptrdiff_t));
    g->packed = OP(conv2d_take_packed)(c, g->packs, &workspace);
    g->gathered = workspace_take(&workspace, SIZE(c->n_threads, BLOCK_ROWS, g->a_stride), sizeof(real));
    ptrdiff_t sums = g->scattered ? SIZE(c->n_threads, BLOCK_ROWS, g->sums_stride) : 0;
    g->sums = workspace_take(&workspace, sums, sizeof(real));
    g->zeros = workspace_take(&workspace, c->depth, sizeof(real));
    return workspace.used;
}

/* The pixels of `rows` of a class; returns how many. */
static ptrdiff_t list_pixels(const gathered_conv2d *g, const tap_class *own, fnn_range rows, pixel_rows *pixels) {
    ptrdiff_t n = g->conv.shape->n, count = 0;
    for (ptrdiff_t row = rows.begin; row < rows.end; count++) {
        ptrdiff_t pixel = row / n, image = row % n;
        pixels[count] = (pixel_rows){
            .h = own->h + pixel / own->width * g->step_h,
            .w = own->w + pixel % own->width * g->step_w,
            .image = image,
            .rows = fnn_min(n - image, rows.end - row),
        };
        row += pixels[count].rows;
    }
    return count;
}

/* to[row][tap][channel] = what destination `row` of the pixels reads of the channels in `slice`. */
static void gather(const gathered_conv2d *g, const tap_class *own, const pixel_rows *pixels, ptrdiff_t count,
                   ptrdiff_t group, fnn_range slice, real *to) {
    const tap_axis *map_h = &g->map.h, *map_w = &g->map.w;
    const real *x = g->conv.x + group * g->conv.depth + slice.begin;
    ptrdiff_t channels = slice.end - slice.begin;
    for (ptrdiff_t number = 0; number < own->taps; number++) {
        ptrdiff_t tap = g->packed.order[own->first_tap + number];
        const ptrdiff_t *source_h = map_h->source + tap / map_w->kernel,
                        *source_w = map_w->source + tap % map_w->kernel;
        real *out = to + number * channels;
        for (ptrdiff_t i = 0; i < count; i++) {
            ptrdiff_t h = source_h[pixels[i].h * map_h->kernel], w = source_w[pixels[i].w * map_w->kernel];
            int inside = h >= 0 && w >= 0;
            ptrdiff_t step = inside ? g->conv.x_channels : 0;
            const real *from =
                inside ? x + ((h * g->conv.x_width + w) * g->conv.shape->n + pixels[i].image) * g->conv.x_channels
                       : g->zeros;
            for (ptrdiff_t row = 0; row < pixels[i].rows; row++) {
                memcpy(out, from, (size_t)channels * sizeof(real));
                from += step;
                out += g->a_stride;
            }
        }
    }
}

/* Add the products of the channels in `slice` to c, or start with them. */
static void multiply(const gathered_conv2d *g, const tap_class *own, ptrdiff_t group, ptrdiff_t panel, fnn_range slice,
                     ptrdiff_t rows, const real *gathered, real *c, ptrdiff_t c_stride) {
    ptrdiff_t a_offset[CONV2D_TAPS], b_offset[CONV2D_TAPS];
    ptrdiff_t column = group * g->conv.columns + panel * g->conv.panel_columns, channels = slice.end - slice.begin;
    ptrdiff_t stored = g->packs ? stored_columns(&g->conv, panel) : g->conv.shape->c_out;
    const real *weights = g->packs ? packed_panel(&g->conv, &g->packed, group, panel) : g->conv.weight + column;
    fnn_batch_gemm gemm = {
        .rows = rows,
        .columns = used_columns(&g->conv, panel),
        .depth = channels,
        .a = gathered,
        .a_offset = a_offset,
        .a_stride = g->a_stride,
        .b = weights + (own->first_tap * g->conv.depth + slice.begin) * stored,
        .b_offset = b_offset,
        .b_stride = stored,
        .start = g->conv.bias == NULL ? NULL : g->conv.bias + column,
        .start_stride = 0,
        .c = c,
        .c_stride = c_stride,
    };
    ptrdiff_t calls = own->taps;
    if (channels == g->conv.depth) { /* taps lie side by side, as one */
        gemm.depth *= own->taps;
        calls = 1;
    }
    for (ptrdiff_t tap = 0; tap == 0 || tap < calls; tap += CONV2D_TAPS) {
        if (tap > 0 || slice.begin > 0) {
            gemm.start = c;
            gemm.start_stride = c_stride;
        }
        gemm.count = fnn_min(CONV2D_TAPS, calls - tap);
        for (ptrdiff_t i = 0; i < gemm.count; i++) {
            a_offset[i] = (tap + i) * channels;
            b_offset[i] = (tap + i) * g->conv.depth * stored;
        }
        g->conv.kernels->batch_gemm(&gemm);
    }
}

/* The row of y, counted from the first pixel, where a block begins whose destinations lie in step. */
static ptrdiff_t first_row(const gathered_conv2d *g, const block *b) {
    return b->own->h * g->conv.y_width * g->conv.shape->n + b->rows.begin;
}

/* What comes after all products of a block: the addend, the norm, and where its pixels do not lie in step, their place. */
static void finish(const gathered_conv2d *g, const pixel_rows *pixels, ptrdiff_t count, ptrdiff_t rows,
                   ptrdiff_t column, ptrdiff_t columns, real *sums) {
    if (!g->scattered && g->conv.addend == NULL) {
        norm_apply(&g->norm, rows, columns, g->conv.y_channels, g->conv.y, sums - g->conv.y, column);
        return;
    }
    ptrdiff_t stride = g->scattered ? g->sums_stride : g->conv.y_channels;
    for (ptrdiff_t i = 0; i < count; i++) {
        ptrdiff_t pixel = (pixels[i].h * g->conv.y_width + pixels[i].w) * g->conv.shape->n + pixels[i].image;
        for (ptrdiff_t row = pixel; row < pixel + pixels[i].rows; row++) {
            ptrdiff_t at = row * g->conv.y_channels + column;
            if (g->conv.addend != NULL) {
                g->conv.kernels->add(columns, sums, g->conv.addend + at, g->conv.y + at);
            } else {
                memcpy(g->conv.y + at, sums, (size_t)columns * sizeof(real));
            }
            sums += stride;
        }
    }
}

/* Task: some blocks, some panels of one group. */
static void team_task(void *context, ptrdiff_t task, int thread) {
    const gathered_conv2d *g = context;
    ptrdiff_t part = task % g->parts, group = task / g->parts % g->conv.shape->groups;
    ptrdiff_t team = task / g->parts / g->conv.shape->groups;
    fnn_range panels = {part * g->conv.panels / g->parts, (part + 1) * g->conv.panels / g->parts};
    ptrdiff_t first = group * g->conv.columns + panels.begin * g->conv.panel_columns;
    ptrdiff_t columns =
        fnn_min(g->conv.columns, panels.end * g->conv.panel_columns) - panels.begin * g->conv.panel_columns;
    real *gathered = g->gathered + thread * BLOCK_ROWS * g->a_stride;
    real *sums = g->sums + thread * BLOCK_ROWS * g->sums_stride;
    ptrdiff_t y_stride = g->scattered ? g->sums_stride : g->conv.y_channels;
    for (ptrdiff_t k = 0; k < g->conv.depth; k += g->conv.slice) { /* each slice of the weights for all blocks */
        fnn_range slice = {k, fnn_min(g->conv.depth, k + g->conv.slice)};
        ptrdiff_t sums_row = 0;
        for (ptrdiff_t i = g->team[team]; i < g->team[team + 1]; i++) {
            const block *b = g->blocks + i;
            pixel_rows pixels[BLOCK_ROWS];
            ptrdiff_t rows = b->rows.end - b->rows.begin, count = list_pixels(g, b->own, b->rows, pixels);
            ptrdiff_t at = first_row(g, b) * g->conv.y_channels + first;
            real *y = g->scattered ? sums + sums_row * g->sums_stride : g->conv.y + at;
            gather(g, b->own, pixels, count, group, slice, gathered);
            for (ptrdiff_t panel = panels.begin; panel < panels.end; panel++) {
                real *to = y + (panel - panels.begin) * g->conv.panel_columns;
                multiply(g, b->own, group, panel, slice, rows, gathered, to, y_stride);
            }
            sums_row += rows;
            if (slice.end == g->conv.depth) {
                finish(g, pixels, count, rows, first, columns, y);
            }
        }
    }
}

ptrdiff_t OP(conv2d_gathered)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace) {
    gathered_conv2d g = {.conv = OP(conv2d_of)(plan, operands)};
    const conv2d *c = &g.conv;
    ptrdiff_t bytes = prepare(&g, workspace);
    if (workspace == NULL) {
        return bytes;
    }
    find_classes(&g);
    cut(&g);
    memset(g.zeros, 0, (size_t)c->depth * sizeof(real));
    if (g.packs) {
        OP(conv2d_pack)(c, &g.packed);
    }
    double destinations = (double)c->y_height * c->y_width * c->shape->n / (double)(g.step_h * g.step_w);
    double cost = destinations * c->taps * c->depth * c->y_channels / 16;
    fnn_parallel_for(g.teams * c->shape->groups * g.parts, cost, c->n_threads, team_task, &g);
    return bytes;
}
