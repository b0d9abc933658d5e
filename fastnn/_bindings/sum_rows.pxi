# Binds src_c/ops/sum_rows.c.

cdef extern from "fnn.h" nogil:
    Py_ssize_t fnn_sum_rows_workspace_f32(Py_ssize_t rows, Py_ssize_t columns)
    Py_ssize_t fnn_sum_rows_workspace_f64(Py_ssize_t rows, Py_ssize_t columns)
    void fnn_sum_rows_f32(Py_ssize_t rows, Py_ssize_t columns, const float *x, float *y, void *workspace,
                          int n_threads)
    void fnn_sum_rows_f64(Py_ssize_t rows, Py_ssize_t columns, const double *x, double *y, void *workspace,
                          int n_threads)


def sum_rows_workspace(Py_ssize_t rows, Py_ssize_t columns):
    """Bytes of workspace, for either dtype."""
    return fitting(fnn_sum_rows_workspace_f64(rows, columns))


def sum_rows(const real[:, ::1] x,    # IN
             real[::1] y,             # OUT
             uint8_t[::1] workspace,  # OUT
             int n_threads):
    if min(x.shape[0], x.shape[1]) < 1 or y.shape[0] != x.shape[1]:
        raise ValueError("sum_rows: shapes do not fit")
    if real is float:
        check_workspace(workspace, fnn_sum_rows_workspace_f32(x.shape[0], x.shape[1]))
        with nogil:
            fnn_sum_rows_f32(x.shape[0], x.shape[1], &x[0, 0], &y[0], &workspace[0], n_threads)
    else:
        check_workspace(workspace, fnn_sum_rows_workspace_f64(x.shape[0], x.shape[1]))
        with nogil:
            fnn_sum_rows_f64(x.shape[0], x.shape[1], &x[0, 0], &y[0], &workspace[0], n_threads)
