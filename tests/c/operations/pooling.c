/* Max and average pooling, over windows that are lists of pixels. */
#include "typed.h"

/* One axis in both directions: window o covers the pixels o * stride - pad + tap * dilation that lie in the image. */
typedef struct {
    ptrdiff_t size, out, kernel;
    fnn_pool_axis forward, backward;
    ptrdiff_t *divisor;
} axis;

static ptrdiff_t pixel_of(ptrdiff_t o, ptrdiff_t tap, ptrdiff_t stride, ptrdiff_t pad, ptrdiff_t dilation,
                          ptrdiff_t size) {
    ptrdiff_t pixel = o * stride - pad + tap * dilation;
    return pixel >= 0 && pixel < size ? pixel : -1;
}

static axis axis_of(ptrdiff_t size, ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t dilation) {
    /* Of a dilated window, padding might leave no pixel. */
    ptrdiff_t reach = (kernel - 1) * dilation + 1, pad = dilation > 1 ? 0 : between(0, kernel / 2);
    while (size + 2 * pad < reach) {
        size++;
    }
    axis a = {.size = size, .out = (size + 2 * pad - reach) / stride + 1, .kernel = kernel};
    ptrdiff_t *begin = sizes(a.out + 1), *source_begin = sizes(size + 1), n = 0;
    fnn_pool_entry *entries = guarded(a.out * kernel * (ptrdiff_t)sizeof *entries, 0);
    fnn_pool_entry *source_entries = guarded(a.out * kernel * (ptrdiff_t)sizeof *entries, 0);
    a.divisor = sizes(a.out);
    for (ptrdiff_t o = 0; o < a.out; o++) {
        begin[o] = n;
        for (ptrdiff_t tap = 0; tap < kernel; tap++) {
            ptrdiff_t pixel = pixel_of(o, tap, stride, pad, dilation, size);
            if (pixel >= 0) {
                entries[n++] = (fnn_pool_entry){pixel, tap};
            }
        }
        a.divisor[o] = n - begin[o];
    }
    begin[a.out] = n;
    n = 0;
    for (ptrdiff_t pixel = 0; pixel < size; pixel++) {
        source_begin[pixel] = n;
        for (ptrdiff_t o = 0; o < a.out; o++) {
            for (ptrdiff_t tap = 0; tap < kernel; tap++) {
                if (pixel_of(o, tap, stride, pad, dilation, size) == pixel) {
                    source_entries[n++] = (fnn_pool_entry){o, tap};
                }
            }
        }
    }
    source_begin[size] = n;
    a.forward = (fnn_pool_axis){a.out, begin, entries};
    a.backward = (fnn_pool_axis){size, source_begin, source_entries};
    return a;
}

static int tap_at(const void *taps, int tap_bytes, ptrdiff_t i) {
    return tap_bytes == 1 ? ((const uint8_t *)taps)[i] : ((const int32_t *)taps)[i];
}

static void one_pooling(ptrdiff_t h, ptrdiff_t w, ptrdiff_t row, ptrdiff_t kernel_h, ptrdiff_t kernel_w,
                        ptrdiff_t stride, ptrdiff_t dilation, int tap_bytes) {
    axis y_axis = axis_of(h, kernel_h, stride, dilation), x_axis = axis_of(w, kernel_w, stride, dilation);
    h = y_axis.size, w = x_axis.size;
    case_begins("%td x %td of %td, kernel %td x %td, stride %td, dilation %td", h, w, row, kernel_h, kernel_w, stride,
                dilation);
    fnn_pool_shape forward = {y_axis.forward, x_axis.forward, row, w, kernel_w, y_axis.divisor, x_axis.divisor};
    fnn_pool_shape backward = {y_axis.backward, x_axis.backward, row,           x_axis.out,
                               kernel_w,        y_axis.divisor,  x_axis.divisor};
    ptrdiff_t n = h * w * row, n_out = y_axis.out * x_axis.out * row;
    /* Rows of whole cache lines at one: large results are written past the caches. */
    real *x = random_reals(n, -1, 1), *dy = random_reals(n_out, -1, 1);
    real *y = guarded(n_out * (ptrdiff_t)sizeof(real), 0), *dx = guarded(n * (ptrdiff_t)sizeof(real), 0);
    void *taps = guarded(n_out * tap_bytes, 0);
    double *wanted = doubles(n_out), *average = doubles(n_out), *size = doubles(n_out);
    double *gradient = zeros(n), *gradient_size = zeros(n), *spread = zeros(n), *spread_size = zeros(n);
    double most = (double)(kernel_h * kernel_w) + 4;
    int32_t *winners = guarded(n_out * (ptrdiff_t)sizeof(int32_t), 0);
    for (ptrdiff_t i = 0; i < n_out; i++) {
        ptrdiff_t o_h = i / row / x_axis.out, o_w = i / row % x_axis.out, c = i % row, best = -1;
        double sum = 0, sum_size = 0, count = (double)(y_axis.divisor[o_h] * x_axis.divisor[o_w]);
        for (ptrdiff_t a = y_axis.forward.begin[o_h]; a < y_axis.forward.begin[o_h + 1]; a++) {
            for (ptrdiff_t b = x_axis.forward.begin[o_w]; b < x_axis.forward.begin[o_w + 1]; b++) {
                fnn_pool_entry p = y_axis.forward.entries[a], q = x_axis.forward.entries[b];
                ptrdiff_t at = (p.source * w + q.source) * row + c;
                if (best < 0 || x[at] > x[best]) {
                    best = at;
                    winners[i] = (int32_t)(p.tap * kernel_w + q.tap);
                }
                sum += (double)x[at];
                sum_size += fabs((double)x[at]);
                spread[at] += (double)dy[i] / count;
                spread_size[at] += fabs((double)dy[i]) / count;
            }
        }
        wanted[i] = (double)x[best];
        average[i] = sum / count;
        size[i] = sum_size / count;
        gradient[best] += (double)dy[i];
        gradient_size[best] += fabs((double)dy[i]);
    }
    CALL(maxpool2d_forward, &forward, x, y, NULL, 0, one_of_threads());
    compare("max without taps", n_out, y, wanted, wanted, 0);
    memset(y, 0xFF, (size_t)n_out * sizeof(real));
    CALL(maxpool2d_forward, &forward, x, y, taps, tap_bytes, one_of_threads());
    compare("max", n_out, y, wanted, wanted, 0);
    for (ptrdiff_t i = 0; i < n_out; i++) {
        compare_one("tap", i, tap_at(taps, tap_bytes, i), winners[i], 0);
    }
    CALL(maxpool2d_backward, &backward, dy, taps, tap_bytes, dx, one_of_threads());
    compare("dx of max", n, dx, gradient, gradient_size, most);
    memset(y, 0xFF, (size_t)n_out * sizeof(real));
    memset(dx, 0xFF, (size_t)n * sizeof(real));
    CALL(avgpool2d_forward, &forward, x, y, one_of_threads());
    compare("average", n_out, y, average, size, most);
    CALL(avgpool2d_backward, &backward, dy, dx, one_of_threads());
    compare("dx of average", n, dx, spread, spread_size, most);
    case_ends();
}

TEST(pooling) {
    for (int i = 0; i < 16; i++) {
        one_pooling(between(1, 9), between(1, 9), some_length(70), between(1, 5), between(1, 5), between(1, 3),
                    between(1, 2), i % 2 ? 1 : 4);
    }
    one_pooling(20, 20, 33, 17, 16, 3, 1, 4); /* more taps than one kernel call takes, and than a byte can number */
    one_pooling(30, 30, 130, 2, 2, 2, 1, 1);
    if (mutated_slot < 0) {
        one_pooling(65, 64, 1024, 1, 1, 1, 1, 1); /* past the caches */
    }
}
