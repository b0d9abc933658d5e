/* Dropout with counter-based random numbers: word i of a key is a function of the key and i and nothing else.
 *
 * The generator is Philox-4x32 with 7 rounds (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3"; 7 is
 * the least number that passes BigCrush there). A counter gives four words. Words are numbered so that vectors need no
 * shuffles: in the block of words 64 b ... 64 b + 63, word 16 j + i is word j of counter 16 b + i. Integers only, in
 * plain C, which compilers make vectors of; so the bits are the same on every ISA. */
#include "kernels/kernel.h"

enum { ROUNDS = 7, COUNTERS = 16, BLOCK = 4 * COUNTERS };

INLINE void philox_block(uint64_t key, uint64_t block, uint32_t words[BLOCK]) {
    for (int i = 0; i < COUNTERS; i++) {
        uint64_t counter = block * COUNTERS + (uint64_t)i;
        uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = 0, c3 = 0;
        uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);
#pragma GCC unroll 8
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t product0 = (uint64_t)0xD2511F53u * c0, product1 = (uint64_t)0xCD9E8D57u * c2;
            c0 = (uint32_t)(product1 >> 32) ^ c1 ^ key0;
            c1 = (uint32_t)product1;
            c2 = (uint32_t)(product0 >> 32) ^ c3 ^ key1;
            c3 = (uint32_t)product0;
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
        words[i] = c0;
        words[i + COUNTERS] = c1;
        words[i + 2 * COUNTERS] = c2;
        words[i + 3 * COUNTERS] = c3;
    }
}

/* y[i] = 0 where word first + i is below threshold, else x[i] * scale; `first` is a multiple of BLOCK. y may be x. */
void KERNEL(dropout)(ptrdiff_t first, ptrdiff_t n, uint64_t key, uint32_t threshold, real scale, const real *x, real *y) {
    uint32_t words[BLOCK];
    for (ptrdiff_t begin = 0; begin < n; begin += BLOCK) {
        philox_block(key, (uint64_t)(first + begin) / BLOCK, words);
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
