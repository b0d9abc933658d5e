#include "core/taps.h"

#include "core/parallel.h"

static void forward_axis(tap_axis *axis, ptrdiff_t sources, ptrdiff_t stride, ptrdiff_t pad, ptrdiff_t dilation) {
    for (ptrdiff_t d = 0; d < axis->length; d++) {
        for (ptrdiff_t k = 0; k < axis->kernel; k++) {
            ptrdiff_t s = d * stride - pad + k * dilation;
            axis->source[d * axis->kernel + k] = s >= 0 && s < sources ? s : -1;
        }
    }
}

static void backward_axis(tap_axis *axis, ptrdiff_t sources, ptrdiff_t stride, ptrdiff_t pad, ptrdiff_t dilation) {
    for (ptrdiff_t d = 0; d < axis->length; d++) {
        for (ptrdiff_t k = 0; k < axis->kernel; k++) {
            ptrdiff_t s = d + pad - k * dilation;
            int reached = s >= 0 && s % stride == 0 && s / stride < sources;
            axis->source[d * axis->kernel + k] = reached ? s / stride : -1;
        }
    }
}

/* Whether destination d + step has the taps of d, each `source_step` sources further on. */
static int moves_in_step(const tap_axis *axis, ptrdiff_t d, ptrdiff_t step, ptrdiff_t source_step) {
    const ptrdiff_t *here = axis->source + d * axis->kernel, *next = here + step * axis->kernel;
    for (ptrdiff_t k = 0; k < axis->kernel; k++) {
        if (here[k] < 0 ? next[k] >= 0 : next[k] != here[k] + source_step) {
            return 0;
        }
    }
    return 1;
}

static ptrdiff_t find_runs(const tap_axis *axis, ptrdiff_t n, ptrdiff_t run_rows, tap_run *runs) {
    ptrdiff_t count = 0;
    for (ptrdiff_t w = 0; w < axis->length;) {
        ptrdiff_t end = w + 1;
        while (end < axis->length && moves_in_step(axis, end - 1, 1, 1)) {
            end++;
        }
        for (ptrdiff_t row = 0, rows = (end - w) * n; row < rows; row += run_rows) {
            runs[count++] = (tap_run){w, row, fnn_min(run_rows, rows - row)};
        }
        w = end;
    }
    return count;
}

ptrdiff_t fnn_tap_pixels(const tap_axis *axis, ptrdiff_t step, ptrdiff_t source_step, tap_pixels *found) {
    ptrdiff_t count = 0;
    for (ptrdiff_t phase = 0; phase < fnn_min(step, axis->length); phase++) {
        for (ptrdiff_t w = phase; w < axis->length;) {
            tap_pixels *run = found + count++;
            *run = (tap_pixels){w, 1};
            while (w + step < axis->length && moves_in_step(axis, w, step, source_step)) {
                run->pixels++;
                w += step;
            }
            w += step;
        }
    }
    return count;
}

void fnn_tap_map(const fnn_conv2d_shape *s, int backward, ptrdiff_t run_rows, workspace_cursor *workspace,
                 tap_map *map) {
    map->h = (tap_axis){s->kernel_h, backward ? s->h : s->h_out, NULL};
    map->w = (tap_axis){s->kernel_w, backward ? s->w : s->w_out, NULL};
    ptrdiff_t most_runs = size_plus(map->w.length, SIZE(map->w.length, s->n) / run_rows);
    map->h.source = workspace_take(workspace, SIZE(map->h.length, map->h.kernel), sizeof(ptrdiff_t));
    map->w.source = workspace_take(workspace, SIZE(map->w.length, map->w.kernel), sizeof(ptrdiff_t));
    map->runs = workspace_take(workspace, most_runs, sizeof(tap_run));
    if (workspace->base == NULL) {
        return;
    }
    if (backward) {
        backward_axis(&map->h, s->h_out, s->stride_h, s->pad_top, s->dilation_h);
        backward_axis(&map->w, s->w_out, s->stride_w, s->pad_left, s->dilation_w);
    } else {
        forward_axis(&map->h, s->h, s->stride_h, s->pad_top, s->dilation_h);
        forward_axis(&map->w, s->w, s->stride_w, s->pad_left, s->dilation_w);
    }
    map->n_runs = find_runs(&map->w, s->n, run_rows, map->runs);
}
