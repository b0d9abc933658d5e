# Binds src_c/ops/matmul.c. Views are (matrices, rows, columns).

cdef extern from "fnn.h" nogil:
    ctypedef enum fnn_matmul:
        FNN_TIMES
        FNN_TIMES_TRANSPOSED
        FNN_TRANSPOSED_TIMES
    fnn_status fnn_matmul_f32(fnn_matmul kind, Py_ssize_t matrices, Py_ssize_t rows, Py_ssize_t depth,
                              Py_ssize_t columns, const float *a, const float *b, float *transposed, float *y,
                              int n_threads)
    fnn_status fnn_matmul_f64(fnn_matmul kind, Py_ssize_t matrices, Py_ssize_t rows, Py_ssize_t depth,
                              Py_ssize_t columns, const double *a, const double *b, double *transposed, double *y,
                              int n_threads)


MATMUL = {"times": FNN_TIMES, "times_transposed": FNN_TIMES_TRANSPOSED, "transposed_times": FNN_TRANSPOSED_TIMES}


def matmul(fnn_matmul kind,
           const real[:, :, ::1] a,      # IN
           const real[:, :, ::1] b,      # IN
           real[:, :, ::1] transposed,   # WORKSPACE of the size of b, for a @ b.T, else None
           real[:, :, ::1] y,            # OUT
           int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t matrices = y.shape[0], rows = y.shape[1], columns = y.shape[2]
    cdef Py_ssize_t depth = a.shape[1] if kind == FNN_TRANSPOSED_TIMES else a.shape[2]
    check_lengths(matrices, a.shape[0], b.shape[0])
    check_lengths(rows, a.shape[2] if kind == FNN_TRANSPOSED_TIMES else a.shape[1], rows)
    cdef real *spare = NULL
    if kind == FNN_TIMES_TRANSPOSED:
        check_lengths(columns, b.shape[1], columns)
        check_lengths(depth, b.shape[2], depth)
        if transposed is None:
            raise ValueError("matmul: a @ b.T needs a workspace")
        check_lengths(matrices, transposed.shape[0], matrices)
        check_lengths(columns, transposed.shape[1], columns)
        check_lengths(depth, transposed.shape[2], depth)
        spare = &transposed[0, 0, 0]
    else:
        check_lengths(depth, b.shape[1], depth)
        check_lengths(columns, b.shape[2], columns)
    with nogil:
        if real is float:
            status = fnn_matmul_f32(kind, matrices, rows, depth, columns, &a[0, 0, 0], &b[0, 0, 0],
                                    spare, &y[0, 0, 0], n_threads)
        else:
            status = fnn_matmul_f64(kind, matrices, rows, depth, columns, &a[0, 0, 0], &b[0, 0, 0],
                                    spare, &y[0, 0, 0], n_threads)
    check(status, "matmul")
