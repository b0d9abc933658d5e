"""Softmax cross-entropy, the loss of classification. One pass in C computes the loss and its gradient."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import array_of
from fastnn.functional import _loss

__all__ = ["cross_entropy", "cross_entropy_and_gradient", "cross_entropy_backward"]


def _arguments(
    operation: str,
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> tuple[NDArray, NDArray, NDArray | None, int, str, float]:
    """The checked arguments; the target is of dtype int64 if it holds labels, else of the input's.

    Labels outside are found by the kernel, and named after it.
    """
    _loss.check_reduction(operation, reduction)
    x = _loss.class_scores(operation, input)
    ignore_index = _check.integer(operation, "ignore_index", ignore_index, -(2**63))
    label_smoothing = _check.number(operation, "label_smoothing", label_smoothing, 0, 1)
    weight = _loss.class_weight(operation, "weight", weight, x)
    given = _check.array(operation, "target", target)
    if given.dtype.kind == "f":
        given = _check.floats(operation, "target", given)
        if given.shape != x.shape:
            reason = "target must hold labels (integers), or probabilities in the shape of the input"
            raise _check.fail(operation, reason, input=x, target=given)
        _check.same_dtype(operation, input=x, target=given)
        if ignore_index >= 0:
            raise ValueError(f"{operation}: ignore_index needs labels, and target holds probabilities")
    else:
        given = _loss.label_array(operation, given, x)
    return x, given, weight, ignore_index, reduction, label_smoothing


def _in_rows(array: NDArray, axes: tuple[int, ...]) -> NDArray:
    """A dense array with its axes in this order."""
    if array.ndim == 4 and axes == (2, 3, 0, 1):
        return _layout.pixels(array)
    return _layout.contiguous(array.transpose(axes))


def cross_entropy_and_gradient(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Any, NDArray]:
    """`cross_entropy` and its gradient with respect to the input, from one pass over it.

    Args:
        input, target, weight, ignore_index, reduction, label_smoothing: as in `cross_entropy`.
    Shape:
        - input, target, weight: as in `cross_entropy`
        - Result: (loss, dx); dx has the shape of the input. With reduction='none', dx holds the gradient of each loss.
    Raises:
        ValueError, TypeError: as `cross_entropy`.
    Example:
        >>> loss, dx = cross_entropy_and_gradient(np.zeros((1, 4)), np.array([2]))
        >>> dx
        array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    arguments = _arguments("cross_entropy", input, target, weight, ignore_index, reduction, label_smoothing)
    x, t, class_weight, ignore_index, reduction, label_smoothing = arguments
    if _runtime.uses_reference():
        if t.dtype == np.int64:
            _loss.labels("cross_entropy", target, x, ignore_index)
        return reference.cross_entropy_and_gradient(*arguments)
    if not x.size:
        nothing = {"mean": math.nan, "sum": 0.0, "none": np.empty((len(x), *x.shape[2:]), x.dtype)}
        return nothing[reduction], np.empty(x.shape, x.dtype)
    # Rows are what C sees: images in their memory order, anything else with the classes moved to the end.
    axes: tuple[int, ...] = (2, 3, 0, 1) if x.ndim == 4 else (0, *range(2, x.ndim), 1)
    row_axes = tuple([axis - (axis > 1) for axis in axes if axis != 1])
    x_rows = _in_rows(x, axes)
    labels = probabilities = None
    if t.dtype == np.int64:
        labels = _in_rows(t, row_axes).reshape(-1)
    else:
        probabilities = _in_rows(t, axes).reshape(-1, x.shape[1])
    dx_rows = _memory.empty(x_rows.shape, x.dtype)
    losses = np.empty(x_rows.shape[:-1], np.float64)
    try:
        loss = _runtime._native.cross_entropy(
            x_rows.reshape(-1, x.shape[1]), labels, probabilities, class_weight, ignore_index, label_smoothing,
            reduction == "mean", losses.reshape(-1), dx_rows.reshape(-1, x.shape[1]), _runtime.num_threads(),
        )  # fmt: skip
    except ValueError:
        _loss.labels("cross_entropy", target, x, ignore_index)  # says which label
        raise
    kernel_ran("cross_entropy")
    dx = _layout.unordered(dx_rows, axes)
    if reduction == "none":
        return _layout.unordered(losses, row_axes).astype(x.dtype), dx
    return loss, dx


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The cross-entropy of the target and the softmax of the input.

    For a row x and its target distribution q (one-hot for a label),

        loss = -sum over c of weight[c] * q'[c] * log softmax(x)[c]
        q' = (1 - label_smoothing) * q + label_smoothing / C

    Args:
        input: scores before softmax ("logits").
        target: labels, of any integer dtype; or a probability for each class.
        weight: one for each class; it is cast to the dtype of the input.
        ignore_index: rows with this label have no loss and no gradient. With probabilities it must be negative.
        reduction: 'mean', 'sum', or 'none' for the loss of each row. The mean divides by the number of rows; with
            labels, by the sum of weight[label] over the rows that are not ignored (NaN if there are none).
        label_smoothing: the part of the target, in [0, 1], that is spread evenly over all classes.
    Shape:
        - input: (N, C), or (N, C, d1, ...) with a target at each place; float32 or float64
        - target: (N) or (N, d1, ...) labels; or probabilities with the shape and dtype of the input
        - weight: (C,)
        - Result: a float; with reduction='none' an array (N) or (N, d1, ...)
    Raises:
        ValueError: shapes do not fit, or a label lies outside [0, C); the message names the first one.
        TypeError: the target has an unfit dtype.
    Example:
        >>> round(cross_entropy(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1])), 4)
        0.41

    A class with target 0 adds nothing, even where its logit is -inf.

    Source: PyTorch's definition of the mean; Szegedy et al., 2016, "Rethinking the Inception architecture for computer
    vision" (label smoothing).
    """
    return run(CrossEntropy(weight, ignore_index, reduction, label_smoothing), input, target)


class CrossEntropy(Op):
    """`cross_entropy` with these settings. The gradient is computed along with the loss.

    Attributes:
        value: the loss as it was computed, a float or an array; as a tensor, it is rounded to the dtype of the input.
    """

    keeps: ClassVar = {0: "input"}
    is_exact = is_fresh = checks_gradient = True

    def __init__(self, weight: ArrayLike | None, ignore_index: int, reduction: str, label_smoothing: float) -> None:
        self.settings = array_of(weight), ignore_index, reduction, label_smoothing

    def forward(self, input: ArrayLike, target: ArrayLike) -> Any:
        self.value, dx = cross_entropy_and_gradient(input, target, *self.settings)
        if self.needs_grad:
            self.dx = dx
            if self.needs_grad[1]:
                self.input, self.target_dtype = input, np.asarray(target).dtype
        return self.value

    def backward(self, dloss: NDArray) -> tuple[NDArray, NDArray | None]:
        row_shape = (len(self.dx), *self.dx.shape[2:])
        reduction = self.settings[2]
        dloss = _loss.upstream("cross_entropy_backward", dloss, reduction, row_shape)
        dx = scale_gradient(self.dx, dloss, reduction)
        return dx.copy("K") if dx is self.dx else dx, self._of_target(dloss) if self.needs_grad[1] else None

    def _of_target(self, dloss: NDArray) -> NDArray:
        """-weight (1 - label_smoothing) log softmax(input)"""
        weight, _, reduction, label_smoothing = self.settings
        logs = (label_smoothing - 1) * reference.log_softmax(np.asarray(self.input), 1)
        if weight is not None:
            logs *= np.asarray(weight, logs.dtype).reshape(-1, *(1,) * (logs.ndim - 2))
        if reduction == "mean":
            logs /= logs.size // logs.shape[1]
        return scale_gradient(logs, dloss, reduction).astype(self.target_dtype)


def cross_entropy_backward(
    dloss: ArrayLike,
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> NDArray:
    """The gradient with respect to the input: with T the sum over c of t[c] = weight[c] * q'[c], T softmax(x) - t.

    Args:
        dloss: gradient with respect to the result of `cross_entropy`: a number, or with
            reduction='none' one for each row.
        input, target, weight, ignore_index, reduction, label_smoothing: as in `cross_entropy`.
    Shape:
        - Result: that of the input
    """
    x = _loss.class_scores("cross_entropy_backward", input)
    _loss.check_reduction("cross_entropy_backward", reduction)
    gradient = _loss.upstream("cross_entropy_backward", dloss, reduction, (len(x), *x.shape[2:]))
    _, dx = cross_entropy_and_gradient(x, target, weight, ignore_index, reduction, label_smoothing)
    return scale_gradient(dx, gradient, reduction)


def scale_gradient(dx: NDArray, dloss: NDArray, reduction: str) -> NDArray:
    """The gradient of each loss, times that with respect to this loss."""
    dloss = dloss.astype(dx.dtype)
    if reduction == "none":
        return dx * np.expand_dims(dloss, 1)
    return dx if dloss == 1 else dx * dloss
