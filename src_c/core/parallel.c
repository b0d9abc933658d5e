#include "core/parallel.h"

#include <limits.h>
#include <stdatomic.h>

#include "core/cpu.h"
#include "core/system.h"
#include "fnn.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <pthread.h>
#endif

static atomic_int flush_denormals = 1;

void fnn_set_flush_denormals(int on) { atomic_store_explicit(&flush_denormals, on, memory_order_relaxed); }
int fnn_get_flush_denormals(void) { return atomic_load_explicit(&flush_denormals, memory_order_relaxed); }

int fnn_openmp_version(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

/* More threads share parts. */
enum { MAX_PARTS = 64 };

/* A run is this part of what is left. */
enum { RUNS = 4 };

static void run_alone(ptrdiff_t n_tasks, fnn_task body, void *context) {
    unsigned mode = fnn_fp_mode_enter(fnn_get_flush_denormals());
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

typedef struct {
    part parts[MAX_PARTS];
    int n_parts, busy, flush;
    fnn_task body;
    void *context;
} region;

/* What each thread of the team does. */
static void enter(region *r, int thread) {
    if (thread >= r->busy) {
        return;
    }
    unsigned mode = fnn_fp_mode_enter(r->flush);
    for (int i = 0; i < r->n_parts; i++) {
        work_off(r->parts + (thread + i) % r->n_parts, r->body, r->context, thread);
    }
    fnn_store_fence();
    fnn_fp_mode_leave(mode);
}

#ifdef __SANITIZE_THREAD__
/* The sanitizer of threads knows nothing of OpenMP's barriers, so for it a region has threads of its own: a chain, in which
 * each makes the next. */
typedef struct {
    region *region;
    int thread, n;
} member;

static void *enter_and_make_next(void *context) {
    member *own = context, next = {own->region, own->thread + 1, own->n};
    pthread_t other;
    int made = next.thread < own->n && pthread_create(&other, NULL, enter_and_make_next, &next) == 0;
    enter(own->region, own->thread);
    if (made) {
        pthread_join(other, NULL);
    }
    return NULL;
}

static void run_team(region *r, int n_threads) { enter_and_make_next(&(member){r, 0, n_threads}); }
#else
/* All regions that a thread enters have teams of one size: when it changes, the runtime ends threads and makes others, which
 * takes longer than many an operation. `most` is the largest so far. */
static _Thread_local int most = 1;
static _Thread_local int possible = INT_MAX;

/* The size of a team, n_threads where so many can be made: where one cannot, the runtime ends the process. */
static int team_size(int n_threads) {
    if (n_threads > most && most < possible) {
        int made = fnn_threads_that_can_be_made(n_threads - most);
        possible = most + made < n_threads ? most + made : possible;
        most += made;
    }
    return n_threads < most ? n_threads : most;
}

static void run_team(region *r, int n_threads) {
#pragma omp parallel num_threads(team_size(n_threads))
    enter(r, omp_get_thread_num());
}
#endif
#endif

static _Thread_local fnn_task_record *record;

void fnn_record_tasks(fnn_task_record *of_this_thread) { record = of_this_thread; }

static void note(double number) {
    if (record->used < record->size) {
        record->numbers[record->used] = number;
    }
    record->used++;
}

static void run_recorded(ptrdiff_t n_tasks, double cost, fnn_task body, void *context) {
    unsigned mode = fnn_fp_mode_enter(fnn_get_flush_denormals());
    note((double)n_tasks);
    note(cost);
    for (ptrdiff_t task = 0; task < n_tasks; task++) {
        double begin = fnn_seconds();
        body(context, task, 0);
        note(fnn_seconds() - begin);
    }
    fnn_store_fence();
    fnn_fp_mode_leave(mode);
}

void fnn_parallel_for(ptrdiff_t n_tasks, double cost, int n_threads, fnn_task body, void *context) {
    if (record != NULL) {
        run_recorded(n_tasks, cost, body, context);
        return;
    }
    double worth = cost / FNN_MIN_COST_PER_THREAD;
    int busy = worth < n_threads ? (int)worth : n_threads;
    busy = (int)fnn_min(busy, n_tasks);
    if (busy <= 1) {
        run_alone(n_tasks, body, context);
        return;
    }
#ifdef _OPENMP
    region r = {.busy = busy, .flush = fnn_get_flush_denormals(), .body = body, .context = context};
    r.n_parts = (int)fnn_min(busy, MAX_PARTS);
    for (int i = 0; i < r.n_parts; i++) {
        atomic_init(&r.parts[i].next, n_tasks * i / r.n_parts);
        r.parts[i].end = n_tasks * (i + 1) / r.n_parts;
    }
    run_team(&r, n_threads);
#else
    run_alone(n_tasks, body, context);
#endif
}

fnn_schedule fnn_schedule_rule(void) { return (fnn_schedule){FNN_MIN_COST_PER_THREAD, MAX_PARTS, RUNS}; }

static void nothing(void *context, ptrdiff_t task, int thread) { (void)context, (void)task, (void)thread; }

void fnn_empty_regions(ptrdiff_t count, int n_threads) {
    for (ptrdiff_t i = 0; i < count; i++) {
        fnn_parallel_for(n_threads, n_threads * FNN_MIN_COST_PER_THREAD, n_threads, nothing, NULL);
    }
}
