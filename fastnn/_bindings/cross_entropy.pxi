# Binds src_c/ops/cross_entropy.c.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_cross_entropy(dtype, ...) FNN_OF_DTYPE(fnn_cross_entropy, dtype, __VA_ARGS__)
    """
    ctypedef struct fnn_cross_entropy_shape:
        Py_ssize_t rows, classes
        int64_t ignore_index
        double label_smoothing
        int mean
    fnn_status fnn_cross_entropy(char dtype, const fnn_cross_entropy_shape *shape, const void *x, const void *labels,
                                 const void *probabilities, const void *class_weight, void *losses, double *loss,
                                 void *dx, int n_threads)


def cross_entropy(x,                      # IN
                  labels, probabilities,  # IN, one of the two and None
                  class_weight,           # IN or None
                  int64_t ignore_index, double label_smoothing, bint mean,
                  losses,                 # OUT
                  dx,                     # OUT
                  int n_threads, /):
    """The sum or mean of the losses."""
    cdef borrowed views
    cdef fnn_cross_entropy_shape s
    cdef fnn_status status
    cdef double loss = 0
    begin(&views, "cross_entropy")
    try:
        matrix = view_of(&views, x, REAL, IN, 2)
        check_some(&views, matrix)
        s.rows, s.classes = matrix.shape[0], matrix.shape[1]
        s.ignore_index, s.label_smoothing, s.mean = ignore_index, label_smoothing, mean
        if (labels is None) == (probabilities is None):
            refuse(&views, "either labels or probabilities are needed")
        targets = vector_of(&views, labels, INT64, IN | OR_NONE, s.rows)
        shares = data_like(&views, probabilities, IN | OR_NONE, matrix)
        weights = vector_of(&views, class_weight, REAL, IN | OR_NONE, s.classes)
        of_rows = vector_of(&views, losses, FLOAT64, OUT, s.rows)
        result = data_like(&views, dx, OUT, matrix)
        with nogil:
            status = fnn_cross_entropy(views.dtype, &s, matrix.buf, targets, shares, weights, of_rows, &loss, result,
                                       n_threads)
        check(status, "cross_entropy")
    finally:
        give_back(&views)
    return loss
