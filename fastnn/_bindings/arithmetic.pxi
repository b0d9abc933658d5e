# Binds src_c/ops/arithmetic.c. Flat views of the same length, of which one may be a single number.

cdef extern from "fnn.h" nogil:
    ctypedef enum fnn_arithmetic:
        FNN_ADD
        FNN_SUBTRACT
        FNN_MULTIPLY
        FNN_DIVIDE
    fnn_status fnn_arithmetic_f32(fnn_arithmetic kind, Py_ssize_t n, const float *a, int a_is_number, const float *b,
                                  int b_is_number, float *y, int n_threads)
    fnn_status fnn_arithmetic_f64(fnn_arithmetic kind, Py_ssize_t n, const double *a, int a_is_number, const double *b,
                                  int b_is_number, double *y, int n_threads)


ARITHMETIC = {"add": FNN_ADD, "subtract": FNN_SUBTRACT, "multiply": FNN_MULTIPLY, "divide": FNN_DIVIDE}


def arithmetic(fnn_arithmetic kind,
               const real[::1] a,  # IN
               const real[::1] b,  # IN
               real[::1] y,        # OUT
               int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t n = y.shape[0]
    cdef int a_is_number = a.shape[0] != n, b_is_number = b.shape[0] != n
    check_lengths(1 if a_is_number else n, a.shape[0], a.shape[0])
    check_lengths(1 if b_is_number else n, b.shape[0], b.shape[0])
    with nogil:
        if real is float:
            status = fnn_arithmetic_f32(kind, n, &a[0], a_is_number, &b[0], b_is_number, &y[0], n_threads)
        else:
            status = fnn_arithmetic_f64(kind, n, &a[0], a_is_number, &b[0], b_is_number, &y[0], n_threads)
    check(status, "arithmetic")
