/* Convolutions and linear layers, by every way but Winograd's. A result is a sum of products, and its error that of such a
 * sum in any order (typed.h). */
#include "convolution.h"

static void check_norm(const convolution *c, double operations) {
    ptrdiff_t channels = c->s.c_out;
    fnn_then then = (fnn_then)between(FNN_THEN_NOTHING, FNN_THEN_SILU);
    real *mean = random_reals(channels, -1, 1), *variance = random_reals(channels, 0.5, 2);
    real *weight = random_or_null(channels, -1, 1), *bias = random_or_null(channels, -1, 1);
    real *residual = then == FNN_THEN_GELU || then == FNN_THEN_SILU ? NULL : random_or_null(c->n_y, -1, 1);
    fnn_norm norm = {mean, variance, weight, bias, residual, 1e-3, then};
    real *y = reals(c->n_y);
    double *wanted = doubles(c->n_y), *size = doubles(c->n_y);
    for (ptrdiff_t i = 0; i < c->n_y; i++) {
        ptrdiff_t k = i % channels;
        double scale = (weight == NULL ? 1 : (double)weight[k]) / sqrt((double)variance[k] + norm.eps);
        double offset = (bias == NULL ? 0 : (double)bias[k]), more = residual == NULL ? 0 : (double)residual[i];
        double z = (c->y[i] - (double)mean[k]) * scale + offset + more;
        wanted[i] = then_of(then, z);
        size[i] = 1.2 * ((c->y_size[i] + fabs((double)mean[k])) * fabs(scale) + fabs(offset) + fabs(more));
    }
    run_direction(c, FNN_FORWARD,
                  &(fnn_conv2d_operands){.x = c->x, .weight = c->weight, .bias = c->bias, .norm = &norm, .y = y});
    compare("y with norm", c->n_y, y, wanted, size, operations + 30);
}

static void one_convolution(fnn_conv2d_shape s) {
    if (!has_result(&s)) {
        return;
    }
    name_case(&s);
    convolution c = convolve(&s);
    real *y = reals(c.n_y), *dx = reals(c.n_x), *dweight = reals(c.n_weight),
         *dbias = between(0, 1) ? reals(s.c_out) : NULL;
    double taps = (double)(s.kernel_h * s.kernel_w), results = (double)(s.n * s.h_out * s.w_out);
    run_direction(&c, FNN_FORWARD, &(fnn_conv2d_operands){.x = c.x, .weight = c.weight, .bias = c.bias, .y = y});
    compare("y", c.n_y, y, c.y, c.y_size, taps * (double)(s.c_in / s.groups) + 2);
    check_norm(&c, taps * (double)(s.c_in / s.groups) + 2);
    run_direction(&c, FNN_BACKWARD_DATA,
                  &(fnn_conv2d_operands){.dy = c.dy, .weight = c.weight, .addend = c.addend, .dx = dx});
    compare("dx", c.n_x, dx, c.dx, c.dx_size, taps * (double)(s.c_out / s.groups) + 2);
    run_direction(&c, FNN_BACKWARD_WEIGHT,
                  &(fnn_conv2d_operands){.x = c.x, .dy = c.dy, .dweight = dweight, .dbias = dbias});
    compare("dweight", c.n_weight, dweight, c.dweight, c.dweight_size, results + 2);
    if (dbias != NULL) {
        compare("dbias", s.c_out, dbias, c.dbias, c.dbias_size, results + 2);
    }
    case_ends();
}

static void some_convolution(int is_strange) {
    static const ptrdiff_t groups[] = {1, 1, 2, 3, 4, 8, 16};
    ptrdiff_t g = is_strange ? groups[between(0, 6)] : 1;
    fnn_conv2d_shape s = shape_of(between(1, 6), between(1, 10), between(1, 10), g * some_length(g == 1 ? 40 : 8),
                                  g * some_length(g == 1 ? 40 : 8), g, between(1, 5), between(1, 5));
    s.algorithm = (fnn_conv2d_algorithm)(between(0, 3) ? FNN_DIRECT : FNN_IM2COL);
    s.stride_h = between(1, is_strange ? 4 : 1), s.stride_w = between(1, is_strange ? 4 : 2);
    s.dilation_h = between(1, is_strange ? 3 : 1), s.dilation_w = between(1, is_strange ? 3 : 1);
    s.pad_top = between(0, 4), s.pad_left = between(0, 4);
    one_convolution(s);
}

static void linear(ptrdiff_t n, ptrdiff_t c_in, ptrdiff_t c_out) {
    one_convolution(shape_of(n, 1, 1, c_in, c_out, 1, 1, 1));
}

static void depthwise(ptrdiff_t n, ptrdiff_t size, ptrdiff_t channels, ptrdiff_t multiplier, ptrdiff_t stride) {
    fnn_conv2d_shape s = shape_of(n, size, size, channels, channels * multiplier, channels, 3, 3);
    s.stride_h = s.stride_w = stride;
    s.pad_top = s.pad_left = 1;
    one_convolution(s);
}

TEST(conv2d) {
    for (int i = 0; i < 30; i++) {
        some_convolution(i % 2);
        linear(some_length(40), some_length(150), some_length(150));
    }
    for (int i = 0; i < 6; i++) {
        depthwise(between(1, 4), between(1, 8), some_length(70), 1, between(1, 2));
        depthwise(between(1, 4), between(1, 8), some_length(20), 2, between(1, 2));
    }
    linear(1, 300, 700); /* few rows */
    linear(9, 300, 700);
    linear(300, 70, 90);
    fnn_conv2d_shape planes = shape_of(2, 20, 21, 3, 40, 1, 7, 7);
    planes.stride_h = planes.stride_w = 2;
    planes.pad_top = planes.pad_left = 3;
    one_convolution(planes);
    one_convolution(shape_of(3, 12, 12, 1, 6, 1, 5, 5));
    fnn_conv2d_shape groups = shape_of(3, 9, 9, 32, 32, 8, 3, 3);
    groups.pad_top = groups.pad_left = 1;
    one_convolution(groups);
}
