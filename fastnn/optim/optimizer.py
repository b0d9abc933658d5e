"""The base class of all optimisers: parameter groups and state. The update formulas are in functional/optimizer.py."""

from __future__ import annotations

import contextlib
import copy
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout
from fastnn.autograd.tensor import Tensor
from fastnn.functional.optimizer import together
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["Optimizer"]


def is_iterable(value: Any) -> bool:
    """Whether `value` is a list or something like it: no text, no mapping, no array without dimensions."""
    no_list = isinstance(value, str | bytes | bytearray | Mapping) or (isinstance(value, np.ndarray) and not value.ndim)
    return isinstance(value, Iterable) and not no_list


def parameter_list(owner: str, parameters: Any) -> list[Any]:
    """`parameters`, one or several, as a list: of an `nn.Parameter` or any leaf that requires a gradient.

    Raises:
        TypeError: something else is among them.
    """
    if isinstance(parameters, Module):
        raise TypeError(
            f"{owner}: parameters are needed; give model.parameters(). Received: {type(parameters).__name__}"
        )
    if not isinstance(parameters, Tensor) and not is_iterable(parameters):
        raise TypeError(f"{owner}: nn.Parameter objects are needed. Received: {_check.shown(parameters)}")
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for item in found:
        if isinstance(item, Parameter):
            continue
        if not isinstance(item, Tensor):
            raise TypeError(f"{owner}: nn.Parameter objects are needed. Received: {type(item).__name__}")
        if not item.is_leaf or not item.requires_grad:
            kind = "a recorded result" if not item.is_leaf else "one without requires_grad"
            raise TypeError(f"{owner}: only tensors that are leaves and require a gradient can be trained. "
                            f"Received: {kind}")  # fmt: skip
    return found


def number(owner: str, name: str, value: Any, minimum: float = 0.0, below: float = math.inf) -> float:
    """`value` as a finite float in [minimum, below).

    Raises:
        TypeError: not a real number.
        ValueError: outside the interval, infinite or NaN.
    """
    result = _check.number(owner, name, value)
    if not minimum <= result < below or result == -math.inf:
        reason = f">= {minimum:g}" if below == math.inf else f"in [{minimum:g}, {below:g})"
        reason = "finite" if math.isinf(result) else reason
        raise ValueError(f"{owner}: {name} must be {reason}. Received: {_check.shown(value)}")
    return result


def any_number(owner: str, name: str, value: Any) -> float:
    """`value`, finite."""
    return number(owner, name, value, -math.inf)


class Optimizer:
    """The base class of optimisers: parameter groups with their hyper-parameters, and a state for every parameter.

    A subclass defines `update`, which changes one parameter in place. It may define `check_group`, which refuses
    hyper-parameters outside their range.

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the defaults for that group.
        defaults: the hyper-parameters, by name, of groups that do not set them.
    Attributes:
        param_groups: the list of groups, dicts. A change, such as `optimizer.param_groups[0]["lr"] = 0.01`, takes
            effect at the next step.
        state: what the optimiser remembers of each parameter, such as its momentum; filled at the first step.
        defaults: the argument `defaults`, as a dict.
    Raises:
        ValueError: there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> from fastnn import optim
        >>> class SignSGD(optim.Optimizer):
        ...     def __init__(self, params, lr=1e-3):
        ...         super().__init__(params, {"lr": lr})
        ...     def update(self, parameter, gradient, state, group):
        ...         parameter -= group["lr"] * np.sign(gradient)
        >>> w = nn.Parameter(np.array([1.0, 2.0]))
        >>> optimizer = SignSGD([w], lr=0.5)
        >>> w.grad = np.array([3.0, -0.1])
        >>> optimizer.step()
        >>> w.data
        array([0.5, 2.5])
    """

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor | np.ndarray | set | frozenset) or not is_iterable(params):
            hint = "; give model.parameters()" if isinstance(params, Module) else ""
            raise TypeError(
                f"{self._name}: params must be an ordered iterable of parameters or of dicts{hint}. "
                f"Received: {type(params).__name__}"
            )
        self.defaults = dict(_check.mapping(self._name, "defaults", defaults))
        self.state: dict[Parameter, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        self._shares: list[Any] = []  # of its schedules in its learning rates, see scheduler.py
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError(f"{self._name}: there are no parameters")
        for group in groups if isinstance(groups[0], Mapping) else [{"params": groups}]:
            self.add_param_group(group)

    # ---- to be written by subclasses ---------------------------------------------------------------------------------
    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change one parameter in place. Subclasses define it.

        Args:
            parameter: the array of the parameter, float32 or float64.
            gradient: the gradient of the loss with respect to it, of the same shape.
            state: a dict for what the optimiser remembers of this parameter; empty at the first step.
            group: the parameter group, a dict with the hyper-parameters.
        """
        raise TypeError(f"{self._name} does not define update()")

    def check_group(self, group: dict[str, Any]) -> None:
        """Check the hyper-parameters of a group, and replace them by plain Python numbers. Subclasses define it.

        Args:
            group: the parameter group, a dict that is changed in place.
        Raises:
            ValueError: a hyper-parameter is outside its range.
            TypeError: a hyper-parameter has the wrong type.
        """

    def check_parameter(self, parameter: Parameter) -> None:
        """Raise ValueError for a parameter that this optimiser cannot train. The base class accepts all."""

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        """The names of the entries in the state of a parameter, each with whether every state that is not empty has it.

        All entries but 'step' and 'mu_product' are arrays. `load_state_dict` refuses a state in which a required entry
        is missing or a listed one has the wrong type. It does not check entries that are not listed.
        """
        return {}

    def group_defaults(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The hyper-parameters that `group` must have, with the default values of those that it does not set."""
        return self.defaults

    # ---- groups ------------------------------------------------------------------------------------------------------
    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a parameter group: more parameters to train.

        Args:
            param_group: {"params": parameters, ...}; the other entries are hyper-parameters that differ from the
                defaults.
        Raises:
            ValueError: a parameter is given twice, or a hyper-parameter is outside its range.
            TypeError: param_group is not a dict with the key 'params'.
        Example:
            >>> from fastnn import optim
            >>> w, b = nn.Parameter(np.zeros((2, 2))), nn.Parameter(np.zeros(2))
            >>> optimizer = optim.SGD([w], lr=0.1, weight_decay=5e-4)
            >>> optimizer.add_param_group({"params": [b], "weight_decay": 0})
            >>> [group["weight_decay"] for group in optimizer.param_groups]
            [0.0005, 0.0]
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(
                f"{self._name}.add_param_group: a group must be a dict with the key 'params'. "
                f"Received: {_check.shown(param_group)}"
            )
        parameters = parameter_list(self._name, param_group["params"])
        known = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        for parameter in parameters:
            if id(parameter) in known:
                raise ValueError(f"{self._name}: {parameter!r} is given twice")
            known.add(id(parameter))
            self.check_parameter(parameter)
        group = {**self.group_defaults(param_group), **param_group, "params": parameters}
        self.check_group(group)
        _check_schedule_keys(self._name, group)
        self.param_groups.append(group)

    # ---- training ----------------------------------------------------------------------------------------------------
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient and is not frozen.

        `parameter.data` is changed in place. It is replaced by a copy only if it is read-only or is not a NumPy float
        array in native byte order.

        Args:
            closure: a function that computes the loss and the gradients, called before the update. None (default): the
                gradients are already there.
        Returns:
            The result of closure, or None.
        Raises:
            ValueError: a gradient and its parameter differ in shape. No parameter has been changed.
            TypeError: closure is not a function.
        """
        if closure is not None and not callable(closure):
            raise TypeError(f"{self._name}.step: closure must be a function. Received: {_check.shown(closure)}")
        result = None if closure is None else closure()
        work = []
        for group in self.param_groups:
            pairs = []
            for parameter in group["params"]:
                gradient = parameter._grad
                if gradient is None or not parameter.requires_grad:
                    continue
                is_ready = type(gradient) is np.ndarray and gradient.dtype in _check.FLOATS
                if not (is_ready and gradient.shape == parameter.shape):
                    gradient = _check.floats(f"{self._name}.step", "grad", gradient)
                    _check.same_shape(f"{self._name}.step", data=parameter._data, grad=gradient)
                pairs.append((parameter, gradient))
            work.append((group, pairs))
        for group, pairs in work:
            with self.updates_of(group):
                for parameter, gradient in pairs:
                    data = writable(parameter)
                    self.update(data, gradient, self.state.setdefault(parameter, {}), group)
        return result

    def updates_of(self, group: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
        """The context manager in which the parameters of a group are updated.

        Updates that are marked with `can_wait` are computed together when the block ends.
        """
        return together() if getattr(self.update, "can_wait", False) else contextlib.nullcontext()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters.

        Args:
            set_to_none: set each `grad` to None (default); or, if False, fill those that exist with zeros.
        Raises:
            TypeError, ValueError: set_to_none is neither True nor False.
        """
        set_to_none = _check.boolean(f"{self._name}.zero_grad", "set_to_none", set_to_none)
        for parameter in self.parameters():
            grad = parameter._grad
            parameter._grad = None if set_to_none or grad is None else np.zeros_like(grad)

    def parameters(self) -> list[Parameter]:
        """All parameters as a list, in the order of the groups.

        Example:
            >>> from fastnn import optim
            >>> model = nn.Linear(2, 3)
            >>> [p.shape for p in optim.SGD(model.parameters()).parameters()]
            [(3, 2), (3,)]
        """
        return [parameter for group in self.param_groups for parameter in group["params"]]

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """The state, {"state": {i: {name: array or number}}, "param_groups": [{..., "params": [i, ...]}]}.

        i is the index of a parameter, counted in the order of the groups. Arrays are C-contiguous copies. Everything
        else consists of numbers, strings, lists and dicts that JSON can hold.
        """
        index = {parameter: i for i, parameter in enumerate(self.parameters())}
        state = {
            index[parameter]: {
                name: np.array(value, order="C") if isinstance(value, np.ndarray) else copy.deepcopy(value)
                for name, value in values.items()
            }
            for parameter, values in self.state.items()
        }
        groups = [
            {**copy.deepcopy(_settings(group)), "params": [index[parameter] for parameter in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned.

        The next steps are those that would have followed it, bit for bit. If anything does not fit, nothing is changed.
        Indices may be strings, as JSON makes them.

        Args:
            state_dict: the state, from `state_dict` of an optimiser of the same class with the same groups.
        Raises:
            ValueError: the groups, their sizes or the shapes of states differ from those of this optimiser, or a value
                is outside its range.
            KeyError: a hyper-parameter or a part of a state is missing.
            TypeError: an entry has another type than in the result of `state_dict`.
        """
        owner = f"{self._name}.load_state_dict"
        _check.mapping(owner, "the state", state_dict, "state", "param_groups")
        saved = state_dict["param_groups"]
        if not isinstance(saved, list | tuple):
            raise TypeError(f"{owner}: param_groups must be a list. Received: {_check.shown(saved)}")
        numbers = [_indices(owner, group) for group in saved]
        sizes, saved_sizes = [len(group["params"]) for group in self.param_groups], list(map(len, numbers))
        if sizes != saved_sizes:
            raise ValueError(f"{owner}: groups of {saved_sizes} parameters given, {sizes} needed")
        groups = [self._loaded_group(owner, *pair) for pair in zip(self.param_groups, saved, strict=True)]
        order = [i for some in numbers for i in some]
        places = {i: (p, group) for i, (p, group) in zip(order, _each(groups), strict=True)}
        if len(places) < len(order):
            raise ValueError(f"{owner}: a parameter is in the groups twice. Received: {_check.shown(order)}")
        state: dict[Parameter, dict[str, Any]] = {}
        for key, values in _check.mapping(owner, "state", state_dict["state"]).items():
            i = _index(owner, key)
            if i not in places:
                raise ValueError(f"{owner}: state of parameter {i}, which is in no group")
            parameter, group = places[i]
            state[parameter] = _loaded(owner, i, values, parameter, self.state_names(group))
        self.param_groups[:] = groups
        self.state = state

    def _loaded_group(self, owner: str, current: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """A group with the saved hyper-parameters and the parameters that it has."""
        missing = [name for name in self.group_defaults(current) if name not in given]
        if missing:
            raise KeyError(f"{owner}: a group lacks {', '.join(missing)}; was it another optimiser's?")
        group = {**current, **copy.deepcopy(_settings(given)), "params": current["params"]}
        self.check_group(group)
        _check_schedule_keys(owner, group)
        return group

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            words = ", ".join(f"{name}={value!r}" for name, value in _settings(group).items())
            lines.append(f"  ({i}): {len(group['params'])} parameters, {words}\n")
        return f"{self._name}(\n{''.join(lines)})"


def can_wait(update: Callable[..., None]) -> Callable[..., None]:
    """Mark an `update` that may be computed later than it is called. It must read nothing that it changes."""
    update.can_wait = True  # type: ignore[attr-defined]
    return update


def slot(state: dict[str, Any], name: str, parameter: NDArray, fill: float = 0.0) -> NDArray:
    """The array `state[name]`, in the memory order of the parameter; made at its first use and filled with `fill`."""
    if name not in state:
        state[name] = _layout.empty_like(_layout.dense(parameter))
        state[name][...] = fill
    return state[name]


def count_step(state: dict[str, Any]) -> int:
    """Increase the step count of a parameter by one, and return it. The first step is 1."""
    state["step"] = state.get("step", 0) + 1
    return state["step"]


def writable(parameter: Parameter) -> NDArray:
    """`parameter.data` for writing. An array that cannot be changed in place is first replaced by a copy.

    Optimisers and averages must get the arrays that they write into from here, since the parameter notes the change.
    """
    parameter.written()
    data = parameter._data
    if type(data) is np.ndarray and data.dtype in _check.FLOATS and data.flags.writeable:
        return data
    data = _check.floats("step", "data", data)  # a copy in native byte order if it is not
    if not data.flags.writeable:
        copy = _layout.empty_like(_layout.dense(data))
        copy[...] = data
        data = copy
    if data is not parameter._data:
        parameter.data = data
    return data


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """What a group has besides its parameters."""
    return {name: value for name, value in group.items() if name != "params"}


# ---- a saved state ---------------------------------------------------------------------------------------------------
SCHEDULE_KEYS = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")  # what schedules keep in groups


def _check_schedule_keys(owner: str, group: dict[str, Any]) -> None:
    for name in SCHEDULE_KEYS:
        if name in group:
            group[name] = number(owner, name, group[name])


def _each(groups: list[dict[str, Any]]) -> Iterator[tuple[Parameter, dict[str, Any]]]:
    for group in groups:
        for parameter in group["params"]:
            yield parameter, group


def _index(owner: str, value: Any) -> int:
    """The number of a parameter, which is text after a passage through JSON."""
    try:
        return int(value) if isinstance(value, str) else operator.index(value)
    except (TypeError, ValueError):
        raise TypeError(f"{owner}: parameters must be numbered. Received: {_check.shown(value)}") from None


def _indices(owner: str, group: Any) -> list[int]:
    values = _check.mapping(owner, "a group", group, "params")["params"]
    if not isinstance(values, list | tuple):
        raise TypeError(f"{owner}: params must be a list of numbers. Received: {_check.shown(values)}")
    return [_index(owner, value) for value in values]


def _loaded(owner: str, index: int, values: Any, parameter: Parameter, names: dict[str, bool]) -> dict[str, Any]:
    """The state of a parameter, checked against `state_names`; arrays copied into its memory order and dtype."""
    where = f"the state of parameter {index}"
    values = _check.mapping(owner, where, values)
    if values:
        _check.mapping(owner, where, values, *(name for name, always in names.items() if always))
    data = _layout.dense(_check.floats(owner, "data", parameter._data))
    state: dict[str, Any] = {}
    for name, value in values.items():
        if name == "step":  # PyTorch keeps an array of no dimension
            steps = number(owner, f"step of parameter {index}", value)
            if steps != int(steps):
                raise ValueError(f"{owner}: step of parameter {index} must be an integer. Received: {steps}")
            state[name] = int(steps)
        elif name == "mu_product" and name in names:  # likewise; a product of numbers below 1
            state[name] = number(owner, f"mu_product of parameter {index}", value, below=1)
        elif isinstance(value, np.generic):
            state[name] = value.item()
        elif hasattr(value, "shape"):
            if value.shape != parameter.shape:
                raise ValueError(f"{owner}: {name} of parameter {index}: {value.shape} given, {parameter.shape} needed")
            given = np.asarray(value)
            if given.dtype.kind not in "fiu":
                raise TypeError(f"{owner}: {name} of parameter {index} must hold numbers. Received: {given.dtype}")
            state[name] = _layout.empty_like(data)
            state[name][...] = given
        elif name in names and (names[name] or value is not None):
            raise TypeError(f"{owner}: {name} of parameter {index} must be an array. Received: {_check.shown(value)}")
        elif value is not None:  # PyTorch's word for a momentum that is not there
            if not isinstance(value, str | int | float | list | tuple | dict):
                raise TypeError(
                    f"{owner}: {name} of parameter {index} must be an array, a number or text. "
                    f"Received: {_check.shown(value)}"
                )
            state[name] = copy.deepcopy(value)
    return state
