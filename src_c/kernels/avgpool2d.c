/* The weighted sum under average pooling and col2im; core/kernels.h states the problem. */
#include "kernels/kernel.h"

/* Vectors that go through the sources together, so that each source is read in runs of some cache lines. The most that one
 * kernel is good for: with 16 (AVX-512) a pass over many sources is slower again, and so is one over a single source. */
enum { VECTORS = 8 };

/* `vectors` is a constant of the caller. Only the last of the vectors may be partial. */
INLINE void sum_block(const fnn_avgpool *p, ptrdiff_t i, int vectors, ptrdiff_t lanes) {
    v_real sum[VECTORS];
    for (int v = 0; v < vectors; v++) {
        sum[v] = v_zero();
    }
    for (ptrdiff_t b = 0; b < p->count; b++) {
        const real *x = p->x + p->offset[b] + i;
        v_real weight = v_set(p->weight[b]);
        for (int v = 0; v < vectors; v++) {
            sum[v] = v_fma(weight, v_load_part(x + v * V_LANES, lanes), sum[v]);
        }
    }
    for (int v = 0; v < vectors; v++) {
        real *out = p->out + i + v * V_LANES;
        if (p->resume) {
            sum[v] = v_load_part(out, lanes) + sum[v];
        }
        if (p->divisor != 1) {
            sum[v] = sum[v] / v_set(p->divisor);
        }
        v_store_part(out, sum[v], lanes);
    }
}

void KERNEL(avgpool)(const fnn_avgpool *p) {
    ptrdiff_t i = 0;
    for (; i + VECTORS * V_LANES <= p->n; i += VECTORS * V_LANES) {
        sum_block(p, i, VECTORS, V_LANES);
    }
    for (; i < p->n; i += V_LANES) {
        sum_block(p, i, 1, v_lanes_left(p->n - i));
    }
}
