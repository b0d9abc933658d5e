# Binds src_c/ops/layout.c.

cdef extern from "fnn.h" nogil:
    fnn_status fnn_layout_transpose_f32(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t width, const float *x,
                                        float *out, int n_threads)
    fnn_status fnn_layout_transpose_f64(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t width, const double *x,
                                        double *out, int n_threads)


def layout_transpose(const real[:, :, ::1] x,  # IN (rows, columns, width)
                     real[:, :, ::1] out,      # OUT (columns, rows, width)
                     int n_threads):
    cdef fnn_status status
    if out.shape[0] != x.shape[1] or out.shape[1] != x.shape[0] or out.shape[2] != x.shape[2]:
        raise ValueError("layout_transpose: shapes do not fit")
    with nogil:
        if real is float:
            status = fnn_layout_transpose_f32(x.shape[0], x.shape[1], x.shape[2], &x[0, 0, 0], &out[0, 0, 0],
                                              n_threads)
        else:
            status = fnn_layout_transpose_f64(x.shape[0], x.shape[1], x.shape[2], &x[0, 0, 0], &out[0, 0, 0],
                                              n_threads)
    check(status, "layout_transpose")
