# Binds src_c/ops/optimizer.c. Settings are dicts with the fields of the structs, or the share of a running mean.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_optimizer_step(dtype, ...) FNN_OF_DTYPE(fnn_optimizer_step, dtype, __VA_ARGS__)
    #define fnn_sum_of_squares(dtype, ...) FNN_OF_DTYPE(fnn_sum_of_squares, dtype, __VA_ARGS__)
    """
    ctypedef struct fnn_sgd:
        double lr, momentum, dampening, weight_decay
        int nesterov, maximize
    ctypedef struct fnn_adam:
        double lr, beta1, beta2, eps, weight_decay, decoupled_decay, bias_correction1, bias_correction2
        int maximize
    ctypedef struct fnn_rmsprop:
        double lr, alpha, eps, weight_decay, momentum
        int maximize
    ctypedef struct fnn_adagrad:
        double lr, eps, weight_decay
        int maximize
    ctypedef enum fnn_optimizer:
        FNN_SGD
        FNN_ADAM
        FNN_RMSPROP
        FNN_ADAGRAD
        FNN_AVERAGE
    ctypedef union fnn_optimizer_settings:
        fnn_sgd sgd
        fnn_adam adam
        fnn_rmsprop rmsprop
        fnn_adagrad adagrad
        double average
    ctypedef struct fnn_parameter_step:
        fnn_optimizer kind
        fnn_optimizer_settings settings
        Py_ssize_t n
        void *w
        const void *g
        void *states[3]
    fnn_status fnn_optimizer_step(char dtype, Py_ssize_t n_steps, fnn_parameter_step *steps, int n_threads)
    Py_ssize_t fnn_sum_of_squares_partials_f32(Py_ssize_t n)
    fnn_status fnn_sum_of_squares(char dtype, Py_ssize_t n, const void *x, double *sum, double *partial, int n_threads)


cdef bint is_dense(const Py_buffer *view) noexcept:
    """Whether its elements fill one block of memory, in any order of axes."""
    cdef Py_ssize_t expected = view.itemsize, found
    cdef int left = 0
    for i in range(view.ndim):
        left += view.shape[i] != 1
    while left:
        found = -1
        for i in range(view.ndim):
            if view.shape[i] != 1 and view.strides[i] == expected:
                found = i
        if found < 0:
            return False
        expected *= view.shape[found]
        left -= 1
    return True


cdef class ParameterStep:
    """The step of one parameter, ready for `optimizer_step`. It holds on to its arrays.

    Args:
        kind: "sgd_step" or another of these functions.
        settings: of the struct in fnn.h.
        w, g: the parameter, which the step changes, and its gradient.
        first, second, third: its states, which change, too, or None.
    Raises:
        BufferError: they are no arrays of one shape and dtype (float32 or float64) that lie in memory alike.
        ValueError: an array that changes is read-only.
    """
    cdef fnn_parameter_step step
    cdef borrowed views
    cdef readonly bint is_double
    cdef readonly str kind

    def __cinit__(self, str kind, settings, w, g, first, second, third):
        cdef Py_buffer *view
        cdef Py_buffer *parameter = &self.views.views[0]
        cdef fnn_parameter_step *step = &self.step
        begin(&self.views, "optimizer_step")
        memset(step, 0, sizeof(step[0]))
        self.kind = kind
        if w is None or g is None:
            raise BufferError(f"{kind}: a parameter and its gradient are needed")
        for i, array in enumerate((w, g, first, second, third)):
            if array is None:
                continue
            if not isinstance(array, _ndarray):
                raise BufferError(f"{kind}: arrays are needed. Received: {type(array)}")
            view = &self.views.views[self.views.count]
            PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_STRIDES | (0 if i == 1 else PyBUF_WRITABLE))
            self.views.count += 1
            if (not is_real(view) or not is_aligned(view)
                    or not (lie_alike(parameter, view) if i else is_dense(view))):
                raise BufferError("arrays do not lie in memory alike")
            if i == 0:
                step.w = view.buf
            elif i == 1:
                step.g = view.buf
            else:
                step.states[i - 2] = view.buf
        self.is_double = parameter.format[0] == FLOAT64
        step.n = parameter.len // parameter.itemsize
        needed = 1
        if kind == "sgd_step":
            step.kind, step.settings.sgd = FNN_SGD, settings
            needed = 0
        elif kind == "adam_step":
            step.kind, step.settings.adam = FNN_ADAM, settings
            needed = 2
        elif kind == "rmsprop_step":
            step.kind, step.settings.rmsprop = FNN_RMSPROP, settings
        elif kind == "adagrad_step":
            step.kind, step.settings.adagrad = FNN_ADAGRAD, settings
        elif kind == "average_step":
            step.kind, step.settings.average = FNN_AVERAGE, settings
            needed = 0
        else:
            raise ValueError(f"there is no step {kind!r}")
        if (needed > 0 and step.states[0] == NULL) or (needed > 1 and step.states[1] == NULL):
            raise BufferError(f"{kind}: a state is missing")

    def __dealloc__(self):
        give_back(&self.views)


ctypedef struct written_range:
    const char *begin
    const char *end
    bint is_written


cdef int by_begin(const void *a, const void *b) noexcept nogil:
    cdef const char *x = (<const written_range *>a).begin
    cdef const char *y = (<const written_range *>b).begin
    return (x > y) - (x < y)


cdef bint overlap(list steps) except -1:
    """Whether a step writes where another one, or the same, reads or writes something else."""
    cdef Py_ssize_t n = 0, most = 5 * len(steps)
    cdef written_range *ranges = <written_range *>PyMem_Malloc(max(most, 1) * sizeof(written_range))
    cdef const char *read = NULL
    cdef const char *written = NULL
    cdef ParameterStep step
    cdef Py_buffer *view
    cdef bint found = False
    if ranges == NULL:
        raise MemoryError()
    for step in steps:
        for i in range(step.views.count):
            view = &step.views.views[i]
            ranges[n].begin, ranges[n].end = <const char *>view.buf, <const char *>view.buf + view.len
            ranges[n].is_written = i != 1
            n += 1
    qsort(ranges, n, sizeof(written_range), &by_begin)
    for j in range(n):
        found = found or ranges[j].begin < written or (ranges[j].is_written and ranges[j].begin < read)
        read = max(read, ranges[j].end)
        if ranges[j].is_written:
            written = max(written, ranges[j].end)
    PyMem_Free(ranges)
    return found


cdef int run_steps(list steps, bint is_double, int n_threads) except -1:
    """Those of one dtype, in one region."""
    cdef Py_ssize_t n = 0
    cdef ParameterStep step
    cdef fnn_parameter_step *pieces = <fnn_parameter_step *>PyMem_Malloc(len(steps) * sizeof(fnn_parameter_step))
    cdef fnn_status status = FNN_OK
    if pieces == NULL:
        raise MemoryError()
    for step in steps:
        if step.is_double == is_double and step.step.n > 0:
            pieces[n] = step.step
            n += 1
    with nogil:
        if n > 0:
            status = fnn_optimizer_step(FLOAT64 if is_double else REAL, n, pieces, n_threads)
    PyMem_Free(pieces)
    return check(status, "optimizer_step")


def optimizer_step(list steps not None, int n_threads, /):
    """Take these steps, `ParameterStep` objects, at once; one after the other if their arrays overlap."""
    if n_threads < 1:
        raise ValueError(f"optimizer_step: n_threads must be at least 1. Received: {n_threads}")
    for step in steps:
        if not isinstance(step, ParameterStep):
            raise TypeError(f"optimizer_step: a ParameterStep is needed. Received: {type(step)}")
    for some in [[step] for step in steps] if overlap(steps) else [steps]:
        for is_double in (False, True):
            run_steps(some, is_double, n_threads)


def sum_of_squares(x,  # IN
                   int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef double total
    cdef double *partial = NULL
    begin(&views, "sum_of_squares")
    try:
        vector = view_of(&views, x, REAL, IN, 1)
        partial = <double *>PyMem_Malloc(fnn_sum_of_squares_partials_f32(vector.shape[0]) * sizeof(double))
        if partial == NULL:
            raise MemoryError()
        with nogil:
            status = fnn_sum_of_squares(views.dtype, vector.shape[0], vector.buf, &total, partial, n_threads)
        check(status, "sum_of_squares")
    finally:
        PyMem_Free(partial)
        give_back(&views)
    return total
