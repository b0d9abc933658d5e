# Binds src_c/ops/cross_entropy.c.

cdef extern from "fnn.h" nogil:
    ctypedef struct fnn_cross_entropy_shape:
        Py_ssize_t rows, classes
        int64_t ignore_index
        double label_smoothing
        int mean
    fnn_status fnn_cross_entropy_f32(const fnn_cross_entropy_shape *shape, const float *x, const int64_t *labels,
                                     const float *probabilities, const float *class_weight, double *losses,
                                     double *loss, float *dx, int n_threads)
    fnn_status fnn_cross_entropy_f64(const fnn_cross_entropy_shape *shape, const double *x, const int64_t *labels,
                                     const double *probabilities, const double *class_weight, double *losses,
                                     double *loss, double *dx, int n_threads)


def cross_entropy(const real[:, ::1] x,              # IN
                  const int64_t[::1] labels,         # IN or None
                  const real[:, ::1] probabilities,  # IN or None; one of the two is given
                  const real[::1] class_weight,      # IN or None
                  int64_t ignore_index, double label_smoothing, bint mean,
                  double[::1] losses,                # OUT
                  real[:, ::1] dx,                   # OUT
                  int n_threads):
    """The sum or mean of the losses."""
    cdef fnn_cross_entropy_shape s
    cdef fnn_status status
    cdef double loss = 0
    cdef const int64_t *label_data = NULL
    cdef const real *probability_data = NULL
    cdef const real *weight_data = NULL
    s.rows, s.classes = x.shape[0], x.shape[1]
    s.ignore_index, s.label_smoothing, s.mean = ignore_index, label_smoothing, mean
    if (s.rows < 1 or s.classes < 1 or losses.shape[0] != s.rows or dx.shape[0] != s.rows
            or dx.shape[1] != s.classes or (labels is None) == (probabilities is None)):
        raise ValueError("cross_entropy: shapes do not fit")
    if labels is not None:
        if labels.shape[0] != s.rows:
            raise ValueError("cross_entropy: labels do not fit")
        label_data = &labels[0]
    if probabilities is not None:
        if probabilities.shape[0] != s.rows or probabilities.shape[1] != s.classes:
            raise ValueError("cross_entropy: probabilities do not fit")
        probability_data = &probabilities[0, 0]
    if class_weight is not None:
        if class_weight.shape[0] != s.classes:
            raise ValueError("cross_entropy: class_weight does not fit")
        weight_data = &class_weight[0]
    with nogil:
        if real is float:
            status = fnn_cross_entropy_f32(&s, &x[0, 0], label_data, probability_data, weight_data, &losses[0],
                                           &loss, &dx[0, 0], n_threads)
        else:
            status = fnn_cross_entropy_f64(&s, &x[0, 0], label_data, probability_data, weight_data, &losses[0],
                                           &loss, &dx[0, 0], n_threads)
    check(status, "cross_entropy")
    return loss
