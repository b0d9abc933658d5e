/* The exponentials of a row relative to its largest element, so that none of them overflows: softmax and what is made of
 * it. A row with NaN or +infinity, or of nothing but -infinity, becomes NaN; otherwise exp(-infinity) is 0. */
#ifndef FNN_KERNELS_SOFTMAX_H
#define FNN_KERNELS_SOFTMAX_H

#include "kernels/kernel.h"
#include "kernels/vector_math.h"

/* A NaN may get lost here; it comes back with the exponentials. */
INLINE real row_maximum(ptrdiff_t columns, const real *x) {
    v_real lowest = v_set(-(real)INFINITY), highest = lowest;
    for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(columns - j);
        highest = v_max(highest, v_select(v_first_mask(lanes), v_load_part(x + j, lanes), lowest));
    }
    return v_max_lane(highest);
}

/* y = exp(x - maximum), unless y is NULL; returns the sum. */
INLINE real row_exponentials(ptrdiff_t columns, real maximum, const real *x, real *y) {
    v_real sum = v_zero();
    for (ptrdiff_t j = 0; j < columns; j += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(columns - j);
        v_real e = v_exp(v_load_part(x + j, lanes) - v_set(maximum));
        if (y != NULL) {
            v_store_part(y + j, e, lanes);
        }
        sum = sum + v_select(v_first_mask(lanes), e, v_zero());
    }
    return v_sum(sum);
}

#endif
