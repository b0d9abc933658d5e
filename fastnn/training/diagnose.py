"""Where a number that is not finite came from."""

from typing import Any

import numpy as np

from fastnn import _random, _several, nn
from fastnn.models import observe

__all__ = ["NonFiniteLoss", "find_non_finite"]


class NonFiniteLoss(ArithmeticError):
    """The loss became NaN or infinite.

    Attributes:
        step: the first step, counted from 1, in which something was not finite.
        layer: path of the first layer with such a value; '' if it was the data or the loss.
    """

    def __init__(self, message: str, step: int, layer: str) -> None:
        super().__init__(message)
        self.step = step
        self.layer = layer


def _finite(array: Any) -> bool:
    return not isinstance(array, np.ndarray) or array.dtype.kind != "f" or bool(np.isfinite(array).all())


def find_non_finite(
    model: nn.Module, x: Any, loss: float, step: int, random_state: dict[str, Any] | None = None
) -> NonFiniteLoss:
    """The error that says where, in step `step` (counted from 1), the loss stopped being finite.

    Runs the batch through the model once more, with the weights that gave the loss and from `random_state`, so that
    dropout drops the same; looks at every layer's parameters and result; and leaves buffers and generator as they were.
    """
    if not all(_finite(part) for _, part in _several.parts("x", x)):
        return NonFiniteLoss(f"the loss is {loss} in step {step}: the batch itself holds NaN or infinity", step, "")
    for path, parameter in model.named_parameters():
        if not _finite(parameter.data):
            layer = path.rpartition(".")[0]
            return NonFiniteLoss(
                f"the loss is {loss} in step {step}: the update of step {step - 1} made {path} NaN or infinite "
                f"(a smaller learning rate or clipped gradients may help)",
                max(step - 1, 1),
                layer,
            )
    found: list[tuple[str, str, str]] = []

    def visit(path: str, layer: nn.Module, x: Any, y: Any) -> None:
        if found or _finite(y):
            return
        broken = [name for name, buffer in layer._buffers.items() if not _finite(buffer)]
        why = f"its {broken[0]} is not finite" if broken else "its input and parameters are finite, its result is not"
        found.append((path, type(layer).__name__, why))

    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    copies = [(array, array.copy()) for _, kept in buffers for array in kept.values() if array is not None]
    state = _random.random_state()
    try:
        if random_state is not None:
            _random.set_random_state(random_state)
        with observe(model, visit), np.errstate(all="ignore"):
            _several.call(model, x)
    finally:
        _random.set_random_state(state)
        for module, kept in buffers:
            module._buffers.update(kept)
        for array, copy in copies:
            array[...] = copy
    if found:
        path, kind, why = found[0]
        message = f"the loss is {loss} in step {step}: layer {path or 'of the model'} ({kind}) is the first: {why}"
        return NonFiniteLoss(message, step, path)
    message = (
        f"the loss is {loss} in step {step}: every layer's result is finite, so it is the loss function or its labels"
    )
    return NonFiniteLoss(message, step, "")
