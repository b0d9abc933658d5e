"""torch.backends.opt_einsum: orders of products for `torch.einsum`, which takes NumPy's."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.backends._switches import not_there as is_available

__all__ = ["enabled", "is_available", "strategy"]

enabled = True
strategy = "auto"

__getattr__ = missing(__name__)
