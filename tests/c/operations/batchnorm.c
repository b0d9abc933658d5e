/* Batch norm, with what comes after it.
 *
 * A mean or variance of n numbers has n roundings at most, and so have the sums of the gradients. What is made of them has
 * these, and those of x - mean, which are relative to |x| + |mean|: `spread` below is that, in units of the deviation. */
#include "typed.h"

static double slope_of(fnn_then then, double z) {
    double s = 1 / (1 + exp(-z));
    return then == FNN_THEN_RELU    ? z > 0
           : then == FNN_THEN_RELU6 ? z > 0 && z < 6
           : then == FNN_THEN_GELU
               ? 0.5 * erfc(-z * 0.70710678118654752440) + z * 0.39894228040143267794 * exp(-z * z / 2)
           : then == FNN_THEN_SILU ? s + z * s * (1 - s)
                                   : 1;
}

static void one_batchnorm(ptrdiff_t rows, ptrdiff_t channels, fnn_then then, int has_residual, int training) {
    case_begins("%td rows of %td channels, then %d, residual %d, training %d", rows, channels, (int)then, has_residual,
                training);
    ptrdiff_t n = rows * channels;
    real *x = random_reals(n, -2, 3), *weight = random_or_null(channels, 0.5, 3),
         *bias = random_or_null(channels, -1, 1);
    real *residual = has_residual ? random_reals(n, -1, 1) : NULL, *dy = random_reals(n, -1, 1);
    real *y = guarded(n * (ptrdiff_t)sizeof(real), 0), *dx = guarded(n * (ptrdiff_t)sizeof(real), 0);
    real *dresidual = has_residual && then != FNN_THEN_NOTHING ? reals(n) : NULL;
    real *dweight = reals(channels), *dbias = reals(channels);
    double *mean = doubles(channels), *invstd = doubles(channels);
    double *running_mean = zeros(channels), *running_variance = zeros(channels);
    double *right_mean = zeros(channels), *right_invstd = zeros(channels), *right_variance = zeros(channels);
    double *mean_size = zeros(channels), *wanted = doubles(n), *size = doubles(n), operations = (double)rows + 30;
    for (ptrdiff_t i = 0; i < n; i++) {
        right_mean[i % channels] += (double)x[i] / (double)rows;
        mean_size[i % channels] += fabs((double)x[i]) / (double)rows;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        double distance = (double)x[i] - right_mean[i % channels];
        right_variance[i % channels] += distance * distance / (double)rows;
    }
    fnn_batchnorm b = {.rows = rows,
                       .channels = channels,
                       .x = x,
                       .weight = weight,
                       .bias = bias,
                       .residual = residual,
                       .then = then,
                       .mean = mean,
                       .invstd = invstd,
                       .y = y,
                       .eps = 1e-2,
                       .momentum = 0.3,
                       .running_mean = running_mean,
                       .running_variance = running_variance,
                       .dy = dy,
                       .training = training,
                       .dresidual = dresidual,
                       .dweight = dweight,
                       .dbias = dbias,
                       .dx = dx};
    void *room = workspace_of(CALL(batchnorm_workspace, rows, channels));
    for (ptrdiff_t c = 0; c < channels; c++) {
        right_invstd[c] = 1 / sqrt(right_variance[c] + b.eps);
        running_mean[c] = 2, running_variance[c] = 5;
    }
    if (training) {
        CALL(batchnorm_training, &b, room, one_of_threads());
        compare_doubles("mean", channels, mean, right_mean, mean_size, operations);
        for (ptrdiff_t c = 0; c < channels; c++) {
            double large = 0.3 * right_variance[c] * (double)rows / (double)(rows - 1);
            double tolerance = operations * UNIT * (large + mean_size[c] * mean_size[c] + 4);
            compare_one("running_mean", c, running_mean[c], 0.7 * 2 + 0.3 * right_mean[c], tolerance);
            compare_one("running_variance", c, running_variance[c], 0.7 * 5 + large, tolerance);
            compare_one("invstd", c, invstd[c], right_invstd[c],
                        operations * UNIT * right_invstd[c] * (1 + mean_size[c] * right_invstd[c]));
        }
    } else {
        memcpy(mean, right_mean, (size_t)channels * sizeof(double));
        memcpy(invstd, right_invstd, (size_t)channels * sizeof(double));
        CALL(batchnorm_forward, &b, room, one_of_threads());
    }
    double *z = doubles(n), *g = doubles(n), *spread = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t c = i % channels;
        double scale = right_invstd[c] * (weight == NULL ? 1 : (double)weight[c]);
        double offset = bias == NULL ? 0 : (double)bias[c], more = residual == NULL ? 0 : (double)residual[i];
        z[i] = ((double)x[i] - right_mean[c]) * scale + offset + more;
        spread[i] = (fabs((double)x[i]) + mean_size[c]) * right_invstd[c];
        wanted[i] = then_of(then, z[i]);
        size[i] = 1.2 * (2 * spread[i] * fabs(scale / right_invstd[c]) + fabs(offset) + fabs(more));
        if (fabs(z[i]) < 0.01 || fabs(z[i] - 6) < 0.01) {
            dy[i] = 0; /* on which side of a corner it falls is a matter of rounding */
        }
    }
    compare("y", n, y, wanted, size, operations);
    b.y = has_residual ? y : NULL;
    CALL(batchnorm_backward, &b, room, one_of_threads());
    double *sum = zeros(channels), *product = zeros(channels), *sum_size = zeros(channels),
           *product_size = zeros(channels);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t c = i % channels;
        g[i] = (double)dy[i] * slope_of(then, z[i]);
        size[i] = 2 * fabs((double)dy[i]) * (1 + spread[i]);
        double x_hat = ((double)x[i] - right_mean[c]) * right_invstd[c];
        sum[c] += g[i], sum_size[c] += size[i];
        product[c] += g[i] * x_hat, product_size[c] += size[i] * (1 + spread[i]);
    }
    compare("dbias", channels, dbias, sum, sum_size, operations);
    compare("dweight", channels, dweight, product, product_size, operations);
    if (dresidual != NULL) {
        compare("dresidual", n, dresidual, g, size, operations);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t c = i % channels;
        double scale = right_invstd[c] * (weight == NULL ? 1 : (double)weight[c]), count = (double)rows;
        double x_hat = ((double)x[i] - right_mean[c]) * right_invstd[c];
        wanted[i] = scale * (training ? g[i] - sum[c] / count - x_hat * product[c] / count : g[i]);
        size[i] = fabs(scale) * (size[i] + sum_size[c] / count + (1 + spread[i]) * product_size[c] / count);
    }
    compare("dx", n, dx, wanted, size, operations);
    case_ends();
}

TEST(batchnorm) {
    for (int i = 0; i < 20; i++) {
        for (int then = FNN_THEN_NOTHING; then <= FNN_THEN_SILU; then++) {
            int has_residual = then <= FNN_THEN_RELU6 && i % 4 > 1;
            one_batchnorm(1 + some_length(60), some_length(i % 3 ? 20 : 150), (fnn_then)then, has_residual, i % 2);
        }
    }
    one_batchnorm(900, 33, FNN_THEN_RELU, 1, 1);
    one_batchnorm(2000, 3, FNN_THEN_RELU, 0, 1);
    if (mutated_slot < 0) {
        one_batchnorm(2200, 2048, FNN_THEN_RELU, 0, 1); /* past the caches */
    }
}
