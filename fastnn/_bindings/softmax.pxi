# Binds src_c/ops/softmax.c. Arrays are (rows, columns), dense; the softmax runs along the columns of each row.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_softmax_forward(dtype, ...) FNN_OF_DTYPE(fnn_softmax_forward, dtype, __VA_ARGS__)
    #define fnn_softmax_backward(dtype, ...) FNN_OF_DTYPE(fnn_softmax_backward, dtype, __VA_ARGS__)
    """
    fnn_status fnn_softmax_forward(char dtype, int log, Py_ssize_t rows, Py_ssize_t columns, const void *x, void *y,
                                   int n_threads)
    fnn_status fnn_softmax_backward(char dtype, int log, Py_ssize_t rows, Py_ssize_t columns, const void *dy,
                                    const void *y, void *dx, int n_threads)


def softmax_forward(bint log,
                    x,  # IN
                    y,  # OUT
                    int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "softmax")
    try:
        rows = view_of(&views, x, REAL, IN, 2)
        result = data_like(&views, y, OUT, rows)
        with nogil:
            status = fnn_softmax_forward(views.dtype, log, rows.shape[0], rows.shape[1], rows.buf, result, n_threads)
        check(status, "softmax")
    finally:
        give_back(&views)


def softmax_backward(bint log,
                     dy, y,  # IN
                     dx,     # OUT
                     int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "softmax_backward")
    try:
        rows = view_of(&views, y, REAL, IN, 2)
        gradient, result = data_like(&views, dy, IN, rows), data_like(&views, dx, OUT, rows)
        with nogil:
            status = fnn_softmax_backward(views.dtype, log, rows.shape[0], rows.shape[1], gradient, rows.buf, result,
                                          n_threads)
        check(status, "softmax_backward")
    finally:
        give_back(&views)
