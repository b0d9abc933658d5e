# Binds src_c/ops/groupnorm.c. Activations are (pixels, n, channels); statistics are float64, (n, groups).

cdef extern from "fnn.h" nogil:
    """
    #define fnn_groupnorm_workspace(dtype, ...) FNN_OF_DTYPE(fnn_groupnorm_workspace, dtype, __VA_ARGS__)
    #define fnn_groupnorm_forward(dtype, ...) FNN_OF_DTYPE(fnn_groupnorm_forward, dtype, __VA_ARGS__)
    #define fnn_groupnorm_backward(dtype, ...) FNN_OF_DTYPE(fnn_groupnorm_backward, dtype, __VA_ARGS__)
    """
    ctypedef struct fnn_groupnorm_shape:
        Py_ssize_t pixels, n, channels, groups
    Py_ssize_t fnn_groupnorm_workspace(char dtype, const fnn_groupnorm_shape *shape)
    fnn_status fnn_groupnorm_forward(char dtype, const fnn_groupnorm_shape *shape, const void *x, const void *weight,
                                     const void *bias, double eps, void *y, void *mean, void *invstd, void *workspace,
                                     int n_threads)
    fnn_status fnn_groupnorm_backward(char dtype, const fnn_groupnorm_shape *shape, const void *dy, const void *x,
                                      const void *mean, const void *invstd, const void *weight, void *dx,
                                      void *dweight, void *dbias, void *workspace, int n_threads)


cdef const Py_buffer *grouped(borrowed *views, object x, Py_ssize_t groups, fnn_groupnorm_shape *s) except NULL:
    """A view of the activations, and their shape with so many groups."""
    cdef const Py_buffer *view = view_of(views, x, REAL, IN, 3)
    check_some(views, view)
    s.pixels, s.n, s.channels, s.groups = view.shape[0], view.shape[1], view.shape[2], groups
    if groups < 1 or s.channels % groups != 0:
        refuse(views, f"{s.channels} channels do not make {groups} groups")
    return view


def groupnorm_workspace(x, Py_ssize_t groups, /):
    """Bytes of workspace for each of the functions below."""
    cdef borrowed views
    cdef fnn_groupnorm_shape s
    begin(&views, "group_norm")
    try:
        grouped(&views, x, groups, &s)
        return fitting(fnn_groupnorm_workspace(views.dtype, &s))
    finally:
        give_back(&views)


def groupnorm_forward(x,             # IN
                      weight, bias,  # IN or None
                      double eps,
                      y,             # OUT
                      mean, invstd,  # OUT
                      workspace,     # OUT
                      int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef fnn_groupnorm_shape s
    begin(&views, "group_norm")
    try:
        means = view_of(&views, mean, FLOAT64, OUT, 2)
        pixels = grouped(&views, x, means.shape[1], &s)
        if means.shape[0] != s.n:
            refuse(&views, "shapes do not fit")
        invstds = data_of(&views, invstd, FLOAT64, OUT, 2, means.shape)
        scale = vector_of(&views, weight, REAL, IN | OR_NONE, s.channels)
        shift = vector_of(&views, bias, REAL, IN | OR_NONE, s.channels)
        result = data_like(&views, y, OUT, pixels)
        room = workspace_of(&views, workspace, fnn_groupnorm_workspace(views.dtype, &s))
        with nogil:
            status = fnn_groupnorm_forward(views.dtype, &s, pixels.buf, scale, shift, eps, result, means.buf, invstds,
                                           room, n_threads)
        check(status, "group_norm")
    finally:
        give_back(&views)


def groupnorm_backward(dy, x,           # IN
                       mean, invstd,    # IN
                       weight,          # IN or None
                       dx,              # OUT or None
                       dweight, dbias,  # OUT
                       workspace,       # OUT
                       int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef fnn_groupnorm_shape s
    begin(&views, "group_norm_backward")
    try:
        means = view_of(&views, mean, FLOAT64, IN, 2)
        pixels = grouped(&views, x, means.shape[1], &s)
        if means.shape[0] != s.n:
            refuse(&views, "shapes do not fit")
        invstds = data_of(&views, invstd, FLOAT64, IN, 2, means.shape)
        gradient, result = data_like(&views, dy, IN, pixels), data_like(&views, dx, OUT | OR_NONE, pixels)
        scale = vector_of(&views, weight, REAL, IN | OR_NONE, s.channels)
        of_weight = vector_of(&views, dweight, REAL, OUT, s.channels)
        of_bias = vector_of(&views, dbias, REAL, OUT, s.channels)
        room = workspace_of(&views, workspace, fnn_groupnorm_workspace(views.dtype, &s))
        with nogil:
            status = fnn_groupnorm_backward(views.dtype, &s, gradient, pixels.buf, means.buf, invstds, scale, result,
                                            of_weight, of_bias, room, n_threads)
        check(status, "group_norm_backward")
    finally:
        give_back(&views)
