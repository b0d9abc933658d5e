"""torch.cpu: the device that there is."""

from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.cuda import Event, Stream, StreamContext, stream

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "device_count",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is a CPU: yes."""
    return True


is_initialized = is_available


def device_count() -> int:
    """How many devices a CPU is: 1."""
    return 1


def current_device() -> str:
    """Its name."""
    return "cpu"


def set_device(device: Any) -> None:
    """Nothing: there is one."""


def synchronize(device: Any = None) -> None:
    """Nothing: whatever was computed is done."""


def current_stream(device: Any = None) -> Stream:
    """The one stream that there is."""
    return Stream()


__getattr__ = missing(__name__)
