# Binds src_c/core: the instruction sets, threads, the floating-point mode.

cdef extern from "fnn.h" nogil:
    ctypedef enum fnn_isa:
        FNN_BASELINE
        FNN_AVX2
        FNN_AVX512
        FNN_NEON
        FNN_ISA_COUNT
    int fnn_isa_is_built(fnn_isa isa)
    int fnn_isa_is_supported(fnn_isa isa)
    fnn_status fnn_isa_select(fnn_isa isa)
    fnn_isa fnn_isa_selected()
    int fnn_openmp_version()
    int fnn_threads_that_can_be_made(int n)
    ctypedef struct fnn_task_record:
        double *numbers
        Py_ssize_t size, used
    void fnn_record_tasks(fnn_task_record *record)
    ctypedef struct fnn_schedule:
        double cost_per_thread
        int most_parts, runs
    fnn_schedule fnn_schedule_rule()
    void fnn_empty_regions(Py_ssize_t count, int n_threads)
    void fnn_set_flush_denormals(int on)
    int fnn_get_flush_denormals()

ISA_NAMES = ("baseline", "avx2", "avx512", "neon")


def isa_built():
    """Names of the instruction sets this build contains, least capable first."""
    return [name for i, name in enumerate(ISA_NAMES) if fnn_isa_is_built(<fnn_isa><int>i)]


def isa_supported():
    """Names of the instruction sets that this CPU and its operating system support."""
    return [name for i, name in enumerate(ISA_NAMES) if fnn_isa_is_supported(<fnn_isa><int>i)]


cdef fnn_isa isa_of(str name) except *:
    """The instruction set of this name; None for the selected one."""
    if name is None:
        return fnn_isa_selected()
    cdef int isa = ISA_NAMES.index(name)
    if not (fnn_isa_is_built(<fnn_isa>isa) and fnn_isa_is_supported(<fnn_isa>isa)):
        raise RuntimeError(f"instruction set {name!r} is not available here")
    return <fnn_isa>isa


def isa_select(str name not None, /):
    check(fnn_isa_select(isa_of(name)), "isa_select")


def isa_selected():
    return ISA_NAMES[<int>fnn_isa_selected()]


def openmp_version():
    """The date of the OpenMP standard this was built with (201511 is 4.5), or 0."""
    return fnn_openmp_version()


def threads_that_can_be_made(int n, /):
    """How many of `n` more threads the system makes now, all at once."""
    cdef int made
    with nogil:
        made = fnn_threads_that_can_be_made(n)
    return made


@cython.internal
cdef class TaskMark:
    """What `record_tasks` hands to the call."""
    cdef fnn_task_record record
    cdef list ends

    def __call__(self, what, /):
        self.ends.append((self.record.used, what))


def record_tasks(call, numbers, list ends not None, /):
    """Run call(mark) on this thread alone, with the tasks of its parallel regions in `numbers`, as fnn.h says.

    `mark(x)` appends (numbers used so far, x) to `ends`. Returns how many numbers there are; not all may have had room.
    """
    cdef borrowed views
    cdef TaskMark mark = TaskMark()
    mark.ends = ends
    begin(&views, "record_tasks")
    try:
        room = view_of(&views, numbers, FLOAT64, OUT, 1)
        mark.record.numbers, mark.record.size = <double *>room.buf, room.shape[0]
        fnn_record_tasks(&mark.record)
        try:
            call(mark)
        finally:
            fnn_record_tasks(NULL)
    finally:
        give_back(&views)
    return mark.record.used


def schedule_rule():
    """(cost below which a thread is not worth waking, most parts, runs): see fnn.h."""
    cdef fnn_schedule rule = fnn_schedule_rule()
    return rule.cost_per_thread, rule.most_parts, rule.runs


def empty_regions(Py_ssize_t count, int n_threads, /):
    """Run so many parallel regions in which nothing is done."""
    with nogil:
        fnn_empty_regions(count, n_threads)


def set_flush_denormals(bint on, /):
    fnn_set_flush_denormals(on)


def get_flush_denormals():
    return bool(fnn_get_flush_denormals())


cdef extern from "fnn.h" nogil:
    """
    #define fnn_fma_peak(dtype, ...) FNN_OF_DTYPE(fnn_fma_peak, dtype, __VA_ARGS__)
    """
    fnn_status fnn_fma_peak(char dtype, Py_ssize_t iterations, Py_ssize_t n_tasks, void *sums, void *flops,
                            int n_threads)


def fma_peak(Py_ssize_t iterations,
             sums,   # OUT, one for each task
             flops,  # OUT, one for each task
             int n_threads, /):
    """Run the register-only multiply-add loop of the running ISA once for each element of `sums`."""
    cdef borrowed views
    cdef fnn_status status
    begin(&views, "fma_peak")
    try:
        tasks = view_of(&views, sums, REAL, OUT, 1)
        check_some(&views, tasks)
        counts = vector_of(&views, flops, FLOAT64, OUT, tasks.shape[0])
        if iterations < 0:
            refuse(&views, f"iterations must not be negative. Received: {iterations}")
        with nogil:
            status = fnn_fma_peak(views.dtype, iterations, tasks.shape[0], tasks.buf, counts, n_threads)
        check(status, "fma_peak")
    finally:
        give_back(&views)
