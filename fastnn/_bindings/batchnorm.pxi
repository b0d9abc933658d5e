# Binds src_c/ops/batchnorm.c. Activations are (rows, channels) matrices; statistics are float64.

cdef extern from "fnn.h" nogil:
    ctypedef enum fnn_then:
        FNN_THEN_NOTHING
        FNN_THEN_RELU
        FNN_THEN_RELU6
        FNN_THEN_GELU
        FNN_THEN_SILU
    Py_ssize_t fnn_batchnorm_workspace_f32(Py_ssize_t rows, Py_ssize_t channels)
    fnn_status fnn_batchnorm_training_f32(Py_ssize_t rows, Py_ssize_t channels, const float *x, double eps,
                                          double momentum, double *running_mean, double *running_variance,
                                          const float *weight, const float *bias, fnn_then then,
                                          const float *residual, double *mean, double *invstd, float *y,
                                          void *workspace, int n_threads)
    fnn_status fnn_batchnorm_forward_f32(Py_ssize_t rows, Py_ssize_t channels, const float *x, const double *mean,
                                         const double *invstd, const float *weight, const float *bias,
                                         fnn_then then, const float *residual, float *y, void *workspace,
                                         int n_threads)
    fnn_status fnn_batchnorm_backward_f32(Py_ssize_t rows, Py_ssize_t channels, const float *dy, const float *x,
                                          const double *mean, const double *invstd, const float *weight,
                                          const float *bias, fnn_then then, const float *y, int training,
                                          float *dx, float *dresidual, float *dweight, float *dbias,
                                          void *workspace, int n_threads)
    Py_ssize_t fnn_batchnorm_workspace_f64(Py_ssize_t rows, Py_ssize_t channels)
    fnn_status fnn_batchnorm_training_f64(Py_ssize_t rows, Py_ssize_t channels, const double *x, double eps,
                                          double momentum, double *running_mean, double *running_variance,
                                          const double *weight, const double *bias, fnn_then then,
                                          const double *residual, double *mean, double *invstd, double *y,
                                          void *workspace, int n_threads)
    fnn_status fnn_batchnorm_forward_f64(Py_ssize_t rows, Py_ssize_t channels, const double *x, const double *mean,
                                         const double *invstd, const double *weight, const double *bias,
                                         fnn_then then, const double *residual, double *y, void *workspace,
                                         int n_threads)
    fnn_status fnn_batchnorm_backward_f64(Py_ssize_t rows, Py_ssize_t channels, const double *dy, const double *x,
                                          const double *mean, const double *invstd, const double *weight,
                                          const double *bias, fnn_then then, const double *y, int training,
                                          double *dx, double *dresidual, double *dweight, double *dbias,
                                          void *workspace, int n_threads)


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
        return fitting(fnn_batchnorm_workspace_f32(x.shape[0], x.shape[1]))
    else:
        return fitting(fnn_batchnorm_workspace_f64(x.shape[0], x.shape[1]))


cdef fnn_then then_of(str name, bint has_residual) except *:
    if name is None:
        return FNN_THEN_NOTHING
    if name == "relu":
        return FNN_THEN_RELU
    if name == "relu6":
        return FNN_THEN_RELU6
    if name == "gelu" and not has_residual:
        return FNN_THEN_GELU
    if name == "silu" and not has_residual:
        return FNN_THEN_SILU
    raise ValueError(f"there is no kernel that applies {name!r}{' to a sum with a residual' if has_residual else ''}")


cdef const real *optional_matrix(const real[:, ::1] matrix, Py_ssize_t rows, Py_ssize_t columns) except? NULL:
    """The address of `matrix`, or NULL if it is None; refuses another shape."""
    if matrix is None:
        return NULL
    check_matrix(matrix.shape[0] == rows and matrix.shape[1] == columns)
    return &matrix[0, 0]


def batchnorm_forward(const real[:, ::1] x,        # IN
                      const double[::1] mean,      # IN
                      const double[::1] invstd,    # IN
                      const real[::1] weight,      # IN or None
                      const real[::1] bias,        # IN or None
                      str then,                    # None, "relu", "relu6", "gelu" or "silu"
                      const real[:, ::1] residual,  # IN or None
                      real[:, ::1] y,              # OUT
                      uint8_t[::1] workspace,      # OUT
                      int n_threads):
    cdef Py_ssize_t rows = x.shape[0], channels = x.shape[1]
    cdef const real *weight_data = optional_values[real](weight, channels)
    cdef const real *bias_data = optional_values[real](bias, channels)
    cdef fnn_then applied = then_of(then, residual is not None)
    cdef fnn_status status
    check_matrix(min(rows, channels) > 0 and y.shape[0] == rows and y.shape[1] == channels
                 and mean.shape[0] == channels and invstd.shape[0] == channels)
    cdef const real *residual_data = optional_matrix[real](residual, rows, channels)
    if real is float:
        check_workspace(workspace, fnn_batchnorm_workspace_f32(rows, channels))
        with nogil:
            status = fnn_batchnorm_forward_f32(rows, channels, &x[0, 0], &mean[0], &invstd[0], weight_data, bias_data,
                                               applied, residual_data, &y[0, 0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_batchnorm_workspace_f64(rows, channels))
        with nogil:
            status = fnn_batchnorm_forward_f64(rows, channels, &x[0, 0], &mean[0], &invstd[0], weight_data, bias_data,
                                               applied, residual_data, &y[0, 0], &workspace[0], n_threads)
    check(status, "batch_norm")


def batchnorm_training(const real[:, ::1] x,         # IN
                       double eps,
                       double momentum,
                       double[::1] running_mean,      # INOUT or None
                       double[::1] running_variance,  # INOUT or None
                       const real[::1] weight,        # IN or None
                       const real[::1] bias,          # IN or None
                       str then,                      # None, "relu", "relu6", "gelu" or "silu"
                       const real[:, ::1] residual,   # IN or None
                       double[::1] mean,              # OUT
                       double[::1] invstd,            # OUT
                       real[:, ::1] y,                # OUT, or None for the statistics alone
                       uint8_t[::1] workspace,        # OUT
                       int n_threads):
    cdef Py_ssize_t rows = x.shape[0], channels = x.shape[1]
    cdef real *y_data = NULL
    cdef double *running_mean_data = NULL
    cdef double *running_variance_data = NULL
    cdef const real *weight_data = optional_values[real](weight, channels)
    cdef const real *bias_data = optional_values[real](bias, channels)
    cdef fnn_then applied = then_of(then, residual is not None)
    cdef fnn_status status
    check_matrix(rows > 1 and channels > 0 and mean.shape[0] == channels and invstd.shape[0] == channels)
    cdef const real *residual_data = optional_matrix[real](residual, rows, channels)
    if y is not None:
        check_matrix(y.shape[0] == rows and y.shape[1] == channels)
        y_data = &y[0, 0]
    if running_mean is not None:
        check_matrix(running_mean.shape[0] == channels)
        running_mean_data = &running_mean[0]
    if running_variance is not None:
        check_matrix(running_variance.shape[0] == channels)
        running_variance_data = &running_variance[0]
    if real is float:
        check_workspace(workspace, fnn_batchnorm_workspace_f32(rows, channels))
        with nogil:
            status = fnn_batchnorm_training_f32(rows, channels, &x[0, 0], eps, momentum, running_mean_data,
                                                running_variance_data, weight_data, bias_data, applied, residual_data,
                                                &mean[0], &invstd[0], y_data, &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_batchnorm_workspace_f64(rows, channels))
        with nogil:
            status = fnn_batchnorm_training_f64(rows, channels, &x[0, 0], eps, momentum, running_mean_data,
                                                running_variance_data, weight_data, bias_data, applied, residual_data,
                                                &mean[0], &invstd[0], y_data, &workspace[0], n_threads)
    check(status, "batch_norm")


def batchnorm_backward(const real[:, ::1] dy,       # IN
                       const real[:, ::1] x,        # IN
                       const double[::1] mean,      # IN
                       const double[::1] invstd,    # IN
                       const real[::1] weight,      # IN or None
                       const real[::1] bias,        # IN or None
                       str then,                    # None, "relu", "relu6", "gelu" or "silu"
                       const real[:, ::1] y,        # IN or None
                       bint training,
                       real[:, ::1] dx,             # OUT or None
                       real[:, ::1] dresidual,      # OUT or None
                       real[::1] dweight,           # OUT
                       real[::1] dbias,             # OUT
                       uint8_t[::1] workspace,      # OUT
                       int n_threads):
    cdef Py_ssize_t rows = x.shape[0], channels = x.shape[1]
    cdef const real *weight_data = optional_values[real](weight, channels)
    cdef const real *bias_data = optional_values[real](bias, channels)
    cdef fnn_then applied = then_of(then, y is not None)
    cdef real *dx_data = NULL
    cdef real *dresidual_data = NULL
    cdef fnn_status status
    check_matrix(min(rows, channels) > 0 and dy.shape[0] == rows and dy.shape[1] == channels
                 and mean.shape[0] == channels and invstd.shape[0] == channels
                 and dweight.shape[0] == channels and dbias.shape[0] == channels)
    cdef const real *y_data = optional_matrix[real](y, rows, channels)
    if dx is not None:
        check_matrix(dx.shape[0] == rows and dx.shape[1] == channels)
        dx_data = &dx[0, 0]
    if dresidual is not None:
        check_matrix(dresidual.shape[0] == rows and dresidual.shape[1] == channels
                     and applied != FNN_THEN_NOTHING and y is not None)
        dresidual_data = &dresidual[0, 0]
    if real is float:
        check_workspace(workspace, fnn_batchnorm_workspace_f32(rows, channels))
        with nogil:
            status = fnn_batchnorm_backward_f32(rows, channels, &dy[0, 0], &x[0, 0], &mean[0], &invstd[0], weight_data,
                                                bias_data, applied, y_data, training, dx_data, dresidual_data,
                                                &dweight[0], &dbias[0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_batchnorm_workspace_f64(rows, channels))
        with nogil:
            status = fnn_batchnorm_backward_f64(rows, channels, &dy[0, 0], &x[0, 0], &mean[0], &invstd[0], weight_data,
                                                bias_data, applied, y_data, training, dx_data, dresidual_data,
                                                &dweight[0], &dbias[0], &workspace[0], n_threads)
    check(status, "batch_norm_backward")
