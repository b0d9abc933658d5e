/* Arithmetic of dense arrays, in the floating-point mode of the caller: what NumPy computes, to the bit. */
#include "core/cpu.h"
#include "ops/op.h"

typedef struct {
    fnn_arithmetic kind;
    ptrdiff_t n, middle, inner;
    const real *a, *b;
    int a_is_small, b_is_small;
    real *y;
    unsigned mode;
} arithmetic;

/* Task: some elements, in pieces that meet the same number of the small side, or as many of its numbers. */
static void arithmetic_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const arithmetic *p = context;
    const FNN_TYPED(fnn_kernels) *kernels = KERNELS;
    fnn_range r = fnn_chunk(task, FNN_POINTWISE_CHUNK, p->n);
    int repeats = p->inner > 1;
    ptrdiff_t length = repeats ? p->inner : p->middle, small = p->a_is_small || p->b_is_small;
    unsigned mode = fnn_fp_mode_enter(0);
    fnn_fp_mode_leave(p->mode);
    for (ptrdiff_t i = r.begin; i < r.end;) {
        ptrdiff_t within = small ? i % length : 0, n = small ? fnn_min(length - within, r.end - i) : r.end - i;
        ptrdiff_t place = repeats ? i / length % p->middle : within;
        kernels->arithmetic(p->kind, n, p->a + (p->a_is_small ? place : i), p->a_is_small && repeats,
                            p->b + (p->b_is_small ? place : i), p->b_is_small && repeats, p->y + i);
        i += n;
    }
    fnn_fp_mode_leave(mode);
}

fnn_status OP(arithmetic)(fnn_arithmetic kind, ptrdiff_t n, ptrdiff_t middle, ptrdiff_t inner, const real *a,
                          int a_is_small, const real *b, int b_is_small, real *y, int n_threads) {
    arithmetic p = {kind, n, middle, inner, a, b, a_is_small, b_is_small, y, fnn_fp_mode_enter(0)};
    fnn_parallel_for(fnn_ceil_div(n, FNN_POINTWISE_CHUNK), (double)n, n_threads, arithmetic_task, &p);
    return FNN_OK;
}
