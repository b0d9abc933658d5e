"""How a convolution is computed, found out once for each combination of shapes, dtype and settings.

To check the arguments of a convolution and to choose its algorithms takes longer than a small one. A network asks for
the same few in every step, so the answer is kept: a `Plan`, which runs on arrays that lie as the kernels read them,
pixels (H, W, N, C) and taps (kernel_h, kernel_w, C_in / groups, C_out).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _memory, _runtime
from fastnn._watching import kernel_ran
from fastnn.autograd.addition import added
from fastnn.functional._conv2d_algorithm import check_algorithm, decide
from fastnn.functional._conv2d_geometry import Geometry, check_settings, geometry

__all__ = ["Gradients", "Norm", "Plan", "are_ready", "kept", "plan_for"]

Settings = tuple[Any, Any, Any, Any, Any]  # stride, padding, dilation, groups, algorithm, as `conv2d` takes them
Shape = tuple[int, int, int, int]
Gradients = tuple[NDArray | None, NDArray | None, NDArray | None]  # of x, weight, bias

_ONE_BY_ONE = (1, 1), (0, 0), (1, 1)  # stride, padding, dilation


class Norm(NamedTuple):
    """Batch norm with running statistics, and what comes after it, where a convolution stores its result.

    The arrays have C_out values each, are C-contiguous, of the dtype of x.
    """

    mean: NDArray
    variance: NDArray
    weight: NDArray | None
    bias: NDArray | None
    eps: float
    activation: str | None


class _Kernel(NamedTuple):
    """How one direction is computed."""

    settings: tuple[Any, ...]  # stride, padding, dilation, groups, algorithm
    workspace: int  # bytes
    by_patches: bool


class Plan:
    """All directions of one convolution.

    By im2col, the patches are the rows of one matrix, in the order of pixels: (pixels * n) rows of (groups, taps,
    channels of a group). As images they have one pixel and one tap, and so the other kernels multiply them.

    Attributes:
        key: what it is for; the last of it is what `_runtime.choices()` gave.
        geometry: what follows from the settings.
        algorithm: as it was asked for.
        x, taps, y: shapes, as the kernels read the arrays.
        uses_reference: whether the NumPy twin is to run instead.
    """

    def __init__(self, key: tuple[Any, ...], g: Geometry) -> None:
        (n, c_in, h, w), (c_out, c_in_group, *kernel), self.dtype, (*_, self.algorithm), choices = key
        self.key, self.geometry = key, g
        _, self._isa, self._threads, backend = choices
        self.uses_reference = backend == "reference"
        self.x: Shape = (h, w, n, c_in)
        self.taps: Shape = (kernel[0], kernel[1], c_in_group, c_out)
        self.y: Shape = (*g.out, n, c_out)
        # `groups` images of the channels of one group are as good as one of all.
        self._patches = (n * g.groups, c_in // g.groups, h, w), g.out, tuple(kernel), g.stride, g.pad, g.dilation
        self._rows: Shape = (1, 1, g.out[0] * g.out[1] * n, c_in * kernel[0] * kernel[1])
        self._forward, self._backward_data, self._backward_weight = (
            None if self.uses_reference or not n else self._kernel(direction)
            for direction in ("forward", "backward_data", "backward_weight")
        )

    def _kernel(self, direction: str) -> _Kernel:
        g, (preferred, isa, threads, _) = self.geometry, self.key[-1]
        chosen, _ = decide(direction, self.algorithm, preferred, isa, self.key[0], self.key[1], g)
        settings, shapes = (g.stride, g.pad, g.dilation, g.groups, chosen), (self.x, self.taps, self.y)
        if chosen == "im2col":
            settings = *_ONE_BY_ONE, g.groups, "direct"
            shapes = self._rows, _as_matrix(self.taps), _as_matrix(self.y)
        arrays = [np.empty(shape, self.dtype) for shape in shapes]  # never touched
        n_bytes = _runtime._native.conv2d_workspace(direction, *arrays, *settings, threads, isa)
        return _Kernel(settings, n_bytes, chosen == "im2col")

    def now(self) -> "Plan":
        """The plan for the same by the number of threads, the instruction set and the backend of now."""
        if _runtime.choices() == self.key[-1]:
            return self
        return plan_for("conv2d", *self.key[:-1])

    def forward(
        self, x: NDArray, taps: NDArray, bias: NDArray | None, norm: Norm | None = None, residual: NDArray | None = None
    ) -> NDArray:
        """The pixels of y: with a norm, of that of y, plus the pixels `residual`."""
        result, kernel = _memory.empty(self.y, self.dtype), self._forward
        if kernel is None:
            return result
        y = result
        if kernel.by_patches:
            x, taps, y = self._patches_of(x), taps.reshape(_as_matrix(self.taps)), y.reshape(_as_matrix(self.y))
            residual = None if residual is None else residual.reshape(y.shape)
        last = y, *kernel.settings, _memory.workspace(kernel.workspace), self._threads, self._isa
        if norm is None:
            _runtime._native.conv2d_forward(x, taps, bias, *last)
            kernel_ran("conv2d_forward", taps, kernel.settings)
        else:
            _runtime._native.conv2d_norm_forward(x, taps, bias, *norm, residual, *last)
            kernel_ran("conv2d_norm_forward", taps, kernel.settings)
        return result

    def backward_data(self, dy: NDArray, taps: NDArray, addend: NDArray | None = None) -> NDArray:
        """The pixels of dx, plus those of `addend`."""
        dx, kernel = _memory.empty(self.x, self.dtype), self._backward_data
        if kernel is None:
            return dx
        last = *kernel.settings, _memory.workspace(kernel.workspace), self._threads, self._isa
        if not kernel.by_patches:
            _runtime._native.conv2d_backward_data(dy, taps, addend, dx, *last)
            kernel_ran("conv2d_backward_data", taps, kernel.settings)
            return dx
        rows = _memory.empty(self._rows, self.dtype)
        matrices = dy.reshape(_as_matrix(self.y)), taps.reshape(_as_matrix(self.taps))
        _runtime._native.conv2d_backward_data(*matrices, None, rows, *last)
        kernel_ran("conv2d_backward_data", matrices[1], kernel.settings)
        _runtime._native.col2im(False, rows.reshape(-1), dx.reshape(-1), *self._patches, self._threads)
        kernel_ran("col2im")
        return dx if addend is None else added(dx, addend)

    def backward_weight(self, x: NDArray, dy: NDArray, need_dbias: bool) -> tuple[NDArray, NDArray | None]:
        """The gradients of taps and bias."""
        kernel, c_out = self._backward_weight, self.y[3]
        if kernel is None:
            return np.zeros(self.taps, self.dtype), np.zeros(c_out, self.dtype) if need_dbias else None
        result = dtaps = _memory.empty(self.taps, self.dtype)
        dbias = np.empty(c_out, self.dtype) if need_dbias else None
        if kernel.by_patches:
            x, dy = self._patches_of(x), dy.reshape(_as_matrix(self.y))
            dtaps = dtaps.reshape(_as_matrix(self.taps))
        last = *kernel.settings, _memory.workspace(kernel.workspace), self._threads, self._isa
        _runtime._native.conv2d_backward_weight(x, dy, dtaps, dbias, *last)
        kernel_ran("conv2d_backward_weight", dtaps, kernel.settings)
        return result, dbias

    def _patches_of(self, x: NDArray) -> NDArray:
        rows = _memory.empty(self._rows, self.dtype)
        _runtime._native.im2col(False, x.reshape(-1), rows.reshape(-1), *self._patches, self._threads)
        kernel_ran("im2col")
        return rows


def _as_matrix(shape: Shape) -> Shape:
    """All but the last axis are one."""
    return 1, 1, shape[0] * shape[1] * shape[2], shape[3]


_plans: dict[tuple[Any, ...], Plan] = {}
_MOST_PLANS = 4096


def plan_for(
    operation: str,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    dtype: np.dtype,
    settings: Settings,
) -> Plan:
    """The plan of a convolution of (N, C_in, H, W) with (C_out, C_in / groups, kernel_h, kernel_w).

    Raises:
        ValueError, TypeError: shapes or settings do not fit, or the algorithm cannot do them.
    """
    # What is looked for must be exact: 1.0 and True equal 1, and a list cannot be looked for.
    stride, padding, dilation, groups, algorithm = exact = settings
    if not (type(groups) is int and _is_pair(stride) and _is_pair(padding) and _is_pair(dilation)):
        exact = *check_settings(operation, stride, padding, dilation, groups), algorithm
    key = x_shape, weight_shape, dtype, exact, _runtime.choices()
    plan = _plans.get(key) if isinstance(algorithm, str) else None
    if plan is None:
        g = geometry(operation, x_shape, weight_shape, stride, padding, dilation, groups)
        check_algorithm(operation, algorithm, weight_shape[2:], g.stride, g.pad, g.dilation, g.groups)
        plan = Plan(key, g)
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[key] = plan
    return plan


def are_ready(x: Any, weight: Any, bias: Any, ndim: int) -> bool:
    """Whether these are arrays of one dtype of floats, as nearly always, with a weight of `ndim` dimensions."""
    return (
        type(x) is type(weight) is np.ndarray
        and x.dtype is weight.dtype
        and x.dtype in _check.FLOATS
        and weight.ndim == ndim
        and (bias is None or (type(bias) is np.ndarray and bias.dtype is x.dtype and bias.ndim == 1))
    )


def _is_pair(value: Any) -> bool:
    return type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int


def kept(given: Any, array: NDArray, read: NDArray) -> NDArray:
    """What to keep of the input `given`, which is `array` and lies in memory as the kernels read it in `read`.

    That is the input itself, of which the tape knows whose it is, or an array of our own.
    """
    if read is given:
        return given
    return read.copy("K") if np.may_share_memory(read, array) else read
