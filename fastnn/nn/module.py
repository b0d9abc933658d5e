"""The base class of all layers."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _check
from fastnn.nn.parameter import Parameter

__all__ = ["LoadResult", "Module"]


class LoadResult(NamedTuple):
    """What `load_state_dict` could not match: keys of the module without a value, and values without a key."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """A layer or a network: state, `forward`, and `backward`.

    A subclass defines `forward(x)` and `backward(dy)`, keeps in `forward` what `backward` needs, and returns the
    gradient with respect to x. Parameters, buffers and submodules are found by assigning them to attributes:

        class Scale(Module):
            def __init__(self):
                super().__init__()
                self.weight = Parameter(np.ones(1, np.float32))

            def forward(self, x):
                self.x = x
                return self.weight.data * x

            def backward(self, dy):
                self.weight.add_grad(np.array([(dy * self.x).sum()], np.float32))
                return dy * self.weight.data

    Attributes:
        training: True after `train()`, False after `eval()`; dropout and batch norm depend on it.
        input_grad: if False, `backward` may return None instead of the gradient with respect to x. Set it on a network
            whose input is data: its first layer then does not compute what nobody reads.
        preprocessing: a `data.Preprocessing`: what is done to images before this network sees them; None if unknown.
    """

    # Attributes that hold what `forward` keeps. A container forgets them once the layer has gone back, so that memory
    # sinks while a backward proceeds.
    _kept_for_backward: ClassVar[tuple[str, ...]] = ()
    # What it keeps besides, which is too small to be forgotten: shapes, the key of a mask.
    _noted_for_backward: ClassVar[tuple[str, ...]] = ()
    # What a layer has found out and need not find out again, from arrays that are its own.
    _found_once: ClassVar[tuple[str, ...]] = ()

    training: bool
    input_grad: bool
    preprocessing: Any = None
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, NDArray | None]
    _modules: "dict[str, Module]"

    def __init__(self) -> None:
        # object.__setattr__, since our own looks at these.
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "training", True)
        object.__setattr__(self, "input_grad", True)

    # ---- to be written by subclasses ---------------------------------------------------------------------------------
    def forward(self, x: Any) -> Any:
        """Compute the result, and keep what `backward` will need."""
        raise TypeError(f"{type(self).__name__} does not define forward()")

    def backward(self, dy: Any) -> Any:
        """Given dL/dy of the last `forward`, add dL/dparameter to every `.grad` and return dL/dx.

        A container forgets what its layers kept as it goes back, so that memory gets less; each of its backwards needs
        a forward of its own.
        """
        raise TypeError(f"{type(self).__name__} does not define backward()")

    def forget(self) -> None:
        """Drop what the last `forward` kept; `backward` then needs another one."""
        own = vars(self)
        for name in type(self)._kept_for_backward:
            own.pop(name, None)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy, a pickle or another process gets: everything but what the last `forward` kept.

        A copy is of a network, not of the batch that went through it last, so it needs a forward of its own before a
        backward. Attributes of modules of one's own are theirs, and go with them.
        """
        kind = type(self)
        left_out = {*kind._kept_for_backward, *kind._noted_for_backward, *kind._found_once}
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`."""
        return ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # ---- attributes --------------------------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and not isinstance(value, Parameter | Module):  # what a layer keeps for its backward
            object.__setattr__(self, name, value)
            return
        if "_modules" not in self.__dict__:
            raise TypeError(f"{type(self).__name__}: call super().__init__() before assigning attributes")
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name)
            self._modules[name] = value
        elif name in self._buffers:
            if value is not None and not isinstance(value, np.ndarray | np.generic):
                raise TypeError(f"{type(self).__name__}.{name} is a buffer: assign an array. Received: {value!r}")
            self._buffers[name] = None if value is None else np.asarray(value)
        elif name in self._parameters:
            if value is not None:
                raise TypeError(
                    f"{type(self).__name__}.{name} is a parameter: assign a Parameter, or an array to {name}.data"
                )
            self._parameters[name] = None
        else:
            if name in self._modules:
                self._forget(name)
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if "_modules" in own:
            for registry in (own["_parameters"], own["_buffers"], own["_modules"]):
                if name in registry:
                    return registry[name]
        if name in type(self)._kept_for_backward or name in type(self)._noted_for_backward:
            raise RuntimeError(
                f"{type(self).__name__}: backward needs a forward before it; "
                "a container's backward forgets what that kept, and a copy does not have it"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        if not self._forget(name):
            object.__delattr__(self, name)

    def _forget(self, name: str) -> bool:
        found = [registry.pop(name, self) for registry in (self._parameters, self._buffers, self._modules)]
        return self.__dict__.pop(name, self) is not self or any(entry is not self for entry in found)

    def register_buffer(self, name: str, value: NDArray | None) -> None:
        """Make `value` part of the state without being trained: `self.<name>`, and a key of `state_dict`."""
        self._check_name("register_buffer", name)
        if value is not None and not isinstance(value, np.ndarray | np.generic):
            raise TypeError(f"register_buffer: value must be an array or None. Received: {_check.shown(value)}")
        self._forget(name)
        self._buffers[name] = value

    def register_parameter(self, name: str, value: Parameter | None) -> None:
        """Like assigning the attribute; None reserves the name."""
        self._check_name("register_parameter", name)
        if value is not None and not isinstance(value, Parameter):
            raise TypeError(f"register_parameter: value must be a Parameter or None. Received: {_check.shown(value)}")
        self._forget(name)
        self._parameters[name] = value

    @staticmethod
    def _check_name(operation: str, name: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise TypeError(f"{operation}: name must be a word without a dot. Received: {_check.shown(name)}")

    # ---- the tree of modules -----------------------------------------------------------------------------------------
    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """(name, module) of the direct submodules."""
        yield from self._modules.items()

    def children(self) -> Iterator["Module"]:
        """The direct submodules."""
        yield from self._modules.values()

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """(path, module) of this module and all below it, each module once."""
        yield from self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int] | None) -> Iterator[tuple[str, "Module"]]:
        """`seen` None: a module that is in several places is given for each."""
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name, child in self._modules.items():
            yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator["Module"]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def _named_entries(self, registry: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, entry in getattr(module, registry).items():
                if entry is not None and id(entry) not in seen:
                    seen.add(id(entry))
                    yield (f"{path}.{name}" if path else name), entry

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and all below it, each parameter once."""
        yield from self._named_entries("_parameters")

    def parameters(self) -> Iterator[Parameter]:
        """The parameters of this module and all below it, each once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def named_buffers(self) -> Iterator[tuple[str, NDArray]]:
        """(path, array) of the buffers of this module and all below it."""
        yield from self._named_entries("_buffers")

    def apply(self, function: Callable[["Module"], Any]) -> Self:
        """Call `function` on every module below this one, then on this one."""
        if not callable(function):
            raise TypeError(f"apply: function must be callable. Received: {_check.shown(function)}")
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- modes -------------------------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Set `training` of this module and all below it."""
        mode = _check.boolean("train", "mode", mode)
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of all parameters."""
        requires_grad = _check.boolean("requires_grad_", "requires_grad", requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def astype(self, dtype: DTypeLike) -> Self:
        """Convert all parameters and floating-point buffers to float32 or float64, in place."""
        dtype = _check.float_dtype("astype", dtype)
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype)
            parameter.grad = None
        for module in self.modules():
            for name, array in module._buffers.items():
                if array is not None and array.dtype.kind == "f":
                    module._buffers[name] = array.astype(dtype)
        return self

    # ---- state -------------------------------------------------------------------------------------------------------
    def _state(self) -> "Iterator[tuple[str, Module, str, NDArray]]":
        """(key, module, name, array) of every parameter and buffer; what is shared, once for each place."""
        for path, module in self._walk("", None):
            for name, entry in [*module._parameters.items(), *module._buffers.items()]:
                if entry is not None:
                    array = entry.data if isinstance(entry, Parameter) else entry
                    yield (f"{path}.{name}" if path else name), module, name, array

    def state_dict(self) -> "OrderedDict[str, NDArray]":
        """Copies of all parameters and buffers by path, C-contiguous: `{"0.weight": ..., "1.running_mean": ...}`."""
        return OrderedDict((key, np.array(array, order="C")) for key, _, _, array in self._state())

    def load_state_dict(self, state_dict: Mapping[str, NDArray], strict: bool = True) -> LoadResult:
        """Copy values into the parameters and buffers of the same paths.

        Either everything fits or nothing is changed. Keys may carry the prefix `module.` of PyTorch's DataParallel.

        Returns:
            The keys that did not match, which is possible only if not `strict`.
        Raises:
            ValueError: shapes differ, or with `strict`, keys are missing or not expected; all are named.
        """
        operation = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, Mapping) or not all(isinstance(key, str) for key in state_dict):
            shown = _check.shown(state_dict)
            raise TypeError(f"{operation}: state_dict must be a mapping of names to arrays. Received: {shown}")
        strict = _check.boolean(operation, "strict", strict)
        targets = {key: (module, name, array) for key, module, name, array in self._state()}
        values = {
            key if key in targets else key.removeprefix("module."): _check.array(
                operation, f"{key!r} of state_dict", value
            )
            for key, value in state_dict.items()
        }
        result = LoadResult([k for k in targets if k not in values], [k for k in values if k not in targets])
        problems = []
        if strict and result.missing_keys:
            problems.append("missing keys: " + ", ".join(result.missing_keys))
        if strict and result.unexpected_keys:
            problems.append("unexpected keys: " + ", ".join(result.unexpected_keys))
        shapes, dtypes, new = [], [], {}
        for key, (_, _, array) in targets.items():
            if key not in values:
                continue
            value = values[key]
            if value.shape != array.shape and not (array.ndim == 0 and value.size == 1):
                shapes.append(f"{key}: {value.shape} given, {array.shape} is needed")
            elif not np.can_cast(value.dtype, array.dtype, "same_kind"):
                dtypes.append(f"{key}: {value.dtype} given, {array.dtype} is needed")
            else:
                new[key] = np.empty_like(array)  # keeps the memory order
                new[key][...] = value.reshape(array.shape)
        if shapes:
            problems.append("shapes differ: " + ", ".join(shapes))
        if dtypes:
            problems.append("dtypes differ: " + ", ".join(dtypes))
        if problems:
            raise ValueError(f"{operation}: " + "; ".join(problems))
        for key, array in new.items():
            module, name, _ = targets[key]
            parameter = module._parameters.get(name)
            if parameter is not None:
                parameter.data = array
            else:
                module._buffers[name] = array
        return result

    # ---- text --------------------------------------------------------------------------------------------------------
    def __repr__(self) -> str:
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._modules.items()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}({self.extra_repr()}\n  " + "\n  ".join(children) + "\n)"
