/* Convolution of each channel with its own filter; core/kernels.h states the two problems. */
#include "kernels/kernel.h"

void KERNEL(depthwise)(const fnn_depthwise *p) {
    for (ptrdiff_t r = 0; r < p->rows; r++) {
        const real *x = p->x + r * p->channels;
        real *out = p->out + r * p->channels;
        for (ptrdiff_t c = 0; c < p->channels; c += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(p->channels - c);
            v_real sum = p->start == NULL ? v_zero() : v_load_part(p->start + r * p->start_stride + c, lanes);
            for (ptrdiff_t b = 0; b < p->count; b++) {
                v_real value = v_load_part(x + p->x_offset[b] + c, lanes);
                sum = v_fma(value, v_load_part(p->w + p->w_offset[b] + c, lanes), sum);
            }
            v_store_part(out + c, sum, lanes);
        }
    }
}

void KERNEL(depthwise_backward_weight)(const fnn_depthwise *p) {
    for (ptrdiff_t c = 0; c < p->channels; c += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->channels - c);
        v_real sum = v_load_part(p->out + c, lanes);
        for (ptrdiff_t b = 0; b < p->count; b++) {
            const real *x = p->x + p->x_offset[b] + c, *w = p->w + p->w_offset[b] + c;
            for (ptrdiff_t r = 0; r < p->rows; r++) {
                sum = v_fma(v_load_part(x + r * p->channels, lanes), v_load_part(w + r * p->channels, lanes), sum);
            }
        }
        v_store_part(p->out + c, sum, lanes);
    }
}
