/* Between NCHW and the pixel-major HWNC: both ways a transposition of a matrix. */
#include <string.h>

#include "ops/op.h"

enum { BLOCK = 32 };

typedef struct {
    ptrdiff_t rows, columns, width;
    const real *in;
    real *out;
} layout;

/* Task: BLOCK rows of the input. */
static void transpose_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const layout *l = context;
    fnn_range r = fnn_chunk(task, BLOCK, l->rows);
    if (l->width == 1) {
        KERNELS->transpose(r.end - r.begin, l->columns, l->in + r.begin * l->columns, l->columns, l->out + r.begin,
                           l->rows);
        return;
    }
    for (ptrdiff_t j = 0; j < l->columns; j++) {
        for (ptrdiff_t i = r.begin; i < r.end; i++) {
            memcpy(l->out + (j * l->rows + i) * l->width, l->in + (i * l->columns + j) * l->width,
                   (size_t)l->width * sizeof(real));
        }
    }
}

fnn_status OP(layout_transpose)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width, const real *in, real *out,
                                int n_threads) {
    layout l = {rows, columns, width, in, out};
    fnn_parallel_for(fnn_ceil_div(rows, BLOCK), (double)rows * columns * width, n_threads, transpose_task, &l);
    return FNN_OK;
}
