# Binds src_c/ops/batchnorm.c. Activations are (rows, channels) matrices; statistics are float64.

cdef extern from "fnn.h" nogil:
    Py_ssize_t fnn_batchnorm_workspace_f32(Py_ssize_t rows, Py_ssize_t channels)
    fnn_status fnn_batchnorm_statistics_f32(Py_ssize_t rows, Py_ssize_t channels, const float *x, double *mean,
                                            double *variance, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_forward_f32(Py_ssize_t rows, Py_ssize_t channels, const float *x, const double *mean,
                                         const double *invstd, const float *weight, const float *bias, float *y,
                                         void *workspace, int n_threads)
    fnn_status fnn_batchnorm_backward_f32(Py_ssize_t rows, Py_ssize_t channels, const float *dy, const float *x,
                                          const double *mean, const double *invstd, const float *weight,
                                          int training, float *dx, float *dweight, float *dbias, void *workspace,
                                          int n_threads)
    Py_ssize_t fnn_batchnorm_workspace_f64(Py_ssize_t rows, Py_ssize_t channels)
    fnn_status fnn_batchnorm_statistics_f64(Py_ssize_t rows, Py_ssize_t channels, const double *x, double *mean,
                                            double *variance, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_forward_f64(Py_ssize_t rows, Py_ssize_t channels, const double *x, const double *mean,
                                         const double *invstd, const double *weight, const double *bias, double *y,
                                         void *workspace, int n_threads)
    fnn_status fnn_batchnorm_backward_f64(Py_ssize_t rows, Py_ssize_t channels, const double *dy, const double *x,
                                          const double *mean, const double *invstd, const double *weight,
                                          int training, double *dx, double *dweight, double *dbias, void *workspace,
                                          int n_threads)


cdef const real *optional_values(const real[::1] values, Py_ssize_t n) except? NULL:
    """The address of `values`, or NULL if it is None; refuses another length than n."""
    if values is None:
        return NULL
    if values.shape[0] != n:
        raise ValueError(f"{values.shape[0]} values, {n} are needed")
    return &values[0]


cdef int check_matrix(bint fits) except -1:
    if not fits:
        raise ValueError("shapes do not fit, or an array is empty")
    return 0


def batchnorm_workspace(const real[:, ::1] x):
    """Bytes of workspace for each of the functions below."""
    if real is float:
        return fnn_batchnorm_workspace_f32(x.shape[0], x.shape[1])
    else:
        return fnn_batchnorm_workspace_f64(x.shape[0], x.shape[1])


def batchnorm_statistics(const real[:, ::1] x,       # IN
                         double[::1] mean,           # OUT
                         double[::1] variance,       # OUT
                         uint8_t[::1] workspace,     # OUT
                         int n_threads):
    cdef Py_ssize_t rows = x.shape[0], channels = x.shape[1]
    cdef fnn_status status
    check_matrix(min(rows, channels) > 0 and mean.shape[0] == channels and variance.shape[0] == channels)
    if real is float:
        check_workspace(workspace, fnn_batchnorm_workspace_f32(rows, channels))
        with nogil:
            status = fnn_batchnorm_statistics_f32(rows, channels, &x[0, 0], &mean[0], &variance[0], &workspace[0],
                                                  n_threads)
    else:
        check_workspace(workspace, fnn_batchnorm_workspace_f64(rows, channels))
        with nogil:
            status = fnn_batchnorm_statistics_f64(rows, channels, &x[0, 0], &mean[0], &variance[0], &workspace[0],
                                                  n_threads)
    check(status, "batch_norm")


def batchnorm_forward(const real[:, ::1] x,        # IN
                      const double[::1] mean,      # IN
                      const double[::1] invstd,    # IN
                      const real[::1] weight,      # IN or None
                      const real[::1] bias,        # IN or None
                      real[:, ::1] y,              # OUT
                      uint8_t[::1] workspace,      # OUT
                      int n_threads):
    cdef Py_ssize_t rows = x.shape[0], channels = x.shape[1]
    cdef const real *weight_data = optional_values[real](weight, channels)
    cdef const real *bias_data = optional_values[real](bias, channels)
    cdef fnn_status status
    check_matrix(min(rows, channels) > 0 and y.shape[0] == rows and y.shape[1] == channels
                 and mean.shape[0] == channels and invstd.shape[0] == channels)
    if real is float:
        check_workspace(workspace, fnn_batchnorm_workspace_f32(rows, channels))
        with nogil:
            status = fnn_batchnorm_forward_f32(rows, channels, &x[0, 0], &mean[0], &invstd[0], weight_data, bias_data,
                                               &y[0, 0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_batchnorm_workspace_f64(rows, channels))
        with nogil:
            status = fnn_batchnorm_forward_f64(rows, channels, &x[0, 0], &mean[0], &invstd[0], weight_data, bias_data,
                                               &y[0, 0], &workspace[0], n_threads)
    check(status, "batch_norm")


def batchnorm_backward(const real[:, ::1] dy,       # IN
                       const real[:, ::1] x,        # IN
                       const double[::1] mean,      # IN
                       const double[::1] invstd,    # IN
                       const real[::1] weight,      # IN or None
                       bint training,
                       real[:, ::1] dx,             # OUT or None
                       real[::1] dweight,           # OUT
                       real[::1] dbias,             # OUT
                       uint8_t[::1] workspace,      # OUT
                       int n_threads):
    cdef Py_ssize_t rows = x.shape[0], channels = x.shape[1]
    cdef const real *weight_data = optional_values[real](weight, channels)
    cdef real *dx_data = NULL
    cdef fnn_status status
    check_matrix(min(rows, channels) > 0 and dy.shape[0] == rows and dy.shape[1] == channels
                 and mean.shape[0] == channels and invstd.shape[0] == channels
                 and dweight.shape[0] == channels and dbias.shape[0] == channels)
    if dx is not None:
        check_matrix(dx.shape[0] == rows and dx.shape[1] == channels)
        dx_data = &dx[0, 0]
    if real is float:
        check_workspace(workspace, fnn_batchnorm_workspace_f32(rows, channels))
        with nogil:
            status = fnn_batchnorm_backward_f32(rows, channels, &dy[0, 0], &x[0, 0], &mean[0], &invstd[0], weight_data,
                                                training, dx_data, &dweight[0], &dbias[0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_batchnorm_workspace_f64(rows, channels))
        with nogil:
            status = fnn_batchnorm_backward_f64(rows, channels, &dy[0, 0], &x[0, 0], &mean[0], &invstd[0], weight_data,
                                                training, dx_data, &dweight[0], &dbias[0], &workspace[0], n_threads)
    check(status, "batch_norm_backward")
