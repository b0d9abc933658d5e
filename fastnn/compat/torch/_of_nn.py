"""What PyTorch has both in torch.nn.functional and as methods of tensors."""

from typing import Any

from fastnn.compat.torch._tensor import Tensor, method
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.functional import hardshrink, threshold

__all__ = ["hardshrink", "log_softmax", "softmax", "threshold"]


@method
def softmax(input: Any, dim: int, dtype: Any = None) -> Tensor:
    """exp(x) / sum of exp(x) along `dim`."""
    return F.softmax(input, dim, dtype=dtype)


@method
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, with all its digits."""
    return F.log_softmax(input, dim, dtype=dtype)


Tensor.hardshrink = lambda self, lambd=0.5: F.hardshrink(self, lambd)  # type: ignore[attr-defined]
Tensor.prelu = lambda self, weight: F.prelu(self, weight)  # type: ignore[attr-defined]
