"""torch.backends.mps: the GPU of a Mac, which is not used."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.backends._switches import not_there as is_available

__all__ = ["is_available", "is_built", "is_macos_or_newer"]

is_built = is_available


def is_macos_or_newer(major: int, minor: int) -> bool:
    """Whether its GPU could be used here: no."""
    return False


__getattr__ = missing(__name__)
