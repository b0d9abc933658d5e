/* The pointwise activations, and PReLU. */
#include "typed.h"

/* Phi(x) and the density of the normal distribution. */
static double normal(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
static double density(double x) { return 0.39894228040143267794 * exp(-x * x / 2); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

#define TANH_FACTOR 0.79788456080286535588 /* sqrt(2 / pi) */
#define TANH_CUBE 0.044715

static double forward(fnn_activation kind, const double *p, double x) {
    switch (kind) {
    case FNN_RELU:
        return x > 0 ? x : 0;
    case FNN_LEAKY_RELU:
        return x > 0 ? x : p[0] * x;
    case FNN_ELU:
        return x > 0 ? x : p[0] * expm1(x);
    case FNN_GELU:
        return x * normal(x);
    case FNN_GELU_TANH:
        return x / 2 * (1 + tanh(TANH_FACTOR * (x + TANH_CUBE * x * x * x)));
    case FNN_SILU:
        return x * sigmoid(x);
    case FNN_SIGMOID:
        return sigmoid(x);
    case FNN_TANH:
        return tanh(x);
    case FNN_SOFTPLUS:
        return p[0] * x > p[1] ? x : log1p(exp(p[0] * x)) / p[0];
    case FNN_HARDTANH:
        return x < p[0] ? p[0] : x > p[1] ? p[1] : x;
    default:
        return NAN;
    }
}

static double derivative(fnn_activation kind, const double *p, double x, double y) {
    switch (kind) {
    case FNN_RELU:
        return x > 0;
    case FNN_LEAKY_RELU:
        return x > 0 ? 1 : p[0];
    case FNN_ELU:
        return x > 0 ? 1 : p[0] * exp(x);
    case FNN_GELU:
        return normal(x) + x * density(x);
    case FNN_GELU_TANH: {
        double t = tanh(TANH_FACTOR * (x + TANH_CUBE * x * x * x));
        return 0.5 * (1 + t) + x / 2 * (1 - t * t) * TANH_FACTOR * (1 + 3 * TANH_CUBE * x * x);
    }
    case FNN_SILU: {
        double s = sigmoid(x);
        return s + x * s * (1 - s);
    }
    case FNN_SIGMOID:
        return y * (1 - y);
    case FNN_TANH:
        return 1 - y * y;
    case FNN_SOFTPLUS:
        return p[0] * x > p[1] ? 1 : sigmoid(p[0] * x);
    case FNN_HARDTANH:
        return x > p[0] && x < p[1];
    default:
        return NAN;
    }
}

static int keeps_y(fnn_activation kind) { return kind == FNN_RELU || kind == FNN_SIGMOID || kind == FNN_TANH; }

/* Elementary functions are right to 2.5 units in the last place (kernels/vector_math.h), and the normal distribution to
 * 6 + x^2 / 2; a function of a function and the operations around add a few. Where a sum cancels (gelu near its zero),
 * errors are relative to the terms, which are below 1 + |x|. An exponential makes of a relative error of its argument, here
 * up to 20 * 20 roundings, one of its result: that stays below the same bound since the result is small there. */
#define OPERATIONS 40

static void one_activation(fnn_activation kind, ptrdiff_t n) {
    double parameters[FNN_ACTIVATION_PARAMETERS] = {uniform(0.1, 0.9), 0};
    if (kind == FNN_SOFTPLUS) {
        parameters[0] = uniform(0.5, 2), parameters[1] = 20;
    } else if (kind == FNN_HARDTANH) {
        parameters[0] = uniform(-1, -0.5), parameters[1] = uniform(0.5, 1);
    }
    for (int i = 0; i < FNN_ACTIVATION_PARAMETERS; i++) {
        parameters[i] = (double)(real)parameters[i];
    }
    case_begins("kind %d of %td", (int)kind, n);
    double range = between(0, 1) ? 2 : 12;
    real *x = random_reals(n, -range, range), *y = reals(n), *dy = random_reals(n, -1, 1), *dx = reals(n);
    if (n > 2 && kind != FNN_HARDTANH) {
        x[n / 2] = 0;
    }
    double *wanted = doubles(n), *size = doubles(n);
    CALL(activation_forward, kind, parameters, n, x, y, one_of_threads());
    for (ptrdiff_t i = 0; i < n; i++) {
        wanted[i] = forward(kind, parameters, (double)x[i]);
        size[i] = 1 + fabs((double)x[i]);
    }
    compare("y", n, y, wanted, size, OPERATIONS);
    CALL(activation_backward, kind, parameters, n, dy, keeps_y(kind) ? y : x, dx, one_of_threads());
    for (ptrdiff_t i = 0; i < n; i++) {
        wanted[i] = (double)dy[i] * derivative(kind, parameters, (double)x[i], (double)y[i]);
        size[i] = fabs((double)dy[i]) * (1 + fabs((double)x[i]));
    }
    compare("dx", n, dx, wanted, size, OPERATIONS);
    case_ends();
}

static void one_prelu(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t weights) {
    case_begins("prelu of %td rows of %td channels, %td weights", rows, channels, weights);
    ptrdiff_t n = rows * channels;
    real *x = random_reals(n, -1, 1), *weight = random_reals(weights, -1, 1), *dy = random_reals(n, -1, 1);
    real *y = reals(n), *dx = reals(n), *dweight = reals(weights);
    double *wanted = doubles(n), *gradient = doubles(n), *sum = zeros(weights), *size = zeros(weights);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t c = weights == 1 ? 0 : i % channels;
        double slope = (double)weight[c], value = (double)x[i], product = (double)dy[i] * value;
        wanted[i] = value > 0 ? value : slope * value;
        gradient[i] = (double)dy[i] * (value > 0 ? 1 : slope);
        sum[c] += value > 0 ? 0 : product;
        size[c] += value > 0 ? 0 : fabs(product);
    }
    CALL(prelu_forward, rows, channels, weights, x, weight, y, one_of_threads());
    compare("y", n, y, wanted, wanted, 2);
    real *room = workspace_of(CALL(prelu_backward_workspace, rows, channels, weights) * (ptrdiff_t)sizeof(real));
    CALL(prelu_backward, rows, channels, weights, dy, x, weight, dx, dweight, room, one_of_threads());
    compare("dx", n, dx, gradient, gradient, 2);
    compare("dweight", weights, dweight, sum, size, (double)n + 2);
    case_ends();
}

TEST(activation) {
    for (int kind = 0; kind < FNN_ACTIVATION_COUNT; kind++) {
        one_activation((fnn_activation)kind, 0);
        for (int i = 0; i < 8; i++) {
            one_activation((fnn_activation)kind, some_length(300));
        }
        one_activation((fnn_activation)kind, 40001); /* more than one task */
    }
    for (int i = 0; i < 12; i++) {
        ptrdiff_t channels = some_length(80);
        one_prelu(some_length(60), channels, between(0, 1) ? 1 : channels);
    }
    one_prelu(700, 65, 65);
    one_prelu(700, 65, 1);
}
