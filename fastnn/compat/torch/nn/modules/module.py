"""The base class of all modules, by PyTorch's name and with its methods."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from fastnn.autograd.observer import observers
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.autograd.tensor import mapped, tensors_in
from fastnn.compat.notes import note
from fastnn.compat.torch._device import check_device
from fastnn.compat.torch._dtype import HALF, numpy_dtype
from fastnn.compat.torch._dtype import dtype as dtype_of_torch
from fastnn.compat.torch._tensor import Tensor, in_float32, new
from fastnn.compat.torch.nn.modules import _hooks, _state, _text
from fastnn.compat.torch.nn.parameter import Parameter, is_lazy, parameter_from
from fastnn.nn import _call, _failures
from fastnn.nn.module import Module as ArrayModule
from fastnn.nn.parameter import Parameter as ArrayParameter

__all__ = ["Module"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Module(_hooks.HookMethods, ArrayModule):
    """A layer or a network, as in PyTorch: fastnn's own, whose parameters, buffers and results are torch's tensors.

    Example:
        >>> import fastnn.compat.torch as torch
        >>> class Scale(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.weight = torch.nn.Parameter(torch.ones(1))
        ...     def forward(self, x):
        ...         return self.weight * x
        >>> layer = Scale()
        >>> layer(torch.tensor([1.0, 2.0])).sum().backward()
        >>> layer.weight.grad
        tensor([3.])
    """

    _takes_arrays = False
    _version = 1
    _left_out_of_copies = ArrayModule._left_out_of_copies | {"_buffer_tensors"}
    # Names of fastnn's that PyTorch has not, which a script may give to parts of its own.
    _names_of_fastnn: ClassVar[frozenset[str]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs:
            name = next(iter(kwargs))
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{name}'")
        if args:
            raise TypeError(
                f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
            )
        super().__init__()
        self.__dict__["_non_persistent_buffers_set"] = set()

    def __init_subclass__(cls, **keywords: Any) -> None:
        # A method named `backward` is just a method here, so fastnn's own is passed by.
        super(ArrayModule, cls).__init_subclass__(**keywords)
        if "forward" in cls.__dict__ and callable(cls.__dict__["forward"]):
            cls.forward = _call.entering(cls.__dict__["forward"], False)  # type: ignore[method-assign]

    def forward(self, *input: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own, forward = self.__dict__, type(self).forward
        entered = getattr(forward, "entered", None)
        if entered is None or "forward" in own:  # a script has put another one there
            return _call.enter(self, self.forward, args, kwargs)
        if kwargs and not args and entered.__module__.startswith("fastnn.nn."):  # where PyTorch's `input` is x
            args = (kwargs.pop("input"),) if "input" in kwargs else ()
        try:
            try:
                if "_hooks" in own or observers():
                    return forward(self, *args, **kwargs)
                return entered(self, *args, **kwargs)
            except TypeError:
                if not entered.__module__.startswith("fastnn.") or not _has_float16((*args, *kwargs.values())):
                    raise
            return self(*_in_float32(args), **_in_float32(kwargs))
        except (ValueError, TypeError, IndexError) as error:
            _failures.in_forward(self, error, args, kwargs)
            raise

    _failures.ENTRIES.add(__call__.__code__)

    # ---- attributes --------------------------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, ArrayParameter):
            if "_parameters" not in own:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            _forget(own, name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, ArrayModule):
            if "_modules" not in own:
                raise AttributeError("cannot assign module before Module.__init__() call")
            _forget(own, name, "_modules")
            own["_modules"][name] = adopted(value)
            self._unshadow(name, value)
        elif "_modules" in own and (name in own["_parameters"] or name in own["_buffers"] or name in own["_modules"]):
            self._replace(name, value)
        elif getattr(value, "_is_buffer", False):
            own.pop(name, None)
            self.register_buffer(name, value, value._is_persistent)
        else:
            object.__setattr__(self, name, value)

    def _replace(self, name: str, value: Any) -> None:
        """Assign to a parameter, a buffer or a module what is no parameter and no module."""
        own = self.__dict__
        if name in own["_parameters"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            own["_parameters"][name] = None
        elif name in own["_buffers"]:
            if value is not None and not isinstance(value, NumPyTensor | np.ndarray | np.generic):
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as buffer '{name}' "
                    "(torch.nn.Buffer, torch.Tensor or None expected)"
                )
            _state.set_buffer(own, name, value)
        else:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            own["_modules"][name] = None

    def _unshadow(self, name: str, value: Any) -> None:
        if name in self._names_of_fastnn:
            self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if "_modules" in own:
            for registry in (own["_modules"], own["_parameters"]):
                if name in registry:
                    return registry[name]
            if name in own["_buffers"]:
                return _state.buffer_tensor(own, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        if not _forget(self.__dict__, name):
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        own = self.__dict__
        names = [*dir(type(self)), *own, *own["_parameters"], *own["_buffers"], *own["_modules"]]
        return sorted({name for name in names if not name[:1].isdigit()})

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self._left_out_of_copies}

    def register_parameter(self, name: str, param: ArrayParameter | None) -> None:
        """Like assigning the attribute; None reserves the name."""
        own = self.__dict__
        if "_parameters" not in own:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _check_name(self, "parameter", name, own["_parameters"])
        if param is not None:
            if not isinstance(param, ArrayParameter):
                raise TypeError(
                    f"cannot assign '{_typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            param = parameter_from(param)
        own["_parameters"][name] = param
        self._unshadow(name, param)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Make a tensor part of the module's state without being trained; not of `state_dict` unless persistent."""
        own = self.__dict__
        if "_buffers" not in own:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        _check_name(self, "buffer", name, own["_buffers"])
        if tensor is not None and not isinstance(tensor, NumPyTensor | np.ndarray | np.generic):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        _state.set_buffer(own, name, tensor)
        transient = own["_non_persistent_buffers_set"]
        (transient.discard if persistent else transient.add)(name)

    def add_module(self, name: str, module: ArrayModule | None) -> None:
        """Like assigning the attribute, for names that are computed."""
        if module is not None and not isinstance(module, ArrayModule):
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        _check_name(self, "module", name, self._modules)
        if module is None:
            self.__dict__["_modules"][name] = None
        else:
            setattr(self, name, module)

    register_module = add_module

    # ---- the tree ----------------------------------------------------------------------------------------------------
    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        seen = set()
        modules: dict[str, Any] = self._modules
        for name, module in modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator["Module"]:
        for _, module in self.named_children():
            yield module

    def named_modules(  # type: ignore[override]
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, "Module"]]:
        """(path, module) of this module and all below it, each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        modules: dict[str, Any] = self._modules
        for name, module in modules.items():
            if module is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, below, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator["Module"]:
        """This module and all below it, each once."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def _entries(self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            own = module.__dict__
            for name in own[registry]:
                entry = _state.buffer_tensor(own, name) if registry == "_buffers" else own[registry][name]
                if entry is None or id(entry) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(entry))
                yield (f"{path}.{name}" if path else name), entry

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and all below it, each once."""
        return self._entries("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        for _, parameter in self._entries("_parameters", "", recurse, True):
            yield parameter

    def named_buffers(  # type: ignore[override]
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(path, tensor) of the buffers of this module and all below it; they share memory with the module."""
        return self._entries("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:  # type: ignore[override]
        for _, buffer in self._entries("_buffers", "", recurse, True):
            yield buffer

    def get_submodule(self, target: str) -> "Module":
        """The module at a path, as `named_modules` gives it."""
        module: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, ArrayModule):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: "Module", strict: bool = False) -> None:
        """Put a module at a path."""
        above, _, name = target.rpartition(".")
        setattr(self.get_submodule(above), name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path."""
        above, _, name = target.rpartition(".")
        module = self.get_submodule(above)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        found = getattr(module, name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path."""
        above, _, name = target.rpartition(".")
        module = self.get_submodule(above)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return getattr(module, name)

    # ---- modes and memory --------------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> "Module":
        """Set `training` of this module and all below it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> "Module":
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """Set `requires_grad` of all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            grad = parameter._grad
            parameter._grad = None if set_to_none or grad is None else np.zeros_like(grad)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Module":
        """Let each parameter, gradient and buffer be what `fn` makes of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        own = self.__dict__
        for parameter in own["_parameters"].values():
            if is_lazy(parameter):
                parameter.data = fn(parameter.data)
            elif parameter is not None:
                parameter._data, parameter._memory = fn(new(parameter._data))._data, None
                if parameter._grad is not None:
                    parameter._grad = fn(new(parameter._grad))._data
        for name, array in own["_buffers"].items():
            if array is not None:
                own["_buffers"][name] = fn(new(array))._data
        return self

    def _cast(self, kind: np.dtype) -> "Module":
        if kind == np.float16:
            note(HALF)
            kind = _FLOATS[0]
        if kind not in _FLOATS:
            raise TypeError(f"Module.to: fastnn computes in float32 or float64. Received: {kind}")

        def cast(x: Tensor) -> Tensor:
            array = x._data
            return new(array.astype(kind)) if array.dtype.kind == "f" and array.dtype != kind else x

        return self._apply(cast)

    def to(self, *args: Any, **kwargs: Any) -> "Module":
        """Convert floats to a dtype; every device is the CPU."""
        kinds = [kwargs.pop("dtype", None)]
        for value in (*args, kwargs.pop("device", None), kwargs.pop("tensor", None)):
            if isinstance(value, NumPyTensor):
                kinds.append(value.dtype)
            elif isinstance(value, dtype_of_torch):
                kinds.append(value)
            elif not isinstance(value, bool):
                check_device(value)
        for kind in kinds:
            if kind is not None:
                if not kind.is_floating_point:
                    raise TypeError(
                        f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={kind}"
                    )
                self._cast(numpy_dtype(kind))
        return self

    def cuda(self, device: Any = None) -> "Module":
        check_device("cuda" if device is None else device)
        return self

    xpu = ipu = mtia = cuda

    def cpu(self) -> "Module":
        return self

    def to_empty(self, *, device: Any, recurse: bool = True) -> "Module":
        """The module itself, whose numbers are there already."""
        check_device(device)
        return self

    def float(self) -> "Module":
        return self._cast(_FLOATS[0])

    def double(self) -> "Module":
        return self._cast(_FLOATS[1])

    def half(self) -> "Module":
        """In float32, which fastnn computes half precision in."""
        return self._cast(np.dtype(np.float16))

    bfloat16 = half

    def type(self, dst_type: Any) -> "Module":
        """`to(dst_type)`, or by the name of a type of tensors, such as "torch.DoubleTensor"."""
        names = {
            "torch.FloatTensor": "float32", "torch.DoubleTensor": "float64", "torch.HalfTensor": "float16",
            "torch.BFloat16Tensor": "float16",
        }  # fmt: skip
        name = dst_type if isinstance(dst_type, str) else getattr(dst_type, "__name__", "")
        name = name if name.startswith("torch.") else f"torch.{name}"
        if name in names:
            return self._cast(np.dtype(names[name]))
        return self._cast(numpy_dtype(dst_type))

    def share_memory(self) -> "Module":
        return self

    def compile(self, *args: Any, **kwargs: Any) -> "Module":
        """The module itself: there is nothing to compile."""
        note("compile changes nothing: fastnn's kernels are compiled already")
        return self

    def apply(self, fn: Callable[["Module"], Any]) -> "Module":
        """Call `fn` on every module below this one, then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """All parameters and buffers by path, as tensors that share memory with the module: clone what is to stay."""
        given: Any = (*args, *(destination, prefix, keep_vars)[len(args) :])
        return _state.state_of(self, *given)

    _save_to_state_dict = _state.save_own
    _load_from_state_dict = _state.load_own

    def load_state_dict(  # type: ignore[override]
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _state.IncompatibleKeys:
        """Copy tensors or arrays into the parameters and buffers of the same paths.

        Raises:
            RuntimeError: a shape differs or, with `strict`, a key is missing or not expected; the message names all.
        """
        return _state.load(self, state_dict, strict, assign)

    # ---- text --------------------------------------------------------------------------------------------------------
    def extra_repr(self) -> str:
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return _text.text_of(self)


Module._names_of_fastnn = frozenset(
    {"astype", "backward", "check", "forget", "given_back", "input_grad", "preprocessing"}
    | {name for name in vars(ArrayModule) if name[0] == "_" and name[1] != "_"}
)


def _forget(own: dict[str, Any], name: str, but: str = "") -> bool:
    """Take a name out of all registries but one, in which it keeps its place; whether it was in any."""
    found = [own[registry].pop(name, own) for registry in ("_parameters", "_buffers", "_modules") if registry != but]
    own["_non_persistent_buffers_set"].discard(name)
    return own.pop(name, own) is not own or any(entry is not own for entry in found)


def _check_name(module: Any, kind: str, name: Any, registry: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {_typename(name)}")
    if "." in name:
        got = f", got: {name}" if kind == "module" else ""
        raise KeyError(f'{kind} name can\'t contain "."{got}')
    if not name:
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if name not in registry and name not in module._names_of_fastnn and hasattr(module, name):
        raise KeyError(f"attribute '{name}' already exists")


def _has_float16(values: Any) -> bool:
    tensors = tensors_in(tuple(values))
    return any(x._data.dtype == np.float16 for x in tensors)


def _in_float32(values: Any) -> Any:
    return mapped(lambda x: in_float32(x) if isinstance(x, NumPyTensor) else x, values)


def _typename(value: Any) -> str:
    from fastnn.compat.torch._toplevel_rest import typename

    return typename(value)


def adopted(module: ArrayModule) -> Any:
    """A module of fastnn's as the one of the same name with PyTorch's methods; others as they are."""
    if isinstance(module, Module):
        return module
    from fastnn.compat.torch import nn

    kind = getattr(nn, type(module).__name__, None)
    if kind is None or not issubclass(kind, type(module)):
        return module
    own = module.__dict__
    own["_non_persistent_buffers_set"] = set()
    for name, parameter in own["_parameters"].items():
        own["_parameters"][name] = None if parameter is None else parameter_from(parameter)
    for name, child in own["_modules"].items():
        own["_modules"][name] = adopted(child)
    object.__setattr__(module, "__class__", kind)
    return module


def extends(forward: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Of a forward that does what this one of fastnn's does, and takes more kinds of input: joining looks at that."""

    def mark(function: _Function) -> _Function:
        function.extends = forward  # type: ignore[attr-defined]
        return function

    return mark


def made(module: Module, device: Any, dtype: Any) -> None:
    """What all layers do after they are made: `device=` and `dtype=`, or the default dtype."""
    from fastnn.compat.torch._dtype import default_numpy_dtype

    check_device(device)
    kind = default_numpy_dtype() if dtype is None else numpy_dtype(dtype)
    if kind != np.float32:
        module._cast(kind)
