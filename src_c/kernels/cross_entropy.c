/* Softmax cross-entropy; core/kernels.h states the problem. */
#include "kernels/kernel.h"

/* The largest of n > 0 numbers. A NaN may get lost here; it comes back with the exponentials. */
INLINE real row_max(ptrdiff_t n, const real *x) {
    real lanes[V_LANES];
    if (n >= V_LANES) {
        v_real largest = v_load(x);
        for (ptrdiff_t i = V_LANES; i < n; i += V_LANES) {
            /* The last vector ends at n and overlaps the one before: a maximum does not mind. */
            largest = v_max(largest, v_load(x + (i < n - V_LANES ? i : n - V_LANES)));
        }
        v_store(lanes, largest);
        x = lanes;
        n = V_LANES;
    }
    real largest = x[0];
    for (ptrdiff_t i = 1; i < n; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}

/* out = exp(x - largest). The one place that calls the C library. */
INLINE void exp_row(ptrdiff_t n, const real *x, real largest, real *out) {
    for (ptrdiff_t i = 0; i < n; i++) {
#ifdef FNN_DTYPE_F32
        out[i] = expf(x[i] - largest);
#else
        out[i] = exp(x[i] - largest);
#endif
    }
}

/* Eight running sums, added up in a fixed order. */
INLINE double sum_in_double(ptrdiff_t n, const real *x) {
    double sums[8] = {0};
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int lane = 0; lane < 8; lane++) {
            sums[lane] += (double)x[i + lane];
        }
    }
    for (; i < n; i++) {
        sums[i % 8] += (double)x[i];
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/* The target of one row, and what its softmax is made of. */
typedef struct {
    ptrdiff_t label;           /* -1 if probabilities are given */
    const real *probabilities; /* or NULL */
    double sum;                /* of exp(x - largest), which dx holds */
    double log_sum;            /* log of the sum of exp(x) */
} row_state;

/* A label without smoothing: t is zero but for one class. Returns the loss. */
INLINE double label_row(const fnn_cross_entropy *p, const row_state *row, const real *x, real *dx) {
    double t = p->class_weight == NULL ? 1 : (double)p->class_weight[row->label];
    v_real factor = v_set((real)(p->scale * t / row->sum));
    for (ptrdiff_t c = 0; c < p->classes; c += V_LANES) {
        ptrdiff_t lanes = v_lanes_left(p->classes - c);
        v_store_part(dx + c, v_load_part(dx + c, lanes) * factor, lanes);
    }
    dx[row->label] -= (real)(p->scale * t);
    return t == 0 ? 0 : t * (row->log_sum - (double)x[row->label]);
}

INLINE double target(const fnn_cross_entropy *p, const row_state *row, ptrdiff_t c) {
    double weight = p->class_weight == NULL ? 1 : (double)p->class_weight[c];
    double q = row->probabilities == NULL ? (double)(c == row->label) : (double)row->probabilities[c];
    return weight * ((1 - p->label_smoothing) * q + p->label_smoothing / (double)p->classes);
}

/* Any target. Returns the loss. */
INLINE double dense_row(const fnn_cross_entropy *p, const row_state *row, const real *x, real *dx) {
    double loss = 0, total = 0;
    for (ptrdiff_t c = 0; c < p->classes; c++) {
        double t = target(p, row, c);
        total += t;
        loss += t == 0 ? 0 : t * (row->log_sum - (double)x[c]);
    }
    for (ptrdiff_t c = 0; c < p->classes; c++) {
        dx[c] = (real)(p->scale * (total / row->sum * (double)dx[c] - target(p, row, c)));
    }
    return loss;
}

void KERNEL(cross_entropy)(const fnn_cross_entropy *p) {
    for (ptrdiff_t r = 0; r < p->rows; r++) {
        const real *x = p->x + r * p->classes;
        real *dx = p->dx + r * p->classes;
        if (p->labels != NULL && p->labels[r] == p->ignore_index) {
            memset(dx, 0, (size_t)p->classes * sizeof *dx);
            p->losses[r] = 0;
            continue;
        }
        row_state row = {.label = p->labels == NULL ? -1 : (ptrdiff_t)p->labels[r],
                         .probabilities = p->probabilities == NULL ? NULL : p->probabilities + r * p->classes};
        real largest = row_max(p->classes, x);
        exp_row(p->classes, x, largest, dx);
        row.sum = sum_in_double(p->classes, dx);
        row.log_sum = log(row.sum) + (double)largest;
        int one_hot = row.probabilities == NULL && p->label_smoothing == 0;
        p->losses[r] = one_hot ? label_row(p, &row, x, dx) : dense_row(p, &row, x, dx);
    }
}
