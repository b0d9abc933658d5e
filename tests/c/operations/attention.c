/* Attention, with heads and rows at any distance. */
#include "typed.h"

/* An array of [n][rows][heads][features], as a layer's projection gives it, with a gap behind each row. */
static ptrdiff_t laid_out(const fnn_attention_shape *s, ptrdiff_t rows, ptrdiff_t features,
                          fnn_attention_strides *strides) {
    strides->head = features + between(0, 3);
    strides->row = strides->head * s->heads + between(0, 2);
    strides->n = strides->row * rows;
    return strides->n * s->n;
}

static ptrdiff_t place(const fnn_attention_strides *strides, ptrdiff_t matrix, ptrdiff_t heads, ptrdiff_t row) {
    return matrix / heads * strides->n + matrix % heads * strides->head + row * strides->row;
}

/* A score is a product of `features` terms below `bound`, and times scale; its error is relative in its exponential. A
 * probability has that error, those of exp, and of a sum over the keys; a result, that of a product over the keys; a gradient
 * of q or k one more product over keys or queries. Each adds its roundings to the bound. */
static double operations_of(const fnn_attention_shape *s) {
    return 8 * (double)s->features + 4 * (double)(s->keys + s->queries) + 4 * (double)s->values + 60;
}

static void compare_rows(const char *what, const real *got, const fnn_attention_strides *strides, ptrdiff_t heads,
                         ptrdiff_t matrix, ptrdiff_t rows, ptrdiff_t features, const double *wanted, const double *size,
                         double operations) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        compare(what, features, got + place(strides, matrix, heads, i), wanted + i * features, size + i * features,
                operations);
    }
}

static void one_attention(ptrdiff_t n, ptrdiff_t heads, ptrdiff_t queries, ptrdiff_t keys, ptrdiff_t features,
                          ptrdiff_t values, int causal) {
    case_begins("%td x %td matrices, %td queries, %td keys, %td and %td features, causal %d", n, heads, queries, keys,
                features, values, causal);
    fnn_attention_shape s = {.n = n,
                             .heads = heads,
                             .queries = queries,
                             .keys = keys,
                             .features = features,
                             .values = values,
                             .scale = (double)(real)(1 / sqrt((double)features)),
                             .causal = causal};
    real *q = random_reals(laid_out(&s, queries, features, &s.q), -1, 1);
    real *k = random_reals(laid_out(&s, keys, features, &s.k), -1, 1);
    real *v = random_reals(laid_out(&s, keys, values, &s.v), -1, 1);
    real *dy = random_reals(laid_out(&s, queries, values, &s.dy), -1, 1);
    real *y = reals(laid_out(&s, queries, values, &s.y)), *dq = reals(laid_out(&s, queries, features, &s.dq));
    real *dk = reals(laid_out(&s, keys, features, &s.dk)), *dv = reals(laid_out(&s, keys, values, &s.dv));
    fnn_attention_operands o = {.q = q, .k = k, .v = v, .dy = dy, .y = y, .dq = dq, .dk = dk, .dv = dv};
    int n_threads = one_of_threads();
    CALL(attention_forward, &s, &o, workspace_of(CALL(attention_workspace, &s, 0, n_threads)), n_threads);
    CALL(attention_backward, &s, &o, workspace_of(CALL(attention_workspace, &s, 1, n_threads)), n_threads);
    double *p = doubles(keys), *g = doubles(keys), operations = operations_of(&s);
    for (ptrdiff_t matrix = 0; matrix < n * heads; matrix++) {
        double *wanted_y = zeros(queries * values), *size_y = zeros(queries * values);
        double *wanted_q = zeros(queries * features), *size_q = zeros(queries * features);
        double *wanted_k = zeros(keys * features), *size_k = zeros(keys * features);
        double *wanted_v = zeros(keys * values), *size_v = zeros(keys * values);
        for (ptrdiff_t i = 0; i < queries; i++) {
            const real *row_q = q + place(&s.q, matrix, heads, i), *row_dy = dy + place(&s.dy, matrix, heads, i);
            ptrdiff_t seen = causal && i + 1 < keys ? i + 1 : keys;
            double sum = 0, total = 0;
            for (ptrdiff_t j = 0; j < seen; j++) {
                const real *row_k = k + place(&s.k, matrix, heads, j);
                double score = 0;
                for (ptrdiff_t c = 0; c < features; c++) {
                    score += (double)row_q[c] * (double)row_k[c];
                }
                sum += p[j] = exp(s.scale * score);
            }
            for (ptrdiff_t j = 0; j < seen; j++) {
                const real *row_v = v + place(&s.v, matrix, heads, j);
                p[j] /= sum;
                g[j] = 0;
                for (ptrdiff_t c = 0; c < values; c++) {
                    wanted_y[i * values + c] += p[j] * (double)row_v[c];
                    size_y[i * values + c] += p[j] * fabs((double)row_v[c]);
                    wanted_v[j * values + c] += p[j] * (double)row_dy[c];
                    size_v[j * values + c] += p[j] * fabs((double)row_dy[c]);
                    g[j] += (double)row_dy[c] * (double)row_v[c];
                }
                total += p[j] * g[j];
            }
            for (ptrdiff_t j = 0; j < seen; j++) {
                const real *row_k = k + place(&s.k, matrix, heads, j);
                double d = s.scale * p[j] * (g[j] - total), size = s.scale * p[j] * 2 * (double)values;
                for (ptrdiff_t c = 0; c < features; c++) {
                    wanted_q[i * features + c] += d * (double)row_k[c];
                    size_q[i * features + c] += size * fabs((double)row_k[c]);
                    wanted_k[j * features + c] += d * (double)row_q[c];
                    size_k[j * features + c] += size * fabs((double)row_q[c]);
                }
            }
        }
        compare_rows("y", y, &s.y, heads, matrix, queries, values, wanted_y, size_y, operations);
        compare_rows("dq", dq, &s.dq, heads, matrix, queries, features, wanted_q, size_q, operations);
        compare_rows("dk", dk, &s.dk, heads, matrix, keys, features, wanted_k, size_k, operations);
        compare_rows("dv", dv, &s.dv, heads, matrix, keys, values, wanted_v, size_v, operations);
    }
    case_ends();
}

TEST(attention) {
    for (int i = 0; i < 10; i++) {
        one_attention(between(1, 2), between(1, 3), some_length(40), some_length(40), some_length(20), some_length(20),
                      i % 2);
    }
    one_attention(1, 2, 150, 150, 17, 16, 1);
    one_attention(1, 1, 1, 1, 1, 1, 0);
}
