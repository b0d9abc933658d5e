/* Convolution of small groups of channels; core/kernels.h states the two problems.
 *
 * A vector holds the results of several groups. What its lanes multiply by is a permutation of one vector of x: of channel k
 * of each group, in the lanes of that group. So all lanes work, where a product of matrices would use those of one group.
 */
#include "kernels/kernel.h"

enum {
#if V_REGISTERS >= 32
    TILE_ROWS = 8
#else
    TILE_ROWS = 4
#endif
};

/* For each channel k of a group, where the lanes of a vector find theirs. */
typedef struct {
    v_index lanes[FNN_GROUPED_MOST];
} selection;

static selection selection_of(const fnn_grouped *p) {
    selection s;
    /* Those that a group has not are lane 0, and their sums nobody's. */
    for (ptrdiff_t k = 0; k < FNN_GROUPED_MOST; k++) {
        int32_t lane[V_LANES];
        for (ptrdiff_t i = 0; i < V_LANES; i++) {
            lane[i] = k < p->group_in ? (int32_t)(i / p->group_out * p->group_in + k) : 0;
        }
        s.lanes[k] = v_load_index(lane);
    }
    return s;
}

/* ROWS rows of one vector of results. */
INLINE void tile(const fnn_grouped *p, const selection *s, ptrdiff_t row, ptrdiff_t channel, ptrdiff_t lanes,
                 const int ROWS) {
    v_real sum[TILE_ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
        sum[i] = p->start == NULL ? v_zero() : v_load_part(p->start + (row + i) * p->start_stride + channel, lanes);
    }
    const ptrdiff_t in_lanes = lanes / p->group_out * p->group_in;
    const real *x_first = p->x + row * p->x_stride + channel / p->group_out * p->group_in;
    for (ptrdiff_t b = 0; b < p->count; b++) {
        const real *x = x_first + p->x_offset[b], *w = p->w + p->w_offset[b] + channel;
        v_real values[TILE_ROWS];
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
            values[i] = v_load_part(x + i * p->x_stride, in_lanes);
        }
        for (ptrdiff_t k = 0; k < p->group_in; k++) {
            v_real weight = v_load_part(w + k * p->w_stride, lanes);
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; i++) {
                sum[i] = v_fma(v_permute(values[i], s->lanes[k]), weight, sum[i]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
        v_store_part(p->y + (row + i) * p->y_stride + channel, sum[i], lanes);
    }
}

INLINE void rows_of(const fnn_grouped *p, const selection *s, ptrdiff_t row, const int ROWS) {
    for (ptrdiff_t channel = 0; channel < p->channels; channel += V_LANES) {
        tile(p, s, row, channel, v_lanes_left(p->channels - channel), ROWS);
    }
}

void KERNEL(grouped)(const fnn_grouped *p) {
    const selection s = selection_of(p);
    ptrdiff_t row = 0;
    for (; row + TILE_ROWS <= p->rows; row += TILE_ROWS) {
        rows_of(p, &s, row, TILE_ROWS);
    }
    for (; row + 2 <= p->rows; row += 2) {
        rows_of(p, &s, row, 2);
    }
    if (row < p->rows) {
        rows_of(p, &s, row, 1);
    }
}

/* Of one vector of results and one b, with IN channels of each group at most. */
INLINE void sums_of(const fnn_grouped *p, const selection *s, ptrdiff_t b, ptrdiff_t channel, ptrdiff_t lanes,
                    const int IN) {
    v_real sum[FNN_GROUPED_MOST];
    const ptrdiff_t in_lanes = lanes / p->group_out * p->group_in;
    real *dw = p->dw + p->w_offset[b] + channel;
#pragma GCC unroll 8
    for (int k = 0; k < IN; k++) {
        sum[k] = k < p->group_in ? v_load_part(dw + k * p->w_stride, lanes) : v_zero();
    }
    const real *x = p->x + p->x_offset[b] + channel / p->group_out * p->group_in, *dy = p->dy + channel;
    for (ptrdiff_t r = 0; r < p->rows; r++) {
        v_real value = v_load_part(x + r * p->x_stride, in_lanes);
        v_real gradient = v_load_part(dy + r * p->y_stride, lanes);
#pragma GCC unroll 8
        for (int k = 0; k < IN; k++) {
            sum[k] = v_fma(v_permute(value, s->lanes[k]), gradient, sum[k]);
        }
    }
#pragma GCC unroll 8
    for (int k = 0; k < IN; k++) {
        if (k < p->group_in) {
            v_store_part(dw + k * p->w_stride, sum[k], lanes);
        }
    }
}

void KERNEL(grouped_backward_weight)(const fnn_grouped *p) {
    const selection s = selection_of(p);
    for (ptrdiff_t channel = 0; channel < p->channels; channel += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->channels - channel);
        for (ptrdiff_t b = 0; b < p->count; b++) {
            if (p->group_in <= 2) {
                sums_of(p, &s, b, channel, lanes, 2);
            } else if (p->group_in <= 4) {
                sums_of(p, &s, b, channel, lanes, 4);
            } else {
                sums_of(p, &s, b, channel, lanes, 8);
            }
        }
    }
}
