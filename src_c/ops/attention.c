/* Attention, y = softmax(scale * q @ k^T) @ v, for many pairs of small matrices.
 *
 * A task takes some rows of q: their scores with all keys stay in cache from the first product to the last, and are never
 * stored. Going backward they are computed again, and a task takes one matrix, since all rows add to the gradients of k
 * and v, in ascending order. The roundings are those of the products and of softmax one by one.
 *
 * Source: Dao et al., 2022, "FlashAttention: fast and memory-efficient exact attention with IO-awareness".
 */
#include <math.h>
#include <string.h>

#include "core/workspace.h"
#include "ops/op.h"

enum {
    MOST_ROWS = 128, /* of q at a time; blocks are as long as each other, since each adds to all of dk and dv */
    TILE_ROWS = 24,  /* fewer would read the keys too often */
    SCORE_BYTES = FNN_L2_BYTES / 2, /* of these rows, if they can be so few: they stay in L2 */
    LINE = 64 / sizeof(real)
};

typedef struct {
    const fnn_attention_shape *shape;
    const FNN_TYPED(fnn_kernels) * kernels;
    ptrdiff_t rows, blocks;            /* of q: rows of a block */
    ptrdiff_t q_size, score_size;      /* of a block */
    real *keys, *values;               /* [matrix][feature][key]: k^T and, backward, v^T */
    real *q_rows, *scores, *gradients; /* [thread]: of one block; gradients of scores */
    const real *q, *k, *v, *dy;
    real *y, *dq, *dk, *dv;
} attention;

static ptrdiff_t prepare(attention *a, const fnn_attention_shape *s, int backward, int n_threads, void *base) {
    ptrdiff_t matrices = SIZE(s->n, s->heads), fit = SCORE_BYTES / ((ptrdiff_t)sizeof(real) * s->keys);
    a->shape = s;
    a->kernels = KERNELS;
    a->blocks = fnn_ceil_div(s->queries, fnn_max(TILE_ROWS, fnn_min(MOST_ROWS, fit)));
    a->rows = fnn_ceil_div(s->queries, a->blocks);
    a->q_size = size_plus(SIZE(a->rows, s->features), LINE);
    a->score_size = size_plus(SIZE(a->rows, s->keys), LINE);
    workspace_cursor workspace = {base, 0};
    a->keys = workspace_take(&workspace, SIZE(matrices, s->features, s->keys), sizeof(real));
    a->values = workspace_take(&workspace, backward ? SIZE(matrices, s->values, s->keys) : 0, sizeof(real));
    a->q_rows = workspace_take(&workspace, SIZE(n_threads, a->q_size), sizeof(real));
    a->scores = workspace_take(&workspace, SIZE(n_threads, a->score_size), sizeof(real));
    a->gradients = workspace_take(&workspace, backward ? SIZE(n_threads, a->score_size) : 0, sizeof(real));
    return workspace.used;
}

ptrdiff_t OP(attention_workspace)(const fnn_attention_shape *shape, int backward, int n_threads) {
    attention a;
    return prepare(&a, shape, backward, n_threads, NULL);
}

/* Where a row of a matrix begins in an array. */
static ptrdiff_t place(const attention *a, const fnn_attention_strides *strides, ptrdiff_t matrix, ptrdiff_t row) {
    ptrdiff_t heads = a->shape->heads;
    return matrix / heads * strides->n + matrix % heads * strides->head + row * strides->row;
}

/* Task: k^T of one matrix; after all of them, v^T. */
static void turn_task(void *context, ptrdiff_t task, int thread) {
    (void)thread;
    const attention *a = context;
    const fnn_attention_shape *s = a->shape;
    ptrdiff_t matrices = s->n * s->heads, matrix = task % matrices;
    if (task < matrices) {
        const real *k = a->k + place(a, &s->k, matrix, 0);
        a->kernels->transpose(s->keys, s->features, k, s->k.row, a->keys + matrix * s->features * s->keys, s->keys);
    } else {
        const real *v = a->v + place(a, &s->v, matrix, 0);
        a->kernels->transpose(s->keys, s->values, v, s->v.row, a->values + matrix * s->values * s->keys, s->keys);
    }
}

typedef struct {
    const real *data;
    ptrdiff_t stride;
} matrix_of;

/* c = a @ b, or c += a^T @ b. */
static void multiply(const attention *p, int transposed, ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                     matrix_of a, matrix_of b, real *c, ptrdiff_t c_stride) {
    const ptrdiff_t no_offset = 0;
    fnn_batch_gemm gemm = {
        .rows = rows,
        .depth = depth,
        .count = 1,
        .a = a.data,
        .a_offset = &no_offset,
        .a_stride = a.stride,
        .b_offset = &no_offset,
        .b_stride = b.stride,
        .start_stride = c_stride,
        .c_stride = c_stride,
    };
    for (ptrdiff_t column = 0; column < columns; column += p->kernels->panel_columns) {
        gemm.columns = fnn_min(p->kernels->panel_columns, columns - column);
        gemm.b = b.data + column;
        gemm.c = c + column;
        if (transposed) {
            gemm.start = gemm.c;
            p->kernels->batch_gemm_transposed(&gemm);
        } else {
            p->kernels->batch_gemm(&gemm);
        }
    }
}

/* Keys that rows of q before `end` may look at. */
static ptrdiff_t keys_seen(const fnn_attention_shape *s, ptrdiff_t end) {
    return s->causal ? fnn_min(s->keys, end) : s->keys;
}

/* q * scale for some rows, and their weights: softmax(scale * q @ k^T), dense rows of all keys that the last one sees. */
static void weigh(const attention *a, ptrdiff_t matrix, fnn_range rows, real *q_rows, real *weights) {
    const fnn_attention_shape *s = a->shape;
    ptrdiff_t seen = keys_seen(s, rows.end), count = rows.end - rows.begin;
    const real scale = (real)s->scale;
    for (ptrdiff_t i = 0; i < count; i++) {
        const real *q = a->q + place(a, &s->q, matrix, rows.begin + i);
        a->kernels->arithmetic(FNN_MULTIPLY, s->features, q, 0, &scale, 1, q_rows + i * s->features);
    }
    matrix_of q = {q_rows, s->features}, keys = {a->keys + matrix * s->features * s->keys, s->keys};
    multiply(a, 0, count, s->features, seen, q, keys, weights, seen);
    for (ptrdiff_t i = 0; s->causal && i < count; i++) {
        for (ptrdiff_t j = rows.begin + i + 1; j < seen; j++) {
            weights[i * seen + j] = -(real)INFINITY;
        }
    }
    a->kernels->softmax_forward(count, seen, weights, weights);
}

/* Task: one block of rows of one matrix. */
static void forward_task(void *context, ptrdiff_t task, int thread) {
    const attention *a = context;
    const fnn_attention_shape *s = a->shape;
    ptrdiff_t matrix = task / a->blocks, seen;
    fnn_range rows = fnn_chunk(task % a->blocks, a->rows, s->queries);
    real *weights = a->scores + thread * a->score_size;
    weigh(a, matrix, rows, a->q_rows + thread * a->q_size, weights);
    seen = keys_seen(s, rows.end);
    matrix_of v = {a->v + place(a, &s->v, matrix, 0), s->v.row};
    real *y = a->y + place(a, &s->y, matrix, rows.begin);
    multiply(a, 0, rows.end - rows.begin, seen, s->values, (matrix_of){weights, seen}, v, y, s->y.row);
}

static void clear(real *rows, ptrdiff_t count, ptrdiff_t length, ptrdiff_t stride) {
    for (ptrdiff_t i = 0; i < count; i++) {
        memset(rows + i * stride, 0, (size_t)length * sizeof(real));
    }
}

/* Task: one matrix. With w the weights of a row, g = dy @ v^T and h = w * (g - sum of g * w) of its scores:
 * dq = scale * h @ k, dk = h^T @ (scale * q), dv = w^T @ dy. */
static void backward_task(void *context, ptrdiff_t matrix, int thread) {
    const attention *a = context;
    const fnn_attention_shape *s = a->shape;
    real *q_rows = a->q_rows + thread * a->q_size;
    real *w = a->scores + thread * a->score_size, *h = a->gradients + thread * a->score_size;
    real *dk = a->dk + place(a, &s->dk, matrix, 0), *dv = a->dv + place(a, &s->dv, matrix, 0);
    const real scale = (real)s->scale;
    matrix_of k = {a->k + place(a, &s->k, matrix, 0), s->k.row};
    matrix_of values = {a->values + matrix * s->values * s->keys, s->keys};
    clear(dk, s->keys, s->features, s->dk.row);
    clear(dv, s->keys, s->values, s->dv.row);
    for (ptrdiff_t block = 0; block < a->blocks; block++) {
        fnn_range rows = fnn_chunk(block, a->rows, s->queries);
        ptrdiff_t count = rows.end - rows.begin, seen = keys_seen(s, rows.end);
        matrix_of dy = {a->dy + place(a, &s->dy, matrix, rows.begin), s->dy.row};
        real *dq = a->dq + place(a, &s->dq, matrix, rows.begin);
        weigh(a, matrix, rows, q_rows, w);
        multiply(a, 1, seen, count, s->values, (matrix_of){w, seen}, dy, dv, s->dv.row);
        multiply(a, 0, count, s->values, seen, dy, values, h, seen);
        a->kernels->softmax_backward(count, seen, h, w, h);
        multiply(a, 1, seen, count, s->features, (matrix_of){h, seen}, (matrix_of){q_rows, s->features}, dk, s->dk.row);
        multiply(a, 0, count, seen, s->features, (matrix_of){h, seen}, k, dq, s->dq.row);
        for (ptrdiff_t i = 0; i < count; i++) {
            real *row = dq + i * s->dq.row;
            a->kernels->arithmetic(FNN_MULTIPLY, s->features, row, 0, &scale, 1, row);
        }
    }
}

/* A vector of multiply-adds is one operation; so many products of all queries with all keys. */
static double cost(const fnn_attention_shape *s, int products) {
    double scores = (double)s->n * (double)s->heads * (double)s->queries * (double)s->keys;
    return scores * (double)(s->features + s->values) / 2 * products / 8;
}

static void turn(attention *a, int backward, int n_threads) {
    const fnn_attention_shape *s = a->shape;
    ptrdiff_t tasks = s->n * s->heads * (backward ? 2 : 1);
    fnn_parallel_for(tasks, (double)tasks * (double)s->keys * (double)s->features, n_threads, turn_task, a);
}

void OP(attention_forward)(const fnn_attention_shape *shape, const fnn_attention_operands *operands, void *workspace,
                           int n_threads) {
    attention a = {.q = operands->q, .k = operands->k, .v = operands->v, .y = operands->y};
    prepare(&a, shape, 0, n_threads, workspace);
    turn(&a, 0, n_threads);
    fnn_parallel_for(shape->n * shape->heads * a.blocks, cost(shape, 2), n_threads, forward_task, &a);
}

void OP(attention_backward)(const fnn_attention_shape *shape, const fnn_attention_operands *operands, void *workspace,
                            int n_threads) {
    attention a = {.q = operands->q, .k = operands->k, .v = operands->v, .dy = operands->dy};
    a.dq = operands->dq, a.dk = operands->dk, a.dv = operands->dv;
    prepare(&a, shape, 1, n_threads, workspace);
    turn(&a, 1, n_threads);
    fnn_parallel_for(shape->n * shape->heads, cost(shape, 5), n_threads, backward_task, &a);
}
