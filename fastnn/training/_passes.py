"""One batch through a network and a criterion, and back: explicitly, or by tensors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn import _several, nn
from fastnn.autograd.memory import BORROWED
from fastnn.autograd.tensor import Tensor, array_of, new_tensor, tensors_in
from fastnn.training._arguments import name_of, scalar
from fastnn.training.metrics import check_scores

__all__ = ["Pass", "goes_by_tensors", "loss_of", "run_batch"]


class Pass(NamedTuple):
    """What came of a batch.

    Attributes:
        outputs: of the network, arrays.
        loss: a number.
        go_back: adds the gradients to those of the parameters.
    """

    outputs: Any
    loss: float
    go_back: Callable[[], None]


def goes_by_tensors(criterion: Any) -> bool:
    """Whether the gradients of a criterion are found by the tape: it is a function, or a module with a forward only.

    The losses of nn, and whatever has a backward that its author wrote, give the gradient of the outputs themselves.
    """
    if isinstance(criterion, nn.Loss):
        return False
    backward = getattr(criterion, "backward", None)
    return backward is None or getattr(backward, "is_derived", False)


def run_batch(operation: str, model: nn.Module, criterion: Any, x: Any, y: Any) -> Pass:
    """The outputs and the loss of a batch, and the way back.

    Raises:
        TypeError, ValueError: the criterion gives no number, or one that no gradient goes through.
    """
    if not goes_by_tensors(criterion):
        outputs = _several.call(model, x)
        check_scores(criterion, outputs)
        loss = scalar(operation, criterion, criterion(outputs, y))
        return Pass(outputs, loss, lambda: _go_back_explicitly(model, criterion, outputs))
    given = _several.call(model, _as_tensors(x))
    result = criterion(given, y)
    loss = scalar(operation, criterion, result)
    has_gradient = any(tensor.requires_grad for tensor in tensors_in(given))  # not if everything is frozen
    if has_gradient and not (isinstance(result, Tensor) and result.requires_grad):
        raise TypeError(
            f"{operation}: no gradient goes through the number that the criterion, {name_of(criterion)}, gave: it must "
            "come from the outputs, which are tensors, by operators, NumPy's functions and fastnn.functional; or "
            "the criterion needs a backward() that gives the gradient of the outputs"
        )
    return Pass(array_of(given), loss, result.backward if has_gradient else _nothing)


def loss_of(operation: str, criterion: Any, outputs: Any, y: Any) -> float:
    """The loss of outputs that are arrays, where nothing is recorded. A criterion gets what it gets in training."""
    given = _several.mapped(_tensor_of, outputs) if goes_by_tensors(criterion) else outputs
    return scalar(operation, criterion, criterion(given, y))


def _nothing() -> None:
    pass


def _tensor_of(value: Any) -> Any:
    """An array as a tensor that nobody writes into."""
    return new_tensor(value, BORROWED) if isinstance(value, np.ndarray) else value


def _as_tensors(x: Any) -> Any:
    """A batch for the tape: floats as tensors; integers stay arrays, unless there is nothing else."""
    has_floats = any(array.dtype.kind == "f" for _, array in _several.parts("x", x))
    return _several.mapped(lambda array: _tensor_of(array) if array.dtype.kind == "f" or not has_floats else array, x)


def _go_back_explicitly(model: nn.Module, criterion: Any, outputs: Any) -> None:
    gradients = criterion.backward()
    if isinstance(outputs, dict) and not isinstance(gradients, dict):  # one for each array of floats, in their order
        several = gradients if isinstance(gradients, tuple) else (gradients,)
        names = [name for name, y in outputs.items() if isinstance(y, np.ndarray) and y.dtype.kind == "f"]
        if len(several) == len(names):
            gradients = dict(zip(names, several, strict=True))
    model.backward(gradients)
