/* Layer normalisation of the rows of a dense matrix. A row is read several times while it is in the cache.
 * Outputs overlap with nothing. NaN propagates within its row.
 */
#include "kernels/kernel.h"

enum { SUMS = 4 }; /* independent sums: they hide the latency of an addition */

INLINE v_real total(const v_real *sums) { return (sums[0] + sums[1]) + (sums[2] + sums[3]); }

static real row_mean(ptrdiff_t features, const real *x) {
    v_real sums[SUMS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    ptrdiff_t j = 0;
    for (; j + SUMS * V_LANES <= features; j += SUMS * V_LANES) {
        for (int k = 0; k < SUMS; k++) {
            sums[k] = sums[k] + v_load(x + j + k * V_LANES);
        }
    }
    for (; j < features; j += V_LANES) {
        sums[0] = sums[0] + v_load_part(x + j, v_lanes_left(features - j));
    }
    return v_sum(total(sums)) / (real)features;
}

/* (x - center) of the first `lanes` elements, the others 0. */
INLINE v_real distance_part(const real *x, v_real center, ptrdiff_t lanes) {
    real padded[V_LANES];
    v_store(padded, center);
    v_store_part(padded, v_load_part(x, lanes), lanes);
    return v_load(padded) - center;
}

/* Elements j, ... of `values`, or `otherwise` if it is NULL. */
INLINE v_real part_or(const real *values, ptrdiff_t j, ptrdiff_t lanes, real otherwise) {
    return values == NULL ? v_set(otherwise) : v_load_part(values + j, lanes);
}

static void row_moments(ptrdiff_t features, const real *x, real shift, double *sum, double *square_sum) {
    v_real center = v_set(shift);
    v_real sums[SUMS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    v_real squares[SUMS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    ptrdiff_t j = 0;
    for (; j + SUMS * V_LANES <= features; j += SUMS * V_LANES) {
        for (int k = 0; k < SUMS; k++) {
            v_real distance = v_load(x + j + k * V_LANES) - center;
            sums[k] = sums[k] + distance;
            squares[k] = v_fma(distance, distance, squares[k]);
        }
    }
    for (; j < features; j += V_LANES) {
        v_real distance = distance_part(x + j, center, v_lanes_left(features - j));
        sums[0] = sums[0] + distance;
        squares[0] = v_fma(distance, distance, squares[0]);
    }
    *sum = (double)v_sum(total(sums));
    *square_sum = (double)v_sum(total(squares));
}

/* The same, and the shift, of a row whose sums do not fit into `real`. */
static real row_moments_wide(ptrdiff_t features, const real *x, double *sum, double *square_sum) {
    double total = 0;
    for (ptrdiff_t j = 0; j < features; j++) {
        total += x[j];
    }
    real shift = (real)(total / (double)features);
    *sum = *square_sum = 0;
    for (ptrdiff_t j = 0; j < features; j++) {
        double distance = (double)x[j] - (double)shift;
        *sum += distance;
        *square_sum += distance * distance;
    }
    return shift;
}

/* Of every row: mean, invstd = 1 / sqrt(variance + eps), y = (x - mean) * invstd * weight + bias.
 * weight and bias may be NULL (ones and zeros). A first, rounded mean is taken off before the deviations are
 * summed up, and what it was off by is corrected afterwards: a large mean costs no precision. */
void KERNEL(layernorm_forward)(ptrdiff_t rows, ptrdiff_t features, const real *x, const real *weight, const real *bias,
                               double eps, real *y, double *mean, double *invstd) {
    for (ptrdiff_t i = 0; i < rows; i++, x += features, y += features) {
        real shift = row_mean(features, x);
        double sum, square_sum;
        row_moments(features, x, shift, &sum, &square_sum);
        if (!isfinite(square_sum)) {
            shift = row_moments_wide(features, x, &sum, &square_sum);
        }
        double rest = sum / (double)features, variance = (square_sum - sum * rest) / (double)features;
        mean[i] = (double)shift + rest;
        invstd[i] = 1 / sqrt((variance < 0 ? 0 : variance) + eps);
        v_real center = v_set(shift), scale = v_set((real)invstd[i]), offset = v_set((real)(-rest * invstd[i]));
        for (ptrdiff_t j = 0; j < features; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(features - j);
            v_real x_hat = v_fma(v_load_part(x + j, lanes) - center, scale, offset);
            v_real biases = part_or(bias, j, lanes, 0);
            v_store_part(y + j, v_fma(x_hat, part_or(weight, j, lanes, 1), biases), lanes);
        }
    }
}

/* Of every row, with g = dy * weight and x_hat = (x - mean) * invstd:
 * dx = invstd * (g - mean of g - x_hat * mean of (g * x_hat)). Adds dy * x_hat to dweight and dy to dbias.
 * weight, dx, and dweight together with dbias may be NULL. */
void KERNEL(layernorm_backward)(ptrdiff_t rows, ptrdiff_t features, const real *dy, const real *x, const double *mean,
                                const double *invstd, const real *weight, real *dx, real *dweight, real *dbias) {
    for (ptrdiff_t i = 0; i < rows; i++, x += features, dy += features) {
        real shift = (real)mean[i];
        v_real center = v_set(shift), scale = v_set((real)invstd[i]);
        v_real offset = v_set((real)(((double)shift - mean[i]) * invstd[i]));
        v_real sum = v_zero(), product = v_zero();
        for (ptrdiff_t j = 0; j < features; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(features - j);
            v_real gradient = v_load_part(dy + j, lanes); /* 0 in the lanes of a tail that are not there */
            v_real x_hat = v_fma(v_load_part(x + j, lanes) - center, scale, offset);
            if (dweight != NULL) {
                v_store_part(dweight + j, v_fma(gradient, x_hat, v_load_part(dweight + j, lanes)), lanes);
                v_store_part(dbias + j, gradient + v_load_part(dbias + j, lanes), lanes);
            }
            gradient = gradient * part_or(weight, j, lanes, 1);
            sum = sum + gradient;
            product = v_fma(gradient, x_hat, product);
        }
        if (dx == NULL) {
            continue;
        }
        v_real mean_gradient = v_set(v_sum(sum) / (real)features);
        v_real mean_product = v_set(v_sum(product) / (real)features);
        for (ptrdiff_t j = 0; j < features; j += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(features - j);
            v_real gradient = v_load_part(dy + j, lanes);
            gradient = gradient * part_or(weight, j, lanes, 1);
            v_real x_hat = v_fma(v_load_part(x + j, lanes) - center, scale, offset);
            v_store_part(dx + j, (gradient - mean_gradient - x_hat * mean_product) * scale, lanes);
        }
        dx += features;
    }
}
