# Binds src_c/ops/maxpool2d.c. Activations are (h, w, n, c), dense. An axis of the pooling is a pair of arrays: `begin`
# (destinations + 1) and `entries` (.., 2) with (source, tap).

cdef extern from "fnn.h" nogil:
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
    fnn_status fnn_maxpool2d_forward_f32(const fnn_pool_shape *shape, const float *x, float *y, void *taps,
                                         int tap_bytes, int n_threads)
    fnn_status fnn_maxpool2d_forward_f64(const fnn_pool_shape *shape, const double *x, double *y, void *taps,
                                         int tap_bytes, int n_threads)
    fnn_status fnn_maxpool2d_backward_f32(const fnn_pool_shape *shape, const float *dy, const void *taps,
                                          int tap_bytes, float *dx, int n_threads)
    fnn_status fnn_maxpool2d_backward_f64(const fnn_pool_shape *shape, const double *dy, const void *taps,
                                          int tap_bytes, double *dx, int n_threads)


cdef fnn_pool_axis pool_axis(const Py_ssize_t[::1] begin, const Py_ssize_t[:, ::1] entries, Py_ssize_t sources,
                             Py_ssize_t destinations) except *:
    """The struct of one axis; refuses entries that point outside the arrays."""
    cdef fnn_pool_axis axis
    cdef Py_ssize_t i
    if begin.shape[0] != destinations + 1 or begin[0] != 0 or begin[destinations] != entries.shape[0]:
        raise ValueError("pooling: windows do not fit")
    if entries.shape[0] < 1 or entries.shape[1] != 2:
        raise ValueError("pooling: windows do not fit")
    for i in range(destinations):
        if begin[i] > begin[i + 1]:
            raise ValueError("pooling: windows are not in order")
    for i in range(entries.shape[0]):
        if not 0 <= entries[i, 0] < sources:
            raise ValueError("pooling: a window reaches outside the image")
    axis.length = destinations
    axis.begin = &begin[0]
    axis.entries = <const fnn_pool_entry *>&entries[0, 0]
    return axis


cdef fnn_pool_shape pool_shape(const real[:, :, :, ::1] source, const real[:, :, :, ::1] destination,
                               const Py_ssize_t[::1] begin_h, const Py_ssize_t[:, ::1] entries_h,
                               const Py_ssize_t[::1] begin_w, const Py_ssize_t[:, ::1] entries_w,
                               Py_ssize_t taps_w) except *:
    cdef fnn_pool_shape s
    if (source.shape[2] != destination.shape[2] or source.shape[3] != destination.shape[3]
            or min(source.shape[0], source.shape[1], source.shape[2], source.shape[3]) < 1
            or min(destination.shape[0], destination.shape[1]) < 1):
        raise ValueError("pooling: shapes do not fit")
    s.h = pool_axis(begin_h, entries_h, source.shape[0], destination.shape[0])
    s.w = pool_axis(begin_w, entries_w, source.shape[1], destination.shape[1])
    s.row = source.shape[2] * source.shape[3]
    s.source_w = source.shape[1]
    s.taps_w = taps_w
    s.divisor_h = NULL
    s.divisor_w = NULL
    return s


cdef void *taps_of(borrowed *views, object taps, int flags, Py_ssize_t h, Py_ssize_t w, Py_ssize_t n, Py_ssize_t c,
                   int *n_bytes) except NULL:
    """The data of an array of uint8 or int32 of this shape, and the bytes of one of its numbers."""
    cdef Py_buffer *view = &views.views[views.count]
    PyObject_GetBuffer(taps, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags)
    views.count += 1
    if (view.format[0] not in (c"B", c"i") or view.format[1] != 0 or view.ndim != 4 or view.shape[0] != h
            or view.shape[1] != w or view.shape[2] != n or view.shape[3] != c):
        raise ValueError("maxpool2d: taps do not fit")
    n_bytes[0] = <int>view.itemsize
    return view.buf


def maxpool2d_forward(const real[:, :, :, ::1] x,  # IN
                      real[:, :, :, ::1] y,        # OUT
                      taps,                        # OUT: uint8 or int32, or None
                      const Py_ssize_t[::1] begin_h, const Py_ssize_t[:, ::1] entries_h,
                      const Py_ssize_t[::1] begin_w, const Py_ssize_t[:, ::1] entries_w,
                      Py_ssize_t taps_w, int n_threads):
    cdef fnn_pool_shape s = pool_shape(x, y, begin_h, entries_h, begin_w, entries_w, taps_w)
    cdef fnn_status status
    cdef borrowed views
    cdef void *data = NULL
    cdef int n_bytes = 0
    views.count = 0
    try:
        if taps is not None:
            data = taps_of(&views, taps, PyBUF_WRITABLE, y.shape[0], y.shape[1], y.shape[2], y.shape[3], &n_bytes)
        with nogil:
            if real is float:
                status = fnn_maxpool2d_forward_f32(&s, &x[0, 0, 0, 0], &y[0, 0, 0, 0], data, n_bytes, n_threads)
            else:
                status = fnn_maxpool2d_forward_f64(&s, &x[0, 0, 0, 0], &y[0, 0, 0, 0], data, n_bytes, n_threads)
    finally:
        give_back(&views)
    check(status, "max_pool2d")


def maxpool2d_backward(const real[:, :, :, ::1] dy,  # IN
                       taps,                         # IN: uint8 or int32
                       real[:, :, :, ::1] dx,        # OUT
                       const Py_ssize_t[::1] begin_h, const Py_ssize_t[:, ::1] entries_h,
                       const Py_ssize_t[::1] begin_w, const Py_ssize_t[:, ::1] entries_w,
                       Py_ssize_t taps_w, int n_threads):
    cdef fnn_pool_shape s = pool_shape(dy, dx, begin_h, entries_h, begin_w, entries_w, taps_w)
    cdef fnn_status status
    cdef borrowed views
    cdef void *data
    cdef int n_bytes = 0
    views.count = 0
    try:
        data = taps_of(&views, taps, 0, dy.shape[0], dy.shape[1], dy.shape[2], dy.shape[3], &n_bytes)
        with nogil:
            if real is float:
                status = fnn_maxpool2d_backward_f32(&s, &dy[0, 0, 0, 0], data, n_bytes, &dx[0, 0, 0, 0], n_threads)
            else:
                status = fnn_maxpool2d_backward_f64(&s, &dy[0, 0, 0, 0], data, n_bytes, &dx[0, 0, 0, 0], n_threads)
    finally:
        give_back(&views)
    check(status, "max_pool2d_backward")
