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
    /* Tasks are handed out one by one. Who takes which depends on timing, but what a task computes does not. */
    atomic_ptrdiff_t next = 0;
#pragma omp parallel num_threads(n_threads)
    {
        unsigned mode = fnn_fp_mode_enter(flush_denormals);
        int thread = omp_get_thread_num();
        for (;;) {
            ptrdiff_t task = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
            if (task >= n_tasks) {
                break;
            }
            body(context, task, thread);
        }
        fnn_fp_mode_leave(mode);
    }
#else
    run_alone(n_tasks, body, context);
#endif
}
