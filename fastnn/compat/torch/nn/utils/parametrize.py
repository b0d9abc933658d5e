"""Parameters that are functions of others, which are trained in their place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from fastnn.autograd.modes import RECORDING
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn.modules.container import ModuleDict, ModuleList
from fastnn.compat.torch.nn.parameter import Parameter
from fastnn.compat.torch.nn.utils._derived import derive

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "transfer_parametrizations_and_params", "type_before_parametrizations",
]  # fmt: skip

__getattr__ = missing(__name__)

_CACHE: ContextVar[dict[tuple[int, str], Any] | None] = ContextVar("parametrized tensors", default=None)


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once in this block"""
    known = _CACHE.get()
    token = _CACHE.set({} if known is None else known)
    try:
        yield
    finally:
        _CACHE.reset(token)


@contextmanager
def _unrecorded() -> Iterator[None]:
    token = RECORDING.set(False)
    try:
        yield
    finally:
        RECORDING.reset(token)


class ParametrizationList(ModuleList):
    """The functions that a tensor is computed by, one after the other, and what from.

    Attributes:
        original: the parameter, or original0, original1 and so on if the last function's `right_inverse` gave several.
    """

    def __init__(self, modules: Sequence[Any], original: Any, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        value = self._inverse(original, must=False)
        self.is_tensor = isinstance(value, Tensor)
        if self.is_tensor:
            if value is not original:
                original.data = value
            self._register("original", original)
        else:
            self.ntensors = len(value)
            for index, part in enumerate(value):
                is_trained = isinstance(original, Parameter)
                part = Parameter(new(np.array(part._data)), original._requires_grad) if is_trained else part
                self._register(f"original{index}", part)
        if not unsafe:
            with _unrecorded():
                _check(self(), original)

    def _register(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        else:
            self.register_buffer(name, value)

    def _inverse(self, value: Any, must: bool) -> Any:
        """What the tensor is computed from, one tensor or several."""
        with _unrecorded():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        value = module.right_inverse(value)
                        continue
                    except NotImplementedError:
                        pass
                if must:
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
        parts = [value] if isinstance(value, Tensor) else value
        if not isinstance(parts, list | tuple) or not all(isinstance(part, Tensor) for part in parts):
            raise ValueError(f"right_inverse must return a tensor or several. Received: {type(value).__name__}")
        return value

    def _names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{index}" for index in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Let the tensor be `value`: what it is computed from is set by the functions' `right_inverse`"""
        value = self._inverse(value, must=True)
        for name, part in zip(self._names(), [value] if self.is_tensor else value, strict=True):
            target = getattr(self, name)
            if part._data.shape == target._data.shape:
                target._data[...] = part._data
                target.written()
            else:
                target.data = new(np.array(part._data))

    def forward(self) -> Any:
        """The tensor"""
        first, *others = self
        y = first(*(getattr(self, name) for name in self._names()))
        for module in others:
            y = module(y)
        return y


def _check(y: Any, original: Any) -> None:
    if not isinstance(y, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(y).__name__}.")
    if y._data.dtype != original._data.dtype or y._data.shape != original._data.shape:
        raise ValueError(
            "Registering a parametrization may not change the dtype or the shape of the tensor, unless unsafe=True. "
            f"Received: {tuple(original._data.shape)} {original._data.dtype}, it gives {tuple(y._data.shape)} "
            f"{y._data.dtype}"
        )


def _computed(name: str) -> property:
    """The attribute of a module that is computed."""

    def get(self: Any) -> Any:
        cache = _CACHE.get()
        if cache is None:
            return self.parametrizations[name]()
        key = id(self), name
        if key not in cache:
            cache[key] = self.parametrizations[name]()
        return cache[key]

    def put(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def _class_of(before: type, names: tuple[str, ...]) -> type:
    """A class like `before`, in which these attributes are computed."""
    attributes = {name: _computed(name) for name in names}
    more = {"_before": before, "_computed_names": names, "__reduce_ex__": _reduced}
    return type(f"Parametrized{before.__name__}", (before,), {**attributes, **more}) if names else before


def _instance(before: type, names: tuple[str, ...]) -> Any:
    kind: Any = _class_of(before, names)
    return kind.__new__(kind)


def _reduced(self: Any, protocol: Any) -> Any:
    """For pickle and copy, which cannot find the class by its name."""
    return _instance, (self._before, self._computed_names), self.__getstate__()


def _let_compute(module: Any) -> None:
    """Give a module the class in which the attributes are computed that are parametrized."""
    kind = _class_of(type_before_parametrizations(module), tuple(module.parametrizations))
    object.__setattr__(module, "__class__", kind)


def register_parametrization(module: Any, tensor_name: str, parametrization: Any, *, unsafe: bool = False) -> Any:
    """Let a parameter or buffer be `parametrization(original)`, of the parameter `parametrizations.<name>.original`"""
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        known = module.parametrizations[tensor_name]
        if not unsafe:
            value = getattr(module, tensor_name)
            with _unrecorded():
                _check(parametrization(value), value)
        known.append(parametrization)
        known.unsafe |= unsafe
        return module
    own = module.__dict__
    if tensor_name not in own["_parameters"] and tensor_name not in own["_buffers"]:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    original = getattr(module, tensor_name)
    found = ParametrizationList([parametrization], original, unsafe)
    if tensor_name in own["_parameters"]:
        derive(module, tensor_name)
    else:
        delattr(module, tensor_name)
    if "parametrizations" not in module._modules:
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = found
    _let_compute(module)
    return module


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or this one, is computed from others"""
    known = module._modules.get("parametrizations")
    if not isinstance(known, ModuleDict):
        return False
    return len(known) > 0 if tensor_name is None else tensor_name in known


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Let the tensor be a parameter or buffer again: what is computed, or what it was computed from"""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    known = module.parametrizations[tensor_name]
    first = getattr(known, known._names()[0])
    if leave_parametrized:
        with _unrecorded():
            value = np.array(known()._data)
    elif known.is_tensor:
        value = first._data
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    del module.parametrizations[tensor_name]
    _let_compute(module)
    if isinstance(first, Parameter):
        if known.is_tensor:
            first.data = new(value)
            module.register_parameter(tensor_name, first)
        else:
            module.register_parameter(tensor_name, Parameter(new(value), first._requires_grad))
    else:
        module.register_buffer(tensor_name, new(value))
    if not len(module.parametrizations):
        del module.parametrizations
    return module


def type_before_parametrizations(module: Any) -> type:
    """The class of the module before any tensor of it was parametrized"""
    return vars(type(module)).get("_before", type(module))


def transfer_parametrizations_and_params(from_module: Any, to_module: Any, tensor_name: str | None = None) -> Any:
    """Give `to_module` the parametrizations of `from_module`, or of one tensor of it, and its parameters"""
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations) if tensor_name is None else [tensor_name]:
        known = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(new(np.array(getattr(from_module, name)._data))))
        for function in known:
            register_parametrization(to_module, name, function, unsafe=known.unsafe)
        for original in known._names():
            setattr(to_module.parametrizations[name], original, getattr(known, original))
    return to_module
