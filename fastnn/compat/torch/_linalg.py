"""Products of matrices and vectors, and what needs them."""

from typing import Any

import numpy as np

from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._pointwise import add, mul
from fastnn.compat.torch._tensor import Tensor, checked_out, method, new, wrapped

__all__ = [
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "chain_matmul",
    "cholesky",
    "cross",
    "det",
    "dot",
    "einsum",
    "ger",
    "inner",
    "inverse",
    "kron",
    "logdet",
    "matmul",
    "matrix_power",
    "mm",
    "mv",
    "outer",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "tensordot",
    "trace",
    "vdot",
]

_matmul = UFUNCS[np.matmul]


def _fitting(name: str, a: Any, b: Any) -> None:
    if a._data.dtype != b._data.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {a.dtype!r} != {b.dtype!r} ({name})")
    inner = b._data.shape[-2] if b._data.ndim > 1 else b._data.shape[0]
    if a._data.shape[-1] != inner:
        raise RuntimeError(
            f"{name}: mat1 and mat2 shapes cannot be multiplied ({tuple(a._data.shape)} and {tuple(b._data.shape)})"
        )


@method
def matmul(input: Any, other: Any, *, out: Any = None) -> Tensor:
    """The product of matrices, of stacks of them, or of vectors."""
    if not (isinstance(input, NumPyTensor) and isinstance(other, NumPyTensor)):
        raise TypeError("matmul: two tensors are needed")
    if not (input._data.ndim and other._data.ndim):
        raise RuntimeError("both arguments to matmul need to be at least 1D")
    _fitting("matmul", input, other)
    return checked_out(_matmul(input, other), out)


Tensor.__matmul__ = matmul  # type: ignore[method-assign, assignment]
Tensor.__rmatmul__ = lambda self, other: matmul(other, self)  # type: ignore[method-assign, assignment]


def _product(name: str, input: Any, other: Any, ndims: tuple[int, int], out: Any) -> Tensor:
    if (input._data.ndim, other._data.ndim) != ndims:
        raise RuntimeError(
            f"{name}: tensors of {ndims[0]} and {ndims[1]} axes are needed. Received: shapes "
            f"{tuple(input._data.shape)} and {tuple(other._data.shape)}"
        )
    _fitting(name, input, other)
    return checked_out(_matmul(input, other), out)


@method
def mm(input: Any, mat2: Any, *, out: Any = None) -> Tensor:
    """The product of two matrices."""
    return _product("mm", input, mat2, (2, 2), out)


@method
def bmm(input: Any, mat2: Any, *, out: Any = None) -> Tensor:
    """The products of two stacks of matrices."""
    return _product("bmm", input, mat2, (3, 3), out)


@method
def mv(input: Any, vec: Any, *, out: Any = None) -> Tensor:
    """The product of a matrix and a vector."""
    return _product("mv", input, vec, (2, 1), out)


@method
def dot(input: Any, tensor: Any, *, out: Any = None) -> Tensor:
    """The sum of the products of two vectors."""
    return _product("dot", input, tensor, (1, 1), out)


@method
def inner(input: Any, other: Any) -> Tensor:
    """The sums of the products over the last axes."""
    return FUNCTIONS[np.inner](input, other)


@method(names=("ger",))
def outer(input: Any, vec2: Any) -> Tensor:
    """All products of the elements of two vectors."""
    return mul(input.unsqueeze(1), vec2.unsqueeze(0))


ger = outer


@method(in_place=True)
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * mat1 @ mat2"""
    return add(input if beta == 1 else mul(input, beta), mm(mat1, mat2), alpha=alpha)


@method(in_place=True)
def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * mat @ vec"""
    return add(input if beta == 1 else mul(input, beta), mv(mat, vec), alpha=alpha)


@method(in_place=True)
def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)"""
    return add(input if beta == 1 else mul(input, beta), outer(vec1, vec2), alpha=alpha)


@method(in_place=True)
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * batch1 @ batch2"""
    return add(input if beta == 1 else mul(input, beta), bmm(batch1, batch2), alpha=alpha)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products, by the names of axes: `einsum("bij,bjk->bik", a, b)`."""
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    return FUNCTIONS[np.einsum](equation, *operands)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Tensor:
    """Sums of products over several axes."""
    return FUNCTIONS[np.tensordot](a, b, dims)


@method
def kron(input: Any, other: Any) -> Tensor:
    """Each element of the one times all of the other."""
    return FUNCTIONS[np.kron](input, other)


@method
def trace(input: Any) -> Tensor:
    """The sum of the diagonal."""
    return FUNCTIONS[np.trace](input)


@method
def cross(input: Any, other: Any, dim: int = -1) -> Tensor:
    """The vector that is at right angles to both."""
    a, b = (FUNCTIONS[np.moveaxis](x, dim, 0) for x in (input, other))
    from fastnn.compat.torch._shapes import stack

    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return stack(parts, dim)


def chain_matmul(*matrices: Any) -> Tensor:
    """The product of several matrices."""
    y = matrices[0]
    for matrix in matrices[1:]:
        y = mm(y, matrix)
    return y


def _without_gradient(name: str, function: Any) -> Any:
    def compute(input: Any, *arguments: Any) -> Any:
        if input._requires_grad:
            raise RuntimeError(f"{name} has no gradient in fastnn: detach() its input")
        found = function(input._data, *[a._data if isinstance(a, NumPyTensor) else a for a in arguments])
        return tuple(map(wrapped, found)) if isinstance(found, tuple) else wrapped(found)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"`numpy.linalg.{function.__name__}`; no gradient goes through."
    return compute


det = method(_without_gradient("det", np.linalg.det))
inverse = method(_without_gradient("inverse", np.linalg.inv))


@method
def pinverse(input: Any, rcond: float = 1e-15) -> Tensor:
    """`numpy.linalg.pinv`; no gradient goes through."""
    if input._requires_grad:
        raise RuntimeError("pinverse has no gradient in fastnn: detach() its input")
    return wrapped(np.linalg.pinv(input._data, rcond))


@method
def vdot(input: Any, other: Any) -> Tensor:
    """`dot`: numbers are real."""
    return dot(input, other)


@method
def matrix_power(input: Any, n: int) -> Tensor:
    """The product of n equal matrices; of inverses, if n is negative."""
    if n < 0:
        return matrix_power(inverse(input), -n)
    y, square = None, input
    while n:
        if n & 1:
            y = square if y is None else matmul(y, square)
        n >>= 1
        square = matmul(square, square) if n else square
    if y is None:  # a gradient of 0 goes on
        return add(mul(input, 0), new(np.eye(input._data.shape[-1], dtype=input._data.dtype)))
    return y


slogdet = method(_without_gradient("slogdet", np.linalg.slogdet))


@method
def logdet(input: Any) -> Tensor:
    """The logarithm of `det`, NaN where that is negative; no gradient goes through."""
    signs, logarithms = slogdet(input)
    return new(np.where(signs._data >= 0, logarithms._data, np.nan).astype(input._data.dtype))


@method
def cholesky(input: Any, upper: bool = False) -> Tensor:
    """`numpy.linalg.cholesky`; no gradient goes through."""
    factor = _without_gradient("cholesky", np.linalg.cholesky)(input)
    return factor.mT if upper else factor


@method
def qr(input: Any, some: bool = True) -> tuple[Tensor, Tensor]:
    """`numpy.linalg.qr`; no gradient goes through."""
    return tuple(_without_gradient("qr", np.linalg.qr)(input, "reduced" if some else "complete"))  # type: ignore[return-value]


@method
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V of `input` = U diag(S) V^T, by `numpy.linalg.svd`; no gradient goes through."""
    u, s, vh = _without_gradient("svd", np.linalg.svd)(input, not some)
    if not compute_uv:
        shape = input._data.shape
        u, vh = (new(np.zeros((*shape[:-2], n, n), input._data.dtype)) for n in shape[-2:])
    return u, s, vh.mT
