"""relu of what a batch norm gave, or of its sum with a shortcut: one operation, whose backward is one pass.

`relu(norm(conv(x)))` and `relu(norm(conv(x)) + shortcut)`, as people write them in a forward, thus go back as fast as
in a `Sequential` or a `Residual`, and with the same bits. Forward has been done by then, but for relu itself.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _runtime, reference
from fastnn.autograd.memory import KEPT
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.observer import observers
from fastnn.autograd.tape import next_number
from fastnn.autograd.tensor import new_tensor
from fastnn.functional.batchnorm import BatchNorm

__all__ = ["NormRelu", "joined"]


class NormRelu(BatchNorm):
    """A batch norm that has run, with an addend and the relu that came after it.

    Gradients do not pass the results in between. If somebody asks for those with respect to one, `unjoined` gives that
    with respect to the argument of relu, and the rest goes its own way.
    """

    def __init__(self, norm: BatchNorm, argument: Any) -> None:
        vars(self).update(vars(norm))
        self.number, self.module, self.is_plain = next_number(), None, False
        self.activation, self.is_fresh = "relu", True
        self.stands_for = (norm,) if argument is norm else (argument, norm)

    def add(self, addend: Any, y: NDArray) -> None:
        """Note where the gradient of an addend goes, and the result, since x alone does not tell relu's argument."""
        self._edges = [*self._edges[:3], addend]
        self.needs_grad = (*self.needs_grad[:3], addend is not None)
        self.y, self.keeps_result = y, True

    def unjoined(self, dy: NDArray) -> NDArray:
        y = self.y
        if y is None:
            y = reference.batch_norm_activation(self.x, self.mean, self.invstd, self.weight, self.bias, "relu", None)
        return np.where(y > 0, dy, 0).astype(dy.dtype, copy=False)


def joined(x: Any, relu: Callable[[NDArray], NDArray]) -> Any:
    """The tensor relu(x), if `x` came from a batch norm and that can be joined; else None."""
    argument = x._op
    norm = argument if type(argument) is BatchNorm else None
    addend, is_sum = None, norm is None and getattr(type(argument), "ufunc", None) is np.add
    if is_sum:
        norm, addend = _parts_of_sum(argument, x._data.shape)
    if norm is None or not norm.is_plain or norm.number <= 0:
        return None
    if not RECORDING.get() or not _runtime.joined_layers() or observers():
        return None
    y = new_tensor(relu(x._data), None, x._kind)
    operation = NormRelu(norm, argument)
    if is_sum:
        operation.add(addend, y._data)
        y._memory = KEPT
    y._op, y._requires_grad = operation, True
    return y


def _parts_of_sum(op: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The batch norm that one operand of a sum came from, and where the gradient of the other one goes; else None."""
    if op.number <= 0 or any(like is not None and like[0] != shape for like in op.likes):  # it was broadcast
        return None, None
    first, second = op._edges
    if type(first) is BatchNorm and first.is_plain:
        return first, second
    return (second, first) if type(second) is BatchNorm else (None, None)
