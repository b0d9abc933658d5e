"""torch.xpu: Intel's GPUs, which are not used."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.cuda import (
    device_count,
    empty_cache,
    is_available,
    manual_seed,
    manual_seed_all,
    memory_allocated,
    synchronize,
)

__all__ = [
    "device_count",
    "empty_cache",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "memory_allocated",
    "synchronize",
]

__getattr__ = missing(__name__)
