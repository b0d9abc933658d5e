"""Parts of tensors: x[...], np.take, np.pad, np.sort."""

import operator
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout
from fastnn._watching import OBSERVERS
from fastnn.autograd.broadcasting import axes_of
from fastnn.autograd.elementwise import observed_answer
from fastnn.autograd.methods import gradient_of
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor, array_of, kind_of, tensor_of, wrap


class Slice(Op):
    """x[index] with integers, slices, None and ...: a view."""

    adds = adds_in_place = True
    is_exact = True
    is_view = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: NDArray) -> Any:
        if self.needs_grad:
            self.shape, self.order = x.shape, _layout.memory_order(x)
        return x[self.index]

    def backward(self, dy: NDArray, addend: NDArray | None = None, in_place: bool = False) -> NDArray:
        if addend is None:
            dx = _layout.empty_in(self.order, self.shape, dy.dtype)
            dx.fill(0)
            dx[self.index] = dy
        else:
            dx = addend if in_place else np.array(addend)
            dx[self.index] += dy
        return dx


class Unbind(Op):
    """All parts of x along its first axis, as views.

    As with `Slice`, the gradient has the memory order of x. A transposition before it is therefore undone without a
    copy.
    """

    is_exact = True
    is_view = True
    is_fresh = True
    keeps: ClassVar = {}

    def forward(self, x: NDArray) -> Any:
        self.shape, self.order = x.shape, _layout.memory_order(x)
        return tuple(x[i, ...] for i in range(len(x)))  # an array even of one number

    def backward(self, *dys: NDArray) -> NDArray:
        dx = _layout.empty_in(self.order, self.shape, dys[0].dtype)
        for i, dy in enumerate(dys):
            dx[i] = dy
        return dx


@gradient_of(iter)
def _parts(x: Tensor) -> Iterator[Tensor]:
    """All parts along the first axis, one after the other; if they are recorded, by one operation."""
    if RECORDING.get() and x._requires_grad and len(x):
        return iter(run(Unbind(), x))
    return (x[i] for i in range(len(x)))


class Pick(Op):
    """x[index] with integer arrays or masks. The gradients of an element that is picked several times are added.

    `given` is the index as the caller has it, as in `Take`.
    """

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, index: Any, given: Any = None) -> None:
        self.index, self.given = index, given

    def forward(self, x: NDArray) -> Any:
        self.shape = x.shape
        return x[self.index]

    def backward(self, dy: NDArray) -> NDArray:
        dx = np.zeros(self.shape, dy.dtype)
        if isinstance(self.index, np.ndarray) and self.index.dtype.kind == "b":
            dx[self.index] = dy
        else:
            np.add.at(dx, self.index, dy)
        return dx


class Take(Op):
    """x.take(indices, axis): whole slices along an axis. `given` are the indices as the caller has them, by which
    observers know them.
    """

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, indices: NDArray, axis: int, given: Any = None) -> None:
        self.indices, self.axis = indices, axis
        self.given = given if isinstance(given, np.ndarray) else indices

    def forward(self, x: NDArray) -> Any:
        self.shape = x.shape
        return np.take(x, self.indices, self.axis)

    def backward(self, dy: NDArray) -> NDArray:
        # Sorted by where they came from, those of one place lie together and are summed at once.
        places = self.indices.reshape(-1) % max(self.shape[self.axis], 1)
        dx = np.zeros(self.shape, dy.dtype)
        if dy.size:
            order = np.argsort(places, kind="stable")
            places = places[order]
            starts = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
            before, after = self.shape[: self.axis], self.shape[self.axis + 1 :]
            in_order = dy.reshape(*before, order.size, *after).take(order, self.axis)
            dx[(*(slice(None),) * self.axis, places[starts])] = np.add.reduceat(in_order, starts, self.axis)
        return dx


class TakeAlongAxis(Op):
    """np.take_along_axis(x, indices, axis). A single index without `keepdims` removes the axis; `given`: see `Take`."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, indices: NDArray, axis: int, keepdims: bool = True, given: Any = None) -> None:
        self.indices, self.axis, self.keepdims = indices, axis, keepdims
        self.given = given if isinstance(given, np.ndarray) else indices

    def forward(self, x: NDArray) -> Any:
        self.shape = x.shape
        indices = self.indices
        in_rows = x.ndim == indices.ndim == 2 and self.axis == 1 and len(indices) == len(x)
        if in_rows and indices.dtype.kind in "iu":  # np.take_along_axis in short
            y = x[np.arange(len(x))[:, None], indices]
        else:
            y = np.take_along_axis(x, self.indices, self.axis)
        return y if self.keepdims else y.squeeze(self.axis)

    def backward(self, dy: NDArray) -> NDArray:
        if not self.keepdims:
            dy = np.expand_dims(dy, self.axis)
        dx = np.zeros(self.shape, dy.dtype)
        places: list[Any] = list(np.ogrid[tuple(map(slice, self.shape))])
        places[self.axis] = self.indices
        np.add.at(dx, tuple(places), dy)
        return dx


class Pad(Op):
    """x padded with constants."""

    is_exact = True
    keeps: ClassVar = {}

    def __init__(self, widths: Any, values: Any) -> None:
        self.widths, self.values = widths, values

    def forward(self, x: NDArray) -> NDArray:
        self.inner = tuple(
            slice(first, first + size) for (first, _), size in zip(self.widths, x.shape, strict=True)
        )  # fmt: skip
        return np.pad(x, self.widths, constant_values=self.values)

    def backward(self, dy: NDArray) -> NDArray:
        return dy[self.inner]


_PLAIN = (int, slice, type(None), type(Ellipsis), np.integer)


def _is_plain(index: Any) -> bool:
    return isinstance(index, _PLAIN) and not isinstance(index, bool)


def _own(index: Any) -> Any:
    """An index that stays as it is."""
    value = array_of(index)
    if isinstance(value, list):
        array = np.array(value)
        return array if array.size else array.astype(np.intp)
    return value.copy() if isinstance(value, np.ndarray) else value


@gradient_of(operator.getitem)
def _getitem(x: Any, index: Any) -> Any:
    if type(index) is tuple:
        if all(map(_is_plain, index)):
            return run(Slice(index), x)
        return run(Pick(tuple(map(_own, index)), array_of(index)), x)
    if _is_plain(index):
        return run(Slice(index), x)
    given, index = array_of(index), _own(index)
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu" and x.ndim:
        return run(Take(index, 0, given), x)
    return run(Pick(index, given), x)


@gradient_of(np.take)
def _take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    a = tensor_of("np.take", a)
    if axis is None:
        a, axis = a.reshape(-1), 0
    (axis,) = axes_of(axis, a.ndim)
    given: Any = array_of(indices)
    indices = np.array(given)
    if mode != "raise":
        given = indices = np.take(np.arange(a.shape[axis]), indices, mode=mode)  # type: ignore[call-overload]
    return run(Take(indices, axis, given), a)


@gradient_of(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    arr = tensor_of("np.take_along_axis", arr)
    if axis is None:
        arr, axis = arr.reshape(-1), 0
    (axis,) = axes_of(axis, arr.ndim)
    given = array_of(indices)
    return run(TakeAlongAxis(np.array(given), axis, given=given), arr)


@gradient_of(np.sort)
def _sort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Any:
    if axis is None:
        a, axis = a.reshape(-1), 0
    (axis,) = axes_of(axis, a.ndim)
    if OBSERVERS.get():
        order = observed_answer(np.argsort, a, axis=axis, kind="stable")
        return run(TakeAlongAxis(array_of(order), axis), a)
    return run(TakeAlongAxis(np.argsort(array_of(a), axis, "stable"), axis), a)


@gradient_of(np.compress)
def _compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    return _take(a, np.flatnonzero(array_of(condition)), axis)


@gradient_of(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return _take(arr, np.flatnonzero(array_of(condition)))


@gradient_of(np.delete)
def _delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    arr = tensor_of("np.delete", arr)
    n = arr.size if axis is None else arr.shape[axis]
    return _take(arr, np.delete(np.arange(n), array_of(obj)), axis)


_MODES = ("edge", "reflect", "symmetric", "wrap")


@gradient_of(np.pad)
def _pad(
    array: Any, pad_width: Any, mode: Any = "constant", *, constant_values: Any = 0, reflect_type: Any = "even"
) -> Any:
    if isinstance(pad_width, dict):
        widths = np.zeros((array.ndim, 2), np.int64)
        for axis, width in pad_width.items():
            widths[axis] = width
    else:
        widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2))
    if mode == "constant" and not isinstance(constant_values, Tensor):
        return run(Pad([(int(first), int(last)) for first, last in widths], constant_values), array)
    if mode not in _MODES or reflect_type != "even":
        modes = ", ".join(("constant", *_MODES))
        raise TypeError(
            f"np.pad has a gradient here in the modes {modes}, with numbers for constants and reflect_type='even'. "
            f"Received: mode={mode!r}, reflect_type={reflect_type!r}"
        )
    for axis, width in enumerate(widths):
        if width.any():  # what stands there is taken from inside
            array = run(Take(np.pad(np.arange(array.shape[axis]), width, mode), axis), array)
    return array if widths.any() else array.copy()


@gradient_of(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None) -> Any:
    if isinstance(fill_value, Tensor):
        return np.broadcast_to(fill_value.astype(dtype or np.result_type(array_of(a))), np.shape(a)).copy()
    return wrap(np.full_like(array_of(a), fill_value, dtype), kind_of(a))
