"""The plans of a convolution, made once for each combination of shapes, dtype and settings.

Checking the arguments of a convolution and planning it takes longer than a small convolution. A network needs the same
few plans in every step, so they are kept. A `Plan` runs on arrays that lie as the kernels read them: pixels
(H, W, N, C) and taps (kernel_h, kernel_w, C_in / groups, C_out). src_c/ops/conv2d.c makes all decisions. They depend on
the shapes and the instruction set, never on threads or on what ran before. So the same program gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _memory, _runtime
from fastnn._watching import kernel_ran
from fastnn.functional._conv2d_algorithm import WINOGRAD_NEEDS, check_algorithm, wanted
from fastnn.functional._conv2d_geometry import Geometry, check_settings, geometry

__all__ = ["DIRECTIONS", "Gradients", "Norm", "Plan", "are_ready", "explain", "kept", "plan_for"]

DIRECTIONS = ("forward", "backward_data", "backward_weight")

Settings = tuple[Any, Any, Any, Any, Any]  # stride, padding, dilation, groups, algorithm, as `conv2d` takes them
Shape = tuple[int, int, int, int]
Gradients = tuple[NDArray | None, NDArray | None, NDArray | None]  # of x, weight, bias


class Norm(NamedTuple):
    """Batch norm with running statistics and the activation after it, applied where a convolution stores its result.

    The arrays have C_out values each, are C-contiguous, of the dtype of x.
    """

    mean: NDArray
    variance: NDArray
    weight: NDArray | None
    bias: NDArray | None
    eps: float
    activation: str | None


class Plan:
    """All directions of one convolution.

    Attributes:
        key: shapes, dtype and settings that the plan is for; the last item is the value of `_runtime.choices()`.
        geometry: sizes that follow from the settings.
        algorithm: the requested algorithm.
        why: where the request comes from, if it is not 'auto'.
        x, taps, y: shapes of the arrays as the kernels read them.
        uses_reference: whether the NumPy twin runs instead.
    """

    def __init__(self, key: tuple[Any, ...], g: Geometry) -> None:
        (n, c_in, h, w), (c_out, c_in_group, *kernel), self.dtype, (*_, self.algorithm), choices = key
        self.key, self.geometry = key, g
        preferred, isa, threads, backend = choices
        self.uses_reference = backend == "reference"
        self.x: Shape = (h, w, n, c_in)
        self.taps: Shape = (kernel[0], kernel[1], c_in_group, c_out)
        self.y: Shape = (*g.out, n, c_out)
        chosen, self.why = wanted(self.algorithm, preferred, kernel, g.stride, g.pad, g.dilation, g.groups)
        settings = g.stride, g.pad, g.dilation, g.groups, chosen, threads, isa
        self.directions = {
            direction: None
            if self.uses_reference or not n
            else _runtime._native.Conv2dPlan(direction, self.dtype, self.x, self.taps, self.y, *settings)
            for direction in DIRECTIONS
        }
        self._forward, self._backward_data, self._backward_weight = self.directions.values()

    def now(self) -> Plan:
        """The plan for the same convolution with the present threads, instruction set and backend."""
        if _runtime.choices() == self.key[-1]:
            return self
        return plan_for("conv2d", *self.key[:-1])

    def forward(
        self, x: NDArray, taps: NDArray, bias: NDArray | None, norm: Norm | None = None, residual: NDArray | None = None
    ) -> NDArray:
        """The pixels of y. With a norm, they are normalised, `residual` is added, and they are activated."""
        y, plan = _memory.empty(self.y, self.dtype), self._forward
        if plan is None:
            return y
        workspace = _memory.workspace(plan.workspace)
        if norm is None:
            _runtime._native.conv2d_forward(plan, x, taps, bias, y, workspace)
            kernel_ran("conv2d_forward", plan)
        else:
            _runtime._native.conv2d_norm_forward(plan, x, taps, bias, *norm, residual, y, workspace)
            kernel_ran("conv2d_norm_forward", plan)
        return y

    def backward_data(self, dy: NDArray, taps: NDArray, addend: NDArray | None = None) -> NDArray:
        """The pixels of dx, plus those of `addend`."""
        dx, plan = _memory.empty(self.x, self.dtype), self._backward_data
        if plan is not None:
            _runtime._native.conv2d_backward_data(plan, dy, taps, addend, dx, _memory.workspace(plan.workspace))
            kernel_ran("conv2d_backward_data", plan)
        return dx

    def backward_weight(self, x: NDArray, dy: NDArray, need_dbias: bool) -> tuple[NDArray, NDArray | None]:
        """The gradients of taps and bias."""
        plan, c_out = self._backward_weight, self.y[3]
        if plan is None:
            return np.zeros(self.taps, self.dtype), np.zeros(c_out, self.dtype) if need_dbias else None
        dtaps = _memory.empty(self.taps, self.dtype)
        dbias = np.empty(c_out, self.dtype) if need_dbias else None
        _runtime._native.conv2d_backward_weight(plan, x, dy, dtaps, dbias, _memory.workspace(plan.workspace))
        kernel_ran("conv2d_backward_weight", plan)
        return dtaps, dbias


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


class Explanation(NamedTuple):
    """How one direction of a convolution is computed.

    Attributes:
        algorithm: 'direct', 'im2col' or one of Winograd's.
        why: the reason, in a few words.
        way: the way through C: 'in runs', 'gathered', ...; each is a file of src_c/ops/.
    """

    algorithm: str
    why: str
    way: str


def explain(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
    direction: str = "forward",
    dtype: Any = np.float32,
) -> Explanation:
    """How `conv2d` and `conv2d_backward` compute with arrays of these shapes, and why.

    Args:
        x_shape, weight_shape: (N, C_in, H, W) and (C_out, C_in / groups, kernel_h, kernel_w).
        stride, padding, dilation, groups, algorithm: as in `conv2d`.
        direction: 'forward', 'backward_data' for dx, 'backward_weight' for dweight.
        dtype: of the arrays.
    Raises:
        ValueError: as `conv2d`; or there is no such direction.
        RuntimeError: the reference backend is in use, which has one way only.
    Example:
        >>> explain((128, 64, 32, 32), (64, 64, 3, 3), padding=1)
        Explanation(algorithm='winograd24', why='winograd24: 0.43 of the multiplications of direct', way='in tiles')
        >>> explain((1, 512, 2, 2), (512, 512, 3, 3), padding=1).way
        'of few rows'
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"conv2d: direction must be one of {', '.join(DIRECTIONS)}. Received: {direction!r}")
    settings = stride, padding, dilation, groups, algorithm
    found = plan_for("conv2d", tuple(x_shape), tuple(weight_shape), np.dtype(dtype), settings)
    if found.uses_reference:
        raise RuntimeError("conv2d: the reference backend computes by the definition alone")
    plan = found.directions[direction]
    if plan is None:
        return Explanation("direct", "direct: no images", "in runs")
    asked = _runtime.conv2d_algorithm() if algorithm == "auto" else algorithm
    if asked == "im2col" and plan.algorithm == "direct":
        why = "direct: the gradient of the weights by im2col is the same sum, without copies"
    elif found.why:
        why = f"{plan.algorithm}: {found.why}"
    elif plan.way == "of few rows":
        results = found.y[0] * found.y[1] * found.y[2]
        why = f"direct: only {results} results of each filter, so that reading the weights takes the time"
    elif plan.winograd == 0:
        why = f"direct: winograd needs {WINOGRAD_NEEDS}"
    else:
        shares = {"winograd": plan.winograd, "winograd24": plan.winograd24}
        best = min(shares, key=shares.__getitem__)
        why = f"{best}: {shares[best]:.2f} of the multiplications of direct"
    return Explanation(plan.algorithm, why, plan.way)


def are_ready(x: Any, weight: Any, bias: Any, ndim: int) -> bool:
    """Whether these are arrays of one floating-point dtype, with a weight of `ndim` dimensions; the usual case."""
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
    """The array to keep for backward: the input `given` itself, or a copy that the caller cannot change.

    `array` is the input as an array, and `read` has its values in the layout that the kernels read. The tape knows who
    owns the input itself.
    """
    if read is given:
        return given
    return read.copy("K") if np.may_share_memory(read, array) else read
