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
    fnn_fp_mode_leave(mode);
}

/* How many runs of tasks each thread would get if all were as long as the first. */
#define RUNS_PER_THREAD 4

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
    /* Tasks are handed out in runs of neighbours, which often read the same memory: long ones first, single ones at
     * the end. Who takes which depends on timing, but what a task computes does not. */
    atomic_ptrdiff_t next = 0;
#pragma omp parallel num_threads(n_threads)
    {
        unsigned mode = fnn_fp_mode_enter(flush_denormals);
        int thread = omp_get_thread_num();
        ptrdiff_t begin = 0;
        while (begin < n_tasks) {
            ptrdiff_t end = begin + fnn_max(1, (n_tasks - begin) / (RUNS_PER_THREAD * n_threads));
            if (atomic_compare_exchange_weak_explicit(&next, &begin, end, memory_order_relaxed, memory_order_relaxed)) {
                for (ptrdiff_t task = begin; task < end; task++) {
                    body(context, task, thread);
                }
                begin = end;
            }
        }
        fnn_fp_mode_leave(mode);
    }
#else
    run_alone(n_tasks, body, context);
#endif
}
