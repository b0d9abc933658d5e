# Binds src_c/ops/conv2d.c and conv2d_weight.c, and through them winograd.c and winograd_weight.c. Activations are
# (h, w, n, channels), weights (kernel_h, kernel_w, c_in / groups, c_out), both dense.

cdef extern from "fnn.h" nogil:
    ctypedef enum fnn_conv2d_algorithm:
        FNN_DIRECT
        FNN_WINOGRAD
        FNN_WINOGRAD24
        FNN_WINOGRAD4
    ctypedef struct fnn_conv2d_shape:
        Py_ssize_t n, c_in, h, w
        Py_ssize_t c_out, h_out, w_out
        Py_ssize_t kernel_h, kernel_w
        Py_ssize_t stride_h, stride_w
        Py_ssize_t pad_top, pad_left
        Py_ssize_t dilation_h, dilation_w
        Py_ssize_t groups
        fnn_conv2d_algorithm algorithm
        fnn_isa isa
    int fnn_conv2d_is_depthwise(const fnn_conv2d_shape *shape)
    Py_ssize_t fnn_conv2d_forward_workspace_f32(const fnn_conv2d_shape *shape, int n_threads)
    Py_ssize_t fnn_conv2d_forward_workspace_f64(const fnn_conv2d_shape *shape, int n_threads)
    Py_ssize_t fnn_conv2d_backward_data_workspace_f32(const fnn_conv2d_shape *shape, int n_threads)
    Py_ssize_t fnn_conv2d_backward_data_workspace_f64(const fnn_conv2d_shape *shape, int n_threads)
    Py_ssize_t fnn_conv2d_backward_weight_workspace_f32(const fnn_conv2d_shape *shape, int n_threads)
    Py_ssize_t fnn_conv2d_backward_weight_workspace_f64(const fnn_conv2d_shape *shape, int n_threads)
    ctypedef struct fnn_norm_f32:
        const float *mean
        const float *variance
        const float *weight
        const float *bias
        const float *residual
        double eps
        fnn_then then
    ctypedef struct fnn_norm_f64:
        const double *mean
        const double *variance
        const double *weight
        const double *bias
        const double *residual
        double eps
        fnn_then then
    fnn_status fnn_conv2d_forward_f32(const fnn_conv2d_shape *shape, const float *x, const float *weight,
                                      const float *bias, const fnn_norm_f32 *norm, float *y, void *workspace,
                                      int n_threads)
    fnn_status fnn_conv2d_forward_f64(const fnn_conv2d_shape *shape, const double *x, const double *weight,
                                      const double *bias, const fnn_norm_f64 *norm, double *y, void *workspace,
                                      int n_threads)
    fnn_status fnn_conv2d_backward_data_f32(const fnn_conv2d_shape *shape, const float *dy, const float *weight,
                                            const float *addend, float *dx, void *workspace, int n_threads)
    fnn_status fnn_conv2d_backward_data_f64(const fnn_conv2d_shape *shape, const double *dy, const double *weight,
                                            const double *addend, double *dx, void *workspace, int n_threads)
    fnn_status fnn_conv2d_backward_weight_f32(const fnn_conv2d_shape *shape, const float *x, const float *dy,
                                              float *dweight, float *dbias, void *workspace, int n_threads)
    fnn_status fnn_conv2d_backward_weight_f64(const fnn_conv2d_shape *shape, const double *x, const double *dy,
                                              double *dweight, double *dbias, void *workspace, int n_threads)


cdef fnn_conv2d_algorithm conv2d_algorithm_of(str algorithm) except *:
    if algorithm == "direct":
        return FNN_DIRECT
    if algorithm == "winograd":
        return FNN_WINOGRAD
    if algorithm == "winograd24":
        return FNN_WINOGRAD24
    if algorithm == "winograd4":
        return FNN_WINOGRAD4
    raise ValueError(f"conv2d: no kernels for algorithm {algorithm!r}")


cdef enum:
    MOST_SETTING = 2147483647  # so that the product of two fits, with room for sums


cdef int check_settings(const fnn_conv2d_shape *s) except -1:
    """Refuse strides, paddings and dilations, which no array bounds, whose products would overflow."""
    if (max(s.stride_h, s.stride_w, s.dilation_h, s.dilation_w) > MOST_SETTING
            or max(s.pad_top, s.pad_left) > MOST_SETTING or min(s.pad_top, s.pad_left) < -MOST_SETTING):
        raise ValueError("conv2d: stride, padding or dilation is too large")
    # The pixels that the last output and the last tap reach, which C computes.
    cdef Py_ssize_t most = PY_SSIZE_T_MAX // 4
    if (s.h_out > most // s.stride_h or s.w_out > most // s.stride_w
            or s.kernel_h > most // s.dilation_h or s.kernel_w > most // s.dilation_w):
        raise ValueError("conv2d: the image is too large for this stride or dilation")
    return 0


cdef fnn_conv2d_shape conv2d_shape(const real[:, :, :, ::1] x, const real[:, :, :, ::1] weight,
                                   const real[:, :, :, ::1] y, tuple stride, tuple pad, tuple dilation,
                                   Py_ssize_t groups, int n_threads, str algorithm, str isa) except *:
    """The struct for arrays of these shapes; refuses what would read or write outside them."""
    cdef fnn_isa used = isa_of(isa)
    cdef fnn_conv2d_shape s
    s.h, s.w, s.n, s.c_in = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    s.h_out, s.w_out, s.c_out = y.shape[0], y.shape[1], y.shape[3]
    s.kernel_h, s.kernel_w = weight.shape[0], weight.shape[1]
    s.stride_h, s.stride_w = stride
    s.pad_top, s.pad_left = pad
    s.dilation_h, s.dilation_w = dilation
    s.groups = groups
    s.algorithm = conv2d_algorithm_of(algorithm)
    s.isa = used
    if (y.shape[2] != s.n or weight.shape[3] != s.c_out or weight.shape[2] * groups != s.c_in
            or s.c_out % groups != 0 or min(stride) < 1 or min(dilation) < 1 or groups < 1
            or min(s.kernel_h, s.kernel_w, s.h, s.w, s.n, s.c_in, s.h_out, s.w_out, s.c_out) < 1):
        raise ValueError("conv2d: shapes do not fit")
    if n_threads < 1:  # the workspace would be one for none
        raise ValueError(f"conv2d: n_threads must be at least 1. Received: {n_threads}")
    check_settings(&s)
    if s.algorithm != FNN_DIRECT and (s.kernel_h != 3 or s.kernel_w != 3 or groups != 1 or stride != (1, 1)
                                      or dilation != (1, 1) or min(pad) < 0 or max(pad) > 2):
        raise ValueError("conv2d: Winograd's algorithm cannot do this convolution")
    return s


cdef int check_workspace(const uint8_t[::1] workspace, Py_ssize_t needed) except -1:
    if workspace.shape[0] < fitting(needed) or <size_t>&workspace[0] % 64 != 0:
        raise ValueError(f"workspace of {workspace.shape[0]} bytes, {needed} aligned to 64 are needed")
    return 0


def conv2d_is_depthwise(Py_ssize_t c_in, Py_ssize_t c_out, Py_ssize_t groups):
    """Whether convolutions of so many channels and groups run the depthwise kernels instead of matrix products."""
    cdef fnn_conv2d_shape s
    s.c_in, s.c_out, s.groups = c_in, c_out, groups
    return bool(fnn_conv2d_is_depthwise(&s))


def conv2d_workspace(str direction, const real[:, :, :, ::1] x, const real[:, :, :, ::1] weight,
                     const real[:, :, :, ::1] y, tuple stride, tuple pad, tuple dilation, Py_ssize_t groups,
                     str algorithm, int n_threads, str isa=None):
    """Bytes of workspace for 'forward', 'backward_data' or 'backward_weight' on these arrays."""
    cdef fnn_conv2d_shape s = conv2d_shape(x, weight, y, stride, pad, dilation, groups, n_threads, algorithm, isa)
    if real is float:
        if direction == "forward":
            return fitting(fnn_conv2d_forward_workspace_f32(&s, n_threads))
        if direction == "backward_data":
            return fitting(fnn_conv2d_backward_data_workspace_f32(&s, n_threads))
        return fitting(fnn_conv2d_backward_weight_workspace_f32(&s, n_threads))
    else:
        if direction == "forward":
            return fitting(fnn_conv2d_forward_workspace_f64(&s, n_threads))
        if direction == "backward_data":
            return fitting(fnn_conv2d_backward_data_workspace_f64(&s, n_threads))
        return fitting(fnn_conv2d_backward_weight_workspace_f64(&s, n_threads))


def conv2d_forward(const real[:, :, :, ::1] x,       # IN
                   const real[:, :, :, ::1] weight,  # IN
                   const real[::1] bias,             # IN or None
                   real[:, :, :, ::1] y,             # OUT
                   tuple stride, tuple pad, tuple dilation, Py_ssize_t groups, str algorithm,
                   uint8_t[::1] workspace,           # OUT
                   int n_threads, str isa=None):
    cdef fnn_conv2d_shape s = conv2d_shape(x, weight, y, stride, pad, dilation, groups, n_threads, algorithm, isa)
    cdef fnn_status status
    cdef const real *bias_data = NULL
    if bias is not None:
        if bias.shape[0] != s.c_out:
            raise ValueError("conv2d: bias does not fit")
        bias_data = &bias[0]
    if real is float:
        check_workspace(workspace, fnn_conv2d_forward_workspace_f32(&s, n_threads))
        with nogil:
            status = fnn_conv2d_forward_f32(&s, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], bias_data, NULL,
                                            &y[0, 0, 0, 0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_conv2d_forward_workspace_f64(&s, n_threads))
        with nogil:
            status = fnn_conv2d_forward_f64(&s, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], bias_data, NULL,
                                            &y[0, 0, 0, 0], &workspace[0], n_threads)
    check(status, "conv2d")


def conv2d_norm_forward(const real[:, :, :, ::1] x,         # IN
                        const real[:, :, :, ::1] weight,    # IN
                        const real[::1] bias,               # IN or None
                        const real[::1] mean,               # IN
                        const real[::1] variance,           # IN
                        const real[::1] norm_weight,        # IN or None
                        const real[::1] norm_bias,          # IN or None
                        double eps,
                        str then,                           # None, "relu" or "gelu"
                        const real[:, :, :, ::1] residual,  # IN or None
                        real[:, :, :, ::1] y,               # OUT
                        tuple stride, tuple pad, tuple dilation, Py_ssize_t groups, str algorithm,
                        uint8_t[::1] workspace,             # OUT
                        int n_threads, str isa=None):
    cdef fnn_conv2d_shape s = conv2d_shape(x, weight, y, stride, pad, dilation, groups, n_threads, algorithm, isa)
    cdef fnn_status status
    cdef fnn_norm_f32 norm_f32
    cdef fnn_norm_f64 norm_f64
    cdef const real *bias_data = optional_values[real](bias, s.c_out)
    cdef const real *norm_weight_data = optional_values[real](norm_weight, s.c_out)
    cdef const real *norm_bias_data = optional_values[real](norm_bias, s.c_out)
    cdef const real *residual_data = NULL
    if mean is None or variance is None or mean.shape[0] != s.c_out or variance.shape[0] != s.c_out:
        raise ValueError(f"conv2d: batch norm has not one mean and variance for each of {s.c_out} channels")
    if residual is not None:
        check_matrix(residual.shape[0] == s.h_out and residual.shape[1] == s.w_out and residual.shape[2] == s.n
                     and residual.shape[3] == s.c_out)
        residual_data = &residual[0, 0, 0, 0]
    if real is float:
        norm_f32 = fnn_norm_f32(&mean[0], &variance[0], norm_weight_data, norm_bias_data, residual_data, eps,
                                then_of(then))
        check_workspace(workspace, fnn_conv2d_forward_workspace_f32(&s, n_threads))
        with nogil:
            status = fnn_conv2d_forward_f32(&s, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], bias_data, &norm_f32,
                                            &y[0, 0, 0, 0], &workspace[0], n_threads)
    else:
        norm_f64 = fnn_norm_f64(&mean[0], &variance[0], norm_weight_data, norm_bias_data, residual_data, eps,
                                then_of(then))
        check_workspace(workspace, fnn_conv2d_forward_workspace_f64(&s, n_threads))
        with nogil:
            status = fnn_conv2d_forward_f64(&s, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], bias_data, &norm_f64,
                                            &y[0, 0, 0, 0], &workspace[0], n_threads)
    check(status, "conv2d")


def conv2d_backward_data(const real[:, :, :, ::1] dy,      # IN
                         const real[:, :, :, ::1] weight,  # IN
                         const real[:, :, :, ::1] addend,  # IN or None
                         real[:, :, :, ::1] dx,            # OUT
                         tuple stride, tuple pad, tuple dilation, Py_ssize_t groups, str algorithm,
                         uint8_t[::1] workspace,           # OUT
                         int n_threads, str isa=None):
    cdef fnn_conv2d_shape s = conv2d_shape(dx, weight, dy, stride, pad, dilation, groups, n_threads, algorithm, isa)
    cdef fnn_status status
    cdef const real *addend_data = NULL
    if addend is not None:
        if not (addend.shape[0] == dx.shape[0] and addend.shape[1] == dx.shape[1]
                and addend.shape[2] == dx.shape[2] and addend.shape[3] == dx.shape[3]):
            raise ValueError("conv2d_backward: addend does not fit")
        addend_data = &addend[0, 0, 0, 0]
    if real is float:
        check_workspace(workspace, fnn_conv2d_backward_data_workspace_f32(&s, n_threads))
        with nogil:
            status = fnn_conv2d_backward_data_f32(&s, &dy[0, 0, 0, 0], &weight[0, 0, 0, 0], addend_data,
                                                  &dx[0, 0, 0, 0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_conv2d_backward_data_workspace_f64(&s, n_threads))
        with nogil:
            status = fnn_conv2d_backward_data_f64(&s, &dy[0, 0, 0, 0], &weight[0, 0, 0, 0], addend_data,
                                                  &dx[0, 0, 0, 0], &workspace[0], n_threads)
    check(status, "conv2d_backward")


def conv2d_backward_weight(const real[:, :, :, ::1] x,    # IN
                           const real[:, :, :, ::1] dy,   # IN
                           real[:, :, :, ::1] dweight,    # OUT
                           real[::1] dbias,               # OUT or None
                           tuple stride, tuple pad, tuple dilation, Py_ssize_t groups, str algorithm,
                           uint8_t[::1] workspace,        # OUT
                           int n_threads, str isa=None):
    cdef fnn_conv2d_shape s = conv2d_shape(x, dweight, dy, stride, pad, dilation, groups, n_threads, algorithm, isa)
    cdef fnn_status status
    cdef real *dbias_data = NULL
    if dbias is not None:
        if dbias.shape[0] != s.c_out:
            raise ValueError("conv2d_backward: dbias does not fit")
        dbias_data = &dbias[0]
    if real is float:
        check_workspace(workspace, fnn_conv2d_backward_weight_workspace_f32(&s, n_threads))
        with nogil:
            status = fnn_conv2d_backward_weight_f32(&s, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dweight[0, 0, 0, 0],
                                                    dbias_data, &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_conv2d_backward_weight_workspace_f64(&s, n_threads))
        with nogil:
            status = fnn_conv2d_backward_weight_f64(&s, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dweight[0, 0, 0, 0],
                                                    dbias_data, &workspace[0], n_threads)
    check(status, "conv2d_backward")
