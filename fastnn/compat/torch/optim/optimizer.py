"""The base class of optimisers by PyTorch's conventions: groups, states of tensors, checkpoints that go both ways."""

import copy
import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import optim
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._dtype import default_numpy_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.optim.optimizer import writable

__all__ = ["Optimizer", "required"]


class _Required:
    """The default of a hyper-parameter that every group must set."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class _Handle:
    """Removes a hook."""

    def __init__(self, hooks: dict[Any, Any], key: object) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        self._hooks.pop(self._key, None)


class _Arrays:
    """The state of a parameter as fastnn's optimisers use it: arrays and numbers where it holds tensors."""

    __slots__ = ("state",)

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __contains__(self, name: str) -> bool:
        return self.state.get(name) is not None  # PyTorch may save a momentum that is not there as None

    def __getitem__(self, name: str) -> Any:
        value = self.state[name]
        if not isinstance(value, NumPyTensor):
            return value
        array = value._data
        if name == "step":
            return int(array)
        if name == "mu_product":
            return float(array)
        value.written()
        return array

    def get(self, name: str, otherwise: Any = None) -> Any:
        return otherwise if self.state.get(name) is None else self[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.state[name] = new(value if isinstance(value, np.ndarray) else np.asarray(value, default_numpy_dtype()))


class Optimizer(optim.Optimizer):
    """Parameter groups with their hyper-parameters, and a state for every parameter.

    A subclass calls `super().__init__(params, defaults)` and defines `step`:

        class PlainSGD(torch.optim.Optimizer):
            def __init__(self, params, lr=1e-3):
                super().__init__(params, {"lr": lr})

            @torch.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        p.sub_(p.grad, alpha=group["lr"])

    Attributes:
        param_groups: a list of dicts; `for group in optimizer.param_groups: group["lr"] *= 0.1` takes effect at once.
        state: what is remembered of each parameter.
        defaults: hyper-parameters of the groups that do not set them.
    """

    _counts = False  # whether the state has a "step"
    state: Any
    _opt_called: bool  # whether there was a step
    _optimizer_step_pre_hooks: dict[Any, Any]
    _optimizer_step_post_hooks: dict[Any, Any]
    _optimizer_state_dict_pre_hooks: dict[Any, Any]
    _optimizer_state_dict_post_hooks: dict[Any, Any]
    _optimizer_load_state_dict_pre_hooks: dict[Any, Any]
    _optimizer_load_state_dict_post_hooks: dict[Any, Any]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, NumPyTensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}"
            )
        self.defaults = defaults
        self.state = defaultdict(dict)
        self.param_groups = []
        self._shares = []
        self._ready()
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def _ready(self) -> None:
        """What is not copied and not pickled: hooks, and the count of steps."""
        for name in _HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("_shares", [])
        self.__dict__.setdefault("_opt_called", False)
        kind = type(self)
        if not hasattr(kind.step, "_is_hooked"):
            kind.step = _hooked(kind.step)  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._ready()

    # ---- groups ------------------------------------------------------------------------------------------------------
    def add_param_group(self, param_group: dict[str, Any]) -> None:  # type: ignore[override]
        """Train more parameters, {"params": parameters, hyper-parameters that differ from the defaults ...}."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set | frozenset):
            raise TypeError("optimizer parameters need an order, which sets do not have: use a list")
        given = [params] if isinstance(params, NumPyTensor) else list(params)
        names = [item[0] for item in given if isinstance(item, tuple)]
        tensors = [item[1] if isinstance(item, tuple) else item for item in given]
        if names and len(names) != len(given):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        for tensor in tensors:
            if not isinstance(tensor, NumPyTensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(tensor).__name__}"
                )
            if tensor._op is not None:
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
        before = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        if any(id(tensor) in before for tensor in tensors):
            raise ValueError("some parameters appear in more than one parameter group")
        if any(("param_names" in group) != bool(names) for group in self.param_groups):
            raise ValueError("all optimizer param groups should be with/without names")
        if len({id(tensor) for tensor in tensors}) != len(tensors):
            warnings.warn("optimizer contains a parameter group with duplicate parameters", stacklevel=3)
        param_group["params"] = tensors
        if names:
            param_group["param_names"] = names
        for name, default in self.defaults.items():
            param_group.setdefault(name, default)
        self.check_group(dict(_numbers(param_group)))  # which stores its own kind of numbers: the script's stay
        for tensor in tensors:
            self.check_parameter(tensor)  # type: ignore[arg-type]
        self.param_groups.append(param_group)

    # ---- training ----------------------------------------------------------------------------------------------------
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; `closure`, called first, gives the loss."""
        if type(self).update is optim.Optimizer.update:
            raise NotImplementedError(f"{type(self).__name__} does not define step()")
        loss = None
        if closure is not None:
            before = RECORDING.set(True)
            try:
                loss = closure()
            finally:
                RECORDING.reset(before)
        for group in self.param_groups:
            numbers = _numbers(group)
            with self.updates_of(numbers):
                for parameter in group["params"]:
                    gradient = parameter._grad
                    if gradient is None:
                        continue
                    state = _Arrays(self.state.get(parameter) or {})
                    if self._counts and not state.state:
                        state["step"] = 0
                    self.update(writable(parameter), gradient, state, numbers)  # type: ignore[arg-type]
                    if state.state:
                        self.state[parameter] = state.state
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill those that are there with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter._grad = None
                elif parameter._grad is not None:
                    parameter._grad = np.zeros_like(parameter._grad)

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """{"state": {i: {name: tensor}}, "param_groups": [{..., "params": [i, ...]}]}, as PyTorch has it.

        Tensors are not copied.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        index: dict[int, int] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                index.setdefault(id(parameter), len(index))
        groups = [
            {
                **{name: value for name, value in group.items() if name != "params"},
                "params": [index[id(parameter)] for parameter in group["params"]],
            }
            for group in self.param_groups
        ]
        state = {index.get(id(key), key): values for key, values in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            result = _or(hook(self, result), result)
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from the result of `state_dict`, PyTorch's or ours: states get the dtypes of their parameters.

        Raises:
            ValueError: groups or their sizes differ from this optimiser's.
        """
        given: Any = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            given = _or(hook(self, given), given)
        saved = copy.deepcopy(given["param_groups"])
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(saved, self.param_groups, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        numbers = [number for group in saved for number in group["params"]]
        places = dict(zip(numbers, self.parameters(), strict=True))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, values in given["state"].items():
            parameter = places.get(key)
            state[key if parameter is None else parameter] = _loaded(values, None, parameter)
        for group, before in zip(saved, self.param_groups, strict=True):
            group["params"] = before["params"]
            if "param_names" in before:
                group.setdefault("param_names", before["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __repr__(self) -> str:
        lines = []
        for index, group in enumerate(self.param_groups):
            lines.append(f"\nParameter Group {index}\n")
            lines += [f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params"]
        return f"{type(self).__name__} ({''.join(lines)})"

    # ---- hooks -------------------------------------------------------------------------------------------------------
    def _register(self, name: str, hook: Any, prepend: bool = False) -> _Handle:
        hooks, key = getattr(self, name), object()
        hooks[key] = hook
        if prepend:
            hooks.move_to_end(key, last=False)
        return _Handle(hooks, key)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> _Handle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may give other (args, kwargs)."""
        return self._register("_optimizer_step_pre_hooks", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> _Handle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._register("_optimizer_step_post_hooks", hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> _Handle:
        """Call `hook(optimizer)` before `state_dict` makes one."""
        return self._register("_optimizer_state_dict_pre_hooks", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> _Handle:
        """Call `hook(optimizer, state_dict)` on what `state_dict` made; it may give another one."""
        return self._register("_optimizer_state_dict_post_hooks", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> _Handle:
        """Call `hook(optimizer, state_dict)` before it is loaded; it may give another one."""
        return self._register("_optimizer_load_state_dict_pre_hooks", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> _Handle:
        """Call `hook(optimizer)` after a state was loaded."""
        return self._register("_optimizer_load_state_dict_post_hooks", hook, prepend)


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with its hooks, and a note that it was called, which schedules ask for."""

    @functools.wraps(step)
    def run_step(self: Optimizer, *arguments: Any, **keywords: Any) -> Any:
        self._opt_called = True
        for hook in list(self._optimizer_step_pre_hooks.values()):
            changed = hook(self, arguments, keywords)
            if changed is not None:
                arguments, keywords = changed
        result = step(self, *arguments, **keywords)
        for hook in list(self._optimizer_step_post_hooks.values()):
            hook(self, arguments, keywords)
        return result

    run_step._is_hooked = True  # type: ignore[attr-defined]
    return run_step


def _numbers(group: dict[str, Any]) -> dict[str, Any]:
    """The group, with numbers where a script put tensors."""
    if not any(isinstance(value, NumPyTensor) for value in group.values()):
        return group
    return {
        name: value._data.item() if isinstance(value, NumPyTensor) and not value._data.ndim else value
        for name, value in group.items()
    }


def _loaded(value: Any, name: Any, parameter: Any) -> Any:
    """A part of a saved state, copied; tensors in the dtype of their parameter, but for counts of steps."""
    if isinstance(value, dict):
        return {key: _loaded(item, key, parameter) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_loaded(item, name, parameter) for item in value)
    if isinstance(value, NumPyTensor | np.ndarray):
        array: NDArray = value._data if isinstance(value, NumPyTensor) else value
        own = parameter is not None and name != "step" and parameter._data.dtype.kind == "f"
        return new(array.astype(parameter._data.dtype if own else array.dtype))
    return copy.deepcopy(value)


__getattr__ = missing("torch.optim.optimizer")
