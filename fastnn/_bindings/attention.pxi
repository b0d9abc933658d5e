# Binds src_c/ops/attention.c. Arrays are (n, heads, rows, features), each feature beside the next, otherwise with any
# strides.

cdef extern from "fnn.h" nogil:
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
    Py_ssize_t fnn_attention_workspace_f32(const fnn_attention_shape *shape, int backward, int n_threads)
    Py_ssize_t fnn_attention_workspace_f64(const fnn_attention_shape *shape, int backward, int n_threads)
    void fnn_attention_forward_f32(const fnn_attention_shape *shape, const fnn_attention_operands *operands,
                                   void *workspace, int n_threads)
    void fnn_attention_forward_f64(const fnn_attention_shape *shape, const fnn_attention_operands *operands,
                                   void *workspace, int n_threads)
    void fnn_attention_backward_f32(const fnn_attention_shape *shape, const fnn_attention_operands *operands,
                                    void *workspace, int n_threads)
    void fnn_attention_backward_f64(const fnn_attention_shape *shape, const fnn_attention_operands *operands,
                                    void *workspace, int n_threads)


cdef void *heads_of(borrowed *views, object array, bint is_double, int flags, fnn_attention_strides *strides,
                    Py_ssize_t n, Py_ssize_t heads, Py_ssize_t rows, Py_ssize_t features) except NULL:
    """The data and strides of an array that must have this shape; no side of it is 0."""
    cdef Py_buffer *view = borrow(views, array, is_double, PyBUF_STRIDES | flags)
    cdef Py_ssize_t size = view.itemsize
    if (view.ndim != 4 or view.shape[0] != n or view.shape[1] != heads or view.shape[2] != rows
            or view.shape[3] != features):
        raise ValueError("attention: shapes do not fit")
    if (features > 1 and view.strides[3] != size) or view.strides[0] % size or view.strides[1] % size or (
            view.strides[2] % size):
        raise ValueError("attention: features must lie side by side, and all else whole numbers apart")
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


cdef Py_ssize_t attention_bytes(const fnn_attention_shape *s, bint is_double, bint backward, int n_threads) except -1:
    if is_double:
        return fitting(fnn_attention_workspace_f64(s, backward, n_threads))
    return fitting(fnn_attention_workspace_f32(s, backward, n_threads))


def attention_workspace(str dtype not None, bint backward, tuple q, tuple k, tuple v, int n_threads):
    """Bytes of workspace for arrays of these shapes."""
    cdef fnn_attention_shape s = attention_shape(q, k, v, 1, False, n_threads)
    return attention_bytes(&s, dtype == "float64", backward, n_threads)


cdef int run_attention(const fnn_attention_shape *s, const fnn_attention_operands *o, bint is_double, bint backward,
                       uint8_t[::1] workspace, int n_threads) except -1:
    check_workspace(workspace, attention_bytes(s, is_double, backward, n_threads))
    with nogil:
        if is_double and backward:
            fnn_attention_backward_f64(s, o, &workspace[0], n_threads)
        elif is_double:
            fnn_attention_forward_f64(s, o, &workspace[0], n_threads)
        elif backward:
            fnn_attention_backward_f32(s, o, &workspace[0], n_threads)
        else:
            fnn_attention_forward_f32(s, o, &workspace[0], n_threads)
    return 0


def attention_forward(q, k, v,                 # IN
                      double scale, bint causal,
                      y,                       # OUT
                      uint8_t[::1] workspace,  # OUT
                      int n_threads):
    cdef bint is_double = q.dtype == "float64"
    cdef fnn_attention_shape s = attention_shape(q.shape, k.shape, v.shape, scale, causal, n_threads)
    cdef fnn_attention_operands o
    cdef borrowed views
    views.count = 0
    memset(&o, 0, sizeof(o))
    try:
        o.q = heads_of(&views, q, is_double, 0, &s.q, s.n, s.heads, s.queries, s.features)
        o.k = heads_of(&views, k, is_double, 0, &s.k, s.n, s.heads, s.keys, s.features)
        o.v = heads_of(&views, v, is_double, 0, &s.v, s.n, s.heads, s.keys, s.values)
        o.y = heads_of(&views, y, is_double, PyBUF_WRITABLE, &s.y, s.n, s.heads, s.queries, s.values)
        run_attention(&s, &o, is_double, False, workspace, n_threads)
    finally:
        give_back(&views)


def attention_backward(dy, q, k, v,             # IN
                       double scale, bint causal,
                       dq, dk, dv,              # OUT
                       uint8_t[::1] workspace,  # OUT
                       int n_threads):
    cdef bint is_double = q.dtype == "float64"
    cdef fnn_attention_shape s = attention_shape(q.shape, k.shape, v.shape, scale, causal, n_threads)
    cdef fnn_attention_operands o
    cdef borrowed views
    views.count = 0
    memset(&o, 0, sizeof(o))
    try:
        o.q = heads_of(&views, q, is_double, 0, &s.q, s.n, s.heads, s.queries, s.features)
        o.k = heads_of(&views, k, is_double, 0, &s.k, s.n, s.heads, s.keys, s.features)
        o.v = heads_of(&views, v, is_double, 0, &s.v, s.n, s.heads, s.keys, s.values)
        o.dy = heads_of(&views, dy, is_double, 0, &s.dy, s.n, s.heads, s.queries, s.values)
        o.dq = heads_of(&views, dq, is_double, PyBUF_WRITABLE, &s.dq, s.n, s.heads, s.queries, s.features)
        o.dk = heads_of(&views, dk, is_double, PyBUF_WRITABLE, &s.dk, s.n, s.heads, s.keys, s.features)
        o.dv = heads_of(&views, dv, is_double, PyBUF_WRITABLE, &s.dv, s.n, s.heads, s.keys, s.values)
        run_attention(&s, &o, is_double, True, workspace, n_threads)
    finally:
        give_back(&views)
