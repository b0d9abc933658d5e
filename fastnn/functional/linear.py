"""The fully connected layer."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, reference
from fastnn.autograd.products import product, product_transposed, transposed_product
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray
from fastnn.functional._conv2d_plan import Gradients, Plan, are_ready, kept, plan_for

__all__ = ["linear", "linear_backward"]

# A linear layer is the convolution of an image of one pixel with a filter of one tap.
_SETTINGS = (1, 1), (0, 0), (1, 1), 1, "direct"


def _plan(operation: str, x: NDArray, weight: NDArray) -> Plan:
    """How x @ weight.T is computed, all axes of x but the last being rows."""
    if not x.ndim:
        raise _check.fail(operation, "x has 0 dimensions, the last of one or more must be its features", x=x)
    if x.shape[-1] != weight.shape[1]:
        reason = f"x has {x.shape[-1]} features, weight expects {weight.shape[1]}"
        raise _check.fail(operation, reason, x=x, weight=weight)
    if min(weight.shape) < 1:
        raise _check.fail(operation, "weight must not be empty", weight=weight)
    rows = len(x) if x.ndim == 2 else math.prod(x.shape[:-1])
    return plan_for(operation, (rows, x.shape[-1], 1, 1), (*weight.shape, 1, 1), x.dtype, _SETTINGS)


class Linear(Op):
    """`linear` of (x, weight, bias)."""

    keeps: ClassVar = {0: "x", 1: "weight"}
    is_exact = is_fresh = True

    x: Any = None
    weight: Any = None
    plan: Plan
    shape: tuple[int, ...]  # of x
    order: tuple[int, ...] | None = None  # in which its rows lie
    in_rows: bool  # the weight lies as it reads, not transposed as layers keep it; so does its gradient then

    def forward(self, given_x: Any, given_weight: Any, bias: Any) -> NDArray:
        x, weight = given_x, given_weight
        if not are_ready(x, weight, bias, 2):
            x = _check.floats("linear", "x", x)
            weight = _check.floats("linear", "weight", weight, 2)
            bias = None if bias is None else _check.floats("linear", "bias", bias, 1)
            _check.same_dtype("linear", x=x, weight=weight, bias=bias)
        plan = self.plan = _plan("linear", x, weight)
        if bias is not None and len(bias) != len(weight):
            raise _check.fail("linear", f"bias needs {len(weight)} values", bias=bias, weight=weight)
        self.shape, self.order, own_x, own_weight = x.shape, None, x, weight
        y_shape = (*x.shape[:-1], len(weight))
        self.in_rows = _lies_in_rows(weight)
        if plan.uses_reference:
            y = reference.linear(x, weight, bias)
        else:
            order = self.order = _layout.row_order(x, 1)
            rows = _layout.ordered(x, order)
            own_x = x if order else rows
            if self.in_rows:
                y = product_transposed(rows.reshape(-1, x.shape[-1]), weight)
                if bias is not None:
                    np.add(y, bias, out=y)
            else:
                own_weight = _transposed(weight)
                bias = None if bias is None else _layout.contiguous(bias)
                y = plan.forward(rows.reshape(plan.x), own_weight.T.reshape(plan.taps), bias)
            y = _layout.in_rows(y, y_shape, order)
        if self.needs_grad:
            need_dx, need_dweight, need_dbias = self.needs_grad
            if need_dx:
                self.weight = kept(given_weight, weight, own_weight)
            if need_dweight or need_dbias:
                self.x = kept(given_x, x, own_x)
        return y

    def backward(self, dy: NDArray) -> Gradients:
        plan, (need_dx, need_dweight, need_dbias) = self.plan.now(), self.needs_grad
        if plan.uses_reference:
            return self._backward_by_reference(plan, dy)
        dx = dweight = dbias = None
        rows = _layout.ordered(dy, self.order).reshape(-1, dy.shape[-1])
        if need_dx and self.in_rows:
            dx = product(rows, self.weight)
        elif need_dx:
            dx = plan.backward_data(rows.reshape(plan.y), _transposed(self.weight).T.reshape(plan.taps))
        if need_dweight or need_dbias:
            x = _layout.ordered(self.x, self.order)
            if self.in_rows:
                dweight = transposed_product(rows, x.reshape(-1, self.shape[-1])) if need_dweight else None
                dbias = np.add.reduce(rows, 0, np.float64).astype(dy.dtype) if need_dbias else None
            else:
                dtaps, dbias = plan.backward_weight(x.reshape(plan.x), rows.reshape(plan.y), need_dbias)
                dweight = dtaps[0, 0].T if need_dweight else None
        return None if dx is None else _layout.in_rows(dx, self.shape, self.order), dweight, dbias

    def _backward_by_reference(self, plan: Plan, dy: NDArray) -> Gradients:
        # What was not kept is needed for what is not wanted.
        x = np.zeros(plan.x[2:], dy.dtype) if self.x is None else self.x.reshape(plan.x[2:])
        weight = np.zeros(plan.taps[:1:-1], dy.dtype) if self.weight is None else self.weight
        found = reference.linear_backward(dy.reshape(plan.y[2:]), x, weight)
        dx, dweight, dbias = (d if need else None for d, need in zip(found, self.needs_grad, strict=True))
        return None if dx is None else dx.reshape(self.shape), dweight, dbias


def _lies_in_rows(weight: NDArray) -> bool:
    return weight.flags.carray and not weight.flags.f_contiguous


def _transposed(weight: NDArray) -> NDArray:
    """`weight` itself if the transpose of it is C-contiguous, as the kernels read it, else a copy."""
    flags = weight.flags
    return weight if flags.f_contiguous and flags.aligned else _layout.contiguous(weight.T).T


def linear(x: AnyArray, weight: ArrayLike, bias: ArrayLike | None = None) -> AnyArray:
    """y = x @ weight.T + bias.

    Args:
        x: rows of features.
        weight: one row of weights for each output feature.
        bias: one value for each output feature, or None.
    Shape:
        - x: (..., in_features), float32 or float64
        - weight: (out_features, in_features); bias: (out_features,) or None
        - Result: (..., out_features)
    Raises:
        ValueError: shapes do not fit.
        TypeError: another dtype, or several.
    Example:
        >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([0.5, 0.0]))
        array([[11.5,  2. ]])

    Source: PyTorch's definition.
    """
    return run(Linear(), x, weight, bias)


def linear_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    need_dx: bool = True,
    need_dweight: bool = True,
    need_dbias: bool = True,
) -> Gradients:
    """Gradients of `linear`: dx = dy @ weight, dweight = dy.T @ x, dbias = the sum of dy over all axes but the last.

    Args:
        dy: gradient of the loss with respect to the result.
        x, weight: as in `linear`.
        need_dx, need_dweight, need_dbias: whether to compute these gradients; a gradient that is not needed is None.
    Shape:
        - dy: (..., out_features); x, weight: as in `linear`
        - Result: (dx, dweight, dbias) with the shapes of x, weight, bias; None where it is not needed
    """
    x = _check.floats("linear_backward", "x", x)
    weight = _check.floats("linear_backward", "weight", weight, 2)
    dy = _check.floats("linear_backward", "dy", dy)
    if not x.dtype is weight.dtype is dy.dtype:
        _check.same_dtype("linear_backward", dy=dy, x=x, weight=weight)
    op = Linear()
    op.plan, op.shape = _plan("linear_backward", x, weight), x.shape
    expected = (*x.shape[:-1], len(weight))
    if dy.shape != expected:
        raise _check.fail("linear_backward", f"dy must have shape {expected}", dy=dy, x=x, weight=weight)
    op.x, op.weight = x, weight
    op.in_rows = _lies_in_rows(weight)
    op.needs_grad = (
        _check.boolean("linear_backward", "need_dx", need_dx),
        _check.boolean("linear_backward", "need_dweight", need_dweight),
        _check.boolean("linear_backward", "need_dbias", need_dbias),
    )
    return op.backward(dy)
