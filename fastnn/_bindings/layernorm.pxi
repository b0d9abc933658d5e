# Binds src_c/ops/layernorm.c. Activations are (rows, features) matrices; statistics are float64.

cdef extern from "fnn.h" nogil:
    fnn_status fnn_layernorm_forward_f32(Py_ssize_t rows, Py_ssize_t features, const float *x, const float *weight,
                                         const float *bias, double eps, float *y, double *mean, double *invstd,
                                         int n_threads)
    Py_ssize_t fnn_layernorm_backward_workspace_f32(Py_ssize_t rows, Py_ssize_t features, int need_dweight)
    fnn_status fnn_layernorm_backward_f32(Py_ssize_t rows, Py_ssize_t features, const float *dy, const float *x,
                                          const double *mean, const double *invstd, const float *weight,
                                          float *dx, float *dweight, float *dbias, void *workspace, int n_threads)
    fnn_status fnn_layernorm_forward_f64(Py_ssize_t rows, Py_ssize_t features, const double *x, const double *weight,
                                         const double *bias, double eps, double *y, double *mean, double *invstd,
                                         int n_threads)
    Py_ssize_t fnn_layernorm_backward_workspace_f64(Py_ssize_t rows, Py_ssize_t features, int need_dweight)
    fnn_status fnn_layernorm_backward_f64(Py_ssize_t rows, Py_ssize_t features, const double *dy, const double *x,
                                          const double *mean, const double *invstd, const double *weight,
                                          double *dx, double *dweight, double *dbias, void *workspace, int n_threads)


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


def layernorm_forward(const real[:, ::1] x,       # IN
                      const real[::1] weight,     # IN or None
                      const real[::1] bias,       # IN or None
                      double eps,
                      real[:, ::1] y,             # OUT
                      double[::1] mean,           # OUT
                      double[::1] invstd,         # OUT
                      int n_threads):
    cdef Py_ssize_t rows = x.shape[0], features = x.shape[1]
    cdef const real *weight_data = optional_values[real](weight, features)
    cdef const real *bias_data = optional_values[real](bias, features)
    cdef fnn_status status
    check_matrix(min(rows, features) > 0 and y.shape[0] == rows and y.shape[1] == features
                 and mean.shape[0] == rows and invstd.shape[0] == rows)
    with nogil:
        if real is float:
            status = fnn_layernorm_forward_f32(rows, features, &x[0, 0], weight_data, bias_data, eps, &y[0, 0],
                                               &mean[0], &invstd[0], n_threads)
        else:
            status = fnn_layernorm_forward_f64(rows, features, &x[0, 0], weight_data, bias_data, eps, &y[0, 0],
                                               &mean[0], &invstd[0], n_threads)
    check(status, "layer_norm")


def layernorm_backward_workspace(const real[:, ::1] x, bint need_dweight):
    """Bytes of workspace for `layernorm_backward`."""
    if real is float:
        return fitting(fnn_layernorm_backward_workspace_f32(x.shape[0], x.shape[1], need_dweight))
    else:
        return fitting(fnn_layernorm_backward_workspace_f64(x.shape[0], x.shape[1], need_dweight))


def layernorm_backward(const real[:, ::1] dy,       # IN
                       const real[:, ::1] x,        # IN
                       const double[::1] mean,      # IN
                       const double[::1] invstd,    # IN
                       const real[::1] weight,      # IN or None
                       real[:, ::1] dx,             # OUT or None
                       real[::1] dweight,           # OUT or None, together with dbias
                       real[::1] dbias,             # OUT or None
                       uint8_t[::1] workspace,      # OUT
                       int n_threads):
    cdef Py_ssize_t rows = x.shape[0], features = x.shape[1]
    cdef const real *weight_data = optional_values[real](weight, features)
    cdef real *dx_data = NULL
    cdef real *dweight_data = NULL
    cdef real *dbias_data = NULL
    cdef bint need_dweight = dweight is not None
    cdef fnn_status status
    check_matrix(min(rows, features) > 0 and dy.shape[0] == rows and dy.shape[1] == features
                 and mean.shape[0] == rows and invstd.shape[0] == rows and need_dweight == (dbias is not None))
    if dx is not None:
        check_matrix(dx.shape[0] == rows and dx.shape[1] == features)
        dx_data = &dx[0, 0]
    if need_dweight:
        check_matrix(dweight.shape[0] == features and dbias.shape[0] == features)
        dweight_data = &dweight[0]
        dbias_data = &dbias[0]
    if real is float:
        check_workspace(workspace, fnn_layernorm_backward_workspace_f32(rows, features, need_dweight))
        with nogil:
            status = fnn_layernorm_backward_f32(rows, features, &dy[0, 0], &x[0, 0], &mean[0], &invstd[0], weight_data,
                                                dx_data, dweight_data, dbias_data, &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_layernorm_backward_workspace_f64(rows, features, need_dweight))
        with nogil:
            status = fnn_layernorm_backward_f64(rows, features, &dy[0, 0], &x[0, 0], &mean[0], &invstd[0], weight_data,
                                                dx_data, dweight_data, dbias_data, &workspace[0], n_threads)
    check(status, "layer_norm_backward")
