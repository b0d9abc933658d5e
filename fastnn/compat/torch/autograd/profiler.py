"""torch.autograd.profiler"""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

_ADVICE = "use `fastnn profile`, or fastnn.profiling"
__getattr__ = missing(
    __name__, dict.fromkeys(("profile", "record_function", "emit_nvtx", "emit_itt", "load_nvprof"), _ADVICE)
)
