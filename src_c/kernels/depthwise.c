/* Convolution of each channel with its own filter; core/kernels.h states the two problems, for groups of one.
 *
 * Each element of the result is one chain of multiply-adds. A tile holds so many of them in registers that the adders never
 * wait, and that the weights of a tap, or its sums, serve several rows.
 */
#include "kernels/kernel.h"

enum {
#if defined(FNN_ISA_AVX512) /* 32 registers, not 16 */
    TILE_ROWS = 8,
    SUM_VECTORS = 8
#else
    TILE_ROWS = 4,
    SUM_VECTORS = 4
#endif
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
            real *to = p->out + (row + i) * p->row_stride + channel + v * V_LANES;
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

/* The sums of VECTORS vectors of channels. */
INLINE void sums_of(const fnn_grouped *p, ptrdiff_t channel, ptrdiff_t lanes, const int VECTORS, const int FULL) {
    v_real sum[SUM_VECTORS];
    const int last = FULL ? VECTORS : VECTORS - 1;
    real *out = p->out + channel;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        sum[v] = v < last ? v_load(out + v * V_LANES) : v_load_part(out + v * V_LANES, lanes);
    }
    for (ptrdiff_t b = 0; b < p->count; b++) {
        const real *x = p->x + p->x_offset[b] + channel, *w = p->w + p->w_offset[b] + channel;
        for (ptrdiff_t r = 0; r < p->rows; r++) {
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) {
                const real *left = x + v * V_LANES, *right = w + v * V_LANES;
                sum[v] = v < last ? v_fma(v_load(left), v_load(right), sum[v])
                                  : v_fma(v_load_part(left, lanes), v_load_part(right, lanes), sum[v]);
            }
            x += p->x_stride;
            w += p->row_stride;
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        if (v < last) {
            v_store(out + v * V_LANES, sum[v]);
        } else {
            v_store_part(out + v * V_LANES, sum[v], lanes);
        }
    }
}

void KERNEL(depthwise_backward_weight)(const fnn_grouped *p) {
    ptrdiff_t channel = 0;
    for (; channel + SUM_VECTORS * V_LANES <= p->channels; channel += SUM_VECTORS * V_LANES) {
        sums_of(p, channel, V_LANES, SUM_VECTORS, 1);
    }
    for (; channel + 2 * V_LANES <= p->channels; channel += 2 * V_LANES) {
        sums_of(p, channel, V_LANES, 2, 1);
    }
    for (; channel < p->channels; channel += V_LANES) {
        sums_of(p, channel, v_lanes_left(p->channels - channel), 1, 0);
    }
}
