/* Softmax cross-entropy; core/kernels.h states the problem.
 *
 * Exponentials and gradients are made in vectors of `real`; the sums of a row and its loss are made in double. */
#include "kernels/softmax.h"

enum { SUMS = 8 }; /* running sums in double, element i in sum i % SUMS: on every ISA the same ones */

/* Always in the same order. */
INLINE double total_of(const double *sums) {
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

INLINE double sum_in_double(ptrdiff_t n, const real *x) {
    double sums[SUMS] = {0};
    ptrdiff_t i = 0;
    for (; i + SUMS <= n; i += SUMS) {
        for (int lane = 0; lane < SUMS; lane++) {
            sums[lane] += (double)x[i + lane];
        }
    }
    for (; i < n; i++) {
        sums[i % SUMS] += (double)x[i];
    }
    return total_of(sums);
}

/* How the target t of a row is made: for every class c
 *
 *     class_weight[c] * (keep * probabilities[c] + spread)
 *
 * and class_weight[label] * keep for the label on top. */
typedef struct {
    const real *class_weight;  /* NULL: all 1 */
    const real *probabilities; /* NULL: 0, there is a label */
    double keep, spread;
} target;

INLINE double target_of_class(const target *t, ptrdiff_t c) {
    double mixed = t->probabilities == NULL ? t->spread : t->keep * (double)t->probabilities[c] + t->spread;
    return t->class_weight == NULL ? mixed : (double)t->class_weight[c] * mixed;
}

/* The same in `real`, times `scale`. */
INLINE v_real scaled_targets(const target *t, double scale, ptrdiff_t c, ptrdiff_t lanes) {
    v_real mixed = v_set((real)(scale * t->spread));
    if (t->probabilities != NULL) {
        mixed = v_fma(v_set((real)(scale * t->keep)), v_load_part(t->probabilities + c, lanes), mixed);
    }
    if (t->class_weight != NULL) {
        mixed = mixed * v_load_part(t->class_weight + c, lanes);
    }
    return mixed;
}

/* -t log p; nothing if t is 0, even where p is. */
INLINE double loss_of_class(double t, double log_sum, real x) { return t == 0 ? 0 : t * (log_sum - (double)x); }

/* Returns the loss without that of the label, and in *total the sum of the targets without the label's. */
INLINE double loss_of_classes(ptrdiff_t classes, target t, double log_sum, const real *x, double *total) {
    double totals[SUMS] = {0}, losses[SUMS] = {0};
    ptrdiff_t c = 0;
    for (; c + SUMS <= classes; c += SUMS) {
        for (int lane = 0; lane < SUMS; lane++) {
            double of_class = target_of_class(&t, c + lane);
            totals[lane] += of_class;
            losses[lane] += loss_of_class(of_class, log_sum, x[c + lane]);
        }
    }
    for (; c < classes; c++) {
        double of_class = target_of_class(&t, c);
        totals[c % SUMS] += of_class;
        losses[c % SUMS] += loss_of_class(of_class, log_sum, x[c]);
    }
    *total = total_of(totals);
    return total_of(losses);
}

/* One row, of any target. Returns its loss. DENSE: classes other than the label have targets as well. */
INLINE double row_loss(const fnn_cross_entropy *p, const int DENSE, target t, ptrdiff_t label, const real *x,
                       real *dx) {
    real largest = row_maximum(p->classes, x);
    row_exponentials(p->classes, largest, x, dx); /* the sum in `real` is not used, and not computed */
    double sum = sum_in_double(p->classes, dx), log_sum = log(sum) + (double)largest;
    double loss = 0, total = 0, of_label = 0;
    if (DENSE) {
        loss = loss_of_classes(p->classes, t, log_sum, x, &total);
    }
    if (label >= 0) {
        of_label = t.class_weight == NULL ? t.keep : (double)t.class_weight[label] * t.keep;
        loss += loss_of_class(of_label, log_sum, x[label]);
    }
    v_real factor = v_set((real)(p->scale * (total + of_label) / sum));
    for (ptrdiff_t c = 0; c < p->classes; c += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->classes - c);
        v_real gradient = factor * v_load_part(dx + c, lanes);
        if (DENSE) {
            gradient = gradient - scaled_targets(&t, p->scale, c, lanes);
        }
        v_store_part(dx + c, gradient, lanes);
    }
    if (label >= 0) {
        dx[label] -= (real)(p->scale * of_label);
    }
    return loss;
}

void KERNEL(cross_entropy)(const fnn_cross_entropy *p) {
    target t = {.class_weight = p->class_weight,
                .keep = 1 - p->label_smoothing,
                .spread = p->label_smoothing / (double)p->classes};
    for (ptrdiff_t r = 0; r < p->rows; r++) {
        const real *x = p->x + r * p->classes;
        real *dx = p->dx + r * p->classes;
        int64_t label = -1;
        if (p->labels == NULL) {
            t.probabilities = p->probabilities + r * p->classes;
        } else {
            /* Checked by the op; what another thread has written since must not become an index outside. */
            label = fnn_read_once(p->labels + r);
            if (label == p->ignore_index || label < 0 || label >= p->classes) {
                memset(dx, 0, (size_t)p->classes * sizeof *dx);
                p->losses[r] = 0;
                continue;
            }
        }
        if (t.probabilities != NULL || t.spread != 0) {
            p->losses[r] = row_loss(p, 1, t, (ptrdiff_t)label, x, dx);
        } else {
            p->losses[r] = row_loss(p, 0, t, (ptrdiff_t)label, x, dx);
        }
    }
}
