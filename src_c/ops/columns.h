/* Statistics of the columns of a matrix, and the pointwise passes that use them, for batch norm and group norm.
 *
 * The matrix has `rows` rows of `width` dense columns, and after them one more row of only `tail` columns
 * (tail < width). The tail is there for batch norm: when channels are few, it takes several rows of the
 * activation as one row of the matrix, and the last ones may not fill it.
 *
 * Work is cut into tiles by the shape alone. Sums of a tile are of type `real`, over at most MAX_CHUNK rows;
 * those of the tiles of a column are combined in double, from top to bottom.
 */
#ifndef FNN_OPS_COLUMNS_H
#define FNN_OPS_COLUMNS_H

#include "core/workspace.h"
#include "ops/op.h"

typedef struct {
    ptrdiff_t rows, width, tail;
    ptrdiff_t chunk, chunks; /* rows of a tile; row chunks, of which the last is the tail if there is one */
    ptrdiff_t block, blocks; /* columns of a tile */
    real *partial[3];        /* sums of the tiles, [chunks][width] each */
    double *mean, *m2;       /* out of columns_moments: of each column, its mean and sum of (x - mean)^2 */
    double *sum, *product;   /* out of columns_products: of each column, sum of g and of g * (x - center) */
    /* parameters of the pointwise passes, one for each column, to be filled in by the caller */
    real *center, *scale, *offset;
    real *dy_scale, *x_unit, *x_scale, *x_offset;
    /* what the caller wants besides, as fnn_columns has it */
    fnn_then then;
    const real *y, *residual;
    real *gradient;
    const real *dy, *x; /* the arrays of the running pass */
    real *out;
    int streams; /* out is written past the caches */
} column_passes;

/* Cut the work, and take the pieces from `workspace` (or count them, see core/workspace.h). */
void OP(columns_prepare)(column_passes *p, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t tail,
                         workspace_cursor *workspace);

/* Rows that column j has. */
static inline ptrdiff_t columns_count(const column_passes *p, ptrdiff_t j) { return p->rows + (j < p->tail); }

void OP(columns_moments)(column_passes *p, const real *x, int n_threads);
/* The passes of fnn_columns. */
void OP(columns_products)(column_passes *p, const real *dy, const real *x, int n_threads);
void OP(columns_affine)(column_passes *p, const real *x, real *y, int n_threads);
void OP(columns_backward)(column_passes *p, const real *dy, const real *x, real *dx, int n_threads);

/* A number to measure the distances of a column by (fnn_columns.x_unit), of which products with invstd^2 are floats. */
real OP(columns_unit)(double invstd);

/* Mean and sum of squared deviations of the values in `count` columns together: j, j + step, ... */
typedef struct {
    double n, mean, m2;
} column_statistics;

column_statistics OP(columns_merge)(const column_passes *p, ptrdiff_t j, ptrdiff_t step, ptrdiff_t count);

#endif
