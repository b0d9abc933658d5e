# Binds src_c/ops/im2col.c: x (n, c, h, w) and columns (n, c, kernel_h, kernel_w, h_out, w_out), given as vectors,
# with the sizes beside them.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_im2col(dtype, ...) FNN_OF_DTYPE(fnn_im2col, dtype, __VA_ARGS__)
    #define fnn_col2im(dtype, ...) FNN_OF_DTYPE(fnn_col2im, dtype, __VA_ARGS__)
    """
    fnn_status fnn_im2col(char dtype, const fnn_conv2d_shape *shape, const void *x, void *columns, int n_threads)
    fnn_status fnn_col2im(char dtype, const fnn_conv2d_shape *shape, const void *columns, void *x, int n_threads)


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


def im2col(x,        # IN
           columns,  # OUT
           tuple image, tuple out, tuple kernel, tuple stride, tuple pad, tuple dilation, int n_threads):
    cdef borrowed views
    cdef fnn_conv2d_shape s
    cdef fnn_status status
    begin(&views, "im2col")
    try:
        source, result = view_of(&views, x, REAL, IN, 1), view_of(&views, columns, REAL, OUT, 1)
        s = patches_shape(source.shape[0], result.shape[0], image, out, kernel, stride, pad, dilation)
        with nogil:
            status = fnn_im2col(views.dtype, &s, source.buf, result.buf, n_threads)
        check(status, "im2col")
    finally:
        give_back(&views)


def col2im(columns,  # IN
           x,        # OUT
           tuple image, tuple out, tuple kernel, tuple stride, tuple pad, tuple dilation, int n_threads):
    cdef borrowed views
    cdef fnn_conv2d_shape s
    cdef fnn_status status
    begin(&views, "col2im")
    try:
        source, result = view_of(&views, columns, REAL, IN, 1), view_of(&views, x, REAL, OUT, 1)
        s = patches_shape(result.shape[0], source.shape[0], image, out, kernel, stride, pad, dilation)
        with nogil:
            status = fnn_col2im(views.dtype, &s, source.buf, result.buf, n_threads)
        check(status, "col2im")
    finally:
        give_back(&views)
