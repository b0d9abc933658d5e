"""torch.backends.cudnn: a library for GPUs. Its settings are kept and change nothing."""

import contextlib

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.backends._switches import no_version as version
from fastnn.compat.torch.backends._switches import not_there as is_available
from fastnn.compat.torch.backends._switches import switched

__all__ = [
    "allow_tf32",
    "benchmark",
    "benchmark_limit",
    "deterministic",
    "enabled",
    "flags",
    "is_acceptable",
    "is_available",
    "version",
]

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True
fastest = False


def is_acceptable(tensor: object) -> bool:
    """Whether it computes with this tensor: no."""
    return False


def flags(
    enabled: bool | None = False,
    benchmark: bool | None = False,
    benchmark_limit: int | None = 10,
    deterministic: bool | None = False,
    allow_tf32: bool | None = True,
    fp32_precision: str = "none",
) -> contextlib.AbstractContextManager[None]:
    """A block with other settings."""
    return switched(
        __name__,
        enabled=enabled,
        benchmark=benchmark,
        benchmark_limit=benchmark_limit,
        deterministic=deterministic,
        allow_tf32=allow_tf32,
    )


__getattr__ = missing(__name__)
