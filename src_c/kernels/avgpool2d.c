/* The weighted sum under average pooling and col2im; core/kernels.h states the problem. */
#include "kernels/kernel.h"

/* Sources that are added up in one pass over out: a window of 3 x 3. Each is a stream of memory that prefetchers follow, and out,
 * which stays in the L1 cache, is not loaded and stored for every source. */
enum { GROUP = 9 };

/* `lanes` elements of out, from `i` on. COUNT is a constant of callers that have many. */
INLINE void add_lanes(const fnn_avgpool *p, const real *const *x, const v_real *weight, const int COUNT, int is_first,
                      int is_last, ptrdiff_t i, ptrdiff_t lanes) {
    v_real sum = v_zero();
#pragma GCC unroll 9
    for (int b = 0; b < COUNT; b++) {
        sum = v_fma(weight[b], v_load_part(x[b] + i, lanes), sum);
    }
    if (!is_first) {
        sum = v_load_part(p->out + i, lanes) + sum;
    }
    if (is_last && p->divisor != 1) {
        sum = sum / v_set(p->divisor);
    }
    v_store_or_stream(p->streams && is_first && is_last, p->out + i, sum, lanes);
}

static __attribute__((noinline)) void add_tail(const fnn_avgpool *p, const real *const *x, const v_real *weight,
                                               int count, int is_first, int is_last, ptrdiff_t i) {
    add_lanes(p, x, weight, count, is_first, is_last, i, p->n - i);
}

INLINE void add_group(const fnn_avgpool *p, ptrdiff_t group, const int COUNT) {
    const real *x[GROUP];
    v_real weight[GROUP];
#pragma GCC unroll 9
    for (int b = 0; b < COUNT; b++) {
        x[b] = p->x + p->offset[group + b];
        weight[b] = v_set(p->weight[group + b]);
    }
    int is_first = group == 0 && !p->resume, is_last = group + COUNT == p->count;
    ptrdiff_t whole = v_whole(p->n);
    for (ptrdiff_t i = 0; i < whole; i += V_LANES) {
        add_lanes(p, x, weight, COUNT, is_first, is_last, i, V_LANES);
    }
    if (whole < p->n) {
        add_tail(p, x, weight, COUNT, is_first, is_last, whole);
    }
}

void KERNEL(avgpool)(const fnn_avgpool *p) {
    ptrdiff_t group = 0;
    do { /* also without a source, whose sum is 0 */
        ptrdiff_t count = p->count - group < GROUP ? p->count - group : GROUP;
        switch (count) {
#define GROUP_OF(COUNT)                                                                                                \
    case COUNT:                                                                                                        \
        add_group(p, group, COUNT);                                                                                    \
        break;
            GROUP_OF(9)
            GROUP_OF(8)
            GROUP_OF(7)
            GROUP_OF(6)
            GROUP_OF(5)
            GROUP_OF(4)
            GROUP_OF(3)
            GROUP_OF(2)
            GROUP_OF(1)
            GROUP_OF(0)
#undef GROUP_OF
        default:
            break;
        }
        group += count;
    } while (group < p->count);
}
