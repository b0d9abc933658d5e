# Binds src_c/ops/optimizer.c. All arrays are flat views of the same length; settings are dicts with the fields of the
# structs.

cdef extern from "fnn.h" nogil:
    ctypedef struct fnn_sgd:
        double lr, momentum, dampening, weight_decay
        int nesterov, maximize
    ctypedef struct fnn_adam:
        double lr, beta1, beta2, eps, weight_decay, decoupled_decay, bias_correction1, bias_correction2
        int maximize
    ctypedef struct fnn_rmsprop:
        double lr, alpha, eps, weight_decay, momentum
        int maximize
    ctypedef struct fnn_adagrad:
        double lr, eps, weight_decay
        int maximize
    fnn_status fnn_sgd_step_f32(const fnn_sgd *sgd, Py_ssize_t n, float *w, const float *g, float *velocity,
                                int n_threads)
    fnn_status fnn_sgd_step_f64(const fnn_sgd *sgd, Py_ssize_t n, double *w, const double *g, double *velocity,
                                int n_threads)
    fnn_status fnn_adam_step_f32(const fnn_adam *adam, Py_ssize_t n, float *w, const float *g, float *first,
                                 float *second, float *largest, int n_threads)
    fnn_status fnn_adam_step_f64(const fnn_adam *adam, Py_ssize_t n, double *w, const double *g, double *first,
                                 double *second, double *largest, int n_threads)
    fnn_status fnn_rmsprop_step_f32(const fnn_rmsprop *rmsprop, Py_ssize_t n, float *w, const float *g,
                                    float *square, float *velocity, float *mean, int n_threads)
    fnn_status fnn_rmsprop_step_f64(const fnn_rmsprop *rmsprop, Py_ssize_t n, double *w, const double *g,
                                    double *square, double *velocity, double *mean, int n_threads)
    fnn_status fnn_adagrad_step_f32(const fnn_adagrad *adagrad, Py_ssize_t n, float *w, const float *g, float *sum,
                                    int n_threads)
    fnn_status fnn_adagrad_step_f64(const fnn_adagrad *adagrad, Py_ssize_t n, double *w, const double *g,
                                    double *sum, int n_threads)
    fnn_status fnn_average_step_f32(double weight, Py_ssize_t n, float *average, const float *value, int n_threads)
    fnn_status fnn_average_step_f64(double weight, Py_ssize_t n, double *average, const double *value, int n_threads)
    Py_ssize_t fnn_sum_of_squares_partials_f32(Py_ssize_t n)
    fnn_status fnn_sum_of_squares_f32(Py_ssize_t n, const float *x, double *sum, double *partial, int n_threads)
    fnn_status fnn_sum_of_squares_f64(Py_ssize_t n, const double *x, double *sum, double *partial, int n_threads)


cdef real *state_of(Py_ssize_t n, real[::1] array) except? NULL:
    """The address of an optional state, NULL for None."""
    if array is None:
        return NULL
    if array.shape[0] != n:
        raise ValueError(f"lengths differ: {n}, {array.shape[0]}")
    return &array[0]


def sgd_step(fnn_sgd settings,
             real[::1] w,         # INOUT
             const real[::1] g,   # IN
             real[::1] velocity,  # INOUT or None
             int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t n = w.shape[0]
    cdef real *u = state_of(n, velocity)
    check_lengths(n, g.shape[0], n)
    with nogil:
        if real is float:
            status = fnn_sgd_step_f32(&settings, n, &w[0], &g[0], u, n_threads)
        else:
            status = fnn_sgd_step_f64(&settings, n, &w[0], &g[0], u, n_threads)
    check(status, "sgd_step")


def adam_step(fnn_adam settings,
              real[::1] w,        # INOUT
              const real[::1] g,  # IN
              real[::1] first,    # INOUT
              real[::1] second,   # INOUT
              real[::1] largest,  # INOUT or None
              int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t n = w.shape[0]
    cdef real *v_largest = state_of(n, largest)
    check_lengths(n, g.shape[0], first.shape[0])
    check_lengths(n, second.shape[0], n)
    with nogil:
        if real is float:
            status = fnn_adam_step_f32(&settings, n, &w[0], &g[0], &first[0], &second[0], v_largest, n_threads)
        else:
            status = fnn_adam_step_f64(&settings, n, &w[0], &g[0], &first[0], &second[0], v_largest, n_threads)
    check(status, "adam_step")


def rmsprop_step(fnn_rmsprop settings,
                 real[::1] w,         # INOUT
                 const real[::1] g,   # IN
                 real[::1] square,    # INOUT
                 real[::1] velocity,  # INOUT or None
                 real[::1] mean,      # INOUT or None
                 int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t n = w.shape[0]
    cdef real *u = state_of(n, velocity)
    cdef real *a = state_of(n, mean)
    check_lengths(n, g.shape[0], square.shape[0])
    with nogil:
        if real is float:
            status = fnn_rmsprop_step_f32(&settings, n, &w[0], &g[0], &square[0], u, a, n_threads)
        else:
            status = fnn_rmsprop_step_f64(&settings, n, &w[0], &g[0], &square[0], u, a, n_threads)
    check(status, "rmsprop_step")


def adagrad_step(fnn_adagrad settings,
                 real[::1] w,        # INOUT
                 const real[::1] g,  # IN
                 real[::1] total,    # INOUT
                 int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t n = w.shape[0]
    check_lengths(n, g.shape[0], total.shape[0])
    with nogil:
        if real is float:
            status = fnn_adagrad_step_f32(&settings, n, &w[0], &g[0], &total[0], n_threads)
        else:
            status = fnn_adagrad_step_f64(&settings, n, &w[0], &g[0], &total[0], n_threads)
    check(status, "adagrad_step")


def average_step(double weight,
                 real[::1] average,      # INOUT
                 const real[::1] value,  # IN
                 int n_threads):
    cdef fnn_status status
    cdef Py_ssize_t n = average.shape[0]
    check_lengths(n, value.shape[0], n)
    with nogil:
        if real is float:
            status = fnn_average_step_f32(weight, n, &average[0], &value[0], n_threads)
        else:
            status = fnn_average_step_f64(weight, n, &average[0], &value[0], n_threads)
    check(status, "average_step")


def sum_of_squares(const real[::1] x,  # IN
                   int n_threads):
    cdef fnn_status status
    cdef double total
    cdef Py_ssize_t n = x.shape[0]
    cdef double *partial = <double *>PyMem_Malloc(fnn_sum_of_squares_partials_f32(n) * sizeof(double))
    if partial == NULL:
        raise MemoryError()
    with nogil:
        if real is float:
            status = fnn_sum_of_squares_f32(n, &x[0], &total, partial, n_threads)
        else:
            status = fnn_sum_of_squares_f64(n, &x[0], &total, partial, n_threads)
    PyMem_Free(partial)
    check(status, "sum_of_squares")
    return total
