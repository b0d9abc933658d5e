"""Which dtype a result has, by PyTorch's rules.

Numbers are of three categories: bools, integers, floats. Tensors with axes decide; a tensor without axes, or a number
of Python, counts only if its category is higher than theirs.
"""

from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._dtype import default_numpy_dtype
from fastnn.compat.torch._tensor import Tensor, array_from, new

__all__ = ["as_float", "cast", "common_dtype", "matched"]

_CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2}
_BOOL, _INT64 = np.dtype(np.bool_), np.dtype(np.int64)


def _of_number(value: Any) -> np.dtype:
    if isinstance(value, bool | np.bool_):
        return _BOOL
    if isinstance(value, int | np.integer):
        return _INT64
    if isinstance(value, float | np.floating):
        return default_numpy_dtype()
    raise TypeError(f"a tensor or a number is needed. Received: {type(value).__name__}")


def common_dtype(*values: Any) -> np.dtype:
    """The dtype that tensors and numbers of Python are computed in."""
    ranks: list[list[np.dtype]] = [[], [], []]  # with axes, without axes, numbers
    for value in values:
        if isinstance(value, NumPyTensor):
            ranks[0 if value._data.ndim else 1].append(value._data.dtype)
        else:
            ranks[2].append(_of_number(value))
    result: np.dtype | None = None
    for dtypes in ranks:
        if not dtypes:
            continue
        found = dtypes[0]
        for dtype in dtypes[1:]:
            found = _joined(found, dtype)
        if result is None or _CATEGORY[found.kind] > _CATEGORY[result.kind]:
            result = found
    assert result is not None
    return result


def _joined(a: np.dtype, b: np.dtype) -> np.dtype:
    if _CATEGORY[a.kind] != _CATEGORY[b.kind]:
        return a if _CATEGORY[a.kind] > _CATEGORY[b.kind] else b
    return np.promote_types(a, b)


def cast(x: Any, dtype: np.dtype) -> Any:
    """x in this dtype; gradients go through."""
    if x._data.dtype == dtype:
        return x
    return NumPyTensor.astype(x, dtype)


def matched(a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands in their common dtype, ready for NumPy: at least one is a tensor."""
    is_a, is_b = isinstance(a, NumPyTensor), isinstance(b, NumPyTensor)
    if is_a and is_b:
        if a._data.dtype is b._data.dtype:
            return a, b
    elif is_a:
        kind, other = a._data.dtype.kind, type(b)
        if other is int or other is float or other is bool:
            if kind == "f" or (kind == "i" and other is int):
                return a, b
        else:
            b = operand(b)
    else:
        kind, other = b._data.dtype.kind, type(a)
        if other is int or other is float or other is bool:
            if kind == "f" or (kind == "i" and other is int):
                return a, b
        else:
            a = operand(a)
    dtype = common_dtype(a, b)
    return tuple(
        cast(value, dtype) if isinstance(value, NumPyTensor) else new(np.asarray(value, dtype)) for value in (a, b)
    )  # type: ignore[return-value]


def operand(value: Any) -> Any:
    """A tensor, a number of Python, or an array as a tensor."""
    if isinstance(value, NumPyTensor):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return new(value)
    if isinstance(value, int | float):
        return value
    raise TypeError(f"a tensor or a number is needed. Received: {type(value).__name__}")


def tensor_from(value: Any) -> Tensor:
    """A tensor as it is, anything else as one."""
    return value if isinstance(value, NumPyTensor) else new(array_from(value))  # type: ignore[return-value]


def as_float(x: Any) -> Any:
    """Integers and bools in the default dtype; floats as they are."""
    x = tensor_from(x)
    return x if x._data.dtype.kind == "f" else cast(x, default_numpy_dtype())
