# Binds src_c/ops/activation.c and prelu.c. Pointwise arrays are vectors of the same length.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_activation_forward(dtype, ...) FNN_OF_DTYPE(fnn_activation_forward, dtype, __VA_ARGS__)
    #define fnn_activation_backward(dtype, ...) FNN_OF_DTYPE(fnn_activation_backward, dtype, __VA_ARGS__)
    #define fnn_prelu_forward(dtype, ...) FNN_OF_DTYPE(fnn_prelu_forward, dtype, __VA_ARGS__)
    #define fnn_prelu_backward(dtype, ...) FNN_OF_DTYPE(fnn_prelu_backward, dtype, __VA_ARGS__)
    """
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
    fnn_status fnn_activation_forward(char dtype, fnn_activation kind, const double *parameters, Py_ssize_t n,
                                      const void *x, void *y, int n_threads)
    fnn_status fnn_activation_backward(char dtype, fnn_activation kind, const double *parameters, Py_ssize_t n,
                                       const void *dy, const void *kept, void *dx, int n_threads)
    fnn_status fnn_prelu_forward(char dtype, Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights, const void *x,
                                 const void *weight, void *y, int n_threads)
    Py_ssize_t fnn_prelu_backward_workspace_f32(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights)
    fnn_status fnn_prelu_backward(char dtype, Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights, const void *dy,
                                  const void *x, const void *weight, void *dx, void *dweight, void *workspace,
                                  int n_threads)


ACTIVATIONS = {
    "relu": FNN_RELU, "leaky_relu": FNN_LEAKY_RELU, "elu": FNN_ELU, "gelu": FNN_GELU, "gelu_tanh": FNN_GELU_TANH,
    "silu": FNN_SILU, "sigmoid": FNN_SIGMOID, "tanh": FNN_TANH, "softplus": FNN_SOFTPLUS,
    "hardtanh": FNN_HARDTANH,
}
cdef dict KINDS = ACTIVATIONS  # which no look at the names of the module has to find


def activation_forward(str name,
                       double first,  # parameters of the activation, 0 where it has none
                       double second,
                       x,             # IN
                       y,             # OUT
                       int n_threads, /):
    cdef fnn_activation kind = <fnn_activation><int>KINDS[name]
    cdef double[2] parameters = [first, second]
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "activation")
    try:
        source = view_of(&views, x, REAL, IN, 1)
        result = data_like(&views, y, OUT, source)
        with nogil:
            status = fnn_activation_forward(views.dtype, kind, parameters, source.shape[0], source.buf, result,
                                            n_threads)
        check(status, name)
    finally:
        give_back(&views)


def activation_backward(str name,
                        double first,
                        double second,
                        dy,    # IN
                        kept,  # IN
                        dx,    # OUT
                        int n_threads, /):
    cdef fnn_activation kind = <fnn_activation><int>KINDS[name]
    cdef double[2] parameters = [first, second]
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "activation_backward")
    try:
        source = view_of(&views, dy, REAL, IN, 1)
        other, result = data_like(&views, kept, IN, source), data_like(&views, dx, OUT, source)
        with nogil:
            status = fnn_activation_backward(views.dtype, kind, parameters, source.shape[0], source.buf, other, result,
                                             n_threads)
        check(status, name)
    finally:
        give_back(&views)


cdef int check_prelu(borrowed *views, const Py_buffer *x, const Py_buffer *weight) except -1:
    check_some(views, x)
    if weight.shape[0] != 1 and weight.shape[0] != x.shape[1]:
        refuse(views, "one weight is needed, or one for each channel")
    return 0


def prelu_forward(x,       # IN (rows, channels)
                  weight,  # IN (1,) or (channels,)
                  y,       # OUT
                  int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "prelu")
    try:
        rows, weights = view_of(&views, x, REAL, IN, 2), view_of(&views, weight, REAL, IN, 1)
        check_prelu(&views, rows, weights)
        result = data_like(&views, y, OUT, rows)
        with nogil:
            status = fnn_prelu_forward(views.dtype, rows.shape[0], rows.shape[1], weights.shape[0], rows.buf,
                                       weights.buf, result, n_threads)
        check(status, "prelu")
    finally:
        give_back(&views)


def prelu_backward_workspace(Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t weights, /):
    """Elements of the workspace, of either dtype."""
    return fitting(fnn_prelu_backward_workspace_f32(rows, channels, weights))


def prelu_backward(dy,         # IN
                   x,          # IN
                   weight,     # IN
                   dx,         # OUT
                   dweight,    # OUT
                   workspace,  # OUT
                   int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "prelu_backward")
    try:
        rows, weights = view_of(&views, x, REAL, IN, 2), view_of(&views, weight, REAL, IN, 1)
        check_prelu(&views, rows, weights)
        gradient, result = data_like(&views, dy, IN, rows), data_like(&views, dx, OUT, rows)
        of_weights, room = data_like(&views, dweight, OUT, weights), view_of(&views, workspace, REAL, OUT, 1)
        if room.shape[0] < fnn_prelu_backward_workspace_f32(rows.shape[0], rows.shape[1], weights.shape[0]):
            refuse(&views, "the workspace is too small")
        with nogil:
            status = fnn_prelu_backward(views.dtype, rows.shape[0], rows.shape[1], weights.shape[0], gradient,
                                        rows.buf, weights.buf, result, of_weights, room.buf, n_threads)
        check(status, "prelu_backward")
    finally:
        give_back(&views)
