# Binds src_c/ops/add.c. Flat views of the same length.

cdef extern from "fnn.h" nogil:
    fnn_status fnn_add_f32(Py_ssize_t n, const float *a, const float *b, float *y, int n_threads)
    fnn_status fnn_add_f64(Py_ssize_t n, const double *a, const double *b, double *y, int n_threads)


def add(const real[::1] a,  # IN
        const real[::1] b,  # IN
        real[::1] y,        # OUT
        int n_threads):
    cdef fnn_status status
    check_lengths(a.shape[0], b.shape[0], y.shape[0])
    with nogil:
        if real is float:
            status = fnn_add_f32(a.shape[0], &a[0], &b[0], &y[0], n_threads)
        else:
            status = fnn_add_f64(a.shape[0], &a[0], &b[0], &y[0], n_threads)
    check(status, "add")
