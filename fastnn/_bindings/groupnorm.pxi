# Binds src_c/ops/groupnorm.c. Activations are (pixels, n, channels); statistics are float64, (n, groups).

cdef extern from "fnn.h" nogil:
    ctypedef struct fnn_groupnorm_shape:
        Py_ssize_t pixels, n, channels, groups
    Py_ssize_t fnn_groupnorm_workspace_f32(const fnn_groupnorm_shape *shape)
    fnn_status fnn_groupnorm_forward_f32(const fnn_groupnorm_shape *shape, const float *x, const float *weight,
                                         const float *bias, double eps, float *y, double *mean, double *invstd,
                                         void *workspace, int n_threads)
    fnn_status fnn_groupnorm_backward_f32(const fnn_groupnorm_shape *shape, const float *dy, const float *x,
                                          const double *mean, const double *invstd, const float *weight,
                                          float *dx, float *dweight, float *dbias, void *workspace, int n_threads)
    Py_ssize_t fnn_groupnorm_workspace_f64(const fnn_groupnorm_shape *shape)
    fnn_status fnn_groupnorm_forward_f64(const fnn_groupnorm_shape *shape, const double *x, const double *weight,
                                         const double *bias, double eps, double *y, double *mean, double *invstd,
                                         void *workspace, int n_threads)
    fnn_status fnn_groupnorm_backward_f64(const fnn_groupnorm_shape *shape, const double *dy, const double *x,
                                          const double *mean, const double *invstd, const double *weight,
                                          double *dx, double *dweight, double *dbias, void *workspace, int n_threads)


cdef fnn_groupnorm_shape groupnorm_shape(const real[:, :, ::1] x, Py_ssize_t groups) except *:
    cdef fnn_groupnorm_shape s
    s.pixels, s.n, s.channels, s.groups = x.shape[0], x.shape[1], x.shape[2], groups
    check_matrix(min(s.pixels, s.n, s.channels, groups) > 0 and s.channels % groups == 0)
    return s


def groupnorm_workspace(const real[:, :, ::1] x, Py_ssize_t groups):
    """Bytes of workspace for each of the functions below."""
    cdef fnn_groupnorm_shape s = groupnorm_shape[real](x, groups)
    if real is float:
        return fitting(fnn_groupnorm_workspace_f32(&s))
    else:
        return fitting(fnn_groupnorm_workspace_f64(&s))


def groupnorm_forward(const real[:, :, ::1] x,    # IN
                      const real[::1] weight,     # IN or None
                      const real[::1] bias,       # IN or None
                      double eps,
                      real[:, :, ::1] y,          # OUT
                      double[:, ::1] mean,        # OUT
                      double[:, ::1] invstd,      # OUT
                      uint8_t[::1] workspace,     # OUT
                      int n_threads):
    cdef fnn_groupnorm_shape s = groupnorm_shape[real](x, mean.shape[1])
    cdef const real *weight_data = optional_values[real](weight, s.channels)
    cdef const real *bias_data = optional_values[real](bias, s.channels)
    cdef fnn_status status
    check_matrix(y.shape[0] == s.pixels and y.shape[1] == s.n and y.shape[2] == s.channels and mean.shape[0] == s.n
                 and invstd.shape[0] == s.n and invstd.shape[1] == s.groups)
    if real is float:
        check_workspace(workspace, fnn_groupnorm_workspace_f32(&s))
        with nogil:
            status = fnn_groupnorm_forward_f32(&s, &x[0, 0, 0], weight_data, bias_data, eps, &y[0, 0, 0], &mean[0, 0],
                                               &invstd[0, 0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_groupnorm_workspace_f64(&s))
        with nogil:
            status = fnn_groupnorm_forward_f64(&s, &x[0, 0, 0], weight_data, bias_data, eps, &y[0, 0, 0], &mean[0, 0],
                                               &invstd[0, 0], &workspace[0], n_threads)
    check(status, "group_norm")


def groupnorm_backward(const real[:, :, ::1] dy,      # IN
                       const real[:, :, ::1] x,       # IN
                       const double[:, ::1] mean,     # IN
                       const double[:, ::1] invstd,   # IN
                       const real[::1] weight,        # IN or None
                       real[:, :, ::1] dx,            # OUT or None
                       real[::1] dweight,             # OUT
                       real[::1] dbias,               # OUT
                       uint8_t[::1] workspace,        # OUT
                       int n_threads):
    cdef fnn_groupnorm_shape s = groupnorm_shape[real](x, mean.shape[1])
    cdef const real *weight_data = optional_values[real](weight, s.channels)
    cdef real *dx_data = NULL
    cdef fnn_status status
    check_matrix(dy.shape[0] == s.pixels and dy.shape[1] == s.n and dy.shape[2] == s.channels
                 and mean.shape[0] == s.n and invstd.shape[0] == s.n and invstd.shape[1] == s.groups
                 and dweight.shape[0] == s.channels and dbias.shape[0] == s.channels)
    if dx is not None:
        check_matrix(dx.shape[0] == s.pixels and dx.shape[1] == s.n and dx.shape[2] == s.channels)
        dx_data = &dx[0, 0, 0]
    if real is float:
        check_workspace(workspace, fnn_groupnorm_workspace_f32(&s))
        with nogil:
            status = fnn_groupnorm_backward_f32(&s, &dy[0, 0, 0], &x[0, 0, 0], &mean[0, 0], &invstd[0, 0], weight_data,
                                                dx_data, &dweight[0], &dbias[0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_groupnorm_workspace_f64(&s))
        with nogil:
            status = fnn_groupnorm_backward_f64(&s, &dy[0, 0, 0], &x[0, 0, 0], &mean[0, 0], &invstd[0, 0], weight_data,
                                                dx_data, &dweight[0], &dbias[0], &workspace[0], n_threads)
    check(status, "group_norm_backward")
