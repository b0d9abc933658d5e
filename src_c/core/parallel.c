#include "core/parallel.h"

#include <stdatomic.h>

#include "core/cpu.h"
#include "fnn.h"

#ifdef _OPENMP
#include <omp.h>
#endif

static int flush_denormals = 1;

void fnn_set_flush_denormals(int on) { flush_denormals = on; }
int fnn_get_flush_denormals(void) { return flush_denormals; }

int fnn_openmp_version(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

static void run_alone(ptrdiff_t n_tasks, fnn_task body, void *context) {
    unsigned mode = fnn_fp_mode_enter(flush_denormals);
    for (ptrdiff_t task = 0; task < n_tasks; task++) {
        body(context, task, 0);
    }
    fnn_store_fence();
    fnn_fp_mode_leave(mode);
}

#ifdef _OPENMP
/* Each thread begins with tasks of its own, the same part of them in every call, since one operation often reads what the
 * one before has written, and that is faster from a cache of the same core. Who is done takes from the others.
 * Tasks are taken in runs of neighbours, which often read the same memory: long ones first, single ones at the end.
 * Who takes which depends on timing, but what a task computes does not. */
typedef struct {
    _Alignas(64) atomic_ptrdiff_t next; /* no two in a cache line */
    ptrdiff_t end;
} part;

/* More threads share parts. */
enum { MAX_PARTS = 64 };

/* A run is this part of what is left. */
enum { RUNS = 4 };

static void work_off(part *p, fnn_task body, void *context, int thread) {
    ptrdiff_t begin = atomic_load_explicit(&p->next, memory_order_relaxed);
    while (begin < p->end) {
        ptrdiff_t end = begin + fnn_max(1, (p->end - begin) / RUNS);
        if (atomic_compare_exchange_weak_explicit(&p->next, &begin, end, memory_order_relaxed, memory_order_relaxed)) {
            for (ptrdiff_t task = begin; task < end; task++) {
                body(context, task, thread);
            }
            begin = end;
        }
    }
}
#endif

void fnn_parallel_for(ptrdiff_t n_tasks, double cost, int n_threads, fnn_task body, void *context) {
    double worth = cost / FNN_MIN_COST_PER_THREAD;
    if (worth < n_threads) {
        n_threads = (int)worth;
    }
    if (n_tasks < n_threads) {
        n_threads = (int)n_tasks;
    }
    if (n_threads <= 1) {
        run_alone(n_tasks, body, context);
        return;
    }
#ifdef _OPENMP
    part parts[MAX_PARTS];
    int n_parts = (int)fnn_min(n_threads, MAX_PARTS);
    for (int i = 0; i < n_parts; i++) {
        atomic_init(&parts[i].next, n_tasks * i / n_parts);
        parts[i].end = n_tasks * (i + 1) / n_parts;
    }
#pragma omp parallel num_threads(n_threads)
    {
        unsigned mode = fnn_fp_mode_enter(flush_denormals);
        int thread = omp_get_thread_num();
        for (int i = 0; i < n_parts; i++) {
            work_off(parts + (thread + i) % n_parts, body, context, thread);
        }
        fnn_store_fence();
        fnn_fp_mode_leave(mode);
    }
#else
    run_alone(n_tasks, body, context);
#endif
}
