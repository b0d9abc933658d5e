# Binds src_c/ops/softmax.c. Arrays are (rows, columns), dense; the softmax runs along the columns of each row.

cdef extern from "fnn.h" nogil:
    fnn_status fnn_softmax_forward_f32(int log, Py_ssize_t rows, Py_ssize_t columns, const float *x, float *y,
                                       int n_threads)
    fnn_status fnn_softmax_forward_f64(int log, Py_ssize_t rows, Py_ssize_t columns, const double *x, double *y,
                                       int n_threads)
    fnn_status fnn_softmax_backward_f32(int log, Py_ssize_t rows, Py_ssize_t columns, const float *dy, const float *y,
                                        float *dx, int n_threads)
    fnn_status fnn_softmax_backward_f64(int log, Py_ssize_t rows, Py_ssize_t columns, const double *dy,
                                        const double *y, double *dx, int n_threads)


def softmax_forward(bint log,
                    const real[:, ::1] x,  # IN
                    real[:, ::1] y,        # OUT
                    int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t rows = x.shape[0], columns = x.shape[1]
    check_lengths(rows, y.shape[0], y.shape[0])
    check_lengths(columns, y.shape[1], y.shape[1])
    with nogil:
        if real is float:
            status = fnn_softmax_forward_f32(log, rows, columns, &x[0, 0], &y[0, 0], n_threads)
        else:
            status = fnn_softmax_forward_f64(log, rows, columns, &x[0, 0], &y[0, 0], n_threads)
    check(status, "softmax")


def softmax_backward(bint log,
                     const real[:, ::1] dy,  # IN
                     const real[:, ::1] y,   # IN
                     real[:, ::1] dx,        # OUT
                     int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t rows = y.shape[0], columns = y.shape[1]
    check_lengths(rows, dy.shape[0], dx.shape[0])
    check_lengths(columns, dy.shape[1], dx.shape[1])
    with nogil:
        if real is float:
            status = fnn_softmax_backward_f32(log, rows, columns, &dy[0, 0], &y[0, 0], &dx[0, 0], n_threads)
        else:
            status = fnn_softmax_backward_f64(log, rows, columns, &dy[0, 0], &y[0, 0], &dx[0, 0], n_threads)
    check(status, "softmax_backward")
