"""torch.amp.autocast_mode: blocks that PyTorch computes in half precision, and fastnn in that of the inputs."""

import functools
from collections.abc import Callable
from typing import Any

from fastnn.compat.notes import note
from fastnn.compat.torch._dtype import DTYPES
from fastnn.compat.torch._missing import missing

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_NOTE = "torch.autocast does nothing: fastnn computes in float32, in which a CPU is as fast"


class autocast:
    """Nothing changes within the block or the function: results are of the dtype of their inputs."""

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device, self._enabled = device_type, bool(enabled)
        self.fast_dtype = DTYPES["bfloat16" if device_type == "cpu" else "float16"] if dtype is None else dtype
        if enabled:
            note(_NOTE)

    def __enter__(self) -> "autocast":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def is_autocast_available(device_type: str) -> bool:
    """Whether fewer bits are faster anywhere: no."""
    return False


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: Any = None
) -> Callable[..., Any]:
    """The forward of a `torch.autograd.Function` as it is."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    return fwd


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """The backward of a `torch.autograd.Function` as it is."""
    return functools.partial(custom_bwd, device_type=device_type) if bwd is None else bwd


__getattr__ = missing(__name__)
