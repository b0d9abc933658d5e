"""torch.distributions.utils: parameters of one shape, probabilities and their logarithms."""

from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._dtype import default_numpy_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._of_nn import softmax
from fastnn.compat.torch._pointwise import clamp, log, log1p, sigmoid
from fastnn.compat.torch._shapes import broadcast_tensors
from fastnn.compat.torch._tensor import new

__all__ = ["broadcast_all", "clamp_probs", "logits_to_probs", "probs_to_logits"]


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Tensors and numbers as tensors of one shape; numbers are of the dtype of the first tensor."""
    tensors = [value for value in values if isinstance(value, NumPyTensor)]
    for value in values:
        if not isinstance(value, NumPyTensor | int | float):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects implementing "
                f"__torch_function__. Received: {type(value).__name__}"
            )
    dtype = tensors[0]._data.dtype if tensors else default_numpy_dtype()
    made = [value if isinstance(value, NumPyTensor) else new(np.asarray(value, dtype)) for value in values]
    return tuple(broadcast_tensors(*made))


def clamp_probs(probs: Any) -> Any:
    """Neither 0 nor 1."""
    eps = float(np.finfo(probs._data.dtype).eps)
    return clamp(probs, eps, 1 - eps)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """The probabilities of log-odds, or with more than two cases, of logarithms up to a summand."""
    return sigmoid(logits) if is_binary else softmax(logits, -1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """The log-odds of probabilities, or with more than two cases, their logarithms."""
    probs = clamp_probs(probs)
    return log(probs) - log1p(-probs) if is_binary else log(probs)


__getattr__ = missing(__name__)
