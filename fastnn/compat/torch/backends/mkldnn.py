"""torch.backends.mkldnn: Intel's library of layers, now oneDNN; fastnn has kernels of its own."""

import contextlib

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.backends._switches import not_there as is_available
from fastnn.compat.torch.backends._switches import switched

__all__ = ["deterministic", "enabled", "flags", "is_available"]

enabled = True
deterministic = False
allow_tf32 = True


def flags(
    enabled: bool | None = False,
    deterministic: bool | None = False,
    allow_tf32: bool | None = True,
    fp32_precision: str = "none",
) -> contextlib.AbstractContextManager[None]:
    """A block with other settings."""
    return switched(__name__, enabled=enabled, deterministic=deterministic, allow_tf32=allow_tf32)


__getattr__ = missing(__name__)
