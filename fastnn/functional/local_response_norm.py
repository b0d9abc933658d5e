"""Local response normalisation."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray

__all__ = ["local_response_norm", "local_response_norm_backward"]


def local_response_norm(x: AnyArray, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> AnyArray:
    """Divide each value by a power of the mean square of its neighbours in other channels.

    y[n, c, i, j] = x[n, c, i, j] / (k + alpha / size * sum over c' of x[n, c', i, j]^2)^beta

    where c' runs from c - size // 2 to c + (size - 1) // 2, as far as there are channels.

    Args:
        x: images.
        size: how many neighbouring channels are summed.
        alpha, beta, k: constants of the formula, in which alpha is divided by `size`.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: the same
    Raises:
        ValueError: shapes or hyper-parameters do not fit.
        TypeError: another dtype.
    Example:
        >>> local_response_norm(np.full((1, 1, 1, 1), 2.0), 1, alpha=2.0, beta=0.5, k=1.0)[0, 0, 0, 0].round(4)
        np.float64(0.6667)

    Source: Krizhevsky et al., 2012, "ImageNet classification with deep convolutional neural networks"; alpha / size as
    in PyTorch's definition.
    """
    return run(LocalResponseNorm(size, alpha, beta, k), x)


class LocalResponseNorm(Op):
    """`local_response_norm` with these settings."""

    keeps: ClassVar = {0: "x"}
    is_exact = is_fresh = True

    def __init__(self, *settings: Any) -> None:
        self.settings = settings

    def forward(self, x: ArrayLike) -> NDArray:
        self.x = x
        return _forward(x, *self.settings)

    def backward(self, dy: NDArray) -> NDArray:
        return local_response_norm_backward(dy, self.x, *self.settings)


def _forward(x: ArrayLike, size: int, alpha: float, beta: float, k: float) -> NDArray:
    x = _check.floats("local_response_norm", "x", x, 4)
    settings = settings_of("local_response_norm", size, alpha, beta, k)
    if _runtime.uses_reference():
        return reference.local_response_norm(x, *settings)
    y = _layout.empty_images(x.shape, x.dtype)
    if y.size:
        rows, threads = _rows(x), _runtime.num_threads()
        workspace = _memory.workspace(_runtime._native.local_response_norm_workspace(rows, settings[0], threads))
        _runtime._native.local_response_norm_forward(rows, _rows(y), *settings, workspace, threads)
        kernel_ran("local_response_norm_forward")
    return y


def local_response_norm_backward(
    dy: ArrayLike, x: ArrayLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> NDArray:
    """The gradient of `local_response_norm` with respect to x.

    Args:
        dy: gradient of the loss with respect to the result.
        x, size, alpha, beta, k: as in `local_response_norm`.
    Shape:
        - dy, x: (N, C, H, W), float32 or float64
        - Result: the same
    """
    operation = "local_response_norm_backward"
    dy = _check.floats(operation, "dy", dy, 4)
    x = _check.floats(operation, "x", x, 4)
    _check.same_shape(operation, dy=dy, x=x)
    _check.same_dtype(operation, dy=dy, x=x)
    settings = settings_of(operation, size, alpha, beta, k)
    if _runtime.uses_reference():
        return reference.local_response_norm_backward(dy, x, *settings)
    dx = _layout.empty_images(x.shape, x.dtype)
    if dx.size:
        rows, threads = _rows(x), _runtime.num_threads()
        workspace = _memory.workspace(_runtime._native.local_response_norm_workspace(rows, settings[0], threads))
        _runtime._native.local_response_norm_backward(_rows(dy), rows, _rows(dx), *settings, workspace, threads)
        kernel_ran("local_response_norm_backward")
    return dx


def settings_of(operation: str, size: Any, alpha: Any, beta: Any, k: Any) -> tuple[int, float, float, float]:
    """The checked settings."""
    given = {"alpha": alpha, "beta": beta, "k": k}
    alpha, beta, k = (_check.number(operation, name, value, finite=True) for name, value in given.items())
    return _check.integer(operation, "size", size, 1, _check.MOST_SETTING), alpha, beta, k


def _rows(x: NDArray) -> NDArray:
    """The (H * W * N, C) matrix of images."""
    return _layout.pixels(x).reshape(-1, x.shape[1])
