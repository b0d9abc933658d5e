# Binds src_c/ops/activation.c and prelu.c. Pointwise arrays are flat views of the same length.

cdef extern from "fnn.h" nogil:
    ctypedef enum fnn_activation:
        FNN_RELU
        FNN_LEAKY_RELU
        FNN_ELU
        FNN_GELU
        FNN_GELU_TANH
        FNN_SILU
        FNN_SIGMOID
        FNN_TANH
        FNN_SOFTPLUS
        FNN_HARDTANH
    fnn_status fnn_activation_forward_f32(fnn_activation kind, const double *parameters, Py_ssize_t n, const float *x,
                                          float *y, int n_threads)
    fnn_status fnn_activation_forward_f64(fnn_activation kind, const double *parameters, Py_ssize_t n, const double *x,
                                          double *y, int n_threads)
    fnn_status fnn_activation_backward_f32(fnn_activation kind, const double *parameters, Py_ssize_t n, const float *dy,
                                           const float *kept, float *dx, int n_threads)
    fnn_status fnn_activation_backward_f64(fnn_activation kind, const double *parameters, Py_ssize_t n,
                                           const double *dy, const double *kept, double *dx, int n_threads)
    fnn_status fnn_prelu_forward_f32(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights, const float *x,
                                     const float *weight, float *y, int n_threads)
    fnn_status fnn_prelu_forward_f64(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights, const double *x,
                                     const double *weight, double *y, int n_threads)
    Py_ssize_t fnn_prelu_backward_workspace_f32(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights)
    fnn_status fnn_prelu_backward_f32(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights, const float *dy,
                                      const float *x, const float *weight, float *dx, float *dweight, float *workspace,
                                      int n_threads)
    fnn_status fnn_prelu_backward_f64(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights, const double *dy,
                                      const double *x, const double *weight, double *dx, double *dweight,
                                      double *workspace, int n_threads)


ACTIVATIONS = {
    "relu": FNN_RELU, "leaky_relu": FNN_LEAKY_RELU, "elu": FNN_ELU, "gelu": FNN_GELU, "gelu_tanh": FNN_GELU_TANH,
    "silu": FNN_SILU, "sigmoid": FNN_SIGMOID, "tanh": FNN_TANH, "softplus": FNN_SOFTPLUS,
    "hardtanh": FNN_HARDTANH,
}


cdef int check_lengths(Py_ssize_t expected, Py_ssize_t first, Py_ssize_t second) except -1:
    if first != expected or second != expected:
        raise ValueError(f"lengths differ: {expected}, {first}, {second}")
    return 0


def activation_forward(str name,
                       double first,       # parameters of the activation, 0 where it has none
                       double second,
                       const real[::1] x,  # IN
                       real[::1] y,        # OUT
                       int n_threads):
    cdef fnn_status status
    cdef fnn_activation kind = ACTIVATIONS[name]
    cdef double[2] parameters = [first, second]
    check_lengths(x.shape[0], y.shape[0], y.shape[0])
    with nogil:
        if real is float:
            status = fnn_activation_forward_f32(kind, parameters, x.shape[0], &x[0], &y[0], n_threads)
        else:
            status = fnn_activation_forward_f64(kind, parameters, x.shape[0], &x[0], &y[0], n_threads)
    check(status, name)


def activation_backward(str name,
                        double first,
                        double second,
                        const real[::1] dy,    # IN
                        const real[::1] kept,  # IN
                        real[::1] dx,          # OUT
                        int n_threads):
    cdef fnn_status status
    cdef fnn_activation kind = ACTIVATIONS[name]
    cdef double[2] parameters = [first, second]
    check_lengths(dy.shape[0], kept.shape[0], dx.shape[0])
    with nogil:
        if real is float:
            status = fnn_activation_backward_f32(kind, parameters, dy.shape[0], &dy[0], &kept[0], &dx[0], n_threads)
        else:
            status = fnn_activation_backward_f64(kind, parameters, dy.shape[0], &dy[0], &kept[0], &dx[0], n_threads)
    check(status, name)


cdef int check_prelu(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights, Py_ssize_t out_rows,
                     Py_ssize_t out_channels) except -1:
    if out_rows != rows or out_channels != channels or min(rows, channels) < 1 or weights not in (1, channels):
        raise ValueError("prelu: shapes do not fit")
    return 0


def prelu_forward(const real[:, ::1] x,     # IN (rows, channels)
                  const real[::1] weight,   # IN (1,) or (channels,)
                  real[:, ::1] y,           # OUT
                  int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t rows = x.shape[0], channels = x.shape[1], weights = weight.shape[0]
    check_prelu(rows, channels, weights, y.shape[0], y.shape[1])
    with nogil:
        if real is float:
            status = fnn_prelu_forward_f32(rows, channels, weights, &x[0, 0], &weight[0], &y[0, 0], n_threads)
        else:
            status = fnn_prelu_forward_f64(rows, channels, weights, &x[0, 0], &weight[0], &y[0, 0], n_threads)
    check(status, "prelu")


def prelu_backward_workspace(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights):
    """Elements of the workspace, of either dtype."""
    return fitting(fnn_prelu_backward_workspace_f32(rows, channels, weights))


def prelu_backward(const real[:, ::1] dy,    # IN
                   const real[:, ::1] x,     # IN
                   const real[::1] weight,   # IN
                   real[:, ::1] dx,          # OUT
                   real[::1] dweight,        # OUT
                   real[::1] workspace,
                   int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t rows = x.shape[0], channels = x.shape[1], weights = weight.shape[0]
    check_prelu(rows, channels, weights, dy.shape[0], dy.shape[1])
    check_prelu(rows, channels, dweight.shape[0], dx.shape[0], dx.shape[1])
    if dweight.shape[0] != weights:
        raise ValueError("prelu: shapes do not fit")
    if workspace.shape[0] < fnn_prelu_backward_workspace_f32(rows, channels, weights):
        raise ValueError("prelu: the workspace is too small")
    with nogil:
        if real is float:
            status = fnn_prelu_backward_f32(rows, channels, weights, &dy[0, 0], &x[0, 0], &weight[0], &dx[0, 0],
                                            &dweight[0], &workspace[0], n_threads)
        else:
            status = fnn_prelu_backward_f64(rows, channels, weights, &dy[0, 0], &x[0, 0], &weight[0], &dx[0, 0],
                                            &dweight[0], &workspace[0], n_threads)
    check(status, "prelu_backward")
