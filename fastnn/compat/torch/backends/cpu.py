"""torch.backends.cpu: what this machine's CPU can do."""

import fastnn
from fastnn.compat.torch._missing import missing

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """The instruction set whose kernels run, such as "AVX2"."""
    return fastnn.isa().upper()


__getattr__ = missing(__name__)
