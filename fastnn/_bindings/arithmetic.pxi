# Binds src_c/ops/arithmetic.c. Flat views of the same length, of which one may be small.

cdef extern from "fnn.h" nogil:
    ctypedef enum fnn_arithmetic:
        FNN_ADD
        FNN_SUBTRACT
        FNN_MULTIPLY
        FNN_DIVIDE
    fnn_status fnn_arithmetic_f32(fnn_arithmetic kind, Py_ssize_t n, Py_ssize_t middle, Py_ssize_t inner,
                                  const float *a, int a_is_small, const float *b, int b_is_small, float *y,
                                  int n_threads)
    fnn_status fnn_arithmetic_f64(fnn_arithmetic kind, Py_ssize_t n, Py_ssize_t middle, Py_ssize_t inner,
                                  const double *a, int a_is_small, const double *b, int b_is_small, double *y,
                                  int n_threads)


ARITHMETIC = {"add": FNN_ADD, "subtract": FNN_SUBTRACT, "multiply": FNN_MULTIPLY, "divide": FNN_DIVIDE}


def arithmetic(fnn_arithmetic kind,
               const real[::1] a,  # IN
               const real[::1] b,  # IN
               real[::1] y,        # OUT
               Py_ssize_t inner, int n_threads):
    """y = a kind b; a shorter one has each number taken `inner` times, and all of them again and again."""
    cdef fnn_status status
    cdef Py_ssize_t n = y.shape[0], middle
    cdef int a_is_small = a.shape[0] != n, b_is_small = b.shape[0] != n
    middle = a.shape[0] if a_is_small else b.shape[0]
    if (a_is_small and b_is_small) or middle < 1 or inner < 1 or inner > n // middle or n % (middle * inner) != 0:
        raise ValueError(f"arithmetic: lengths do not fit: {a.shape[0]}, {b.shape[0]} by {inner}, {n}")
    with nogil:
        if real is float:
            status = fnn_arithmetic_f32(kind, n, middle, inner, &a[0], a_is_small, &b[0], b_is_small, &y[0], n_threads)
        else:
            status = fnn_arithmetic_f64(kind, n, middle, inner, &a[0], a_is_small, &b[0], b_is_small, &y[0], n_threads)
    check(status, "arithmetic")
