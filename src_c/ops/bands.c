#include "ops/bands.h"

#include <string.h>

#include "core/taps.h"

enum {
    WANTED_TASKS = 64,  /* enough to keep many threads busy to the end; BANDS_FEW_TASKS, even if */
    BAND_PIXELS = 1024, /* and less, are hardly worth sums of their own */
    LIST_PIXELS =
        512, /* of a band of a list: fewer than twice as many are one chain of sums, if they are no BAND_BYTES */
    BAND_BYTES = 8 << 20, /* of x and dy together, if there can be so little: each block and panel reads them again */
    MAX_BAND_BYTES = 64 << 20 /* of memory for the sums of all bands */
};

ptrdiff_t OP(bands_wanted)(const fnn_conv2d_shape *s, ptrdiff_t weights, ptrdiff_t tasks, ptrdiff_t units) {
    ptrdiff_t read = s->n * (s->h * s->w * s->c_in + s->h_out * s->w_out * s->c_out) * (ptrdiff_t)sizeof(real);
    ptrdiff_t pixels = s->n * s->h_out * s->w_out, few = fnn_ceil_div(BANDS_FEW_TASKS, tasks);
    if (fnn_conv2d_is_linear(s)) {
        few = fnn_min(few, pixels / LIST_PIXELS);
    }
    ptrdiff_t wanted = fnn_max(few, fnn_min(fnn_ceil_div(WANTED_TASKS, tasks), pixels / BAND_PIXELS));
    ptrdiff_t affordable = MAX_BAND_BYTES / (weights * (ptrdiff_t)sizeof(real));
    return fnn_max(1, fnn_min(fnn_min(fnn_max(wanted, read / BAND_BYTES), units), affordable));
}

band_sums OP(bands_take)(ptrdiff_t count, ptrdiff_t weights, ptrdiff_t channels, workspace_cursor *workspace) {
    band_sums bands = {.count = count, .weights = weights, .channels = channels};
    bands.sums = workspace_take(workspace, count > 1 ? SIZE(count, weights) : 0, sizeof(real));
    bands.bias_sums = workspace_take(workspace, SIZE(count, channels), sizeof(real));
    return bands;
}

void OP(bands_begin)(band_sums *bands, const fnn_conv2d_operands *operands) {
    bands->dweight = operands->dweight;
    bands->dbias = operands->dbias;
    memset(bands->bias_sums, 0, (size_t)(bands->count * bands->channels) * sizeof(real));
}

typedef struct {
    const band_sums *bands;
    const FNN_TYPED(fnn_kernels) * kernels;
} addition;

/* Task: some weights. */
static void add_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const band_sums *bands = ((const addition *)context)->bands;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, bands->weights);
    ptrdiff_t count = r.end - r.begin;
    real *to = bands->dweight + r.begin;
    memcpy(to, bands->sums + r.begin, (size_t)count * sizeof(real));
    for (ptrdiff_t band = 1; band < bands->count; band++) {
        ((const addition *)context)->kernels->add(count, to, sums_of_band(bands, band) + r.begin, to);
    }
}

typedef struct {
    const FNN_TYPED(fnn_kernels) * kernels;
    ptrdiff_t rows, channels;
    const real *sums;
    real *dbias;
} bias_sum;

static void bias_task(void *context, ptrdiff_t task, int thread) {
    (void)task, (void)thread;
    const bias_sum *b = context;
    memset(b->dbias, 0, (size_t)b->channels * sizeof(real));
    b->kernels->column_sums(b->rows, b->channels, b->sums, b->channels, b->dbias);
}

void OP(sum_bias)(const FNN_TYPED(fnn_kernels) * kernels, ptrdiff_t rows, ptrdiff_t channels, const real *sums,
                  real *dbias, int n_threads) {
    bias_sum b = {kernels, rows, channels, sums, dbias};
    if (dbias != NULL) {
        fnn_parallel_for(1, (double)rows * (double)channels, n_threads, bias_task, &b);
    }
}

void OP(bands_finish)(const band_sums *bands, const FNN_TYPED(fnn_kernels) * kernels, int n_threads) {
    if (bands->count > 1) {
        addition all = {bands, kernels};
        ptrdiff_t chunks = fnn_ceil_div(bands->weights, FNN_POINTWISE_CHUNK);
        fnn_parallel_for(chunks, (double)bands->weights * bands->count, n_threads, add_task, &all);
    }
    OP(sum_bias)(kernels, bands->count, bands->channels, bands->bias_sums, bands->dbias, n_threads);
}
