/* Convolution of images of few channels, of which a product of pixels would have little depth.
 *
 * The images are copied first, with their padding, so that each channel is a plane, and columns a stride apart lie side by
 * side. Then what one tap reads for the destinations of a row, all images of each, is one piece of memory:
 *
 *     planes[h][c][phase][j][image]      column of the padded image = j * stride + phase
 *
 * Destination w and tap kernel_w read column j = w + kernel_w * dilation / stride of phase kernel_w * dilation % stride. So
 * for one kernel_w the rows of all kernel_h and channels are a matrix, of which a destination row is a product:
 *
 *     y[row] = sum over kernel_w of  matrix^T @ W[kernel_w]        dW[kernel_w] = sum over rows of  matrix @ dy[row]
 */
#include <string.h>

#include "ops/bands.h"
#include "ops/conv2d.h"

enum {
    RUN_ROWS = 480,          /* destinations of a task: a multiple of every tile height */
    NARROW_RUNS = 8,         /* of a task */
    CHUNK_ROWS = 256,        /* whose gradients stay in cache while all taps read them */
    WANTED_TASKS = 64,       /* of the gradient: bands of destination rows */
    BAND_DESTINATIONS = 2048 /* that are worth sums of their own */
};

typedef struct {
    const fnn_conv2d_shape *shape;
    const FNN_TYPED(fnn_kernels) * kernels;
    ptrdiff_t panel_columns, panels;
    ptrdiff_t height;                   /* of the planes, padding included */
    ptrdiff_t phase_columns;            /* of one phase */
    ptrdiff_t phase, plane;             /* reals of one row of a phase, and of all phases of a channel */
    ptrdiff_t depth;                    /* of the product for one column of the filter: kernel_h * channels */
    ptrdiff_t run_rows, row_runs;       /* destinations of a run, runs of a destination row */
    int narrow;                         /* so few columns that destinations are the columns of the product */
    ptrdiff_t bands, band_rows, filter; /* of the gradient; reals of a filter */
    real *planes;
    real *row;    /* [thread][c_in][padded column][image], with a stride */
    real *packed; /* [panel][kernel_w][kernel_h][c_in][panel columns], or [kernel_w][c_out][kernel_h][c_in] if narrow */
    real *start;  /* [c_out][panel columns], if narrow: the bias */
    real *sums_of_run; /* [thread][c_out][panel columns], if narrow */
    real *sums;        /* [band][kernel_w][kernel_h][c_in][c_out] */
    real *bias_sums;   /* [band][c_out] */
    norm_pass norm;
    const real *x, *weight, *bias, *dy;
    real *y, *dweight, *dbias;
} planes_conv2d;

static ptrdiff_t prepare(planes_conv2d *g, const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands,
                         void *base) {
    const fnn_conv2d_shape *s = &plan->shape;
    int gradient = plan->direction == FNN_BACKWARD_WEIGHT, n_threads = plan->n_threads;
    const fnn_norm *norm = operands == NULL ? NULL : operands->norm;
    g->shape = s;
    g->kernels = KERNELS_OF(s->isa);
    g->panel_columns = g->kernels->panel_columns;
    g->narrow = !gradient && s->c_out <= CONV2D_FEW_CHANNELS;
    g->panels = g->narrow ? 1 : fnn_ceil_div(s->c_out, g->panel_columns);
    g->height = (s->h_out - 1) * s->stride_h + s->kernel_h;
    g->phase_columns = OP(conv2d_phase_columns)(s);
    g->phase = SIZE(g->phase_columns, s->n);
    g->plane = SIZE(g->phase, s->stride_w);
    g->depth = s->kernel_h * s->c_in;
    g->filter = SIZE(s->kernel_w, g->depth, s->c_out);
    ptrdiff_t worth = SIZE(s->h_out, s->w_out, s->n) / BAND_DESTINATIONS;
    ptrdiff_t bands = fnn_max(1, fnn_min(fnn_min(WANTED_TASKS, worth), s->h_out));
    g->band_rows = fnn_ceil_div(s->h_out, bands);
    g->bands = fnn_ceil_div(s->h_out, g->band_rows);
    workspace_cursor workspace = {base, 0};
    g->planes = workspace_take(&workspace, SIZE(g->height, s->c_in, g->plane), sizeof(real));
    g->row = workspace_take(&workspace, s->stride_w > 1 ? SIZE(n_threads, s->c_in, g->plane) : 0, sizeof(real));
    norm_prepare(&g->norm, norm, g->kernels, gradient ? 0 : s->c_out, &workspace);
    ptrdiff_t packed = gradient ? 0 : SIZE(g->panels, s->kernel_w, g->depth, g->narrow ? s->c_out : g->panel_columns);
    g->packed = workspace_take(&workspace, packed, sizeof(real));
    ptrdiff_t run = g->narrow ? SIZE(s->c_out, g->panel_columns) : 0;
    g->start = workspace_take(&workspace, run, sizeof(real));
    g->sums_of_run = workspace_take(&workspace, SIZE(n_threads, run), sizeof(real));
    g->run_rows = g->narrow ? g->panel_columns : RUN_ROWS;
    g->row_runs = fnn_ceil_div(SIZE(s->w_out, s->n), g->run_rows);
    g->sums = workspace_take(&workspace, gradient ? SIZE(g->bands, g->filter) : 0, sizeof(real));
    g->bias_sums = workspace_take(&workspace, gradient ? SIZE(g->bands, s->c_out) : 0, sizeof(real));
    return workspace.used;
}

/* Task: one row of all planes. */
static void plane_task(void *context, ptrdiff_t row, int thread) {
    const planes_conv2d *g = context;
    const fnn_conv2d_shape *s = g->shape;
    real *to = g->planes + row * s->c_in * g->plane;
    ptrdiff_t h = row - s->pad_top, left = s->pad_left, columns = g->phase_columns * s->stride_w;
    fnn_range w = {fnn_max(0, -left), fnn_min(s->w, columns - left)};
    if (h < 0 || h >= s->h || w.begin >= w.end) {
        memset(to, 0, (size_t)(s->c_in * g->plane) * sizeof(real));
        return;
    }
    real *channels = s->stride_w == 1 ? to : g->row + thread * s->c_in * g->plane;
    if (w.end - w.begin < columns) {
        memset(channels, 0, (size_t)(s->c_in * g->plane) * sizeof(real));
    }
    const real *from = g->x + (h * s->w + w.begin) * s->n * s->c_in;
    g->kernels->transpose((w.end - w.begin) * s->n, s->c_in, from, s->c_in, channels + (w.begin + left) * s->n,
                          g->plane);
    if (s->stride_w == 1) {
        return;
    }
    for (ptrdiff_t c = 0; c < s->c_in; c++, channels += g->plane, to += g->plane) { /* columns into phases */
        if (s->n == 1) {
            g->kernels->transpose(g->phase_columns, s->stride_w, channels, s->stride_w, to, g->phase);
            continue;
        }
        const real *in = channels;
        for (ptrdiff_t column = 0; column < columns; column++) {
            real *pixel = to + column % s->stride_w * g->phase + column / s->stride_w * s->n;
            for (ptrdiff_t image = 0; image < s->n; image++) {
                pixel[image] = *in++;
            }
        }
    }
}

/* Where a column of the filter begins to read for the destinations from `row` on of destination row h. */
static const real *source_of(const planes_conv2d *g, ptrdiff_t h, ptrdiff_t row) {
    return g->planes + h * g->shape->stride_h * g->shape->c_in * g->plane + row;
}
static ptrdiff_t offset_of(const planes_conv2d *g, ptrdiff_t kernel_w) {
    ptrdiff_t column = kernel_w * g->shape->dilation_w, stride = g->shape->stride_w;
    return column % stride * g->phase + column / stride * g->shape->n;
}

static ptrdiff_t used_outputs(const planes_conv2d *g, ptrdiff_t panel) {
    return fnn_min(g->panel_columns, g->shape->c_out - panel * g->panel_columns);
}

/* Task: one panel of one column of the filter. */
static void pack_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const planes_conv2d *g = context;
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t kernel_w = task % s->kernel_w, panel = task / s->kernel_w, used = used_outputs(g, panel);
    for (ptrdiff_t k = 0; k < g->depth; k++) {
        ptrdiff_t tap = k / s->c_in * s->kernel_w + kernel_w;
        const real *from = g->weight + (tap * s->c_in + k % s->c_in) * s->c_out + panel * g->panel_columns;
        if (!g->narrow) {
            memcpy(g->packed + (task * g->depth + k) * g->panel_columns, from, (size_t)used * sizeof(real));
            continue;
        }
        for (ptrdiff_t c = 0; c < s->c_out; c++) {
            g->packed[(kernel_w * s->c_out + c) * g->depth + k] = from[c];
        }
    }
}

/* Task: one run of destinations, one panel. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const planes_conv2d *g = context;
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t panel = task % g->panels, run = task / g->panels % g->row_runs, h = task / g->panels / g->row_runs;
    fnn_range rows = fnn_chunk(run, g->run_rows, s->w_out * s->n);
    ptrdiff_t column = panel * g->panel_columns, at = (h * s->w_out * s->n + rows.begin) * s->c_out + column;
    ptrdiff_t a_offset[CONV2D_TAPS], b_offset[CONV2D_TAPS];
    for (ptrdiff_t kernel_w = 0; kernel_w < s->kernel_w; kernel_w++) {
        a_offset[kernel_w] = offset_of(g, kernel_w);
        b_offset[kernel_w] = kernel_w * g->depth * g->panel_columns;
    }
    fnn_batch_gemm gemm = {
        .rows = rows.end - rows.begin,
        .columns = used_outputs(g, panel),
        .depth = g->depth,
        .count = s->kernel_w,
        .a = source_of(g, h, rows.begin),
        .a_offset = a_offset,
        .a_stride = g->plane,
        .b = g->packed + panel * s->kernel_w * g->depth * g->panel_columns,
        .b_offset = b_offset,
        .b_stride = g->panel_columns,
        .start = g->bias == NULL ? NULL : g->bias + column,
        .c = g->y + at,
        .c_stride = s->c_out,
    };
    g->kernels->batch_gemm_transposed(&gemm);
    norm_apply(&g->norm, gemm.rows, gemm.columns, s->c_out, g->y, at, column);
}

/* Task: some runs of destinations, all channels, if they are few. */
static void narrow_task(void *context, ptrdiff_t task, int thread) {
    const planes_conv2d *g = context;
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t a_offset[CONV2D_TAPS], b_offset[CONV2D_TAPS];
    for (ptrdiff_t kernel_w = 0; kernel_w < s->kernel_w; kernel_w++) {
        a_offset[kernel_w] = kernel_w * s->c_out * g->depth;
        b_offset[kernel_w] = offset_of(g, kernel_w);
    }
    real *sums = g->sums_of_run + thread * s->c_out * g->panel_columns;
    fnn_range runs = fnn_chunk(task, NARROW_RUNS, s->h_out * g->row_runs);
    for (ptrdiff_t run = runs.begin; run < runs.end; run++) {
        ptrdiff_t h = run / g->row_runs;
        fnn_range rows = fnn_chunk(run % g->row_runs, g->run_rows, s->w_out * s->n);
        ptrdiff_t at = (h * s->w_out * s->n + rows.begin) * s->c_out, columns = rows.end - rows.begin;
        fnn_batch_gemm gemm = {
            .rows = s->c_out,
            .columns = columns,
            .depth = g->depth,
            .count = s->kernel_w,
            .a = g->packed,
            .a_offset = a_offset,
            .a_stride = g->depth,
            .b = source_of(g, h, rows.begin),
            .b_offset = b_offset,
            .b_stride = g->plane,
            .start = g->bias == NULL ? NULL : g->start,
            .start_stride = g->panel_columns,
            .c = sums,
            .c_stride = g->panel_columns,
        };
        g->kernels->batch_gemm(&gemm);
        g->kernels->transpose(s->c_out, columns, sums, g->panel_columns, g->y + at, s->c_out);
        norm_apply(&g->norm, columns, s->c_out, s->c_out, g->y, at, 0);
    }
}

static void copy_planes(planes_conv2d *g, const real *x, int n_threads) {
    g->x = x;
    double values = (double)g->height * g->shape->c_in * g->plane;
    fnn_parallel_for(g->height, values, n_threads, plane_task, g);
}

ptrdiff_t OP(conv2d_planes)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace) {
    planes_conv2d g;
    const fnn_conv2d_shape *s = &plan->shape;
    ptrdiff_t bytes = prepare(&g, plan, operands, workspace);
    if (workspace == NULL) {
        return bytes;
    }
    g.weight = operands->weight, g.bias = operands->bias, g.y = operands->y;
    copy_planes(&g, operands->x, plan->n_threads);
    fnn_parallel_for(g.panels * s->kernel_w, (double)g.filter, plan->n_threads, pack_task, &g);
    double cost = (double)s->h_out * s->w_out * s->n * g.filter / 16;
    if (g.narrow) {
        for (ptrdiff_t i = 0; g.bias != NULL && i < s->c_out * g.panel_columns; i++) {
            g.start[i] = g.bias[i / g.panel_columns];
        }
        fnn_parallel_for(fnn_ceil_div(s->h_out * g.row_runs, NARROW_RUNS), cost, plan->n_threads, narrow_task, &g);
    } else {
        fnn_parallel_for(s->h_out * g.row_runs * g.panels, cost, plan->n_threads, multiply_task, &g);
    }
    return bytes;
}

/* Task: one band of destination rows, one panel. */
static void gradient_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const planes_conv2d *g = context;
    const fnn_conv2d_shape *s = g->shape;
    ptrdiff_t panel = task % g->panels, band = task / g->panels, column = panel * g->panel_columns;
    fnn_range band_range = fnn_chunk(band, g->band_rows, s->h_out);
    ptrdiff_t row_length = s->w_out * s->n, chunks = fnn_ceil_div(row_length, CHUNK_ROWS),
              columns = used_outputs(g, panel);
    ptrdiff_t together = fnn_max(1, CHUNK_ROWS / row_length); /* destination rows */
    real *sums = g->sums + band * g->filter + column, *bias_sums = g->bias_sums + band * s->c_out + column;
    ptrdiff_t a_offset[CHUNK_ROWS], b_offset[CHUNK_ROWS];
    for (ptrdiff_t i = 0; i < together; i++) {
        a_offset[i] = i * s->stride_h * s->c_in * g->plane;
        b_offset[i] = i * row_length * s->c_out;
    }
    for (ptrdiff_t j = 0; j < columns; j++) {
        bias_sums[j] = 0;
    }
    ptrdiff_t first = band_range.begin, rows_of_band = band_range.end - first;
    for (ptrdiff_t i = 0; i < fnn_ceil_div(rows_of_band, together) * chunks; i++) {
        ptrdiff_t h = first + i / chunks * together, count = fnn_min(together, band_range.end - h);
        fnn_range rows = fnn_chunk(i % chunks, CHUNK_ROWS, row_length);
        const real *dy = g->dy + (h * row_length + rows.begin) * s->c_out + column;
        if (g->dbias != NULL) {
            g->kernels->column_sums((count - 1) * row_length + rows.end - rows.begin, columns, dy, s->c_out, bias_sums);
        }
        for (ptrdiff_t kernel_w = 0; kernel_w < s->kernel_w; kernel_w++) {
            real *c = sums + kernel_w * g->depth * s->c_out;
            fnn_batch_gemm gemm = {
                .rows = g->depth,
                .columns = columns,
                .depth = rows.end - rows.begin,
                .count = count,
                .a = source_of(g, h, rows.begin) + offset_of(g, kernel_w),
                .a_offset = a_offset,
                .a_stride = g->plane,
                .b = dy,
                .b_offset = b_offset,
                .b_stride = s->c_out,
                .start = i == 0 ? NULL : c,
                .start_stride = s->c_out,
                .c = c,
                .c_stride = s->c_out,
            };
            g->kernels->batch_gemm(&gemm);
        }
    }
}

/* Task: the gradients of one column of the filter, from the sums of all bands. */
static void finish_task(void *context, ptrdiff_t kernel_w, int thread) {
    (void)thread;
    const planes_conv2d *g = context;
    const fnn_conv2d_shape *s = g->shape;
    for (ptrdiff_t k = 0; k < g->depth; k++) {
        ptrdiff_t tap = k / s->c_in * s->kernel_w + kernel_w;
        real *to = g->dweight + (tap * s->c_in + k % s->c_in) * s->c_out;
        const real *sums = g->sums + (kernel_w * g->depth + k) * s->c_out;
        memcpy(to, sums, (size_t)s->c_out * sizeof(real));
        for (ptrdiff_t band = 1; band < g->bands; band++) {
            g->kernels->add(s->c_out, to, sums + band * g->filter, to);
        }
    }
}

ptrdiff_t OP(conv2d_planes_weight)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace) {
    planes_conv2d g;
    const fnn_conv2d_shape *s = &plan->shape;
    ptrdiff_t bytes = prepare(&g, plan, operands, workspace);
    if (workspace == NULL) {
        return bytes;
    }
    g.dy = operands->dy, g.dweight = operands->dweight, g.dbias = operands->dbias;
    copy_planes(&g, operands->x, plan->n_threads);
    double cost = (double)s->h_out * s->w_out * s->n * g.filter / 16;
    fnn_parallel_for(g.bands * g.panels, cost, plan->n_threads, gradient_task, &g);
    fnn_parallel_for(s->kernel_w, (double)g.bands * g.filter, plan->n_threads, finish_task, &g);
    OP(sum_bias)(g.kernels, g.bands, s->c_out, g.bias_sums, g.dbias, plan->n_threads);
    return bytes;
}
