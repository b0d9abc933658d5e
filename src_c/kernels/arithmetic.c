/* Sums, differences, products and quotients of dense arrays, or of one and a number. y may be a or b. */
#include "kernels/kernel.h"

typedef v_real (*pair_function)(v_real a, v_real b);

INLINE v_real sum(v_real a, v_real b) { return a + b; }
INLINE v_real difference(v_real a, v_real b) { return a - b; }
INLINE v_real product(v_real a, v_real b) { return a * b; }
INLINE v_real quotient(v_real a, v_real b) { return a / b; }

INLINE v_real side(const real *x, int is_number, ptrdiff_t i, ptrdiff_t lanes) {
    return is_number ? v_set(x[0]) : v_load_part(x + i, lanes);
}

INLINE void map_sides(pair_function f, ptrdiff_t n, const real *a, int a_is_number, const real *b, int b_is_number,
                      real *y) {
    ptrdiff_t whole = v_whole(n);
    for (ptrdiff_t i = 0; i < whole; i += V_LANES) {
        v_store(y + i, f(side(a, a_is_number, i, V_LANES), side(b, b_is_number, i, V_LANES)));
    }
    if (whole < n) {
        ptrdiff_t lanes = n - whole;
        v_store_part(y + whole, f(side(a, a_is_number, whole, lanes), side(b, b_is_number, whole, lanes)), lanes);
    }
}

INLINE void map_pair(pair_function f, ptrdiff_t n, const real *a, int a_is_number, const real *b, int b_is_number,
                     real *y) {
    if (a_is_number) {
        map_sides(f, n, a, 1, b, 0, y);
    } else if (b_is_number) {
        map_sides(f, n, a, 0, b, 1, y);
    } else {
        map_sides(f, n, a, 0, b, 0, y);
    }
}

void KERNEL(arithmetic)(fnn_arithmetic kind, ptrdiff_t n, const real *a, int a_is_number, const real *b,
                        int b_is_number, real *y) {
    switch (kind) {
    case FNN_ADD:
        map_pair(sum, n, a, a_is_number, b, b_is_number, y);
        break;
    case FNN_SUBTRACT:
        map_pair(difference, n, a, a_is_number, b, b_is_number, y);
        break;
    case FNN_MULTIPLY:
        map_pair(product, n, a, a_is_number, b, b_is_number, y);
        break;
    case FNN_DIVIDE:
        map_pair(quotient, n, a, a_is_number, b, b_is_number, y);
        break;
    }
}
