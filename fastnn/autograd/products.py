"""Matrix products and what can be computed by them.

Floats go through fastnn's own kernels, since the results of NumPy's BLAS depend on its number of threads. Small
matrices, and many at once, use `src_c/ops/matmul.c`; a large one uses the convolution, which packs it.
"""

import functools
import math
import operator
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout, _memory, _runtime
from fastnn._watching import kernel_ran
from fastnn.autograd.broadcasting import axes_of, unbroadcast
from fastnn.autograd.methods import FUNCTIONS, UFUNCS, gradient_of
from fastnn.autograd.shapes import diagonal, reshape, transpose
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import operand

# A large product is the convolution of an image of one pixel with filters of one tap, as in functional/linear.py.
_ONE = (1, 1)
_SETTINGS = (_ONE, (0, 0), _ONE, 1, "direct")
# Multiply-adds up to which one product needs no packing: 36 us both ways at 128 x 128 x 128, 230 us against 200 us at
# 256 x 256 x 256, 2 us against 9 us at 8 x 8 x 8.
_UNPACKED = 128**3
_KERNELS = (np.dtype(np.float32), np.dtype(np.float64))
# What a kernel is called by which side lies transposed in memory.
_KINDS = {(False, False): "times", (False, True): "times_transposed", (True, False): "transposed_times"}


def _lying(x: NDArray, turned: bool) -> tuple[NDArray, bool]:
    """Matrices as they lie in memory, and whether these are the transposed ones."""
    flags = x.flags
    if flags.aligned:
        if flags.c_contiguous:
            return x, turned
        swapped = x.swapaxes(-1, -2)
        if swapped.flags.c_contiguous:
            return swapped, not turned
    return _layout.contiguous(x), turned


def _product(a: NDArray, b: NDArray, a_turned: bool = False, b_turned: bool = False) -> NDArray:
    """The product of the matrices in the last two axes, of which the turned ones are meant transposed; the axes before
    are broadcast.
    """
    dtype = a.dtype
    if b.dtype != dtype:
        dtype = np.result_type(a, b)
        a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    if dtype not in _KERNELS or not (a.size and b.size) or _runtime.uses_reference():
        sides = [x.swapaxes(-1, -2) if turned else x for x, turned in ((a, a_turned), (b, b_turned))]
        return np.einsum("...ij,...jk->...ik", *sides)
    batch: tuple[int, ...] = ()
    if a.ndim > 2 or b.ndim > 2:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
    a, a_turned = _lying(a, a_turned)
    b, b_turned = _lying(b, b_turned)
    if a_turned and b_turned:
        return _multiplied("times", b, a, batch).swapaxes(-1, -2)
    return _multiplied(_KINDS[a_turned, b_turned], a, b, batch)


def _multiplied(kind: str, a: NDArray, b: NDArray, batch: tuple[int, ...]) -> NDArray:
    rows = a.shape[-1] if kind == "transposed_times" else a.shape[-2]
    columns = b.shape[-2] if kind == "times_transposed" else b.shape[-1]
    native = _runtime._native
    if not batch and a.size * columns > _UNPACKED:
        y = _memory.empty((rows, columns), a.dtype)
        _packed(native, kind, a, b, y)
        kernel_ran("matmul")
        return y
    n_matrices = math.prod(batch)
    y = _memory.empty((n_matrices, rows, columns), a.dtype)
    if batch:
        a, b = a.reshape(n_matrices, *a.shape[-2:]), b.reshape(n_matrices, *b.shape[-2:])
    else:
        a, b = a[None], b[None]
    transposed = _memory.empty(b.shape, b.dtype) if kind == "times_transposed" else None
    native.matmul(native.MATMUL[kind], a, b, transposed, y, _runtime.num_threads())
    kernel_ran("matmul")
    return y.reshape(*batch, rows, columns) if batch else y[0]


def _packed(native: Any, kind: str, a: NDArray, b: NDArray, y: NDArray) -> None:
    """One product, whose second matrix is packed into panels."""
    direction, taps = {
        "times": ("forward", b),
        "times_transposed": ("backward_data", b),
        "transposed_times": ("backward_weight", y),
    }[kind]
    rows = len(b) if kind == "transposed_times" else len(a)
    x_shape, y_shape = (1, 1, rows, taps.shape[0]), (1, 1, rows, taps.shape[1])
    last = _runtime.num_threads(), _runtime.isa()
    plan = native.Conv2dPlan(direction, a.dtype, x_shape, (1, 1, *taps.shape), y_shape, *_SETTINGS, *last)
    a, b, y, workspace = a[None, None], b[None, None], y[None, None], _memory.workspace(plan.workspace)
    if kind == "times":
        native.conv2d_forward(plan, a, b, None, y, workspace)
    elif kind == "times_transposed":
        native.conv2d_backward_data(plan, a, b, None, y, workspace)
    else:
        native.conv2d_backward_weight(plan, a, b, y, None, workspace)


def product(a: NDArray, b: NDArray) -> NDArray:
    """a @ b for two matrices, for operations that compute with arrays."""
    return _product(a, b)


def product_transposed(a: NDArray, b: NDArray) -> NDArray:
    """a @ b.T for two matrices."""
    return _product(a, b, b_turned=True)


def transposed_product(a: NDArray, b: NDArray) -> NDArray:
    """a.T @ b for two matrices."""
    return _product(a, b, a_turned=True)


class Matmul(Op):
    """a @ b for matrices in the last two axes. The axes before are broadcast. A vector is one row or one column."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {0: "a", 1: "b"}

    def forward(self, a: NDArray, b: NDArray) -> NDArray:
        if not (a.ndim and b.ndim) or a.shape[-1] != b.shape[max(b.ndim - 2, 0)]:
            raise ValueError(
                f"matmul: the last axis of a must be as long as the last but one of b. Received: a.shape={a.shape}, "
                f"b.shape={b.shape}"
            )
        if self.needs_grad:
            self.likes = (a.shape, a.dtype), (b.shape, b.dtype)
            if self.needs_grad[1]:
                self.a = a
            if self.needs_grad[0]:
                self.b = b
        if a.dtype.kind != "f" and b.dtype.kind != "f":
            return np.matmul(a, b)
        if a.ndim == b.ndim == 2:
            return _product(a, b)
        y = _product(*self._matrices(a, b))
        return y.reshape(self._result_shape(a.shape, b.shape))

    @staticmethod
    def _matrices(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
        """Both as matrices; as one each, where all of a meet the same b."""
        if b.ndim <= 2 and a.ndim != 2:
            a = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
        elif a.ndim == 1:
            a = a[None]
        return a, b[:, None] if b.ndim == 1 else b

    @staticmethod
    def _result_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
        return (*np.broadcast_shapes(a[:-2], b[:-2]), *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))

    def backward(self, dy: NDArray) -> tuple[NDArray | None, NDArray | None]:
        needs, (a_like, b_like) = self.needs_grad, self.likes
        if len(a_like[0]) == len(b_like[0]) == 2:
            return (
                unbroadcast(_product(dy, self.b, b_turned=True), *a_like) if needs[0] else None,
                unbroadcast(_product(self.a, dy, a_turned=True), *b_like) if needs[1] else None,
            )  # fmt: skip
        # What is not kept has no part in the other's gradient but its shape.
        a = self.a if needs[1] else np.broadcast_to(np.zeros((), a_like[1]), a_like[0])
        b = self.b if needs[0] else np.broadcast_to(np.zeros((), b_like[1]), b_like[0])
        rows, columns = self._matrices(a, b)
        batch = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
        dy = dy.reshape(*batch, rows.shape[-2], columns.shape[-1])
        da = db = None
        if needs[0]:
            da = _product(dy, columns, b_turned=True)
            da = unbroadcast(da, rows.shape, a_like[1]).reshape(a_like[0])
        if needs[1]:
            db = _product(rows, dy, a_turned=True)
            db = unbroadcast(db, columns.shape, b_like[1]).reshape(b_like[0])
        return da, db


def matmul(a: Any, b: Any) -> Any:
    return run(Matmul(), operand("np.matmul", a), operand("np.matmul", b))


UFUNCS[np.matmul] = matmul
_multiply = UFUNCS[np.multiply]


@gradient_of(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = operand("np.tensordot", a), operand("np.tensordot", b)
    if np.ndim(axes) == 0:
        n = operator.index(axes)
        of_a, of_b = tuple(range(a.ndim - n, a.ndim)), tuple(range(n))
    else:
        of_a, of_b = axes_of(_sequence(axes[0]), a.ndim), axes_of(_sequence(axes[1]), b.ndim)
    if len(of_a) != len(of_b) or any(a.shape[i] != b.shape[j] for i, j in zip(of_a, of_b, strict=True)):
        raise ValueError(
            "np.tensordot: the axes that are summed must have the same lengths. Received: "
            f"a.shape={a.shape}, b.shape={b.shape}, axes={axes!r}"
        )
    a_labels: list[Hashable] = list(range(a.ndim))
    b_labels: list[Hashable] = [a.ndim + axis for axis in range(b.ndim)]
    for i, j in zip(of_a, of_b, strict=True):
        b_labels[j] = i
    output = [label for axis, label in enumerate(a_labels) if axis not in of_a]
    output += [label for axis, label in enumerate(b_labels) if axis not in of_b]
    return _contract([a, b], [a_labels, b_labels], output)


def _sequence(axes: Any) -> tuple[int, ...]:
    return tuple(axes) if np.ndim(axes) else (axes,)


@gradient_of(np.dot)
def _dot(a: Any, b: Any) -> Any:
    a, b = operand("np.dot", a), operand("np.dot", b)
    if not (a.ndim and b.ndim):
        return _multiply(a, b)
    return matmul(a, b) if b.ndim <= 2 else _tensordot(a, b, (-1, -2))


@gradient_of(np.inner)
def _inner(a: Any, b: Any) -> Any:
    a, b = operand("np.inner", a), operand("np.inner", b)
    return _tensordot(a, b, (-1, -1)) if a.ndim and b.ndim else _multiply(a, b)


@gradient_of(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return matmul(operand("np.vdot", a).reshape(-1), operand("np.vdot", b).reshape(-1))


@gradient_of(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return _multiply(operand("np.outer", a).reshape(-1, 1), operand("np.outer", b).reshape(1, -1))


@gradient_of(np.kron)
def _kron(a: Any, b: Any) -> Any:
    a, b = operand("np.kron", a), operand("np.kron", b)
    ndim = max(a.ndim, b.ndim)
    of_a, of_b = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    a = a.reshape([size for one in of_a for size in (one, 1)])
    b = b.reshape([size for one in of_b for size in (1, one)])
    return _multiply(a, b).reshape([m * n for m, n in zip(of_a, of_b, strict=True)])


@gradient_of(np.einsum)
def _einsum(*operands: Any, optimize: Any = False) -> Any:
    """np.einsum; `optimize` says nothing here: pairs are contracted from left to right."""
    if isinstance(operands[0], str):
        subscripts, values = operands[0].replace(" ", ""), list(operands[1:])
    else:
        subscripts, values = _written(operands)
    arrays = [operand("np.einsum", value) for value in values]
    return _contract(arrays, *_parsed(subscripts, tuple(array.ndim for array in arrays)))


# A program has few, and asks for them again and again.
@functools.lru_cache(maxsize=256)
def _parsed(subscripts: str, ndims: tuple[int, ...]) -> tuple[list[list[Hashable]], list[Hashable]]:
    """A label for every axis of the inputs, and for those of the result."""
    np.einsum(subscripts, *[np.zeros((1,) * ndim) for ndim in ndims])  # NumPy says what is wrong with the letters
    inputs, arrow, output = subscripts.partition("->")
    labels = [
        _labels(term, ndim - len(term.replace("...", ""))) for term, ndim in zip(inputs.split(","), ndims, strict=True)
    ]
    dots = sorted({label for of_one in labels for label in of_one if isinstance(label, int)})
    if arrow:
        wanted = _labels(output, len(dots))
    else:
        count = Counter(label for of_one in labels for label in of_one if isinstance(label, str))
        wanted = [*dots, *sorted(letter for letter, n in count.items() if n == 1)]
    return labels, wanted


def _written(operands: Sequence[Any]) -> tuple[str, list[Any]]:
    """The other form of einsum, arrays and lists of numbers in turn, with letters."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def term(places: Sequence[Any]) -> str:
        return "".join("..." if place is Ellipsis else letters[operator.index(place)] for place in places)

    n = len(operands) // 2
    inputs = ",".join(term(operands[2 * i + 1]) for i in range(n))
    output = f"->{term(operands[-1])}" if len(operands) % 2 else ""
    return inputs + output, [operands[2 * i] for i in range(n)]


def _labels(term: str, n_dots: int) -> list[Hashable]:
    """The letters of a term; the axes of `...` are -n_dots to -1."""
    before, dots, after = term.partition("...")
    return [*before, *(range(-n_dots, 0) if dots else ()), *after]


def _contract(arrays: Sequence[Any], labels: Sequence[list[Hashable]], output: list[Hashable]) -> Any:
    """The sum over all labels that are not in `output` of the products; every axis has a label."""
    terms = [_distinct(array, of_one) for array, of_one in zip(arrays, labels, strict=True)]
    sizes: dict[Hashable, int] = {}
    for array, of_one in terms:
        for label, size in zip(of_one, array.shape, strict=True):
            if sizes.setdefault(label, size) != size and 1 not in (size, sizes[label]):
                raise ValueError(
                    f"np.einsum: axes of one letter must have the same length. Received: {label!r} with {sizes[label]} "
                    f"and {size}"
                )
            if sizes[label] == 1:
                sizes[label] = size
    terms = [_without_ones(array, of_one, sizes) for array, of_one in terms]
    y, y_labels = terms[0]
    for index in range(1, len(terms)):
        x, x_labels = terms[index]
        needed = {*output, *(label for _, later in terms[index + 1 :] for label in later)}
        y, y_labels = _summed(y, y_labels, needed.union(x_labels))
        x, x_labels = _summed(x, x_labels, needed.union(y_labels))
        y, y_labels = _pair(y, y_labels, x, x_labels, needed, sizes)
    y, y_labels = _summed(y, y_labels, set(output))
    if y_labels == output and not any(y is array for array in arrays):
        return y
    return transpose(y, [y_labels.index(label) for label in output])


_Term = tuple[Any, list[Hashable]]


def _distinct(array: Any, labels: list[Hashable]) -> _Term:
    """The diagonal, where two axes have one label."""
    for label in [label for label, n in Counter(labels).items() for _ in range(n - 1)]:
        first = labels.index(label)
        second = labels.index(label, first + 1)
        if array.shape[first] != array.shape[second]:
            raise ValueError(
                f"np.einsum: axes of one letter must have the same length. Received: {label!r} with "
                f"{array.shape[first]} and {array.shape[second]}"
            )
        array = diagonal(array, 0, first, second)
        labels = [*(other for axis, other in enumerate(labels) if axis not in (first, second)), label]
    return array, labels


def _without_ones(array: Any, labels: list[Hashable], sizes: dict[Hashable, int]) -> _Term:
    """Without axes of length 1 that are longer elsewhere, along which it is broadcast."""
    kept = [axis for axis, label in enumerate(labels) if array.shape[axis] == sizes[label]]
    if len(kept) == len(labels):
        return array, labels
    return reshape(array, [array.shape[axis] for axis in kept]), [labels[axis] for axis in kept]


def _summed(array: Any, labels: list[Hashable], needed: set[Hashable]) -> _Term:
    """The sum over the labels that nobody needs."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in needed)
    return (array.sum(axes), [label for label in labels if label in needed]) if axes else (array, labels)


def _pair(
    a: Any,
    a_labels: list[Hashable],
    b: Any,
    b_labels: list[Hashable],
    needed: set[Hashable],
    sizes: dict[Hashable, int],
) -> _Term:
    """Two terms as one: a product of matrices over the labels that only they have."""
    batch = [label for label in a_labels if label in b_labels and label in needed]
    inner = [label for label in a_labels if label in b_labels and label not in needed]
    rows = [label for label in a_labels if label not in b_labels]
    columns = [label for label in b_labels if label not in a_labels]

    def length(labels: list[Hashable]) -> int:
        return math.prod(sizes[label] for label in labels)

    def matrix(array: Any, labels: list[Hashable], *groups: list[Hashable]) -> Any:
        order = [labels.index(label) for group in groups for label in group]
        if order != sorted(order):
            array = transpose(array, order)
        shape = [*([length(batch)] if batch else []), *map(length, groups[1:])]
        return array if list(array.shape) == shape else array.reshape(shape)

    result = [*batch, *rows, *columns]
    if inner:
        y = matmul(matrix(a, a_labels, batch, rows, inner), matrix(b, b_labels, batch, inner, columns))
    else:
        a, b = matrix(a, a_labels, batch, rows), matrix(b, b_labels, batch, columns)
        y = _multiply(a[..., :, None], b[..., None, :])
    shape = [sizes[label] for label in result]
    return y if list(y.shape) == shape else y.reshape(shape), result


def _vecdot(a: Any, b: Any) -> Any:
    return _multiply(operand("np.vecdot", a), operand("np.vecdot", b)).sum(-1)


def _matvec(a: Any, b: Any) -> Any:
    return matmul(a, operand("np.matvec", b)[..., None])[..., 0]


def _vecmat(a: Any, b: Any) -> Any:
    return matmul(operand("np.vecmat", a)[..., None, :], b)[..., 0, :]


for _name, _function in (("vecdot", _vecdot), ("matvec", _matvec), ("vecmat", _vecmat)):
    if hasattr(np, _name):  # since NumPy 2.2
        UFUNCS[getattr(np, _name)] = _function
for _name, _function in (("matmul", matmul), ("outer", _outer), ("tensordot", _tensordot), ("vecdot", _vecdot)):
    if hasattr(np.linalg, _name) and getattr(np.linalg, _name) not in FUNCTIONS:  # since NumPy 2
        gradient_of(getattr(np.linalg, _name))(_function)
