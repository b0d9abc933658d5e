"""The base class of all layers."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _check
from fastnn.autograd.tensor import Tensor, array_of
from fastnn.nn import _call
from fastnn.nn._module_check import CheckMethod
from fastnn.nn.parameter import Parameter

__all__ = ["LoadResult", "Module"]


class LoadResult(NamedTuple):
    """What `load_state_dict` could not match: keys of the module without a value, and values without a key."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class _Hooks:
    """Functions that are called with each call of a module, by number."""

    def __init__(self) -> None:
        self.forward_pre: dict[int, Callable[..., Any]] = {}
        self.forward: dict[int, Callable[..., Any]] = {}
        self.backward_pre: dict[int, Callable[..., Any]] = {}
        self.backward: dict[int, Callable[..., Any]] = {}


class HookHandle:
    """Removes a hook: `handle.remove()`, or the end of a `with` block."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks, self._number = hooks, max(hooks, default=-1) + 1
        hooks[self._number] = hook

    def remove(self) -> None:
        """Do not call the hook any more."""
        self._hooks.pop(self._number, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _derives(backward: Any) -> bool:
    """Whether this backward is found by the tape, rather than written by the author of the module."""
    return getattr(backward, "is_derived", False)


class Module(CheckMethod):
    """A layer or a network: parameters, and a `forward`.

    A subclass defines `forward(...)` from other modules, functions of `fastnn.functional`, and NumPy's; its gradients
    are found by themselves. Parameters, buffers and submodules are found by assigning them to attributes:

        class Scale(Module):
            def __init__(self):
                super().__init__()
                self.weight = Parameter(np.ones(1, np.float32))

            def forward(self, x):
                return self.weight * x

    Called with arrays, it gives arrays and remembers the call: `model.backward(dy)` adds dL/dparameter to every `.grad`
    and returns dL/dx. Called with tensors, it gives tensors, which have a `backward` of their own.

    A subclass may also define `backward(dy)` itself: then its `forward` gets arrays and keeps on `self` what that
    needs, and `backward` adds to the gradients by `Parameter.add_grad`.

    Attributes:
        training: True after `train()`, False after `eval()`; dropout and batch norm depend on it.
        input_grad: if False, `backward` returns None instead of the gradient with respect to x. Set it on a network
            whose input is data: its first layer then does not compute what nobody reads.
        preprocessing: a `data.Preprocessing`: what is done to images before this network sees them; None if unknown.
    """

    training: bool
    input_grad: bool
    preprocessing: Any = None
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, NDArray | None]
    _modules: "dict[str, Module]"

    # How many of its arguments have gradients where it is called with arrays; None: all.
    _first_with_gradients: ClassVar[int | None] = None
    # Whether arrays become tensors even where nothing is recorded.
    _lends_unrecorded: ClassVar[bool] = True
    # Whether `backward` can also go through parts that were called with arrays, and whether a subclass wants it to.
    _goes_back_by_parts: ClassVar[bool] = False
    _hands_arrays_on: ClassVar[bool] = False
    # Whether calls with arrays are remembered for `backward`; else forward gets whatever it is called with.
    _takes_arrays: ClassVar[bool] = True
    # What a copy does not have: the last call, and what can be found out again.
    _left_out_of_copies: ClassVar[frozenset[str]] = frozenset({"_call", "_last_operation", "_plan"})

    def __init__(self) -> None:
        # object.__setattr__, since our own looks at these.
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "training", True)
        object.__setattr__(self, "input_grad", True)

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Let `forward` pass `_call.entering`, and a backward of its own `_call.going_back`, whoever calls it."""
        super().__init_subclass__(**keywords)
        has_own_backward = not _derives(cls.backward)
        cls._hands_arrays_on = has_own_backward and cls._goes_back_by_parts
        if "forward" in cls.__dict__ or (has_own_backward and "backward" in cls.__dict__):
            cls.forward = _call.entering(cls.forward, has_own_backward)
        if has_own_backward and "backward" in cls.__dict__:
            cls.backward = _call.going_back(cls.backward)

    # ---- to be written by subclasses ---------------------------------------------------------------------------------
    if TYPE_CHECKING:
        forward: Callable[..., Any]  # with the arguments that a subclass wants
        backward: Callable[..., Any]
    else:

        def forward(self, *arguments: Any) -> Any:
            """Compute the result."""
            raise TypeError(f"{type(self).__name__} does not define forward()")

        def backward(self, dy: Any = None) -> Any:
            """Given dL/dy of the last call with arrays, add dL/dparameter to every `.grad` and return dL/dx.

            A container forgets the call as it goes back, so that memory gets less; each of its backwards needs a
            forward of its own.

            Args:
                dy: gradient with respect to the result, of its shape; several for several results. A single number
                    needs none.
            Returns:
                The gradient with respect to the array that `forward` got, a tuple for several, None if `input_grad` is
                False.
            Raises:
                RuntimeError: there was no such call, or it has gone back already.
            """
            return _call.backward(self, dy)

        backward.is_derived = True

    def given_back(self, y: Any) -> Any:
        """What a caller with arrays gets for the result `y` of `forward`."""
        return _call.given_back(y)

    def forget(self) -> None:
        """Drop what this module and those below it remember of their last calls; a backward then needs another one."""
        for module in self.modules():
            module.__dict__.pop("_call", None)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy, a pickle or another process gets: everything but what the last call left.

        A copy is of a network, not of the batch that went through it last, so it needs a forward of its own before a
        backward. Attributes of modules of one's own are theirs, and go with them.
        """
        return {name: value for name, value in self.__dict__.items() if name not in self._left_out_of_copies}

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`."""
        return ""

    @overload
    def __call__(self, x: Tensor, /, *args: Any, **kwargs: Any) -> Tensor: ...
    @overload
    def __call__(self, x: NDArray, /, *args: Any, **kwargs: Any) -> NDArray: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        replaced = self.__dict__.get("forward")
        return self.forward(*args, **kwargs) if replaced is None else _call.enter(self, replaced, args, kwargs)

    # ---- hooks -------------------------------------------------------------------------------------------------------
    def _hook(self, kind: str, hook: Callable[..., Any]) -> HookHandle:
        if not callable(hook):
            raise TypeError(f"register_{kind}_hook: hook must be callable. Received: {_check.shown(hook)}")
        hooks = self.__dict__.setdefault("_hooks", _Hooks())
        return HookHandle(getattr(hooks, kind.removeprefix("full_")), hook)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, arguments)` before each forward; what it returns, unless None, replaces the arguments."""
        return self._hook("forward_pre", hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, arguments, result)` after each forward; what it returns, unless None, is the result.

        Example:
            >>> model, shapes = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), []
            >>> handle = model[0].register_forward_hook(lambda module, x, y: shapes.append(y.shape))
            >>> y = model(np.zeros((3, 1, 2, 2), np.float32))
            >>> handle.remove()
            >>> shapes
            [(3, 4)]
        """
        return self._hook("forward", hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, dx, dy)`, two tuples of gradients, when those of the inputs of a call are there.

        What it returns, unless None, goes on instead of dx.
        """
        return self._hook("full_backward", hook)

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
        if "_modules" in own:  # every forward asks for modules
            if name in own["_modules"]:
                return own["_modules"][name]
            for registry in (own["_parameters"], own["_buffers"]):
                if name in registry:
                    return registry[name]
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
        value = array_of(value)
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

    def buffers(self) -> Iterator[NDArray]:
        """The arrays of the buffers of this module and all below it."""
        for _, array in self.named_buffers():
            yield array

    def add_module(self, name: str, module: "Module | None") -> None:
        """Like assigning the attribute, for names that are computed; None reserves the name."""
        self._check_name("add_module", name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"add_module: module must be a Module or None. Received: {_check.shown(module)}")
        setattr(self, name, module)

    register_module = add_module

    def get_submodule(self, path: str) -> "Module":
        """The module at a path, as `named_modules` gives it: 'features.0'; '' is this one.

        Raises:
            AttributeError: there is none; the message says where the path ends.
        """
        if not isinstance(path, str):
            raise TypeError(f"get_submodule: path must be a text. Received: {_check.shown(path)}")
        module = self
        for name in path.split(".") if path else ():
            if name not in module._modules:
                known = ", ".join(module._modules) or "none"
                raise AttributeError(
                    f"get_submodule: {type(module).__name__} has no submodule {name!r}, but {known}. Received: {path!r}"
                )
            module = module._modules[name]
        return module

    def get_parameter(self, path: str) -> Parameter:
        """The parameter at a path, as `named_parameters` gives it: 'features.0.weight'.

        Raises:
            AttributeError: there is none.
        """
        if not isinstance(path, str):
            raise TypeError(f"get_parameter: path must be a text. Received: {_check.shown(path)}")
        above, _, name = path.rpartition(".")
        module = self.get_submodule(above)
        parameter = module._parameters.get(name)
        if parameter is None:
            raise AttributeError(f"get_parameter: {type(module).__name__} has no {name!r}. Received: {path!r}")
        return parameter

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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with set_to_none=False, fill those that are there with zeros."""
        set_to_none = _check.boolean("zero_grad", "set_to_none", set_to_none)
        for parameter in self.parameters():
            grad = parameter._grad
            parameter._grad = None if set_to_none or grad is None else np.zeros_like(grad)

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
            parameter.data = parameter._data.astype(dtype)
            parameter._grad = None
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
                    array = entry._data if isinstance(entry, Parameter) else entry
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

    def _repr_html_(self) -> str | None:
        """For notebooks: a tree that folds, with shapes and numbers of parameters. A repr of one's own goes before."""
        if type(self).__repr__ is not Module.__repr__:
            return None
        from fastnn.nn._html import module_html

        return module_html(self)
