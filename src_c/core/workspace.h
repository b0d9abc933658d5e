/* Cutting a caller's workspace into aligned pieces, and computing its size with the same code: with base NULL the
 * cursor only counts. */
#ifndef FNN_CORE_WORKSPACE_H
#define FNN_CORE_WORKSPACE_H

#include <stddef.h>

typedef struct {
    char *base;
    ptrdiff_t used;
} workspace_cursor;

static inline void *workspace_take(workspace_cursor *cursor, ptrdiff_t count, size_t item_size) {
    char *piece = cursor->base == NULL ? NULL : cursor->base + cursor->used;
    cursor->used += (ptrdiff_t)((count * (ptrdiff_t)item_size + 63) & ~(ptrdiff_t)63);
    return piece;
}

#endif
