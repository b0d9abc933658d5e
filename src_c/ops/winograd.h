/* Winograd's convolution F(2 x 2, 3 x 3): 16 multiplications for 2 x 2 outputs instead of 36. F(2 x 4, 3 x 3): 24 for 2 x 4
 * instead of 72. And F(4 x 4, 3 x 3): 36 for 4 x 4 instead of 144.
 *
 * Outputs are cut into tiles of 2 x 2, each computed from a tile d of 4 x 4 inputs; of 2 x 4, from 4 x 6; or of 4 x 4, from
 * 6 x 6 (kernels/winograd_rows.h has B, G and A, of which each axis of a tile takes its own):
 *
 *     y = A^T [ (G g G^T) . (B^T d B) ] A        . the product of 16, 24 or 36 elements, summed over input channels
 *
 * so that at each of these positions there is one matrix product over channels, whose rows are tiles x images.
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

#include "ops/conv2d.h"

/* Of a tile at most: outputs and positions. */
enum { WINOGRAD_OUTPUTS = 4 * 4, WINOGRAD_POSITIONS = 6 * 6 };

/* Along an axis of a tile: outputs, the products that make them, and the transformed filters, which are those of the
 * products, and sometimes g1 (see winograd_kind). */
typedef struct {
    ptrdiff_t outputs, side, filters;
} winograd_extent;

/* How tiles stand along one axis. Of the last tile not all outputs may exist. The last of its products m is a part of the
 * last output alone, so that it is not needed then. Of F(2, 3), whose outputs are y0 = m0 + m1 + m2 and y1 = m1 - m2 - m3,
 * y0 exists, and mostly the third of its inputs d is padding: then y0 = d0 g0 + d1 g1, two products, d1 being what m1 has
 * already, and g1 one more transformed filter. */
typedef enum { WINOGRAD_WHOLE, WINOGRAD_SHORT, WINOGRAD_SHORT_AND_PADDING } winograd_kind;

/* Tiles in a rectangle of the map. */
typedef struct {
    ptrdiff_t h, w, tiles_w; /* the first tile; tiles side by side */
    winograd_kind along_h, along_w;
    ptrdiff_t rows;          /* tiles x n images */
    ptrdiff_t chunk, chunks; /* rows that are done at a time, and how many times that is */
} winograd_region;

/* The tiles of a map of h_out x w_out outputs of n images. */
typedef struct {
    ptrdiff_t n, rows;
    ptrdiff_t chunk, chunks; /* rows of the largest chunk; chunks of all regions */
    winograd_extent h, w;
    ptrdiff_t positions, filters; /* of both axes together */
    int middle;                   /* whether there are filters of g1 */
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

/* One axis of a map: inputs, outputs, and the padding before the first input. */
typedef struct {
    ptrdiff_t in, out, pad;
} winograd_axis;

/* Of the last tile, which stands over the border. */
static inline winograd_kind winograd_last_kind(winograd_axis axis, ptrdiff_t outputs) {
    int padding = outputs == 2 && axis.out - 1 - axis.pad + 2 >= axis.in;
    return padding ? WINOGRAD_SHORT_AND_PADDING : WINOGRAD_SHORT;
}

/* Tiles of an algorithm, which is one of Winograd's, without filters of g1. */
static inline winograd_extent winograd_extent_h(fnn_conv2d_algorithm algorithm) {
    return algorithm == FNN_WINOGRAD4 ? (winograd_extent){4, 6, 6} : (winograd_extent){2, 4, 4};
}
static inline winograd_extent winograd_extent_w(fnn_conv2d_algorithm algorithm) {
    return algorithm == FNN_WINOGRAD ? (winograd_extent){2, 4, 4} : (winograd_extent){4, 6, 6};
}

/* With about `wanted` rows in a chunk. */
static inline winograd_tiles winograd_cut(fnn_conv2d_algorithm algorithm, ptrdiff_t n, winograd_axis along_h,
                                          winograd_axis along_w, ptrdiff_t wanted) {
    winograd_tiles t = {.n = n, .h = winograd_extent_h(algorithm), .w = winograd_extent_w(algorithm)};
    t.positions = t.h.side * t.w.side;
    int split = n >= WINOGRAD_SPLIT_IMAGES;
    ptrdiff_t tiles_h = fnn_ceil_div(along_h.out, t.h.outputs), tiles_w = fnn_ceil_div(along_w.out, t.w.outputs);
    ptrdiff_t whole_h = split ? along_h.out / t.h.outputs : tiles_h;
    ptrdiff_t whole_w = split ? along_w.out / t.w.outputs : tiles_w;
    for (int i = 0; i < 4; i++) {
        winograd_region *r = t.regions + i;
        int lower = i / 2, right = i % 2;
        r->along_h = lower ? winograd_last_kind(along_h, t.h.outputs) : WINOGRAD_WHOLE;
        r->along_w = right ? winograd_last_kind(along_w, t.w.outputs) : WINOGRAD_WHOLE;
        r->h = lower ? whole_h : 0, r->w = right ? whole_w : 0;
        r->tiles_w = right ? tiles_w - whole_w : whole_w;
        r->rows = (lower ? tiles_h - whole_h : whole_h) * r->tiles_w * n;
        if (r->rows > 0 && (r->along_h == WINOGRAD_SHORT_AND_PADDING || r->along_w == WINOGRAD_SHORT_AND_PADDING)) {
            t.middle = 1;
        }
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
    t.h.filters += t.middle && t.h.outputs == 2;
    t.w.filters += t.middle && t.w.outputs == 2;
    t.filters = t.h.filters * t.w.filters;
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

/* Which filter product m_i takes along one axis; -1 if the product is not needed. */
static inline ptrdiff_t winograd_filter_along(winograd_extent extent, winograd_kind kind, ptrdiff_t i) {
    if (kind == WINOGRAD_SHORT_AND_PADDING) {
        return i == 0 ? 0 : i == 1 ? extent.side : -1;
    }
    return kind == WINOGRAD_SHORT && i == extent.side - 1 ? -1 : i;
}

/* The same of the product at `position`, among all filters. */
static inline ptrdiff_t winograd_filter_of(const winograd_tiles *t, const winograd_region *r, ptrdiff_t position) {
    ptrdiff_t h = winograd_filter_along(t->h, r->along_h, position / t->w.side);
    ptrdiff_t w = winograd_filter_along(t->w, r->along_w, position % t->w.side);
    return h < 0 || w < 0 ? -1 : h * t->w.filters + w;
}

/* The kernels of an algorithm, see kernels/winograd.c. */
typedef void (*winograd_tile_transform)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride);
typedef struct {
    winograd_tile_transform input, output_gradient;
    void (*output)(ptrdiff_t rows, ptrdiff_t columns, const real *in, ptrdiff_t stride, const real *bias,
                   const real *const *addend, real *const *out);
    void (*filter)(ptrdiff_t n, const real *const *in, real *out, ptrdiff_t stride, int middle);
    void (*filter_gradient)(ptrdiff_t n, const real *in, ptrdiff_t in_stride, real *out, ptrdiff_t out_stride,
                            int middle);
} winograd_transforms;

static inline winograd_transforms winograd_transforms_of(const FNN_TYPED(fnn_kernels) * kernels,
                                                         fnn_conv2d_algorithm algorithm) {
#define TRANSFORMS(stem)                                                                                               \
    (winograd_transforms) {                                                                                            \
        kernels->stem##_input, kernels->stem##_output_gradient, kernels->stem##_output, kernels->stem##_filter,        \
            kernels->stem##_filter_gradient                                                                            \
    }
    switch (algorithm) {
    case FNN_WINOGRAD4:
        return TRANSFORMS(winograd4);
    case FNN_WINOGRAD24:
        return TRANSFORMS(winograd24);
    default:
        return TRANSFORMS(winograd);
    }
#undef TRANSFORMS
}

#endif
