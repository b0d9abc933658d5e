/* Arithmetic of dense arrays, in the floating-point mode of the caller: what NumPy computes, to the bit. */
#include "core/cpu.h"
#include "ops/op.h"

typedef struct {
    fnn_arithmetic kind;
    ptrdiff_t n;
    const real *a, *b;
    int a_is_number, b_is_number;
    real *y;
    unsigned mode;
} arithmetic;

static void arithmetic_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const arithmetic *p = context;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, p->n);
    unsigned mode = fnn_fp_mode_enter(0);
    fnn_fp_mode_leave(p->mode);
    KERNELS->arithmetic(p->kind, r.end - r.begin, p->a + (p->a_is_number ? 0 : r.begin), p->a_is_number,
                        p->b + (p->b_is_number ? 0 : r.begin), p->b_is_number, p->y + r.begin);
    fnn_fp_mode_leave(mode);
}

fnn_status OP(arithmetic)(fnn_arithmetic kind, ptrdiff_t n, const real *a, int a_is_number, const real *b,
                          int b_is_number, real *y, int n_threads) {
    arithmetic p = {kind, n, a, b, a_is_number, b_is_number, y, fnn_fp_mode_enter(0)};
    fnn_parallel_for(fnn_ceil_div(n, FNN_POINTWISE_CHUNK), (double)n, n_threads, arithmetic_task, &p);
    return FNN_OK;
}
