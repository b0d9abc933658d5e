/* What this CPU could do at best: the yardstick of the benchmarks. */
#include "kernels/kernel.h"

/* Independent chains of multiply-adds: more than latency (4 or 5 cycles) times units (2), and few enough that 16 vector
 * registers hold them together with the two operands. */
enum { CHAINS = 12 };

/* Runs CHAINS * iterations multiply-adds of vectors on registers alone. *flops is their number of multiplications and
 * additions, *sum a value that depends on all of them. */
void KERNEL(fma_peak)(ptrdiff_t iterations, real *sum, double *flops) {
    v_real factor = v_set((real)0.5), term = v_set((real)1), chains[CHAINS];
    for (int i = 0; i < CHAINS; i++) {
        chains[i] = v_set((real)(3 + i)); /* different, and not 2, which stays 2: or the compiler computes fewer */
    }
    for (ptrdiff_t iteration = 0; iteration < iterations; iteration++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            chains[i] = v_fma(chains[i], factor, term);
        }
    }
    v_real total = v_zero();
    for (int i = 0; i < CHAINS; i++) {
        total = total + chains[i];
    }
    *sum = v_sum(total);
    *flops = 2.0 * V_LANES * CHAINS * (double)iterations;
}
