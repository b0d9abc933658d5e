# Binds src_c/ops/join_rows.c.

cdef extern from "fnn.h" nogil:
    void fnn_join_rows_f32(int cuts, Py_ssize_t rows, Py_ssize_t count, const Py_ssize_t *lengths,
                           float *const *parts, float *whole, int n_threads)
    void fnn_join_rows_f64(int cuts, Py_ssize_t rows, Py_ssize_t count, const Py_ssize_t *lengths,
                           double *const *parts, double *whole, int n_threads)


def join_rows(bint cuts,
              list parts not None,  # IN, or OUT if `cuts`: matrices of the dtype of `whole`
              real[:, ::1] whole,   # OUT, or IN
              int n_threads):
    """whole = the parts side by side, or with `cuts` the other way round."""
    cdef const real[:, ::1] to_read
    cdef real[:, ::1] to_write
    cdef Py_ssize_t count = len(parts), rows = whole.shape[0], columns = 0, k
    cdef void **data = <void **>PyMem_Malloc(max(count, 1) * sizeof(void *))
    cdef Py_ssize_t *lengths = <Py_ssize_t *>PyMem_Malloc(max(count, 1) * sizeof(Py_ssize_t))
    try:
        if data == NULL or lengths == NULL:
            raise MemoryError()
        for k in range(count):
            if cuts:
                to_write = parts[k]
                to_read = to_write
            else:
                to_read = parts[k]
            if to_read.shape[0] != rows or min(rows, to_read.shape[1]) < 1:
                raise ValueError("join_rows: shapes do not fit")
            data[k] = <void *>&to_read[0, 0]
            lengths[k] = to_read.shape[1]
            columns += lengths[k]
        if columns != whole.shape[1] or count == 0:
            raise ValueError("join_rows: shapes do not fit")
        with nogil:
            if real is float:
                fnn_join_rows_f32(cuts, rows, count, lengths, <float **>data, &whole[0, 0], n_threads)
            else:
                fnn_join_rows_f64(cuts, rows, count, lengths, <double **>data, &whole[0, 0], n_threads)
    finally:
        PyMem_Free(data)
        PyMem_Free(lengths)
