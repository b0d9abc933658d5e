"""Tensors in other dtypes and on other devices, which are all the same."""

from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._creation import TYPED
from fastnn.compat.torch._device import check_device, device
from fastnn.compat.torch._dtype import DTYPES, dtype, numpy_dtype, torch_dtype
from fastnn.compat.torch._promotion import cast, common_dtype
from fastnn.compat.torch._tensor import Tensor


def _to(self: Tensor, *arguments: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False,
        copy: bool = False, memory_format: Any = None, other: Any = None) -> Any:  # fmt: skip
    """In another dtype; `x.to(device)` is x itself."""
    for argument in arguments:
        if isinstance(argument, NumPyTensor):
            other = argument
        elif argument is None or isinstance(argument, bool):
            continue
        elif isinstance(argument, _dtype) or argument in (float, int, bool):
            dtype = argument
        else:
            device = argument
    if device is not None:
        check_device(device)
    if other is not None:
        dtype = torch_dtype(other._data.dtype)
    y = self if dtype is None else _converted(self, dtype)
    return y.clone() if copy and y is self else y  # type: ignore[attr-defined]


_dtype = dtype


def _converted(x: Tensor, kind: Any) -> Any:
    y = cast(x, numpy_dtype(kind))
    # What is written into a tensor of bfloat16 does not reach the one it was made of.
    return x.clone() if y is x and kind is DTYPES["bfloat16"] else y


def _on_device(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """The tensor itself: fastnn computes on the CPU."""
    check_device("cuda" if device is None else device)
    return self


def _cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself."""
    return self


def _in_dtype(name: str) -> Any:
    kind = DTYPES[name]

    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        return _converted(self, kind)

    convert.__doc__ = f"In {kind!r}."
    return convert


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of its type; or the tensor in another one."""
    if dtype is None:
        return f"torch.{TYPED[self._data.dtype].__name__}"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2]
        if "cuda" in dtype:
            check_device("cuda")
        found = [kind for kind in TYPED.values() if kind.__name__ == name]
        if not found:
            raise ValueError(f"invalid type: {dtype!r}")
        return cast(self, found[0].numpy)
    return cast(self, dtype.numpy) if hasattr(dtype, "numpy") else _converted(self, dtype)


def _type_as(self: Tensor, other: Any) -> Tensor:
    """In the dtype of `other`."""
    return cast(self, other._data.dtype)


def _same(self: Tensor, *_: Any, **__: Any) -> Tensor:
    """The tensor itself."""
    return self


for _name, _function in {
    "to": _to, "cuda": _on_device, "xpu": _on_device, "cpu": _cpu, "type": _type, "type_as": _type_as,
    "float": _in_dtype("float32"), "double": _in_dtype("float64"), "half": _in_dtype("float16"),
    "bfloat16": _in_dtype("bfloat16"), "long": _in_dtype("int64"), "int": _in_dtype("int32"),
    "short": _in_dtype("int16"), "char": _in_dtype("int8"), "byte": _in_dtype("uint8"), "bool": _in_dtype("bool"),
    "pin_memory": _same, "share_memory_": _same, "to_dense": _same,
}.items():  # fmt: skip
    setattr(Tensor, _name, _function)


def is_tensor(obj: Any) -> bool:
    """Whether it is a tensor."""
    return isinstance(obj, NumPyTensor)


def is_floating_point(input: Any) -> bool:
    """Whether it holds floats."""
    return input._data.dtype.kind == "f"


def is_complex(input: Any) -> bool:
    """Whether it holds complex numbers, which it never does."""
    return False


def is_nonzero(input: Any) -> bool:
    """Whether its one element is not 0."""
    return bool(input)


Tensor.is_floating_point, Tensor.is_complex = is_floating_point, is_complex  # type: ignore[attr-defined]


def numel(input: Any) -> int:
    """How many elements it has."""
    return input._data.size


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype that both are computed in."""
    return torch_dtype(common_dtype(tensor1, tensor2))


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that both fit into."""
    kinds = [Tensor.__new__(Tensor) for _ in range(2)]
    for x, kind in zip(kinds, (type1, type2), strict=True):
        x._data = np.zeros(1, numpy_dtype(kind))
    return torch_dtype(common_dtype(*kinds))


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether no category of numbers is lost."""
    order = "biuf"
    kinds = [numpy_dtype(kind).kind.replace("u", "i") for kind in (from_, to)]
    return order.index(kinds[0]) <= order.index(kinds[1])


__all__ = [
    "can_cast",
    "device",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_tensor",
    "numel",
    "promote_types",
    "result_type",
]
