/* Layer norm, group norm and local response norm. Tolerances as for batch norm: see there. */
#include "typed.h"

/* Of one group of values: what is right for y, dx, and the shares of dweight and dbias. */
typedef struct {
    double mean, invstd, mean_size;
} moments;

static moments moments_of(ptrdiff_t n, const double *x, double eps) {
    moments m = {0};
    double variance = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        m.mean += x[i] / (double)n;
        m.mean_size += fabs(x[i]) / (double)n;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        variance += (x[i] - m.mean) * (x[i] - m.mean) / (double)n;
    }
    m.invstd = 1 / sqrt(variance + eps);
    return m;
}

/* `at` gives the place of element i of group g, `channel` the index of its weight. */
typedef struct {
    ptrdiff_t groups, size, n, weights;
    ptrdiff_t (*at)(const void *shape, ptrdiff_t g, ptrdiff_t i);
    ptrdiff_t (*channel)(const void *shape, ptrdiff_t g, ptrdiff_t i);
    const void *shape;
} grouping;

typedef struct {
    real *x, *dy, *weight, *bias, *y, *dx, *dweight, *dbias;
    double *mean, *invstd;
} arrays;

static arrays arrays_of(const grouping *p) {
    return (arrays){.x = random_reals(p->n, -2, 3),
                    .dy = random_reals(p->n, -1, 1),
                    .weight = random_or_null(p->weights, -1, 1),
                    .bias = random_or_null(p->weights, -1, 1),
                    .y = reals(p->n),
                    .dx = reals(p->n),
                    .dweight = reals(p->weights),
                    .dbias = reals(p->weights),
                    .mean = doubles(p->groups),
                    .invstd = doubles(p->groups)};
}

static void compare_norm(const grouping *p, const arrays *a, double eps) {
    double operations = (double)p->size + (double)p->n / (double)p->weights + 20;
    double *wanted = doubles(p->n), *size = doubles(p->n), *gradient = doubles(p->n), *gradient_size = doubles(p->n);
    double *dweight = zeros(p->weights), *dbias = zeros(p->weights), *values = doubles(p->size);
    double *dweight_size = zeros(p->weights), *dbias_size = zeros(p->weights);
    for (ptrdiff_t g = 0; g < p->groups; g++) {
        for (ptrdiff_t i = 0; i < p->size; i++) {
            values[i] = (double)a->x[p->at(p->shape, g, i)];
        }
        moments m = moments_of(p->size, values, eps);
        compare_one("mean", g, a->mean[g], m.mean, operations * UNIT * m.mean_size);
        compare_one("invstd", g, a->invstd[g], m.invstd, operations * UNIT * m.invstd * (1 + m.mean_size * m.invstd));
        double sum = 0, product = 0, sum_size = 0, product_size = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (ptrdiff_t i = 0; i < p->size; i++) {
                ptrdiff_t at = p->at(p->shape, g, i), c = p->channel(p->shape, g, i);
                double weight = a->weight == NULL ? 1 : (double)a->weight[c],
                       bias = a->bias == NULL ? 0 : (double)a->bias[c];
                double x_hat = (values[i] - m.mean) * m.invstd, spread = (fabs(values[i]) + m.mean_size) * m.invstd + 1;
                double dy = (double)a->dy[at], part = dy * weight;
                if (pass == 0) {
                    wanted[at] = x_hat * weight + bias;
                    size[at] = 2 * spread * fabs(weight) + fabs(bias);
                    sum += part, sum_size += fabs(part);
                    product += part * x_hat, product_size += fabs(part) * spread;
                    dweight[c] += dy * x_hat, dweight_size[c] += fabs(dy) * 2 * spread;
                    dbias[c] += dy, dbias_size[c] += fabs(dy);
                } else {
                    double count = (double)p->size;
                    gradient[at] = m.invstd * (part - sum / count - x_hat * product / count);
                    gradient_size[at] =
                        2 * m.invstd * spread * (fabs(part) + sum_size / count + spread * product_size / count);
                }
            }
        }
    }
    compare("y", p->n, a->y, wanted, size, operations);
    compare("dx", p->n, a->dx, gradient, gradient_size, operations);
    compare("dweight", p->weights, a->dweight, dweight, dweight_size, operations);
    compare("dbias", p->weights, a->dbias, dbias, dbias_size, operations);
}

/* ---- layer norm ---- */

static ptrdiff_t in_row(const void *features, ptrdiff_t g, ptrdiff_t i) { return g * *(const ptrdiff_t *)features + i; }
static ptrdiff_t feature(const void *features, ptrdiff_t g, ptrdiff_t i) {
    (void)features, (void)g;
    return i;
}

static void one_layernorm(ptrdiff_t rows, ptrdiff_t features) {
    case_begins("layer norm of %td x %td", rows, features);
    grouping p = {rows, features, rows * features, features, in_row, feature, &features};
    arrays a = arrays_of(&p);
    CALL(layernorm_forward, rows, features, a.x, a.weight, a.bias, 1e-2, a.y, a.mean, a.invstd, one_of_threads());
    void *room = workspace_of(CALL(layernorm_backward_workspace, rows, features, 1));
    CALL(layernorm_backward, rows, features, a.dy, a.x, a.mean, a.invstd, a.weight, a.dx, a.dweight, a.dbias, room,
         one_of_threads());
    compare_norm(&p, &a, 1e-2);
    case_ends();
}

/* ---- group norm ---- */

static ptrdiff_t in_group(const void *shape, ptrdiff_t g, ptrdiff_t i) {
    const fnn_groupnorm_shape *s = shape;
    ptrdiff_t size = s->channels / s->groups;
    return (i / size * s->n + g / s->groups) * s->channels + g % s->groups * size + i % size;
}
static ptrdiff_t channel(const void *shape, ptrdiff_t g, ptrdiff_t i) {
    return in_group(shape, g, i) % ((const fnn_groupnorm_shape *)shape)->channels;
}

static void one_groupnorm(ptrdiff_t pixels, ptrdiff_t n, ptrdiff_t groups, ptrdiff_t size) {
    case_begins("group norm of %td pixels, %td images, %td groups of %td", pixels, n, groups, size);
    fnn_groupnorm_shape s = {pixels, n, groups * size, groups};
    grouping p = {n * groups, pixels * size, pixels * n * groups * size, groups * size, in_group, channel, &s};
    arrays a = arrays_of(&p);
    void *room = workspace_of(CALL(groupnorm_workspace, &s));
    CALL(groupnorm_forward, &s, a.x, a.weight, a.bias, 1e-2, a.y, a.mean, a.invstd, room, one_of_threads());
    CALL(groupnorm_backward, &s, a.dy, a.x, a.mean, a.invstd, a.weight, a.dx, a.dweight, a.dbias, room,
         one_of_threads());
    compare_norm(&p, &a, 1e-2);
    case_ends();
}

/* ---- local response norm: scale >= 1, and a power has the error of its base times beta, and 2 of its own ---- */

static void one_response_norm(ptrdiff_t rows, ptrdiff_t c, ptrdiff_t size, double beta) {
    case_begins("local response norm of %td x %td, size %td, beta %g", rows, c, size, beta);
    double alpha = (double)(real)0.5, k = 1, factor = alpha / (double)size, operations = 4 * (double)size + 30;
    beta = (double)(real)beta;
    ptrdiff_t n = rows * c;
    real *x = random_reals(n, -2, 2), *dy = random_reals(n, -1, 1), *y = reals(n), *dx = reals(n);
    double *wanted = doubles(n), *scale = doubles(n), *gradient = doubles(n), *gradient_size = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        scale[i] = k;
        for (ptrdiff_t j = i % c - size / 2; j < i % c - size / 2 + size; j++) {
            scale[i] += j >= 0 && j < c ? factor * (double)x[i - i % c + j] * (double)x[i - i % c + j] : 0;
        }
        wanted[i] = (double)x[i] * pow(scale[i], -beta);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        double sum = 0, sum_size = 0;
        for (ptrdiff_t j = 0; j < c; j++) {
            ptrdiff_t other = i - i % c + j, first = j - size / 2;
            if (i % c >= first && i % c < first + size) {
                double term = (double)dy[other] * wanted[other] / scale[other];
                sum += term, sum_size += fabs(term);
            }
        }
        gradient[i] = (double)dy[i] * pow(scale[i], -beta) - 2 * factor * beta * (double)x[i] * sum;
        gradient_size[i] = fabs((double)dy[i]) + 2 * factor * beta * fabs((double)x[i]) * sum_size;
    }
    int n_threads = one_of_threads();
    void *room = workspace_of(CALL(local_response_norm_workspace, c, size, n_threads));
    CALL(local_response_norm_forward, rows, c, size, alpha, beta, k, x, y, room, n_threads);
    CALL(local_response_norm_backward, rows, c, size, alpha, beta, k, dy, x, dx, room, n_threads);
    compare("y", n, y, wanted, wanted, operations);
    compare("dx", n, dx, gradient, gradient_size, operations);
    case_ends();
}

TEST(rownorms) {
    for (int i = 0; i < 20; i++) {
        one_layernorm(some_length(30), some_length(90));
        one_groupnorm(some_length(20), between(1, 4), some_length(9), some_length(9));
        one_response_norm(some_length(20), some_length(40), between(1, 7), i % 2 ? 0.75 : 0.6);
    }
    one_layernorm(300, 129);
    one_groupnorm(300, 3, 8, 5);
    one_response_norm(300, 65, 5, 0.75);
}
