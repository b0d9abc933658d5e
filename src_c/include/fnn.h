/* The C interface of fastnn, and the only header that the binding sees.
 *
 * Every op is declared once in fnn_ops.h for a type `real`, and exists twice: fnn_<op>_f32 and fnn_<op>_f64.
 * Ops check nothing that the Python side has checked, allocate nothing and print nothing. Scratch memory is an
 * argument, and its size has a function of its own. Parameter order: shape, inputs (const), outputs, workspace,
 * n_threads. Results do not depend on n_threads: work is cut by problem size and combined in a fixed order.
 */
#ifndef FNN_H
#define FNN_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    FNN_OK = 0,
    FNN_BAD_LABEL, /* a class index outside [0, classes) */
    FNN_OVERFLOW,  /* a size does not fit into ptrdiff_t */
    FNN_BAD_INDEX, /* an index that points outside its array */
} fnn_status;

/* Hidden, so that an op that is declared and not defined fails when the module is linked, not when it is imported. */
#pragma GCC visibility push(hidden)

/* ---- the machine ------------------------------------------------------------------------------------- */

/* baseline is C for any CPU, avx2 and avx512 are for x86-64, neon is for 64-bit Arm. */
typedef enum { FNN_BASELINE, FNN_AVX2, FNN_AVX512, FNN_NEON, FNN_ISA_COUNT } fnn_isa;

int fnn_isa_is_built(fnn_isa isa);
int fnn_isa_is_supported(fnn_isa isa);  /* by this CPU and by its operating system */
fnn_status fnn_isa_select(fnn_isa isa); /* caller has checked: built and supported */
fnn_isa fnn_isa_selected(void);

int fnn_openmp_version(void); /* the _OPENMP date, 0 when built without */
/* How many of n more threads the system makes now, all at once. An operation that is to run on more threads than there can
 * be runs on fewer. */
int fnn_threads_that_can_be_made(int n);
/* A record of parallel regions, for a forecast of their schedule. While a thread has one, its regions run on that thread
 * alone, and each adds: tasks, cost, then the seconds that each task took. `used` counts on where no room is left. */
typedef struct {
    double *numbers;
    ptrdiff_t size, used;
} fnn_task_record;
void fnn_record_tasks(fnn_task_record *record); /* of the calling thread; NULL for no more */

/* The rule by which a region takes tasks (core/parallel.c). */
typedef struct {
    double cost_per_thread; /* below which waking a thread does not pay */
    int most_parts;         /* that tasks are first cut into, one for each thread */
    int runs;               /* a thread takes this part of what is left in one */
} fnn_schedule;
fnn_schedule fnn_schedule_rule(void);
/* So many regions with a task for each thread, in which nothing is done: what a region costs. */
void fnn_empty_regions(ptrdiff_t count, int n_threads);
void fnn_set_flush_denormals(int on);
int fnn_get_flush_denormals(void);

/* What is applied to a result before it is stored, so that it need not be read again. */
typedef enum { FNN_THEN_NOTHING, FNN_THEN_RELU, FNN_THEN_RELU6, FNN_THEN_GELU, FNN_THEN_SILU } fnn_then;

/* ---- memory of the system ------------------------------------------------------------------------------ */

size_t fnn_page_size(void);
/* Whole pages of address space, NULL if there are none. A system may ask that memory be put behind pages before they are
 * touched (fnn_back_pages, which returns 0 if there is none), as Windows does; others do it at the first touch. Pages that have
 * it may be backed again, and keep what is in them. */
char *fnn_map_pages(size_t size);
int fnn_back_pages(char *pages, size_t size);
/* Give the memory back, and keep the addresses. Returns whether the pages may be touched without being backed. */
int fnn_empty_pages(char *pages, size_t size);
void fnn_unmap_pages(char *pages, size_t size);

/* One lock for all books of memory. After fnn_guard_forks, which returns 0 if it could, a child of the process gets it open. */
void fnn_lock(void);
void fnn_unlock(void);
int fnn_guard_forks(void);

/* ---- geometry ---------------------------------------------------------------------------------------- */

/* The algorithms of a convolution: sums of matrix products over the taps; one product of copied patches; Winograd's
 * F(2 x 2, 3 x 3), F(2 x 4, 3 x 3) and F(4 x 4, 3 x 3), which are for kernels of 3 x 3, stride and dilation 1, one group, and
 * padding of 0 to 2: caller has checked. FNN_AUTO: the cheapest of direct and the first two of Winograd's. */
typedef enum { FNN_AUTO, FNN_DIRECT, FNN_IM2COL, FNN_WINOGRAD, FNN_WINOGRAD24, FNN_WINOGRAD4 } fnn_conv2d_algorithm;

/* One convolution. Activations are pixel-major: x[h][w][n][c_in], y[h_out][w_out][n][c_out].
 * Weights are tap-major: weight[kernel_h][kernel_w][c_in / groups][c_out]. */
typedef struct {
    ptrdiff_t n, c_in, h, w;
    ptrdiff_t c_out, h_out, w_out;
    ptrdiff_t kernel_h, kernel_w;
    ptrdiff_t stride_h, stride_w;
    ptrdiff_t pad_top, pad_left; /* below and to the right, h_out and w_out decide */
    ptrdiff_t dilation_h, dilation_w;
    ptrdiff_t groups;
    fnn_conv2d_algorithm algorithm;
    fnn_isa isa; /* whose kernels compute it, and cut its workspace */
} fnn_conv2d_shape;

typedef enum { FNN_FORWARD, FNN_BACKWARD_DATA, FNN_BACKWARD_WEIGHT } fnn_conv2d_direction;

/* The ways through C; each is a file of ops/ (conv2d_runs.c, ...), which says what it is. */
typedef enum {
    FNN_IN_RUNS,     /* rows as they lie, in runs whose taps are the same */
    FNN_GATHERED,    /* rows that are copied first, block by block */
    FNN_IN_PLANES,   /* few channels, each copied into a plane */
    FNN_BY_CHANNEL,  /* depthwise, or small groups */
    FNN_OF_FEW_ROWS, /* so few that reading the weights takes the time */
    FNN_IN_TILES     /* Winograd's */
} fnn_conv2d_way;

/* How one direction of a convolution is computed, by how many threads. */
typedef struct {
    fnn_conv2d_shape shape; /* with the algorithm that was chosen; pixels that are a list are images of one */
    fnn_conv2d_direction direction;
    fnn_conv2d_way way;
    int n_threads;
    double winograd, winograd24; /* what these would cost as a share of direct; 0 where they were not looked at */
    ptrdiff_t workspace;         /* bytes, aligned to 64; PTRDIFF_MAX if they are no number */
} fnn_conv2d_plan;

/* Operands that an op takes as one struct point to reals of its type. */

/* Batch norm with given statistics, each for all channels, and what comes after it: then((x - mean) / sqrt(variance +
 * eps) * weight + bias + residual). weight, bias and residual, which has the shape of x, may be NULL; gelu and silu go
 * without a residual. */
typedef struct {
    const void *mean, *variance, *weight, *bias, *residual;
    double eps;
    fnn_then then;
} fnn_norm;

/* What a direction reads and writes; the rest is NULL. Results are written in full.
 *     forward:          y = norm(conv(x, weight) + bias)       bias and norm may be NULL
 *     backward_data:    dx from dy and weight, plus addend     which may be NULL
 *     backward_weight:  dweight and dbias from x and dy        dbias may be NULL
 * The norm's residual must not overlap y, the addend not dx. */
typedef struct {
    const void *x, *weight, *bias, *dy, *addend;
    const fnn_norm *norm;
    void *y, *dx, *dweight, *dbias;
} fnn_conv2d_operands;

/* A batch of softmax cross-entropies. Targets are labels, or probabilities of all classes. */
typedef struct {
    ptrdiff_t rows, classes;
    int64_t ignore_index;   /* rows with this label count nothing */
    double label_smoothing; /* the part of a target that is spread evenly over all classes */
    int mean;               /* divide by the weight of all rows */
} fnn_cross_entropy_shape;

/* A batch norm of x[rows][channels], and what comes after it: y = then((x - mean) * invstd * weight + bias + residual).
 * weight, bias and residual may be NULL; gelu and silu go without a residual. */
typedef struct {
    ptrdiff_t rows, channels;
    const void *x, *weight, *bias, *residual;
    fnn_then then;
    double *mean, *invstd; /* of each channel; training writes them */
    void *y;               /* training: NULL for the statistics alone; backward: NULL without a residual */
    /* Training: */
    double eps, momentum;
    double *running_mean, *running_variance; /* INOUT or NULL */
    /* Backward: */
    const void *dy;
    int training;
    void *dx, *dresidual, *dweight, *dbias; /* the first two may be NULL */
} fnn_batchnorm;

/* One group normalisation of x[pixels][n][channels]; groups divides channels. */
typedef struct {
    ptrdiff_t pixels, n, channels, groups;
} fnn_groupnorm_shape;

/* ---- hyper-parameters of one optimiser step ---------------------------------------------------------- */

/* Each is a double and rounded to the parameter's type once, in the kernel; so what depends on the number of steps
 * (the corrections of Adam) keeps its precision. maximize and nesterov are 0 or 1. */
typedef struct {
    double lr, momentum, dampening, weight_decay;
    int nesterov, maximize;
} fnn_sgd;

/* weight_decay is added to the gradient (Adam), decoupled_decay shrinks the weights by lr * decoupled_decay (AdamW).
 * bias_correction1 = 1 - beta1^step, bias_correction2 = 1 - beta2^step. */
typedef struct {
    double lr, beta1, beta2, eps, weight_decay, decoupled_decay, bias_correction1, bias_correction2;
    int maximize;
} fnn_adam;

typedef struct {
    double lr, alpha, eps, weight_decay, momentum;
    int maximize;
} fnn_rmsprop;

typedef struct {
    double lr, eps, weight_decay;
    int maximize;
} fnn_adagrad;

typedef enum { FNN_SGD, FNN_ADAM, FNN_RMSPROP, FNN_ADAGRAD, FNN_AVERAGE } fnn_optimizer;

typedef union {
    fnn_sgd sgd;
    fnn_adam adam;
    fnn_rmsprop rmsprop;
    fnn_adagrad adagrad;
    double average; /* w += average * (g - w): the share of the new value in a running mean */
} fnn_optimizer_settings;

/* A step of one parameter w with gradient g, n dense reals each, in the same order. States that it does not keep are
 * NULL: sgd has {velocity or NULL}, adam {first moment, second moment, largest second moment or NULL}, rmsprop {mean
 * square, velocity or NULL, mean or NULL}, adagrad {sum of squares}. */
typedef struct {
    fnn_optimizer kind;
    fnn_optimizer_settings settings;
    ptrdiff_t n;
    void *w;              /* INOUT */
    const void *g;        /* IN */
    void *states[3];      /* INOUT */
    ptrdiff_t first_task; /* for the operation */
} fnn_parameter_step;

/* ---- arithmetic -------------------------------------------------------------------------------------- */

typedef enum { FNN_ADD, FNN_SUBTRACT, FNN_MULTIPLY, FNN_DIVIDE } fnn_arithmetic;

/* ---- matmul ------------------------------------------------------------------------------------------ */

typedef enum { FNN_TIMES, FNN_TIMES_TRANSPOSED, FNN_TRANSPOSED_TIMES } fnn_matmul; /* a @ b, a @ b.T, a.T @ b */

/* ---- attention --------------------------------------------------------------------------------------- */

/* Reals between two samples, heads and rows of an array; features lie side by side. */
typedef struct {
    ptrdiff_t n, head, row;
} fnn_attention_strides;

/* n * heads matrices: q of `queries` rows and `features` columns, k of `keys` rows, v of `keys` rows and `values` columns.
 * causal: row i of q looks at the keys 0 to i only. Strides of arrays that a direction does not touch are not read. */
typedef struct {
    ptrdiff_t n, heads, queries, keys, features, values;
    double scale;
    int causal;
    fnn_attention_strides q, k, v, y, dy, dq, dk, dv;
} fnn_attention_shape;

/* y forward, dq, dk and dv backward; written in full. */
typedef struct {
    const void *q, *k, *v, *dy;
    void *y, *dq, *dk, *dv;
} fnn_attention_operands;

/* ---- activations ------------------------------------------------------------------------------------- */

/* The pointwise activations; in brackets their parameters, and the array that the backward pass reads. */
typedef enum {
    FNN_RELU = 0,   /* max(x, 0)                                  [-; y] */
    FNN_LEAKY_RELU, /* x, slope * x where x <= 0                  [slope; x] */
    FNN_ELU,        /* x, alpha * (exp(x) - 1) where x <= 0       [alpha; x] */
    FNN_GELU,       /* x * P(N(0, 1) < x)                         [-; x] */
    FNN_GELU_TANH,  /* its approximation by tanh                  [-; x] */
    FNN_SILU,       /* x * sigmoid(x)                             [-; x] */
    FNN_SIGMOID,    /* 1 / (1 + exp(-x))                          [-; y] */
    FNN_TANH,       /*                                            [-; y] */
    FNN_SOFTPLUS,   /* log(1 + exp(beta * x)) / beta, x where beta * x > threshold  [beta, threshold; x] */
    FNN_HARDTANH,   /* min(max(x, low), high)                     [low, high; x] */
    FNN_ACTIVATION_COUNT
} fnn_activation;

#define FNN_ACTIVATION_PARAMETERS 2
/* One axis of a pooling. Destination d is computed from entries begin[d] .. begin[d + 1] - 1. Going forward,
 * destinations are pixels of y and sources pixels of x; going backward, the other way round. `tap` counts the pixels of
 * a window along this axis. Padding, stride, dilation and adaptive windows are all in this list, and nowhere else. */
typedef struct {
    ptrdiff_t source, tap;
} fnn_pool_entry;
typedef struct {
    ptrdiff_t length; /* destinations */
    const ptrdiff_t *begin;
    const fnn_pool_entry *entries;
} fnn_pool_axis;

/* One pooling in one direction. A pixel is a row of n * c reals. Tap p of the vertical axis and q of the horizontal one
 * are tap p * taps_w + q of the window. */
typedef struct {
    fnn_pool_axis h, w;
    ptrdiff_t row, source_w, taps_w;
    const ptrdiff_t *divisor_h, *divisor_w; /* of average pooling, for each row and column of y */
} fnn_pool_shape;
/* A batch of n images taken from a set of n_images. */
typedef struct {
    ptrdiff_t n_images, n, c, h, w;
    int reflect; /* what lies around an image: its reflection, or black */
} fnn_augment_shape;

#define FNN_REAL float
#define FNN_OP(name) fnn_##name##_f32
#include "fnn_ops.h"
#undef FNN_REAL
#undef FNN_OP

#define FNN_REAL double
#define FNN_OP(name) fnn_##name##_f64
#include "fnn_ops.h"
#undef FNN_REAL
#undef FNN_OP

#pragma GCC visibility pop

#endif
