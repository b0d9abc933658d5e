/* Pointwise activations on dense arrays. Output may be the input; otherwise nothing overlaps. */
#include "kernels/kernel.h"

/* y = x if x > 0 else 0; NaN stays NaN. */
void KERNEL(relu_forward)(ptrdiff_t n, const real *x, real *y) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        /* max(0, x) with x as the second operand: x86 returns the second when one is NaN. */
        v_store_part(y + i, v_max(v_zero(), v_load_part(x + i, lanes)), lanes);
    }
}

/* dx = dy if y > 0 or y is NaN, else 0. */
void KERNEL(relu_backward)(ptrdiff_t n, const real *dy, const real *y, real *dx) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_mask dead = v_le(v_load_part(y + i, lanes), v_zero());
        v_store_part(dx + i, v_select(dead, v_zero(), v_load_part(dy + i, lanes)), lanes);
    }
}
