# The buffers behind the arrays of fastnn._memory.

cdef extern from "Python.h":
    # Without an exception type, numbers that do not fit become the nearest one that does.
    Py_ssize_t clipped "PyNumber_AsSsize_t"(object number, void *no_exception) except? -1

cdef enum:
    ALIGNMENT = 64


@cython.no_gc
cdef class Block:
    """`n_bytes` of Python's memory, aligned to 64 bytes, for `numpy.ndarray(shape, dtype, buffer=block)`."""
    cdef void *memory
    cdef unsigned char *begin
    cdef Py_ssize_t n_bytes
    cdef Py_ssize_t one

    def __cinit__(self, object n_bytes):
        self.n_bytes = clipped(n_bytes, NULL)
        if not 0 <= self.n_bytes <= PY_SSIZE_T_MAX - ALIGNMENT:
            raise ValueError(f"a block of memory cannot have {n_bytes} bytes")
        self.memory = PyMem_Malloc(self.n_bytes + ALIGNMENT)
        if self.memory is NULL:
            raise MemoryError(f"there are no {n_bytes} bytes")
        self.begin = <unsigned char *> ((<size_t> self.memory + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
        self.one = 1

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        lend_bytes(self, buffer, self.begin, &self.n_bytes, &self.one)

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    def __dealloc__(self):
        PyMem_Free(self.memory)


cdef void lend_bytes(object owner, Py_buffer *buffer, unsigned char *begin, Py_ssize_t *n_bytes, Py_ssize_t *one):
    """Fill in a writable buffer of unsigned bytes; `n_bytes` and `one` are its shape and strides, of the owner."""
    buffer.buf = begin
    buffer.obj = owner
    buffer.len = n_bytes[0]
    buffer.readonly = 0
    buffer.itemsize = 1
    buffer.format = NULL  # unsigned bytes
    buffer.ndim = 1
    buffer.shape = n_bytes
    buffer.strides = one
    buffer.suboffsets = NULL
    buffer.internal = NULL
