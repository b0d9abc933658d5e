# Binds src_c/ops/layout.c.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_layout_transpose(dtype, ...) FNN_OF_DTYPE(fnn_layout_transpose, dtype, __VA_ARGS__)
    """
    fnn_status fnn_layout_transpose(char dtype, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t width, const void *x,
                                    void *out, int n_threads)


def layout_transpose(x,    # IN (rows, columns, width)
                     out,  # OUT (columns, rows, width)
                     int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef Py_ssize_t rows, columns, width
    begin(&views, "layout_transpose")
    try:
        matrix = view_of(&views, x, REAL, IN, 3)
        rows, columns, width = matrix.shape[0], matrix.shape[1], matrix.shape[2]
        result = data_of(&views, out, REAL, OUT, 3, [columns, rows, width])
        with nogil:
            status = fnn_layout_transpose(views.dtype, rows, columns, width, matrix.buf, result, n_threads)
        check(status, "layout_transpose")
    finally:
        give_back(&views)
