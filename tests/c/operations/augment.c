/* Batches cut out of images of bytes, and images seen through a map. */
#include "typed.h"

static ptrdiff_t inside(ptrdiff_t at, ptrdiff_t size, int reflect) {
    if (at >= 0 && at < size) {
        return at;
    }
    return !reflect ? -1 : at < 0 ? -at : 2 * (size - 1) - at;
}

static void one_batch(ptrdiff_t n, ptrdiff_t c, ptrdiff_t h, ptrdiff_t w, int reflect) {
    case_begins("batch of %td, %td channels, %td x %td, reflect %d", n, c, h, w, reflect);
    enum { IMAGES = 5 };
    fnn_augment_shape s = {IMAGES, n, c, h, w, reflect};
    uint8_t *images = guarded(IMAGES * c * h * w, 0), *flips = guarded(n, 0);
    int64_t *indices = guarded(n * 8, 0), *shifts = guarded(2 * n * 8, 0), *boxes = guarded(4 * n * 8, 0);
    real *table = random_reals(c * 256, -1, 1), *fill = random_reals(c, -1, 1), *out = reals(h * w * n * c);
    for (ptrdiff_t i = 0; i < IMAGES * c * h * w; i++) {
        images[i] = (uint8_t)random_bits();
    }
    for (ptrdiff_t k = 0; k < n; k++) {
        indices[k] = between(0, IMAGES - 1), flips[k] = (uint8_t)between(0, 1);
        shifts[2 * k] = between(1 - h, h - 1), shifts[2 * k + 1] = between(1 - w, w - 1);
        boxes[4 * k] = between(-2, h), boxes[4 * k + 1] = between(-2, w);
        boxes[4 * k + 2] = boxes[4 * k] + between(0, 4), boxes[4 * k + 3] = boxes[4 * k + 1] + between(0, 4);
    }
    CALL(augment_batch, &s, images, indices, shifts, flips, boxes, table, fill, out, one_of_threads());
    for (ptrdiff_t i = 0; i < h * w * n * c; i++) {
        ptrdiff_t channel = i % c, k = i / c % n, column = i / c / n % w, row = i / c / n / w;
        const int64_t *box = boxes + 4 * k;
        ptrdiff_t from_h = inside(row + shifts[2 * k], h, reflect);
        ptrdiff_t from_w = inside((flips[k] ? w - 1 - column : column) + shifts[2 * k + 1], w, reflect);
        uint8_t byte = from_h < 0 || from_w < 0 ? 0 : images[((indices[k] * c + channel) * h + from_h) * w + from_w];
        int is_cut = row >= box[0] && row < box[2] && column >= box[1] && column < box[3];
        compare_one("out", i, (double)out[i], is_cut ? (double)fill[channel] : (double)table[channel * 256 + byte], 0);
    }
    case_ends();
}

/* A position has the error of three terms up to 4 * size; the sample moves by at most 4 times as much, since values differ by
 * at most 2 along each axis; its four terms round too. */
static void one_warp(ptrdiff_t n, ptrdiff_t c, ptrdiff_t h, ptrdiff_t w) {
    case_begins("map of %td images, %td channels, %td x %td", n, c, h, w);
    real *x = random_reals(h * w * n * c, -1, 1), *maps = random_reals(6 * n, -1.5, 1.5), *out = reals(h * w * n * c);
    real fill = (real)0.25;
    for (ptrdiff_t k = 0; k < n; k++) {
        maps[6 * k + 2] = (real)uniform(-2, (double)h), maps[6 * k + 5] = (real)uniform(-2, (double)w);
    }
    CALL(warp_batch, n, c, h, w, x, maps, fill, out, one_of_threads());
    for (ptrdiff_t i = 0; i < h * w * n * c; i++) {
        ptrdiff_t channel = i % c, k = i / c % n, column = i / c / n % w, row = i / c / n / w;
        const real *m = maps + 6 * k;
        double at_h = (double)m[0] * (double)row + (double)m[1] * (double)column + (double)m[2];
        double at_w = (double)m[3] * (double)row + (double)m[4] * (double)column + (double)m[5], wanted = 0;
        for (int corner = 0; corner < 4; corner++) {
            double from_h = floor(at_h) + corner / 2, from_w = floor(at_w) + corner % 2;
            double share = (1 - fabs(at_h - from_h)) * (1 - fabs(at_w - from_w)), value = (double)fill;
            if (from_h >= 0 && from_h < (double)h && from_w >= 0 && from_w < (double)w) {
                value = (double)x[(((ptrdiff_t)from_h * w + (ptrdiff_t)from_w) * n + k) * c + channel];
            }
            wanted += share * value;
        }
        compare_one("out", i, (double)out[i], wanted, 4 * UNIT * (3 * 4 * (double)(h + w) + 8));
    }
    case_ends();
}

TEST(augment) {
    for (int i = 0; i < 16; i++) {
        one_batch(some_length(40), between(1, 4), between(1, 12), between(1, 12), i % 2);
        one_warp(some_length(9), between(1, 5), between(1, 12), between(1, 12));
    }
    one_batch(65, 3, 32, 32, 1);
    one_warp(20, 3, 32, 32);
}
