/* Computes c = a b, matrices of 128 x 128 floats, on one thread: `product ISA TIMES`, with the ISA's number (fnn.h). What
 * n + 1 times take more than n is what one product takes (test_instructions.py). */
#include <stdlib.h>

#include "fnn.h"

enum { SIZE = 128 };
static float a[SIZE * SIZE], b[SIZE * SIZE], c[SIZE * SIZE], transposed[SIZE * SIZE];

int main(int count, char **words) {
    if (count != 3) {
        return 1;
    }
    for (int i = 0; i < SIZE * SIZE; i++) {
        a[i] = (float)(i % 7), b[i] = (float)(i % 5);
    }
    fnn_isa_select((fnn_isa)atoi(words[1]));
    for (int times = atoi(words[2]); times > 0; times--) {
        fnn_matmul_f32(FNN_TIMES, 1, SIZE, SIZE, SIZE, a, b, transposed, c, 1);
    }
    return c[0] != 758;
}
