# Binds src_c/ops/avgpool2d.c. Arrays as in maxpool2d.pxi; divisors for each row and column of y.

cdef extern from "fnn.h" nogil:
    fnn_status fnn_avgpool2d_forward_f32(const fnn_pool_shape *shape, const float *x, float *y, int n_threads)
    fnn_status fnn_avgpool2d_forward_f64(const fnn_pool_shape *shape, const double *x, double *y, int n_threads)
    fnn_status fnn_avgpool2d_backward_f32(const fnn_pool_shape *shape, const float *dy, float *dx, int n_threads)
    fnn_status fnn_avgpool2d_backward_f64(const fnn_pool_shape *shape, const double *dy, double *dx, int n_threads)


cdef int set_divisors(fnn_pool_shape *s, const real[:, :, :, ::1] y, const Py_ssize_t[::1] divisor_h,
                      const Py_ssize_t[::1] divisor_w) except -1:
    if divisor_h.shape[0] != y.shape[0] or divisor_w.shape[0] != y.shape[1]:
        raise ValueError("pooling: divisors do not fit")
    s.divisor_h = &divisor_h[0]
    s.divisor_w = &divisor_w[0]
    return 0


def avgpool2d_forward(const real[:, :, :, ::1] x,  # IN
                      real[:, :, :, ::1] y,        # OUT
                      const Py_ssize_t[::1] begin_h, const Py_ssize_t[:, ::1] entries_h,
                      const Py_ssize_t[::1] begin_w, const Py_ssize_t[:, ::1] entries_w,
                      const Py_ssize_t[::1] divisor_h, const Py_ssize_t[::1] divisor_w, int n_threads):
    cdef fnn_pool_shape s = pool_shape(x, y, begin_h, entries_h, begin_w, entries_w, 1)
    cdef fnn_status status
    set_divisors(&s, y, divisor_h, divisor_w)
    with nogil:
        if real is float:
            status = fnn_avgpool2d_forward_f32(&s, &x[0, 0, 0, 0], &y[0, 0, 0, 0], n_threads)
        else:
            status = fnn_avgpool2d_forward_f64(&s, &x[0, 0, 0, 0], &y[0, 0, 0, 0], n_threads)
    check(status, "avg_pool2d")


def avgpool2d_backward(const real[:, :, :, ::1] dy,  # IN
                       real[:, :, :, ::1] dx,        # OUT
                       const Py_ssize_t[::1] begin_h, const Py_ssize_t[:, ::1] entries_h,
                       const Py_ssize_t[::1] begin_w, const Py_ssize_t[:, ::1] entries_w,
                       const Py_ssize_t[::1] divisor_h, const Py_ssize_t[::1] divisor_w, int n_threads):
    cdef fnn_pool_shape s = pool_shape(dy, dx, begin_h, entries_h, begin_w, entries_w, 1)
    cdef fnn_status status
    set_divisors(&s, dy, divisor_h, divisor_w)
    with nogil:
        if real is float:
            status = fnn_avgpool2d_backward_f32(&s, &dy[0, 0, 0, 0], &dx[0, 0, 0, 0], n_threads)
        else:
            status = fnn_avgpool2d_backward_f64(&s, &dy[0, 0, 0, 0], &dx[0, 0, 0, 0], n_threads)
    check(status, "avg_pool2d_backward")
