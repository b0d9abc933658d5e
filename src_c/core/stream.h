/* Writing an array past the caches. A store into a cache first reads the line that it changes: for what no cache can hold
 * until it is read again, that is one way through memory too many.
 */
#ifndef FNN_CORE_STREAM_H
#define FNN_CORE_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* From this size on, whoever reads a result next mostly gets it from memory anyway. */
enum { FNN_STREAM_BYTES = 16 << 20 };

/* Whether to write `bytes` of `out` past the caches, in rows of `row_bytes`. Vectors must lie in whole cache lines. */
static inline int fnn_worth_streaming(const void *out, ptrdiff_t bytes, ptrdiff_t row_bytes) {
    return bytes >= FNN_STREAM_BYTES && (uintptr_t)out % 64 == 0 && row_bytes % 64 == 0;
}

#endif
