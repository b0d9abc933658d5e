/* Sums, arithmetic and dropout. */
#include "typed.h"

static void one_add(ptrdiff_t n) {
    case_begins("add %td", n);
    real *a = random_reals(n, -1, 1), *b = random_reals(n, -1, 1), *y = reals(n);
    double *wanted = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        wanted[i] = (double)a[i] + (double)b[i];
    }
    CALL(add, n, a, b, y, one_of_threads());
    compare("y", n, y, wanted, wanted, 2);
    case_ends();
}

/* One operand may be small: element i of the other meets element i / inner % middle of it. */
static void one_arithmetic(fnn_arithmetic kind, ptrdiff_t outer, ptrdiff_t middle, ptrdiff_t inner, int small) {
    ptrdiff_t n = outer * middle * inner;
    case_begins("arithmetic %d of %td x %td x %td, small %d", (int)kind, outer, middle, inner, small);
    int a_is_small = small == 1, b_is_small = small == 2;
    real *a = random_reals(a_is_small ? middle : n, 0.5, 2), *b = random_reals(b_is_small ? middle : n, 0.5, 2);
    real *y = reals(n);
    double *wanted = doubles(n), *size = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        double p = (double)a[a_is_small ? i / inner % middle : i], q = (double)b[b_is_small ? i / inner % middle : i];
        wanted[i] = kind == FNN_ADD ? p + q : kind == FNN_SUBTRACT ? p - q : kind == FNN_MULTIPLY ? p * q : p / q;
        size[i] = fabs(wanted[i]);
    }
    CALL(arithmetic, kind, n, middle, inner, a, a_is_small, b, b_is_small, y, one_of_threads());
    compare("y", n, y, wanted, size, 2);
    case_ends();
}

/* The generator, written once more, word by word: Threefry-4x32 with 12 rounds (Salmon et al., 2011). */
static uint32_t random_word(uint64_t key, ptrdiff_t i) {
    static const int rotations[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5}, {6, 20}, {17, 11}, {25, 10}, {18, 20}};
    uint64_t counter = (uint64_t)(i / 64 * 16 + i % 16);
    uint32_t keys[5] = {(uint32_t)key, (uint32_t)(key >> 32), 0, 0, 0x1BD11BDA};
    uint32_t words[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
    for (int k = 0; k < 4; k++) {
        keys[4] ^= keys[k];
        words[k] += keys[k];
    }
    for (int round = 0; round < 12; round++) {
        for (int pair = 0; pair < 2; pair++) {
            uint32_t *left = words + 2 * pair, *right = words + (round % 2 ? 3 - 2 * pair : 2 * pair + 1);
            int bits = rotations[round % 8][pair];
            *left += *right;
            *right = (*right << bits | *right >> (32 - bits)) ^ *left;
        }
        if (round % 4 == 3) {
            for (int k = 0; k < 4; k++) {
                words[k] += keys[(round / 4 + 1 + k) % 5];
            }
            words[3] += (uint32_t)(round / 4 + 1);
        }
    }
    return words[i % 64 / 16];
}

static void one_dropout(ptrdiff_t n) {
    case_begins("dropout of %td", n);
    uint64_t key = random_bits();
    uint32_t threshold = (uint32_t)random_bits();
    double scale = uniform(1, 2);
    real *x = random_reals(n, -1, 1), *y = reals(n);
    double *wanted = doubles(n);
    for (ptrdiff_t i = 0; i < n; i++) {
        wanted[i] = random_word(key, i) < threshold ? 0 : (double)x[i] * (double)(real)scale;
    }
    CALL(dropout, n, key, threshold, scale, x, y, one_of_threads());
    compare("y", n, y, wanted, wanted, 2);
    case_ends();
}

static void one_channel_dropout(ptrdiff_t rows, ptrdiff_t columns) {
    case_begins("dropout of channels, %td x %td", rows, columns);
    real *x = random_reals(rows * columns, -1, 1), *factors = random_reals(columns, 1, 2), *y = reals(rows * columns);
    double *wanted = doubles(rows * columns);
    for (ptrdiff_t c = 0; c < columns; c++) {
        factors[c] = between(0, 1) ? factors[c] : 0;
    }
    if (rows > 0 && factors[0] == 0) {
        x[0] = (real)INFINITY; /* dropped, not multiplied with 0 */
    }
    for (ptrdiff_t i = 0; i < rows * columns; i++) {
        wanted[i] = factors[i % columns] == 0 ? 0 : (double)x[i] * (double)factors[i % columns];
    }
    CALL(dropout_channels, rows, columns, x, factors, y, one_of_threads());
    compare("y", rows * columns, y, wanted, wanted, 2);
    case_ends();
}

TEST(pointwise) {
    one_add(0);
    one_dropout(0);
    for (int i = 0; i < 12; i++) {
        one_add(some_length(400));
        one_dropout(some_length(400));
        one_channel_dropout(some_length(50), some_length(80));
        for (int kind = FNN_ADD; kind <= FNN_DIVIDE; kind++) {
            int small = i % 3;
            one_arithmetic((fnn_arithmetic)kind, some_length(9), some_length(20), small ? some_length(20) : 1, small);
        }
    }
    one_add(70001);
    one_dropout(70001);
    one_channel_dropout(900, 67);
    one_arithmetic(FNN_SUBTRACT, 17, 64, 65, 2);
}
