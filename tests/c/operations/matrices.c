/* Transposition, sums of rows, joined rows, products, softmax, and the loop of the peak. */
#include "typed.h"

static void one_layout(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width) {
    case_begins("transpose %td x %td of %td", rows, columns, width);
    ptrdiff_t n = rows * columns * width;
    real *in = random_reals(n, -1, 1), *out = reals(n);
    double *wanted = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t item = i / width;
        wanted[(item % columns * rows + item / columns) * width + i % width] = (double)in[i];
    }
    CALL(layout_transpose, rows, columns, width, in, out, one_of_threads());
    compare("out", n, out, wanted, wanted, 0);
    case_ends();
}

static void one_sum_rows(ptrdiff_t rows, ptrdiff_t columns) {
    case_begins("sum of %td rows of %td", rows, columns);
    real *x = random_reals(rows * columns, -1, 1), *y = reals(columns);
    double *wanted = zeros(columns), *size = zeros(columns);
    for (ptrdiff_t i = 0; i < rows * columns; i++) {
        wanted[i % columns] += (double)x[i];
        size[i % columns] += fabs((double)x[i]);
    }
    void *room = workspace_of(CALL(sum_rows_workspace, rows, columns));
    CALL(sum_rows, rows, columns, x, y, room, one_of_threads());
    compare("y", columns, y, wanted, size, (double)rows + 1);
    case_ends();
}

static void one_join(ptrdiff_t rows, ptrdiff_t count, int cuts) {
    case_begins("%s %td matrices of %td rows", cuts ? "cut" : "join", count, rows);
    enum { MOST = 6 };
    ptrdiff_t *lengths = sizes(count), whole = 0;
    real *parts[MOST];
    for (ptrdiff_t k = 0; k < count; k++) {
        lengths[k] = some_length(40);
        parts[k] = cuts ? reals(rows * lengths[k]) : random_reals(rows * lengths[k], -1, 1);
        whole += lengths[k];
    }
    real *joined = cuts ? random_reals(rows * whole, -1, 1) : reals(rows * whole);
    CALL(join_rows, cuts, rows, count, lengths, parts, joined, one_of_threads());
    ptrdiff_t first = 0;
    for (ptrdiff_t k = 0; k < count; first += lengths[k++]) {
        for (ptrdiff_t i = 0; i < rows * lengths[k]; i++) {
            double other = (double)joined[i / lengths[k] * whole + first + i % lengths[k]];
            compare_one("part", i, cuts ? (double)parts[k][i] : other, cuts ? other : (double)parts[k][i], 0);
        }
    }
    case_ends();
}

static void one_matmul(fnn_matmul kind, ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns) {
    case_begins("product %d of %td, %td x %td x %td", (int)kind, matrices, rows, depth, columns);
    real *a = random_reals(matrices * rows * depth, -1, 1), *b = random_reals(matrices * depth * columns, -1, 1);
    real *transposed = kind == FNN_TIMES_TRANSPOSED ? reals(matrices * depth * columns) : NULL;
    ptrdiff_t n = matrices * rows * columns;
    real *y = reals(n);
    double *wanted = zeros(n), *size = zeros(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t matrix = i / (rows * columns), row = i / columns % rows, column = i % columns;
        const real *left = a + matrix * rows * depth, *right = b + matrix * depth * columns;
        for (ptrdiff_t k = 0; k < depth; k++) {
            double p = (double)left[kind == FNN_TRANSPOSED_TIMES ? k * rows + row : row * depth + k];
            double q = (double)right[kind == FNN_TIMES_TRANSPOSED ? column * depth + k : k * columns + column];
            wanted[i] += p * q;
            size[i] += fabs(p * q);
        }
    }
    CALL(matmul, kind, matrices, rows, depth, columns, a, b, transposed, y, one_of_threads());
    compare("y", n, y, wanted, size, (double)depth + 1);
    case_ends();
}

/* exp is right to 1.1 units in the last place of its argument's exponential; the argument x - max has one rounding of up to
 * 2 * RANGE, which is relative in the exponential; the sum of `columns` terms adds `columns` roundings. log adds 2. */
#define RANGE 8
static double softmax_operations(ptrdiff_t columns) { return 2 * (2 * RANGE + 6) + (double)columns; }

static void one_softmax(int log_of, ptrdiff_t rows, ptrdiff_t columns) {
    case_begins("%ssoftmax of %td x %td", log_of ? "log_" : "", rows, columns);
    ptrdiff_t n = rows * columns;
    real *x = random_reals(n, -RANGE, RANGE), *y = reals(n), *dy = random_reals(n, -1, 1), *dx = reals(n);
    double *wanted = doubles(n), *size = doubles(n), *gradient = doubles(n), *gradient_size = doubles(n);
    CALL(softmax_forward, log_of, rows, columns, x, y, one_of_threads());
    for (ptrdiff_t r = 0; r < rows; r++) {
        double sum = 0, total = 0, total_size = 0;
        for (ptrdiff_t i = r * columns; i < (r + 1) * columns; i++) {
            sum += exp((double)x[i]);
        }
        for (ptrdiff_t i = r * columns; i < (r + 1) * columns; i++) {
            double p = exp((double)x[i]) / sum, weight = log_of ? (double)dy[i] : (double)dy[i] * (double)y[i];
            wanted[i] = log_of ? log(p) : p;
            size[i] = log_of ? 2 * RANGE + fabs(wanted[i]) : p;
            total += weight;
            total_size += fabs(weight);
        }
        for (ptrdiff_t i = r * columns; i < (r + 1) * columns; i++) {
            double p = log_of ? exp((double)y[i]) : (double)y[i];
            gradient[i] = log_of ? (double)dy[i] - p * total : p * ((double)dy[i] - total);
            gradient_size[i] = log_of ? fabs((double)dy[i]) + p * total_size : p * (fabs((double)dy[i]) + total_size);
        }
    }
    compare("y", n, y, wanted, size, softmax_operations(columns));
    CALL(softmax_backward, log_of, rows, columns, dy, y, dx, one_of_threads());
    compare("dx", n, dx, gradient, gradient_size, softmax_operations(columns));
    case_ends();
}

static void one_peak(ptrdiff_t iterations) {
    enum { TASKS = 3 };
    case_begins("peak of %td iterations", iterations);
    real *sums = reals(TASKS);
    double *flops = doubles(TASKS);
    CALL(fma_peak, iterations, TASKS, sums, flops, one_of_threads());
    for (int i = 0; i < TASKS; i++) {
        /* x / 2 + 1 leads to 2, from below 15: so the sum over all lanes is that of numbers between 2 and 15. */
        double each = (double)sums[i] * 2.0 * (double)iterations / flops[i];
        if (!(flops[i] > 0 && each >= 2 && each <= 15)) {
            fail("sums[%d] is %g after %g operations", i, (double)sums[i], flops[i]);
        }
    }
    case_ends();
}

TEST(matrices) {
    for (int i = 0; i < 14; i++) {
        one_layout(some_length(80), some_length(80), i % 2 ? 1 : some_length(9));
        one_sum_rows(some_length(90), some_length(90));
        one_join(some_length(30), between(1, 6), i % 2);
        for (int kind = FNN_TIMES; kind <= FNN_TRANSPOSED_TIMES; kind++) {
            one_matmul((fnn_matmul)kind, between(1, 3), some_length(70), some_length(70), some_length(70));
        }
        one_softmax(i % 2, some_length(20), some_length(90));
        one_peak(10 + i);
    }
    for (int kind = FNN_TIMES; kind <= FNN_TRANSPOSED_TIMES; kind++) {
        one_matmul((fnn_matmul)kind, 2, 0, 5, 6);
        one_matmul((fnn_matmul)kind, 2, 130, 33, 129);
    }
    one_layout(0, 5, 1);
    one_layout(210, 190, 1);
    one_sum_rows(0, 7);
    one_sum_rows(700, 33);
    one_join(400, 3, 0);
    one_join(400, 3, 1);
    one_softmax(0, 300, 101);
    one_softmax(1, 300, 101);
}
