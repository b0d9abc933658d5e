/* Patches of images, and images from patches. */
#include "convolution.h"

static void one_im2col(fnn_conv2d_shape s) {
    if (!has_result(&s)) {
        return;
    }
    name_case(&s);
    ptrdiff_t taps = s.kernel_h * s.kernel_w, pixels = s.h_out * s.w_out, planes = s.n * s.c_in;
    ptrdiff_t n_x = planes * s.h * s.w, n_columns = planes * taps * pixels;
    real *x = random_reals(n_x, -1, 1), *columns = reals(n_columns), *patches = random_reals(n_columns, -1, 1);
    real *image = reals(n_x);
    double *wanted = zeros(n_columns), *sum = zeros(n_x), *size = zeros(n_x);
    for (ptrdiff_t i = 0; i < n_columns; i++) {
        ptrdiff_t o = i % pixels, tap = i / pixels % taps, plane = i / pixels / taps;
        ptrdiff_t h = o / s.w_out * s.stride_h - s.pad_top + tap / s.kernel_w * s.dilation_h;
        ptrdiff_t w = o % s.w_out * s.stride_w - s.pad_left + tap % s.kernel_w * s.dilation_w;
        if (h >= 0 && h < s.h && w >= 0 && w < s.w) {
            ptrdiff_t at = (plane * s.h + h) * s.w + w;
            wanted[i] = (double)x[at];
            sum[at] += (double)patches[i], size[at] += fabs((double)patches[i]);
        }
    }
    CALL(im2col, &s, x, columns, one_of_threads());
    compare("columns", n_columns, columns, wanted, wanted, 0);
    CALL(col2im, &s, patches, image, one_of_threads());
    compare("image", n_x, image, sum, size, (double)taps + 1);
    case_ends();
}

TEST(im2col) {
    for (int i = 0; i < 20; i++) {
        fnn_conv2d_shape s =
            shape_of(between(1, 3), between(1, 12), between(1, 12), between(1, 5), 1, 1, between(1, 4), between(1, 4));
        s.stride_h = between(1, 3), s.stride_w = between(1, 3);
        s.dilation_h = between(1, 2), s.dilation_w = between(1, 2);
        s.pad_top = between(0, 3), s.pad_left = between(0, 3);
        one_im2col(s);
    }
    one_im2col(shape_of(4, 40, 40, 3, 1, 1, 3, 3));
}
