"""The sum of two arrays, as at the end of a residual block."""

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _runtime, reference

__all__ = ["add"]


def add(a: ArrayLike, b: ArrayLike) -> NDArray:
    """a + b, element by element. Its gradient with respect to both a and b is dy itself.

    Shape:
        - a, b: the same, float32 or float64; nothing is broadcast
        - Result: the same, in the memory order of a
    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    Example:
        >>> add(np.array([1.0, 2.0]), np.array([0.5, -2.0]))
        array([1.5, 0. ])
    """
    a = _check.floats("add", "a", a)
    b = _check.floats("add", "b", b)
    _check.same_shape("add", a=a, b=b)
    _check.same_dtype("add", a=a, b=b)
    if _runtime.uses_reference():
        return reference.add(a, b)
    a = _layout.dense(a)
    b = _layout.as_ordered(b, a)
    y = _layout.empty_like(a)
    _runtime._native.add(_layout.flat(a), _layout.flat(b), _layout.flat(y), _runtime.num_threads())
    return y
