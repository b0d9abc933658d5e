/* The register kernel under every convolution and linear layer; core/kernels.h states the problem it solves.
 *
 * Each element of c is one chain of multiply-adds over (b, k) in ascending order, whatever the tile it falls into, so
 * results do not depend on how rows and columns were cut.
 */
#include "kernels/gemm_shape.h"
#include "kernels/kernel.h"

enum { FETCH_STEPS = 8 }; /* between the fetches of one row and the next */

/* How a lies: [row][k], [k][row], or, in tiles that exist once for both, as the problem says. */
enum { ROWS_OF_A, COLUMNS_OF_A, EITHER };

/* What one row of b adds to a tile: sum[i][v] += a[i] * b[v]. Of columns, a[i] are one piece of a row; else each is the next
 * of a row of its own, which `thirds`, every third row, reach. */
INLINE void add_row(v_real (*sum)[4], const real *a, const real *const *thirds, ptrdiff_t row_stride, const real *b,
                    ptrdiff_t lanes, const int ROWS, const int VECTORS, const int FULL, const int LAYOUT) {
    v_real b_row[4], a_lanes[(24 + V_LANES - 1) / V_LANES]; /* a row of a, where its lanes are multiplied by */
    const int BY_LANES = GEMM_BY_LANES && LAYOUT == COLUMNS_OF_A;
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) {
        const real *from = b + v * V_LANES;
        b_row[v] = FULL || v < VECTORS - 1 ? v_load(from) : v_load_part(from, lanes);
    }
#pragma GCC unroll 24
    for (int i = 0; BY_LANES && i < ROWS; i += V_LANES) {
        a_lanes[i / V_LANES] = v_load_part(a + i, ROWS - i < V_LANES ? ROWS - i : V_LANES);
    }
#pragma GCC unroll 24
    for (int i = 0; i < ROWS; i++) {
        v_real a_value = v_set(LAYOUT != COLUMNS_OF_A ? thirds[i / 3][(i % 3) * row_stride]
                               : BY_LANES             ? a_lanes[i / V_LANES][i % V_LANES]
                                                      : a[i]);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            sum[i][v] = v_fma(a_value, b_row[v], sum[i][v]);
        }
    }
}

/* The same of V_LANES rows of b, to a full tile of the most vectors: rows of a are read a vector at a time, which leaves
 * registers for two vectors of b. */
INLINE void add_rows_by_lanes(v_real (*sum)[4], const real *const *thirds, ptrdiff_t a_stride, const real *b,
                              ptrdiff_t b_stride, const int ROWS) {
    v_real a_lanes[GEMM_ROWS];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++) {
        a_lanes[i] = v_load(thirds[i / 3] + (i % 3) * a_stride);
    }
#pragma GCC unroll 4
    for (int k = 0; k < V_LANES; k++) {
#pragma GCC unroll 2
        for (int v = 0; v < GEMM_MAX_VECTORS; v += 2) {
            const real *from = b + k * b_stride + v * V_LANES;
            v_real b_first = v_load(from), b_second = v_load(from + V_LANES);
#pragma GCC unroll 6
            for (int i = 0; i < ROWS; i++) {
                v_real a_value = v_set(a_lanes[i][k]);
                sum[i][v] = v_fma(a_value, b_first, sum[i][v]);
                sum[i][v + 1] = v_fma(a_value, b_second, sum[i][v + 1]);
            }
        }
    }
}

/* One tile: ROWS x (VECTORS * V_LANES), all in registers. `lanes` are the used lanes of the last vector; FULL says
 * that they are all used. The compiler unrolls everything but the loops over b and k, since ROWS, VECTORS, FULL and
 * LAYOUT are constants wherever this is inlined. */
INLINE void tile(const fnn_batch_gemm *p, ptrdiff_t row, ptrdiff_t lanes, int is_transposed, const int ROWS,
                 const int VECTORS, const int FULL, const int LAYOUT) {
    v_real sum[24][4];
    const int last = VECTORS - 1;
    const int TRANSPOSED = LAYOUT == EITHER ? is_transposed : LAYOUT == COLUMNS_OF_A;
    /* Of most of the work: two steps a turn of the loop, 6 to 10 % faster, and more code. */
    const int TWICE = LAYOUT == COLUMNS_OF_A && FULL && ROWS * VECTORS == GEMM_ROWS * GEMM_MAX_VECTORS;
    const int BY_LANES = GEMM_BY_LANES && LAYOUT == ROWS_OF_A && FULL && VECTORS == GEMM_MAX_VECTORS;
#pragma GCC unroll 24
    for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            if (p->start == NULL) {
                sum[i][v] = v_zero();
            } else {
                const real *from = p->start + (row + i) * p->start_stride + v * V_LANES;
                sum[i][v] = FULL || v < last ? v_load(from) : v_load_part(from, lanes);
            }
        }
    }
    const ptrdiff_t depth = p->depth, b_stride = p->b_stride;
    const ptrdiff_t row_stride = TRANSPOSED ? 1 : p->a_stride, step = TRANSPOSED ? p->a_stride : 1;
    /* So far apart, rows of a share a few sets of L1, and no prefetcher of the CPU follows them. */
    const int far = p->a_stride * (ptrdiff_t)sizeof(real) >= 1024;
    for (ptrdiff_t i_batch = 0; i_batch < p->count; i_batch++) {
        const real *a = p->a + p->a_offset[i_batch] + row * row_stride;
        const real *b = p->b + p->b_offset[i_batch];
        /* Rows are reached from one pointer in three: few enough to stay in integer registers. */
        const real *thirds[8];
#pragma GCC unroll 8
        for (int i = 0; i < (ROWS + 2) / 3; i++) {
            thirds[i] = a + 3 * i * row_stride;
        }
        if (!TRANSPOSED && p->count > 1) { /* taps, which read pixels of their own: those of later tiles */
            for (ptrdiff_t k = 0; k < depth; k += 64 / (ptrdiff_t)sizeof(real)) {
#pragma GCC unroll 24
                for (int i = 0; i < ROWS; i++) {
                    v_fetch(a + (4 * ROWS + i) * row_stride + k);
                }
            }
        }
        for (ptrdiff_t k = 0, next = 0; k < depth; next++) {
            /* Mostly there are more sums than L2 holds, so those of the next tile are fetched; a row at a time, since loads
             * would wait for many fetches. */
            const int fetches = TRANSPOSED && next < ROWS;
            const ptrdiff_t end = fetches && depth - k > FETCH_STEPS ? k + FETCH_STEPS : depth;
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) {
                if (fetches) {
                    __builtin_prefetch(p->c + (row + ROWS + next) * p->c_stride + v * V_LANES, 1);
                }
            }
#define STEP                                                                                                           \
    if (LAYOUT == COLUMNS_OF_A && far) {                                                                               \
        __builtin_prefetch(a + 10 * step);                                                                             \
    }                                                                                                                  \
    add_row(sum, a, thirds, row_stride, b, lanes, ROWS, VECTORS, FULL, LAYOUT);                                        \
    a += LAYOUT == COLUMNS_OF_A ? step : 0;                                                                            \
    b += b_stride;                                                                                                     \
    _Pragma("GCC unroll 8") for (int i = 0; i < (ROWS + 2) / 3; i++) { thirds[i] += step; }
            for (; TWICE && k + 1 < end; k += 2) {
                STEP STEP
            }
            for (; BY_LANES && k + V_LANES <= end; k += V_LANES) {
                add_rows_by_lanes(sum, thirds, row_stride, b, b_stride, ROWS);
                b += V_LANES * b_stride;
#pragma GCC unroll 8
                for (int i = 0; i < (ROWS + 2) / 3; i++) {
                    thirds[i] += V_LANES;
                }
            }
            for (; k < end; k++) {
                STEP
            }
#undef STEP
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            real *to = p->c + (row + i) * p->c_stride + v * V_LANES;
            if (FULL || v < last) {
                v_store(to, sum[i][v]);
            } else {
                v_store_part(to, sum[i][v], lanes);
            }
        }
    }
}

/* Tiles that are not the tallest of their width do little of the work, and are most of the tiles. They exist once for both
 * layouts of a and, where the CPU has masks, for whole and partial vectors; with one for each case, gemm alone was a
 * quarter of all kernels' code. */
INLINE void small_tiles(const fnn_batch_gemm *p, ptrdiff_t row, ptrdiff_t rows, int is_transposed, const int VECTORS) {
    const ptrdiff_t lanes = p->columns - (VECTORS - 1) * V_LANES;
    const int IS_WIDEST = VECTORS == GEMM_MAX_VECTORS, TALL = GEMM_TALL(VECTORS);
    switch (rows) {
#define TILE_OF(ROWS)                                                                                                  \
    case ROWS:                                                                                                         \
        if (ROWS >= TALL || (!IS_WIDEST && (ROWS & (ROWS - 1)))) {                                                     \
            return; /* never asked for */                                                                              \
        }                                                                                                              \
        if (!GEMM_HAS_MASKS && lanes == V_LANES) {                                                                     \
            tile(p, row, lanes, is_transposed, ROWS, VECTORS, 1, EITHER);                                              \
        } else {                                                                                                       \
            tile(p, row, lanes, is_transposed, ROWS, VECTORS, 0, EITHER);                                              \
        }                                                                                                              \
        break;
        TILE_OF(16)
        TILE_OF(8)
        TILE_OF(5)
        TILE_OF(4)
        TILE_OF(3)
        TILE_OF(2)
        TILE_OF(1)
#undef TILE_OF
    default:
        break;
    }
}

static __attribute__((noinline)) void small_tile(const fnn_batch_gemm *p, ptrdiff_t row, ptrdiff_t rows,
                                                 int is_transposed) {
    switch ((p->columns + V_LANES - 1) / V_LANES) {
    case 1:
        small_tiles(p, row, rows, is_transposed, 1);
        break;
    case 2:
        small_tiles(p, row, rows, is_transposed, 2);
        break;
#if GEMM_MAX_VECTORS >= 4
    case 3:
        small_tiles(p, row, rows, is_transposed, 3);
        break;
    case 4:
        small_tiles(p, row, rows, is_transposed, 4);
        break;
#endif
    default:
        break;
    }
}

/* The rows of the next tile, of so many that are left. In the widest panels the last ones are shared out evenly, since each
 * tile reads all of b: one image often has runs of 7 or 8 rows. Others take 16, 8, 4, 2 and 1. */
INLINE ptrdiff_t next_rows(ptrdiff_t left, const int VECTORS) {
    if (VECTORS == GEMM_MAX_VECTORS) {
        return left <= GEMM_TALLEST ? left : left < 2 * GEMM_ROWS ? (left + 1) / 2 : GEMM_ROWS;
    }
    ptrdiff_t rows = GEMM_TALL(VECTORS) > 16 ? 16 : GEMM_TALL(VECTORS) > 8 ? 8 : 4;
    if (left >= GEMM_TALL(VECTORS)) {
        return GEMM_TALL(VECTORS);
    }
    while (rows > left) {
        rows /= 2;
    }
    return rows;
}

/* All rows of one panel. */
INLINE void panel(const fnn_batch_gemm *p, const int VECTORS, const int FULL, const int LAYOUT) {
    const ptrdiff_t lanes = p->columns - (VECTORS - 1) * V_LANES;
    for (ptrdiff_t row = 0, rows; row < p->rows; row += rows) {
        rows = next_rows(p->rows - row, VECTORS);
        if (rows == GEMM_TALL(VECTORS)) {
            tile(p, row, lanes, 0, GEMM_TALL(VECTORS), VECTORS, FULL, LAYOUT);
        } else if (GEMM_TALLEST > GEMM_ROWS && VECTORS == GEMM_MAX_VECTORS && rows == GEMM_TALLEST) {
            tile(p, row, lanes, 0, GEMM_TALLEST, VECTORS, FULL, LAYOUT);
        } else {
            small_tile(p, row, rows, LAYOUT == COLUMNS_OF_A);
        }
    }
}

INLINE void panels(const fnn_batch_gemm *p, const int VECTORS, const int LAYOUT) {
    if (p->columns == VECTORS * V_LANES && !(GEMM_MASKS_ARE_FREE && VECTORS < GEMM_MAX_VECTORS)) {
        panel(p, VECTORS, 1, LAYOUT);
    } else {
        panel(p, VECTORS, 0, LAYOUT);
    }
}

INLINE void gemm(const fnn_batch_gemm *p, const int LAYOUT) {
    switch ((p->columns + V_LANES - 1) / V_LANES) {
    case 1:
        panels(p, 1, LAYOUT);
        break;
    case 2:
        panels(p, 2, LAYOUT);
        break;
#if GEMM_MAX_VECTORS >= 4
    case 3:
        panels(p, 3, LAYOUT);
        break;
    case 4:
        panels(p, 4, LAYOUT);
        break;
#endif
    default: /* no columns */
        break;
    }
}

void KERNEL(batch_gemm)(const fnn_batch_gemm *problem) { gemm(problem, ROWS_OF_A); }

void KERNEL(batch_gemm_transposed)(const fnn_batch_gemm *problem) { gemm(problem, COLUMNS_OF_A); }

/* column_sums of VECTORS vectors, chains that do not wait for each other; `lanes` are the used ones of a single vector. */
INLINE void vector_sums(ptrdiff_t rows, const real *x, ptrdiff_t x_stride, real *sums, ptrdiff_t lanes,
                        const int VECTORS) {
    v_real sum[2];
#pragma GCC unroll 2
    for (int v = 0; v < VECTORS; v++) {
        sum[v] = v_zero();
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) {
            const real *from = x + i * x_stride + v * V_LANES;
            sum[v] = sum[v] + (VECTORS > 1 ? v_load(from) : v_load_part(from, lanes));
        }
    }
#pragma GCC unroll 2
    for (int v = 0; v < VECTORS; v++) {
        real *to = sums + v * V_LANES;
        if (VECTORS > 1) {
            v_store(to, v_load(to) + sum[v]);
        } else {
            v_store_part(to, v_load_part(to, lanes) + sum[v], lanes);
        }
    }
}

/* sums[j] += sum over i of x[i][j], rows in ascending order. */
void KERNEL(column_sums)(ptrdiff_t rows, ptrdiff_t columns, const real *x, ptrdiff_t x_stride, real *sums) {
    ptrdiff_t j = 0;
    for (; j + 2 * V_LANES <= columns; j += 2 * V_LANES) {
        vector_sums(rows, x + j, x_stride, sums + j, V_LANES, 2);
    }
    for (; j < columns; j += V_LANES) {
        vector_sums(rows, x + j, x_stride, sums + j, v_lanes_left(columns - j), 1);
    }
}
