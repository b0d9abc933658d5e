# Binds src_c/ops/layernorm.c. Activations are (rows, features) matrices; statistics are float64.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_layernorm_forward(dtype, ...) FNN_OF_DTYPE(fnn_layernorm_forward, dtype, __VA_ARGS__)
    #define fnn_layernorm_backward_workspace(dtype, ...) \\
        FNN_OF_DTYPE(fnn_layernorm_backward_workspace, dtype, __VA_ARGS__)
    #define fnn_layernorm_backward(dtype, ...) FNN_OF_DTYPE(fnn_layernorm_backward, dtype, __VA_ARGS__)
    """
    fnn_status fnn_layernorm_forward(char dtype, Py_ssize_t rows, Py_ssize_t features, const void *x,
                                     const void *weight, const void *bias, double eps, void *y, void *mean,
                                     void *invstd, int n_threads)
    Py_ssize_t fnn_layernorm_backward_workspace(char dtype, Py_ssize_t rows, Py_ssize_t features, int need_dweight)
    fnn_status fnn_layernorm_backward(char dtype, Py_ssize_t rows, Py_ssize_t features, const void *dy, const void *x,
                                      const void *mean, const void *invstd, const void *weight, void *dx,
                                      void *dweight, void *dbias, void *workspace, int n_threads)


def layernorm_forward(x,             # IN
                      weight, bias,  # IN or None
                      double eps,
                      y,             # OUT
                      mean, invstd,  # OUT
                      int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef Py_ssize_t rows, features
    begin(&views, "layer_norm")
    try:
        matrix = view_of(&views, x, REAL, IN, 2)
        check_some(&views, matrix)
        rows, features = matrix.shape[0], matrix.shape[1]
        scale = vector_of(&views, weight, REAL, IN | OR_NONE, features)
        shift = vector_of(&views, bias, REAL, IN | OR_NONE, features)
        result = data_like(&views, y, OUT, matrix)
        means, invstds = vector_of(&views, mean, FLOAT64, OUT, rows), vector_of(&views, invstd, FLOAT64, OUT, rows)
        with nogil:
            status = fnn_layernorm_forward(views.dtype, rows, features, matrix.buf, scale, shift, eps, result, means,
                                           invstds, n_threads)
        check(status, "layer_norm")
    finally:
        give_back(&views)


def layernorm_backward_workspace(x, bint need_dweight, /):
    """Bytes of workspace for `layernorm_backward`."""
    cdef borrowed views
    begin(&views, "layer_norm")
    try:
        matrix = view_of(&views, x, REAL, IN, 2)
        return fitting(fnn_layernorm_backward_workspace(views.dtype, matrix.shape[0], matrix.shape[1], need_dweight))
    finally:
        give_back(&views)


def layernorm_backward(dy, x,           # IN
                       mean, invstd,    # IN
                       weight,          # IN or None
                       dx,              # OUT or None
                       dweight, dbias,  # OUT or both None
                       workspace,       # OUT
                       int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef Py_ssize_t rows, features
    cdef bint need_dweight = dweight is not None
    begin(&views, "layer_norm_backward")
    try:
        matrix = view_of(&views, x, REAL, IN, 2)
        check_some(&views, matrix)
        rows, features = matrix.shape[0], matrix.shape[1]
        gradient, result = data_like(&views, dy, IN, matrix), data_like(&views, dx, OUT | OR_NONE, matrix)
        means, invstds = vector_of(&views, mean, FLOAT64, IN, rows), vector_of(&views, invstd, FLOAT64, IN, rows)
        scale = vector_of(&views, weight, REAL, IN | OR_NONE, features)
        of_weight = vector_of(&views, dweight, REAL, OUT | OR_NONE, features)
        of_bias = vector_of(&views, dbias, REAL, OUT | OR_NONE, features)
        if need_dweight != (dbias is not None):
            refuse(&views, "dweight and dbias go together")
        room = workspace_of(&views, workspace,
                            fnn_layernorm_backward_workspace(views.dtype, rows, features, need_dweight))
        with nogil:
            status = fnn_layernorm_backward(views.dtype, rows, features, gradient, matrix.buf, means, invstds, scale,
                                            result, of_weight, of_bias, room, n_threads)
        check(status, "layer_norm_backward")
    finally:
        give_back(&views)
