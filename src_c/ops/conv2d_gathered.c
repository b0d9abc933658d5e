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
#include "ops/conv2d_gathered.h"

#include <string.h>

#include "core/taps.h"
#include "core/workspace.h"
#include "ops/norm.h"

enum {
    BLOCK_ROWS = 96,          /* destinations of a task: a multiple of every tile height, whose slices stay in L2 */
    MAX_TAPS = 64,            /* of one kernel call; more are added by further calls */
    ROWS_WORTH_PACKING = 256, /* that read the weights: of fewer, those forward are read as they lie */
    WANTED_TASKS = 64,        /* enough for many threads; each gathers for itself */
    SCATTERED_PANELS = 4,     /* of a task whose destinations do not lie in step: their sums stay in L2 */
    LEAST_CHANNELS = 8,       /* to copy at once */
    MOST_CLASSES = 1024,      /* between strides */
    LINE = 64 / sizeof(real)
};

/* A run of fewer rows takes as long as one of LEAST_RUN_ROWS: it waits for the weights. GATHERED is what a row takes more
 * for being copied, BORDER the share of the taps that pixels beside the border have. */
#define LEAST_RUN_ROWS 4.0
#define GATHERED 1.06
#define BORDER 0.7

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
    const fnn_conv2d_shape *shape;
    const FNN_TYPED(fnn_kernels) * kernels;
    int backward, packs, scattered;
    ptrdiff_t depth, columns; /* per group: channels summed over, channels produced */
    ptrdiff_t x_channels, y_channels, x_width, y_width;
    ptrdiff_t panel_columns, panels; /* per group */
    ptrdiff_t taps, used_taps;       /* those that some destination has */
    ptrdiff_t step_h, step_w;        /* between the pixels of a class */
    ptrdiff_t classes, teams, parts;
    ptrdiff_t slice; /* of the depth */
    ptrdiff_t a_stride, sums_stride;
    tap_map map;
    tap_class *classes_of;
    block *blocks;
    ptrdiff_t *team;      /* the first block of each task: together they have BLOCK_ROWS at most; one more at the end */
    ptrdiff_t *axis_taps; /* [kernel_h + kernel_w]: see `list_axis` */
    ptrdiff_t *order;     /* taps, those between the same strides together, in the order of what they read */
    real *packed;         /* [group][panel][place in order][depth][panel columns] */
    real *gathered;       /* [thread][row][tap][slice] */
    real *sums;           /* [thread][row][panels of a part], if destinations do not lie in step */
    real *zeros;          /* of all channels of a group */
    norm_pass norm;
    const real *x, *weight, *bias, *addend;
    real *y;
} gathered_conv2d;

/* Pixels of a block: so many images of one destination, and which. */
typedef struct {
    ptrdiff_t h, w, image, rows;
} pixel_rows;

static ptrdiff_t steps(const fnn_conv2d_shape *s, int backward, int vertical) {
    return !backward ? 1 : vertical ? fnn_min(s->stride_h, s->h) : fnn_min(s->stride_w, s->w);
}

int OP(conv2d_gathers)(const fnn_conv2d_shape *s, int backward) {
    ptrdiff_t depth = (backward ? s->c_out : s->c_in) / s->groups, taps = s->kernel_h * s->kernel_w;
    ptrdiff_t columns = (backward ? s->c_in : s->c_out) / s->groups;
    ptrdiff_t width = backward ? s->w : s->w_out, sources = backward ? s->w_out : s->w;
    if (fnn_conv2d_is_depthwise(s) || fnn_conv2d_is_grouped(depth, columns, s->groups, KERNELS_OF(s->isa)->lanes) ||
        depth < LEAST_CHANNELS || (s->h * s->w == 1 && taps == 1)) {
        return 0;
    }
    if (SIZE(steps(s, backward, 0), steps(s, backward, 1)) > MOST_CLASSES) {
        return 0;
    }
    ptrdiff_t reach = (s->kernel_w - 1) * s->dilation_w;
    double rows = (double)width * (double)s->n, run = (double)s->n > LEAST_RUN_ROWS ? (double)s->n : LEAST_RUN_ROWS;
    double beside_border = (double)fnn_min(width, fnn_max(0, width - sources + reach));
    double in_runs = (rows - beside_border * (double)s->n) + BORDER * beside_border * run;
    return (s->stride_w > 1 ? (double)width * run : in_runs) > GATHERED * rows;
}

static ptrdiff_t modulo(ptrdiff_t a, ptrdiff_t b) { return (a % b + b) % b; }

/* Along one axis, the taps of destinations that lie as the one of this offset, from the first source that one reads. Returns
 * how many. */
static ptrdiff_t list_axis(const gathered_conv2d *g, ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t offset,
                           ptrdiff_t dilation, ptrdiff_t *taps) {
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < kernel; i++) {
        ptrdiff_t tap = g->backward ? kernel - 1 - i : i;
        if (!g->backward || modulo(offset - tap * dilation, stride) == 0) {
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
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t *taps_h = g->axis_taps, *taps_w = g->axis_taps + s->kernel_h;
    ptrdiff_t count_h = list_axis(g, s->kernel_h, s->stride_h, h + s->pad_top, s->dilation_h, taps_h);
    ptrdiff_t count_w = list_axis(g, s->kernel_w, s->stride_w, w + s->pad_left, s->dilation_w, taps_w);
    for (ptrdiff_t i = 0; i < count_h * count_w; i++) {
        g->order[first + i] = taps_h[i / count_w] * s->kernel_w + taps_w[i % count_w];
    }
    ptrdiff_t width = fnn_ceil_div(g->y_width - w, g->step_w);
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
    g->classes = g->used_taps = 0;
    for (ptrdiff_t h = 0; h < g->step_h; h++) {
        for (ptrdiff_t w = 0; w < g->step_w; w++) {
            g->used_taps += add_classes(g, h, w, g->used_taps);
        }
    }
}

/* Cut the classes into blocks of about the same length, and let neighbours that are small be one task. */
static void cut(gathered_conv2d *g) {
    ptrdiff_t blocks = 0, rows_of_team = BLOCK_ROWS;
    g->teams = 0;
    for (ptrdiff_t i = 0; i < g->classes; i++) {
        const tap_class *own = g->classes_of + i;
        ptrdiff_t rows = own->height * own->width * g->shape->n, pieces = fnn_ceil_div(rows, BLOCK_ROWS);
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

static ptrdiff_t prepare(gathered_conv2d *g, const fnn_conv2d_shape *s, int backward, const OP(norm) * norm,
                         int n_threads, void *base) {
    ptrdiff_t c_in = s->c_in / s->groups, c_out = s->c_out / s->groups;
    g->shape = s;
    g->kernels = KERNELS_OF(s->isa);
    g->backward = backward;
    g->depth = backward ? c_out : c_in;
    g->columns = backward ? c_in : c_out;
    g->x_channels = backward ? s->c_out : s->c_in;
    g->y_channels = backward ? s->c_in : s->c_out;
    g->x_width = backward ? s->w_out : s->w;
    g->y_width = backward ? s->w : s->w_out;
    ptrdiff_t y_height = backward ? s->h : s->h_out, rows = SIZE(y_height, g->y_width, s->n);
    g->panel_columns = g->kernels->panel_columns;
    g->panels = fnn_ceil_div(g->columns, g->panel_columns);
    g->taps = s->kernel_h * s->kernel_w;
    g->step_h = steps(s, backward, 1);
    g->step_w = steps(s, backward, 0);
    g->scattered = g->step_h * g->step_w > 1;
    g->packs = backward || rows > ROWS_WORTH_PACKING;
    g->parts = fnn_min(g->panels, fnn_ceil_div(WANTED_TASKS, fnn_ceil_div(rows, BLOCK_ROWS)));
    if (g->scattered) {
        g->parts = fnn_max(g->parts, fnn_ceil_div(g->panels, SCATTERED_PANELS));
    }
    g->slice = fnn_min(g->depth, OP(conv2d_slice)(g->kernels, g->taps, g->columns));
    /* Not a power of two: rows would share a set of the cache. */
    g->a_stride = fnn_ceil_div(SIZE(g->taps, g->slice), LINE) * LINE + LINE;
    g->sums_stride = fnn_ceil_div(g->panels, g->parts) * g->panel_columns + LINE;
    workspace_cursor workspace = {base, 0};
    fnn_tap_map(s, backward, TAP_RUN_ROWS, &workspace, &g->map);
    norm_prepare(&g->norm, norm, g->kernels, g->y_channels, &workspace);
    ptrdiff_t classes_down = fnn_min(fnn_ceil_div(y_height, g->step_h), size_plus(2 * s->kernel_h, 1));
    ptrdiff_t classes = SIZE(g->step_h, g->step_w, classes_down);
    ptrdiff_t blocks = size_plus(classes, rows / BLOCK_ROWS);
    g->classes_of = workspace_take(&workspace, classes, sizeof(tap_class));
    g->blocks = workspace_take(&workspace, blocks, sizeof(block));
    g->team = workspace_take(&workspace, size_plus(blocks, 1), sizeof(ptrdiff_t));
    g->axis_taps = workspace_take(&workspace, size_plus(s->kernel_h, s->kernel_w), sizeof(ptrdiff_t));
    g->order = workspace_take(&workspace, g->taps, sizeof(ptrdiff_t));
    ptrdiff_t packed = !g->packs ? 0 : SIZE(s->groups, g->panels, g->taps, g->depth, g->panel_columns);
    g->packed = workspace_take(&workspace, packed, sizeof(real));
    g->gathered = workspace_take(&workspace, SIZE(n_threads, BLOCK_ROWS, g->a_stride), sizeof(real));
    ptrdiff_t sums = g->scattered ? SIZE(n_threads, BLOCK_ROWS, g->sums_stride) : 0;
    g->sums = workspace_take(&workspace, sums, sizeof(real));
    g->zeros = workspace_take(&workspace, g->depth, sizeof(real));
    return workspace.used;
}

ptrdiff_t OP(conv2d_gathered_workspace)(const fnn_conv2d_shape *shape, int backward, int n_threads) {
    gathered_conv2d g;
    return prepare(&g, shape, backward, NULL, n_threads, NULL);
}

/* The columns of a panel that are used, and those that it stores: whole cache lines. */
static ptrdiff_t used_columns(const gathered_conv2d *g, ptrdiff_t panel) {
    return fnn_min(g->panel_columns, g->columns - panel * g->panel_columns);
}
static ptrdiff_t stored_columns(const gathered_conv2d *g, ptrdiff_t panel) {
    return fnn_min(g->panel_columns, fnn_ceil_div(used_columns(g, panel), LINE) * LINE);
}
static real *packed_panel(const gathered_conv2d *g, ptrdiff_t group, ptrdiff_t panel) {
    return g->packed + (group * g->panels + panel) * g->taps * g->depth * g->panel_columns;
}

/* Task: one tap of one panel of one group. Padding columns are zero. */
static void pack_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const gathered_conv2d *g = context;
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t place = task % g->used_taps, panel = task / g->used_taps % g->panels;
    ptrdiff_t group = task / g->used_taps / g->panels;
    ptrdiff_t used = used_columns(g, panel), stored = stored_columns(g, panel), first = panel * g->panel_columns;
    ptrdiff_t c_in = s->c_in / s->groups, c_out = s->c_out / s->groups;
    const real *weight = g->weight + g->order[place] * c_in * s->c_out + group * c_out;
    real *packed = packed_panel(g, group, panel) + place * g->depth * stored;
    for (ptrdiff_t k = 0; k < g->depth; k++) {
        if (!g->backward) {
            memcpy(packed + k * stored, weight + k * s->c_out + first, (size_t)used * sizeof(real));
        }
        memset(packed + k * stored + used, 0, (size_t)(stored - used) * sizeof(real));
    }
    if (g->backward) {
        g->kernels->transpose(used, g->depth, weight + first * s->c_out, s->c_out, packed, stored);
    }
}

/* The pixels of `rows` of a class; returns how many. */
static ptrdiff_t list_pixels(const gathered_conv2d *g, const tap_class *own, fnn_range rows, pixel_rows *pixels) {
    ptrdiff_t n = g->shape->n, count = 0;
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
    const real *x = g->x + group * g->depth + slice.begin;
    ptrdiff_t channels = slice.end - slice.begin;
    for (ptrdiff_t number = 0; number < own->taps; number++) {
        ptrdiff_t tap = g->order[own->first_tap + number];
        const ptrdiff_t *source_h = map_h->source + tap / map_w->kernel,
                        *source_w = map_w->source + tap % map_w->kernel;
        real *out = to + number * channels;
        for (ptrdiff_t i = 0; i < count; i++) {
            ptrdiff_t h = source_h[pixels[i].h * map_h->kernel], w = source_w[pixels[i].w * map_w->kernel];
            int inside = h >= 0 && w >= 0;
            ptrdiff_t step = inside ? g->x_channels : 0;
            const real *from =
                inside ? x + ((h * g->x_width + w) * g->shape->n + pixels[i].image) * g->x_channels : g->zeros;
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
    ptrdiff_t a_offset[MAX_TAPS], b_offset[MAX_TAPS];
    ptrdiff_t column = group * g->columns + panel * g->panel_columns, channels = slice.end - slice.begin;
    ptrdiff_t stored = g->packs ? stored_columns(g, panel) : g->shape->c_out;
    const real *weights = g->packs ? packed_panel(g, group, panel) : g->weight + column;
    fnn_batch_gemm gemm = {
        .rows = rows,
        .columns = used_columns(g, panel),
        .depth = channels,
        .a = gathered,
        .a_offset = a_offset,
        .a_stride = g->a_stride,
        .b = weights + (own->first_tap * g->depth + slice.begin) * stored,
        .b_offset = b_offset,
        .b_stride = stored,
        .start = g->bias == NULL ? NULL : g->bias + column,
        .start_stride = 0,
        .c = c,
        .c_stride = c_stride,
    };
    ptrdiff_t calls = own->taps;
    if (channels == g->depth) { /* taps lie side by side, as one */
        gemm.depth *= own->taps;
        calls = 1;
    }
    for (ptrdiff_t tap = 0; tap == 0 || tap < calls; tap += MAX_TAPS) {
        if (tap > 0 || slice.begin > 0) {
            gemm.start = c;
            gemm.start_stride = c_stride;
        }
        gemm.count = fnn_min(MAX_TAPS, calls - tap);
        for (ptrdiff_t i = 0; i < gemm.count; i++) {
            a_offset[i] = (tap + i) * channels;
            b_offset[i] = (tap + i) * g->depth * stored;
        }
        g->kernels->batch_gemm(&gemm);
    }
}

/* The row of y, counted from the first pixel, where a block begins whose destinations lie in step. */
static ptrdiff_t first_row(const gathered_conv2d *g, const block *b) {
    return b->own->h * g->y_width * g->shape->n + b->rows.begin;
}

/* What comes after all products of a block: the addend, the norm, and where its pixels do not lie in step, their place. */
static void finish(const gathered_conv2d *g, const pixel_rows *pixels, ptrdiff_t count, ptrdiff_t rows,
                   ptrdiff_t column, ptrdiff_t columns, real *sums) {
    if (!g->scattered && g->addend == NULL) {
        norm_apply(&g->norm, rows, columns, g->y_channels, g->y, sums - g->y, column);
        return;
    }
    ptrdiff_t stride = g->scattered ? g->sums_stride : g->y_channels;
    for (ptrdiff_t i = 0; i < count; i++) {
        ptrdiff_t pixel = (pixels[i].h * g->y_width + pixels[i].w) * g->shape->n + pixels[i].image;
        for (ptrdiff_t row = pixel; row < pixel + pixels[i].rows; row++) {
            ptrdiff_t at = row * g->y_channels + column;
            if (g->addend != NULL) {
                g->kernels->add(columns, sums, g->addend + at, g->y + at);
            } else {
                memcpy(g->y + at, sums, (size_t)columns * sizeof(real));
            }
            sums += stride;
        }
    }
}

/* Task: some blocks, some panels of one group. */
static void team_task(void *context, ptrdiff_t task, int thread) {
    const gathered_conv2d *g = context;
    ptrdiff_t part = task % g->parts, group = task / g->parts % g->shape->groups;
    ptrdiff_t team = task / g->parts / g->shape->groups;
    fnn_range panels = {part * g->panels / g->parts, (part + 1) * g->panels / g->parts};
    ptrdiff_t first = group * g->columns + panels.begin * g->panel_columns;
    ptrdiff_t columns = fnn_min(g->columns, panels.end * g->panel_columns) - panels.begin * g->panel_columns;
    real *gathered = g->gathered + thread * BLOCK_ROWS * g->a_stride;
    real *sums = g->sums + thread * BLOCK_ROWS * g->sums_stride;
    ptrdiff_t y_stride = g->scattered ? g->sums_stride : g->y_channels;
    for (ptrdiff_t k = 0; k < g->depth; k += g->slice) { /* each slice of the weights for all blocks */
        fnn_range slice = {k, fnn_min(g->depth, k + g->slice)};
        ptrdiff_t sums_row = 0;
        for (ptrdiff_t i = g->team[team]; i < g->team[team + 1]; i++) {
            const block *b = g->blocks + i;
            pixel_rows pixels[BLOCK_ROWS];
            ptrdiff_t rows = b->rows.end - b->rows.begin, count = list_pixels(g, b->own, b->rows, pixels);
            ptrdiff_t at = first_row(g, b) * g->y_channels + first;
            real *y = g->scattered ? sums + sums_row * g->sums_stride : g->y + at;
            gather(g, b->own, pixels, count, group, slice, gathered);
            for (ptrdiff_t panel = panels.begin; panel < panels.end; panel++) {
                real *to = y + (panel - panels.begin) * g->panel_columns;
                multiply(g, b->own, group, panel, slice, rows, gathered, to, y_stride);
            }
            sums_row += rows;
            if (slice.end == g->depth) {
                finish(g, pixels, count, rows, first, columns, y);
            }
        }
    }
}

void OP(conv2d_gathered)(const fnn_conv2d_shape *s, int backward, const real *x, const real *weight, const real *bias,
                         const real *addend, const OP(norm) * norm, real *y, void *workspace, int n_threads) {
    gathered_conv2d g;
    prepare(&g, s, backward, norm, n_threads, workspace);
    find_classes(&g);
    cut(&g);
    g.x = x, g.weight = weight, g.bias = bias, g.addend = addend, g.y = y;
    memset(g.zeros, 0, (size_t)g.depth * sizeof(real));
    if (g.packs) {
        double packed = (double)s->kernel_h * s->kernel_w * g.depth * g.y_channels;
        fnn_parallel_for(s->groups * g.panels * g.used_taps, packed, n_threads, pack_task, &g);
    }
    double destinations = (double)g.map.h.length * g.y_width * s->n / (double)(g.step_h * g.step_w);
    double cost = destinations * g.taps * g.depth * g.y_channels / 16;
    fnn_parallel_for(g.teams * s->groups * g.parts, cost, n_threads, team_task, &g);
}
