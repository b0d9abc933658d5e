"""torch.autograd.profiler: the older names of `torch.profiler`."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.profiler import PROFILE, record_function

__all__ = ["record_function"]

__getattr__ = missing(__name__, dict.fromkeys(("profile", "emit_nvtx", "emit_itt", "load_nvprof"), PROFILE))
