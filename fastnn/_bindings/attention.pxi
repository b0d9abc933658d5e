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
    # Pointers to float or double.
    ctypedef struct fnn_attention_operands_f32:
        const void *q
        const void *k
        const void *v
        const void *dy
        void *y
        void *dq
        void *dk
        void *dv
    ctypedef struct fnn_attention_operands_f64:
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
    void fnn_attention_forward_f32(const fnn_attention_shape *shape, const fnn_attention_operands_f32 *operands,
                                   void *workspace, int n_threads)
    void fnn_attention_forward_f64(const fnn_attention_shape *shape, const fnn_attention_operands_f64 *operands,
                                   void *workspace, int n_threads)
    void fnn_attention_backward_f32(const fnn_attention_shape *shape, const fnn_attention_operands_f32 *operands,
                                    void *workspace, int n_threads)
    void fnn_attention_backward_f64(const fnn_attention_shape *shape, const fnn_attention_operands_f64 *operands,
                                    void *workspace, int n_threads)


cdef const void *heads_of(const real[:, :, :, :] array, fnn_attention_strides *strides, Py_ssize_t n, Py_ssize_t heads,
                          Py_ssize_t rows, Py_ssize_t features) except NULL:
    """The data and strides of an array that must have this shape; no side of it is 0."""
    cdef Py_ssize_t size = sizeof(real)
    if array is None or (array.shape[0], array.shape[1], array.shape[2], array.shape[3]) != (n, heads, rows, features):
        raise ValueError("attention: shapes do not fit")
    if ((features > 1 and array.strides[3] != size) or array.strides[0] % size or array.strides[1] % size
            or array.strides[2] % size):
        raise ValueError("attention: features must lie side by side, and all else whole numbers apart")
    strides.n, strides.head, strides.row = (
        array.strides[0] // size, array.strides[1] // size, array.strides[2] // size)
    return &array[0, 0, 0, 0]


cdef fnn_attention_shape attention_shape(tuple q, tuple k, tuple v, double scale, bint causal, int n_threads) except *:
    cdef fnn_attention_shape s
    s.n, s.heads, s.queries, s.features = q
    s.keys, s.values = v[2:]
    s.scale, s.causal = scale, causal
    if min(*q, *v) < 1 or k != (s.n, s.heads, s.keys, s.features) or v[:2] != q[:2]:
        raise ValueError("attention: shapes do not fit")
    if n_threads < 1:
        raise ValueError(f"attention: n_threads must be at least 1. Received: {n_threads}")
    return s


def attention_workspace(str dtype not None, bint backward, tuple q, tuple k, tuple v, int n_threads):
    """Bytes of workspace for arrays of these shapes."""
    cdef fnn_attention_shape s = attention_shape(q, k, v, 1, False, n_threads)
    if dtype == "float64":
        return fitting(fnn_attention_workspace_f64(&s, backward, n_threads))
    return fitting(fnn_attention_workspace_f32(&s, backward, n_threads))


def attention_forward(const real[:, :, :, :] q,  # IN
                      const real[:, :, :, :] k,  # IN
                      const real[:, :, :, :] v,  # IN
                      double scale, bint causal,
                      real[:, :, :, :] y,        # OUT
                      uint8_t[::1] workspace,    # OUT
                      int n_threads):
    cdef fnn_attention_shape s = attention_shape(
        (q.shape[0], q.shape[1], q.shape[2], q.shape[3]), (k.shape[0], k.shape[1], k.shape[2], k.shape[3]),
        (v.shape[0], v.shape[1], v.shape[2], v.shape[3]), scale, causal, n_threads)
    cdef const void *q_data = heads_of(q, &s.q, s.n, s.heads, s.queries, s.features)
    cdef const void *k_data = heads_of(k, &s.k, s.n, s.heads, s.keys, s.features)
    cdef const void *v_data = heads_of(v, &s.v, s.n, s.heads, s.keys, s.values)
    cdef void *y_data = <void *>heads_of[real](y, &s.y, s.n, s.heads, s.queries, s.values)
    cdef fnn_attention_operands_f32 f32
    cdef fnn_attention_operands_f64 f64
    if real is float:
        check_workspace(workspace, fnn_attention_workspace_f32(&s, 0, n_threads))
        f32 = fnn_attention_operands_f32(q_data, k_data, v_data, NULL, y_data, NULL, NULL, NULL)
        with nogil:
            fnn_attention_forward_f32(&s, &f32, &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_attention_workspace_f64(&s, 0, n_threads))
        f64 = fnn_attention_operands_f64(q_data, k_data, v_data, NULL, y_data, NULL, NULL, NULL)
        with nogil:
            fnn_attention_forward_f64(&s, &f64, &workspace[0], n_threads)


def attention_backward(const real[:, :, :, :] dy,  # IN
                       const real[:, :, :, :] q,   # IN
                       const real[:, :, :, :] k,   # IN
                       const real[:, :, :, :] v,   # IN
                       double scale, bint causal,
                       real[:, :, :, :] dq,        # OUT
                       real[:, :, :, :] dk,        # OUT
                       real[:, :, :, :] dv,        # OUT
                       uint8_t[::1] workspace,     # OUT
                       int n_threads):
    cdef fnn_attention_shape s = attention_shape(
        (q.shape[0], q.shape[1], q.shape[2], q.shape[3]), (k.shape[0], k.shape[1], k.shape[2], k.shape[3]),
        (v.shape[0], v.shape[1], v.shape[2], v.shape[3]), scale, causal, n_threads)
    cdef const void *q_data = heads_of(q, &s.q, s.n, s.heads, s.queries, s.features)
    cdef const void *k_data = heads_of(k, &s.k, s.n, s.heads, s.keys, s.features)
    cdef const void *v_data = heads_of(v, &s.v, s.n, s.heads, s.keys, s.values)
    cdef const void *dy_data = heads_of(dy, &s.dy, s.n, s.heads, s.queries, s.values)
    cdef void *dq_data = <void *>heads_of[real](dq, &s.dq, s.n, s.heads, s.queries, s.features)
    cdef void *dk_data = <void *>heads_of[real](dk, &s.dk, s.n, s.heads, s.keys, s.features)
    cdef void *dv_data = <void *>heads_of[real](dv, &s.dv, s.n, s.heads, s.keys, s.values)
    cdef fnn_attention_operands_f32 f32
    cdef fnn_attention_operands_f64 f64
    if real is float:
        check_workspace(workspace, fnn_attention_workspace_f32(&s, 1, n_threads))
        f32 = fnn_attention_operands_f32(q_data, k_data, v_data, dy_data, NULL, dq_data, dk_data, dv_data)
        with nogil:
            fnn_attention_backward_f32(&s, &f32, &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_attention_workspace_f64(&s, 1, n_threads))
        f64 = fnn_attention_operands_f64(q_data, k_data, v_data, dy_data, NULL, dq_data, dk_data, dv_data)
        with nogil:
            fnn_attention_backward_f64(&s, &f64, &workspace[0], n_threads)
