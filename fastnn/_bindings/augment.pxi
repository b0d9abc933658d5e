# Binds src_c/ops/augment.c.

cdef extern from "fnn.h" nogil:
    ctypedef struct fnn_augment_shape:
        Py_ssize_t n_images, n, c, h, w
        int reflect
    fnn_status fnn_augment_batch_f32(const fnn_augment_shape *shape, const uint8_t *images,
                                     const int64_t *indices, const int64_t *shifts, const uint8_t *flips,
                                     const int64_t *boxes, const float *table, const float *fill, float *out,
                                     int n_threads)
    fnn_status fnn_augment_batch_f64(const fnn_augment_shape *shape, const uint8_t *images,
                                     const int64_t *indices, const int64_t *shifts, const uint8_t *flips,
                                     const int64_t *boxes, const double *table, const double *fill, double *out,
                                     int n_threads)
    fnn_status fnn_warp_batch_f32(Py_ssize_t n, Py_ssize_t c, Py_ssize_t h, Py_ssize_t w, const float *x,
                                  const float *maps, float fill, float *out, int n_threads)
    fnn_status fnn_warp_batch_f64(Py_ssize_t n, Py_ssize_t c, Py_ssize_t h, Py_ssize_t w, const double *x,
                                  const double *maps, double fill, double *out, int n_threads)


def augment_batch(const uint8_t[:, :, :, ::1] images,  # IN (images, C, H, W)
                  const int64_t[::1] indices,          # IN (N)
                  const int64_t[:, ::1] shifts,        # IN (N, 2)
                  const uint8_t[::1] flips,            # IN (N)
                  const int64_t[:, ::1] boxes,         # IN (N, 4)
                  const real[:, ::1] table,            # IN (C, 256)
                  const real[::1] fill,                # IN (C)
                  real[:, :, :, ::1] out,              # OUT (H, W, N, C)
                  bint reflect,
                  int n_threads):
    cdef fnn_status status
    cdef fnn_augment_shape shape
    shape.n_images, shape.n, shape.c = images.shape[0], indices.shape[0], images.shape[1]
    shape.h, shape.w, shape.reflect = images.shape[2], images.shape[3], reflect
    if (out.shape[0] != shape.h or out.shape[1] != shape.w or out.shape[2] != shape.n or out.shape[3] != shape.c
            or shifts.shape[0] != shape.n or shifts.shape[1] != 2 or flips.shape[0] != shape.n
            or boxes.shape[0] != shape.n or boxes.shape[1] != 4 or fill.shape[0] != shape.c
            or table.shape[0] != shape.c or table.shape[1] != 256):
        raise ValueError("augment_batch: shapes do not fit")
    with nogil:
        if real is float:
            status = fnn_augment_batch_f32(&shape, &images[0, 0, 0, 0], &indices[0], &shifts[0, 0], &flips[0],
                                           &boxes[0, 0], &table[0, 0], &fill[0], &out[0, 0, 0, 0], n_threads)
        else:
            status = fnn_augment_batch_f64(&shape, &images[0, 0, 0, 0], &indices[0], &shifts[0, 0], &flips[0],
                                           &boxes[0, 0], &table[0, 0], &fill[0], &out[0, 0, 0, 0], n_threads)
    check(status, "augment_batch")


def warp_batch(const real[:, :, :, ::1] x,  # IN (H, W, N, C)
               const real[:, ::1] maps,     # IN (N, 6)
               real fill,
               real[:, :, :, ::1] out,      # OUT (H, W, N, C)
               int n_threads):
    cdef fnn_status status
    if (maps.shape[0] != x.shape[2] or maps.shape[1] != 6 or out.shape[0] != x.shape[0]
            or out.shape[1] != x.shape[1] or out.shape[2] != x.shape[2] or out.shape[3] != x.shape[3]):
        raise ValueError("warp_batch: shapes do not fit")
    with nogil:
        if real is float:
            status = fnn_warp_batch_f32(x.shape[2], x.shape[3], x.shape[0], x.shape[1], &x[0, 0, 0, 0],
                                        &maps[0, 0], fill, &out[0, 0, 0, 0], n_threads)
        else:
            status = fnn_warp_batch_f64(x.shape[2], x.shape[3], x.shape[0], x.shape[1], &x[0, 0, 0, 0],
                                        &maps[0, 0], fill, &out[0, 0, 0, 0], n_threads)
    check(status, "warp_batch")
