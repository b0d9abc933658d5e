/* POSIX, and Windows: pages of memory, one lock, threads, the clock. */
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS and madvise */
#endif
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#endif

#include "core/system.h"

#include "fnn.h"

#ifdef _WIN32

size_t fnn_page_size(void) {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
}

/* Addresses alone: memory that is promised counts against what the system has, even if nobody touches it. */
char *fnn_map_pages(size_t size) { return VirtualAlloc(NULL, size, MEM_RESERVE, PAGE_READWRITE); }

void fnn_unmap_pages(char *pages, size_t size) {
    (void)size;
    VirtualFree(pages, 0, MEM_RELEASE);
}

int fnn_back_pages(char *pages, size_t size) { return VirtualAlloc(pages, size, MEM_COMMIT, PAGE_READWRITE) != NULL; }

int fnn_empty_pages(char *pages, size_t size) {
    VirtualFree(pages, size, MEM_DECOMMIT);
    return 0;
}

static SRWLOCK lock = SRWLOCK_INIT;

void fnn_lock(void) { AcquireSRWLockExclusive(&lock); }
void fnn_unlock(void) { ReleaseSRWLockExclusive(&lock); }
int fnn_guard_forks(void) { return 0; } /* there are none */

double fnn_seconds(void) {
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (double)ticks.QuadPart / (double)per_second.QuadPart;
}

#else

size_t fnn_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* Private, so that a forked process has its own. */
char *fnn_map_pages(size_t size) {
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    madvise(pages, size, MADV_HUGEPAGE);
#endif
    return pages;
}

void fnn_unmap_pages(char *pages, size_t size) { munmap(pages, size); }

int fnn_back_pages(char *pages, size_t size) {
    (void)pages, (void)size;
    return 1; /* the first touch does it */
}

/* Linux frees pages at once with MADV_DONTNEED. Elsewhere that says only that they are not needed soon, and MADV_FREE that
 * what is in them may go. */
int fnn_empty_pages(char *pages, size_t size) {
#if defined(__linux__)
    madvise(pages, size, MADV_DONTNEED);
#elif defined(MADV_FREE)
    madvise(pages, size, MADV_FREE);
#else
    (void)pages, (void)size;
#endif
    return 1;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fnn_lock(void) { pthread_mutex_lock(&lock); }
void fnn_unlock(void) { pthread_mutex_unlock(&lock); }
int fnn_guard_forks(void) { return pthread_atfork(fnn_lock, fnn_unlock, fnn_unlock); }

double fnn_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#endif

#ifndef _OPENMP
int fnn_threads_that_can_be_made(int n) { return n; } /* none will be */
#else

#ifdef _WIN32
typedef HANDLE thread;
typedef DWORD thread_result;
#define THREAD_CALL WINAPI

static int begin_thread(thread *made, thread_result(THREAD_CALL *body)(void *), void *context) {
    *made = CreateThread(NULL, 0, body, context, 0, NULL);
    return *made != NULL;
}

static void end_thread(thread made) {
    WaitForSingleObject(made, INFINITE);
    CloseHandle(made);
}

#else
typedef pthread_t thread;
typedef void *thread_result;
#define THREAD_CALL

/* With a stack somewhat larger than usual: the system keeps the stacks of some threads that have ended, and gives them only
 * to threads that need no more. Clang's OpenMP shifts the stack of each thread by some bytes more than the last one's. */
static int begin_thread(thread *made, thread_result (*body)(void *), void *context) {
    enum { SHIFT = 1 << 20 };
    pthread_attr_t attributes;
    size_t size;
    if (pthread_attr_init(&attributes) != 0) {
        return 0;
    }
    int failed = pthread_attr_getstacksize(&attributes, &size) ||
                 pthread_attr_setstacksize(&attributes, size + SHIFT) ||
                 pthread_create(made, &attributes, body, context);
    pthread_attr_destroy(&attributes);
    return !failed;
}

static void end_thread(thread made) { pthread_join(made, NULL); }

#endif

/* A chain: each thread makes the next one and waits for its end, so that all are there at once. */
static thread_result THREAD_CALL make_others(void *left) {
    thread next;
    if (--*(int *)left > 0 && begin_thread(&next, make_others, left)) {
        end_thread(next);
    }
    return 0;
}

int fnn_threads_that_can_be_made(int n) {
    int left = n + 1; /* this one is there */
    make_others(&left);
    return n - left;
}

#endif
