# Binds src_c/ops/im2col.c: x (n, c, h, w) and columns (n, c, kernel_h, kernel_w, h_out, w_out), given as flat arrays,
# with the sizes beside them.

cdef extern from "fnn.h" nogil:
    fnn_status fnn_im2col_f32(const fnn_conv2d_shape *shape, const float *x, float *columns, int n_threads)
    fnn_status fnn_im2col_f64(const fnn_conv2d_shape *shape, const double *x, double *columns, int n_threads)
    fnn_status fnn_col2im_f32(const fnn_conv2d_shape *shape, const float *columns, float *x, int n_threads)
    fnn_status fnn_col2im_f64(const fnn_conv2d_shape *shape, const double *columns, double *x, int n_threads)


cdef fnn_conv2d_shape patches_shape(Py_ssize_t x_size, Py_ssize_t columns_size, tuple image, tuple out, tuple kernel,
                                    tuple stride, tuple pad, tuple dilation) except *:
    """The struct for images (n, c, h, w) with `out` positions; refuses arrays of other sizes."""
    cdef fnn_conv2d_shape s
    memset(&s, 0, sizeof(s))
    s.n, s.c_in, s.h, s.w = image
    s.h_out, s.w_out = out
    s.kernel_h, s.kernel_w = kernel
    s.stride_h, s.stride_w = stride
    s.pad_top, s.pad_left = pad
    s.dilation_h, s.dilation_w = dilation
    s.c_out = s.groups = 1
    if (min(*image, *out, *kernel, *stride, *dilation) < 1 or min(pad) < 0
            or x_size != s.n * s.c_in * s.h * s.w
            or columns_size != s.n * s.c_in * s.kernel_h * s.kernel_w * s.h_out * s.w_out):
        raise ValueError("im2col: shapes do not fit")
    check_settings(&s)
    return s


def im2col(const real[::1] x,      # IN
           real[::1] columns,          # OUT
           tuple image, tuple out, tuple kernel, tuple stride, tuple pad, tuple dilation, int n_threads):
    cdef fnn_conv2d_shape s = patches_shape(x.shape[0], columns.shape[0], image, out, kernel, stride, pad, dilation)
    cdef fnn_status status
    with nogil:
        if real is float:
            status = fnn_im2col_f32(&s, &x[0], &columns[0], n_threads)
        else:
            status = fnn_im2col_f64(&s, &x[0], &columns[0], n_threads)
    check(status, "im2col")


def col2im(const real[::1] columns,  # IN
           real[::1] x,              # OUT
           tuple image, tuple out, tuple kernel, tuple stride, tuple pad, tuple dilation, int n_threads):
    cdef fnn_conv2d_shape s = patches_shape(x.shape[0], columns.shape[0], image, out, kernel, stride, pad, dilation)
    cdef fnn_status status
    with nogil:
        if real is float:
            status = fnn_col2im_f32(&s, &columns[0], &x[0], n_threads)
        else:
            status = fnn_col2im_f64(&s, &columns[0], &x[0], n_threads)
    check(status, "col2im")
