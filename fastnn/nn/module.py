"""The base class of all layers."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

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
    """

    training: bool
    input_grad: bool

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
        """Given dL/dy of the last `forward`, add dL/dparameter to every `.grad` and return dL/dx."""
        raise TypeError(f"{type(self).__name__} does not define backward()")

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`."""
        return ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # ---- attributes --------------------------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        registries = self.__dict__.get("_parameters"), self.__dict__.get("_buffers"), self.__dict__.get("_modules")
        if any(registry is None for registry in registries):
            raise TypeError(f"{type(self).__name__}: call super().__init__() before assigning attributes")
        parameters, buffers, modules = registries
        if isinstance(value, Parameter):
            self._forget(name)
            parameters[name] = value
        elif isinstance(value, Module):
            self._forget(name)
            modules[name] = value
        elif name in buffers and (value is None or isinstance(value, np.ndarray)):
            buffers[name] = value
        elif name in parameters and value is None:
            parameters[name] = None
        else:
            if name in parameters or name in buffers or name in modules:
                self._forget(name)
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for registry in ("_parameters", "_buffers", "_modules"):
            entries = self.__dict__.get(registry)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        if not self._forget(name):
            object.__delattr__(self, name)

    def _forget(self, name: str) -> bool:
        found = [registry.pop(name, self) for registry in (self._parameters, self._buffers, self._modules)]
        return self.__dict__.pop(name, self) is not self or any(entry is not self for entry in found)

    def register_buffer(self, name: str, value: NDArray | None) -> None:
        """Make `value` part of the state without being trained: `self.<name>`, and a key of `state_dict`."""
        self._forget(name)
        self._buffers[name] = value

    def register_parameter(self, name: str, value: Parameter | None) -> None:
        """Like assigning the attribute; None reserves the name."""
        self._forget(name)
        self._parameters[name] = value

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

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, "Module"]]:
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
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- modes -------------------------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Set `training` of this module and all below it."""
        for module in self.modules():
            object.__setattr__(module, "training", bool(mode))
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
        for parameter in self.parameters():
            parameter.requires_grad = bool(requires_grad)
        return self

    def astype(self, dtype: DTypeLike) -> Self:
        """Convert all parameters and floating-point buffers to float32 or float64, in place."""
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"astype: float32 or float64 is needed. Received: {dtype}")
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype)
            parameter.grad = None
        for module in self.modules():
            for name, array in module._buffers.items():
                if array is not None and array.dtype.kind == "f":
                    module._buffers[name] = array.astype(dtype)
        return self

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> "OrderedDict[str, NDArray]":
        """Copies of all parameters and buffers by path, C-contiguous: `{"0.weight": ..., "1.running_mean": ...}`."""
        state: OrderedDict[str, NDArray] = OrderedDict()
        for path, module in self.named_modules():
            for name, entry in [*module._parameters.items(), *module._buffers.items()]:
                if entry is not None:
                    array = entry.data if isinstance(entry, Parameter) else entry
                    state[f"{path}.{name}" if path else name] = np.array(array, order="C")
        return state

    def load_state_dict(self, state_dict: Mapping[str, NDArray], strict: bool = True) -> LoadResult:
        """Copy values into the parameters and buffers of the same paths.

        Either everything fits or nothing is changed. Keys may carry the prefix `module.` of PyTorch's DataParallel.

        Raises:
            KeyError: with `strict`, keys are missing or not expected; all are named.
            ValueError: shapes differ; all such keys are named.
        """
        values = {key.removeprefix("module."): np.asarray(value) for key, value in state_dict.items()}
        targets: dict[str, tuple[Module, str, NDArray]] = {}
        for path, module in self.named_modules():
            for name, entry in [*module._parameters.items(), *module._buffers.items()]:
                if entry is not None:
                    array = entry.data if isinstance(entry, Parameter) else entry
                    targets[f"{path}.{name}" if path else name] = module, name, array
        result = LoadResult([k for k in targets if k not in values], [k for k in values if k not in targets])
        if strict and (result.missing_keys or result.unexpected_keys):
            raise KeyError(
                f"load_state_dict: missing keys: {', '.join(result.missing_keys) or 'none'}; "
                f"unexpected keys: {', '.join(result.unexpected_keys) or 'none'}"
            )
        matched = {key: target for key, target in targets.items() if key in values}
        wrong = [
            f"{key}: {values[key].shape} given, {array.shape} needed"
            for key, (_, _, array) in matched.items()
            if values[key].shape != array.shape and not (array.ndim == 0 and values[key].size == 1)
        ]
        if wrong:
            raise ValueError("load_state_dict: shapes differ: " + "; ".join(wrong))
        for key, (module, name, array) in matched.items():
            new = np.empty_like(array)  # keeps the memory order
            new[...] = values[key].reshape(array.shape)
            if name in module._parameters:
                module._parameters[name].data = new
            else:
                module._buffers[name] = new
        return result

    # ---- text --------------------------------------------------------------------------------------------------------
    def __repr__(self) -> str:
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._modules.items()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}({self.extra_repr()}\n  " + "\n  ".join(children) + "\n)"
