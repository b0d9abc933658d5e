/* The peak of the machine: the same register-only loop on every thread. */
#include "ops/op.h"

typedef struct {
    ptrdiff_t iterations;
    real *sums;
    double *flops;
} peak;

static void fma_peak_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const peak *p = context;
    KERNELS->fma_peak(p->iterations, p->sums + task, p->flops + task);
}

fnn_status OP(fma_peak)(ptrdiff_t iterations, ptrdiff_t n_tasks, real *sums, double *flops, int n_threads) {
    peak p = {iterations, sums, flops};
    fnn_parallel_for(n_tasks, (double)n_tasks * iterations, n_threads, fma_peak_task, &p);
    return FNN_OK;
}
