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

ctypedef fused pool_tap:
    uint8_t
    int32_t


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


cdef int check_taps(const real[:, :, :, ::1] y, const pool_tap[:, :, :, ::1] taps) except -1:
    cdef int axis
    for axis in range(4):
        if taps.shape[axis] != y.shape[axis]:
            raise ValueError("maxpool2d: taps do not fit")
    return 0


def maxpool2d_forward(const real[:, :, :, ::1] x,  # IN
                      real[:, :, :, ::1] y,        # OUT
                      pool_tap[:, :, :, ::1] taps,  # OUT
                      const Py_ssize_t[::1] begin_h, const Py_ssize_t[:, ::1] entries_h,
                      const Py_ssize_t[::1] begin_w, const Py_ssize_t[:, ::1] entries_w,
                      Py_ssize_t taps_w,
                      bint want_taps,  # if not, taps may be any array
                      int n_threads):
    cdef fnn_pool_shape s = pool_shape(x, y, begin_h, entries_h, begin_w, entries_w, taps_w)
    cdef fnn_status status
    cdef void *tap_data = NULL
    if want_taps:
        check_taps(y, taps)
        tap_data = <void *>&taps[0, 0, 0, 0]
    with nogil:
        if real is float:
            status = fnn_maxpool2d_forward_f32(&s, &x[0, 0, 0, 0], &y[0, 0, 0, 0], tap_data, sizeof(pool_tap),
                                               n_threads)
        else:
            status = fnn_maxpool2d_forward_f64(&s, &x[0, 0, 0, 0], &y[0, 0, 0, 0], tap_data, sizeof(pool_tap),
                                               n_threads)
    check(status, "max_pool2d")


def maxpool2d_backward(const real[:, :, :, ::1] dy,  # IN
                       const pool_tap[:, :, :, ::1] taps,  # IN
                       real[:, :, :, ::1] dx,        # OUT
                       const Py_ssize_t[::1] begin_h, const Py_ssize_t[:, ::1] entries_h,
                       const Py_ssize_t[::1] begin_w, const Py_ssize_t[:, ::1] entries_w,
                       Py_ssize_t taps_w, int n_threads):
    cdef fnn_pool_shape s = pool_shape(dy, dx, begin_h, entries_h, begin_w, entries_w, taps_w)
    cdef fnn_status status
    check_taps(dy, taps)
    with nogil:
        if real is float:
            status = fnn_maxpool2d_backward_f32(&s, &dy[0, 0, 0, 0], &taps[0, 0, 0, 0], sizeof(pool_tap),
                                                &dx[0, 0, 0, 0], n_threads)
        else:
            status = fnn_maxpool2d_backward_f64(&s, &dy[0, 0, 0, 0], &taps[0, 0, 0, 0], sizeof(pool_tap),
                                                &dx[0, 0, 0, 0], n_threads)
    check(status, "max_pool2d_backward")
