/* Winograd's convolution F(2 x 2, 3 x 3): 16 multiplications for 2 x 2 outputs instead of 36.
 *
 * Outputs are cut into tiles of 2 x 2, each computed from a tile d of 4 x 4 inputs (kernels/winograd.c has B, G and A):
 *
 *     y = A^T [ (G g G^T) . (B^T d B) ] A        . the product of 16 elements, summed over input channels
 *
 * so that at each of the 16 positions there is one matrix product over channels, whose rows are tiles x images.
 * Going backward to the input is the same with the taps in reverse order; backward to the weights is its transpose,
 *
 *     dg = G^T [ sum over tiles of (B^T d B) . (A dy A^T) ] G
 *
 * Rows are taken in chunks whose transformed tiles stay in cache. For 3 x 3 kernels with stride and dilation 1, in one
 * group, and padding of 0 to 2.
 *
 * Source: Lavin and Gray, 2016, "Fast algorithms for convolutional neural networks".
 */
#ifndef FNN_OPS_WINOGRAD_H
#define FNN_OPS_WINOGRAD_H

#include "ops/op.h"

enum { WINOGRAD_POSITIONS = 16 };

/* The tiles of a map of h_out x w_out outputs, and rows = tiles x n images. */
typedef struct {
    ptrdiff_t n, tiles_h, tiles_w, rows;
    ptrdiff_t chunk, chunks; /* rows that are done at a time, and how many times that is */
} winograd_tiles;

/* Rows lo .. hi - 1 of one tile, which is at (h, w) among the tiles. */
typedef struct {
    ptrdiff_t h, w, image, rows;
} winograd_segment;

static inline winograd_tiles winograd_cut(ptrdiff_t n, ptrdiff_t h_out, ptrdiff_t w_out, ptrdiff_t wanted) {
    winograd_tiles t = {n, fnn_ceil_div(h_out, 2), fnn_ceil_div(w_out, 2), 0, 0, 0};
    t.rows = t.tiles_h * t.tiles_w * n;
    t.chunks = fnn_ceil_div(t.rows, wanted);
    if (t.chunks > 1) {
        t.chunks += t.chunks % 2; /* two threads end together */
    }
    t.chunk = fnn_ceil_div(fnn_ceil_div(t.rows, t.chunks), 4) * 4;
    t.chunks = fnn_ceil_div(t.rows, t.chunk);
    return t;
}

/* The rows from `row` on that are of the same tile, up to row `end`. */
static inline winograd_segment winograd_next(const winograd_tiles *t, ptrdiff_t row, ptrdiff_t end) {
    ptrdiff_t tile = row / t->n, image = row % t->n;
    return (winograd_segment){tile / t->tiles_w, tile % t->tiles_w, image, fnn_min(t->n - image, end - row)};
}

/* As the functions of conv2d in fnn_ops.h. */
ptrdiff_t OP(winograd_forward_workspace)(const fnn_conv2d_shape *shape, int n_threads);
ptrdiff_t OP(winograd_backward_data_workspace)(const fnn_conv2d_shape *shape, int n_threads);
ptrdiff_t OP(winograd_backward_weight_workspace)(const fnn_conv2d_shape *shape, int n_threads);
void OP(winograd_forward)(const fnn_conv2d_shape *shape, const real *x, const real *weight, const real *bias, real *y,
                          void *workspace, int n_threads);
void OP(winograd_backward_data)(const fnn_conv2d_shape *shape, const real *dy, const real *weight, const real *addend,
                                real *dx, void *workspace, int n_threads);
void OP(winograd_backward_weight)(const fnn_conv2d_shape *shape, const real *x, const real *dy, real *dweight,
                                  real *dbias, void *workspace, int n_threads);

#endif
