/* Sums of dense arrays. */
#include "kernels/kernel.h"

/* y = a + b; y may be a or b. */
void KERNEL(add)(ptrdiff_t n, const real *a, const real *b, real *y) {
    for (ptrdiff_t i = 0; i < n; i += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(n - i);
        v_store_part(y + i, v_load_part(a + i, lanes) + v_load_part(b + i, lanes), lanes);
    }
}
