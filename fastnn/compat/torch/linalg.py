"""torch.linalg: NumPy's linear algebra. Norms and products have gradients; the rest says so where one is wanted."""

import collections
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.methods import FUNCTIONS
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._dtype import numpy_dtype
from fastnn.compat.torch._linalg import cross as _cross
from fastnn.compat.torch._linalg import matmul
from fastnn.compat.torch._linalg import matrix_power as _matrix_power
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import absolute, mul
from fastnn.compat.torch._pointwise import pow as _pow
from fastnn.compat.torch._promotion import cast
from fastnn.compat.torch._reductions import amax, amin
from fastnn.compat.torch._reductions import sum as _sum
from fastnn.compat.torch._reductions import vector_norm as _vector_norm
from fastnn.compat.torch._shapes import diagonal as _diagonal
from fastnn.compat.torch._shapes import stack
from fastnn.compat.torch._tensor import Tensor, checked_out, wrapped

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


class LinAlgError(RuntimeError):
    """A matrix has no inverse, is not positive definite, or iterations do not converge."""


_Eigh = collections.namedtuple("_Eigh", "eigenvalues eigenvectors")
_Lstsq = collections.namedtuple("_Lstsq", "solution residuals rank singular_values")
_QR = collections.namedtuple("_QR", "Q R")
_SVD = collections.namedtuple("_SVD", "U S Vh")
_Slogdet = collections.namedtuple("_Slogdet", "sign logabsdet")


def _arrays(name: str, *tensors: Any) -> list[NDArray]:
    """The arrays of float tensors, none of which requires a gradient."""
    for x in tensors:
        if x._data.dtype.kind != "f":
            raise RuntimeError(f"linalg.{name}: Expected a floating point tensor. Received: {x.dtype!r}")
        if x._requires_grad:
            raise RuntimeError(f"linalg.{name} has no gradient in fastnn: detach() its input")
    return [x._data for x in tensors]


def _computed(name: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    try:
        return function(*arguments, **keywords)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"linalg.{name}: {error}") from None


# ---- norms and products ----------------------------------------------------------------------------------------------
def vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
                ) -> Tensor:  # fmt: skip
    """(sum |x|^ord)^(1 / ord) of all elements, or along axes."""
    x = cast(x, numpy_dtype(dtype)) if dtype is not None else x
    return checked_out(_vector_norm(x, ord, dim, keepdim), out)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None,
                out: Any = None) -> Tensor:  # fmt: skip
    """The norm of matrices: "fro", "nuc", 1, -1, inf, -inf, 2 or -2; the last two and "nuc" without gradient."""
    x = cast(A, numpy_dtype(dtype)) if dtype is not None else A
    if ord == "fro":
        return vector_norm(x, 2, dim, keepdim, out=out)
    rows, columns = (axis % x._data.ndim for axis in dim)
    y: Any
    if ord in (1, -1, math.inf, -math.inf):
        inner, outer = (columns, rows) if abs(ord) == math.inf else (rows, columns)
        sums = _sum(absolute(x), inner, True)
        y = (amax if ord > 0 else amin)(sums, outer, True)
    elif ord in (2, -2, "nuc"):
        (array,) = _arrays("matrix_norm", x)
        values = np.linalg.svd(np.moveaxis(array, (rows, columns), (-2, -1)), compute_uv=False)
        found = values.sum(-1) if ord == "nuc" else values.max(-1) if ord == 2 else values.min(-1)
        kept = [1 if axis in (rows, columns) else n for axis, n in enumerate(array.shape)]
        y = wrapped(found.reshape(kept))
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    return checked_out(y if keepdim else FUNCTIONS[np.squeeze](y, (rows, columns)), out)


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: Any = None, dtype: Any = None
         ) -> Tensor:  # fmt: skip
    """`vector_norm`, or, of two axes with an `ord`, `matrix_norm`."""
    axes = dim if isinstance(dim, tuple | list) else None
    if ord is not None and ((axes is not None and len(axes) == 2) or (dim is None and A._data.ndim == 2)):
        return matrix_norm(A, ord, (-2, -1) if axes is None else axes, keepdim, dtype=dtype, out=out)
    if isinstance(ord, str) or (ord is not None and dim is None and A._data.ndim != 1):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Received: shape "
            f"{tuple(A._data.shape)}, ord={ord!r}"
        )
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, out=out)


def vecdot(x: Any, y: Any, *, dim: int = -1, out: Any = None) -> Tensor:
    """The sums of products along an axis."""
    return checked_out(_sum(mul(x, y), dim), out)


def cross(input: Any, other: Any, *, dim: int = -1, out: Any = None) -> Tensor:
    """The vectors at right angles to both."""
    return checked_out(_cross(input, other, dim), out)


def multi_dot(tensors: Sequence[Any], *, out: Any = None) -> Tensor:
    """The product of several matrices, of which the first and the last may be vectors."""
    y = tensors[0]
    for x in tensors[1:]:
        y = matmul(y, x)
    return checked_out(y, out)


def matrix_power(A: Any, n: int, *, out: Any = None) -> Tensor:
    """The product of n equal matrices; of inverses, if n is negative."""
    return checked_out(_matrix_power(A, n), out)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices."""
    return _diagonal(A, offset, dim1, dim2)


def vander(x: Any, N: int | None = None) -> Tensor:
    """x to the powers of 0, 1, ..., N - 1."""
    n = x._data.shape[-1] if N is None else N
    return stack([_pow(x, power) for power in range(n)], -1)


# ---- determinants, inverses, solutions -------------------------------------------------------------------------------
def det(A: Any, *, out: Any = None) -> Tensor:
    """The determinants; no gradient goes through."""
    return checked_out(wrapped(np.linalg.det(*_arrays("det", A))), out)


def slogdet(A: Any, *, out: Any = None) -> Any:
    """The signs of determinants and the logarithms of their sizes; no gradient goes through."""
    return _Slogdet(*map(wrapped, np.linalg.slogdet(*_arrays("slogdet", A))))


def inv(A: Any, *, out: Any = None) -> Tensor:
    """The inverses; no gradient goes through."""
    return checked_out(wrapped(_computed("inv", np.linalg.inv, *_arrays("inv", A))), out)


def pinv(A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Any = None
         ) -> Tensor:  # fmt: skip
    """The pseudo-inverses, of singular values above max(atol, rtol * the largest); no gradient goes through."""
    (array,) = _arrays("pinv", A)
    u, s, vh = _computed("pinv", np.linalg.svd, array, False)
    limit = _limit(array, s, atol, rcond if rtol is None else rtol)
    inverse = np.divide(1, s, out=np.zeros_like(s), where=s > limit)
    return checked_out(wrapped(np.swapaxes(vh, -2, -1) * inverse[..., None, :] @ np.swapaxes(u, -2, -1)), out)


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
                out: Any = None) -> Tensor:  # fmt: skip
    """How many singular values are above max(atol, rtol * the largest)."""
    (array,) = _arrays("matrix_rank", A.detach())
    values = np.linalg.svd(array, compute_uv=False)
    ranks = np.sum(values > _limit(array, values, tol if atol is None else atol, rtol), axis=-1)
    return checked_out(wrapped(np.asarray(ranks, np.int64)), out)


def _limit(array: NDArray, values: NDArray, atol: Any, rtol: Any) -> Any:
    """What singular values must be above to count."""
    atol, rtol = (x._data[..., None] if isinstance(x, NumPyTensor) else x for x in (atol, rtol))
    if rtol is None:
        rtol = 0.0 if np.any(np.greater(0.0 if atol is None else atol, 0)) else _epsilon(array)
    return np.maximum(0.0 if atol is None else atol, rtol * values.max(-1, keepdims=True))


def _epsilon(array: NDArray) -> float:
    return float(max(array.shape[-2:]) * np.finfo(array.dtype).eps)


def solve(A: Any, B: Any, *, left: bool = True, out: Any = None) -> Tensor:
    """X with A X = B, or with left=False, X A = B; no gradient goes through."""
    a, b = _arrays("solve", A, B)
    is_vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    b = b[..., None] if is_vector else b
    if not left:
        if is_vector:
            raise RuntimeError(
                "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False"
            )
        a, b = np.swapaxes(a, -2, -1), np.swapaxes(b, -2, -1)
    x = _computed("solve", np.linalg.solve, a, b)
    return checked_out(wrapped(x[..., 0] if is_vector else x if left else np.swapaxes(x, -2, -1)), out)


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Any = None
                     ) -> Tensor:  # fmt: skip
    """X with A X = B, or with left=False, X A = B, of a triangular A; no gradient goes through."""
    a, b = _arrays("solve_triangular", A, B)
    a = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        a = a - a * np.eye(a.shape[-1], dtype=a.dtype) + np.eye(a.shape[-1], dtype=a.dtype)
    if not left:
        a, b = np.swapaxes(a, -2, -1), np.swapaxes(b, -2, -1)
    x = _computed("solve_triangular", np.linalg.solve, a, b)
    return checked_out(wrapped(x if left else np.swapaxes(x, -2, -1)), out)


def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X that makes ||A X - B|| least, for one matrix A; no gradient goes through."""
    a, b = _arrays("lstsq", A, B)
    if a.ndim != 2:
        raise RuntimeError(f"linalg.lstsq: one matrix at a time. Received: shape {tuple(a.shape)}")
    x, _, rank, values = _computed("lstsq", np.linalg.lstsq, a, b, _epsilon(a) if rcond is None else rcond)
    rows, columns = a.shape
    found = np.sum((a @ x - b) ** 2, axis=0) if rows > columns and rank == columns else np.zeros(0, a.dtype)
    return _Lstsq(wrapped(x), wrapped(found), wrapped(np.asarray(rank, np.int64)), wrapped(values))


# ---- factors and eigenvalues -----------------------------------------------------------------------------------------
def cholesky(A: Any, *, upper: bool = False, out: Any = None) -> Tensor:
    """L with A = L L^T, or its transpose; no gradient goes through."""
    factor = _computed("cholesky", np.linalg.cholesky, *_arrays("cholesky", A))
    return checked_out(wrapped(np.swapaxes(factor, -2, -1) if upper else factor), out)


def qr(A: Any, mode: str = "reduced", *, out: Any = None) -> Any:
    """Q and R with A = Q R; no gradient goes through."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"linalg.qr: mode must be 'reduced', 'complete' or 'r'. Received: {mode!r}")
    found = _computed("qr", np.linalg.qr, *_arrays("qr", A), mode)
    return _QR(*map(wrapped, (np.zeros(0, A._data.dtype), found) if mode == "r" else found))


def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None, out: Any = None) -> Any:
    """U, S and Vh with A = U diag(S) Vh; no gradient goes through."""
    return _SVD(*map(wrapped, _computed("svd", np.linalg.svd, *_arrays("svd", A), full_matrices)))


def svdvals(A: Any, *, driver: str | None = None, out: Any = None) -> Tensor:
    """The singular values; no gradient goes through."""
    return checked_out(wrapped(_computed("svdvals", np.linalg.svd, *_arrays("svdvals", A), compute_uv=False)), out)


def eigh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """The eigenvalues of symmetric matrices, and their vectors; no gradient goes through."""
    return _Eigh(*map(wrapped, _computed("eigh", np.linalg.eigh, *_arrays("eigh", A), UPLO)))


def eigvalsh(A: Any, UPLO: str = "L", *, out: Any = None) -> Tensor:
    """The eigenvalues of symmetric matrices; no gradient goes through."""
    return checked_out(wrapped(_computed("eigvalsh", np.linalg.eigvalsh, *_arrays("eigvalsh", A), UPLO)), out)


def cond(A: Any, p: Any = None, *, out: Any = None) -> Tensor:
    """How much errors grow in a solution: a norm times that of the inverse; no gradient goes through."""
    (array,) = _arrays("cond", A)
    return checked_out(wrapped(np.asarray(np.linalg.cond(array, p), array.dtype)), out)


def tensorinv(A: Any, ind: int = 2, *, out: Any = None) -> Tensor:
    """The inverse of `torch.tensordot` with A; no gradient goes through."""
    return checked_out(wrapped(_computed("tensorinv", np.linalg.tensorinv, *_arrays("tensorinv", A), ind)), out)


def tensorsolve(A: Any, B: Any, dims: Any = None, *, out: Any = None) -> Tensor:
    """X with tensordot(A, X) = B; no gradient goes through."""
    a, b = _arrays("tensorsolve", A, B)
    return checked_out(wrapped(_computed("tensorsolve", np.linalg.tensorsolve, a, b, dims)), out)


_COMPLEX = "its results are complex: use numpy.linalg on x.numpy()"
_SCIPY = "use scipy.linalg on x.numpy()"
__getattr__ = missing(
    __name__,
    {
        "eig": _COMPLEX,
        "eigvals": _COMPLEX,
        "cholesky_ex": "use torch.linalg.cholesky, and catch torch.linalg.LinAlgError",
        "inv_ex": "use torch.linalg.inv, and catch torch.linalg.LinAlgError",
        "solve_ex": "use torch.linalg.solve, and catch torch.linalg.LinAlgError",
        "householder_product": _SCIPY,
        "ldl_factor": _SCIPY,
        "ldl_factor_ex": _SCIPY,
        "ldl_solve": _SCIPY,
        "lu": _SCIPY,
        "lu_factor": _SCIPY,
        "lu_factor_ex": _SCIPY,
        "lu_solve": _SCIPY,
        "matrix_exp": _SCIPY,
    },
)
