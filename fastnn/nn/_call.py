"""What happens when a module is called: arrays become tensors and results arrays, and the call is remembered.

tensors in               tensors out, recorded like everything else
arrays in                arrays out; the module remembers the call for its `backward`
a backward of one's own  forward gets arrays; among tensors, the call is one operation of the tape
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout
from fastnn.autograd.memory import BORROWED
from fastnn.autograd.modes import LOST, RECORDING, STRICT
from fastnn.autograd.observer import observers, running_in, running_module
from fastnn.autograd.tape import go_back, next_number
from fastnn.autograd.tensor import Tensor, array_of, mapped, new_tensor, seed, tensors_in
from fastnn.nn import _failures
from fastnn.nn._hand_written import alone, as_operation, lay_aside
from fastnn.nn._hooks import has_gradient, hooked

__all__ = ["Call", "backward", "called_in_parts", "enter", "entering", "given_back", "going_back"]


class Call(NamedTuple):
    """What a module remembers of being called with arrays."""

    inputs: list[Tensor]
    outputs: Any
    number: int
    lost: list[str]  # what a gradient cannot go through


def entering(forward: Callable[..., Any], has_own_backward: bool) -> Callable[..., Any]:
    """`forward` of a module, as it is called from outside."""

    @functools.wraps(forward)
    def enter(self: Any, *arguments: Any, **keywords: Any) -> Any:
        own = self.__dict__
        has_own = self._takes_arrays and (has_own_backward or self._hands_arrays_on or "backward" in own)
        try:
            if ("_hooks" in own or observers()) and running_module() is not self:  # else by `super().forward(x)`
                return _watched(self, forward, has_own, arguments, keywords)
            return _entered(self, forward, has_own, arguments, keywords)
        except (ValueError, TypeError, IndexError) as error:
            _failures.in_forward(self, error, arguments, keywords)
            raise

    _failures.ENTRIES.add(enter.__code__)  # type: ignore[attr-defined]
    enter.entered, enter.has_own_backward = forward, has_own_backward  # type: ignore[attr-defined]
    return enter


def going_back(backward: Callable[..., Any]) -> Callable[..., Any]:
    """The `backward` that the author of a module wrote, whoever calls it: observers see it."""

    @functools.wraps(backward)
    def go(self: Any, *gradients: Any, **keywords: Any) -> Any:
        try:
            seeing = observers()
            if not seeing or running_module() is self:
                return backward(self, *gradients, **keywords)
            return _seen_back(self, backward, gradients, keywords, seeing)
        except (ValueError, TypeError, IndexError) as error:
            _failures.in_backward(self, error)
            raise

    _failures.ENTRIES.add(go.__code__)  # type: ignore[attr-defined]
    return go


def _seen_back(
    module: Any, backward: Callable[..., Any], gradients: tuple[Any, ...], keywords: Any, seeing: tuple[Any, ...]
) -> Any:
    """A backward that the author of a module wrote, while somebody observes."""
    given = (*gradients, *keywords.values())
    given = given[0] if len(given) == 1 and type(given[0]) is tuple else given  # of several results
    for observer in seeing:
        observer.begins(module, "backward", given)
    start = time.perf_counter()
    with running_in(module):
        dx = backward(module, *gradients, **keywords)
    seconds = time.perf_counter() - start
    for observer in seeing:
        observer.module(module, "backward", given, dx, seconds)
    return dx


def enter(module: Any, forward: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Call `forward`, which somebody has put in the place of the module's own."""
    has_own_backward = not getattr(module.backward, "is_derived", False)
    return entering(lambda _, *a, **k: forward(*a, **k), has_own_backward)(module, *arguments, **keywords)


def _entered(
    module: Any, forward: Callable[..., Any], has_own_backward: bool, arguments: tuple[Any, ...], keywords: Any
) -> Any:
    if not module._takes_arrays:
        return forward(module, *arguments, **keywords)
    if _have_tensor(arguments) or (keywords and _have_tensor(keywords.values())):
        if has_own_backward:
            return as_operation(module, forward, arguments, keywords)
        if LOST.get() is not None:
            return forward(module, *arguments, **keywords)
        try:  # before the change, so that no interrupt comes between
            LOST.set(STRICT)
            return forward(module, *arguments, **keywords)
        finally:
            LOST.set(None)
    if has_own_backward:
        lay_aside(module)
        return alone(forward, module, *arguments, **keywords)
    return _with_arrays(module, forward, arguments, keywords)


def _watched(
    module: Any, forward: Callable[..., Any], has_own_backward: bool, arguments: tuple[Any, ...], keywords: Any
) -> Any:
    """A call with hooks, or while somebody observes."""
    hooks = module.__dict__.get("_hooks")
    seeing = observers()

    def call(module: Any, arguments: tuple[Any, ...], keywords: Any) -> Any:
        return _entered(module, forward, has_own_backward, arguments, keywords)

    given = (*array_of(arguments), *array_of(keywords).values()) if seeing else ()
    for observer in seeing:
        observer.begins(module, "forward", given)
    start = time.perf_counter()
    with running_in(module):
        if hooks is not None or (not has_own_backward and any(observer.sees_gradients for observer in seeing)):
            y = _entered(module, hooked(call, hooks, has_own_backward), False, arguments, keywords)
        else:  # a backward of its own is seen where it runs
            y = _entered(module, forward, has_own_backward, arguments, keywords)
    seconds = time.perf_counter() - start
    for observer in seeing:
        observer.module(module, "forward", given, array_of(y), seconds)
    return y


def _have_tensor(values: Any) -> bool:
    """Whether there is a tensor among `values`, or in the tuples, lists and dicts among them."""
    for value in values:
        if isinstance(value, Tensor):
            return True
        if isinstance(value, tuple | list):
            if _have_tensor(value):
                return True
        elif isinstance(value, dict) and _have_tensor(value.values()):
            return True
    return False


# ---- arrays in, arrays out -------------------------------------------------------------------------------------------
def _with_arrays(module: Any, forward: Callable[..., Any], arguments: tuple[Any, ...], keywords: Any) -> Any:
    recording = RECORDING.get()
    if recording and LOST.get() is not None:
        # Within the forward of another module, which goes on with tensors: these arrays are constants in it.
        unasked: list[Tensor] = []
        return forward(module, *[_lent(value, unasked, False) for value in arguments],
                       **{name: _lent(value, unasked, False) for name, value in keywords.items()})  # fmt: skip
    if not recording and not module._lends_unrecorded:
        return forward(module, *arguments, **keywords)
    inputs: list[Tensor] = []
    wants = recording and module.input_grad
    first = module._first_with_gradients
    lost: list[str] = []
    if first is None:
        lent = [_lent(x, inputs, wants) for x in arguments]
    else:
        lent = [_lent(x, inputs, wants and i < first) for i, x in enumerate(arguments)]
    if keywords:
        wants = wants and (first is None or first > len(arguments))
        keywords = {name: _lent(value, inputs, wants) for name, value in keywords.items()}
    outer = LOST.get()
    try:  # before the change, so that no interrupt comes between
        LOST.set(lost)
        y = forward(module, *lent, **keywords)
    finally:
        LOST.set(outer)
    if recording:
        module.__dict__["_call"] = Call(inputs, y, next_number(), lost)
    return module.given_back(y)


def _lent(value: Any, inputs: list[Tensor], requires_grad: bool) -> Any:
    """An array of floats as a tensor, which is noted in `inputs`; tuples, lists and dicts with such."""
    if type(value) is not np.ndarray:
        is_several = isinstance(value, tuple | list | dict)
        return mapped(lambda part: _lent(part, inputs, requires_grad), value) if is_several else value
    if value.dtype.kind != "f":
        return value
    x = new_tensor(value, BORROWED)
    x._requires_grad = requires_grad
    inputs.append(x)
    return x


def given_back(value: Any) -> Any:
    """The array of a tensor, for a caller who may write into it: a copy if an operation still needs it."""
    if not isinstance(value, Tensor):
        return mapped(given_back, value) if isinstance(value, tuple | list | dict) else value
    memory = value._memory
    return value._data if memory is None or not memory.kept or value._op is None else _layout.copy(value._data)


def backward(module: Any, dy: Any) -> Any:
    """The gradients with respect to the arrays of the last call, after those of the parameters were added."""
    call: Call | None = module.__dict__.get("_call")
    if call is None:
        name = type(module).__name__
        raise RuntimeError(
            f"{name}: backward needs a forward before it; a container's backward forgets what that kept, a copy does "
            "not have it, and after a forward with tensors the result has the backward"
        )
    is_single = not module._modules  # a single layer may go back again
    if not is_single:
        del module.__dict__["_call"]
    name = type(module).__name__
    if call.lost:
        raise TypeError(
            f"{name}.backward: {call.lost[0]} in its forward has no gradient: use NumPy's functions on what forward "
            "got, or write a backward"
        )
    wanted = [x for x in call.inputs if x._requires_grad]
    try:
        seeds = _seeds(f"{name}.backward", call.outputs, dy)
        gradients: Sequence[NDArray | None] = go_back(seeds, wanted, retain_graph=is_single) if seeds else []
    except (ValueError, TypeError, IndexError) as error:
        _failures.in_backward(module, error)
        raise
    if not wanted or not module.input_grad:
        return None
    found = [
        np.zeros(x.shape, x.dtype) if dx is None else dx
        for x, dx in zip(wanted, gradients or [None] * len(wanted), strict=True)
    ]
    return found[0] if len(found) == 1 else tuple(found)


_failures.ENTRIES.add(backward.__code__)


def called_in_parts(module: Any) -> bool:
    """Whether someone has called the parts of a container in its place, and now lets it go back."""
    last = next(reversed(module._modules.values()), None)
    return last is not None and _number_of(last) > _number_of(module, own_only=True)


def _number_of(module: Any, own_only: bool = False) -> int:
    """The number of the last call of a module with arrays, or of its last part; 0 if there was none."""
    call = module.__dict__.get("_call")
    number = 0 if call is None else call.number
    if own_only or not module._modules:
        return number
    return max(number, _number_of(next(reversed(module._modules.values()))))


def _seeds(operation: str, outputs: Any, dy: Any) -> list[tuple[Tensor, Any]]:
    """Results that have a gradient, with those with respect to them."""
    if isinstance(outputs, Tensor):
        if outputs._op is None and not outputs._requires_grad:
            return []
        if dy is not None and getattr(outputs._op, "checks_gradient", False):
            return [(outputs, dy)]
        if dy is None or not outputs.ndim:
            return [(outputs, seed(operation, outputs, dy))]
        if type(dy) is not np.ndarray or dy.dtype != outputs.dtype:
            dy = _check.floats(operation, "dy", array_of(dy))
            if dy.dtype != outputs.dtype:
                raise TypeError(f"{operation}: dtypes differ: dy must be of {outputs.dtype}. Received: {dy.dtype}")
        if dy.shape != outputs.shape:
            raise _check.fail(operation, f"dy must have shape {outputs.shape}", dy=dy)
        return [(outputs, dy)]
    if isinstance(outputs, tuple | list):
        results: list[Any] = list(outputs)
        given = list(dy) if isinstance(dy, tuple | list) else [dy]
        carry = [any(map(has_gradient, tensors_in(y))) for y in results]
        if len(given) == 1 and sum(carry) == 1:  # values and their places
            given = [given[0] if carries else None for carries in carry]
        if len(given) != len(results):
            raise ValueError(
                f"{operation}: dy must be {len(results)} gradients, one for each result. Received: {_check.shown(dy)}"
            )
        pairs = zip(results, given, strict=True)
    elif isinstance(outputs, dict):
        if not isinstance(dy, dict) or not set(dy) <= set(outputs):
            raise ValueError(f"{operation}: dy must be a dict like the result. Received: {_check.shown(dy)}")
        pairs = ((outputs[name], gradient) for name, gradient in dy.items())  # type: ignore[assignment]
    else:
        raise TypeError(f"{operation}: the forward gave no array that has a gradient. It gave: {_check.shown(outputs)}")
    return [item for y, gradient in pairs if gradient is not None for item in _seeds(operation, y, gradient)]
