"""The fully connected layer."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._kernels import kernel_ran
from fastnn.autograd.tape import Op, run

__all__ = ["linear", "linear_backward"]

# A linear layer is the convolution of an image of one pixel with a filter of one tap.
_ONE = (1, 1)
_SETTINGS = (_ONE, (0, 0), _ONE, 1, "direct")


def _as_pixel(x: NDArray) -> NDArray:
    """The (1, 1, rows, features) view of a matrix, copied only if its memory is not C-contiguous."""
    return _layout.contiguous(x)[None, None]


def _check_weight(operation: str, x: NDArray, weight: NDArray) -> None:
    if x.shape[1] != weight.shape[1]:
        raise _check.fail(
            operation, f"x has {x.shape[1]} features, weight expects {weight.shape[1]}", x=x, weight=weight
        )
    if min(weight.shape) < 1:
        raise _check.fail(operation, "weight must not be empty", weight=weight)


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> NDArray:
    """y = x @ weight.T + bias.

    Shape:
        - x: (N, in_features), float32 or float64
        - weight: (out_features, in_features); bias: (out_features,) or None
        - Result: (N, out_features)
    Raises:
        ValueError: shapes do not fit.
    Example:
        >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([0.5, 0.0]))
        array([[11.5,  2. ]])
    """
    return run(Linear(), x, weight, bias)


class Linear(Op):
    keeps = {0: "x", 1: "weight"}
    is_exact = is_fresh = True

    def forward(self, x, weight, bias):
        self.x, self.weight = x, weight
        return _linear(x, weight, bias)

    def backward(self, dy):
        return linear_backward(dy, self.x, self.weight, *self.needs_grad)


def _linear(x, weight, bias):
    x = _check.floats("linear", "x", x, 2)
    weight = _check.floats("linear", "weight", weight, 2)
    bias = None if bias is None else _check.floats("linear", "bias", bias, 1)
    _check.same_dtype("linear", x=x, weight=weight, bias=bias)
    _check_weight("linear", x, weight)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise _check.fail("linear", f"bias needs {len(weight)} values", bias=bias, weight=weight)
    if _runtime.uses_reference():
        return reference.linear(x, weight, bias)
    y = _memory.empty((len(x), len(weight)), x.dtype)
    if len(x):
        native, threads = _runtime._native, _runtime.num_threads()
        x_pixel, tap, y_pixel = _as_pixel(x), _as_pixel(weight.T), y[None, None]
        n_bytes = native.conv2d_workspace("forward", x_pixel, tap, y_pixel, *_SETTINGS, threads)
        bias = None if bias is None else _layout.contiguous(bias)
        native.conv2d_forward(x_pixel, tap, bias, y_pixel, *_SETTINGS, _memory.workspace(n_bytes), threads)
        kernel_ran("conv2d_forward", tap, _SETTINGS)
    return y


def linear_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    need_dx: bool = True,
    need_dweight: bool = True,
    need_dbias: bool = True,
) -> tuple[NDArray | None, NDArray | None, NDArray | None]:
    """Gradients of `linear`: dx = dy @ weight, dweight = dy.T @ x, dbias = the sum of the rows of dy.

    Shape:
        - dy: (N, out_features); x, weight: as in `linear`
        - Result: (dx, dweight, dbias) with the shapes of x, weight, bias; None where it is not needed
    """
    x = _check.floats("linear_backward", "x", x, 2)
    weight = _check.floats("linear_backward", "weight", weight, 2)
    dy = _check.floats("linear_backward", "dy", dy, 2)
    _check.same_dtype("linear_backward", dy=dy, x=x, weight=weight)
    _check_weight("linear_backward", x, weight)
    if dy.shape != (len(x), len(weight)):
        raise _check.fail("linear_backward", f"dy must have shape {(len(x), len(weight))}", dy=dy, x=x, weight=weight)
    needed = need_dx, need_dweight, need_dbias
    for name, need in zip(("need_dx", "need_dweight", "need_dbias"), needed, strict=True):
        if need is not True and need is not False:
            _check.boolean("linear_backward", name, need)
    dx: NDArray | None = None
    dweight: NDArray | None = None
    dbias: NDArray | None = None
    if _runtime.uses_reference():
        all_of_them = reference.linear_backward(dy, x, weight)
        dx, dweight, dbias = (d if need else None for d, need in zip(all_of_them, needed, strict=True))
        return dx, dweight, dbias
    if not len(x):
        zeros = np.zeros_like(weight) if need_dweight else None
        return np.empty_like(x) if need_dx else None, zeros, np.zeros(len(weight), x.dtype) if need_dbias else None
    native, threads = _runtime._native, _runtime.num_threads()
    dy_pixel, tap = _as_pixel(dy), _as_pixel(weight.T)
    if need_dx:
        dx = _memory.empty(x.shape, x.dtype)
        n_bytes = native.conv2d_workspace("backward_data", dx[None, None], tap, dy_pixel, *_SETTINGS, threads)
        native.conv2d_backward_data(
            dy_pixel, tap, None, dx[None, None], *_SETTINGS, _memory.workspace(n_bytes), threads
        )
        kernel_ran("conv2d_backward_data", tap, _SETTINGS)
    if need_dweight or need_dbias:
        x_pixel = _as_pixel(x)
        dtap = _memory.empty(tap.shape, x.dtype)
        dbias = np.empty(len(weight), x.dtype) if need_dbias else None
        n_bytes = native.conv2d_workspace("backward_weight", x_pixel, dtap, dy_pixel, *_SETTINGS, threads)
        workspace = _memory.workspace(n_bytes)
        native.conv2d_backward_weight(x_pixel, dy_pixel, dtap, dbias, *_SETTINGS, workspace, threads)
        kernel_ran("conv2d_backward_weight", tap, _SETTINGS)
        dweight = dtap[0, 0].T if need_dweight else None
    return dx, dweight, dbias
