"""torch.accelerator: whatever computes beside the CPU, which is nothing."""

from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.cuda import (
    device_count,
    empty_cache,
    is_available,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_peak_memory_stats,
    synchronize,
)

__all__ = [
    "current_accelerator",
    "device_count",
    "empty_cache",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "synchronize",
]


def current_accelerator(check_available: bool = False) -> Any:
    """The device to prefer to the CPU: None."""


__getattr__ = missing(__name__)
