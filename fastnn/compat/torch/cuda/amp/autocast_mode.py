"""torch.cuda.amp.autocast_mode"""

from collections.abc import Callable
from typing import Any

from fastnn.compat.torch import amp
from fastnn.compat.torch._dtype import DTYPES
from fastnn.compat.torch._missing import missing

__all__ = ["autocast", "custom_bwd", "custom_fwd"]


class autocast(amp.autocast):
    """`torch.amp.autocast("cuda")`: nothing changes."""

    def __init__(self, enabled: bool = True, dtype: Any = DTYPES["float16"], cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


def custom_fwd(fwd: Callable[..., Any] | None = None, *, cast_inputs: Any = None) -> Callable[..., Any]:
    """The forward of a `torch.autograd.Function` as it is."""
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Callable[..., Any]) -> Callable[..., Any]:
    """The backward of a `torch.autograd.Function` as it is."""
    return amp.custom_bwd(bwd, device_type="cuda")


__getattr__ = missing(__name__)
