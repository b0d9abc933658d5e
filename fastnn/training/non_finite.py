"""Where a number that is not finite came from."""

from typing import Any

import numpy as np

from fastnn import _random, _several, nn
from fastnn.autograd import Observer, Op, no_grad, observing
from fastnn.models._observe import arrays_in

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


def _finite(value: Any) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays_in(value) if array.dtype.kind == "f")


class _Search(Observer):
    """The first module that gives what is not finite. Those within a module end before it."""

    def __init__(self, model: nn.Module) -> None:
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._broke: Op | None = None  # the last operation that made what is not finite of what is
        self.found: tuple[str, str, str] | None = None  # path, kind, why

    def operation(self, op: Op, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if self.found is None and not _finite(results) and _finite(inputs):
            self._broke = op

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if self.found is not None or id(module) not in self._paths or _finite(results):
            return
        blamed, broken = module, [name for name, buffer in module._buffers.items() if not _finite(buffer)]
        if broken:
            why = f"its {broken[0]} is not finite"
        elif self._broke is not None and id(self._broke.module) in self._paths and self._broke.module._modules:
            blamed = self._broke.module  # between its layers; a result of NumPy's may be infinite where nobody reads it
            why = f"its operation {type(self._broke).__name__} got finite numbers and gave others"
        elif not _finite(inputs):
            why = "its input is not finite, though every layer before gave finite numbers"
        else:
            why = "its input and parameters are finite, its result is not"
        self.found = self._paths[id(blamed)], type(blamed).__name__, why


def find_non_finite(
    model: nn.Module, x: Any, loss: float, step: int, random_state: dict[str, Any] | None = None
) -> NonFiniteLoss:
    """The error that says where, in step `step` (counted from 1), the loss stopped being finite.

    Runs the batch through the model once more, with the weights that gave the loss and from `random_state`, so that
    dropout drops the same; looks at every layer's parameters and result, and at operations between layers; and leaves
    buffers and generator as they were.
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
    search = _Search(model)
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    copies = [(array, array.copy()) for _, kept in buffers for array in kept.values() if array is not None]
    state = _random.random_state()
    try:
        if random_state is not None:
            _random.set_random_state(random_state)
        with observing(search), no_grad(), np.errstate(all="ignore"):
            _several.call(model, x)
    finally:
        _random.set_random_state(state)
        for module, kept in buffers:
            module._buffers.update(kept)
        for array, copy in copies:
            array[...] = copy
    if search.found is not None:
        path, kind, why = search.found
        message = f"the loss is {loss} in step {step}: layer {path or 'of the model'} ({kind}) is the first: {why}"
        return NonFiniteLoss(message, step, path)
    message = (
        f"the loss is {loss} in step {step}: every layer's result is finite, so it is the loss function or its labels"
    )
    return NonFiniteLoss(message, step, "")
