# Views of arrays: what they are is looked at in here, for every function of the binding. A function writes
#
#     cdef borrowed views
#     begin(&views, "softmax")
#     try:
#         rows = view_of(&views, x, REAL, IN, 2)
#         ...
#     finally:
#         give_back(&views)
#
# and may read `views.dtype` after the first real array. All real arrays of a call have that dtype.

# What is done with an array, to be added up.
cdef enum:
    IN = 0
    OUT = 1      # it is written
    OR_NONE = 2  # there may be none
    STRIDED = 4  # it need not be C-contiguous

# What its elements are, as the format of a buffer has it, but for REAL, EITHER and TAPS.
cdef enum:
    REAL = 0  # float32 or float64, as the first such array of the call
    EITHER = 1  # float32 or float64, whatever the others are
    UINT8 = 66  # "B"
    FLOAT64 = 100  # "d"
    INT32 = 105  # "i"
    SIZE = 110  # "n": numpy.intp
    INT64 = 113  # "q"
    TAPS = 116  # uint8 or int32


cdef struct borrowed:
    const char *operation  # that errors name
    char dtype             # "f" or "d", of every real array of the call; 0 before the first
    int count
    Py_buffer views[12]


cdef void begin(borrowed *views, const char *operation) noexcept:
    """No views yet. `give_back` is to be called when the call is done with all of them."""
    views.operation, views.dtype, views.count = operation, 0, 0


cdef void give_back(borrowed *views) noexcept:
    for i in range(views.count):
        PyBuffer_Release(&views.views[i])


cdef int refuse(const borrowed *views, str reason) except -1:
    raise ValueError(f"{views.operation.decode('ascii')}: {reason}")


cdef bint is_real(const Py_buffer *view) noexcept:
    return view.format != NULL and view.format[0] in b"fd" and view.format[1] == 0


cdef bint is_of(const Py_buffer *view, int dtype) noexcept:
    cdef char first
    if view.format == NULL:  # what a buffer of unsigned bytes may have
        return dtype == UINT8
    first = view.format[0]
    if first == 0 or view.format[1] != 0:  # a struct, or another byte order
        return False
    if dtype == EITHER:
        return is_real(view)
    if dtype == TAPS:
        return is_of(view, UINT8) or is_of(view, INT32)
    if dtype == SIZE:
        return first in b"ilq" and view.itemsize == sizeof(Py_ssize_t)
    if dtype == INT64:
        return first in b"ilq" and view.itemsize == 8
    if dtype == INT32:
        return first in b"il" and view.itemsize == 4
    return first == dtype


cdef bint is_aligned(const Py_buffer *view) noexcept:
    return <size_t>view.buf % <size_t>view.itemsize == 0


cdef str name_of(int dtype):
    names = {c"f": "float32", FLOAT64: "float64", UINT8: "uint8", INT32: "int32", INT64: "int64", SIZE: "intp",
             TAPS: "uint8 or int32"}
    return names.get(dtype, "float32 or float64")


cdef Py_buffer *borrow(borrowed *views, object array, int dtype, int access) except NULL:
    """A view of an array of this dtype, in this computer's byte order and aligned."""
    cdef Py_buffer *view = &views.views[views.count]
    cdef int flags = PyBUF_FORMAT | (PyBUF_STRIDES if access & STRIDED else PyBUF_C_CONTIGUOUS)
    PyObject_GetBuffer(array, view, flags | (PyBUF_WRITABLE if access & OUT else 0))
    views.count += 1
    if dtype == REAL:
        if views.dtype == 0 and is_real(view):
            views.dtype = view.format[0]
        dtype = views.dtype
    if not is_of(view, dtype) or not is_aligned(view):
        refuse(views, f"an array of {name_of(dtype)} is needed, aligned and in this computer's byte order")
    return view


cdef Py_buffer *view_of(borrowed *views, object array, int dtype, int access, int ndim) except NULL:
    """The same of so many dimensions."""
    cdef Py_buffer *view = borrow(views, array, dtype, access)
    if view.ndim != ndim:
        refuse(views, f"an array of {ndim} dimensions is needed. Received: {view.ndim}")
    return view


cdef int check_some(const borrowed *views, const Py_buffer *view) except -1:
    if view.len == 0:
        refuse(views, "an array is empty")
    return 0


# A shape is not const: Cython 3.1 cannot fill in an array [h, w, n, c] of constants.
cdef int check_shape(const borrowed *views, const Py_buffer *view, int ndim, Py_ssize_t *shape) except -1:
    cdef bint fits = view.ndim == ndim
    for i in range(ndim if fits else 0):
        fits = fits and view.shape[i] == shape[i]
    if not fits:
        needed, given = [shape[i] for i in range(ndim)], [view.shape[i] for i in range(view.ndim)]
        refuse(views, f"shapes do not fit: {needed} is needed. Received: {given}")
    return 0


cdef void *data_of(borrowed *views, object array, int dtype, int access, int ndim, Py_ssize_t *shape) except? NULL:
    """The data of an array of this dtype and shape."""
    if access & OR_NONE and array is None:
        return NULL
    cdef const Py_buffer *view = borrow(views, array, dtype, access)
    check_shape(views, view, ndim, shape)
    return view.buf


cdef void *data_like(borrowed *views, object array, int access, const Py_buffer *first) except? NULL:
    """The data of a real array that has the shape of the first."""
    return data_of(views, array, REAL, access, first.ndim, first.shape)


cdef void *vector_of(borrowed *views, object array, int dtype, int access, Py_ssize_t n) except? NULL:
    """The data of n numbers."""
    return data_of(views, array, dtype, access, 1, &n)


cdef void *workspace_of(borrowed *views, object array, Py_ssize_t needed) except? NULL:
    """The memory of an array of at least so many bytes."""
    cdef const Py_buffer *view = view_of(views, array, UINT8, OUT, 1)
    if view.len < fitting(needed) or <size_t>view.buf % 64 != 0:
        refuse(views, f"workspace of {view.len} bytes, {needed} aligned to 64 are needed")
    return view.buf


cdef bint lie_alike(const Py_buffer *a, const Py_buffer *b) noexcept:
    """Whether two views have the same dtype and shape, and their elements lie in the same order."""
    if a.ndim != b.ndim or a.format[0] != b.format[0]:
        return False
    for i in range(a.ndim):
        if a.shape[i] != b.shape[i] or (a.shape[i] > 1 and a.strides[i] != b.strides[i]):
            return False
    return True
