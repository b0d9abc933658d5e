# Binds src_c/ops/local_response_norm.c. Activations are (rows, c), dense.

cdef extern from "fnn.h" nogil:
    Py_ssize_t fnn_local_response_norm_workspace_f32(Py_ssize_t c, Py_ssize_t size, int n_threads)
    Py_ssize_t fnn_local_response_norm_workspace_f64(Py_ssize_t c, Py_ssize_t size, int n_threads)
    fnn_status fnn_local_response_norm_forward_f32(Py_ssize_t rows, Py_ssize_t c, Py_ssize_t size, double alpha,
                                                   double beta, double k, const float *x, float *y, void *workspace,
                                                   int n_threads)
    fnn_status fnn_local_response_norm_forward_f64(Py_ssize_t rows, Py_ssize_t c, Py_ssize_t size, double alpha,
                                                   double beta, double k, const double *x, double *y, void *workspace,
                                                   int n_threads)
    fnn_status fnn_local_response_norm_backward_f32(Py_ssize_t rows, Py_ssize_t c, Py_ssize_t size, double alpha,
                                                    double beta, double k, const float *dy, const float *x, float *dx,
                                                    void *workspace, int n_threads)
    fnn_status fnn_local_response_norm_backward_f64(Py_ssize_t rows, Py_ssize_t c, Py_ssize_t size, double alpha,
                                                    double beta, double k, const double *dy, const double *x,
                                                    double *dx, void *workspace, int n_threads)


def local_response_norm_workspace(const real[:, ::1] x, Py_ssize_t size, int n_threads):
    """Bytes of workspace, forward or backward, for rows like those of x."""
    if real is float:
        return fnn_local_response_norm_workspace_f32(x.shape[1], size, n_threads)
    else:
        return fnn_local_response_norm_workspace_f64(x.shape[1], size, n_threads)


cdef int check_rows(const real[:, ::1] x, const real[:, ::1] dy, const real[:, ::1] out, Py_ssize_t size,
                    const uint8_t[::1] workspace, int n_threads) except -1:
    if (x.shape[0] < 1 or x.shape[1] < 1 or size < 1 or n_threads < 1
            or dy.shape[0] != x.shape[0] or dy.shape[1] != x.shape[1]
            or out.shape[0] != x.shape[0] or out.shape[1] != x.shape[1]):
        raise ValueError("local_response_norm: shapes do not fit")
    if real is float:
        return check_workspace(workspace, fnn_local_response_norm_workspace_f32(x.shape[1], size, n_threads))
    else:
        return check_workspace(workspace, fnn_local_response_norm_workspace_f64(x.shape[1], size, n_threads))


def local_response_norm_forward(const real[:, ::1] x,  # IN
                                real[:, ::1] y,        # OUT
                                Py_ssize_t size, double alpha, double beta, double k,
                                uint8_t[::1] workspace,  # OUT
                                int n_threads):
    cdef fnn_status status
    check_rows(x, x, y, size, workspace, n_threads)
    with nogil:
        if real is float:
            status = fnn_local_response_norm_forward_f32(x.shape[0], x.shape[1], size, alpha, beta, k, &x[0, 0],
                                                         &y[0, 0], &workspace[0], n_threads)
        else:
            status = fnn_local_response_norm_forward_f64(x.shape[0], x.shape[1], size, alpha, beta, k, &x[0, 0],
                                                         &y[0, 0], &workspace[0], n_threads)
    check(status, "local_response_norm")


def local_response_norm_backward(const real[:, ::1] dy,  # IN
                                 const real[:, ::1] x,   # IN
                                 real[:, ::1] dx,        # OUT
                                 Py_ssize_t size, double alpha, double beta, double k,
                                 uint8_t[::1] workspace,  # OUT
                                 int n_threads):
    cdef fnn_status status
    check_rows(x, dy, dx, size, workspace, n_threads)
    with nogil:
        if real is float:
            status = fnn_local_response_norm_backward_f32(x.shape[0], x.shape[1], size, alpha, beta, k, &dy[0, 0],
                                                          &x[0, 0], &dx[0, 0], &workspace[0], n_threads)
        else:
            status = fnn_local_response_norm_backward_f64(x.shape[0], x.shape[1], size, alpha, beta, k, &dy[0, 0],
                                                          &x[0, 0], &dx[0, 0], &workspace[0], n_threads)
    check(status, "local_response_norm_backward")
