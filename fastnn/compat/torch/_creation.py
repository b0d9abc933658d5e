"""Tensors from nothing, from numbers, from arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._device import check_device
from fastnn.compat.torch._dtype import default_numpy_dtype, numpy_dtype
from fastnn.compat.torch._size import sizes_of
from fastnn.compat.torch._tensor import Tensor, array_from, checked_out, from_sizes_or_numbers, new

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "hann_window",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "scalar_tensor",
    "tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]


def _made(array: NDArray, requires_grad: bool, out: Any = None) -> Tensor:
    x = new(array) if out is None else checked_out(new(array), out)
    if requires_grad:
        x.requires_grad = True
    return x


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
           ) -> Tensor:  # fmt: skip
    """A tensor with a copy of numbers, nested lists of them, or an array; floats of Python in the default dtype."""
    check_device(device)
    return _made(np.array(array_from(data, None if dtype is None else numpy_dtype(dtype))), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor as it is, an array without a copy, anything else as by `tensor`."""
    check_device(device)
    if isinstance(data, NumPyTensor):
        return data if dtype is None else data.to(dtype)  # type: ignore[return-value, attr-defined]
    return new(array_from(data, None if dtype is None else numpy_dtype(dtype)))


asarray = as_tensor


def from_numpy(ndarray: NDArray) -> Tensor:
    """A tensor that shares memory with the array."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if ndarray.dtype.kind not in "fiub" or not ndarray.dtype.isnative:
        raise TypeError(f"can't convert np.ndarray of type {ndarray.dtype}: use an array of native numbers")
    return new(ndarray)


def _filled(value: Any, sizes: Any, dtype: Any, requires_grad: bool, out: Any = None) -> Tensor:
    return _made(np.full(sizes, value, default_numpy_dtype() if dtype is None else numpy_dtype(dtype)),
                 requires_grad, out)  # fmt: skip


def _sizes(size: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[int, ...]:
    """The sizes that a function got by position or as `size`."""
    given = keywords.pop("size", None)
    if keywords:
        raise TypeError(f"unexpected keyword argument {next(iter(keywords))!r}")
    return sizes_of(size if given is None else (given,))


def zeros(*size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
          requires_grad: bool = False, pin_memory: bool = False, **keywords: Any) -> Tensor:  # fmt: skip
    """Zeros."""
    check_device(device)
    return _filled(0, _sizes(size, keywords), dtype, requires_grad, out)


def ones(*size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
         requires_grad: bool = False, pin_memory: bool = False, **keywords: Any) -> Tensor:  # fmt: skip
    """Ones."""
    check_device(device)
    return _filled(1, _sizes(size, keywords), dtype, requires_grad, out)


def empty(*size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
          requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None, **keywords: Any
          ) -> Tensor:  # fmt: skip
    """Zeros: what PyTorch leaves as it was is 0 here."""
    check_device(device)
    return _filled(0, _sizes(size, keywords), dtype, requires_grad, out)


def full(size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
         requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """One number everywhere; without a dtype, in that of the number."""
    check_device(device)
    value = fill_value.item() if isinstance(fill_value, NumPyTensor) else fill_value
    if dtype is None:
        dtype = bool if isinstance(value, bool) else int if isinstance(value, int) else float
    return _filled(value, sizes_of((size,)) if isinstance(size, tuple | list) else (int(size),), dtype, requires_grad,
                   out)  # fmt: skip


def _like(value: Any, input: Any, dtype: Any, requires_grad: bool) -> Tensor:
    kind = input._data.dtype if dtype is None else numpy_dtype(dtype)
    return _made(np.full_like(input._data, value, kind), requires_grad)


def zeros_like(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
               memory_format: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Zeros of the shape and dtype of `input`."""
    check_device(device)
    return _like(0, input, dtype, requires_grad)


def ones_like(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
              memory_format: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Ones of the shape and dtype of `input`."""
    check_device(device)
    return _like(1, input, dtype, requires_grad)


def empty_like(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
               memory_format: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Zeros of the shape and dtype of `input`."""
    check_device(device)
    return _like(0, input, dtype, requires_grad)


def full_like(input: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
              requires_grad: bool = False, memory_format: Any = None) -> Tensor:  # fmt: skip
    """One number everywhere, in the shape and dtype of `input`."""
    check_device(device)
    return _like(fill_value.item() if isinstance(fill_value, NumPyTensor) else fill_value, input, dtype, requires_grad)


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, NumPyTensor | np.generic) else value


def arange(start: Any, end: Any = None, step: Any = 1, *, out: Any = None, dtype: Any = None, layout: Any = None,
           device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Numbers from start up to, not including, end."""
    check_device(device)
    if end is None:
        start, end = 0, start
    start, end, step = map(_number, (start, end, step))
    if dtype is None:
        dtype = int if all(isinstance(value, int) for value in (start, end, step)) else float
    kind = numpy_dtype(dtype)
    return _made(np.arange(start, end, step, np.float64 if kind.kind == "f" else kind).astype(kind), requires_grad, out)


def linspace(start: Any, end: Any, steps: int, *, out: Any = None, dtype: Any = None, layout: Any = None,
             device: Any = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """`steps` numbers at even distances, both ends included."""
    check_device(device)
    kind = default_numpy_dtype() if dtype is None else numpy_dtype(dtype)
    return _made(np.linspace(_number(start), _number(end), steps).astype(kind), requires_grad, out)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, out: Any = None, dtype: Any = None,
             layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Powers of `base`, with exponents at even distances."""
    check_device(device)
    kind = default_numpy_dtype() if dtype is None else numpy_dtype(dtype)
    return _made(np.power(base, np.linspace(_number(start), _number(end), steps)).astype(kind), requires_grad, out)


def eye(n: int, m: int | None = None, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Ones on the diagonal of zeros."""
    check_device(device)
    kind = default_numpy_dtype() if dtype is None else numpy_dtype(dtype)
    return _made(np.eye(n, m, dtype=kind), requires_grad, out)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The places of the lower triangle, in two rows."""
    return new(np.stack(np.tril_indices(row, offset, col)))


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The places of the upper triangle, in two rows."""
    return new(np.stack(np.triu_indices(row, offset, col)))


def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor without axes, in the default dtype."""
    return _filled(_number(value), (), dtype, requires_grad)


def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
                device: Any = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """A raised cosine."""
    n = window_length + 1 if periodic else window_length
    kind = default_numpy_dtype() if dtype is None else numpy_dtype(dtype)
    return _made(np.hanning(n)[:window_length].astype(kind), requires_grad)


# ---- of the kind of a tensor -----------------------------------------------------------------------------------------
def _new_filled(value: Any) -> Any:
    def make(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
             layout: Any = None, pin_memory: bool = False, **keywords: Any) -> Tensor:  # fmt: skip
        kind = self._data.dtype if dtype is None else numpy_dtype(dtype)
        return _made(np.full(_sizes(size, keywords), value, kind), requires_grad)

    return make


def _new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:  # fmt: skip
    return _made(np.full(tuple(size), fill_value, self._data.dtype if dtype is None else numpy_dtype(dtype)),
                 requires_grad)  # fmt: skip


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
                ) -> Tensor:  # fmt: skip
    kind = self._data.dtype if dtype is None else numpy_dtype(dtype)
    return _made(np.array(array_from(data, np.dtype(kind))), requires_grad)


for _name, _function in {
    "new_zeros": _new_filled(0), "new_ones": _new_filled(1), "new_empty": _new_filled(0), "new_full": _new_full,
    "new_tensor": _new_tensor,
}.items():  # fmt: skip
    _function.__name__ = _function.__qualname__ = _name
    setattr(Tensor, _name, _function)


def _new(self: Tensor, *arguments: Any) -> Tensor:
    """An old name: of these sizes, or with these numbers, in the tensor's dtype."""
    return new(from_sizes_or_numbers(arguments, self._data.dtype))


Tensor.new = _new  # type: ignore[attr-defined]


# ---- types as functions, as once was the custom ----------------------------------------------------------------------
class _Kind(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, NumPyTensor) and value._data.dtype == cls.numpy  # type: ignore[attr-defined]


def _typed(name: str, kind: Any) -> Any:
    def make(cls: Any, *data: Any, device: Any = None) -> Tensor:
        return new(from_sizes_or_numbers(data, np.dtype(kind)))

    return _Kind(name, (), {"__new__": make, "numpy": np.dtype(kind), "__module__": "torch", "__doc__":
                            f"A tensor of {np.dtype(kind).name}, of these sizes or with these numbers."})  # fmt: skip


FloatTensor, DoubleTensor = _typed("FloatTensor", np.float32), _typed("DoubleTensor", np.float64)
HalfTensor, LongTensor = _typed("HalfTensor", np.float16), _typed("LongTensor", np.int64)
IntTensor, ShortTensor = _typed("IntTensor", np.int32), _typed("ShortTensor", np.int16)
CharTensor, ByteTensor = _typed("CharTensor", np.int8), _typed("ByteTensor", np.uint8)
BoolTensor = _typed("BoolTensor", np.bool_)
TYPED = {
    kind.numpy: kind
    for kind in (
        FloatTensor, DoubleTensor, HalfTensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor,
    )
}  # fmt: skip
