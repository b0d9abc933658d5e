"""Gradients by central differences, to check a backward pass."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["central_differences"]


def central_differences(arrays: Mapping[str, NDArray], loss: Callable[[], float], h: float) -> dict[str, NDArray]:
    """The gradient by central differences: (loss(w + h) - loss(w - h)) / (2 h) for each element w of each array.

    Args:
        arrays: the arrays that the loss depends on, by name. Elements are changed in place, and restored.
        loss: a function without arguments that computes the loss from the arrays.
        h: the step.
    Returns:
        The gradients by name, arrays of the same shapes.
    Example:
        >>> x = np.array([1.0, 2.0])
        >>> central_differences({"x": x}, lambda: float((x**2).sum()), h=1e-5)["x"].round(6)
        array([2., 4.])
    """
    result = {}
    for name, array in arrays.items():
        gradient = np.empty_like(array)
        for index in np.ndindex(*array.shape):
            kept = array[index]
            losses = []
            for shifted in (kept + h, kept - h):
                array[index] = shifted
                losses.append(loss())
            array[index] = kept
            gradient[index] = (losses[0] - losses[1]) / (2 * h)
        result[name] = gradient
    return result
