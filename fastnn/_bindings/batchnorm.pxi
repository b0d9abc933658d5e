# Binds src_c/ops/batchnorm.c. Images come as users see them, (N, C), (N, C, L) or (N, C, H, W), and lie pixel-major in
# memory: a matrix of rows, the pixels of all images, by channels.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_batchnorm_workspace(dtype, ...) FNN_OF_DTYPE(fnn_batchnorm_workspace, dtype, __VA_ARGS__)
    #define fnn_batchnorm_training(dtype, ...) FNN_OF_DTYPE(fnn_batchnorm_training, dtype, __VA_ARGS__)
    #define fnn_batchnorm_forward(dtype, ...) FNN_OF_DTYPE(fnn_batchnorm_forward, dtype, __VA_ARGS__)
    #define fnn_batchnorm_backward(dtype, ...) FNN_OF_DTYPE(fnn_batchnorm_backward, dtype, __VA_ARGS__)
    """
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
    Py_ssize_t fnn_batchnorm_workspace(char dtype, Py_ssize_t rows, Py_ssize_t channels)
    fnn_status fnn_batchnorm_training(char dtype, const fnn_batchnorm *b, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_forward(char dtype, const fnn_batchnorm *b, void *workspace, int n_threads)
    fnn_status fnn_batchnorm_backward(char dtype, const fnn_batchnorm *b, void *workspace, int n_threads)


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
    return is_aligned(view)


cdef bint is_view_of(object array, Py_buffer *view) except -1:
    """Whether it is a NumPy array of floats; then `view` is one of it, to be released."""
    if type(array) is not _ndarray:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_FORMAT)
    except (BufferError, ValueError):  # of what has no such view
        return False
    if is_real(view):
        return True
    PyBuffer_Release(view)
    return False


def batchnorm_fits(x, tuple values not None, tuple images not None, /):
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
                fits = lie_alike(&first, &view) and is_aligned(&view)
                PyBuffer_Release(&view)
    PyBuffer_Release(&first)
    return fits


cdef bint is_vector(const Py_buffer *images, const Py_buffer *view) noexcept:
    """Whether a view is of a number for each channel of `images`, of their dtype."""
    return (view.ndim == 1 and view.shape[0] == images.shape[1] and view.format[0] == images.format[0]
            and (view.strides[0] == view.itemsize or view.shape[0] == 1) and is_aligned(view))


cdef Py_ssize_t images_of(borrowed *views, object x, fnn_batchnorm *b) except -1:
    """Take x, which all other arrays are held against; returns the number of its channels."""
    cdef const Py_buffer *view = borrow(views, x, REAL, IN | STRIDED)
    check_some(views, view)
    if not is_pixel_major(view):
        refuse(views, "images must lie pixel-major")
    memset(b, 0, sizeof(b[0]))
    b.x, b.channels = view.buf, view.shape[1]
    b.rows = view.len // view.itemsize // b.channels
    return b.channels


cdef void *like_images(borrowed *views, object array, int access) except? NULL:
    """The data of an array that lies as the first of `views`; NULL for None."""
    if array is None:
        return NULL
    cdef const Py_buffer *view = borrow(views, array, REAL, access | STRIDED)
    if not lie_alike(&views.views[0], view):
        refuse(views, "shapes do not fit, or images do not lie alike")
    return view.buf


cdef const Py_buffer *running(borrowed *views, object array, int access, Py_ssize_t n) except NULL:
    """A view of n running statistics, of either dtype."""
    cdef const Py_buffer *view = view_of(views, array, EITHER, access, 1)
    check_shape(views, view, 1, &n)
    return view


cdef void widen(const Py_buffer *view, double *to) noexcept:
    """Copy floats or doubles to where doubles are needed."""
    for i in range(view.shape[0]):
        to[i] = (<double *>view.buf)[i] if view.format[0] == FLOAT64 else (<float *>view.buf)[i]


cdef void narrow(const Py_buffer *view, const double *values) noexcept:
    """Copy doubles to where floats or doubles are needed."""
    for i in range(view.shape[0]):
        if view.format[0] == FLOAT64:
            (<double *>view.buf)[i] = values[i]
        else:
            (<float *>view.buf)[i] = <float>values[i]


def batchnorm_workspace(Py_ssize_t rows, Py_ssize_t channels, bint is_double, /):
    """Bytes of workspace for each of the functions below."""
    if min(rows, channels) < 1:
        raise ValueError("batch_norm: there is nothing to normalise")
    return fitting(fnn_batchnorm_workspace(FLOAT64 if is_double else REAL, rows, channels))


cdef void *batchnorm_room(borrowed *views, const fnn_batchnorm *b, object workspace, int n_threads) except? NULL:
    if n_threads < 1:
        refuse(views, f"n_threads must be at least 1. Received: {n_threads}")
    return workspace_of(views, workspace, fnn_batchnorm_workspace(views.dtype, b.rows, b.channels))


def batchnorm_constants(running_mean, running_variance,  # IN
                        double eps,
                        mean, invstd, /):                   # OUT
    """What running statistics of either dtype normalise with: the mean, and 1 / sqrt(variance + eps)."""
    cdef borrowed views
    cdef Py_ssize_t n
    begin(&views, "batch_norm")
    try:
        view = view_of(&views, mean, FLOAT64, OUT, 1)
        check_some(&views, view)
        n, means = view.shape[0], <double *>view.buf
        invstds = <double *>vector_of(&views, invstd, FLOAT64, OUT, n)
        first, second = running(&views, running_mean, IN, n), running(&views, running_variance, IN, n)
        widen(first, means)
        widen(second, invstds)
        for i in range(n):
            invstds[i] = 1 / sqrt(invstds[i] + eps)
    finally:
        give_back(&views)


def batchnorm_forward(x,             # IN
                      mean, invstd,  # IN
                      weight, bias,  # IN or None
                      str then,      # None, "relu", "relu6", "gelu" or "silu"
                      residual,      # IN or None
                      y,             # OUT
                      workspace,     # OUT
                      int n_threads, /):
    cdef borrowed views
    cdef fnn_batchnorm b
    cdef Py_ssize_t n
    begin(&views, "batch_norm")
    try:
        n = images_of(&views, x, &b)
        b.mean = <double *>vector_of(&views, mean, FLOAT64, IN, n)
        b.invstd = <double *>vector_of(&views, invstd, FLOAT64, IN, n)
        b.weight = vector_of(&views, weight, REAL, IN | OR_NONE, n)
        b.bias = vector_of(&views, bias, REAL, IN | OR_NONE, n)
        b.then, b.residual = then_of(then, residual is not None), like_images(&views, residual, IN)
        b.y = like_images(&views, y, OUT)
        if b.y == NULL:
            refuse(&views, "no array for the result")
        room = batchnorm_room(&views, &b, workspace, n_threads)
        with nogil:
            fnn_batchnorm_forward(views.dtype, &b, room, n_threads)
    finally:
        give_back(&views)


def batchnorm_training(x,                               # IN
                       double eps, double momentum,
                       running_mean, running_variance,  # IN or both None, of either dtype
                       weight, bias,                    # IN or None
                       str then,                        # None, "relu", "relu6", "gelu" or "silu"
                       residual,                        # IN or None
                       statistics,                      # OUT, (4, channels): mean, invstd; the others are scratch
                       moved_mean, moved_variance,      # OUT or both None
                       y,                               # OUT, or None for the statistics alone
                       workspace,                       # OUT
                       int n_threads, /):
    cdef borrowed views
    cdef fnn_batchnorm b
    cdef Py_ssize_t n
    cdef const Py_buffer *to_mean = NULL
    cdef const Py_buffer *to_variance = NULL
    begin(&views, "batch_norm")
    try:
        n = images_of(&views, x, &b)
        if b.rows < 2:
            refuse(&views, "one value a channel has no variance")
        b.mean = <double *>data_of(&views, statistics, FLOAT64, OUT, 2, [4, n])
        b.invstd, b.eps, b.momentum = b.mean + n, eps, momentum
        b.weight = vector_of(&views, weight, REAL, IN | OR_NONE, n)
        b.bias = vector_of(&views, bias, REAL, IN | OR_NONE, n)
        b.then, b.residual = then_of(then, residual is not None), like_images(&views, residual, IN)
        b.y = like_images(&views, y, OUT)
        room = batchnorm_room(&views, &b, workspace, n_threads)
        if running_mean is not None:
            from_mean, from_variance = running(&views, running_mean, IN, n), running(&views, running_variance, IN, n)
            to_mean, to_variance = running(&views, moved_mean, OUT, n), running(&views, moved_variance, OUT, n)
            b.running_mean, b.running_variance = b.mean + 2 * n, b.mean + 3 * n
            widen(from_mean, b.running_mean)
            widen(from_variance, b.running_variance)
        with nogil:
            fnn_batchnorm_training(views.dtype, &b, room, n_threads)
        if to_mean != NULL:
            narrow(to_mean, b.running_mean)
            narrow(to_variance, b.running_variance)
    finally:
        give_back(&views)


def batchnorm_backward(dy, x,           # IN
                       mean, invstd,    # IN
                       weight, bias,    # IN or None
                       str then,        # None, "relu", "relu6", "gelu" or "silu"
                       y,               # IN or None
                       bint training,
                       dx, dresidual,   # OUT or None
                       dweight, dbias,  # OUT
                       workspace,       # OUT
                       int n_threads, /):
    cdef borrowed views
    cdef fnn_batchnorm b
    cdef Py_ssize_t n
    begin(&views, "batch_norm_backward")
    try:
        n = images_of(&views, x, &b)
        b.mean = <double *>vector_of(&views, mean, FLOAT64, IN, n)
        b.invstd = <double *>vector_of(&views, invstd, FLOAT64, IN, n)
        b.weight = vector_of(&views, weight, REAL, IN | OR_NONE, n)
        b.bias = vector_of(&views, bias, REAL, IN | OR_NONE, n)
        b.then, b.y, b.dy = then_of(then, y is not None), like_images(&views, y, IN), like_images(&views, dy, IN)
        b.dx, b.dresidual = like_images(&views, dx, OUT), like_images(&views, dresidual, OUT)
        b.dweight, b.dbias = vector_of(&views, dweight, REAL, OUT, n), vector_of(&views, dbias, REAL, OUT, n)
        b.training = training
        if b.dy == NULL or (b.dresidual != NULL and b.y == NULL):
            refuse(&views, "an array is missing")
        if b.dresidual != NULL and b.then == FNN_THEN_NOTHING:
            refuse(&views, "without an activation the residual's gradient is dy")
        room = batchnorm_room(&views, &b, workspace, n_threads)
        with nogil:
            fnn_batchnorm_backward(views.dtype, &b, room, n_threads)
    finally:
        give_back(&views)
