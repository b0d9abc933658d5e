"""Tensors that refuse what a graph cannot say: to be asked for a value that Python decides by.

Whatever is computed from one is another one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.autograd.methods import NO_GRADIENT, OBSERVED
from fastnn.autograd.observer import running_module
from fastnn.autograd.tensor import Tensor

__all__ = ["watched"]

# Functions that ask for shapes, dtypes or texts only.
_NO_VALUES = {
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.tril_indices_from, np.triu_indices_from,
    np.diag_indices_from, np.result_type, np.can_cast, np.min_scalar_type, np.common_type, np.isrealobj,
    np.iscomplexobj, np.may_share_memory, np.shares_memory, np.array2string, np.array_repr, np.array_str, np.save,
    np.savez, np.savez_compressed, np.savetxt,
}  # fmt: skip
_REFUSED = NO_GRADIENT - OBSERVED.keys() - _NO_VALUES


def _error(what: str) -> ValueError:
    module = running_module()
    where = f" in {type(module).__name__}.forward" if module is not None else ""
    return ValueError(
        f"export_onnx: {what}{where} depends on the values of the inputs, which a graph cannot say: use np.where "
        "instead of if, comparisons and np.take instead of numbers, and leave checks of values to those who call the "
        "model"
    )


_slot: Any = vars(Tensor)["_data"]


def watched(kind: type[Tensor], seen: list[Any]) -> type[Tensor]:
    """A class of tensors of this kind that refuse it. Their arrays, all computed from inputs, are added to `seen`."""

    def hold(tensor: Any, array: Any) -> None:
        seen.append(array)
        _slot.__set__(tensor, array)

    class Watched(kind):  # type: ignore[misc, valid-type]
        __slots__ = ()

        _data = property(_slot.__get__, hold)

        def __bool__(self) -> bool:
            raise _error("a decision (if, while, and, or, assert)")

        def __index__(self) -> int:
            raise _error("an index or a size")

        def __contains__(self, value: Any) -> bool:
            raise _error("an answer of `in`")

        def item(self) -> Any:
            raise _error("a number (item, int, float)")

        def tolist(self) -> Any:
            raise _error("a list of numbers")

        def numpy(self, **keywords: Any) -> Any:
            raise _error("an array (numpy)")

        def _for_reading(self) -> Any:
            raise _error("an array (data, np.asarray)")

        def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
            if function in _REFUSED:
                raise _error(f"np.{function.__name__}")
            return super().__array_function__(function, types, args, keywords)

    Watched.__name__ = kind.__name__
    Watched.__qualname__ = kind.__qualname__
    Watched._kind = Watched
    return Watched
