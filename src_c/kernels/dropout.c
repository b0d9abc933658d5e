/* Dropout with counter-based random numbers: word i of a key is a function of the key and i and nothing else.
 *
 * The generator is Threefry-4x32 with 12 rounds (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3"; 12
 * is the least number that passes BigCrush there). It adds, rotates and exclusive-ors words of 32 bits: in plain C,
 * compilers make vectors of it on every ISA without a shuffle, which they do not of the wide products of Philox. A
 * counter gives four words. In the block of words 64 b ... 64 b + 63, word 16 j + i is word j of counter 16 b + i. */
#include "kernels/kernel.h"

enum { ROUNDS = 12, COUNTERS = 16, BLOCK = 4 * COUNTERS };

INLINE uint32_t rotate(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

INLINE void threefry_block(uint64_t key, uint64_t block, uint32_t words[BLOCK]) {
    static const int rotations[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5}, {6, 20}, {17, 11}, {25, 10}, {18, 20}};
    const uint32_t low = (uint32_t)key, high = (uint32_t)(key >> 32);
    const uint32_t keys[5] = {low, high, 0, 0, 0x1BD11BDAu ^ low ^ high};
    for (int i = 0; i < COUNTERS; i++) {
        uint64_t counter = block * COUNTERS + (uint64_t)i;
        uint32_t a = (uint32_t)counter + keys[0], b = (uint32_t)(counter >> 32) + keys[1], c = keys[2], d = keys[3];
#pragma GCC unroll 12
        for (int round = 0; round < ROUNDS; round++) {
            const int *bits = rotations[round % 8];
            a += b;
            c += d;
            uint32_t b_mixed = rotate(b, bits[0]) ^ a, d_mixed = rotate(d, bits[1]) ^ c;
            b = d_mixed; /* odd rounds mix (a, d) and (c, b) */
            d = b_mixed;
            if (round % 4 == 3) { /* the key is added again, one word further each time */
                int turn = round / 4 + 1;
                a += keys[turn % 5];
                b += keys[(turn + 1) % 5];
                c += keys[(turn + 2) % 5];
                d += keys[(turn + 3) % 5] + (uint32_t)turn;
            }
        }
        words[i] = a;
        words[i + COUNTERS] = b;
        words[i + 2 * COUNTERS] = c;
        words[i + 3 * COUNTERS] = d;
    }
}

/* y[i] = 0 where word first + i is below threshold, else x[i] * scale; `first` is a multiple of BLOCK. y may be x. */
void KERNEL(dropout)(ptrdiff_t first, ptrdiff_t n, uint64_t key, uint32_t threshold, real scale, const real *x,
                     real *y) {
    uint32_t words[BLOCK];
    for (ptrdiff_t begin = 0; begin < n; begin += BLOCK) {
        threefry_block(key, (uint64_t)(first + begin) / BLOCK, words);
        ptrdiff_t end = n - begin < BLOCK ? n - begin : BLOCK;
        for (ptrdiff_t i = 0; i < end; i++) {
            real kept = x[begin + i] * scale;
            y[begin + i] = words[i] < threshold ? 0 : kept;
        }
    }
}

/* y[r][c] = 0 where factors[c] is 0, else x[r][c] * factors[c]. y may be x. */
void KERNEL(dropout_channels)(ptrdiff_t rows, ptrdiff_t columns, const real *factors, const real *x, real *y) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t c = 0; c < columns; c += V_LANES) {
            ptrdiff_t lanes = v_lanes_left(columns - c), i = r * columns + c;
            v_real factor = v_load_part(factors + c, lanes);
            v_real kept = v_load_part(x + i, lanes) * factor;
            v_store_part(y + i, v_select(v_eq(factor, v_zero()), v_zero(), kept), lanes);
        }
    }
}
