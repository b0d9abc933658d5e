"""torch.backends.mkl: Intel's library of matrix products; fastnn has kernels of its own."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.backends._switches import not_there as is_available

__all__ = ["is_available"]

__getattr__ = missing(__name__)
