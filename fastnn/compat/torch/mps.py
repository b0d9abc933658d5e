"""torch.mps: the GPU of a Mac, which is not used."""

from typing import Any

from fastnn.compat.torch import _random
from fastnn.compat.torch._missing import missing

__all__ = [
    "current_allocated_memory",
    "device_count",
    "driver_allocated_memory",
    "empty_cache",
    "get_rng_state",
    "is_available",
    "manual_seed",
    "recommended_max_memory",
    "seed",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "synchronize",
]


def is_available() -> bool:
    """Whether it is used: no."""
    return False


def device_count() -> int:
    """How many there are: none."""
    return 0


def synchronize() -> None:
    """Nothing: whatever was computed is done."""


def empty_cache() -> None:
    """Nothing: no memory of a GPU is in use."""


def manual_seed(seed: int) -> None:
    """Nothing: `torch.manual_seed` seeds what is drawn here."""
    int(seed)


def seed() -> None:
    """Nothing: no numbers are drawn there."""


def get_rng_state(device: Any = "mps") -> Any:
    """The state of the CPU's numbers: there are no others."""
    return _random.get_rng_state()


def set_rng_state(new_state: Any, device: Any = "mps") -> None:
    """Go on from the state that `get_rng_state` gave."""
    _random.set_rng_state(new_state)


def set_per_process_memory_fraction(fraction: float) -> None:
    """Nothing: no memory of a GPU is in use."""


def current_allocated_memory() -> int:
    """Bytes of tensors on the GPU: 0."""
    return 0


driver_allocated_memory = recommended_max_memory = current_allocated_memory

__getattr__ = missing(__name__)
