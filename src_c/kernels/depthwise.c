/* Convolution of each channel with its own filter; core/kernels.h states the two problems, for groups of one.
 *
 * Each element of the result is one chain of multiply-adds. A tile holds so many of them in registers that the adders never
 * wait, and that the weights of a tap, or its sums, serve several rows.
 */
#include "kernels/kernel.h"

enum {
#if V_REGISTERS >= 32
    TILE_ROWS = 8,
    SUM_VECTORS = 4,
#else
    TILE_ROWS = 4,
    SUM_VECTORS = 3,
#endif
    SUM_TAPS = 3
};

/* ROWS rows of VECTORS vectors of channels; `lanes` are the used ones of the last. */
INLINE void tile(const fnn_grouped *p, ptrdiff_t row, ptrdiff_t channel, ptrdiff_t lanes, const int ROWS,
                 const int VECTORS, const int FULL) {
    v_real sum[TILE_ROWS][2];
    const int last = FULL ? VECTORS : VECTORS - 1; /* vectors that are full */
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) {
            if (p->start == NULL) {
                sum[i][v] = v_zero();
            } else {
                const real *from = p->start + (row + i) * p->start_stride + channel + v * V_LANES;
                sum[i][v] = v < last ? v_load(from) : v_load_part(from, lanes);
            }
        }
    }
    const real *x_first = p->x + row * p->x_stride + channel, *w_first = p->w + channel;
    for (ptrdiff_t b = 0; b < p->count; b++) {
        const real *x = x_first + p->x_offset[b], *w = w_first + p->w_offset[b];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) {
            v_real weight = v < last ? v_load(w + v * V_LANES) : v_load_part(w + v * V_LANES, lanes);
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; i++) {
                const real *from = x + i * p->x_stride + v * V_LANES;
                sum[i][v] = v_fma(v < last ? v_load(from) : v_load_part(from, lanes), weight, sum[i][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) {
            real *to = p->y + (row + i) * p->y_stride + channel + v * V_LANES;
            if (v < last) {
                v_store(to, sum[i][v]);
            } else {
                v_store_part(to, sum[i][v], lanes);
            }
        }
    }
}

/* All channels of ROWS rows. */
INLINE void rows_of(const fnn_grouped *p, ptrdiff_t row, const int ROWS) {
    ptrdiff_t channel = 0;
    for (; channel + 2 * V_LANES <= p->channels; channel += 2 * V_LANES) {
        tile(p, row, channel, V_LANES, ROWS, 2, 1);
    }
    if (channel + V_LANES <= p->channels) {
        tile(p, row, channel, V_LANES, ROWS, 1, 1);
        channel += V_LANES;
    }
    if (channel < p->channels) {
        tile(p, row, channel, p->channels - channel, ROWS, 1, 0);
    }
}

void KERNEL(depthwise)(const fnn_grouped *p) {
    ptrdiff_t row = 0;
    for (; row + TILE_ROWS <= p->rows; row += TILE_ROWS) {
        rows_of(p, row, TILE_ROWS);
    }
    for (; row + 2 <= p->rows; row += 2) {
        rows_of(p, row, 2);
    }
    if (row < p->rows) {
        rows_of(p, row, 1);
    }
}

/* The sums of TAPS of the b and VECTORS vectors of channels: each row of dy serves all taps. */
INLINE void sums_of(const fnn_grouped *p, ptrdiff_t b, ptrdiff_t channel, ptrdiff_t lanes, const int TAPS,
                    const int VECTORS) {
    v_real sum[SUM_TAPS][SUM_VECTORS];
    const real *x[SUM_TAPS], *dy = p->dy + channel;
    const int FULL = VECTORS > 1;
#pragma GCC unroll 3
    for (int t = 0; t < TAPS; t++) {
        x[t] = p->x + p->x_offset[b + t] + channel;
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            const real *from = p->dw + p->w_offset[b + t] + channel + v * V_LANES;
            sum[t][v] = FULL ? v_load(from) : v_load_part(from, lanes);
        }
    }
    for (ptrdiff_t r = 0; r < p->rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            v_real gradient = FULL ? v_load(dy + v * V_LANES) : v_load_part(dy, lanes);
#pragma GCC unroll 3
            for (int t = 0; t < TAPS; t++) {
                v_real value = FULL ? v_load(x[t] + v * V_LANES) : v_load_part(x[t], lanes);
                sum[t][v] = v_fma(value, gradient, sum[t][v]);
            }
        }
        dy += p->y_stride;
#pragma GCC unroll 3
        for (int t = 0; t < TAPS; t++) {
            x[t] += p->x_stride;
        }
    }
#pragma GCC unroll 3
    for (int t = 0; t < TAPS; t++) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            real *to = p->dw + p->w_offset[b + t] + channel + v * V_LANES;
            if (FULL) {
                v_store(to, sum[t][v]);
            } else {
                v_store_part(to, sum[t][v], lanes);
            }
        }
    }
}

/* All taps of VECTORS vectors of channels. */
INLINE void taps_of(const fnn_grouped *p, ptrdiff_t channel, ptrdiff_t lanes, const int VECTORS) {
    ptrdiff_t b = 0;
    for (; b + SUM_TAPS <= p->count; b += SUM_TAPS) {
        sums_of(p, b, channel, lanes, SUM_TAPS, VECTORS);
    }
    for (; b < p->count; b++) {
        sums_of(p, b, channel, lanes, 1, VECTORS);
    }
}

void KERNEL(depthwise_backward_weight)(const fnn_grouped *p) {
    ptrdiff_t channel = 0;
    for (; channel + SUM_VECTORS * V_LANES <= p->channels; channel += SUM_VECTORS * V_LANES) {
        taps_of(p, channel, V_LANES, SUM_VECTORS);
    }
    for (; channel + 2 * V_LANES <= p->channels; channel += 2 * V_LANES) {
        taps_of(p, channel, V_LANES, 2);
    }
    for (; channel < p->channels; channel += V_LANES) {
        taps_of(p, channel, v_lanes_left(p->channels - channel), 1);
    }
}
