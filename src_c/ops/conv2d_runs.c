/* Convolution forward and backward to the input whose rows are multiplied as they lie: for each tap, what a run of
 * destinations reads is one matrix. Taps on padding are not in the list: nothing is padded, copied or multiplied by zero.
 */
#include "ops/conv2d.h"

enum {
    ROWS_WORTH_PACKING = 96,
    SLOW_ROWS_WORTH_PACKING = 32,
    UNPACKED_SLICE = 256, /* of the depth, then: weights a power of two apart share few sets of the caches */
    ROWS_TOGETHER = 28,   /* of those few rows, so many read a slice of the weights together */
    WANTED_TASKS = 32,    /* enough for many threads, if runs of rows can be cut */
    LEAST_RUN_ROWS = 60,  /* to so few: shorter ones read the weights too often */
    TILE_ROWS = 12        /* of which runs are a multiple */
};

typedef struct {
    conv2d conv;
    int packs;
    tap_map map;
    norm_pass norm;
    packed_taps packed;
} runs_conv2d;

/* Weights forward lie as the kernel needs them, but for the distance of their rows. Narrow panels whose rows share one set
 * of L1 come slowly, so that fewer rows make up for packing them. */
static int worth_packing(const conv2d *c) {
    ptrdiff_t rows = SIZE(c->shape->n, c->y_width, c->y_height), size = (ptrdiff_t)sizeof(real);
    int slow = c->panel_columns * size <= CONV2D_NARROW && c->y_channels * size % FNN_L1_WAY_BYTES == 0;
    return rows > (slow ? SLOW_ROWS_WORTH_PACKING : ROWS_WORTH_PACKING);
}

/* Rows of a run: fewer if there would be too few tasks for many threads, but not so few that reading the weights takes
 * the time. */
static ptrdiff_t run_rows(const conv2d *c) {
    ptrdiff_t rows = SIZE(c->y_width, c->shape->n), tasks = SIZE(c->y_height, c->panels, c->shape->groups);
    ptrdiff_t pieces = fnn_max(1, fnn_min(fnn_ceil_div(WANTED_TASKS, tasks), rows / LEAST_RUN_ROWS));
    return fnn_min(TAP_RUN_ROWS, fnn_ceil_div(fnn_ceil_div(rows, pieces), TILE_ROWS) * TILE_ROWS);
}

/* Runs that one task multiplies by one slice of the weights after the other, so that each slice is fetched once for all
 * of them. Long runs use a slice often enough. */
static ptrdiff_t runs_together(const runs_conv2d *r) {
    ptrdiff_t rows = r->conv.shape->n * r->conv.y_width;
    int long_runs = r->packs || r->conv.slice >= r->conv.depth || rows > LEAST_RUN_ROWS;
    return long_runs ? 1 : fnn_max(1, ROWS_TOGETHER / rows) * r->map.n_runs;
}

/* Where a run of one destination row begins in y, at this column. */
static ptrdiff_t run_output(const conv2d *c, ptrdiff_t h, const tap_run *run, ptrdiff_t column) {
    return ((h * c->y_width + run->w) * c->shape->n + run->row) * c->y_channels + column;
}

/* One run of rows times one panel: what channels from k on add, as many as a slice has. */
static void multiply_slice(const runs_conv2d *r, ptrdiff_t group, ptrdiff_t panel, ptrdiff_t h, const tap_run *run,
                           ptrdiff_t k) {
    const conv2d *c = &r->conv;
    ptrdiff_t x_offset[CONV2D_TAPS], weight_offset[CONV2D_TAPS];
    /* Weights of tap t, channel k and this panel begin at weights + (t * depth + k) * stored. */
    ptrdiff_t stored = r->packs ? stored_columns(c, panel) : c->shape->c_out;
    ptrdiff_t column = group * c->columns + panel * c->panel_columns;
    const real *weights = r->packs ? packed_panel(c, &r->packed, group, panel) : c->weight + column;
    fnn_batch_gemm gemm = {
        .rows = run->rows,
        .columns = used_columns(c, panel),
        .depth = fnn_min(c->slice, c->depth - k),
        .a = c->x + run->row * c->x_channels + group * c->depth + k,
        .a_offset = x_offset,
        .a_stride = c->x_channels,
        .b = weights + k * stored,
        .b_offset = weight_offset,
        .b_stride = stored,
        .start = c->bias == NULL ? NULL : c->bias + column,
        .start_stride = 0,
        .c = c->y + run_output(c, h, run, column),
        .c_stride = c->y_channels,
    };
    for (ptrdiff_t number = 0; number < c->taps;) {
        if (k > 0 || number > 0) {
            gemm.start = gemm.c;
            gemm.start_stride = gemm.c_stride;
        }
        number = OP(conv2d_list_taps)(c, &r->map, h, run->w, number, &gemm.count, x_offset, weight_offset);
        for (ptrdiff_t i = 0; i < gemm.count; i++) {
            weight_offset[i] *= c->depth * stored;
        }
        c->kernels->batch_gemm(&gemm);
    }
}

/* Task: some runs, one panel. Whatever is larger, weights or activations, stays in cache from one task to the next. */
static void multiply_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const runs_conv2d *r = context;
    const conv2d *c = &r->conv;
    ptrdiff_t runs = c->y_height * r->map.n_runs, together = runs_together(r);
    ptrdiff_t parts = fnn_ceil_div(runs, together), panels = c->shape->groups * c->panels;
    ptrdiff_t weights = c->taps * c->depth * c->columns * c->shape->groups;
    ptrdiff_t activations = c->shape->n * c->x_width * c->x_channels;
    int weights_stay = weights > activations;
    ptrdiff_t part = weights_stay ? task % parts : task / panels, panel = weights_stay ? task / parts : task % panels;
    ptrdiff_t first = part * together, end = fnn_min(runs, first + together);
    ptrdiff_t group = panel / c->panels;
    panel %= c->panels;
    for (ptrdiff_t k = 0; k < c->depth; k += c->slice) {
        for (ptrdiff_t i = first; i < end; i++) {
            multiply_slice(r, group, panel, i / r->map.n_runs, r->map.runs + i % r->map.n_runs, k);
        }
    }
    ptrdiff_t column = group * c->columns + panel * c->panel_columns;
    for (ptrdiff_t i = first; i < end; i++) {
        const tap_run *run = r->map.runs + i % r->map.n_runs;
        ptrdiff_t at = run_output(c, i / r->map.n_runs, run, column);
        OP(conv2d_finish_rows)(c, &r->norm, run->rows, used_columns(c, panel), c->y_channels, at, column);
    }
}

ptrdiff_t OP(conv2d_runs)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *base) {
    runs_conv2d r = {.conv = OP(conv2d_of)(plan, operands)};
    const conv2d *c = &r.conv;
    const fnn_conv2d_shape *s = c->shape;
    r.packs = c->backward || worth_packing(c);
    if (!r.packs && c->taps == 1) { /* of several taps, slices change the order of sums */
        r.conv.slice = fnn_min(c->slice, UNPACKED_SLICE);
    }
    workspace_cursor workspace = {base, 0};
    fnn_tap_map(s, c->backward, run_rows(c), &workspace, &r.map);
    norm_prepare(&r.norm, c->norm, c->kernels, c->y_channels, &workspace);
    r.packed = OP(conv2d_take_packed)(c, r.packs, &workspace);
    if (base == NULL) {
        return workspace.used;
    }
    for (ptrdiff_t number = 0; number < c->taps; number++) {
        r.packed.order[number] = tap_of_number(c, number);
    }
    if (r.packs) {
        OP(conv2d_pack)(c, &r.packed);
    }
    double cost = (double)c->y_height * c->y_width * s->n * c->taps * c->depth * c->y_channels / 16;
    ptrdiff_t parts = fnn_ceil_div(c->y_height * r.map.n_runs, runs_together(&r));
    fnn_parallel_for(parts * s->groups * c->panels, cost, c->n_threads, multiply_task, &r);
    return workspace.used;
}
