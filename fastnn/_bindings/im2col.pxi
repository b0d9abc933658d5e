# Binds src_c/ops/im2col.c: x (n, c, h, w) and columns (n, c, kernel_h, kernel_w, h_out, w_out), given as vectors,
# with the sizes beside them.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_im2col(dtype, ...) FNN_OF_DTYPE(fnn_im2col, dtype, __VA_ARGS__)
    #define fnn_col2im(dtype, ...) FNN_OF_DTYPE(fnn_col2im, dtype, __VA_ARGS__)
    """
    fnn_status fnn_im2col(char dtype, const fnn_conv2d_shape *shape, const void *x, void *columns, int n_threads)
    fnn_status fnn_col2im(char dtype, const fnn_conv2d_shape *shape, const void *columns, void *x, int n_threads)


cdef int set_patches(borrowed *views, fnn_conv2d_shape *s, Py_ssize_t x_size, Py_ssize_t columns_size, tuple image,
                     tuple out, tuple kernel, tuple stride, tuple dilation, tuple pad) except -1:
    """Fill in the struct for images (n, c, h, w) with `out` positions; refuses arrays of other sizes."""
    cdef Py_ssize_t sizes[14]
    sizes_of(image, 4, sizes)
    sizes_of(kernel, 2, sizes + 4)
    sizes_of(out, 2, sizes + 6)
    sizes_of(stride, 2, sizes + 8)
    sizes_of(dilation, 2, sizes + 10)
    sizes_of(pad, 2, sizes + 12)
    memset(s, 0, sizeof(s[0]))
    s.n, s.c_in, s.h, s.w = sizes[0], sizes[1], sizes[2], sizes[3]
    s.kernel_h, s.kernel_w, s.h_out, s.w_out = sizes[4], sizes[5], sizes[6], sizes[7]
    s.stride_h, s.stride_w, s.dilation_h, s.dilation_w = sizes[8], sizes[9], sizes[10], sizes[11]
    s.pad_top, s.pad_left = sizes[12], sizes[13]
    s.c_out = s.groups = 1
    cdef bint fits = min(s.pad_top, s.pad_left) >= 0
    for i in range(12):
        fits = fits and sizes[i] >= 1
    if (not fits or product_of(sizes, 4) != x_size
            or product_of([s.n, s.c_in, s.kernel_h, s.kernel_w, s.h_out, s.w_out], 6) != columns_size):
        refuse(views, "shapes do not fit")
    return check_settings(s)


def im2col(x,        # IN
           columns,  # OUT
           tuple image, tuple out, tuple kernel, tuple stride, tuple pad, tuple dilation, int n_threads, /):
    cdef borrowed views
    cdef fnn_conv2d_shape s
    cdef fnn_status status
    begin(&views, "im2col")
    try:
        source, result = view_of(&views, x, REAL, IN, 1), view_of(&views, columns, REAL, OUT, 1)
        set_patches(&views, &s, source.shape[0], result.shape[0], image, out, kernel, stride, dilation, pad)
        with nogil:
            status = fnn_im2col(views.dtype, &s, source.buf, result.buf, n_threads)
        check(status, "im2col")
    finally:
        give_back(&views)


def col2im(columns,  # IN
           x,        # OUT
           tuple image, tuple out, tuple kernel, tuple stride, tuple pad, tuple dilation, int n_threads, /):
    cdef borrowed views
    cdef fnn_conv2d_shape s
    cdef fnn_status status
    begin(&views, "col2im")
    try:
        source, result = view_of(&views, columns, REAL, IN, 1), view_of(&views, x, REAL, OUT, 1)
        set_patches(&views, &s, result.shape[0], source.shape[0], image, out, kernel, stride, dilation, pad)
        with nogil:
            status = fnn_col2im(views.dtype, &s, source.buf, result.buf, n_threads)
        check(status, "col2im")
    finally:
        give_back(&views)
