/* Which way a convolution goes: the one place where it is decided, with all numbers that decide it.
 *
 *     conv2d.c  the plan   ->   conv2d_runs.c and the other ways: tasks   ->   kernels/gemm.c: registers
 *
 * A plan depends on the shape, the direction and the instruction set, never on threads, so that these do not change bits.
 * The numbers were fitted to measured times and rounded; one rule serves float and double.
 */
#include "ops/conv2d.h"
#include "ops/winograd.h"

/* ---- rows in runs, or gathered ----------------------------------------------------------------------- */

/* A run of fewer rows takes as long as one of so many: it waits for the weights. */
#define LEAST_RUN_ROWS 4.0
/* What a row takes that is copied first. */
#define GATHERED 1.06
/* The share of the taps that pixels beside the border have. */
#define BORDER 0.7
enum {
    LEAST_CHANNELS = 8, /* to copy at once */
    MOST_CLASSES = 1024 /* of destinations between strides */
};

static int gathers(const fnn_conv2d_shape *s, int backward) {
    ptrdiff_t depth = (backward ? s->c_out : s->c_in) / s->groups;
    ptrdiff_t width = backward ? s->w : s->w_out, sources = backward ? s->w_out : s->w;
    ptrdiff_t classes = backward ? SIZE(fnn_min(s->stride_h, s->h), fnn_min(s->stride_w, s->w)) : 1;
    if (depth < LEAST_CHANNELS || classes > MOST_CLASSES || fnn_conv2d_is_linear(s)) {
        return 0;
    }
    ptrdiff_t reach = (s->kernel_w - 1) * s->dilation_w;
    double rows = (double)width * (double)s->n, run = (double)s->n > LEAST_RUN_ROWS ? (double)s->n : LEAST_RUN_ROWS;
    double beside_border = (double)fnn_min(width, fnn_max(0, width - sources + reach));
    double in_runs = (rows - beside_border * (double)s->n) + BORDER * beside_border * run;
    return (s->stride_w > 1 ? (double)width * run : in_runs) > GATHERED * rows;
}

/* ---- few results, whose weights are read once -------------------------------------------------------- */

enum {
    MANY_WEIGHTS = 1 << 20, /* it matters where they come from memory, not from a cache */
    OUTER_ROWS = 8          /* of which the gradient of the weights is as fast as it can be written */
};

static int has_few_rows(const fnn_conv2d_shape *s, fnn_conv2d_direction direction) {
    ptrdiff_t rows = SIZE(s->n, s->h_out, s->w_out);
    ptrdiff_t weights = SIZE(s->kernel_h, s->kernel_w, s->c_in, s->c_out);
    if (s->groups > 1 || rows > (direction == FNN_BACKWARD_WEIGHT ? OUTER_ROWS : FNN_FEW_ROWS)) {
        return 0;
    }
    return fnn_conv2d_is_linear(s) || (direction == FNN_FORWARD && weights >= MANY_WEIGHTS);
}

/* ---- planes ------------------------------------------------------------------------------------------ */

enum {
    MANY_TAPS = 16,    /* so many make up for the copy */
    MANY_OUTPUTS = 32, /* of which the gradient of fewer taps is fast anyhow */
    FEW_IMAGES = 8,    /* whose runs of rows are short, with a stride */
    LARGEST_GROWTH = 4 /* of images by their padding: where little of the planes is image, pixels are faster */
};

ptrdiff_t OP(conv2d_phase_columns)(const fnn_conv2d_shape *s) {
    return s->w_out + (s->kernel_w - 1) * s->dilation_w / s->stride_w;
}

static int has_planes(const fnn_conv2d_shape *s, fnn_conv2d_direction direction) {
    ptrdiff_t taps = s->kernel_h * s->kernel_w, height = (s->h_out - 1) * s->stride_h + s->kernel_h;
    if (s->groups > 1 || s->c_in > CONV2D_FEW_CHANNELS || s->c_out == 1 || taps == 1 || s->kernel_w > CONV2D_TAPS ||
        s->dilation_h > 1 || direction == FNN_BACKWARD_DATA ||
        SIZE(height, OP(conv2d_phase_columns)(s), s->stride_w) > SIZE(LARGEST_GROWTH, s->h, s->w)) {
        return 0;
    }
    int short_runs = s->stride_w > 1 && s->n < FEW_IMAGES;
    return taps >= MANY_TAPS || short_runs || (direction == FNN_BACKWARD_WEIGHT && s->c_out < MANY_OUTPUTS);
}

/* ---- channels ---------------------------------------------------------------------------------------- */

/* Whether the kernels of small groups take those of so many inputs and results (core/kernels.h). */
static int has_small_groups(const fnn_conv2d_shape *s, int backward) {
    ptrdiff_t group_in = (backward ? s->c_out : s->c_in) / s->groups;
    ptrdiff_t group_out = (backward ? s->c_in : s->c_out) / s->groups;
    return s->groups > 1 && group_out > 1 && group_in <= group_out && group_in <= FNN_GROUPED_MOST &&
           KERNELS_OF(s->isa)->lanes % group_out == 0;
}

static fnn_conv2d_way way_of(const fnn_conv2d_shape *s, fnn_conv2d_direction direction) {
    int backward = direction == FNN_BACKWARD_DATA;
    if (s->algorithm >= FNN_WINOGRAD) {
        return FNN_IN_TILES;
    }
    if (s->algorithm == FNN_IM2COL) {
        return FNN_GATHERED;
    }
    int shares = backward && fnn_conv2d_shares_inputs(s);
    if (fnn_conv2d_is_depthwise(s) || shares || has_small_groups(s, backward)) {
        return FNN_BY_CHANNEL;
    }
    if (has_few_rows(s, direction)) {
        return FNN_OF_FEW_ROWS;
    }
    if (has_planes(s, direction)) {
        return FNN_IN_PLANES;
    }
    return direction != FNN_BACKWARD_WEIGHT && gathers(s, backward) ? FNN_GATHERED : FNN_IN_RUNS;
}

/* ---- Winograd's algorithm ---------------------------------------------------------------------------- */

/* What it costs besides its products, in multiplications of direct. For every tile and channel, from or to all positions:
 * AVX2 has half as many lanes to do it with, and not half the multiply-adds on the CPUs that were measured; and too few
 * registers for 24 positions. */
static double channel_cost(const fnn_conv2d_shape *s) {
    int avx2 = s->isa == FNN_AVX2;
    return s->algorithm == FNN_WINOGRAD ? (avx2 ? 150 : 100) : avx2 ? 300 : 180;
}
/* For every pair of channels, each position. */
#define FILTER_COST 25.0
#define FILTER_GRADIENT_COST 94.0
/* Of the cost of direct; about as far as these numbers can be trusted. */
#define WORTH_IT 0.95
#define MANY_TILES (PTRDIFF_MAX / 2) /* in a chunk: all */

static int winograd_can(const fnn_conv2d_shape *s) {
    return s->kernel_h == 3 && s->kernel_w == 3 && s->groups == 1 && s->stride_h == 1 && s->stride_w == 1 &&
           s->dilation_h == 1 && s->dilation_w == 1 && fnn_min(s->pad_top, s->pad_left) >= 0 &&
           fnn_max(s->pad_top, s->pad_left) <= 2;
}

/* Along one axis: the pairs of an output and one of its 3 taps that fall on the image and not on padding. */
static ptrdiff_t valid_taps(ptrdiff_t size, ptrdiff_t out, ptrdiff_t pad) {
    ptrdiff_t valid = 0;
    for (ptrdiff_t tap = 0; tap < 3; tap++) {
        valid += fnn_max(0, fnn_min(out, size + pad - tap) - fnn_max(0, pad - tap));
    }
    return valid;
}

/* What the algorithm of the shape costs as a share of what direct does. */
static double winograd_share(const fnn_conv2d_shape *s, fnn_conv2d_direction direction) {
    winograd_axis h = {s->h, s->h_out, s->pad_top}, w = {s->w, s->w_out, s->pad_left};
    if (direction == FNN_BACKWARD_DATA) {
        h = (winograd_axis){s->h_out, s->h, 2 - s->pad_top}, w = (winograd_axis){s->w_out, s->w, 2 - s->pad_left};
    }
    winograd_tiles tiles = winograd_cut(s->algorithm, s->n, h, w, MANY_TILES);
    ptrdiff_t positions = tiles.positions, rows = 0;
    for (int i = 0; i < 4; i++) {
        for (ptrdiff_t position = 0; position < positions; position++) {
            rows += winograd_filter_of(&tiles, tiles.regions + i, position) < 0 ? 0 : tiles.regions[i].rows;
        }
    }
    double filters = (double)s->c_in * s->c_out, transforms = channel_cost(s) * (double)tiles.rows;
    double filter = direction == FNN_BACKWARD_WEIGHT ? FILTER_GRADIENT_COST : FILTER_COST;
    double winograd = (double)rows * filters + transforms * (s->c_in + s->c_out) + filter * positions * filters;
    double valid = (double)valid_taps(s->h, s->h_out, s->pad_top) * valid_taps(s->w, s->w_out, s->pad_left);
    return winograd / ((double)s->n * filters * valid);
}

/* ---- the plan ---------------------------------------------------------------------------------------- */

static void choose_algorithm(fnn_conv2d_plan *plan) {
    fnn_conv2d_shape *s = &plan->shape;
    s->algorithm = FNN_DIRECT;
    if (!winograd_can(s) || way_of(s, plan->direction) == FNN_OF_FEW_ROWS) {
        return;
    }
    fnn_conv2d_shape tiles = *s;
    tiles.algorithm = FNN_WINOGRAD;
    plan->winograd = winograd_share(&tiles, plan->direction);
    tiles.algorithm = FNN_WINOGRAD24;
    plan->winograd24 = winograd_share(&tiles, plan->direction);
    double best = plan->winograd <= plan->winograd24 ? plan->winograd : plan->winograd24;
    if (best < WORTH_IT) {
        s->algorithm = best == plan->winograd ? FNN_WINOGRAD : FNN_WINOGRAD24;
    }
}

/* What a filter of one pixel sees: a list of pixels, as a linear layer does. So its rows are cut as suits them. */
static void join_pixels(fnn_conv2d_shape *s) {
    int same = s->h == s->h_out && s->w == s->w_out && s->stride_h == 1 && s->stride_w == 1;
    if (same && s->kernel_h * s->kernel_w == 1 && s->pad_top == 0 && s->pad_left == 0) {
        s->n *= s->h * s->w;
        s->h = s->w = s->h_out = s->w_out = 1;
    }
}

static conv2d_way *const WAYS[] = {
    [FNN_IN_RUNS] = OP(conv2d_runs),         [FNN_GATHERED] = OP(conv2d_gathered),
    [FNN_IN_PLANES] = OP(conv2d_planes),     [FNN_BY_CHANNEL] = OP(conv2d_by_channel),
    [FNN_OF_FEW_ROWS] = OP(conv2d_few_rows), [FNN_IN_TILES] = OP(winograd),
};
static conv2d_way *const WAYS_TO_WEIGHTS[] = {
    [FNN_IN_RUNS] = OP(conv2d_weight),          [FNN_BY_CHANNEL] = OP(conv2d_by_channel),
    [FNN_IN_PLANES] = OP(conv2d_planes_weight), [FNN_OF_FEW_ROWS] = OP(conv2d_few_rows_weight),
    [FNN_IN_TILES] = OP(winograd_weight),
};

static conv2d_way *function_of(const fnn_conv2d_plan *plan) {
    return (plan->direction == FNN_BACKWARD_WEIGHT ? WAYS_TO_WEIGHTS : WAYS)[plan->way];
}

void OP(conv2d_plan)(const fnn_conv2d_shape *shape, fnn_conv2d_direction direction, int n_threads,
                     fnn_conv2d_plan *plan) {
    *plan = (fnn_conv2d_plan){.shape = *shape, .direction = direction, .n_threads = n_threads};
    join_pixels(&plan->shape);
    if (shape->algorithm == FNN_AUTO) {
        choose_algorithm(plan);
    }
    if (shape->algorithm == FNN_IM2COL && direction == FNN_BACKWARD_WEIGHT) {
        plan->shape.algorithm = FNN_DIRECT; /* which reads the same patches where they lie */
    }
    plan->way = way_of(&plan->shape, direction);
    plan->workspace = function_of(plan)(plan, NULL, NULL);
}

void OP(conv2d_run)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace) {
    function_of(plan)(plan, operands, workspace);
}
