"""Tensors concatenated, stacked, split and repeated."""

import math
import operator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout, _runtime
from fastnn._watching import kernel_ran
from fastnn.autograd.arithmetic import LARGE
from fastnn.autograd.broadcasting import axes_of
from fastnn.autograd.methods import gradient_of
from fastnn.autograd.shapes import BroadcastTo, at_least, moveaxis
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import array_of, operand


class Concatenate(Op):
    """Arrays joined along an existing axis."""

    is_exact = True
    keeps: ClassVar = {}

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: NDArray) -> NDArray:
        self.likes = [(array.shape[self.axis], array.dtype) for array in arrays]
        first, kinds = arrays[0], {(array.ndim, array.dtype) for array in arrays}
        if len(kinds) > 1 or first.dtype.kind != "f":
            return np.concatenate(arrays, self.axis)
        axis = self.axis % first.ndim
        shape = (*first.shape[:axis], sum(size for size, _ in self.likes), *first.shape[axis + 1 :])
        out = _layout.empty_in(_layout.memory_order(first), shape, first.dtype)
        return out if _join_rows(False, arrays, out, axis) else np.concatenate(arrays, axis, out=out)

    def backward(self, dy: NDArray) -> tuple[NDArray | None, ...]:
        axis = self.axis % dy.ndim
        if all(self.needs_grad) and all(dtype == dy.dtype for _, dtype in self.likes) and dy.size >= LARGE:
            order = _layout.memory_order(dy)
            shapes = [(*dy.shape[:axis], size, *dy.shape[axis + 1 :]) for size, _ in self.likes]
            parts = tuple(_layout.empty_in(order, shape, dy.dtype) for shape in shapes)
            if _join_rows(True, parts, dy, axis):
                return parts
        start, gradients = 0, []
        for (size, dtype), need in zip(self.likes, self.needs_grad, strict=True):
            place = (slice(None),) * axis + (slice(start, start + size),)
            gradients.append(dy[place].astype(dtype, copy=False) if need else None)
            start += size
        return tuple(gradients)


_LEAST_LENGTH = 16  # elements side by side, of which a row is worth a copy of its own


def _join_rows(cuts: bool, parts: tuple[NDArray, ...], whole: NDArray, axis: int) -> bool:
    """Join parts along an axis on all threads, or cut `whole` into them, if all lie in memory alike; else say no."""
    if whole.size < LARGE or whole.dtype not in _check.FLOATS or _runtime.uses_reference():
        return False
    order = _layout.memory_order(whole)
    place = order.index(axis)
    rows = math.prod([whole.shape[i] for i in order[:place]])
    turned = [array.transpose(order) for array in (*parts, whole)]
    fits = all(
        array.dtype == whole.dtype
        and array.shape[:place] == turned[-1].shape[:place]
        and array.shape[place + 1 :] == turned[-1].shape[place + 1 :]
        and array.flags.c_contiguous
        and array.flags.aligned
        and array.size >= rows * _LEAST_LENGTH
        for array in turned
    )
    if not fits or not whole.flags.writeable:
        return False
    *matrices, wide = [array.reshape(rows, -1) for array in turned]
    _runtime._native.join_rows(cuts, matrices, wide, _runtime.num_threads())
    kernel_ran("join_rows")
    return True


class Stack(Op):
    """Arrays joined along a new axis."""

    is_exact = True
    keeps: ClassVar = {}

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: NDArray) -> NDArray:
        self.dtypes = [array.dtype for array in arrays]
        ndim = arrays[0].ndim + 1 if arrays else 0
        if len({array.shape for array in arrays}) != 1 or not -ndim <= self.axis < ndim:
            return np.stack(arrays, self.axis)  # says what is wrong
        axis = self.axis % ndim
        place = (*(slice(None),) * axis, None)
        return np.concatenate([array[place] for array in arrays], axis)

    def backward(self, dy: NDArray) -> tuple[NDArray | None, ...]:
        parts = zip(np.moveaxis(dy, self.axis, 0), self.dtypes, self.needs_grad, strict=True)
        return tuple(np.asarray(part, dtype) if need else None for part, dtype, need in parts)


class Split(Op):
    """Pieces of an array, cut along an axis at given indices."""

    is_exact = True
    is_view = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, sections: Any, axis: int) -> None:
        self.sections, self.axis = sections, axis

    def forward(self, x: NDArray) -> tuple[NDArray, ...]:
        self.shape = x.shape
        return tuple(np.array_split(x, self.sections, self.axis))

    def backward(self, *dys: NDArray) -> NDArray:
        dx = np.zeros(self.shape, dys[0].dtype)
        for part, dy in zip(np.array_split(dx, self.sections, self.axis), dys, strict=True):
            part += dy  # places that are not in order cut pieces that overlap
        return dx


# ---- joining and cutting ---------------------------------------------------------------------------------------------
def _parts(arrays: Any) -> list[Any]:
    """What is to be joined: the items of a list, or those along the first axis."""
    return [operand("np.concatenate", a) for a in arrays]


@gradient_of(np.concatenate)
def concatenate(arrays: Any, /, axis: int | None = 0) -> Any:
    parts = _parts(arrays)
    if axis is None:
        parts, axis = [part.reshape(-1) for part in parts], 0
    return run(Concatenate(axis), *parts)


@gradient_of(np.stack)
def stack(arrays: Any, axis: int = 0) -> Any:
    return run(Stack(axis), *_parts(arrays))


def _all_at_least(function: Any, arrays: Any) -> list[Any]:
    return [at_least(function, [part]) for part in _parts(arrays)]


@gradient_of(np.vstack)
def _vstack(tup: Any) -> Any:
    return concatenate(_all_at_least(np.atleast_2d, tup), 0)


@gradient_of(np.hstack)
def _hstack(tup: Any) -> Any:
    parts = _all_at_least(np.atleast_1d, tup)
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1)


@gradient_of(np.dstack)
def _dstack(tup: Any) -> Any:
    return concatenate(_all_at_least(np.atleast_3d, tup), 2)


@gradient_of(np.column_stack)
def _column_stack(tup: Any) -> Any:
    return concatenate([part if part.ndim > 1 else part.reshape(-1, 1) for part in _parts(tup)], 1)


@gradient_of(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return concatenate([arr, values], axis)


@gradient_of(np.block)
def _block(arrays: Any) -> Any:
    depth = _depth(arrays)
    return _joined(arrays, -depth, max(depth, *(leaf.ndim for leaf in _leaves(arrays))))


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, value)) if isinstance(value, list) else 0


def _joined(value: Any, axis: int, ndim: int) -> Any:
    if isinstance(value, list):
        return concatenate([_joined(item, axis + 1, ndim) for item in value], axis)
    value = operand("np.block", value)
    return value.reshape((1,) * (ndim - value.ndim) + value.shape)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [operand("np.block", value)]


@gradient_of(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return list(run(Split(array_of(indices_or_sections), axis), ary))


@gradient_of(np.split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % operator.index(indices_or_sections):
        raise ValueError(
            f"np.split: {ary.shape[axis]} along axis {axis} cannot be cut into {indices_or_sections} equal pieces"
        )
    return _array_split(ary, indices_or_sections, axis)


@gradient_of(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> Any:
    return _split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


@gradient_of(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return _split(ary, indices_or_sections, 0)


@gradient_of(np.dsplit)
def _dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return _split(ary, indices_or_sections, 2)


@gradient_of(*([np.unstack] if hasattr(np, "unstack") else ()))
def _unstack(x: Any, /, *, axis: int = 0) -> Any:
    return tuple(moveaxis(x, axis, 0))


# ---- again and again -------------------------------------------------------------------------------------------------
@gradient_of(np.tile)
def _tile(A: Any, reps: Any) -> Any:
    reps = tuple(reps) if np.ndim(reps) else (reps,)
    ndim = max(len(reps), A.ndim)
    reps, shape = (1,) * (ndim - len(reps)) + reps, (1,) * (ndim - A.ndim) + A.shape
    places = [size for pair in zip((1,) * ndim, shape, strict=True) for size in pair]
    wanted = [size for pair in zip(reps, shape, strict=True) for size in pair]
    full = [count * size for count, size in zip(reps, shape, strict=True)]
    if full == list(shape):
        return A.reshape(full).copy()
    return run(BroadcastTo(wanted), A.reshape(places)).reshape(full)


@gradient_of(np.repeat)
def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = a.reshape(-1), 0
    (axis,) = axes_of(axis, a.ndim)
    repeats = array_of(repeats)
    if np.size(repeats) != 1:
        return np.take(a, np.repeat(np.arange(a.shape[axis]), repeats), axis)
    count = int(np.asarray(repeats).item())
    if count == 1:
        return a.copy()
    before, after = a.shape[: axis + 1], a.shape[axis + 1 :]
    wide = run(BroadcastTo((*before, count, *after)), a.reshape(*before, 1, *after))
    return wide.reshape(*before[:-1], before[-1] * count, *after)
