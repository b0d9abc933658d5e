"""Pointwise activations."""

from numpy.typing import ArrayLike, NDArray

from fastnn import _layout, _runtime, reference
from fastnn.functional import _check

__all__ = ["relu", "relu_backward"]


def relu(x: ArrayLike) -> NDArray:
    """max(x, 0), element by element; NaN stays NaN.

    Shape:
        - x: any, float32 or float64
        - Result: the same, in the memory order of x
    Example:
        >>> relu(np.array([-1.0, 0.0, 2.0]))
        array([0., 0., 2.])

    Source: Nair and Hinton, 2010, "Rectified linear units improve restricted Boltzmann machines".
    """
    x = _check.floats("relu", "x", x)
    if _runtime.uses_reference():
        return reference.relu(x)
    x = _layout.dense(x)
    y = _layout.empty_like(x)
    _runtime._native.relu_forward(_layout.flat(x), _layout.flat(y), _runtime.num_threads())
    return y


def relu_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """The gradient with respect to x: dy where y > 0, else 0 (the derivative at 0 is taken as 0).

    Shape:
        - dy, y (the result of `relu`): the same, float32 or float64
        - Result: the same
    """
    dy = _check.floats("relu_backward", "dy", dy)
    y = _check.floats("relu_backward", "y", y)
    _check.same_shape("relu_backward", dy=dy, y=y)
    _check.same_dtype("relu_backward", dy=dy, y=y)
    if _runtime.uses_reference():
        return reference.relu_backward(dy, y)
    y = _layout.dense(y)
    dy = _layout.as_ordered(dy, y)
    dx = _layout.empty_like(y)
    _runtime._native.relu_backward(_layout.flat(dy), _layout.flat(y), _layout.flat(dx), _runtime.num_threads())
    return dx
