# Binds src_c/ops/local_response_norm.c. Activations are (rows, c), dense.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_local_response_norm_workspace(dtype, ...) \\
        FNN_OF_DTYPE(fnn_local_response_norm_workspace, dtype, __VA_ARGS__)
    #define fnn_local_response_norm_forward(dtype, ...) \\
        FNN_OF_DTYPE(fnn_local_response_norm_forward, dtype, __VA_ARGS__)
    #define fnn_local_response_norm_backward(dtype, ...) \\
        FNN_OF_DTYPE(fnn_local_response_norm_backward, dtype, __VA_ARGS__)
    """
    Py_ssize_t fnn_local_response_norm_workspace(char dtype, Py_ssize_t c, Py_ssize_t size, int n_threads)
    fnn_status fnn_local_response_norm_forward(char dtype, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t size,
                                               double alpha, double beta, double k, const void *x, void *y,
                                               void *workspace, int n_threads)
    fnn_status fnn_local_response_norm_backward(char dtype, Py_ssize_t rows, Py_ssize_t c, Py_ssize_t size,
                                                double alpha, double beta, double k, const void *dy, const void *x,
                                                void *dx, void *workspace, int n_threads)


def local_response_norm_workspace(x, Py_ssize_t size, int n_threads, /):
    """Bytes of workspace, forward or backward, for rows like those of x."""
    cdef borrowed views
    begin(&views, "local_response_norm")
    try:
        matrix = view_of(&views, x, REAL, IN, 2)
        return fnn_local_response_norm_workspace(views.dtype, matrix.shape[1], size, n_threads)
    finally:
        give_back(&views)


cdef const Py_buffer *neighbours(borrowed *views, object x, Py_ssize_t size, int n_threads) except NULL:
    cdef const Py_buffer *view = view_of(views, x, REAL, IN, 2)
    check_some(views, view)
    if min(size, n_threads) < 1:
        refuse(views, f"size and n_threads must be at least 1. Received: {size}, {n_threads}")
    return view


def local_response_norm_forward(x,          # IN
                                y,          # OUT
                                Py_ssize_t size, double alpha, double beta, double k,
                                workspace,  # OUT
                                int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef Py_ssize_t rows, c
    begin(&views, "local_response_norm")
    try:
        matrix = neighbours(&views, x, size, n_threads)
        rows, c = matrix.shape[0], matrix.shape[1]
        result = data_like(&views, y, OUT, matrix)
        room = workspace_of(&views, workspace, fnn_local_response_norm_workspace(views.dtype, c, size, n_threads))
        with nogil:
            status = fnn_local_response_norm_forward(views.dtype, rows, c, size, alpha, beta, k, matrix.buf, result,
                                                     room, n_threads)
        check(status, "local_response_norm")
    finally:
        give_back(&views)


def local_response_norm_backward(dy, x,      # IN
                                 dx,         # OUT
                                 Py_ssize_t size, double alpha, double beta, double k,
                                 workspace,  # OUT
                                 int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef Py_ssize_t rows, c
    begin(&views, "local_response_norm_backward")
    try:
        matrix = neighbours(&views, x, size, n_threads)
        rows, c = matrix.shape[0], matrix.shape[1]
        gradient, result = data_like(&views, dy, IN, matrix), data_like(&views, dx, OUT, matrix)
        room = workspace_of(&views, workspace, fnn_local_response_norm_workspace(views.dtype, c, size, n_threads))
        with nogil:
            status = fnn_local_response_norm_backward(views.dtype, rows, c, size, alpha, beta, k, gradient, matrix.buf,
                                                      result, room, n_threads)
        check(status, "local_response_norm_backward")
    finally:
        give_back(&views)
