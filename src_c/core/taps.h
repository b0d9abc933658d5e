/* Which source pixel each tap of a convolution reads, for every destination pixel.
 *
 * The geometry of a convolution is a product of two axes. Along one axis, `source[d * kernel + k]` is the source index
 * that tap k contributes to destination index d, or -1 where the tap falls on padding (or, going backward, between two
 * strides). Forward and backward-data differ in nothing else.
 */
#ifndef FNN_CORE_TAPS_H
#define FNN_CORE_TAPS_H

#include "fnn.h"
#include "core/workspace.h"

typedef struct {
    ptrdiff_t kernel, length; /* taps, destination indices */
    ptrdiff_t *source;        /* [length][kernel] */
} tap_axis;

/* A run of rows of the (w, n) x channels matrix of one destination image row whose taps are the same, and for which all
 * sources move in step, so that rows of the run are rows of one matrix. */
typedef struct {
    ptrdiff_t w;         /* the destination pixel whose taps it has */
    ptrdiff_t row, rows; /* first row, counted from that pixel, and their number */
} tap_run;

typedef struct {
    tap_axis h, w;
    tap_run *runs;
    ptrdiff_t n_runs;
} tap_map;

/* Rows of a run at most: a multiple of every tile height, so that only the last tile of an image row is cut, and few
 * enough that the source rows of a run stay in L2 while the taps move over them. */
#define TAP_RUN_ROWS 480

/* Pixels of a destination image row whose taps are the same: `first`, `first + step`, ..., `pixels` of them. */
typedef struct {
    ptrdiff_t first, pixels;
} tap_pixels;

/* Those of an axis, with sources `source_step` apart, so that for each image they are rows of a matrix. Returns how many there
 * are, axis->length at most. */
ptrdiff_t fnn_tap_pixels(const tap_axis *axis, ptrdiff_t step, ptrdiff_t source_step, tap_pixels *found);

/* `backward`: destinations are the pixels of x. The pieces of `map` are taken from the workspace. A run has at most
 * `run_rows` rows. */
void fnn_tap_map(const fnn_conv2d_shape *shape, int backward, ptrdiff_t run_rows, workspace_cursor *workspace,
                 tap_map *map);

/* The most inputs of a group that the grouped kernels take. */
#define FNN_GROUPED_MOST 8

/* Whether every channel has one filter of its own. */
static inline int fnn_conv2d_is_depthwise(const fnn_conv2d_shape *s) {
    return s->groups == s->c_in && s->groups == s->c_out;
}

/* Whether every channel has several filters of its own: a depth multiplier. */
static inline int fnn_conv2d_shares_inputs(const fnn_conv2d_shape *s) {
    return s->groups > 1 && s->groups == s->c_in && s->c_out > s->groups;
}

/* A linear layer: one pixel, and one tap that reads it. */
static inline int fnn_conv2d_is_linear(const fnn_conv2d_shape *s) {
    return s->h * s->w * s->h_out * s->w_out * s->kernel_h * s->kernel_w == 1 && s->pad_top == 0 && s->pad_left == 0;
}

#endif
