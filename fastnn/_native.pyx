# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: freethreading_compatible=True, embedsignature=False
"""The binding: typed views, the GIL released, a status turned into an exception. Nothing else.

Each `_bindings/<stem>.pxi` binds one stem of src_c/ops. Arrays are marked IN, OUT or INOUT. Callers (fastnn.functional)
have checked shapes and layouts; what would crash is refused by the views themselves: wrong rank, dtype, strides, or a
read-only output.
"""

from cpython.buffer cimport (  # no-cython-lint
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer)
from cpython.mem cimport PyMem_Free, PyMem_Malloc  # no-cython-lint: the included files use them
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.math cimport sqrt  # no-cython-lint
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t  # no-cython-lint
from libc.stdlib cimport qsort  # no-cython-lint
from libc.string cimport memset  # no-cython-lint

from numpy import ndarray as _ndarray

ctypedef fused real:
    float
    double

cdef extern from "fnn.h" nogil:
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


cdef int check_workspace(const uint8_t[::1] workspace, Py_ssize_t needed) except -1:
    if workspace.shape[0] < fitting(needed) or <size_t>&workspace[0] % 64 != 0:
        raise ValueError(f"workspace of {workspace.shape[0]} bytes, {needed} aligned to 64 are needed")
    return 0


cdef int sizes_of(tuple values, int count, Py_ssize_t *sizes) except -1:
    """The numbers of a tuple of so many."""
    if len(values) != count:
        raise ValueError(f"{count} numbers are needed. Received: {values}")
    for i in range(count):
        sizes[i] = values[i]
    return 0


cdef Py_ssize_t product_of(const Py_ssize_t *sizes, int count) noexcept:
    """The product of sizes, none of which is 0; the largest number if it does not fit."""
    cdef Py_ssize_t product = 1
    for i in range(count):
        if product > PY_SSIZE_T_MAX // sizes[i]:
            return PY_SSIZE_T_MAX
        product *= sizes[i]
    return product


cdef struct borrowed:
    Py_buffer views[10]
    int count


cdef Py_buffer *borrow(borrowed *views, object array, bint is_double, int flags) except NULL:
    """A view of an array of this dtype; `give_back` is to be called when all of them are done with.

    What typed views of either dtype would do, for functions that know the dtype from elsewhere: a fraction of the code.
    """
    cdef Py_buffer *view = &views.views[views.count]
    PyObject_GetBuffer(array, view, flags | PyBUF_FORMAT)
    views.count += 1
    if view.format[0] != (c"d" if is_double else c"f") or view.format[1] != 0:
        raise ValueError(f"an array of {'float64' if is_double else 'float32'} is needed")
    return view


cdef void give_back(borrowed *views) noexcept:
    for i in range(views.count):
        PyBuffer_Release(&views.views[i])


cdef bint lie_alike(const Py_buffer *a, const Py_buffer *b) noexcept:
    """Whether two views have the same dtype and shape, and their elements lie in the same order."""
    if a.ndim != b.ndim or a.format[0] != b.format[0]:
        return False
    for i in range(a.ndim):
        if a.shape[i] != b.shape[i] or (a.shape[i] > 1 and a.strides[i] != b.strides[i]):
            return False
    return True


# A view of an empty array has no first element to take the address of; every size in C is 0 then and nothing is read.

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
