/* What the ways to compute a convolution share: its sides as one direction sees them, and weights packed into panels. */
#ifndef FNN_OPS_CONV2D_H
#define FNN_OPS_CONV2D_H

#include <string.h>

#include "core/taps.h"
#include "core/workspace.h"
#include "ops/norm.h"
#include "ops/op.h"

enum {
    CONV2D_TAPS = 64,        /* of one kernel call; more are added by further calls */
    CONV2D_FEW_CHANNELS = 7, /* pixels of more are as long as a vector, or half of one */
    CONV2D_NARROW = 128,     /* bytes of a panel, whose rows are a few lines of a cache: AVX2's, not AVX-512's */
    CONV2D_LINE = 64 / sizeof(real)
};

/*     y[p] = sum over taps t that reach p of  x[source(p, t)] @ W[t]        each x[.] an (n, depth) matrix
 *
 * Going backward, y is dx, x is dy, W[t] is transposed and source() inverts. */
typedef struct {
    const fnn_conv2d_shape *shape;
    const FNN_TYPED(fnn_kernels) * kernels;
    int n_threads, backward;
    ptrdiff_t depth, columns; /* per group: channels summed over, channels produced */
    ptrdiff_t x_channels, x_height, x_width, y_channels, y_height, y_width;
    ptrdiff_t panel_columns, panels; /* panels per group */
    ptrdiff_t taps;
    ptrdiff_t slice; /* of the depth, whose weights of all taps stay in cache */
    const fnn_norm *norm;
    const real *x, *weight, *bias, *addend;
    real *y;
} conv2d;

/* A short row, by moves of the size of a line instead of a call of memcpy, which takes as long. */
static inline void copy_row(real *to, const real *from, ptrdiff_t count) {
    ptrdiff_t i = 0;
    for (; i + CONV2D_LINE <= count; i += CONV2D_LINE) {
        memcpy(to + i, from + i, CONV2D_LINE * sizeof(real));
    }
    if (i < count) {
        memcpy(to + i, from + i, (size_t)(count - i) * sizeof(real));
    }
}

/* Of a plan forward or backward to the input; without operands, for the sizes alone. */
conv2d OP(conv2d_of)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands);

/* The columns of a panel that are used, and those that it stores: whole cache lines. */
static inline ptrdiff_t used_columns(const conv2d *c, ptrdiff_t panel) {
    return fnn_min(c->panel_columns, c->columns - panel * c->panel_columns);
}
static inline ptrdiff_t stored_columns(const conv2d *c, ptrdiff_t panel) {
    return fnn_min(c->panel_columns, fnn_ceil_div(used_columns(c, panel), CONV2D_LINE) * CONV2D_LINE);
}

/* Weights of some taps: [group][panel][place in order][depth][stored columns]. */
typedef struct {
    ptrdiff_t places;
    ptrdiff_t *order; /* the tap at each place */
    real *weights;
} packed_taps;

/* Memory for all taps and, if `packs`, their weights; `places` and `order` are to be filled in. */
packed_taps OP(conv2d_take_packed)(const conv2d *c, int packs, workspace_cursor *workspace);
void OP(conv2d_pack)(const conv2d *c, const packed_taps *packed);
static inline real *packed_panel(const conv2d *c, const packed_taps *packed, ptrdiff_t group, ptrdiff_t panel) {
    return packed->weights + (group * c->panels + panel) * c->taps * c->depth * c->panel_columns;
}

/* Taps are numbered by what they read: going backward the last tap reads the first pixel. So a run reads its source and
 * its weights upwards; downwards, where prefetchers do not follow, costs a sixth of the speed. */
static inline ptrdiff_t tap_of_number(const conv2d *c, ptrdiff_t number) {
    return c->backward ? c->taps - 1 - number : number;
}

/* The taps that reach destination (h, w), from number `first` on, CONV2D_TAPS at most: their numbers, and what they read of
 * x, in elements. Returns the number to go on with. */
ptrdiff_t OP(conv2d_list_taps)(const conv2d *c, const tap_map *map, ptrdiff_t h, ptrdiff_t w, ptrdiff_t first,
                               ptrdiff_t *count, ptrdiff_t *x_offset, ptrdiff_t *numbers);

/* The addend and the norm for rows that are stored, `stride` apart from y[at] on, which belongs to channel `column`. */
void OP(conv2d_finish_rows)(const conv2d *c, const norm_pass *norm, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride,
                            ptrdiff_t at, ptrdiff_t column);

/* Columns of a plane that are so many apart as the stride: those that the first tap reads, and those to which the others
 * reach. */
ptrdiff_t OP(conv2d_phase_columns)(const fnn_conv2d_shape *shape);

/* Each way: run the plan, and return the bytes of workspace that it takes; with a workspace of NULL, only that. */
typedef ptrdiff_t conv2d_way(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace);
conv2d_way OP(conv2d_runs);
conv2d_way OP(conv2d_gathered);
conv2d_way OP(conv2d_planes);
conv2d_way OP(conv2d_by_channel);
conv2d_way OP(conv2d_few_rows);
conv2d_way OP(conv2d_few_rows_weight);
conv2d_way OP(winograd);
conv2d_way OP(conv2d_weight);
conv2d_way OP(conv2d_planes_weight);
conv2d_way OP(winograd_weight);

#endif
