# Binds src_c/ops/dropout.c. Both operations are their own backward.

cdef extern from "fnn.h" nogil:
    fnn_status fnn_dropout_f32(Py_ssize_t n, uint64_t key, uint32_t threshold, double scale, const float *x, float *y,
                               int n_threads)
    fnn_status fnn_dropout_f64(Py_ssize_t n, uint64_t key, uint32_t threshold, double scale, const double *x,
                               double *y, int n_threads)
    fnn_status fnn_dropout_channels_f32(Py_ssize_t rows, Py_ssize_t columns, const float *x, const float *factors,
                                        float *y, int n_threads)
    fnn_status fnn_dropout_channels_f64(Py_ssize_t rows, Py_ssize_t columns, const double *x, const double *factors,
                                        double *y, int n_threads)


def dropout(const real[::1] x,  # IN
            real[::1] y,        # OUT
            uint64_t key, uint32_t threshold, double scale, int n_threads):
    cdef fnn_status status
    check_lengths(x.shape[0], y.shape[0], y.shape[0])
    with nogil:
        if real is float:
            status = fnn_dropout_f32(x.shape[0], key, threshold, scale, &x[0], &y[0], n_threads)
        else:
            status = fnn_dropout_f64(x.shape[0], key, threshold, scale, &x[0], &y[0], n_threads)
    check(status, "dropout")


def dropout_channels(const real[:, ::1] x,      # IN (pixels, images * channels)
                     const real[::1] factors,   # IN (images * channels,)
                     real[:, ::1] y,            # OUT
                     int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t rows = x.shape[0], columns = x.shape[1]
    check_lengths(rows, y.shape[0], y.shape[0])
    check_lengths(columns, factors.shape[0], y.shape[1])
    with nogil:
        if real is float:
            status = fnn_dropout_channels_f32(rows, columns, &x[0, 0], &factors[0], &y[0, 0], n_threads)
        else:
            status = fnn_dropout_channels_f64(rows, columns, &x[0, 0], &factors[0], &y[0, 0], n_threads)
    check(status, "dropout_channels")
