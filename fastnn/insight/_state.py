"""Looking into a network, and leaving it as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _layout, _random, nn

__all__ = ["frozen_randomness", "input_gradients", "moved", "preserved", "targets_or_best"]


@contextlib.contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Within the block the model may be moved and run in any mode; afterwards it is as it was, bit for bit.

    Put back are the arrays of the parameters (the same objects, which must be replaced and not written into), their
    gradients and `requires_grad`, the buffers and what they hold, every module's mode and `input_grad`, and the random
    numbers of dropout. What layers keep of their last `forward` is not.
    """
    parameters = [
        (parameter, parameter.data, parameter.grad, parameter.requires_grad) for parameter in model.parameters()
    ]
    buffers = [
        (module, name, array, None if array is None else array.copy())
        for module in model.modules()
        for name, array in module._buffers.items()
    ]
    modes = [(module, module.training, module.input_grad) for module in model.modules()]
    random_state = _random.random_state()
    try:
        yield
    finally:
        for parameter, data, grad, requires_grad in parameters:
            parameter.data, parameter.grad, parameter.requires_grad = data, grad, requires_grad
        for module, name, array, content in buffers:
            if array is not None and content is not None and array.flags.writeable:
                array[...] = content  # a user's layer may write into its buffer instead of replacing it
            module._buffers[name] = array
        for module, training, input_grad in modes:
            module.training, module.input_grad = training, input_grad
        _random.set_random_state(random_state)


@contextlib.contextmanager
def input_gradients(model: nn.Module) -> Iterator[None]:
    """Within the block: eval mode, gradients of the input but not of parameters. Afterwards all is `preserved`."""
    with preserved(model):
        for module in model.modules():
            module.training, module.input_grad = False, True
        for parameter in model.parameters():
            parameter.grad, parameter.requires_grad = None, False
        yield


def moved(array: NDArray, step: float, direction: NDArray) -> NDArray:
    """array + step * direction, a new array in the memory order of `array`."""
    result = _layout.empty_like(_layout.dense(array))
    np.multiply(direction, np.asarray(step, array.dtype), out=result)
    result += array
    return result


@contextlib.contextmanager
def frozen_randomness(module: nn.Module) -> Iterator[Callable[[], None]]:
    """Give a function that rewinds every generator the module can draw from; all are rewound after the block.

    These are the generator of fastnn, the global one of NumPy, and generators that are attributes of a module.
    """
    own = [value for part in module.modules() for value in vars(part).values()]
    generators = [_random.generator(), *(value for value in own if isinstance(value, np.random.Generator))]
    states = [generator.bit_generator.state for generator in generators]
    legacy = np.random.get_state()  # noqa: NPY002 - layers written by users draw from it

    def rewind() -> None:
        for generator, state in zip(generators, states, strict=True):
            generator.bit_generator.state = state
        np.random.set_state(legacy)  # noqa: NPY002

    try:
        yield rewind
    finally:
        rewind()


def targets_or_best(operation: str, target: ArrayLike | None, scores: NDArray) -> NDArray[np.intp]:
    """One class for each row of `scores`: `target`, or that of the highest score.

    Raises:
        ValueError: the scores are not (N, classes), or `target` is not one class or N of them.
    """
    if scores.ndim != 2:
        raise ValueError(
            f"{operation}: the network must give (N, classes). Received: an output of shape {scores.shape}"
        )
    n, classes = scores.shape
    if target is None:
        return scores.argmax(axis=1)
    labels = np.asarray(target)
    if labels.dtype.kind not in "iu" or labels.shape not in ((), (n,)):
        raise ValueError(
            f"{operation}: target must be one class or one for each of the {n} images. Received: {target!r}"
        )
    if ((labels < 0) | (labels >= classes)).any():
        raise ValueError(f"{operation}: target must lie in [0, {classes}). Received: {target!r}")
    return np.broadcast_to(labels, (n,)).astype(np.intp)
