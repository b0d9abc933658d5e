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

/* Tiles in a rectangle of the map. Of those at the right or lower border of a map of odd size only the left column or
 * the upper row of outputs exists, which the last column or row of positions has no part in. */
typedef struct {
    ptrdiff_t h, w, tiles_w; /* the first tile; tiles side by side */
    int right, lower;        /* whether half of these tiles lies beyond the border */
    ptrdiff_t rows;          /* tiles x n images */
    ptrdiff_t chunk, chunks; /* rows that are done at a time, and how many times that is */
} winograd_region;

/* The tiles of a map of h_out x w_out outputs of n images. */
typedef struct {
    ptrdiff_t n, rows;
    ptrdiff_t chunk, chunks; /* rows of the largest chunk; chunks of all regions */
    winograd_region regions[4];
} winograd_tiles;

/* Rows that are done at a time. */
typedef struct {
    const winograd_region *region;
    fnn_range rows; /* of the region */
} winograd_chunk;

/* Rows lo .. hi - 1 of one tile, which is at (h, w) among the tiles. */
typedef struct {
    ptrdiff_t h, w, image, rows;
} winograd_segment;

/* From so many images on, tiles at the border are regions of their own; with fewer, their products would have too few
 * rows to be worth reading the weights again. */
#define WINOGRAD_SPLIT_IMAGES 32

static inline winograd_tiles winograd_cut(ptrdiff_t n, ptrdiff_t h_out, ptrdiff_t w_out, ptrdiff_t wanted) {
    winograd_tiles t = {.n = n};
    int split = n >= WINOGRAD_SPLIT_IMAGES;
    ptrdiff_t whole_h = split ? h_out / 2 : fnn_ceil_div(h_out, 2),
              whole_w = split ? w_out / 2 : fnn_ceil_div(w_out, 2);
    for (int i = 0; i < 4; i++) {
        winograd_region *r = t.regions + i;
        r->lower = i / 2, r->right = i % 2;
        r->h = r->lower ? whole_h : 0, r->w = r->right ? whole_w : 0;
        r->tiles_w = r->right ? fnn_ceil_div(w_out, 2) - whole_w : whole_w;
        r->rows = (r->lower ? fnn_ceil_div(h_out, 2) - whole_h : whole_h) * r->tiles_w * n;
        r->chunks = fnn_ceil_div(r->rows, wanted);
        if (r->chunks > 1) {
            r->chunks += r->chunks % 2; /* two threads end together */
        }
        r->chunk = r->rows == 0 ? 0 : fnn_ceil_div(fnn_ceil_div(r->rows, r->chunks), 4) * 4;
        r->chunks = r->rows == 0 ? 0 : fnn_ceil_div(r->rows, r->chunk);
        t.rows += r->rows;
        t.chunk = fnn_max(t.chunk, r->chunk);
        t.chunks += r->chunks;
    }
    return t;
}

static inline winograd_chunk winograd_chunk_of(const winograd_tiles *t, ptrdiff_t chunk) {
    const winograd_region *r = t->regions;
    for (; chunk >= r->chunks; r++) {
        chunk -= r->chunks;
    }
    return (winograd_chunk){r, fnn_chunk(chunk, r->chunk, r->rows)};
}

/* The rows of a region from `row` on that are of the same tile, up to row `end`. */
static inline winograd_segment winograd_next(const winograd_tiles *t, const winograd_region *r, ptrdiff_t row,
                                             ptrdiff_t end) {
    ptrdiff_t tile = row / t->n, image = row % t->n;
    ptrdiff_t rows = fnn_min(t->n - image, end - row);
    return (winograd_segment){r->h + tile / r->tiles_w, r->w + tile % r->tiles_w, image, rows};
}

/* Whether the outputs of these tiles depend on the products at `position`. */
static inline int winograd_needs(const winograd_region *r, ptrdiff_t position) {
    return !(r->lower && position / 4 == 3) && !(r->right && position % 4 == 3);
}

/* As the functions of conv2d in fnn_ops.h. */
ptrdiff_t OP(winograd_forward_workspace)(const fnn_conv2d_shape *shape, int n_threads);
ptrdiff_t OP(winograd_backward_data_workspace)(const fnn_conv2d_shape *shape, int n_threads);
ptrdiff_t OP(winograd_backward_weight_workspace)(const fnn_conv2d_shape *shape, int n_threads);
void OP(winograd_forward)(const fnn_conv2d_shape *shape, const real *x, const real *weight, const real *bias,
                          const OP(norm) * norm, real *y, void *workspace, int n_threads);
void OP(winograd_backward_data)(const fnn_conv2d_shape *shape, const real *dy, const real *weight, const real *addend,
                                real *dx, void *workspace, int n_threads);
void OP(winograd_backward_weight)(const fnn_conv2d_shape *shape, const real *x, const real *dy, real *dweight,
                                  real *dbias, void *workspace, int n_threads);

#endif
