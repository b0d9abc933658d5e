/* Softmax cross-entropy: of labels and of probabilities, with weights, smoothing and rows that are ignored. */
#include "typed.h"

enum { IGNORED = -100, RANGE = 8 };

static void one_cross_entropy(ptrdiff_t rows, ptrdiff_t classes, int has_labels) {
    fnn_cross_entropy_shape s = {rows, classes, IGNORED, between(0, 1) ? uniform(0, 0.5) : 0, (int)between(0, 1)};
    case_begins("%td rows of %td classes, labels %d, smoothing %g, mean %d", rows, classes, has_labels,
                s.label_smoothing, s.mean);
    ptrdiff_t n = rows * classes;
    real *x = random_reals(n, -RANGE, RANGE), *class_weight = random_or_null(classes, 0.5, 2), *dx = reals(n);
    real *probabilities = has_labels ? NULL : random_reals(n, 0, 1);
    int64_t *labels = has_labels ? guarded(rows * (ptrdiff_t)sizeof(int64_t), 0) : NULL;
    double *losses = doubles(rows), *wanted_losses = zeros(rows), *losses_size = zeros(rows), loss = NAN;
    double *wanted = zeros(n), *size = zeros(n), total = 0, all = 0, all_size = 0;
    for (ptrdiff_t r = 0; r < rows; r++) {
        if (has_labels) {
            labels[r] = r > 0 && between(0, 4) == 0 ? IGNORED : between(0, classes - 1);
            total += labels[r] == IGNORED ? 0 : class_weight == NULL ? 1 : (double)class_weight[labels[r]];
        } else {
            total += 1;
        }
    }
    for (ptrdiff_t r = 0; r < rows; r++) {
        if (has_labels && labels[r] == IGNORED) {
            continue;
        }
        double sum = 0, target_sum = 0, scale = s.mean ? 1 / total : 1;
        for (ptrdiff_t c = 0; c < classes; c++) {
            sum += exp((double)x[r * classes + c]);
        }
        for (int pass = 0; pass < 2; pass++) {
            for (ptrdiff_t c = 0; c < classes; c++) {
                double q = has_labels ? labels[r] == c : (double)probabilities[r * classes + c];
                double t = (1 - s.label_smoothing) * q + s.label_smoothing / (double)classes;
                t *= class_weight == NULL ? 1 : (double)class_weight[c];
                double p = exp((double)x[r * classes + c]) / sum;
                if (pass == 0) {
                    target_sum += t;
                    wanted_losses[r] -= t * log(p);
                    losses_size[r] += t * (2 * RANGE + fabs(log(p)));
                } else {
                    wanted[r * classes + c] = scale * (target_sum * p - t);
                    size[r * classes + c] = scale * (target_sum * p + t);
                }
            }
        }
        all += scale * wanted_losses[r], all_size += scale * losses_size[r];
    }
    fnn_status status =
        CALL(cross_entropy, &s, x, labels, probabilities, class_weight, losses, &loss, dx, one_of_threads());
    if (status != FNN_OK) {
        fail("status %d", (int)status);
    }
    /* As for softmax: an argument of up to 2 * RANGE, exp and log, and sums over the classes. */
    double operations = 4 * RANGE + 20 + 2 * (double)classes;
    compare_doubles("losses", rows, losses, wanted_losses, losses_size, operations);
    compare_one("loss", 0, loss, all, (operations + (double)rows) * UNIT * all_size);
    compare("dx", n, dx, wanted, size, operations);
    case_ends();
}

static void one_bad_label(int64_t label) {
    case_begins("label %d of 5 classes", (int)label);
    fnn_cross_entropy_shape s = {3, 5, IGNORED, 0, 1};
    real *x = random_reals(15, -1, 1), *dx = reals(15);
    int64_t *labels = guarded(3 * (ptrdiff_t)sizeof(int64_t), 0);
    labels[0] = labels[1] = 0, labels[2] = label;
    double *losses = doubles(3), loss = 7;
    fnn_status status = CALL(cross_entropy, &s, x, labels, NULL, NULL, losses, &loss, dx, 1);
    if (status != FNN_BAD_LABEL || loss != 7 || !isnan((double)dx[0])) {
        fail("status %d, loss %g: something was written", (int)status, loss);
    }
    case_ends();
}

TEST(cross_entropy) {
    for (int i = 0; i < 30; i++) {
        one_cross_entropy(some_length(40), some_length(60), i % 2);
    }
    one_cross_entropy(500, 101, 1);
    one_bad_label(5);
    one_bad_label(-1);
}
