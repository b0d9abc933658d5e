# Binds src_c/ops/add.c. Vectors of the same length.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_add(dtype, ...) FNN_OF_DTYPE(fnn_add, dtype, __VA_ARGS__)
    """
    fnn_status fnn_add(char dtype, Py_ssize_t n, const void *a, const void *b, void *y, int n_threads)


def add(a, b,  # IN
        y,     # OUT
        int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "add")
    try:
        first = view_of(&views, a, REAL, IN, 1)
        second, result = data_like(&views, b, IN, first), data_like(&views, y, OUT, first)
        with nogil:
            status = fnn_add(views.dtype, first.shape[0], first.buf, second, result, n_threads)
        check(status, "add")
    finally:
        give_back(&views)
