# Binds src_c/ops/conv2d.c, and through it every way to compute a convolution. Activations are (h, w, n, channels),
# weights (kernel_h, kernel_w, c_in / groups, c_out), both dense.

cdef extern from "fnn.h" nogil:
    """
    #define fnn_conv2d_make(dtype, ...) FNN_OF_DTYPE(fnn_conv2d_plan, dtype, __VA_ARGS__)
    #define fnn_conv2d_run(dtype, ...) FNN_OF_DTYPE(fnn_conv2d_run, dtype, __VA_ARGS__)
    """
    ctypedef enum fnn_conv2d_algorithm:
        pass
    ctypedef enum fnn_conv2d_direction:
        pass
    ctypedef enum fnn_conv2d_way:
        pass
    int FNN_WINOGRAD
    ctypedef struct fnn_conv2d_shape:
        Py_ssize_t n, c_in, h, w
        Py_ssize_t c_out, h_out, w_out
        Py_ssize_t kernel_h, kernel_w
        Py_ssize_t stride_h, stride_w
        Py_ssize_t pad_top, pad_left
        Py_ssize_t dilation_h, dilation_w
        Py_ssize_t groups
        fnn_conv2d_algorithm algorithm
        fnn_isa isa
    ctypedef struct fnn_conv2d_plan:
        fnn_conv2d_shape shape
        fnn_conv2d_direction direction
        fnn_conv2d_way way
        int n_threads
        double winograd, winograd24
        Py_ssize_t workspace
    ctypedef struct fnn_norm:
        const void *mean
        const void *variance
        const void *weight
        const void *bias
        const void *residual
        double eps
        fnn_then then
    ctypedef struct fnn_conv2d_operands:
        const void *x
        const void *weight
        const void *bias
        const void *dy
        const void *addend
        const fnn_norm *norm
        void *y
        void *dx
        void *dweight
        void *dbias
    void fnn_conv2d_make(char dtype, const fnn_conv2d_shape *shape, fnn_conv2d_direction direction, int n_threads,
                         fnn_conv2d_plan *plan)
    void fnn_conv2d_run(char dtype, const fnn_conv2d_plan *plan, const fnn_conv2d_operands *operands, void *workspace)

# In the order of the enums of fnn.h.
CONV2D_ALGORITHMS = ("auto", "direct", "im2col", "winograd", "winograd24", "winograd4")
CONV2D_DIRECTIONS = ("forward", "backward_data", "backward_weight")
CONV2D_WAYS = ("in runs", "gathered", "in planes", "by channel", "of few rows", "in tiles")

cdef enum:
    MOST_SETTING = 2147483647  # so that the product of two fits, with room for sums


cdef int check_settings(const fnn_conv2d_shape *s) except -1:
    """Refuse strides, paddings and dilations, which no array bounds, whose products would overflow."""
    if (max(s.stride_h, s.stride_w, s.dilation_h, s.dilation_w) > MOST_SETTING
            or max(s.pad_top, s.pad_left) > MOST_SETTING or min(s.pad_top, s.pad_left) < -MOST_SETTING):
        raise ValueError("conv2d: stride, padding or dilation is too large")
    # The pixels that the last output and the last tap reach, which C computes.
    cdef Py_ssize_t most = PY_SSIZE_T_MAX // 4
    if (s.h_out > most // s.stride_h or s.w_out > most // s.stride_w
            or s.kernel_h > most // s.dilation_h or s.kernel_w > most // s.dilation_w):
        raise ValueError("conv2d: the image is too large for this stride or dilation")
    return 0


cdef class Conv2dPlan:
    """How one direction of a convolution is computed, on arrays of these shapes and one dtype, by so many threads.

    Attributes:
        direction, algorithm, way: of CONV2D_DIRECTIONS, CONV2D_ALGORITHMS (the one that was chosen) and CONV2D_WAYS.
        taps: the shape of the weights.
        groups: of channels.
        winograd, winograd24: what these would cost as a share of direct; 0 if they were not looked at.
        workspace: bytes that it needs, aligned to 64.
    """

    cdef fnn_conv2d_plan plan
    cdef fnn_conv2d_shape shape  # of the arrays; the plan may see them as a list of pixels
    cdef char dtype  # "f" or "d"
    cdef readonly tuple taps

    def __cinit__(self, str direction, dtype, tuple x, tuple taps, tuple y, tuple stride, tuple pad, tuple dilation,
                  Py_ssize_t groups, str algorithm, int n_threads, str isa=None):
        cdef fnn_conv2d_shape s
        cdef Py_ssize_t sizes[12]
        cdef Py_ssize_t settings[6]
        cdef int i
        self.dtype = c"d" if dtype == "float64" else c"f"
        self.taps = taps
        if algorithm not in CONV2D_ALGORITHMS:
            raise ValueError(f"conv2d: no kernels for algorithm {algorithm!r}")
        if n_threads < 1:  # the workspace would be one for none
            raise ValueError(f"conv2d: n_threads must be at least 1. Received: {n_threads}")
        sizes_of(x, 4, sizes)
        sizes_of(taps, 4, sizes + 4)
        sizes_of(y, 4, sizes + 8)
        sizes_of(stride, 2, settings)
        sizes_of(dilation, 2, settings + 2)
        sizes_of(pad, 2, settings + 4)
        s.h, s.w, s.n, s.c_in = sizes[0], sizes[1], sizes[2], sizes[3]
        s.kernel_h, s.kernel_w = sizes[4], sizes[5]
        s.h_out, s.w_out, s.c_out = sizes[8], sizes[9], sizes[11]
        s.stride_h, s.stride_w, s.dilation_h, s.dilation_w = settings[0], settings[1], settings[2], settings[3]
        s.pad_top, s.pad_left = settings[4], settings[5]
        s.groups = groups
        s.algorithm = <fnn_conv2d_algorithm><int>CONV2D_ALGORITHMS.index(algorithm)
        s.isa = isa_of(isa)
        cdef bint fits = groups >= 1 and sizes[10] == s.n and sizes[7] == s.c_out
        for i in range(12):
            fits = fits and sizes[i] >= 1
        for i in range(4):
            fits = fits and settings[i] >= 1
        if not fits or s.c_in % groups != 0 or s.c_in // groups != sizes[6] or s.c_out % groups != 0:
            raise ValueError("conv2d: shapes do not fit")
        check_settings(&s)
        self.shape = s
        for i in range(3):
            if product_of(sizes + 4 * i, 4) > PY_SSIZE_T_MAX // 8:  # bytes
                check(FNN_OVERFLOW, "conv2d")
        if s.algorithm >= FNN_WINOGRAD and (
                s.kernel_h != 3 or s.kernel_w != 3 or groups != 1 or s.stride_h != 1 or s.stride_w != 1
                or s.dilation_h != 1 or s.dilation_w != 1 or min(s.pad_top, s.pad_left) < 0
                or max(s.pad_top, s.pad_left) > 2):
            raise ValueError("conv2d: Winograd's algorithm cannot do this convolution")
        cdef fnn_conv2d_direction in_c = <fnn_conv2d_direction><int>CONV2D_DIRECTIONS.index(direction)
        fnn_conv2d_make(self.dtype, &s, in_c, n_threads, &self.plan)
        fitting(self.plan.workspace)

    @property
    def direction(self):
        return CONV2D_DIRECTIONS[<int>self.plan.direction]

    @property
    def algorithm(self):
        return CONV2D_ALGORITHMS[<int>self.plan.shape.algorithm]

    @property
    def way(self):
        return CONV2D_WAYS[<int>self.plan.way]

    @property
    def groups(self):
        return self.shape.groups

    @property
    def winograd(self):
        return self.plan.winograd

    @property
    def winograd24(self):
        return self.plan.winograd24

    @property
    def workspace(self):
        return self.plan.workspace


cdef int begin_conv2d(borrowed *views, Conv2dPlan plan, int direction) except -1:
    """Arrays are to be of the dtype of the plan, which must be for this direction."""
    begin(views, "conv2d")
    views.dtype = plan.dtype
    if <int>plan.plan.direction != direction:
        refuse(views, f"the plan is for {plan.direction}, not {CONV2D_DIRECTIONS[direction]}")
    return 0


cdef void *x_of(borrowed *views, Conv2dPlan plan, object array, int access) except? NULL:
    cdef const fnn_conv2d_shape *s = &plan.shape
    return data_of(views, array, REAL, access, 4, [s.h, s.w, s.n, s.c_in])


cdef void *y_of(borrowed *views, Conv2dPlan plan, object array, int access) except? NULL:
    cdef const fnn_conv2d_shape *s = &plan.shape
    return data_of(views, array, REAL, access, 4, [s.h_out, s.w_out, s.n, s.c_out])


cdef void *weight_of(borrowed *views, Conv2dPlan plan, object array, int access) except? NULL:
    cdef const fnn_conv2d_shape *s = &plan.shape
    return data_of(views, array, REAL, access, 4, [s.kernel_h, s.kernel_w, s.c_in // s.groups, s.c_out])


cdef void *values_of(borrowed *views, Conv2dPlan plan, object array, int access) except? NULL:
    """Of one number for each output channel, or None."""
    return vector_of(views, array, REAL, access | OR_NONE, plan.shape.c_out)


cdef int run_conv2d(borrowed *views, Conv2dPlan plan, const fnn_conv2d_operands *operands, object workspace) except -1:
    cdef void *room = workspace_of(views, workspace, plan.plan.workspace)
    with nogil:
        fnn_conv2d_run(plan.dtype, &plan.plan, operands, room)
    return 0


cdef int run_conv2d_forward(Conv2dPlan plan, x, weight, bias, fnn_norm *norm, mean, variance, norm_weight, norm_bias,
                            residual, y, workspace) except -1:
    """With `norm`, whose arrays are the next ones, or NULL."""
    cdef borrowed views
    cdef fnn_conv2d_operands o
    memset(&o, 0, sizeof(o))
    begin_conv2d(&views, plan, 0)
    try:
        o.x, o.weight = x_of(&views, plan, x, IN), weight_of(&views, plan, weight, IN)
        o.bias, o.y = values_of(&views, plan, bias, IN), y_of(&views, plan, y, OUT)
        if norm != NULL:
            norm.mean, norm.variance = values_of(&views, plan, mean, IN), values_of(&views, plan, variance, IN)
            norm.weight, norm.bias = values_of(&views, plan, norm_weight, IN), values_of(&views, plan, norm_bias, IN)
            norm.residual = y_of(&views, plan, residual, IN | OR_NONE)
            if norm.mean == NULL or norm.variance == NULL:
                refuse(&views, "batch norm needs a mean and a variance")
            o.norm = norm
        run_conv2d(&views, plan, &o, workspace)
    finally:
        give_back(&views)
    return 0


# Arrays are of the plan's dtype and shapes.

def conv2d_forward(Conv2dPlan plan not None,
                   x, weight,  # IN
                   bias,       # IN or None
                   y,          # OUT
                   workspace, /  # OUT
                   ):
    run_conv2d_forward(plan, x, weight, bias, NULL, None, None, None, None, None, y, workspace)


def conv2d_norm_forward(Conv2dPlan plan not None,
                        x, weight,       # IN
                        bias,            # IN or None
                        mean, variance,  # IN
                        norm_weight,     # IN or None
                        norm_bias,       # IN or None
                        double eps,
                        str then,        # None, "relu", "relu6", "gelu" or "silu"
                        residual,        # IN or None
                        y,               # OUT
                        workspace, /  # OUT
                        ):
    cdef fnn_norm norm
    norm.eps, norm.then = eps, then_of(then, residual is not None)
    run_conv2d_forward(plan, x, weight, bias, &norm, mean, variance, norm_weight, norm_bias, residual, y, workspace)


def conv2d_backward_data(Conv2dPlan plan not None,
                         dy, weight,  # IN
                         addend,      # IN or None
                         dx,          # OUT
                         workspace, /  # OUT
                         ):
    cdef borrowed views
    cdef fnn_conv2d_operands o
    memset(&o, 0, sizeof(o))
    begin_conv2d(&views, plan, 1)
    try:
        o.dy, o.weight = y_of(&views, plan, dy, IN), weight_of(&views, plan, weight, IN)
        o.addend, o.dx = x_of(&views, plan, addend, IN | OR_NONE), x_of(&views, plan, dx, OUT)
        run_conv2d(&views, plan, &o, workspace)
    finally:
        give_back(&views)


def conv2d_backward_weight(Conv2dPlan plan not None,
                           x, dy,     # IN
                           dweight,   # OUT
                           dbias,     # OUT or None
                           workspace, /  # OUT
                           ):
    cdef borrowed views
    cdef fnn_conv2d_operands o
    memset(&o, 0, sizeof(o))
    begin_conv2d(&views, plan, 2)
    try:
        o.x, o.dy = x_of(&views, plan, x, IN), y_of(&views, plan, dy, IN)
        o.dweight, o.dbias = weight_of(&views, plan, dweight, OUT), values_of(&views, plan, dbias, OUT)
        run_conv2d(&views, plan, &o, workspace)
    finally:
        give_back(&views)
