# Binds src_c/ops/activation.c. All arrays are flat views of the same length.

cdef extern from "fnn.h" nogil:
    fnn_status fnn_relu_forward_f32(Py_ssize_t n, const float *x, float *y, int n_threads)
    fnn_status fnn_relu_forward_f64(Py_ssize_t n, const double *x, double *y, int n_threads)
    fnn_status fnn_relu_backward_f32(Py_ssize_t n, const float *dy, const float *y, float *dx, int n_threads)
    fnn_status fnn_relu_backward_f64(Py_ssize_t n, const double *dy, const double *y, double *dx, int n_threads)


cdef int check_lengths(Py_ssize_t expected, Py_ssize_t first, Py_ssize_t second) except -1:
    if first != expected or second != expected:
        raise ValueError(f"lengths differ: {expected}, {first}, {second}")
    return 0


def relu_forward(const real[::1] x,  # IN
                 real[::1] y,        # OUT
                 int n_threads):
    cdef fnn_status status
    check_lengths(x.shape[0], y.shape[0], y.shape[0])
    with nogil:
        if real is float:
            status = fnn_relu_forward_f32(x.shape[0], &x[0], &y[0], n_threads)
        else:
            status = fnn_relu_forward_f64(x.shape[0], &x[0], &y[0], n_threads)
    check(status, "relu_forward")


def relu_backward(const real[::1] dy,  # IN
                  const real[::1] y,   # IN
                  real[::1] dx,        # OUT
                  int n_threads):
    cdef fnn_status status
    check_lengths(dy.shape[0], y.shape[0], dx.shape[0])
    with nogil:
        if real is float:
            status = fnn_relu_backward_f32(dy.shape[0], &dy[0], &y[0], &dx[0], n_threads)
        else:
            status = fnn_relu_backward_f64(dy.shape[0], &dy[0], &y[0], &dx[0], n_threads)
    check(status, "relu_backward")
