"""The results of operations as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.autograd.observer import observed

__all__ = ["as_array", "observed_forward"]


def as_array(op: Any, result: Any, inputs: Sequence[Any]) -> NDArray:
    """A result that is a number; a loss, which is a float, gets the dtype of what it is the loss of."""
    array = np.asarray(result, getattr(inputs[0], "dtype", None) if type(result) is float else None)
    if array.dtype.kind not in "fiubc" or type(result) is list:
        raise TypeError(
            f"{type(op).__name__}.forward: an array, a number or a tuple of them is needed. Received: "
            f"{_check.shown(result)}"
        )
    return array


def observed_forward(op: Any, arrays: Sequence[Any], are_tensors: bool) -> Any:
    """The forward of an operation while somebody observes, who sees the very arrays that the tensors will hold."""

    def forward(*inputs: Any) -> Any:
        result = op.forward(*inputs)
        if type(result) is tuple:
            return tuple(np.asarray(y) if isinstance(y, np.generic) else y for y in result)
        return as_array(op, result, inputs) if isinstance(result, np.generic | float | int) else result

    return observed(op, "forward", forward if are_tensors else op.forward, arrays)
