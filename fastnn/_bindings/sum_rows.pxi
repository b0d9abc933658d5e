# Binds src_c/ops/sum_rows.c.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_sum_rows_workspace(dtype, ...) FNN_OF_DTYPE(fnn_sum_rows_workspace, dtype, __VA_ARGS__)
    #define fnn_sum_rows(dtype, ...) FNN_OF_DTYPE(fnn_sum_rows, dtype, __VA_ARGS__)
    """
    Py_ssize_t fnn_sum_rows_workspace(char dtype, Py_ssize_t rows, Py_ssize_t columns)
    void fnn_sum_rows(char dtype, Py_ssize_t rows, Py_ssize_t columns, const void *x, void *y, void *workspace,
                      int n_threads)


def sum_rows_workspace(Py_ssize_t rows, Py_ssize_t columns, /):
    """Bytes of workspace, for either dtype."""
    return fitting(fnn_sum_rows_workspace(FLOAT64, rows, columns))


def sum_rows(x,          # IN
             y,          # OUT
             workspace,  # OUT
             int n_threads, /):
    cdef borrowed views
    cdef Py_ssize_t rows, columns
    begin(&views, "sum_rows")
    try:
        matrix = view_of(&views, x, REAL, IN, 2)
        check_some(&views, matrix)
        rows, columns = matrix.shape[0], matrix.shape[1]
        result = vector_of(&views, y, REAL, OUT, columns)
        room = workspace_of(&views, workspace, fnn_sum_rows_workspace(views.dtype, rows, columns))
        with nogil:
            fnn_sum_rows(views.dtype, rows, columns, matrix.buf, result, room, n_threads)
    finally:
        give_back(&views)
