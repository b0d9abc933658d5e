"""Convolutions of arrays that lie as the kernels read them, without looking at every argument again.

To check the arguments of `conv2d` takes longer than a small convolution. A network asks for the same few shapes in
every step, so what follows from shapes, dtypes and settings is found out once and kept. Layers ask here first; what
does not fit is left to `conv2d`, which converts it or says what is wrong.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout, _memory, _runtime
from fastnn._kernels import kernel_ran
from fastnn._layout import _TO_PIXELS
from fastnn.functional._conv2d_algorithm import check_algorithm, choose
from fastnn.functional._conv2d_geometry import Geometry, geometry

__all__ = ["Norm", "Settings", "backward", "forward"]

Settings = tuple[Any, Any, Any, int, str]  # stride, padding, dilation, groups, algorithm, as `conv2d` takes them
Shape = tuple[int, int, int, int]

_TO_TAPS = (2, 3, 1, 0)


class Norm(NamedTuple):
    """Batch norm with running statistics, and what comes after it, where a convolution stores its result."""

    mean: NDArray
    variance: NDArray
    weight: NDArray | None
    bias: NDArray | None
    eps: float
    activation: str | None


class _Kernel(NamedTuple):
    """How one direction is computed."""

    settings: tuple[Any, ...]
    workspace: int  # bytes


class _Plan(NamedTuple):
    """All directions of a convolution."""

    y: Shape  # (H_out, W_out, N, C_out)
    forward: _Kernel | None  # None: by im2col
    backward_data: _Kernel | None
    backward_weight: _Kernel | None
    threads: int


def _kernel(
    direction: str, x: NDArray, weight: NDArray, y: Shape, g: Geometry, algorithm: str, threads: int
) -> _Kernel | None:
    chosen = choose(direction, algorithm, x, weight, g)
    if chosen == "im2col":
        return None
    for_kernel = g.stride, g.pad, g.dilation, g.groups, chosen
    shapes = (*x.shape[2:], *x.shape[:2]), (*weight.shape[2:], *weight.shape[1::-1]), y
    arrays = [np.empty(shape, x.dtype) for shape in shapes]  # never touched
    return _Kernel(for_kernel, _runtime._native.conv2d_workspace(direction, *arrays, *for_kernel, threads))


@functools.lru_cache(maxsize=4096)
def _plan(
    pixels: Shape, taps: Shape, dtype: np.dtype, settings: Settings, choices: tuple[str, str, int, str]
) -> _Plan | None:
    """For x of shape (H, W, N, C_in) and a weight of (kernel_h, kernel_w, C_in / groups, C_out); None if nothing can be
    planned. `choices` are those of now.
    """
    (h, w, n, c_in), (kernel_h, kernel_w, c_in_group, c_out) = pixels, taps
    _, _, threads, backend = choices
    if backend == "reference" or dtype not in _check.FLOATS or not n:
        return None
    x, weight = (np.broadcast_to(dtype.type(0), s) for s in ((n, c_in, h, w), (c_out, c_in_group, kernel_h, kernel_w)))
    *hyper_parameters, algorithm = settings
    g = geometry("conv2d", x, weight, *hyper_parameters)
    check_algorithm("conv2d", algorithm, weight.shape[2:], g.stride, g.pad, g.dilation, g.groups)
    y = (*g.out, n, c_out)
    of = functools.partial(_kernel, x=x, weight=weight, y=y, g=g, algorithm=algorithm, threads=threads)
    return _Plan(y, of("forward"), of("backward_data"), of("backward_weight"), threads)


def _look_up(pixels: NDArray | None, taps: NDArray | None, settings: Settings) -> _Plan | None:
    if pixels is None or taps is None or pixels.dtype != taps.dtype:
        return None
    try:
        return _plan(pixels.shape, taps.shape, pixels.dtype, settings, _runtime.choices())
    except (TypeError, ValueError):
        return None  # `conv2d` says what is wrong, or takes a list


def _as_it_lies(x: Any, axes: tuple[int, ...]) -> NDArray | None:
    """`x.transpose(axes)`, if that can be read and written as it is."""
    if type(x) is not np.ndarray or x.ndim != 4:
        return None
    view = x.transpose(axes)
    return view if view.flags.carray else None


def _fits(x: NDArray | None, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    return x is not None and x.shape == shape and x.dtype == dtype and x.flags.carray


def forward(
    x: NDArray,
    weight: NDArray,
    bias: NDArray | None,
    settings: Settings,
    norm: Norm | None = None,
    residual: NDArray | None = None,
) -> NDArray | None:
    """What `convolve` returns; None if that has to be asked."""
    pixels, taps = _as_it_lies(x, _TO_PIXELS), _as_it_lies(weight, _TO_TAPS)
    added = None if residual is None else _as_it_lies(residual, _TO_PIXELS)
    plan = _look_up(pixels, taps, settings)
    if plan is None or plan.forward is None:
        return None
    if bias is not None and not _fits(bias, plan.y[3:], x.dtype):
        return None
    if residual is not None and not _fits(added, plan.y, x.dtype):
        return None
    y, workspace = _memory.empty(plan.y, x.dtype), _memory.workspace(plan.forward.workspace)
    last = y, *plan.forward.settings, workspace, plan.threads
    if norm is None:
        _runtime._native.conv2d_forward(pixels, taps, bias, *last)
        kernel_ran("conv2d_forward", taps, plan.forward.settings)
    else:
        _runtime._native.conv2d_norm_forward(pixels, taps, bias, *norm, added, *last)
        kernel_ran("conv2d_norm_forward", taps, plan.forward.settings)
    return _layout.images(y)


def backward(
    dy: NDArray, x: NDArray, weight: NDArray, settings: Settings, needs: tuple[bool, bool, bool], addend: NDArray | None
) -> tuple[NDArray | None, NDArray | None, NDArray | None] | None:
    """What `conv2d_backward` returns, with `needs` (need_dx, need_dweight, need_dbias); None if it has to be asked."""
    pixels, taps, dy_pixels = _as_it_lies(x, _TO_PIXELS), _as_it_lies(weight, _TO_TAPS), _as_it_lies(dy, _TO_PIXELS)
    added = None if addend is None else _as_it_lies(addend, _TO_PIXELS)
    plan, dtype = _look_up(pixels, taps, settings), x.dtype
    if plan is None or pixels is None or taps is None or plan.backward_data is None or plan.backward_weight is None:
        return None
    if not _fits(dy_pixels, plan.y, dtype) or (addend is not None and not _fits(added, pixels.shape, dtype)):
        return None
    need_dx, need_dweight, need_dbias = needs
    dx = dtaps = dbias = None
    if need_dx:
        dx, workspace = _memory.empty(pixels.shape, dtype), _memory.workspace(plan.backward_data.workspace)
        _runtime._native.conv2d_backward_data(
            dy_pixels, taps, added, dx, *plan.backward_data.settings, workspace, plan.threads
        )
        kernel_ran("conv2d_backward_data", taps, plan.backward_data.settings)
    if need_dweight or need_dbias:
        dtaps, workspace = _memory.empty(taps.shape, dtype), _memory.workspace(plan.backward_weight.workspace)
        dbias = np.empty(plan.y[3], dtype) if need_dbias else None
        _runtime._native.conv2d_backward_weight(
            pixels, dy_pixels, dtaps, dbias, *plan.backward_weight.settings, workspace, plan.threads
        )
        kernel_ran("conv2d_backward_weight", taps, plan.backward_weight.settings)
    dweight = dtaps.transpose(3, 2, 0, 1) if need_dweight and dtaps is not None else None
    return None if dx is None else _layout.images(dx), dweight, dbias
