# Binds src_c/ops/avgpool2d.c. Arrays as in maxpool2d.pxi; divisors for each row and column of y.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_avgpool2d_forward(dtype, ...) FNN_OF_DTYPE(fnn_avgpool2d_forward, dtype, __VA_ARGS__)
    #define fnn_avgpool2d_backward(dtype, ...) FNN_OF_DTYPE(fnn_avgpool2d_backward, dtype, __VA_ARGS__)
    """
    fnn_status fnn_avgpool2d_forward(char dtype, const fnn_pool_shape *shape, const void *x, void *y, int n_threads)
    fnn_status fnn_avgpool2d_backward(char dtype, const fnn_pool_shape *shape, const void *dy, void *dx, int n_threads)


cdef int set_divisors(borrowed *views, fnn_pool_shape *s, const Py_buffer *y, object divisor_h,
                      object divisor_w) except -1:
    s.divisor_h = <const Py_ssize_t *>vector_of(views, divisor_h, SIZE, IN, y.shape[0])
    s.divisor_w = <const Py_ssize_t *>vector_of(views, divisor_w, SIZE, IN, y.shape[1])
    return 0


def avgpool2d_forward(x,                     # IN
                      y,                     # OUT
                      begin_h, entries_h,    # IN: numpy.intp
                      begin_w, entries_w,    # IN
                      divisor_h, divisor_w,  # IN
                      int n_threads, /):
    cdef borrowed views
    cdef fnn_pool_shape s
    cdef fnn_status status
    begin(&views, "avg_pool2d")
    try:
        source, result = view_of(&views, x, REAL, IN, 4), view_of(&views, y, REAL, OUT, 4)
        set_pooling(&views, &s, source, result, begin_h, entries_h, begin_w, entries_w, 1)
        set_divisors(&views, &s, result, divisor_h, divisor_w)
        with nogil:
            status = fnn_avgpool2d_forward(views.dtype, &s, source.buf, result.buf, n_threads)
        check(status, "avg_pool2d")
    finally:
        give_back(&views)


def avgpool2d_backward(dy,                    # IN
                       dx,                    # OUT
                       begin_h, entries_h,    # IN: numpy.intp
                       begin_w, entries_w,    # IN
                       divisor_h, divisor_w,  # IN
                       int n_threads, /):
    cdef borrowed views
    cdef fnn_pool_shape s
    cdef fnn_status status
    begin(&views, "avg_pool2d_backward")
    try:
        gradient, result = view_of(&views, dy, REAL, IN, 4), view_of(&views, dx, REAL, OUT, 4)
        set_pooling(&views, &s, gradient, result, begin_h, entries_h, begin_w, entries_w, 1)
        set_divisors(&views, &s, gradient, divisor_h, divisor_w)
        with nogil:
            status = fnn_avgpool2d_backward(views.dtype, &s, gradient.buf, result.buf, n_threads)
        check(status, "avg_pool2d_backward")
    finally:
        give_back(&views)
