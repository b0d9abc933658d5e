/* Steps of all optimisers, and the sum of squares. A step is some 20 roundings of terms as large as the largest of them. */
#include "typed.h"

enum { OPERATIONS = 40 };

typedef struct {
    ptrdiff_t n;
    double *w, *states[3], *w_size, *state_size;
} expected;

/* A copy of what a step begins with. */
static expected before(const fnn_parameter_step *step) {
    expected e = {step->n, doubles(step->n), {0}, doubles(step->n), doubles(step->n)};
    for (ptrdiff_t i = 0; i < step->n; i++) {
        e.w[i] = (double)((const real *)step->w)[i];
    }
    for (int k = 0; k < 3; k++) {
        e.states[k] = step->states[k] == NULL ? NULL : doubles(step->n);
        for (ptrdiff_t i = 0; e.states[k] != NULL && i < step->n; i++) {
            e.states[k][i] = (double)((const real *)step->states[k])[i];
        }
    }
    return e;
}

static double larger(double a, double b) { return a > b ? a : b; }

/* The formulas of kernels/optimizer.c for one element. Returns how far w moves at most, for the tolerance. */
static double step_one(const fnn_parameter_step *step, expected *e, ptrdiff_t i) {
    double *w = e->w + i, g = (double)((const real *)step->g)[i], before_it = fabs(*w);
    double *s[3];
    for (int k = 0; k < 3; k++) {
        s[k] = e->states[k] == NULL ? NULL : e->states[k] + i;
    }
    switch (step->kind) {
    case FNN_SGD: {
        const fnn_sgd *p = &step->settings.sgd;
        double d = (p->maximize ? -g : g) + p->weight_decay * *w;
        if (s[0] != NULL) {
            *s[0] = p->momentum * *s[0] + (1 - p->dampening) * d;
            d = p->nesterov ? d + p->momentum * *s[0] : *s[0];
        }
        *w -= p->lr * d;
        break;
    }
    case FNN_ADAM: {
        const fnn_adam *p = &step->settings.adam;
        *w *= 1 - p->lr * p->decoupled_decay;
        double d = (p->maximize ? -g : g) + p->weight_decay * *w, v;
        *s[0] += (1 - p->beta1) * (d - *s[0]);
        v = *s[1] = p->beta2 * *s[1] + (1 - p->beta2) * d * d;
        if (s[2] != NULL) {
            v = *s[2] = larger(*s[2], v);
        }
        *w -= p->lr / p->bias_correction1 * *s[0] / (sqrt(v) / sqrt(p->bias_correction2) + p->eps);
        break;
    }
    case FNN_RMSPROP: {
        const fnn_rmsprop *p = &step->settings.rmsprop;
        double d = (p->maximize ? -g : g) + p->weight_decay * *w;
        double square = *s[0] = p->alpha * *s[0] + (1 - p->alpha) * d * d;
        if (s[2] != NULL) {
            *s[2] += (1 - p->alpha) * (d - *s[2]);
            square = larger(0, square - *s[2] * *s[2]);
        }
        double r = d / (sqrt(square) + p->eps);
        if (s[1] != NULL) {
            r = *s[1] = p->momentum * *s[1] + r;
        }
        *w -= p->lr * r;
        break;
    }
    case FNN_ADAGRAD: {
        const fnn_adagrad *p = &step->settings.adagrad;
        double d = (p->maximize ? -g : g) + p->weight_decay * *w;
        *s[0] += d * d;
        *w -= p->lr * d / (sqrt(*s[0]) + p->eps);
        break;
    }
    default:
        *w += step->settings.average * (g - *w);
    }
    return before_it + 4;
}

/* States of the second moment are at least 1 and those of the first at most 1/2, so that nothing cancels. */
static fnn_parameter_step step_of(fnn_optimizer kind, ptrdiff_t n) {
    fnn_parameter_step step = {.kind = kind, .n = n, .w = random_reals(n, -1, 1), .g = random_reals(n, -1, 1)};
    int maximize = (int)between(0, 1), has_more = (int)between(0, 1);
    switch (kind) {
    case FNN_SGD:
        step.settings.sgd = (fnn_sgd){0.1, 0.9, has_more ? 0.2 : 0, 0.01, !has_more, maximize};
        step.states[0] = random_or_null(n, -1, 1);
        break;
    case FNN_ADAM:
        step.settings.adam = (fnn_adam){0.1, 0.9, 0.99, 1e-3, 0.01, has_more ? 0.1 : 0, 0.19, 0.02, maximize};
        step.states[0] = random_reals(n, -0.5, 0.5), step.states[1] = random_reals(n, 1, 2);
        step.states[2] = has_more ? random_reals(n, 1, 2) : NULL;
        break;
    case FNN_RMSPROP:
        step.settings.rmsprop = (fnn_rmsprop){0.1, 0.9, 1e-3, 0.01, 0.9, maximize};
        step.states[0] = random_reals(n, 1, 2), step.states[1] = random_or_null(n, -1, 1);
        step.states[2] = has_more ? random_reals(n, -0.5, 0.5) : NULL;
        break;
    case FNN_ADAGRAD:
        step.settings.adagrad = (fnn_adagrad){0.1, 1e-3, 0.01, maximize};
        step.states[0] = random_reals(n, 1, 2);
        break;
    default:
        step.settings.average = 0.3;
    }
    return step;
}

static void one_step(int kind, ptrdiff_t most) {
    enum { STEPS = 3 };
    case_begins("optimiser %d, up to %td", kind, most);
    fnn_parameter_step *steps = guarded(STEPS * (ptrdiff_t)sizeof *steps, 0);
    expected wanted[STEPS];
    for (int k = 0; k < STEPS; k++) {
        steps[k] = step_of((fnn_optimizer)kind, k == 0 ? most : some_length(most));
        wanted[k] = before(steps + k);
    }
    CALL(optimizer_step, STEPS, steps, one_of_threads());
    for (int k = 0; k < STEPS; k++) {
        expected *e = wanted + k;
        for (ptrdiff_t i = 0; i < e->n; i++) {
            e->w_size[i] = step_one(steps + k, e, i);
            e->state_size[i] = 4;
        }
        compare("w", e->n, steps[k].w, e->w, e->w_size, OPERATIONS);
        for (int s = 0; s < 3; s++) {
            if (e->states[s] != NULL) {
                compare("state", e->n, steps[k].states[s], e->states[s], e->state_size, OPERATIONS);
            }
        }
    }
    case_ends();
}

static void one_sum_of_squares(ptrdiff_t n) {
    case_begins("sum of squares of %td", n);
    real *x = random_reals(n, -1, 1);
    double wanted = 0, *sum = doubles(1), *partial = doubles(CALL(sum_of_squares_partials, n));
    for (ptrdiff_t i = 0; i < n; i++) {
        wanted += (double)x[i] * (double)x[i];
    }
    CALL(sum_of_squares, n, x, sum, partial, one_of_threads());
    compare_one("sum", 0, *sum, wanted, 2 * ((double)n + 1) * DBL_EPSILON * wanted); /* sums are of doubles */
    case_ends();
}

TEST(optimizer) {
    for (int i = 0; i < 12; i++) {
        for (int kind = FNN_SGD; kind <= FNN_AVERAGE; kind++) {
            one_step(kind, i == 0 ? 0 : some_length(200));
        }
        one_sum_of_squares(i == 0 ? 0 : some_length(200));
    }
    for (int kind = FNN_SGD; kind <= FNN_AVERAGE; kind++) {
        one_step(kind, 40001);
    }
    one_sum_of_squares(100003);
}
