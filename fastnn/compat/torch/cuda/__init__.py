"""torch.cuda: there is no GPU. What scripts ask of one is answered so, and what they tell it is done by the CPU."""

import os
import time
from typing import Any

from fastnn import _system
from fastnn.compat.torch._device import check_device
from fastnn.compat.torch._device import device as _device
from fastnn.compat.torch._errors import AcceleratorError, OutOfMemoryError
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.cuda import amp, random
from fastnn.compat.torch.cuda.random import (
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    seed,
    seed_all,
    set_rng_state,
    set_rng_state_all,
)

__all__ = [
    "AcceleratorError",
    "Event",
    "OutOfMemoryError",
    "Stream",
    "StreamContext",
    "amp",
    "can_device_access_peer",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_current_stream_capturing",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "random",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "stream",
    "synchronize",
    "utilization",
]


# ---- what there is ---------------------------------------------------------------------------------------------------
def is_available() -> bool:
    """Whether there is a GPU: no."""
    return False


def device_count() -> int:
    """How many GPUs there are: none."""
    return 0


def is_initialized() -> bool:
    """Whether a GPU is in use: no."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether there is a GPU for bfloat16: no."""
    return False


def init() -> None:
    """Nothing: there is no GPU to make ready."""


def get_arch_list() -> list[str]:
    """The kinds of GPUs that it was built for: none."""
    return []


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether two GPUs reach each other's memory: no."""
    return False


class _Properties:
    """Those of the CPU, under the names of a GPU's."""

    def __init__(self) -> None:
        self.name, self.major, self.minor = "CPU", 0, 0
        self.total_memory = _system.physical_memory()
        self.multi_processor_count = os.cpu_count() or 1

    def __repr__(self) -> str:
        memory = self.total_memory >> 20
        return f"_CudaDeviceProperties(name={self.name!r}, total_memory={memory}MB)"


def get_device_properties(device: Any = None) -> Any:
    """Name, total_memory and multi_processor_count of the CPU."""
    _asked_for(device)
    return _Properties()


def get_device_name(device: Any = None) -> str:
    """The name "CPU", for every device."""
    _asked_for(device)
    return "CPU"


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """(0, 0): that of no GPU."""
    _asked_for(device)
    return 0, 0


def _asked_for(value: Any) -> None:
    check_device("cuda" if value is None or isinstance(value, _device) else value)


# ---- which one is used -----------------------------------------------------------------------------------------------
def current_device() -> int:
    """0: the first device, which is the CPU."""
    return 0


def set_device(device: Any) -> None:
    """Take the device for the CPU."""
    _asked_for(device)


class device:
    """A block in which a GPU is used; the CPU is."""

    def __init__(self, device: Any) -> None:
        _asked_for(device)
        self.idx, self.prev_idx = device, -1

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class device_of(device):
    """A block in which the device of a tensor is used, which is the CPU."""

    def __init__(self, obj: Any) -> None:
        super().__init__(None)


def synchronize(device: Any = None) -> None:
    """Nothing: whatever was computed is done."""


# ---- memory ----------------------------------------------------------------------------------------------------------
def empty_cache() -> None:
    """Nothing: freed memory goes back by itself."""


def ipc_collect() -> None:
    """Nothing: there is no memory of a GPU."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of tensors on a GPU: 0."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = max_memory_cached = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing: no memory of a GPU is in use."""


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Empty: no memory of a GPU is in use."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """A text that says so."""
    return "no memory of a GPU is in use"


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes on a GPU: 0 and 0."""
    return 0, 0


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Nothing: no memory of a GPU is in use."""


def utilization(device: Any = None) -> int:
    """How busy the GPU is, in percent: 0."""
    return 0


# ---- streams and events ----------------------------------------------------------------------------------------------
class Event:
    """A point in time, for `start.elapsed_time(end)` in milliseconds."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False, external: bool = False
    ) -> None:
        self._time: float | None = None

    def record(self, stream: Any = None) -> None:
        """Now."""
        self._time = time.perf_counter()

    def elapsed_time(self, end_event: "Event") -> float:
        """Milliseconds from this event to the other."""
        if self._time is None or end_event._time is None:
            raise ValueError("Event.elapsed_time: call record() on both events first")
        return (end_event._time - self._time) * 1000

    def query(self) -> bool:
        """Whether it is over, as everything here is that was begun."""
        return True

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for."""

    def synchronize(self) -> None:
        """Nothing to wait for."""


class Stream:
    """A queue of operations. Here they run at once, one after the other."""

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        self.priority = priority

    def record_event(self, event: Event | None = None) -> Event:
        """The event, recorded now."""
        event = Event() if event is None else event
        event.record()
        return event

    def query(self) -> bool:
        """Whether all is done: yes."""
        return True

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait_event(self, event: Event) -> None:
        """Nothing to wait for."""

    def wait_stream(self, stream: "Stream") -> None:
        """Nothing to wait for."""


class StreamContext:
    """A block whose operations go to a stream; they run at once."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def stream(stream: Any) -> StreamContext:
    """A block whose operations go to this stream; they run at once."""
    return StreamContext(stream)


def current_stream(device: Any = None) -> Stream:
    """The one stream that there is."""
    return Stream()


default_stream = current_stream


def set_stream(stream: Any) -> None:
    """Nothing: operations run at once."""


def is_current_stream_capturing() -> bool:
    """Whether operations are recorded to be run later: no."""
    return False


_TYPES = (
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
)
_NO_GPU = "there is no GPU: ask torch.cuda.is_available() first"
__getattr__ = missing(
    __name__,
    dict.fromkeys(("CUDAGraph", "graph", "graphs", "make_graphed_callables", "nccl", "nvtx", "profiler"), _NO_GPU),
    elsewhere=dict.fromkeys(_TYPES, "torch"),
)
