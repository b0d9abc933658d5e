# Binds src_c/ops/join_rows.c.

cdef extern from "fnn.h" nogil:
    void fnn_join_rows_f32(int cuts, Py_ssize_t rows, Py_ssize_t count, const Py_ssize_t *lengths,
                           float *const *parts, float *whole, int n_threads)
    void fnn_join_rows_f64(int cuts, Py_ssize_t rows, Py_ssize_t count, const Py_ssize_t *lengths,
                           double *const *parts, double *whole, int n_threads)


def join_rows(bint cuts,
              list parts not None,  # IN, or OUT if `cuts`: matrices of the dtype of `whole`
              whole,                # OUT, or IN
              int n_threads, /):
    """whole = the parts side by side, or with `cuts` the other way round."""
    cdef borrowed views
    cdef tuple arrays = tuple(parts)
    cdef Py_ssize_t count = len(arrays), taken = 0, columns = 0
    cdef borrowed *of_parts = <borrowed *>PyMem_Malloc(max(count, 1) * sizeof(borrowed))
    cdef Py_ssize_t *lengths = <Py_ssize_t *>PyMem_Malloc(max(count, 1) * sizeof(Py_ssize_t))
    cdef void *data = PyMem_Malloc(max(count, 1) * max(sizeof(float *), sizeof(double *)))
    begin(&views, "join_rows")
    try:
        if of_parts == NULL or lengths == NULL or data == NULL:
            raise MemoryError()
        wide = view_of(&views, whole, REAL, IN if cuts else OUT, 2)
        for array in arrays:
            begin(&of_parts[taken], "join_rows")
            of_parts[taken].dtype = views.dtype
            taken += 1
            part = view_of(&of_parts[taken - 1], array, REAL, OUT if cuts else IN, 2)
            if part.shape[0] != wide.shape[0] or part.len == 0:
                refuse(&views, "shapes do not fit, or an array is empty")
            if views.dtype == FLOAT64:
                (<double **>data)[taken - 1] = <double *>part.buf
            else:
                (<float **>data)[taken - 1] = <float *>part.buf
            lengths[taken - 1] = part.shape[1]
            columns += part.shape[1]
        if columns != wide.shape[1] or count == 0:
            refuse(&views, "shapes do not fit")
        with nogil:
            if views.dtype == FLOAT64:
                fnn_join_rows_f64(cuts, wide.shape[0], count, lengths, <double **>data, <double *>wide.buf, n_threads)
            else:
                fnn_join_rows_f32(cuts, wide.shape[0], count, lengths, <float **>data, <float *>wide.buf, n_threads)
    finally:
        give_back(&views)
        for i in range(taken):
            give_back(&of_parts[i])
        PyMem_Free(of_parts)
        PyMem_Free(lengths)
        PyMem_Free(data)
