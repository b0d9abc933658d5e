# The buffers behind the arrays of fastnn._memory.
cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc

cdef enum:
    ALIGNMENT = 64


@cython.no_gc
cdef class Block:
    """`n_bytes` of memory of the C allocator, aligned to 64 bytes, for `numpy.ndarray(shape, dtype, buffer=block)`."""
    cdef void *memory
    cdef unsigned char *begin
    cdef Py_ssize_t n_bytes
    cdef Py_ssize_t one

    def __cinit__(self, Py_ssize_t n_bytes):
        self.memory = PyMem_RawMalloc(n_bytes + ALIGNMENT)
        if self.memory is NULL:
            raise MemoryError(f"there are no {n_bytes} bytes")
        self.begin = <unsigned char *> ((<size_t> self.memory + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
        self.n_bytes = n_bytes
        self.one = 1

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        lend_bytes(self, buffer, self.begin, &self.n_bytes, &self.one)

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    def __dealloc__(self):
        PyMem_RawFree(self.memory)


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


@cython.no_gc
cdef class Lease:
    """Lends the memory of `block` to arrays; when the last of them is gone, hands the block to `give_back`.

    An array made with `numpy.ndarray(shape, dtype, buffer=lease)` and every view of it hold the lease alive.
    """
    cdef object block
    cdef object give_back
    cdef Py_ssize_t n_bytes
    cdef Py_ssize_t one
    cdef unsigned char[::1] bytes

    def __cinit__(self, unsigned char[::1] bytes, object block, object give_back):
        self.bytes = bytes
        self.block = block
        self.give_back = give_back
        self.n_bytes = bytes.shape[0]
        self.one = 1

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        lend_bytes(self, buffer, &self.bytes[0], &self.n_bytes, &self.one)

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    def __dealloc__(self):
        self.give_back(self.block)
