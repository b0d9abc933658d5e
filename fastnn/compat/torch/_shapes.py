"""Tensors in other shapes and orders: views, joins, cuts, copies."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.autograd.joining import Concatenate, Stack
from fastnn.autograd.methods import FUNCTIONS
from fastnn.autograd.shapes import BroadcastTo, Reshape, Transpose
from fastnn.autograd.tape import run
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._promotion import cast, common_dtype, tensor_from
from fastnn.compat.torch._size import Size, sizes_of
from fastnn.compat.torch._tensor import (
    Tensor,
    array_to_write,
    checked_out,
    in_place,
    method,
    new,
    takes_names,
    view_of,
    viewed,
    wrapped,
)

__all__ = [
    "as_strided",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "cartesian_prod",
    "cat",
    "chunk",
    "clone",
    "column_stack",
    "concat",
    "concatenate",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "diagonal_scatter",
    "dsplit",
    "dstack",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "hsplit",
    "hstack",
    "meshgrid",
    "moveaxis",
    "movedim",
    "narrow",
    "narrow_copy",
    "permute",
    "ravel",
    "repeat_interleave",
    "reshape",
    "roll",
    "rot90",
    "row_stack",
    "select",
    "select_scatter",
    "slice_scatter",
    "split",
    "split_with_sizes",
    "squeeze",
    "stack",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unsqueeze",
    "vsplit",
    "vstack",
]


def axis_of(dim: int, ndim: int) -> int:
    """The number of an axis from 0."""
    most = max(ndim, 1)
    if not -most <= dim < most:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-most}, {most - 1}], but got {dim})")
    return dim % most


def dims_of(dim: Any, ndim: int) -> tuple[int, ...]:
    """Several axes from 0; None for all."""
    if dim is None:
        return tuple(range(ndim))
    return tuple(axis_of(axis, ndim) for axis in (dim if isinstance(dim, tuple | list) else (dim,)))


# ---- views -----------------------------------------------------------------------------------------------------------
def _reshaped(input: Any, sizes: tuple[int, ...]) -> Tensor:
    known, size = math.prod(sizes), input._data.size
    if known != size or not size or -1 in sizes:
        shape, free = input._data.shape, sizes.count(-1)
        known = math.prod([size for size in sizes if size != -1])
        if free > 1:
            raise RuntimeError("only one dimension can be inferred")
        if (size % known if free and known else free or size != known) or min(sizes, default=0) < -1:
            raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {size} of shape {shape}")
    return viewed(input, Reshape(sizes))


@method
def reshape(input: Any, *shape: Any) -> Tensor:
    """The same elements in another shape, one size may be -1; a view if that is possible."""
    return _reshaped(input, sizes_of(shape))


_SIZES = (int, tuple, list, np.integer)


def _view(self: Any, *shape: Any) -> Any:
    """`reshape`; or with a dtype of the same size, the same bytes as other numbers."""
    if len(shape) == 1 and not isinstance(shape[0], _SIZES):
        from fastnn.compat.torch._dtype import numpy_dtype

        return wrapped(self._data.view(numpy_dtype(shape[0])))
    return _reshaped(self, sizes_of(shape))


@method
def view_as(input: Any, other: Any) -> Tensor:
    """In the shape of `other`."""
    return _reshaped(input, other._data.shape)


@method
def reshape_as(input: Any, other: Any) -> Tensor:
    """In the shape of `other`."""
    return _reshaped(input, other._data.shape)


@method
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim as one."""
    shape = input._data.shape
    start, end = axis_of(start_dim, len(shape)), axis_of(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return _reshaped(input, (1,))
    if start == end:
        return input
    return _reshaped(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@method(names=())
def ravel(input: Any) -> Tensor:
    """All elements in one axis."""
    return _reshaped(input, (-1,)) if input._data.size else _reshaped(input, (0,))


@method
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Tensor:
    """One axis as several."""
    shape, axis = input._data.shape, axis_of(dim, input._data.ndim)
    sizes = list(sizes)
    if -1 in sizes:
        rest = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = shape[axis] // max(rest, 1)
    return _reshaped(input, (*shape[:axis], *sizes, *shape[axis + 1 :]))


@method
def permute(input: Any, *dims: Any) -> Tensor:
    """The axes in another order."""
    order = dims_of(sizes_of(dims), input._data.ndim)
    if len(order) != input._data.ndim or len(set(order)) != len(order):
        raise RuntimeError(f"permute: each of the {input._data.ndim} axes is needed once. Received: {dims}")
    return viewed(input, Transpose(order))


@method(names=("swapdims",))
def transpose(input: Any, dim0: int, dim1: int) -> Tensor:
    """Two axes change places."""
    ndim = input._data.ndim
    first, second = axis_of(dim0, ndim), axis_of(dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[first], order[second] = order[second], order[first]
    return viewed(input, Transpose(order))


swapdims = transpose


@method
def swapaxes(input: Any, axis0: int, axis1: int) -> Tensor:
    """Two axes change places."""
    return transpose(input, axis0, axis1)


@method
def t(input: Any) -> Tensor:
    """A matrix with its axes changed."""
    if input._data.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input._data.ndim}D")
    return viewed(input, Transpose(None)) if input._data.ndim == 2 else input


@method
def movedim(input: Any, source: Any, destination: Any) -> Tensor:
    """Axes at other places."""
    ndim = input._data.ndim
    sources, destinations = dims_of(source, ndim), dims_of(destination, ndim)
    order = [axis for axis in range(ndim) if axis not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return permute(input, order)


moveaxis = movedim
Tensor.moveaxis = movedim  # type: ignore[attr-defined]


@method
def squeeze(input: Any, dim: Any = None) -> Tensor:
    """Without axes of length 1, all or those in `dim`."""
    shape = input._data.shape
    dropped = dims_of(dim, len(shape)) if shape else ()
    return _reshaped(input, tuple(n for i, n in enumerate(shape) if not (i in dropped and n == 1)))


@method
def unsqueeze(input: Any, dim: int) -> Tensor:
    """With a new axis of length 1 at `dim`."""
    shape = input._data.shape
    axis = axis_of(dim, len(shape) + 1)
    return _reshaped(input, (*shape[:axis], 1, *shape[axis:]))


def _reshaping(function: Any) -> Any:
    """The shape of the tensor itself changes."""

    def change(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        y = function(self, *arguments, **keywords)
        self._data, self._op, self._memory = y._data, y._op, y._memory
        return self

    return change


for _function in (squeeze, unsqueeze, transpose, t):
    setattr(Tensor, f"{_function.__name__}_", _reshaping(_function))


def _expand(input: Any, *sizes: Any) -> Tensor:
    """Axes of length 1 made longer without a copy; -1 keeps a size."""
    wanted, shape = sizes_of(sizes), input._data.shape
    added = len(wanted) - len(shape)
    if added < 0:
        raise RuntimeError(f"expand: at least {len(shape)} sizes are needed. Received: {wanted}")
    full = tuple(shape[i - added] if size == -1 and i >= added else size for i, size in enumerate(wanted))
    try:
        return viewed(input, BroadcastTo(full))
    except ValueError:
        raise RuntimeError(f"expand: {tuple(shape)} does not fit into {full}") from None


def _expand_as(input: Any, other: Any) -> Tensor:
    """Expanded to the shape of `other`."""
    return _expand(input, other._data.shape)


@method
def broadcast_to(input: Any, shape: Sequence[int]) -> Tensor:
    """`expand` to a shape."""
    return _expand(input, *shape)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All in the shape that they have together."""
    shape = broadcast_shapes(*[x._data.shape for x in tensors])
    return tuple(_expand(x, *shape) for x in tensors)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that things of these shapes have together."""
    try:
        return Size(np.broadcast_shapes(*[(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]))
    except ValueError:
        raise RuntimeError(f"broadcast_shapes: these do not fit: {shapes}") from None


# ---- copies ----------------------------------------------------------------------------------------------------------
@method
def clone(input: Any, *, memory_format: Any = None) -> Tensor:
    """A copy; gradients go through."""
    if input._op is None and not input._requires_grad:
        return new(input._data.copy("K"))
    return FUNCTIONS[np.copy](input)


def _contiguous(input: Any, memory_format: Any = None) -> Tensor:
    """Itself, or a copy that lies in C order; fastnn's kernels take both."""
    return input if input._data.flags.c_contiguous else run(_Contiguous(), input)


class _Contiguous(Reshape):
    """x in C order."""

    is_view = False
    is_fresh = False

    def __init__(self) -> None:
        super().__init__(None)

    def forward(self, x: Any) -> Any:
        self.shape = x.shape
        return np.ascontiguousarray(x).reshape(x.shape)

    def backward(self, dy: Any) -> Any:
        return dy


def _repeat(input: Any, *repeats: Any) -> Tensor:
    """The whole tensor again and again along each axis."""
    counts = sizes_of(repeats)
    if len(counts) < input._data.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (1,) * (len(counts) - input._data.ndim) + input._data.shape
    interleaved = [n for pair in zip(counts, shape, strict=True) for n in pair]
    x = _reshaped(input, tuple(n for size in shape for n in (1, size)))
    return _reshaped(_expand(x, *interleaved), tuple(c * n for c, n in zip(counts, shape, strict=True)))


@method
def tile(input: Any, *dims: Any) -> Tensor:
    """`repeat`, where missing counts are 1."""
    counts = sizes_of(dims)
    return _repeat(input, *(1,) * (input._data.ndim - len(counts)), *counts)


@method
def repeat_interleave(input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element again and again."""
    counts = repeats._data if isinstance(repeats, NumPyTensor) else repeats
    if dim is None:
        input, dim = ravel(input), 0
    return FUNCTIONS[np.repeat](input, counts, axis_of(dim, input._data.ndim))


# ---- joins and cuts --------------------------------------------------------------------------------------------------
def _alike(tensors: Sequence[Any]) -> list[Any]:
    parts = list(tensors)
    if not parts:
        raise RuntimeError("expected a non-empty list of Tensors")
    first = parts[0]._data.dtype
    for part in parts:
        if part._data.dtype is not first:
            dtype = common_dtype(*parts)
            return [cast(part, dtype) for part in parts]
    return parts


@takes_names
def cat(tensors: Sequence[Any], dim: int = 0, *, out: Any = None) -> Tensor:
    """One after the other along an axis that they have."""
    parts = _alike(tensors)
    ndim = parts[0]._data.ndim
    for part in parts:
        if part._data.ndim != ndim:  # an empty one fits everything
            parts = [part for part in parts if part._data.shape != (0,)]
            break
    axis = axis_of(dim, parts[0]._data.ndim)
    if not parts[0]._data.ndim:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    try:
        return checked_out(run(Concatenate(axis), *parts), out)
    except ValueError:
        shapes = [tuple(part._data.shape) for part in parts]
        raise RuntimeError(f"cat: sizes of tensors must match except in dimension {dim}. Received: {shapes}") from None


concat = cat


def concatenate(tensors: Sequence[Any], axis: int = 0, *, dim: int | None = None, out: Any = None) -> Tensor:
    """`cat`"""
    return cat(tensors, axis if dim is None else dim, out=out)


@takes_names
def stack(tensors: Sequence[Any], dim: int = 0, *, out: Any = None) -> Tensor:
    """One after the other along a new axis."""
    parts = _alike(tensors)
    shape = parts[0]._data.shape
    for part in parts:
        if part._data.shape != shape:
            shapes = [list(part._data.shape) for part in parts]
            raise RuntimeError(f"stack expects each tensor to be equal size. Received: {shapes}")
    return checked_out(run(Stack(axis_of(dim, len(shape) + 1)), *parts), out)


def vstack(tensors: Sequence[Any]) -> Tensor:
    """Rows one below the other."""
    return cat([_reshaped(x, (1, -1)) if x._data.ndim < 2 else x for x in tensors])


def hstack(tensors: Sequence[Any]) -> Tensor:
    """Columns side by side."""
    parts = [_reshaped(x, (1,)) if not x._data.ndim else x for x in tensors]
    return cat(parts, 0 if parts[0]._data.ndim == 1 else 1)


def dstack(tensors: Sequence[Any]) -> Tensor:
    """One behind the other."""
    shapes = [(1, *((1,) if not x._data.ndim else x._data.shape), 1) if x._data.ndim < 2 else (*x._data.shape, 1)
              for x in tensors]  # fmt: skip
    return cat([_reshaped(x, s) if x._data.ndim < 3 else x for x, s in zip(tensors, shapes, strict=True)], 2)


row_stack = vstack


def column_stack(tensors: Sequence[Any]) -> Tensor:
    """Columns side by side; one axis becomes a column."""
    return cat([_reshaped(x, (-1, 1)) if x._data.ndim < 2 else x for x in tensors], 1)


@method
def narrow(input: Any, dim: int, start: int, length: int) -> Tensor:
    """A part of one axis."""
    axis = axis_of(dim, input._data.ndim)
    start = int(start) % input._data.shape[axis] if start < 0 else int(start)
    if start + length > input._data.shape[axis]:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({input._data.shape[axis]}).")
    return input[(slice(None),) * axis + (slice(start, start + length),)]


@method
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of this size, the last may be smaller; or of these sizes."""
    axis = axis_of(dim, tensor._data.ndim)
    total = tensor._data.shape[axis]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        sizes = [min(size, total - start) for start in range(0, total, size)] if size and total else [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != total:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {total} (input tensor's size at dimension "
                f"{dim}), but got split_sizes={sizes}"
            )
    starts = np.cumsum([0, *sizes[:-1]])
    return tuple(narrow(tensor, axis, int(start), size) for start, size in zip(starts, sizes, strict=True))


@method
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most so many pieces of one size, the last may be smaller."""
    total = input._data.shape[axis_of(dim, input._data.ndim)]
    return split(input, max(1, -(-total // chunks)), dim)


@method
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """So many pieces, as even as possible; or cut at these places."""
    axis = axis_of(dim, input._data.ndim)
    total = input._data.shape[axis]
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        sizes = [total // n + (i < total % n) for i in range(n)]
        starts = np.cumsum([0, *sizes])
    else:
        starts = np.array([0, *[int(i) for i in indices_or_sections], total])
    return tuple(input[(slice(None),) * axis + (slice(int(a), int(b)),)] for a, b in itertools.pairwise(starts))


@method
def unbind(input: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """All slices across an axis."""
    axis = axis_of(dim, input._data.ndim)
    return tuple(FUNCTIONS[iter](movedim(input, axis, 0) if axis else input))


@method
def select(input: Any, dim: int, index: int) -> Tensor:
    """One slice across an axis."""
    return input[(slice(None),) * axis_of(dim, input._data.ndim) + (int(index),)]


# ---- orders ----------------------------------------------------------------------------------------------------------
@method
def flip(input: Any, *dims: Any) -> Tensor:
    """The other way round along axes."""
    return clone(FUNCTIONS[np.flip](input, dims_of(sizes_of(dims), input._data.ndim)))


@method
def fliplr(input: Any) -> Tensor:
    """Columns the other way round."""
    return flip(input, 1)


@method
def flipud(input: Any) -> Tensor:
    """Rows the other way round."""
    return flip(input, 0)


@method
def roll(input: Any, shifts: Any, dims: Any = None) -> Tensor:
    """Shifted along axes; what falls off at the end comes in at the front."""
    return FUNCTIONS[np.roll](input, shifts, dims)


@method
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned in a plane."""
    return clone(FUNCTIONS[np.rot90](input, k, tuple(dims)))


@method(in_place=True)
def tril(input: Any, diagonal: int = 0, *, out: Any = None) -> Tensor:
    """Zeros above a diagonal."""
    return checked_out(FUNCTIONS[np.tril](input, diagonal), out)


@method(in_place=True)
def triu(input: Any, diagonal: int = 0, *, out: Any = None) -> Tensor:
    """Zeros below a diagonal."""
    return checked_out(FUNCTIONS[np.triu](input, diagonal), out)


@method
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements where two indices are equal, but for an offset."""
    return view_of(input, FUNCTIONS[np.diagonal](input, offset, dim1, dim2))


@method
def diag(input: Any, diagonal: int = 0, *, out: Any = None) -> Tensor:
    """The diagonal of a matrix, or the matrix with this diagonal."""
    return checked_out(FUNCTIONS[np.diag](input, diagonal), out)


@method
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last axis as their diagonals."""
    n = input._data.shape[-1] + builtin_abs(offset)
    eye = new(np.eye(n, k=offset, dtype=input._data.dtype))
    rows = slice(0, n - offset) if offset >= 0 else slice(-offset, n)
    y = input[..., :, None] * eye[rows]
    if offset:
        shape = (*input._data.shape[:-1], builtin_abs(offset), n)
        blank = new(np.zeros(shape, input._data.dtype))
        y = cat([y, blank] if offset > 0 else [blank, y], -2)
    return movedim(y, (-2, -1), (dim1, dim2))


builtin_abs = abs


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Grids of coordinates."""
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tuple(tensors[0])
    shape = [x._data.size for x in tensors]
    grids = [
        _expand(_reshaped(x, (1,) * i + (-1,) + (1,) * (len(tensors) - i - 1)), *shape) for i, x in enumerate(tensors)
    ]
    return tuple(transpose(grid, 0, 1) for grid in grids) if indexing == "xy" and len(grids) > 1 else tuple(grids)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations, a row each."""
    return stack([ravel(grid) for grid in meshgrid(*tensors)], 1) if len(tensors) > 1 else tensors[0]


def atleast_1d(*tensors: Any) -> Any:
    """With one axis at least."""
    return _at_least(tensors, 1, lambda s: (1,))


def atleast_2d(*tensors: Any) -> Any:
    """With two axes at least."""
    return _at_least(tensors, 2, lambda s: (1, *s) if s else (1, 1))


def atleast_3d(*tensors: Any) -> Any:
    """With three axes at least."""
    return _at_least(tensors, 3, lambda s: {0: (1, 1, 1), 1: (1, *s, 1), 2: (*s, 1)}[len(s)])


def _at_least(tensors: tuple[Any, ...], ndim: int, shape: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tuple(tensors[0])
    found = tuple(x if x._data.ndim >= ndim else _reshaped(x, shape(x._data.shape)) for x in tensors)
    return found[0] if len(found) == 1 else found


def block_diag(*tensors: Any) -> Tensor:
    """Matrices along a diagonal."""
    blocks = [atleast_2d(tensor_from(x)) for x in tensors]
    total = sum(x._data.shape[1] for x in blocks)
    rows, start = [], 0
    for x in blocks:
        n, m = x._data.shape
        left, right = (new(np.zeros((n, k), x._data.dtype)) for k in (start, total - start - m))
        rows.append(cat([left, x, right], 1))
        start += m
    return cat(rows, 0)


def _unfold(input: Any, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` along an axis, every `step`; the window is the last axis."""
    axis = axis_of(dimension, input._data.ndim)
    n = (input._data.shape[axis] - size) // step + 1
    windows = [narrow(input, axis, i * step, size) for i in range(n)]
    return movedim(stack(windows, axis), axis + 1, -1)


def _resize_(self: Tensor, *sizes: Any) -> Tensor:
    """Another shape; elements that are new are 0."""
    shape = sizes_of(sizes)
    flat = np.zeros(math.prod(shape), self._data.dtype)
    n = min(flat.size, self._data.size)
    flat[:n] = self._data.reshape(-1)[:n]
    self._data, self._memory = flat.reshape(shape), None
    return self


def _copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of `src` into the tensor."""
    src = tensor_from(src)
    if src._data.dtype != self._data.dtype:
        src = cast(src, self._data.dtype)
    if src._data.shape != self._data.shape:
        src = _expand(src, *self._data.shape)
    return in_place(self, src)


def _fill_(self: Tensor, value: Any) -> Tensor:
    """Write one number everywhere."""
    array = array_to_write(self)
    if array is not None and type(value) in (int, float) and array.dtype.kind == "f":
        array.fill(value)
        self.written()
        return self
    value = (
        cast(value, self._data.dtype)
        if isinstance(value, NumPyTensor)
        else new(np.asarray(value).astype(self._data.dtype))
    )
    return in_place(self, _expand(value, *self._data.shape))


def _zero_(self: Tensor) -> Tensor:
    """Write zeros everywhere."""
    array = array_to_write(self)
    if array is not None:
        array.fill(0)
        self.written()
        return self
    return in_place(self, new(np.zeros(self._data.shape, self._data.dtype)))


def _set_(self: Tensor, source: Any) -> Tensor:
    """Be what `source` is."""
    self._data, self._memory = source._data, None
    return self


# What is a method only.
for _function in (
    _contiguous, _copy_, _expand, _expand_as, _fill_, _repeat, _resize_, _set_, _unfold, _view, _zero_,
):  # fmt: skip
    setattr(Tensor, _function.__name__[1:], _function)


@method
def diagflat(input: Any, offset: int = 0) -> Tensor:
    """A matrix with the elements on a diagonal."""
    return diag(reshape(input, -1), offset)


@method
def split_with_sizes(input: Any, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of these sizes, one after the other."""
    return split(input, list(split_sizes), dim)


@method
def narrow_copy(input: Any, dim: int, start: int, length: int) -> Tensor:
    """A copy of `length` elements along an axis."""
    return clone(narrow(input, dim, start, length))


def _cuts(name: str, axis_of_many: int, least: int) -> Any:
    def cut(input: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
        ndim = input._data.ndim
        if ndim < least:
            raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension, but got {ndim}")
        return tensor_split(input, indices_or_sections, 0 if name == "hsplit" and ndim == 1 else axis_of_many)

    cut.__name__ = cut.__qualname__ = name
    cut.__doc__ = f"`tensor_split` along axis {axis_of_many}."
    return method(cut)


hsplit, vsplit, dsplit = _cuts("hsplit", 1, 1), _cuts("vsplit", 0, 2), _cuts("dsplit", 2, 3)


def _copy_with(input: Any, view: Any, src: Any) -> Tensor:
    """A copy of the input, with `src` written into a view of it."""
    y = clone(input)
    view(y).copy_(src)
    return y


@method
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Tensor:
    """The input with `src` at one place of an axis."""
    return _copy_with(input, lambda y: select(y, dim, index), src)


@method
def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """The input with `src` in a slice of an axis."""
    axis = axis_of(dim, input._data.ndim)
    return _copy_with(input, lambda y: y[(slice(None),) * axis + (slice(start, end, step),)], src)


@method
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The input with `src` on a diagonal."""
    return _copy_with(input, lambda y: diagonal(y, offset, dim1, dim2), src)


@method
def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """Elements of a contiguous tensor by sizes and strides, as a copy: what is written there is not written here."""
    x = reshape(input, -1)
    places = np.full(tuple(size), storage_offset or 0)
    for axis, (n, step) in enumerate(zip(size, stride, strict=True)):
        places += (np.arange(n) * step).reshape((n,) + (1,) * (len(size) - axis - 1))
    if places.size and (places.min() < 0 or places.max() >= x._data.size):
        raise RuntimeError(
            f"as_strided: sizes {tuple(size)} and strides {tuple(stride)} reach beyond the {x._data.size} elements"
        )
    return x[new(places)]
