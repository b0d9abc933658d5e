# Binds src_c/ops/batchnorm.c. Images come as users see them, (N, C), (N, C, L) or (N, C, H, W), and lie pixel-major in
# memory: a matrix of rows, the pixels of all images, by channels.

cdef extern from "fnn.h" nogil:
    ctypedef enum fnn_then:
        FNN_THEN_NOTHING
        FNN_THEN_RELU
        FNN_THEN_RELU6
        FNN_THEN_GELU
        FNN_THEN_SILU
    ctypedef struct fnn_batchnorm:
        Py_ssize_t rows, channels
        const void *x
        const void *weight
        const void *bias
        const void *residual
        fnn_then then
        double *mean
        double *invstd
        void *y
        double eps, momentum
        double *running_mean
        double *running_variance
        const void *dy
        int training
        void *dx
        void *dresidual
        void *dweight
        void *dbias
    Py_ssize_t fnn_batchnorm_workspace_f32(Py_ssize_t rows, Py_ssize_t channels)
    Py_ssize_t fnn_batchnorm_workspace_f64(Py_ssize_t rows, Py_ssize_t channels)
    fnn_status fnn_batchnorm_training_f32(const fnn_batchnorm *b, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_training_f64(const fnn_batchnorm *b, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_forward_f32(const fnn_batchnorm *b, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_forward_f64(const fnn_batchnorm *b, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_backward_f32(const fnn_batchnorm *b, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_backward_f64(const fnn_batchnorm *b, void *workspace, int n_threads)


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


cdef bint is_pixel_major(const Py_buffer *view) noexcept:
    """Whether images (N, C, ...) lie in memory as rows of channels, each row a pixel of an image."""
    cdef Py_ssize_t expected = view.itemsize
    cdef int axis
    if not 2 <= view.ndim <= 4:
        return False
    for i in range(view.ndim):  # the channels, the images, then the pixels from the last axis on
        axis = 1 if i == 0 else 0 if i == 1 else view.ndim + 1 - i
        if view.shape[axis] != 1 and view.strides[axis] != expected:
            return False
        expected *= view.shape[axis]
    return <size_t>view.buf % view.itemsize == 0


cdef bint is_view_of(object array, Py_buffer *view) except -1:
    """Whether it is a NumPy array of floats; then `view` is one of it, to be released."""
    if type(array) is not _ndarray:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_FORMAT)
    except (BufferError, ValueError):  # of what has no such view
        return False
    if view.format[0] in b"fd" and view.format[1] == 0:
        return True
    PyBuffer_Release(view)
    return False


def batchnorm_fits(x, tuple values not None, tuple images not None):
    """Whether the functions below take these arrays as they are: `values` have a number for each channel, `images` the
    shape of x; all have its dtype. Any but x may be None.
    """
    cdef Py_buffer first
    cdef Py_buffer view
    if not is_view_of(x, &first):
        return False
    cdef bint fits = first.len > 0 and is_pixel_major(&first)
    for array in values:
        if fits and array is not None:
            fits = is_view_of(array, &view)
            if fits:
                fits = is_vector(&first, &view)
                PyBuffer_Release(&view)
    for array in images:
        if fits and array is not None:
            fits = is_view_of(array, &view)
            if fits:
                fits = lie_alike(&first, &view) and <size_t>view.buf % view.itemsize == 0
                PyBuffer_Release(&view)
    PyBuffer_Release(&first)
    return fits


cdef bint is_vector(const Py_buffer *images, const Py_buffer *view) noexcept:
    """Whether a view is of a number for each channel of `images`, of their dtype."""
    return (view.ndim == 1 and view.shape[0] == images.shape[1] and view.format[0] == images.format[0]
            and (view.strides[0] == view.itemsize or view.shape[0] == 1) and <size_t>view.buf % view.itemsize == 0)


cdef bint images_of(borrowed *views, object x, fnn_batchnorm *b) except -1:
    """Take x, that all other arrays are held against; whether it is of doubles."""
    cdef Py_buffer *view = &views.views[0]
    PyObject_GetBuffer(x, view, PyBUF_STRIDES | PyBUF_FORMAT)
    views.count = 1
    if view.format[0] not in b"fd" or view.format[1] != 0 or view.len == 0 or not is_pixel_major(view):
        raise ValueError("batch_norm: images of float32 or float64 must lie pixel-major, and be some")
    b.x, b.channels = view.buf, view.shape[1]
    b.rows = view.len // view.itemsize // b.channels
    return view.format[0] == c"d"


cdef void *like_images(borrowed *views, object array, int flags) except? NULL:
    """The data of an array that lies as the first of `views`; NULL for None."""
    if array is None:
        return NULL
    cdef Py_buffer *first = &views.views[0]
    cdef Py_buffer *view = borrow(views, array, first.format[0] == c"d", PyBUF_STRIDES | flags)
    if not lie_alike(first, view) or <size_t>view.buf % view.itemsize != 0:
        raise ValueError("batch_norm: shapes do not fit, or images do not lie alike")
    return view.buf


cdef void *of_channels(borrowed *views, object array, int flags) except? NULL:
    """The data of an array with a number for each channel of the first of `views`; NULL for None."""
    if array is None:
        return NULL
    cdef Py_buffer *first = &views.views[0]
    cdef Py_buffer *view = borrow(views, array, first.format[0] == c"d", PyBUF_STRIDES | flags)
    if not is_vector(first, view):
        raise ValueError(f"batch_norm: {first.shape[1]} values are needed, one for each channel")
    return view.buf


cdef double *statistics_of(const double[::1] statistics, Py_ssize_t channels) except NULL:
    if statistics is None or statistics.shape[0] != channels:
        raise ValueError(f"batch_norm: {channels} statistics are needed, one for each channel")
    return <double *>&statistics[0]


cdef int widen(object array, Py_ssize_t n, double *to) except -1:
    """Copy n floats or doubles to where doubles are needed."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    cdef bint fits = view.ndim == 1 and view.shape[0] == n and view.format[0] in b"fd" and view.format[1] == 0
    for i in range(n if fits else 0):
        to[i] = (<double *>view.buf)[i] if view.format[0] == c"d" else (<float *>view.buf)[i]
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"batch_norm: {n} running statistics are needed, float32 or float64")
    return 0


cdef int narrow(object array, Py_ssize_t n, const double *values) except -1:
    """Copy n doubles to where floats or doubles are needed."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    cdef bint fits = view.ndim == 1 and view.shape[0] == n and view.format[0] in b"fd" and view.format[1] == 0
    for i in range(n if fits else 0):
        if view.format[0] == c"d":
            (<double *>view.buf)[i] = values[i]
        else:
            (<float *>view.buf)[i] = <float>values[i]
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"batch_norm: {n} running statistics are needed, float32 or float64")
    return 0


def batchnorm_workspace(Py_ssize_t rows, Py_ssize_t channels, bint is_double):
    """Bytes of workspace for each of the functions below."""
    if min(rows, channels) < 1:
        raise ValueError("batch_norm: there is nothing to normalise")
    if is_double:
        return fitting(fnn_batchnorm_workspace_f64(rows, channels))
    return fitting(fnn_batchnorm_workspace_f32(rows, channels))


cdef int run_batchnorm(int direction, const fnn_batchnorm *b, bint is_double, uint8_t[::1] workspace,
                       int n_threads) except -1:
    """Forward (0), training (1) or backward (2)."""
    if n_threads < 1:
        raise ValueError(f"batch_norm: n_threads must be at least 1. Received: {n_threads}")
    check_workspace(workspace, batchnorm_workspace(b.rows, b.channels, is_double))
    with nogil:
        if is_double and direction == 0:
            fnn_batchnorm_forward_f64(b, &workspace[0], n_threads)
        elif is_double and direction == 1:
            fnn_batchnorm_training_f64(b, &workspace[0], n_threads)
        elif is_double:
            fnn_batchnorm_backward_f64(b, &workspace[0], n_threads)
        elif direction == 0:
            fnn_batchnorm_forward_f32(b, &workspace[0], n_threads)
        elif direction == 1:
            fnn_batchnorm_training_f32(b, &workspace[0], n_threads)
        else:
            fnn_batchnorm_backward_f32(b, &workspace[0], n_threads)
    return 0


def batchnorm_constants(running_mean, running_variance,  # IN
                        double eps,
                        double[::1] mean, double[::1] invstd):  # OUT
    """What running statistics of either dtype normalise with: the mean, and 1 / sqrt(variance + eps)."""
    cdef Py_ssize_t n = mean.shape[0]
    if invstd.shape[0] != n or n < 1:
        raise ValueError("batch_norm: lengths differ")
    widen(running_mean, n, &mean[0])
    widen(running_variance, n, &invstd[0])
    for i in range(n):
        invstd[i] = 1 / sqrt(invstd[i] + eps)


def batchnorm_forward(x,                          # IN
                      const double[::1] mean,     # IN
                      const double[::1] invstd,   # IN
                      weight, bias,               # IN or None
                      str then,                   # None, "relu", "relu6", "gelu" or "silu"
                      residual,                   # IN or None
                      y,                          # OUT
                      uint8_t[::1] workspace,     # OUT
                      int n_threads):
    cdef borrowed views
    cdef fnn_batchnorm b
    cdef bint is_double
    views.count = 0
    memset(&b, 0, sizeof(b))
    try:
        is_double = images_of(&views, x, &b)
        b.mean, b.invstd = statistics_of(mean, b.channels), statistics_of(invstd, b.channels)
        b.weight, b.bias = of_channels(&views, weight, 0), of_channels(&views, bias, 0)
        b.then, b.residual = then_of(then, residual is not None), like_images(&views, residual, 0)
        b.y = like_images(&views, y, PyBUF_WRITABLE)
        if b.y == NULL:
            raise ValueError("batch_norm: no array for the result")
        run_batchnorm(0, &b, is_double, workspace, n_threads)
    finally:
        give_back(&views)


def batchnorm_training(x,                              # IN
                       double eps, double momentum,
                       running_mean, running_variance,  # IN or both None, of either dtype
                       weight, bias,                    # IN or None
                       str then,                        # None, "relu", "relu6", "gelu" or "silu"
                       residual,                        # IN or None
                       double[:, ::1] statistics,       # OUT, (4, channels): mean, invstd; the others are scratch
                       moved_mean, moved_variance,      # OUT or both None
                       y,                               # OUT, or None for the statistics alone
                       uint8_t[::1] workspace,          # OUT
                       int n_threads):
    cdef borrowed views
    cdef fnn_batchnorm b
    cdef bint is_double
    views.count = 0
    memset(&b, 0, sizeof(b))
    try:
        is_double = images_of(&views, x, &b)
        if statistics is None or statistics.shape[0] != 4 or statistics.shape[1] != b.channels or b.rows < 2:
            raise ValueError("batch_norm: shapes do not fit")
        b.weight, b.bias = of_channels(&views, weight, 0), of_channels(&views, bias, 0)
        b.then, b.residual = then_of(then, residual is not None), like_images(&views, residual, 0)
        b.y = like_images(&views, y, PyBUF_WRITABLE)
        b.mean, b.invstd, b.eps, b.momentum = &statistics[0, 0], &statistics[1, 0], eps, momentum
        if running_mean is not None:
            b.running_mean, b.running_variance = &statistics[2, 0], &statistics[3, 0]
            widen(running_mean, b.channels, b.running_mean)
            widen(running_variance, b.channels, b.running_variance)
        run_batchnorm(1, &b, is_double, workspace, n_threads)
        if running_mean is not None:
            narrow(moved_mean, b.channels, b.running_mean)
            narrow(moved_variance, b.channels, b.running_variance)
    finally:
        give_back(&views)


def batchnorm_backward(dy, x,                   # IN
                       const double[::1] mean,  # IN
                       const double[::1] invstd,  # IN
                       weight, bias,            # IN or None
                       str then,                # None, "relu", "relu6", "gelu" or "silu"
                       y,                       # IN or None
                       bint training,
                       dx, dresidual,           # OUT or None
                       dweight, dbias,          # OUT
                       uint8_t[::1] workspace,  # OUT
                       int n_threads):
    cdef borrowed views
    cdef fnn_batchnorm b
    cdef bint is_double
    views.count = 0
    memset(&b, 0, sizeof(b))
    try:
        is_double = images_of(&views, x, &b)
        b.mean, b.invstd = statistics_of(mean, b.channels), statistics_of(invstd, b.channels)
        b.weight, b.bias = of_channels(&views, weight, 0), of_channels(&views, bias, 0)
        b.then, b.y, b.dy = then_of(then, y is not None), like_images(&views, y, 0), like_images(&views, dy, 0)
        b.dx, b.dresidual = like_images(&views, dx, PyBUF_WRITABLE), like_images(&views, dresidual, PyBUF_WRITABLE)
        b.dweight, b.dbias = of_channels(&views, dweight, PyBUF_WRITABLE), of_channels(&views, dbias, PyBUF_WRITABLE)
        b.training = training
        if b.dy == NULL or b.dweight == NULL or b.dbias == NULL or (b.dresidual != NULL and b.y == NULL):
            raise ValueError("batch_norm_backward: an array is missing")
        if b.dresidual != NULL and b.then == FNN_THEN_NOTHING:
            raise ValueError("batch_norm_backward: without an activation the residual's gradient is dy")
        run_batchnorm(2, &b, is_double, workspace, n_threads)
    finally:
        give_back(&views)
