"""Looking at a network without leaving a trace in it."""

import contextlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout, _random, nn

__all__ = ["moved", "preserved"]


@contextlib.contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Within the block the model may be moved and run in any mode; afterwards it is as it was, bit for bit.

    Put back are the arrays of the parameters (the same objects, which must be replaced and not written into), their
    gradients, the buffers, every module's mode and `input_grad`, and the random numbers of dropout. What layers keep
    of their last `forward` is not.
    """
    parameters = [(parameter, parameter.data, parameter.grad) for parameter in model.parameters()]
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
        for parameter, data, grad in parameters:
            parameter.data, parameter.grad = data, grad
        for module, name, array, content in buffers:
            if array is not None and content is not None and array.flags.writeable:
                array[...] = content  # a user's layer may write into its buffer instead of replacing it
            module._buffers[name] = array
        for module, training, input_grad in modes:
            # Not by assignment: containers would pass it on.
            object.__setattr__(module, "training", training)
            object.__setattr__(module, "input_grad", input_grad)
        _random.set_random_state(random_state)


def moved(array: NDArray, step: float, direction: NDArray) -> NDArray:
    """array + step * direction, a new array in the memory order of `array`."""
    result = _layout.empty_like(_layout.dense(array))
    np.multiply(direction, np.asarray(step, array.dtype), out=result)
    result += array
    return result
