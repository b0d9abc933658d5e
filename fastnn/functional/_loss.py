"""What the losses have in common: their operation, and checks of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn.autograd.tape import Op
from fastnn.autograd.tensor import array_of

REDUCTIONS = ("mean", "sum", "none")


class LossOf(Op):
    """A loss of an input and a target.

    Args:
        function: gives the loss of two arrays.
        gradient: gives the gradient with respect to the input for that with respect to the loss.
        of_target: gives the gradient with respect to the target, from the same arguments; None if there is none.
        **settings: keywords of all three.
    Attributes:
        value: the loss as it was computed, a float or an array; as a tensor, it is rounded to the dtype of the input.
    """

    keeps: ClassVar = {0: "input", 1: "target"}
    is_exact = is_fresh = checks_gradient = True

    def __init__(
        self,
        function: Callable[..., Any],
        gradient: Callable[..., NDArray],
        of_target: Callable[..., NDArray] | None,
        **settings: Any,
    ) -> None:
        self.function, self.gradient, self.of_target = function, gradient, of_target
        self.settings = {name: array_of(value) for name, value in settings.items()}

    def forward(self, input: ArrayLike, target: ArrayLike) -> Any:
        self.input, self.target = input, target
        self.value = self.function(input, target, **self.settings)
        return self.value

    def backward(self, dloss: NDArray) -> tuple[NDArray | None, NDArray | None]:
        arguments = dloss, self.input, self.target
        need_input, need_target = self.needs_grad
        dinput = self.gradient(*arguments, **self.settings) if need_input else None
        if not need_target:
            return dinput, None
        if self.of_target is None:
            raise TypeError(f"{self.function.__name__.strip('_')}: the target has no gradient here: detach() it")
        return dinput, self.of_target(*arguments, **self.settings)


def difference_of_target(gradient: Callable[..., NDArray]) -> Callable[..., NDArray]:
    """The gradient with respect to the target, of a loss of input - target."""

    def of_target(*arguments: Any, **settings: Any) -> NDArray:
        return -gradient(*arguments, **settings)

    return of_target


def check_reduction(operation: str, reduction: str) -> None:
    _check.one_of(operation, "reduction", reduction, REDUCTIONS)


def upstream(operation: str, dloss: Any, reduction: str, shape: tuple[int, ...]) -> NDArray:
    """The gradient with respect to the result of a loss: a number, or one for each loss."""
    wanted = shape if reduction == "none" else ()
    gradient = _check.reals(operation, "dloss", dloss)
    if gradient.shape != wanted:
        raise _check.fail(operation, f"with reduction={reduction!r}, dloss must have shape {wanted}", dloss=gradient)
    return gradient


def two_arrays(operation: str, input: ArrayLike, target: ArrayLike) -> tuple[NDArray, NDArray]:
    """Input and target of a loss between elements: one shape, one dtype."""
    x = _check.floats(operation, "input", input)
    t = _check.floats(operation, "target", target)
    if x.shape != t.shape and x.ndim != t.ndim and x.size == t.size == len(x) == len(t):
        cure = "target[:, None]" if t.ndim < x.ndim else "target[:, 0]"
        raise _check.fail(operation, f"input and target must have the same shape: pass {cure}", input=x, target=t)
    _check.same_shape(operation, input=x, target=t)
    _check.same_dtype(operation, input=x, target=t)
    return x, t


def class_scores(operation: str, input: ArrayLike) -> NDArray:
    """An input of shape (N, C, ...) with at least one class."""
    x = _check.floats(operation, "input", input)
    if x.ndim < 2 or x.shape[1] < 1:
        raise _check.fail(operation, "input must have shape (N, C) or (N, C, d1, ...) with C >= 1", input=x)
    return x


def labels(operation: str, target: ArrayLike, x: NDArray, ignore_index: int | None = None) -> NDArray[np.int64]:
    """Class indices for the scores `x`: one for each row, every one in [0, C) or `ignore_index`.

    Raises:
        TypeError: not integers.
        ValueError: another shape, or an index outside; the message names the first one.
    """
    given = _check.array(operation, "target", target)
    indices = label_array(operation, given, x)
    outside = (indices < 0) | (indices >= x.shape[1])
    if outside.any():
        if ignore_index is not None:
            outside &= indices != ignore_index
        if outside.any():
            place = np.unravel_index(int(np.argmax(outside)), outside.shape)
            words = ", ".join(str(int(i)) for i in place)
            raise _check.fail(
                operation, f"target[{words}] is {given[place]}, but labels must lie in [0, {x.shape[1]})",
                input=x, target=given,
            )  # fmt: skip
    return indices


def label_array(operation: str, given: NDArray, x: NDArray) -> NDArray[np.int64]:
    """Class indices as int64, one for each row of the scores `x`; where they lie is not looked at."""
    if given.dtype.kind not in "iu":
        raise TypeError(f"{operation}: target must hold integers (class indices). Received: dtype={given.dtype}")
    if given.shape != (len(x), *x.shape[2:]):
        wanted = (len(x), *x.shape[2:])
        raise _check.fail(operation, f"target must have shape {wanted}", input=x, target=given)
    # 64 bits without a sign: what does not fit must stay too large instead of turning negative.
    fits = given if given.dtype.itemsize < 8 or given.dtype.kind == "i" else np.minimum(given, 2**63 - 1)
    return fits.astype(np.int64, copy=False)


def class_weight(operation: str, name: str, weight: ArrayLike | None, x: NDArray) -> NDArray | None:
    """One weight for each class of the scores `x`, in their dtype."""
    if weight is None:
        return None
    array = _check.reals(operation, name, weight)
    if array.shape != (x.shape[1],):
        raise _check.fail(operation, f"{name} needs one value for each of {x.shape[1]} classes", **{name: array})
    return np.require(array, x.dtype, ("C", "A"))


def element_weight(operation: str, name: str, weight: ArrayLike | None, x: NDArray) -> NDArray | None:
    """Weights that broadcast to the shape of `x`, in its dtype."""
    if weight is None:
        return None
    array = _check.reals(operation, name, weight)
    try:
        fits = np.broadcast_shapes(array.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise _check.fail(operation, f"{name} does not broadcast to the input", input=x, **{name: array})
    return array.astype(x.dtype, copy=False)
