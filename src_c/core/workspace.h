/* Cutting a caller's workspace into aligned pieces, and computing its size with the same code: with base NULL the
 * cursor only counts.
 *
 * Sizes are never negative. One that does not fit becomes SIZE_MOST, and so does every sum and product that it goes into:
 * only the last one needs looking at, and nobody has so much memory. */
#ifndef FNN_CORE_WORKSPACE_H
#define FNN_CORE_WORKSPACE_H

#include <stddef.h>
#include <stdint.h>

#define SIZE_MOST PTRDIFF_MAX

static inline ptrdiff_t size_plus(ptrdiff_t a, ptrdiff_t b) {
    ptrdiff_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MOST : sum;
}

static inline ptrdiff_t size_product(ptrdiff_t count, const ptrdiff_t *factors) {
    ptrdiff_t product = 1;
    for (ptrdiff_t i = 0; i < count; i++) {
        if (factors[i] == 0) {
            return 0;
        }
        if (__builtin_mul_overflow(product, factors[i], &product)) {
            product = SIZE_MOST;
        }
    }
    return product;
}

/* The product of sizes: SIZE(rows, columns, planes). */
#define SIZE(...) size_product(sizeof((ptrdiff_t[]){__VA_ARGS__}) / sizeof(ptrdiff_t), (const ptrdiff_t[]){__VA_ARGS__})

typedef struct {
    char *base;
    ptrdiff_t used;
} workspace_cursor;

static inline void *workspace_take(workspace_cursor *cursor, ptrdiff_t count, size_t item_size) {
    char *piece = cursor->base == NULL ? NULL : cursor->base + cursor->used;
    ptrdiff_t bytes = size_plus(SIZE(count, (ptrdiff_t)item_size), 63);
    cursor->used = size_plus(cursor->used, bytes == SIZE_MOST ? bytes : bytes & ~(ptrdiff_t)63);
    return piece;
}

#endif
