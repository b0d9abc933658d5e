#include "ops/columns.h"

#include <math.h>

#include "core/stream.h"

enum {
    BLOCK = 512,           /* columns of a tile: 2 KB of floats in a row, long enough for the prefetchers */
    MIN_CHUNK = 32,        /* rows, so that a tile is worth its partial sums */
    MAX_CHUNK = 512,       /* rows, so that sums of type real stay accurate */
    WANTED_TILES = 64,     /* enough to keep the threads busy to the end */
    TOTALS_BLOCK = 16,     /* columns whose tiles one task combines */
    ORDINARY_EXPONENT = 40 /* of two, whose square is far from the ends of float */
};

void OP(columns_prepare)(column_passes *p, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t tail,
                         workspace_cursor *workspace) {
    *p = (column_passes){.rows = rows, .width = width, .tail = tail};
    p->block = fnn_min(width, BLOCK);
    p->blocks = fnn_ceil_div(width, p->block);
    ptrdiff_t chunk = fnn_ceil_div(rows * p->blocks, WANTED_TILES);
    p->chunk = fnn_min(MAX_CHUNK, fnn_max(MIN_CHUNK, chunk));
    p->chunks = fnn_ceil_div(rows, p->chunk) + (tail > 0);
    for (int i = 0; i < 3; i++) {
        p->partial[i] = workspace_take(workspace, SIZE(p->chunks, width), sizeof(real));
    }
    p->mean = p->sum = workspace_take(workspace, width, sizeof(double));
    p->m2 = p->product = workspace_take(workspace, width, sizeof(double));
    p->center = workspace_take(workspace, width, sizeof(real));
    p->scale = workspace_take(workspace, width, sizeof(real));
    p->offset = workspace_take(workspace, width, sizeof(real));
    p->dy_scale = workspace_take(workspace, width, sizeof(real));
    p->x_unit = workspace_take(workspace, width, sizeof(real));
    p->x_scale = workspace_take(workspace, width, sizeof(real));
    p->x_offset = workspace_take(workspace, width, sizeof(real));
}

/* The part of the matrix that a task owns. */
typedef struct {
    ptrdiff_t rows, column, columns;
    ptrdiff_t at;      /* of its first element in the matrix */
    ptrdiff_t partial; /* of its first element in the partial sums */
} tile;

static ptrdiff_t chunk_rows(const column_passes *p, ptrdiff_t chunk) {
    fnn_range rows = fnn_chunk(chunk, p->chunk, p->rows);
    return rows.begin < rows.end ? rows.end - rows.begin : 1; /* the tail */
}

static tile tile_of(const column_passes *p, ptrdiff_t task) {
    ptrdiff_t chunk = task / p->blocks;
    fnn_range columns = fnn_chunk(task % p->blocks, p->block, p->width);
    ptrdiff_t row = fnn_min(chunk * p->chunk, p->rows);
    ptrdiff_t end = row == p->rows ? fnn_min(columns.end, p->tail) : columns.end;
    return (tile){
        .rows = chunk_rows(p, chunk),
        .column = columns.begin,
        .columns = fnn_max(0, end - columns.begin),
        .at = row * p->width + columns.begin,
        .partial = chunk * p->width + columns.begin,
    };
}

static void run(column_passes *p, fnn_task body, int n_threads) {
    double cost = (double)p->rows * p->width;
    fnn_parallel_for(p->chunks * p->blocks, cost, n_threads, body, p);
}

static void run_totals(column_passes *p, fnn_task body, int n_threads) {
    double cost = 4.0 * p->chunks * p->width;
    fnn_parallel_for(fnn_ceil_div(p->width, TOTALS_BLOCK), cost, n_threads, body, p);
}

/* The part of `matrix` that begins at element `at`, if there is a matrix. */
static const real *part(const real *matrix, ptrdiff_t at) { return matrix == NULL ? NULL : matrix + at; }

/* The problem of a kernel for one tile. */
static fnn_columns problem_of(const column_passes *p, tile t) {
    return (fnn_columns){
        .rows = t.rows,
        .columns = t.columns,
        .stride = p->width,
        .streams = p->streams,
        .then = p->then,
        .x = p->x + t.at,
        .dy = part(p->dy, t.at),
        .y = part(p->y, t.at),
        .residual = part(p->residual, t.at),
        .center = p->center + t.column,
        .scale = p->scale + t.column,
        .offset = p->offset + t.column,
        .dy_scale = p->dy_scale + t.column,
        .x_unit = p->x_unit + t.column,
        .x_scale = p->x_scale + t.column,
        .x_offset = p->x_offset + t.column,
        .out = p->out == NULL ? NULL : p->out + t.at,
        .gradient = p->gradient == NULL ? NULL : p->gradient + t.at,
        .sum = p->partial[0] + t.partial,
        .product_sum = p->partial[1] + t.partial,
    };
}

static void moments_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const column_passes *p = context;
    tile t = tile_of(p, task);
    KERNELS->column_moments(t.rows, t.columns, p->width, p->x + t.at, p->partial[0] + t.partial,
                            p->partial[1] + t.partial, p->partial[2] + t.partial);
}

/* Those of the columns in r whose sums of squares do not fit into `real` (or are NaN), from x itself. */
static void wide_moments(const column_passes *p, fnn_range r) {
    double mean[TOTALS_BLOCK] = {0}, m2[TOTALS_BLOCK] = {0};
    ptrdiff_t rows = columns_count(p, r.begin); /* the tail may end before r.end */
    for (ptrdiff_t i = 0; i < rows; i++) {
        const real *x = p->x + i * p->width;
        for (ptrdiff_t j = r.begin; j < r.end && i < columns_count(p, j); j++) {
            mean[j - r.begin] += x[j] / (double)columns_count(p, j);
        }
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        const real *x = p->x + i * p->width;
        for (ptrdiff_t j = r.begin; j < r.end && i < columns_count(p, j); j++) {
            double distance = x[j] - mean[j - r.begin];
            m2[j - r.begin] += distance * distance;
        }
    }
    for (ptrdiff_t j = r.begin; j < r.end; j++) {
        if (!isfinite(p->m2[j])) {
            p->mean[j] = mean[j - r.begin];
            p->m2[j] = m2[j - r.begin];
        }
    }
}

/* Task: the moments of TOTALS_BLOCK columns from those of their tiles. */
static void total_moments_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const column_passes *p = context;
    fnn_range r = fnn_chunk(task, TOTALS_BLOCK, p->width);
    for (ptrdiff_t j = r.begin; j < r.end; j++) {
        p->mean[j] = p->m2[j] = 0;
    }
    double rows_above = 0;
    for (ptrdiff_t chunk = 0; chunk < p->chunks; chunk++) {
        ptrdiff_t row = fnn_min(chunk * p->chunk, p->rows);
        ptrdiff_t end = row == p->rows ? fnn_min(r.end, p->tail) : r.end;
        const real *shift = p->partial[0] + chunk * p->width, *sum = p->partial[1] + chunk * p->width;
        const real *square_sum = p->partial[2] + chunk * p->width;
        double n = (double)chunk_rows(p, chunk), per_row = 1 / n;
        double share = n / (rows_above + n), weight = rows_above * share;
        for (ptrdiff_t j = r.begin; j < end; j++) {
            double distance = sum[j] * per_row; /* from the shift to the mean of the tile */
            double step = shift[j] + distance - p->mean[j];
            p->mean[j] += step * share;
            p->m2[j] += square_sum[j] - sum[j] * distance + step * step * weight;
        }
        rows_above += n;
    }
    for (ptrdiff_t j = r.begin; j < r.end; j++) {
        if (!isfinite(p->m2[j])) {
            wide_moments(p, r);
            break;
        }
    }
}

void OP(columns_moments)(column_passes *p, const real *x, int n_threads) {
    p->x = x;
    run(p, moments_task, n_threads);
    run_totals(p, total_moments_task, n_threads);
}

column_statistics OP(columns_merge)(const column_passes *p, ptrdiff_t j, ptrdiff_t step, ptrdiff_t count) {
    column_statistics s = {0, 0, 0};
    for (ptrdiff_t i = 0; i < count; i++) {
        double n = (double)columns_count(p, j + i * step);
        s.n += n;
        s.mean += n * p->mean[j + i * step];
    }
    s.mean /= s.n;
    for (ptrdiff_t i = 0; i < count; i++) {
        double distance = p->mean[j + i * step] - s.mean;
        s.m2 += p->m2[j + i * step] + (double)columns_count(p, j + i * step) * distance * distance;
    }
    s.m2 = s.m2 < 0 ? 0 : s.m2; /* rounding may have left a constant column below zero; NaN stays */
    return s;
}

real OP(columns_unit)(double invstd) {
    int exponent;
    frexp(invstd, &exponent);
    return exponent > -ORDINARY_EXPONENT && exponent < ORDINARY_EXPONENT ? 1 : (real)ldexp(1, exponent);
}

static void products_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const column_passes *p = context;
    fnn_columns problem = problem_of(p, tile_of(p, task));
    KERNELS->column_products(&problem);
}

static void total_products_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const column_passes *p = context;
    fnn_range r = fnn_chunk(task, TOTALS_BLOCK, p->width);
    for (ptrdiff_t j = r.begin; j < r.end; j++) {
        p->sum[j] = p->product[j] = 0;
    }
    for (ptrdiff_t chunk = 0; chunk < p->chunks; chunk++) {
        ptrdiff_t row = fnn_min(chunk * p->chunk, p->rows);
        ptrdiff_t end = row == p->rows ? fnn_min(r.end, p->tail) : r.end;
        for (ptrdiff_t j = r.begin; j < end; j++) {
            p->sum[j] += p->partial[0][chunk * p->width + j];
            p->product[j] += p->partial[1][chunk * p->width + j];
        }
    }
}

void OP(columns_products)(column_passes *p, const real *dy, const real *x, int n_threads) {
    p->dy = dy, p->x = x, p->out = NULL;
    run(p, products_task, n_threads);
    run_totals(p, total_products_task, n_threads);
}

/* The array that the running pass writes. Where it is one of those that it reads, its lines are in a cache. */
static void set_out(column_passes *p, real *out) {
    ptrdiff_t row_bytes = p->width * (ptrdiff_t)sizeof(real);
    p->out = out;
    p->streams =
        out != p->x && out != p->dy && out != p->residual && fnn_worth_streaming(out, p->rows * row_bytes, row_bytes);
}

static void affine_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const column_passes *p = context;
    fnn_columns problem = problem_of(p, tile_of(p, task));
    KERNELS->column_affine(&problem);
}

void OP(columns_affine)(column_passes *p, const real *x, real *y, int n_threads) {
    p->x = x, p->dy = NULL;
    set_out(p, y);
    run(p, affine_task, n_threads);
}

static void backward_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const column_passes *p = context;
    fnn_columns problem = problem_of(p, tile_of(p, task));
    KERNELS->column_backward(&problem);
}

void OP(columns_backward)(column_passes *p, const real *dy, const real *x, real *dx, int n_threads) {
    p->dy = dy, p->x = x;
    set_out(p, dx);
    run(p, backward_task, n_threads);
}
