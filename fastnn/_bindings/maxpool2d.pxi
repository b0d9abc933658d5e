# Binds src_c/ops/maxpool2d.c. Activations are (h, w, n, c), dense. An axis of the pooling is a pair of arrays: `begin`
# (destinations + 1) and `entries` (.., 2) with (source, tap).

cdef extern from "fnn.h" nogil:
    """
    #define fnn_maxpool2d_forward(dtype, ...) FNN_OF_DTYPE(fnn_maxpool2d_forward, dtype, __VA_ARGS__)
    #define fnn_maxpool2d_backward(dtype, ...) FNN_OF_DTYPE(fnn_maxpool2d_backward, dtype, __VA_ARGS__)
    """
    ctypedef struct fnn_pool_entry:
        Py_ssize_t source, tap
    ctypedef struct fnn_pool_axis:
        Py_ssize_t length
        const Py_ssize_t *begin
        const fnn_pool_entry *entries
    ctypedef struct fnn_pool_shape:
        fnn_pool_axis h, w
        Py_ssize_t row, source_w, taps_w
        const Py_ssize_t *divisor_h
        const Py_ssize_t *divisor_w
    fnn_status fnn_maxpool2d_forward(char dtype, const fnn_pool_shape *shape, const void *x, void *y, void *taps,
                                     int tap_bytes, int n_threads)
    fnn_status fnn_maxpool2d_backward(char dtype, const fnn_pool_shape *shape, const void *dy, const void *taps,
                                      int tap_bytes, void *dx, int n_threads)


cdef int set_axis(borrowed *views, fnn_pool_axis *axis, object begins, object entries, Py_ssize_t sources,
                  Py_ssize_t destinations) except -1:
    """Fill in the struct of one axis; refuses entries that point outside the arrays."""
    axis.begin = <const Py_ssize_t *>vector_of(views, begins, SIZE, IN, destinations + 1)
    cdef const Py_buffer *pairs = view_of(views, entries, SIZE, IN, 2)
    axis.entries = <const fnn_pool_entry *>pairs.buf
    axis.length = destinations
    cdef Py_ssize_t n = pairs.shape[0]
    if n < 1 or pairs.shape[1] != 2 or axis.begin[0] != 0 or axis.begin[destinations] != n:
        refuse(views, "windows do not fit")
    for i in range(destinations):
        if axis.begin[i] > axis.begin[i + 1]:
            refuse(views, "windows are not in order")
    for i in range(n):
        if not 0 <= axis.entries[i].source < sources:
            refuse(views, "a window reaches outside the image")
    return 0


cdef int set_pooling(borrowed *views, fnn_pool_shape *s, const Py_buffer *source, const Py_buffer *destination,
                     object begin_h, object entries_h, object begin_w, object entries_w,
                     Py_ssize_t taps_w) except -1:
    check_some(views, source)
    check_some(views, destination)
    if source.shape[2] != destination.shape[2] or source.shape[3] != destination.shape[3]:
        refuse(views, "shapes do not fit")
    memset(s, 0, sizeof(s[0]))
    set_axis(views, &s.h, begin_h, entries_h, source.shape[0], destination.shape[0])
    set_axis(views, &s.w, begin_w, entries_w, source.shape[1], destination.shape[1])
    s.row, s.source_w, s.taps_w = source.shape[2] * source.shape[3], source.shape[1], taps_w
    return 0


def maxpool2d_forward(x,                     # IN
                      y,                     # OUT
                      taps,                  # OUT: uint8 or int32, or None
                      begin_h, entries_h,    # IN: numpy.intp
                      begin_w, entries_w,    # IN
                      Py_ssize_t taps_w, int n_threads, /):
    cdef borrowed views
    cdef fnn_pool_shape s
    cdef fnn_status status
    cdef void *data = NULL
    cdef int tap_bytes = 0
    begin(&views, "max_pool2d")
    try:
        source, result = view_of(&views, x, REAL, IN, 4), view_of(&views, y, REAL, OUT, 4)
        set_pooling(&views, &s, source, result, begin_h, entries_h, begin_w, entries_w, taps_w)
        if taps is not None:
            taken = view_of(&views, taps, TAPS, OUT, 4)
            check_shape(&views, taken, 4, result.shape)
            data, tap_bytes = taken.buf, <int>taken.itemsize
        with nogil:
            status = fnn_maxpool2d_forward(views.dtype, &s, source.buf, result.buf, data, tap_bytes, n_threads)
        check(status, "max_pool2d")
    finally:
        give_back(&views)


def maxpool2d_backward(dy,                   # IN
                       taps,                 # IN: uint8 or int32
                       dx,                   # OUT
                       begin_h, entries_h,   # IN: numpy.intp
                       begin_w, entries_w,   # IN
                       Py_ssize_t taps_w, int n_threads, /):
    cdef borrowed views
    cdef fnn_pool_shape s
    cdef fnn_status status
    begin(&views, "max_pool2d_backward")
    try:
        gradient, result = view_of(&views, dy, REAL, IN, 4), view_of(&views, dx, REAL, OUT, 4)
        set_pooling(&views, &s, gradient, result, begin_h, entries_h, begin_w, entries_w, taps_w)
        taken = view_of(&views, taps, TAPS, IN, 4)
        check_shape(&views, taken, 4, gradient.shape)
        with nogil:
            status = fnn_maxpool2d_backward(views.dtype, &s, gradient.buf, taken.buf, <int>taken.itemsize, result.buf,
                                            n_threads)
        check(status, "max_pool2d_backward")
    finally:
        give_back(&views)
