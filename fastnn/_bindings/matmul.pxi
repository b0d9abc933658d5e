# Binds src_c/ops/matmul.c. Arrays are (matrices, rows, columns).

cdef extern from "fnn.h" nogil:
    """
    #define fnn_matmul_of(dtype, ...) FNN_OF_DTYPE(fnn_matmul, dtype, __VA_ARGS__)
    """
    ctypedef enum fnn_matmul:
        FNN_TIMES
        FNN_TIMES_TRANSPOSED
        FNN_TRANSPOSED_TIMES
    fnn_status fnn_matmul_of(char dtype, fnn_matmul kind, Py_ssize_t matrices, Py_ssize_t rows, Py_ssize_t depth,
                             Py_ssize_t columns, const void *a, const void *b, void *transposed, void *y,
                             int n_threads)


MATMUL = {"times": FNN_TIMES, "times_transposed": FNN_TIMES_TRANSPOSED, "transposed_times": FNN_TRANSPOSED_TIMES}


def matmul(int kind,    # one of MATMUL
           a, b,        # IN
           transposed,  # WORKSPACE of the size of b, for a @ b.T, else None
           y,           # OUT
           int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef Py_ssize_t matrices, rows, depth, columns
    cdef void *spare = NULL
    begin(&views, "matmul")
    try:
        if kind < 0 or kind > <int>FNN_TRANSPOSED_TIMES:
            refuse(&views, f"there is no kind {kind}")
        left, right = view_of(&views, a, REAL, IN, 3), view_of(&views, b, REAL, IN, 3)
        matrices, rows, depth, columns = left.shape[0], left.shape[1], left.shape[2], right.shape[2]
        if kind == FNN_TRANSPOSED_TIMES:
            rows, depth = depth, rows
        elif kind == FNN_TIMES_TRANSPOSED:
            columns = right.shape[1]
            if transposed is None:
                refuse(&views, "a @ b.T needs a workspace")
            spare = data_like(&views, transposed, OUT, right)
        if right.shape[0] != matrices or right.shape[2 if kind == FNN_TIMES_TRANSPOSED else 1] != depth:
            refuse(&views, "shapes do not fit")
        result = data_of(&views, y, REAL, OUT, 3, [matrices, rows, columns])
        with nogil:
            status = fnn_matmul_of(views.dtype, <fnn_matmul>kind, matrices, rows, depth, columns, left.buf, right.buf,
                                   spare, result, n_threads)
        check(status, "matmul")
    finally:
        give_back(&views)
