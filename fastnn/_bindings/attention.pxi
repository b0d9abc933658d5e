# Binds src_c/ops/attention.c. Arrays are (n, heads, rows, features), each feature beside the next, otherwise with any
# strides.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_attention_workspace(dtype, ...) FNN_OF_DTYPE(fnn_attention_workspace, dtype, __VA_ARGS__)
    #define fnn_attention_forward(dtype, ...) FNN_OF_DTYPE(fnn_attention_forward, dtype, __VA_ARGS__)
    #define fnn_attention_backward(dtype, ...) FNN_OF_DTYPE(fnn_attention_backward, dtype, __VA_ARGS__)
    """
    ctypedef struct fnn_attention_strides:
        Py_ssize_t n, head, row
    ctypedef struct fnn_attention_shape:
        Py_ssize_t n, heads, queries, keys, features, values
        double scale
        int causal
        fnn_attention_strides q, k, v, y, dy, dq, dk, dv
    ctypedef struct fnn_attention_operands:
        const void *q
        const void *k
        const void *v
        const void *dy
        void *y
        void *dq
        void *dk
        void *dv
    Py_ssize_t fnn_attention_workspace(char dtype, const fnn_attention_shape *shape, int backward, int n_threads)
    void fnn_attention_forward(char dtype, const fnn_attention_shape *shape, const fnn_attention_operands *operands,
                               void *workspace, int n_threads)
    void fnn_attention_backward(char dtype, const fnn_attention_shape *shape, const fnn_attention_operands *operands,
                                void *workspace, int n_threads)


cdef void *heads_of(borrowed *views, object array, int access, fnn_attention_strides *strides,
                    Py_ssize_t n, Py_ssize_t heads, Py_ssize_t rows, Py_ssize_t features) except? NULL:
    """The data and strides of an array that must have this shape; no side of it is 0."""
    cdef const Py_buffer *view = view_of(views, array, REAL, access | STRIDED, 4)
    check_shape(views, view, 4, [n, heads, rows, features])
    cdef Py_ssize_t size = view.itemsize
    if (features > 1 and view.strides[3] != size) or view.strides[0] % size or view.strides[1] % size or (
            view.strides[2] % size):
        refuse(views, "features must lie side by side, and all else whole numbers apart")
    strides.n, strides.head, strides.row = view.strides[0] // size, view.strides[1] // size, view.strides[2] // size
    return view.buf


cdef fnn_attention_shape attention_shape(tuple q, tuple k, tuple v, double scale, bint causal, int n_threads) except *:
    cdef fnn_attention_shape s
    cdef Py_ssize_t sizes[12]
    sizes_of(q, 4, sizes)
    sizes_of(k, 4, sizes + 4)
    sizes_of(v, 4, sizes + 8)
    s.n, s.heads, s.queries, s.features = sizes[0], sizes[1], sizes[2], sizes[3]
    s.keys, s.values = sizes[10], sizes[11]
    s.scale, s.causal = scale, causal
    cdef bint fits = sizes[6] == s.keys and sizes[7] == s.features
    for i in range(12):
        fits = fits and sizes[i] >= 1 and (i % 4 > 1 or sizes[i] == sizes[i % 4])
    if not fits:
        raise ValueError("attention: shapes do not fit")
    if n_threads < 1:
        raise ValueError(f"attention: n_threads must be at least 1. Received: {n_threads}")
    return s


def attention_workspace(str dtype not None, bint backward, tuple q, tuple k, tuple v, int n_threads, /):
    """Bytes of workspace for arrays of these shapes."""
    cdef fnn_attention_shape s = attention_shape(q, k, v, 1, False, n_threads)
    return fitting(fnn_attention_workspace(FLOAT64 if dtype == "float64" else REAL, &s, backward, n_threads))


def attention_forward(q, k, v,    # IN
                      double scale, bint causal,
                      y,          # OUT
                      workspace,  # OUT
                      int n_threads, /):
    cdef fnn_attention_shape s = attention_shape(q.shape, k.shape, v.shape, scale, causal, n_threads)
    cdef fnn_attention_operands o
    cdef borrowed views
    memset(&o, 0, sizeof(o))
    begin(&views, "attention")
    try:
        o.q = heads_of(&views, q, IN, &s.q, s.n, s.heads, s.queries, s.features)
        o.k = heads_of(&views, k, IN, &s.k, s.n, s.heads, s.keys, s.features)
        o.v = heads_of(&views, v, IN, &s.v, s.n, s.heads, s.keys, s.values)
        o.y = heads_of(&views, y, OUT, &s.y, s.n, s.heads, s.queries, s.values)
        room = workspace_of(&views, workspace, fnn_attention_workspace(views.dtype, &s, False, n_threads))
        with nogil:
            fnn_attention_forward(views.dtype, &s, &o, room, n_threads)
    finally:
        give_back(&views)


def attention_backward(dy, q, k, v,  # IN
                       double scale, bint causal,
                       dq, dk, dv,   # OUT
                       workspace,    # OUT
                       int n_threads, /):
    cdef fnn_attention_shape s = attention_shape(q.shape, k.shape, v.shape, scale, causal, n_threads)
    cdef fnn_attention_operands o
    cdef borrowed views
    memset(&o, 0, sizeof(o))
    begin(&views, "attention_backward")
    try:
        o.q = heads_of(&views, q, IN, &s.q, s.n, s.heads, s.queries, s.features)
        o.k = heads_of(&views, k, IN, &s.k, s.n, s.heads, s.keys, s.features)
        o.v = heads_of(&views, v, IN, &s.v, s.n, s.heads, s.keys, s.values)
        o.dy = heads_of(&views, dy, IN, &s.dy, s.n, s.heads, s.queries, s.values)
        o.dq = heads_of(&views, dq, OUT, &s.dq, s.n, s.heads, s.queries, s.features)
        o.dk = heads_of(&views, dk, OUT, &s.dk, s.n, s.heads, s.keys, s.features)
        o.dv = heads_of(&views, dv, OUT, &s.dv, s.n, s.heads, s.keys, s.values)
        room = workspace_of(&views, workspace, fnn_attention_workspace(views.dtype, &s, True, n_threads))
        with nogil:
            fnn_attention_backward(views.dtype, &s, &o, room, n_threads)
    finally:
        give_back(&views)
