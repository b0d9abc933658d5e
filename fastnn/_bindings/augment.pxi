# Binds src_c/ops/augment.c.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_augment_batch(dtype, ...) FNN_OF_DTYPE(fnn_augment_batch, dtype, __VA_ARGS__)
    #define fnn_warp_batch(dtype, ...) FNN_OF_DTYPE(fnn_warp_batch, dtype, __VA_ARGS__)
    """
    ctypedef struct fnn_augment_shape:
        Py_ssize_t n_images, n, c, h, w
        int reflect
    fnn_status fnn_augment_batch(char dtype, const fnn_augment_shape *shape, const void *images, const void *indices,
                                 const void *shifts, const void *flips, const void *boxes, const void *table,
                                 const void *fill, void *out, int n_threads)
    fnn_status fnn_warp_batch(char dtype, Py_ssize_t n, Py_ssize_t c, Py_ssize_t h, Py_ssize_t w, const void *x,
                              const void *maps, double fill, void *out, int n_threads)


def augment_batch(images,   # IN (images, C, H, W), uint8
                  indices,  # IN (N), int64
                  shifts,   # IN (N, 2), int64
                  flips,    # IN (N), uint8
                  boxes,    # IN (N, 4), int64
                  table,    # IN (C, 256)
                  fill,     # IN (C)
                  out,      # OUT (H, W, N, C)
                  bint reflect,
                  int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef fnn_augment_shape s
    begin(&views, "augment_batch")
    try:
        source, chosen = view_of(&views, images, UINT8, IN, 4), view_of(&views, indices, INT64, IN, 1)
        s.n_images, s.n, s.c = source.shape[0], chosen.shape[0], source.shape[1]
        s.h, s.w, s.reflect = source.shape[2], source.shape[3], reflect
        shift, flip = data_of(&views, shifts, INT64, IN, 2, [s.n, 2]), vector_of(&views, flips, UINT8, IN, s.n)
        box, values = data_of(&views, boxes, INT64, IN, 2, [s.n, 4]), data_of(&views, table, REAL, IN, 2, [s.c, 256])
        outside = vector_of(&views, fill, REAL, IN, s.c)
        result = data_of(&views, out, REAL, OUT, 4, [s.h, s.w, s.n, s.c])
        with nogil:
            status = fnn_augment_batch(views.dtype, &s, source.buf, chosen.buf, shift, flip, box, values, outside,
                                       result, n_threads)
        check(status, "augment_batch")
    finally:
        give_back(&views)


def warp_batch(x,     # IN (H, W, N, C)
               maps,  # IN (N, 6)
               double fill,
               out,   # OUT (H, W, N, C)
               int n_threads, /):
    cdef borrowed views
    cdef fnn_status status
    cdef Py_ssize_t h, w, n, c
    begin(&views, "warp_batch")
    try:
        pixels = view_of(&views, x, REAL, IN, 4)
        h, w, n, c = pixels.shape[0], pixels.shape[1], pixels.shape[2], pixels.shape[3]
        of_images, result = data_of(&views, maps, REAL, IN, 2, [n, 6]), data_like(&views, out, OUT, pixels)
        with nogil:
            status = fnn_warp_batch(views.dtype, n, c, h, w, pixels.buf, of_images, fill, result, n_threads)
        check(status, "warp_batch")
    finally:
        give_back(&views)
