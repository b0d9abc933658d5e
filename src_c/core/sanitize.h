/* Sanitizers do not see what masked moves and stores past the caches read and write: those tell it here. Without a sanitizer
 * this is nothing. */
#ifndef FNN_CORE_SANITIZE_H
#define FNN_CORE_SANITIZE_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
void __asan_loadN(void *p, long bytes);
void __asan_storeN(void *p, long bytes);
#define FNN_READS(p, count) __asan_loadN((void *)(p), (long)((size_t)(count) * sizeof *(p)))
#define FNN_WRITES(p, count) __asan_storeN(p, (long)((size_t)(count) * sizeof *(p)))
#elif defined(__SANITIZE_THREAD__)
void __tsan_read_range(void *p, long bytes);
void __tsan_write_range(void *p, long bytes);
#define FNN_READS(p, count) __tsan_read_range((void *)(p), (long)((size_t)(count) * sizeof *(p)))
#define FNN_WRITES(p, count) __tsan_write_range(p, (long)((size_t)(count) * sizeof *(p)))
#else
#define FNN_READS(p, count) ((void)0)
#define FNN_WRITES(p, count) ((void)0)
#endif

#endif
