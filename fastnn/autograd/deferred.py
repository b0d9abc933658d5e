"""Results that are computed only when they are needed, so that a following operation can be computed with them.

In `F.relu(self.bn(self.conv(x)))` it is not known, when the batch norm runs, that a ReLU follows, with which it could
share one pass over memory. Its result is therefore a tensor of a special class. It computes itself, and becomes a plain
tensor, as soon as anything of it is used. A ReLU, or a `+` before one, asks to be computed together with it.

Only recorded operations are deferred, and only if their inputs are recorded results, which nothing can overwrite. A
deferred result that was joined is still available afterwards; gradients then go through it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _runtime
from fastnn.autograd.memory import KEPT
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.observer import observers
from fastnn.autograd.tensor import Tensor, new_tensor

__all__ = ["Deferred", "Pending", "defer", "frozen", "may_wait", "recorded", "settle"]


class Pending:
    """A computation that is still to be done, whose result has a known shape and dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, like: np.ndarray) -> None:
        self.shape, self.dtype = like.shape, like.dtype

    def compute(self) -> Any:
        """The result as a tensor. Every call returns the same one."""
        raise NotImplementedError

    def then(self, activation: str) -> Any:
        """An activation of the result, computed together with it; None if that is not possible."""
        return None

    def plus(self, residual: Any) -> "Pending | None":
        """The sum with a tensor of the same shape, still to be computed; None if that is not possible."""
        return None


class Deferred:
    """A tensor that has not been computed yet. It holds a `Pending` instead of an array."""

    __slots__ = ()

    _data = property(lambda self: _computed(self)._data, lambda self, value: setattr(_computed(self), "_data", value))
    _op = property(lambda self: _computed(self)._op, lambda self, value: setattr(_computed(self), "_op", value))
    _memory = property(
        lambda self: _computed(self)._memory, lambda self, value: setattr(_computed(self), "_memory", value)
    )

    def then(self, activation: str) -> Any:
        """An activation, computed together with this tensor; None if it is already computed, or if it cannot be."""
        pending = _waiting(self)
        return None if pending is None or not RECORDING.get() else pending.then(activation)

    def fits(self, y: Tensor) -> bool:
        """Whether the recorded tensor y has the same shape and dtype, while this one is not yet computed."""
        pending = _waiting(self)
        if pending is None or y._op is None:
            return False
        return y._data.shape == pending.shape and y._data.dtype == pending.dtype

    def __add__(self, other: Any) -> Any:
        joined = _sum(self, other)
        return super().__add__(other) if joined is None else defer(joined, self._kind)  # type: ignore[misc,attr-defined]

    def __radd__(self, other: Any) -> Any:
        joined = _sum(self, other)
        return super().__radd__(other) if joined is None else defer(joined, self._kind)  # type: ignore[misc,attr-defined]

    def __iadd__(self, other: Any) -> Any:
        joined = _sum(self, other)
        if joined is None:
            return super().__iadd__(other)  # type: ignore[misc]
        if not self._changes_itself:  # type: ignore[attr-defined]
            return defer(joined, self._kind)  # type: ignore[attr-defined]
        _set_data(self, joined)
        return self


def may_wait(x: Any) -> bool:
    """Whether the result of an operation on x may be deferred."""
    return (
        isinstance(x, Tensor)
        and RECORDING.get()
        and x._op is not None
        and _runtime.joined_layers()
        and not observers()
        and not _runtime.uses_reference()
    )


def frozen(x: Tensor) -> Tensor:
    """A recorded result as it is now, even if its tensor is changed later. Nobody gets its array to write into."""
    if x._memory is None:
        x._memory = KEPT
    y = new_tensor(x._data, x._memory, x._kind)
    y._op, y._requires_grad = x._op, x._requires_grad
    return y


def defer(pending: Pending, kind: type[Tensor]) -> Any:
    """A tensor of this class that is computed when it is first used."""
    result: Any = _new(_waiting_kind(kind))
    _set_data(result, pending)
    result._requires_grad, result._grad = True, None
    return result


def settle(x: Any, y: Tensor) -> Any:
    """Turn a deferred tensor into what y is."""
    _set_op(x, y._op)
    _set_memory(x, y._memory)
    _set_data(x, y._data)
    x.__class__ = x._kind
    return x


_kinds: dict[type[Tensor], type] = {}


def _waiting_kind(kind: type[Tensor]) -> type:
    found = _kinds.get(kind)
    if found is None:
        names = {"__slots__": (), "__module__": kind.__module__, "__doc__": kind.__doc__}
        found = _kinds[kind] = type(kind.__name__, (Deferred, kind), names)
    return found


_new, _slots = Tensor.__new__, vars(Tensor)
_get_data, _set_data = _slots["_data"].__get__, _slots["_data"].__set__
_set_op, _set_memory = _slots["_op"].__set__, _slots["_memory"].__set__


def _waiting(x: Any) -> Pending | None:
    """What a tensor waits for; None if it was computed in the meantime."""
    pending = _get_data(x)
    return pending if isinstance(pending, Pending) else None


def _computed(x: Any) -> Any:
    pending = _waiting(x)
    if pending is not None:
        settle(x, recorded(pending.compute))
    else:  # by another thread
        x.__class__ = x._kind
    return x


def recorded(compute: Callable[[], Any]) -> Any:
    """The result of what was recorded when it was called, whether or not recording is on now."""
    token = RECORDING.set(True)
    try:
        return compute()
    finally:
        RECORDING.reset(token)


def _sum(x: Any, other: Any) -> Pending | None:
    pending = _waiting(x)
    if pending is None or other is x or not isinstance(other, Tensor) or not RECORDING.get():
        return None
    array = other._data
    if other._op is None or array.shape != pending.shape or array.dtype != pending.dtype:
        return None
    return pending.plus(other)
