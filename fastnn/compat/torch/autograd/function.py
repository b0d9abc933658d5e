"""torch.autograd.Function: a script's own operations, each call of which is a `fastnn.Op`.

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * dy

y = Cube.apply(x)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.broadcasting import unbroadcast
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import become, new

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What forward leaves for backward: attributes of a script, and tensors.

    Attributes:
        saved_tensors: what `save_for_backward` was given.
        needs_input_grad: for every argument, whether its gradient is wanted.
    """

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._saved: tuple[Any, ...] = ()
        self._flat: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        return self._saved

    saved_variables = saved_tensors

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs and results of forward."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, NumPyTensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(tensor).__name__}"
                )
        self._saved = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Results that have no gradient."""
        self._flat = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Inputs that forward has written into, and gives as results."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that did not arrive are zeros, as they always are here."""


def _where(tensors: tuple[Any, ...], tensor: Any) -> int | None:
    return next((i for i, item in enumerate(tensors) if item is tensor), None)


class Function:
    """The base class of a script's own operations: static methods `forward` and `backward`, run by `apply`.

    `backward` is given the gradient with respect to each result and gives one for each argument of `apply`, None for
    one that has none.
    """

    _call: Any  # its calls

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._call = type(f"{cls.__name__}Backward", (_Call,), {"__module__": cls.__module__})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"{type(self).__name__}: functions have static methods forward(ctx, ...) and backward(ctx, ...): "
            f"call {type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The results, of `forward(ctx, *args)`, or of `forward(*args)` if there is a `setup_context`."""
        raise NotImplementedError("a torch.autograd.Function needs a static method forward(ctx, ...)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Leave in ctx what backward needs."""
        raise NotImplementedError("setup_context is not defined")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients with respect to the arguments."""
        raise NotImplementedError("a torch.autograd.Function needs a static method backward(ctx, ...)")

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward, and record it if the gradient of an argument is wanted."""
        call = cls._call(cls, args, kwargs)
        tensors = [value for value in args if isinstance(value, NumPyTensor)]
        if not tensors:
            call.forward()
            return call.given
        recorded = run(call, *tensors)
        return call.results(recorded if isinstance(recorded, tuple) else (recorded,))


class _Call(Op):
    """One call of a function."""

    kept: list[Any]  # the arrays of saved tensors
    given: Any  # what forward gave
    inputs: list[Any]  # shapes and dtypes

    def __init__(self, function: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.context = FunctionCtx()
        self.context.needs_input_grad = tuple(isinstance(x, NumPyTensor) and x._requires_grad for x in args)
        self.places = [i for i, value in enumerate(args) if isinstance(value, NumPyTensor)]

    def forward(self, *_: NDArray) -> Any:
        function, context = self.function, self.context
        before = RECORDING.set(False)
        try:
            if function.setup_context is Function.setup_context:
                self.given = function.forward(context, *self.args, **self.kwargs)
            else:
                self.given = function.forward(*self.args, **self.kwargs)
                function.setup_context(context, self.args, self.given)
        finally:
            RECORDING.reset(before)
        values = self.given if isinstance(self.given, tuple) else (self.given,)
        arrays = [value._data for value in values if isinstance(value, NumPyTensor)]
        if not arrays and self.places:
            raise TypeError(f"{function.__name__}.forward: a tensor, or a tuple with one, is needed as the result")
        # Looked at by `run`, which sees to it that nobody writes into what is kept.
        self.kept = [None if tensor is None else tensor._data for tensor in context._saved]
        return arrays[0] if len(arrays) == 1 else tuple(arrays)

    def results(self, recorded: tuple[Any, ...]) -> Any:
        """What forward gave, with the recorded tensors in place of its own."""
        context, given = self.context, self.given
        values = given if isinstance(given, tuple) else (given,)
        remaining = iter(recorded)
        results = []
        for value in values:
            if not isinstance(value, NumPyTensor):
                results.append(value)
                continue
            result = next(remaining)
            if _where(context._flat, value) is not None or result._data.dtype.kind != "f":
                result = new(result._data)
            elif _where(context._dirty, value) is not None:
                value.written()
                result = become(value, result)  # type: ignore[arg-type]
            results.append(result)
        self.inputs = [None if value is None else (value.shape, value.dtype) for value in self._arrays()]
        del self.args, self.kwargs, self.given  # only backward's own remain
        return tuple(results) if isinstance(given, tuple) else results[0]

    def _arrays(self) -> list[Any]:
        return [value._data if isinstance(value, NumPyTensor) else None for value in self.args]

    def backward(self, *dys: NDArray) -> tuple[NDArray | None, ...]:
        function, context = self.function, self.context
        own = tuple(
            None if tensor is None else tensor if array is tensor._data else new(array)
            for tensor, array in zip(context._saved, self.kept, strict=True)
        )
        context._saved = own
        go: Any = function.backward
        if go is Function.backward:
            go = function.vjp
        before = RECORDING.set(False)
        try:
            given = go(context, *(new(dy) for dy in dys))
        finally:
            RECORDING.reset(before)
        gradients = given if isinstance(given, tuple) else (given,)
        n = len(self.inputs)
        if len(gradients) < n or any(gradient is not None for gradient in gradients[n:]):
            raise RuntimeError(
                f"function {function.__name__}Backward returned an incorrect number of gradients "
                f"(expected {n}, got {len(gradients)})"
            )
        return tuple(_fitted(gradients[place], *self.inputs[place]) for place in self.places)


def _fitted(gradient: Any, shape: tuple[int, ...], dtype: np.dtype) -> NDArray | None:
    """A gradient of the shape of its input: summed where it is one of a broadcast."""
    if gradient is None:
        return None
    array = gradient._data if isinstance(gradient, NumPyTensor) else np.asarray(gradient)
    last = array.shape[array.ndim - len(shape) :] if array.ndim >= len(shape) else ()
    if array.shape != shape and len(last) == len(shape) and all(a in (1, b) for a, b in zip(shape, last, strict=True)):
        return unbroadcast(array, shape, dtype)
    return array


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` itself: there are no second derivatives here."""
    return fn


__getattr__ = missing(__name__)
