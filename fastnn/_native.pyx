# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: freethreading_compatible=True, auto_pickle=False
# cython: binding=False, embedsignature=True, embedsignature.format=clinic
"""The binding: views of arrays, the GIL released, a status turned into an exception. Nothing else.

Each `_bindings/<stem>.pxi` binds one stem of src_c/ops. Arrays are marked IN, OUT or INOUT. Callers (fastnn.functional)
have checked shapes and layouts; what would crash is refused here again, before anything is written: another rank,
shape, dtype or byte order, strides, an address that is not aligned, or a result that is read-only.

Functions are called by position: reading keywords would be a tenth of the module's code.
"""

cimport cython
from cpython.buffer cimport (  # no-cython-lint
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer)
from cpython.mem cimport PyMem_Free, PyMem_Malloc  # no-cython-lint: the included files use them
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.math cimport sqrt  # no-cython-lint
from libc.stdint cimport int64_t, uint32_t, uint64_t  # no-cython-lint
from libc.stdlib cimport qsort  # no-cython-lint
from libc.string cimport memset  # no-cython-lint

cdef object _ndarray  # a variable of C, which no look at the names of the module has to find
from numpy import ndarray as _ndarray

cdef extern from "fnn.h" nogil:
    """
    /* An op that C has twice, for float32 and for float64: the one for this dtype (borrowed.dtype). */
    #define FNN_OF_DTYPE(op, dtype, ...) ((dtype) == 'd' ? op##_f64(__VA_ARGS__) : op##_f32(__VA_ARGS__))
    """
    ctypedef enum fnn_status:
        FNN_OK
        FNN_BAD_LABEL
        FNN_OVERFLOW
        FNN_BAD_INDEX


cdef int check(fnn_status status, str operation) except -1:
    """The one place where a status of the C side becomes an exception."""
    if status == FNN_OK:
        return 0
    if status == FNN_BAD_LABEL:
        raise ValueError(f"{operation}: a label lies outside [0, classes)")
    if status == FNN_OVERFLOW:
        raise OverflowError(f"{operation}: a size does not fit into memory")
    if status == FNN_BAD_INDEX:
        raise IndexError(f"{operation}: an index points outside its array")
    raise RuntimeError(f"{operation}: unknown status {<int>status}")


cdef Py_ssize_t fitting(Py_ssize_t size) except -1:
    """The size of a workspace; one that does not fit into memory stands at the largest number (core/workspace.h)."""
    if size == PY_SSIZE_T_MAX:
        check(FNN_OVERFLOW, "workspace")
    return size


cdef int sizes_of(tuple values, int count, Py_ssize_t *sizes) except -1:
    """The numbers of a tuple of so many."""
    if len(values) != count:
        raise ValueError(f"{count} numbers are needed. Received: {values}")
    for i in range(count):
        sizes[i] = values[i]
    return 0


cdef Py_ssize_t product_of(Py_ssize_t *sizes, int count) noexcept:
    """The product of sizes, none of which is 0; the largest number if it does not fit."""
    cdef Py_ssize_t product = 1
    for i in range(count):
        if product > PY_SSIZE_T_MAX // sizes[i]:
            return PY_SSIZE_T_MAX
        product *= sizes[i]
    return product


include "_bindings/views.pxi"
include "_bindings/machine.pxi"
include "_bindings/memory.pxi"
include "_bindings/arena.pxi"
include "_bindings/layout.pxi"
include "_bindings/conv2d.pxi"
include "_bindings/im2col.pxi"
include "_bindings/activation.pxi"
include "_bindings/add.pxi"
include "_bindings/arithmetic.pxi"
include "_bindings/sum_rows.pxi"
include "_bindings/join_rows.pxi"
include "_bindings/matmul.pxi"
include "_bindings/attention.pxi"
include "_bindings/softmax.pxi"
include "_bindings/maxpool2d.pxi"
include "_bindings/avgpool2d.pxi"
include "_bindings/batchnorm.pxi"
include "_bindings/layernorm.pxi"
include "_bindings/groupnorm.pxi"
include "_bindings/local_response_norm.pxi"
include "_bindings/dropout.pxi"
include "_bindings/cross_entropy.pxi"
include "_bindings/optimizer.pxi"
include "_bindings/augment.pxi"
