"""Group normalisation."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run
from fastnn.functional.layernorm import Normalized

__all__ = ["group_norm", "group_norm_backward"]


def _images(x: NDArray) -> NDArray:
    """The (pixels, N, C) array that the C side works on."""
    pixels = _layout.pixels(_layout.as_images(x))
    return pixels.reshape(-1, *pixels.shape[2:])


def _empty(x: NDArray) -> NDArray:
    """An uninitialised result of the shape of x, pixel-major in memory."""
    n, c, h, w = _layout.as_images(x).shape
    return _layout.empty_images((n, c, h, w), x.dtype).reshape(x.shape)


def group_norm(
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Normalized:
    """Normalise every group of channels of every image by itself.

    y = (x - mean) * invstd * weight[c] + bias[c],  invstd = 1 / sqrt(variance + eps), where mean and (biased) variance
    are taken over all pixels and channels of the group.

    Args:
        x: activations.
        num_groups: number of groups of neighbouring channels; divides C.
        weight, bias: scale and offset of every channel, or None.
        eps: added to the variance.
    Shape:
        - x: (N, C), (N, C, L) or (N, C, H, W), float32 or float64
        - weight, bias: (C,), of the dtype of x
        - Result: (y, mean, invstd); y has the shape of x, the others (N, num_groups), float64
    Raises:
        ValueError: shapes do not fit.
    Example:
        >>> group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0).y
        array([[-1.,  1., -1.,  1.]])

    Source: Wu and He, 2018, "Group normalization".
    """
    operation = GroupNorm(num_groups, eps)
    y = run(operation, x, weight, bias)
    return Normalized(y, operation.mean, operation.invstd)


class GroupNorm(Op):
    """`group_norm` of x, weight and bias."""

    keeps: ClassVar = {0: "x", 1: "weight"}
    is_exact = is_fresh = True

    def __init__(self, num_groups: int, eps: float) -> None:
        self.num_groups, self.eps = num_groups, eps

    def forward(self, x: ArrayLike, weight: ArrayLike | None, bias: ArrayLike | None) -> NDArray:
        self.x, self.weight = x, weight
        y, self.mean, self.invstd = _forward(x, self.num_groups, weight, bias, self.eps)
        return y

    def backward(self, dy: NDArray) -> Any:
        return group_norm_backward(dy, self.x, self.mean, self.invstd, self.weight, self.needs_grad[0])


def _forward(x: ArrayLike, num_groups: int, weight: ArrayLike | None, bias: ArrayLike | None, eps: float) -> Normalized:
    x = _check.floats("group_norm", "x", x, (2, 3, 4))
    n, channels = x.shape[:2]
    num_groups = _check.integer("group_norm", "num_groups", num_groups, 1, _check.MOST_SETTING)
    if channels % num_groups:
        raise _check.fail("group_norm", f"{channels} channels cannot be cut into {num_groups} groups", x=x)
    weight = _check.values("group_norm", "weight", weight, channels, "channel")
    bias = _check.values("group_norm", "bias", bias, channels, "channel")
    _check.same_dtype("group_norm", x=x, weight=weight, bias=bias)
    eps = _check.epsilon("group_norm", eps)
    if not x.size:
        return Normalized(_empty(x), np.zeros((n, num_groups)), np.ones((n, num_groups)))
    if _runtime.uses_reference():
        return Normalized(*reference.group_norm(x, num_groups, weight, bias, eps))
    y, mean, invstd = _empty(x), np.empty((n, num_groups)), np.empty((n, num_groups))
    images, native = _images(x), _runtime._native
    workspace = _memory.workspace(native.groupnorm_workspace(images, num_groups))
    native.groupnorm_forward(images, weight, bias, eps, _images(y), mean, invstd, workspace, _runtime.num_threads())
    kernel_ran("groupnorm_forward")
    return Normalized(y, mean, invstd)


def group_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    invstd: ArrayLike,
    weight: ArrayLike | None = None,
    need_dx: bool = True,
) -> tuple[NDArray | None, NDArray, NDArray]:
    """Gradients of `group_norm`.

    With x_hat = (x - mean) * invstd and g = dy * weight[c]:

    dx = invstd * (g - mean of g - x_hat * mean of (g * x_hat)),  means over a group of one image
    dweight, dbias = sums of dy * x_hat and of dy over all axes but the channels'

    Args:
        dy: gradient of the loss with respect to y.
        x, weight: as in `group_norm`.
        mean, invstd: those in the result of `group_norm`.
        need_dx: whether to compute dx.
    Shape:
        - dy, x: (N, C), (N, C, L) or (N, C, H, W)
        - mean, invstd: (N, num_groups); weight: (C,)
        - Result: (dx, dweight, dbias); dx has the shape of x, or is None; the others (C,)
    """
    x = _check.floats("group_norm_backward", "x", x, (2, 3, 4))
    dy = _check.floats("group_norm_backward", "dy", dy)
    _check.same_shape("group_norm_backward", dy=dy, x=x)
    n, channels = x.shape[:2]
    weight = _check.values("group_norm_backward", "weight", weight, channels, "channel")
    _check.same_dtype("group_norm_backward", dy=dy, x=x, weight=weight)
    mean = _check.numbers("group_norm_backward", "mean", mean)
    invstd = _check.numbers("group_norm_backward", "invstd", invstd)
    _check.same_shape("group_norm_backward", mean=mean, invstd=invstd)
    if mean.ndim != 2 or len(mean) != n or not mean.shape[1] or channels % mean.shape[1]:
        raise _check.fail("group_norm_backward", "mean must have shape (N, num_groups)", mean=mean, x=x)
    need_dx = _check.boolean("group_norm_backward", "need_dx", need_dx)
    if not x.size:
        dx = _empty(x) if need_dx else None
        return dx, np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)
    if _runtime.uses_reference():
        dx, dweight, dbias = reference.group_norm_backward(dy, x, mean, invstd, weight)
        return dx if need_dx else None, dweight, dbias
    dx = _empty(x) if need_dx else None
    dweight, dbias = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    images, native = _images(x), _runtime._native
    native.groupnorm_backward(
        _images(dy), images, mean, invstd, weight, None if dx is None else _images(dx), dweight, dbias,
        _memory.workspace(native.groupnorm_workspace(images, mean.shape[1])), _runtime.num_threads(),
    )  # fmt: skip
    kernel_ran("groupnorm_backward")
    return dx, dweight, dbias
