/* Max pooling, element by element; core/kernels.h states the two problems. Taps are numbers in registers too:
 * a float holds every integer up to 2^24, and callers keep windows below that. */
#include "kernels/kernel.h"

/* Vectors that go through the sources together, so that each source is read in runs of some cache lines. */
enum { VECTORS = 4 };

INLINE v_real load_taps(const void *taps, ptrdiff_t i, ptrdiff_t lanes, int bytes) {
    return bytes == 1 ? v_load_u8((const uint8_t *)taps + i, lanes) : v_load_i32((const int32_t *)taps + i, lanes);
}

INLINE void store_taps(void *taps, ptrdiff_t i, v_real v, ptrdiff_t lanes, int bytes) {
    if (bytes == 1) {
        v_store_u8((uint8_t *)taps + i, v, lanes);
    } else {
        v_store_i32((int32_t *)taps + i, v, lanes);
    }
}

/* `vectors` and `tap_bytes` are constants of the caller. Only the last of the vectors may be partial. */
INLINE void forward_block(const fnn_maxpool *p, ptrdiff_t i, int vectors, ptrdiff_t lanes, int tap_bytes) {
    v_real best[VECTORS], tap[VECTORS];
    for (int v = 0; v < vectors; v++) {
        ptrdiff_t at = i + v * V_LANES;
        best[v] = v_load_part(p->resume ? p->out + at : p->x + p->offset[0] + at, lanes);
        if (tap_bytes) {
            tap[v] = p->resume ? load_taps(p->taps, at, lanes, tap_bytes) : v_set((real)p->tap[0]);
        }
    }
    for (ptrdiff_t b = p->resume ? 0 : 1; b < p->count; b++) {
        const real *x = p->x + p->offset[b] + i;
        v_real number = v_set((real)p->tap[b]);
        for (int v = 0; v < vectors; v++) {
            v_real value = v_load_part(x + v * V_LANES, lanes);
            /* A NaN is not <= anything, so it replaces the best; then nothing replaces it. */
            v_mask keep = v_or(v_le(value, best[v]), v_is_nan(best[v]));
            best[v] = v_select(keep, best[v], value);
            if (tap_bytes) {
                tap[v] = v_select(keep, tap[v], number);
            }
        }
    }
    for (int v = 0; v < vectors; v++) {
        v_store_or_stream(p->streams, p->out + i + v * V_LANES, best[v], lanes);
        if (tap_bytes) {
            store_taps(p->taps, i + v * V_LANES, tap[v], lanes, tap_bytes);
        }
    }
}

INLINE void forward(const fnn_maxpool *p, int tap_bytes) {
    ptrdiff_t i = 0;
    for (; i + VECTORS * V_LANES <= p->n; i += VECTORS * V_LANES) {
        forward_block(p, i, VECTORS, V_LANES, tap_bytes);
    }
    for (; i < p->n; i += V_LANES) {
        forward_block(p, i, 1, v_lanes_left(p->n - i), tap_bytes);
    }
}

void KERNEL(maxpool_forward)(const fnn_maxpool *p) {
    if (p->tap_bytes == 0) {
        forward(p, 0);
    } else if (p->tap_bytes == 1) {
        forward(p, 1);
    } else {
        forward(p, 4);
    }
}

INLINE void backward(const fnn_maxpool *p, int tap_bytes) {
    for (ptrdiff_t i = 0; i < p->n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->n - i);
        v_real sum = p->resume ? v_load_part(p->out + i, lanes) : v_zero();
        for (ptrdiff_t b = 0; b < p->count; b++) {
            ptrdiff_t source = p->offset[b] + i;
            /* GCC 12 with -fsanitize=thread cannot compile a comparison that is used after the branch of a load. */
            v_real gradient = v_load_part(p->x + source, lanes);
            v_mask won = v_eq(load_taps(p->taps, source, lanes, tap_bytes), v_set((real)p->tap[b]));
            sum = sum + v_select(won, gradient, v_zero());
        }
        v_store_or_stream(p->streams, p->out + i, sum, lanes);
    }
}

void KERNEL(maxpool_backward)(const fnn_maxpool *p) {
    if (p->tap_bytes == 1) {
        backward(p, 1);
    } else {
        backward(p, 4);
    }
}
