"""The base class of all optimisers: parameter groups and state. The arithmetic is in functional/optimizer.py."""

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout
from fastnn.functional import _check
from fastnn.nn.parameter import Parameter

__all__ = ["Optimizer"]


def number(owner: str, name: str, value: Any, minimum: float = 0.0, below: float = math.inf) -> float:
    """`value` as a float in [minimum, below).

    Raises:
        TypeError: not a real number.
        ValueError: outside the interval, or NaN.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real | np.floating | np.integer):
        raise TypeError(f"{owner}: {name} must be a number. Received: {value!r}")
    value = float(value)
    if not minimum <= value < below:
        interval = f">= {minimum:g}" if below == math.inf else f"in [{minimum:g}, {below:g})"
        raise ValueError(f"{owner}: {name} must be {interval}. Received: {value!r}")
    return value


def parameter_list(owner: str, parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    """`parameters`, one or several, as a list; raises TypeError if something else is among them."""
    found = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    for item in found:
        if not isinstance(item, Parameter):
            raise TypeError(f"{owner}: nn.Parameter objects are needed. Received: {type(item).__name__}")
    return found


class Optimizer:
    """Parameter groups with their hyper-parameters, and a state for every parameter.

    A subclass defines `update`, which changes one parameter in place, and `check_group`, which refuses bad
    hyper-parameters:

        class SignSGD(Optimizer):
            def __init__(self, params, lr=1e-3):
                super().__init__(params, {"lr": lr})

            def update(self, parameter, gradient, state, group):
                parameter -= group["lr"] * np.sign(gradient)

    Args:
        params: parameters, or dicts {"params": parameters, hyper-parameters of this group ...}.
        defaults: hyper-parameters of the groups that do not set them.

    Attributes:
        param_groups: a list of dicts; `for group in optimizer.param_groups: group["lr"] = 0.01` takes effect at once.
        state: what is remembered of each parameter, made at its first step.
        defaults: as given.
    """

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        if isinstance(params, Parameter | np.ndarray | Mapping | set | frozenset):
            raise TypeError(
                f"{self._name}: params must be an ordered iterable of parameters or of dicts. "
                f"Received: {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: dict[Parameter, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError(f"{self._name}: there are no parameters")
        for group in groups if isinstance(groups[0], Mapping) else [{"params": groups}]:
            self.add_param_group(group)

    # ---- to be written by subclasses ---------------------------------------------------------------------------------
    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change `parameter` in place, given the gradient, its state and its group."""
        raise TypeError(f"{self._name} does not define update()")

    def check_group(self, group: dict[str, Any]) -> None:
        """Raise for hyper-parameters that make no sense; store the others as plain Python numbers."""

    def check_parameter(self, parameter: Parameter) -> None:
        """Raise for a parameter that this optimiser cannot train."""

    def group_defaults(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The hyper-parameters that `group` must have, with the values of those that it does not set."""
        return self.defaults

    # ---- groups ------------------------------------------------------------------------------------------------------
    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Train more parameters, {"params": parameters, hyper-parameters that differ from the defaults ...}.

        Raises:
            ValueError: a parameter is given twice, or a hyper-parameter is out of its range.
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f"{self._name}: a group must be a dict with the key 'params'. Received: {param_group!r}")
        parameters = parameter_list(self._name, param_group["params"])
        known = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        for parameter in parameters:
            if id(parameter) in known:
                raise ValueError(f"{self._name}: {parameter!r} is given twice")
            known.add(id(parameter))
            self.check_parameter(parameter)
        group = {**self.group_defaults(param_group), **param_group, "params": parameters}
        self.check_group(group)
        self.param_groups.append(group)

    # ---- training ----------------------------------------------------------------------------------------------------
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient and is not frozen.

        `parameter.data` is changed in place. Only an array that is read-only or no NumPy float array in native byte
        order is replaced by a copy.

        Args:
            closure: called first, to compute loss and gradients; its result is returned.
        Raises:
            ValueError: a gradient and its parameter differ in shape; no parameter was changed.
        """
        result = None if closure is None else closure()
        work = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.requires_grad:
                    gradient = _check.floats(f"{self._name}.step", "grad", parameter.grad)
                    _check.same_shape(f"{self._name}.step", data=parameter.data, grad=gradient)
                    work.append((parameter, gradient, group))
        for parameter, gradient, group in work:
            data = _writable(parameter)
            self.update(data, gradient, self.state.setdefault(parameter, {}), group)
        return result

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """{"state": {i: {name: array or number}}, "param_groups": [{..., "params": [i, ...]}]}.

        Parameters are numbered in the order of the groups. Arrays are C-contiguous copies; all else is plain numbers,
        strings and lists, fit for JSON.
        """
        index = {parameter: i for i, parameter in enumerate(self._parameters())}
        state = {
            index[parameter]: {
                name: np.array(value, order="C") if isinstance(value, np.ndarray) else value
                for name, value in values.items()
            }
            for parameter, values in self.state.items()
        }
        groups = [
            {**group, "params": [index[parameter] for parameter in group["params"]]} for group in self.param_groups
        ]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from the result of `state_dict`: the next steps are those that would have followed it, bit for bit.

        Either everything fits or nothing is changed. Indices may be strings, as they are after a passage through JSON.

        Raises:
            ValueError: groups, their sizes or the shapes of states differ from this optimiser's.
            KeyError: a group lacks a hyper-parameter.
        """
        operation = f"{self._name}.load_state_dict"
        saved = state_dict["param_groups"]
        sizes, saved_sizes = ([len(group["params"]) for group in groups] for groups in (self.param_groups, saved))
        if sizes != saved_sizes:
            raise ValueError(f"{operation}: groups of {saved_sizes} parameters given, {sizes} needed")
        groups = []
        for current, given in zip(self.param_groups, saved, strict=True):
            missing = [name for name in self.group_defaults(current) if name not in given]
            if missing:
                raise KeyError(f"{operation}: a group lacks {', '.join(missing)}; was it another optimiser's?")
            group = {**current, **given, "params": current["params"]}
            self.check_group(group)
            groups.append(group)
        order = [int(i) for group in saved for i in group["params"]]
        parameters = dict(zip(order, self._parameters(), strict=True))
        state: dict[Parameter, dict[str, Any]] = {}
        for i, values in state_dict["state"].items():
            if int(i) not in parameters:
                raise ValueError(f"{operation}: state of parameter {i}, which is in no group")
            parameter = parameters[int(i)]
            state[parameter] = {name: _loaded(operation, i, name, v, parameter) for name, v in values.items()}
        self.param_groups[:] = groups
        self.state = state

    def _parameters(self) -> list[Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            words = ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            lines.append(f"  ({i}): {len(group['params'])} parameters, {words}\n")
        return f"{self._name}(\n{''.join(lines)})"


def slot(state: dict[str, Any], name: str, parameter: NDArray, fill: float = 0.0) -> NDArray:
    """The array `state[name]`, made at its first use: in the memory order of the parameter, every element `fill`."""
    if name not in state:
        state[name] = _layout.empty_like(_layout.dense(parameter))
        state[name][...] = fill
    return state[name]


def count_step(state: dict[str, Any]) -> int:
    """The number of this step of a parameter, from 1."""
    state["step"] = state.get("step", 0) + 1
    return state["step"]


def _writable(parameter: Parameter) -> NDArray:
    """`parameter.data`, replaced by a copy if it cannot be changed in place."""
    data = _check.floats("step", "data", parameter.data)  # a copy in native byte order if it is not
    if not data.flags.writeable:
        copy = _layout.empty_like(_layout.dense(data))
        copy[...] = data
        data = copy
    if data is not parameter.data:
        parameter.data = data
    return data


def _loaded(operation: str, index: Any, name: str, value: Any, parameter: Parameter) -> Any:
    """A value of a saved state: a number as it is, an array copied into the parameter's memory order and dtype."""
    if name == "step":  # PyTorch keeps an array of no dimension
        return int(value)
    if not hasattr(value, "shape"):
        return value
    if value.shape != parameter.shape:
        raise ValueError(f"{operation}: {name} of parameter {index}: {value.shape} given, {parameter.shape} needed")
    array = _layout.empty_like(_layout.dense(_check.floats(operation, "data", parameter.data)))
    array[...] = value
    return array
