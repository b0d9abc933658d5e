/* Convolutions by Winograd's algorithm.
 *
 * A tile is transformed, multiplied and transformed back. Along one axis a transform makes numbers larger by at most the
 * largest sum of absolute values in a row of its matrix (kernels/winograd_rows.h): the three of two outputs by 3, 1.5 and 2,
 * together 9, those of four by 8.6, 1.22 and 5.7, together 60; their transposes, which the gradient of the weights has, by 2, 2 and
 * 2, together 8, or by 2.2, 5.7 and 8.1, together 102. All operands are at most 1, so a sum of `count` products has an error of at
 * most (count + the roundings of the transforms, below 40) * UNIT * count * the growth along both axes. With one rounding of
 * float this is loose; the same source in double shows a fault that hides in there. */
#include "convolution.h"

typedef struct {
    fnn_conv2d_algorithm algorithm;
    double growth, transposed_growth;
    ptrdiff_t tile_h, tile_w;
} variant;

static const double *constant(ptrdiff_t n, double value) {
    double *x = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        x[i] = value;
    }
    return x;
}

static void one_winograd(variant v, fnn_conv2d_shape s) {
    s.algorithm = v.algorithm;
    if (!has_result(&s)) {
        return;
    }
    name_case(&s);
    convolution c = convolve(&s);
    real *y = reals(c.n_y), *dx = reals(c.n_x), *dweight = reals(c.n_weight),
         *dbias = between(0, 1) ? reals(s.c_out) : NULL;
    double in = (double)s.c_in + 1, out = (double)s.c_out + 1; /* and bias or addend */
    run_direction(&c, FNN_FORWARD, &(fnn_conv2d_operands){.x = c.x, .weight = c.weight, .bias = c.bias, .y = y});
    compare("y", c.n_y, y, c.y, constant(c.n_y, v.growth * in), in + 40);
    run_direction(&c, FNN_BACKWARD_DATA,
                  &(fnn_conv2d_operands){.dy = c.dy, .weight = c.weight, .addend = c.addend, .dx = dx});
    compare("dx", c.n_x, dx, c.dx, constant(c.n_x, v.growth * out), out + 40);
    run_direction(&c, FNN_BACKWARD_WEIGHT,
                  &(fnn_conv2d_operands){.x = c.x, .dy = c.dy, .dweight = dweight, .dbias = dbias});
    double tiles = (double)(s.n * ((s.h_out + v.tile_h) / v.tile_h) * ((s.w_out + v.tile_w) / v.tile_w));
    compare("dweight", c.n_weight, dweight, c.dweight, constant(c.n_weight, v.transposed_growth * tiles), tiles + 40);
    if (dbias != NULL) {
        compare("dbias", s.c_out, dbias, c.dbias, c.dbias_size, (double)(s.n * s.h_out * s.w_out) + 2);
    }
    case_ends();
}

TEST(winograd) {
    static const variant variants[] = {
        {FNN_WINOGRAD, 9 * 9, 8 * 8, 2, 2},
        {FNN_WINOGRAD24, 9 * 60, 8 * 102, 2, 4},
        {FNN_WINOGRAD4, 60 * 60, 102 * 102, 4, 4},
    };
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 10; k++) {
            fnn_conv2d_shape s =
                shape_of(between(1, 4), between(1, 11), between(1, 11), some_length(40), some_length(40), 1, 3, 3);
            s.pad_top = between(0, 2), s.pad_left = between(0, 2);
            one_winograd(variants[i], s);
        }
        fnn_conv2d_shape s = shape_of(2, 14, 15, 33, 70, 1, 3, 3);
        s.pad_top = s.pad_left = 1;
        one_winograd(variants[i], s);
    }
}
