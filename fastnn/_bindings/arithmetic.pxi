# Binds src_c/ops/arithmetic.c. Vectors of the same length, of which one may be small.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_arithmetic_of(dtype, ...) FNN_OF_DTYPE(fnn_arithmetic, dtype, __VA_ARGS__)
    """
    ctypedef enum fnn_arithmetic:
        FNN_ADD
        FNN_SUBTRACT
        FNN_MULTIPLY
        FNN_DIVIDE
    fnn_status fnn_arithmetic_of(char dtype, fnn_arithmetic kind, Py_ssize_t n, Py_ssize_t middle, Py_ssize_t inner,
                                 const void *a, int a_is_small, const void *b, int b_is_small, void *y, int n_threads)


ARITHMETIC = {"add": FNN_ADD, "subtract": FNN_SUBTRACT, "multiply": FNN_MULTIPLY, "divide": FNN_DIVIDE}


def arithmetic(int kind,  # one of ARITHMETIC
               a, b,      # IN
               y,         # OUT
               Py_ssize_t inner, int n_threads, /):
    """y = a kind b; a shorter one has each number taken `inner` times, and all of them again and again."""
    cdef borrowed views
    cdef fnn_status status
    cdef Py_ssize_t n, middle
    cdef bint a_is_small, b_is_small
    begin(&views, "arithmetic")
    try:
        if kind < 0 or kind > <int>FNN_DIVIDE:
            refuse(&views, f"there is no kind {kind}")
        left, right = view_of(&views, a, REAL, IN, 1), view_of(&views, b, REAL, IN, 1)
        result = view_of(&views, y, REAL, OUT, 1)
        n = result.shape[0]
        a_is_small, b_is_small = left.shape[0] != n, right.shape[0] != n
        middle = left.shape[0] if a_is_small else right.shape[0]
        if (a_is_small and b_is_small) or middle < 1 or inner < 1 or inner > n // middle or n % (middle * inner) != 0:
            refuse(&views, f"lengths do not fit: {left.shape[0]}, {right.shape[0]} by {inner}, {n}")
        with nogil:
            status = fnn_arithmetic_of(views.dtype, <fnn_arithmetic>kind, n, middle, inner, left.buf, a_is_small,
                                       right.buf, b_is_small, result.buf, n_threads)
        check(status, "arithmetic")
    finally:
        give_back(&views)
