# Memory that comes back: the buffer behind an array of fastnn._memory.
cimport cython


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
        buffer.buf = &self.bytes[0]
        buffer.obj = self
        buffer.len = self.n_bytes
        buffer.readonly = 0
        buffer.itemsize = 1
        buffer.format = NULL  # unsigned bytes
        buffer.ndim = 1
        buffer.shape = &self.n_bytes
        buffer.strides = &self.one
        buffer.suboffsets = NULL
        buffer.internal = NULL

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    def __dealloc__(self):
        self.give_back(self.block)
