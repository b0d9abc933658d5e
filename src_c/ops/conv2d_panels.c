#include <string.h>

#include "ops/conv2d.h"

/* Bytes of packed weights that one kernel call reads for every tile of rows: a part of L2, the rest of which holds the
 * activations. */
enum { WEIGHT_BYTES = FNN_L2_BYTES / 16 * 3 };

conv2d OP(conv2d_of)(const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands) {
    const fnn_conv2d_shape *s = &plan->shape;
    int backward = plan->direction == FNN_BACKWARD_DATA;
    ptrdiff_t c_in = s->c_in / s->groups, c_out = s->c_out / s->groups;
    conv2d c = {
        .shape = s,
        .kernels = KERNELS_OF(s->isa),
        .n_threads = plan->n_threads,
        .backward = backward,
        .depth = backward ? c_out : c_in,
        .columns = backward ? c_in : c_out,
        .x_channels = backward ? s->c_out : s->c_in,
        .x_height = backward ? s->h_out : s->h,
        .x_width = backward ? s->w_out : s->w,
        .y_channels = backward ? s->c_in : s->c_out,
        .y_height = backward ? s->h : s->h_out,
        .y_width = backward ? s->w : s->w_out,
        .taps = s->kernel_h * s->kernel_w,
    };
    c.panel_columns = c.kernels->panel_columns;
    c.panels = fnn_ceil_div(c.columns, c.panel_columns);
    ptrdiff_t channel_bytes = c.taps * fnn_min(c.panel_columns, c.columns) * (ptrdiff_t)sizeof(real);
    c.slice = fnn_max(16, WEIGHT_BYTES / channel_bytes / 16 * 16);
    if (operands != NULL) {
        c.norm = operands->norm;
        c.x = backward ? operands->dy : operands->x;
        c.weight = operands->weight;
        c.bias = operands->bias;
        c.addend = operands->addend;
        c.y = backward ? operands->dx : operands->y;
    }
    return c;
}

packed_taps OP(conv2d_take_packed)(const conv2d *c, int packs, workspace_cursor *workspace) {
    packed_taps packed = {.places = c->taps};
    packed.order = workspace_take(workspace, c->taps, sizeof(ptrdiff_t));
    ptrdiff_t size = packs ? SIZE(c->shape->groups, c->panels, c->taps, c->depth, c->panel_columns) : 0;
    packed.weights = workspace_take(workspace, size, sizeof(real));
    return packed;
}

typedef struct {
    const conv2d *conv;
    const packed_taps *packed;
} packing;

/* Task: one place of one panel of one group. Padding columns are zero. */
static void pack_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const conv2d *c = ((const packing *)context)->conv;
    const packed_taps *packed = ((const packing *)context)->packed;
    const fnn_conv2d_shape *s = c->shape;
    ptrdiff_t place = task % packed->places, panel = task / packed->places % c->panels;
    ptrdiff_t group = task / packed->places / c->panels;
    ptrdiff_t used = used_columns(c, panel), stored = stored_columns(c, panel), first = panel * c->panel_columns;
    ptrdiff_t c_in = s->c_in / s->groups, c_out = s->c_out / s->groups;
    const real *weight = c->weight + packed->order[place] * c_in * s->c_out + group * c_out;
    real *to = packed_panel(c, packed, group, panel) + place * c->depth * stored;
    for (ptrdiff_t k = 0; k < c->depth; k++) {
        if (!c->backward) {
            copy_row(to + k * stored, weight + k * s->c_out + first, used);
        }
        memset(to + k * stored + used, 0, (size_t)(stored - used) * sizeof(real));
    }
    if (c->backward) {
        c->kernels->transpose(used, c->depth, weight + first * s->c_out, s->c_out, to, stored);
    }
}

void OP(conv2d_pack)(const conv2d *c, const packed_taps *packed) {
    packing p = {c, packed};
    double cost = (double)c->taps * c->depth * c->y_channels;
    fnn_parallel_for(c->shape->groups * c->panels * packed->places, cost, c->n_threads, pack_task, &p);
}

ptrdiff_t OP(conv2d_list_taps)(const conv2d *c, const tap_map *map, ptrdiff_t h, ptrdiff_t w, ptrdiff_t first,
                               ptrdiff_t *count, ptrdiff_t *x_offset, ptrdiff_t *numbers) {
    const ptrdiff_t *source_h = map->h.source + h * map->h.kernel, *source_w = map->w.source + w * map->w.kernel;
    *count = 0;
    ptrdiff_t number = first;
    for (; number < c->taps && *count < CONV2D_TAPS; number++) {
        ptrdiff_t tap = tap_of_number(c, number);
        ptrdiff_t in_h = source_h[tap / map->w.kernel], in_w = source_w[tap % map->w.kernel];
        if (in_h >= 0 && in_w >= 0) {
            x_offset[*count] = (in_h * c->x_width + in_w) * c->shape->n * c->x_channels;
            numbers[*count] = number;
            ++*count;
        }
    }
    return number;
}

void OP(conv2d_finish_rows)(const conv2d *c, const norm_pass *norm, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride,
                            ptrdiff_t at, ptrdiff_t column) {
    for (ptrdiff_t i = 0; c->addend != NULL && i < rows; i++) {
        ptrdiff_t row = at + i * stride;
        c->kernels->add(columns, c->y + row, c->addend + row, c->y + row);
    }
    norm_apply(norm, rows, columns, stride, c->y, at, column);
}
