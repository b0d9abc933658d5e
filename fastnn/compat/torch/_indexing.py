"""Parts of tensors by their places: x[...], gather, scatter, masks, and numbers put there."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.indexing import Pick, Slice, Take, TakeAlongAxis
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._promotion import cast, tensor_from
from fastnn.compat.torch._shapes import axis_of, stack
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import Tensor, checked_out, method, new, viewed, wrapped

__all__ = [
    "argwhere",
    "combinations",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_put_",
    "index_select",
    "masked_scatter",
    "masked_select",
    "nonzero",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "take",
    "take_along_dim",
    "unravel_index",
]

_PLAIN = (int, slice, type(None), type(Ellipsis))


def own_index(x: Tensor, index: Any) -> Any:
    """An index of NumPy for one of PyTorch, which stays as it is."""
    parts = index if type(index) is tuple else (index,)
    found = tuple([_own_part(part) for part in parts])
    return found if type(index) is tuple or isinstance(index, tuple) else found[0]


def _own_part(part: Any) -> Any:
    kind = type(part)
    if kind is int or part is None or part is Ellipsis:
        return part
    if kind is slice:
        if part.step is not None and part.step < 0:
            raise ValueError("step must be greater than zero: use torch.flip")
        if any(isinstance(value, NumPyTensor) for value in (part.start, part.stop, part.step)):
            ends = (part.start, part.stop, part.step)
            return slice(*(None if value is None else int(value) for value in ends))
        return part
    if isinstance(part, NumPyTensor):
        array = part._data
        if array.dtype.kind == "f":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if array.dtype == np.uint8:  # a mask, as once was the custom
            return array.astype(bool)
        return int(array) if not array.ndim and array.dtype.kind != "b" else array.copy()
    if isinstance(part, list | tuple | range):
        array = np.array([value._data if isinstance(value, NumPyTensor) else value for value in part])
        return array if array.size else array.astype(np.intp)
    if isinstance(part, np.ndarray):
        return part.copy()
    return part


def _getitem(self: Tensor, index: Any) -> Tensor:
    kind = type(index)
    if kind is int and not self._data.ndim:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
            "0-dim tensor to a number"
        )
    if kind is int:
        return viewed(self, Slice((index, ...)))  # one element, too, is a view
    if kind is slice or (kind is tuple and all(type(part) in _PLAIN for part in index)):
        steps = index if kind is tuple else (index,)
        for part in steps:
            if type(part) is slice and part.step is not None and part.step < 0:
                raise ValueError("step must be greater than zero: use torch.flip")
        return viewed(self, Slice(steps if Ellipsis in steps else (*steps, ...)))
    own = own_index(self, index)
    if type(own) is not tuple:
        if isinstance(own, int):
            return viewed(self, Slice(own))
        if isinstance(own, np.ndarray) and own.dtype.kind in "iu" and self._data.ndim:
            try:
                return run(Take(own, 0), self)
            except IndexError:
                _check_places(own, self._data.shape[0])
                raise
    elif all(isinstance(part, _PLAIN) and not isinstance(part, bool) for part in own):
        return viewed(self, Slice(own))
    return run(Pick(own), self)


def _check_places(indices: NDArray, size: int) -> None:
    if indices.size and (indices.min() < -size or indices.max() >= size):
        raise IndexError(f"index out of range: indices from {indices.min()} to {indices.max()}, size {size}")


Tensor.__getitem__ = _getitem  # type: ignore[method-assign]


# ---- reading ---------------------------------------------------------------------------------------------------------
@method
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False, out: Any = None) -> Tensor:
    """input at [.., index, ..] along an axis, of the shape of `index`."""
    axis, places = axis_of(dim, input._data.ndim), index._data
    if places.ndim != input._data.ndim:
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    if not places.ndim:
        return checked_out(input.clone(), out)
    part = tuple(slice(None) if i == axis else slice(0, n) for i, n in enumerate(places.shape))
    _check_not_negative("gather", places, input._data.shape[axis])
    x = input if part == (slice(None),) * len(part) else run(Slice(part), input)
    return checked_out(run(TakeAlongAxis(places.copy(), axis, given=places), x), out)


def _check_not_negative(name: str, indices: NDArray, size: int) -> None:
    if indices.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int64 for index")
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        wrong = int(indices.min()) if indices.min() < 0 else int(indices.max())
        raise RuntimeError(f"index {wrong} is out of bounds for dimension with size {size}")


@method
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """input at these places along an axis; shapes are broadcast."""
    if dim is None:
        return run(Take(indices._data.reshape(-1).copy(), 0), input.reshape(-1))
    return run(TakeAlongAxis(indices._data.copy(), axis_of(dim, input._data.ndim)), input)


@method
def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """Whole slices across an axis."""
    axis = axis_of(dim, input._data.ndim)
    _check_not_negative("index_select", index._data, input._data.shape[axis])
    return run(Take(index._data.reshape(-1).copy(), axis), input)


@method
def take(input: Any, index: Any) -> Tensor:
    """Elements by their number."""
    return run(Take(index._data.copy(), 0), input.reshape(-1))


@method
def masked_select(input: Any, mask: Any) -> Tensor:
    """The elements where the mask is True, in one axis."""
    shape = np.broadcast_shapes(input._data.shape, mask._data.shape)
    return run(Pick(np.broadcast_to(mask._data.astype(bool), shape).copy()), input.expand(*shape))


@method
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places of what is not 0: a row each; or a tensor for each axis."""
    places = np.nonzero(input._data)
    if as_tuple:
        return tuple(map(wrapped, places))
    return new(np.stack(places, 1) if places else np.zeros((0, 0), np.int64))


@method
def argwhere(input: Any) -> Tensor:
    """`nonzero`"""
    return nonzero(input)


# ---- writing ---------------------------------------------------------------------------------------------------------
class _Put(Op):
    """x with values put at places, or added there; places are unique, or values are added."""

    is_exact = is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, places: Any, adds: bool) -> None:
        self.places, self.is_sum = places, adds

    def forward(self, x: NDArray, values: NDArray) -> NDArray:
        y = x.copy("K")
        self.like = values.shape, values.dtype
        if self.is_sum:
            np.add.at(y, self.places, values)
        else:
            y[self.places] = values
        return y

    def backward(self, dy: NDArray) -> tuple[NDArray | None, NDArray | None]:
        need_x, need_values = self.needs_grad
        dvalues = None
        if need_values:
            shape, dtype = self.like
            dvalues = np.asarray(dy[self.places], dtype)
            dvalues = dvalues.copy() if dvalues.shape == shape else np.asarray(dvalues.sum(), dtype).reshape(shape)
        if not need_x:
            return None, dvalues
        dx = dy.copy("K")
        if not self.is_sum:
            dx[self.places] = 0
        return dx, dvalues


def _places_along(index: NDArray, axis: int) -> tuple[Any, ...]:
    places: list[Any] = list(np.ogrid[tuple(map(slice, index.shape))])
    places[axis] = index
    return tuple(places)


def _values_for(input: Any, index: NDArray, src: Any) -> Tensor:
    if not isinstance(src, NumPyTensor):
        return new(np.full(index.shape, src, input._data.dtype))
    part = tuple(slice(0, n) for n in index.shape)
    return cast(src if src._data.shape == index.shape else src[part], input._data.dtype)


@method(in_place=True)
def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """`src`, a tensor or a number, put at [.., index, ..] along an axis; reduce says "add" or "multiply".

    Where several values have one place, the last one stays.
    """
    axis, places = axis_of(dim, input._data.ndim), index._data
    _check_not_negative("scatter", places, input._data.shape[axis])
    values = _values_for(input, places, value if src is None else src)
    where = _places_along(places, axis)
    if reduce is None:
        return run(_Put(where, False), input, values)
    if reduce == "add":
        return run(_Put(where, True), input, values)
    if reduce != "multiply":
        raise RuntimeError("reduce argument must be either add or multiply.")
    if input._requires_grad or values._requires_grad:
        raise RuntimeError("scatter with reduce='multiply' has no gradient here: use scatter_reduce or mul")
    y = input._data.copy()
    np.multiply.at(y, where, values._data)
    return new(y)


@method(in_place=True)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """`src` added at [.., index, ..] along an axis."""
    axis, places = axis_of(dim, input._data.ndim), index._data
    _check_not_negative("scatter_add", places, input._data.shape[axis])
    return run(_Put(_places_along(places, axis), True), input, _values_for(input, places, src))


@method(in_place=True)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
    """`alpha * source` added to whole slices across an axis."""
    axis = axis_of(dim, input._data.ndim)
    where = (slice(None),) * axis + (index._data.copy(),)
    source = source if alpha == 1 else source * alpha
    return run(_Put(where, True), input, cast(source, input._data.dtype))


@method(in_place=True)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Tensor:
    """`source` in the place of whole slices across an axis."""
    axis = axis_of(dim, input._data.ndim)
    return run(_Put((slice(None),) * axis + (index._data.copy(),), False), input, cast(source, input._data.dtype))


@method(in_place=True)
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Tensor:
    """A number in the place of whole slices across an axis."""
    axis = axis_of(dim, input._data.ndim)
    values = new(np.asarray(value._data if isinstance(value, NumPyTensor) else value, input._data.dtype))
    return run(_Put((slice(None),) * axis + (index._data.copy(),), False), input, values)


@method(in_place=True)
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """`values` at an index, or added there."""
    where = own_index(input, tuple(indices))
    return run(_Put(where, accumulate), input, cast(tensor_from(values), input._data.dtype))


@method(in_place=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Tensor:
    """The first elements of `source` where the mask is True."""
    where = np.broadcast_to(mask._data.astype(bool), input._data.shape).copy()
    return run(_Put(where, False), input, cast(source.reshape(-1)[: int(where.sum())], input._data.dtype))


# ---- answers about elements ------------------------------------------------------------------------------------------
def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """A last axis with 1 at the place of each class."""
    labels = tensor._data
    if labels.dtype.kind not in "iu":
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if labels.size and labels.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    n = int(labels.max()) + 1 if num_classes == -1 and labels.size else num_classes
    if labels.size and labels.max() >= n:
        raise RuntimeError("Class values must be smaller than num_classes.")
    y = np.zeros((*labels.shape, n), np.int64)
    np.put_along_axis(y, labels[..., None], 1, -1)
    return new(y)


def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Numbers of elements as places."""
    return tuple(wrapped(part) for part in np.unravel_index(indices._data, tuple(Size(shape))))


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements."""
    import itertools

    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input._data.size), r))
    return stack([input[list(row)] for row in rows]) if rows else new(np.zeros((0, r), input._data.dtype))


_STARTS = {"sum": 0.0, "prod": 1.0, "mean": 0.0, "amax": -np.inf, "amin": np.inf}
_REDUCERS: dict[str, Any] = {
    "sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum,
}  # fmt: skip


@method(in_place=True)
def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """`src` reduced into [.., index, ..] along an axis; a gradient goes through sums only."""
    if reduce not in _REDUCERS:
        raise RuntimeError(f"reduce argument must be one of {', '.join(_REDUCERS)}. Received: {reduce!r}")
    if reduce == "sum" and include_self:
        return scatter_add(input, dim, index, src)
    if input._requires_grad or src._requires_grad:
        raise RuntimeError(f"scatter_reduce with {reduce!r} has no gradient in fastnn: detach() its inputs")
    axis = axis_of(dim, input._data.ndim)
    places = _places_along(index._data, axis)
    y = input._data.copy()
    values = _values_for(input, index._data, src)._data
    if not include_self:
        kind = y.dtype
        start = _STARTS[reduce]
        if np.isinf(start) and kind.kind != "f":
            start = np.iinfo(kind).max if start > 0 else np.iinfo(kind).min
        y[places] = start
    _REDUCERS[reduce].at(y, places, values)
    if reduce == "mean":
        counts = np.full(y.shape, int(include_self))
        np.add.at(counts, places, 1)
        counts = np.maximum(counts, 1)
        y = np.asarray(y / counts if y.dtype.kind == "f" else y // counts, y.dtype)
    return new(y)


def _fill_diagonal(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """`fill_value` on the diagonal, written into the tensor itself."""
    places = np.zeros(self._data.shape, bool)
    np.fill_diagonal(places, True, wrap)
    return self.masked_fill_(new(places), fill_value)  # type: ignore[attr-defined]


Tensor.fill_diagonal_ = _fill_diagonal  # type: ignore[attr-defined]
index_put_ = Tensor.index_put_  # type: ignore[attr-defined]
