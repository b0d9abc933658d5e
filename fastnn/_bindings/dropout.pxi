# Binds src_c/ops/dropout.c. Both operations are their own backward.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_dropout(dtype, ...) FNN_OF_DTYPE(fnn_dropout, dtype, __VA_ARGS__)
    #define fnn_dropout_channels(dtype, ...) FNN_OF_DTYPE(fnn_dropout_channels, dtype, __VA_ARGS__)
    """
    fnn_status fnn_dropout(char dtype, Py_ssize_t n, uint64_t key, uint32_t threshold, double scale, const void *x,
                           void *y, int n_threads)
    fnn_status fnn_dropout_channels(char dtype, Py_ssize_t rows, Py_ssize_t columns, const void *x,
                                    const void *factors, void *y, int n_threads)


def dropout(x,  # IN
            y,  # OUT
            uint64_t key, uint32_t threshold, double scale, int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "dropout")
    try:
        source = view_of(&views, x, REAL, IN, 1)
        result = data_like(&views, y, OUT, source)
        with nogil:
            status = fnn_dropout(views.dtype, source.shape[0], key, threshold, scale, source.buf, result, n_threads)
        check(status, "dropout")
    finally:
        give_back(&views)


def dropout_channels(x,        # IN (pixels, images * channels)
                     factors,  # IN (images * channels,)
                     y,        # OUT
                     int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "dropout_channels")
    try:
        pixels = view_of(&views, x, REAL, IN, 2)
        of_channels, result = vector_of(&views, factors, REAL, IN, pixels.shape[1]), data_like(&views, y, OUT, pixels)
        with nogil:
            status = fnn_dropout_channels(views.dtype, pixels.shape[0], pixels.shape[1], pixels.buf, of_channels,
                                          result, n_threads)
        check(status, "dropout_channels")
    finally:
        give_back(&views)
