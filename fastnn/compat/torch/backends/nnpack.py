"""torch.backends.nnpack: a library of layers; fastnn has kernels of its own."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.backends._switches import not_there as is_available

__all__ = ["is_available", "set_flags"]

enabled = False


def set_flags(_enabled: bool) -> tuple[bool]:
    """Keep the setting, and give the one before."""
    global enabled
    before, enabled = enabled, bool(_enabled)
    return (before,)


__getattr__ = missing(__name__)
