"""What a module's state is, as a script reads and writes it: tensors that share memory with the module."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import Tensor, new

__all__ = ["IncompatibleKeys", "buffer_tensor", "load", "set_buffer", "state_of"]


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    __str__ = __repr__


def buffer_tensor(own: dict[str, Any], name: str) -> Tensor | None:
    """The buffer `name` of a module, of whose attributes `own` are, as a tensor: the same each time."""
    array = own["_buffers"][name]
    if array is None:
        return None
    tensors = own.setdefault("_buffer_tensors", {})
    known = tensors.get(name)
    if known is None or known._data is not array:
        known = tensors[name] = new(array)
    return known


def set_buffer(own: dict[str, Any], name: str, value: Any) -> None:
    """Let the buffer be this tensor; one that was recorded keeps its history."""
    if isinstance(value, Tensor):
        own["_buffers"][name] = value._data
        own.setdefault("_buffer_tensors", {})[name] = value
    elif isinstance(value, NumPyTensor):
        own["_buffers"][name] = value._data
    else:
        own["_buffers"][name] = None if value is None else np.asarray(value)


def state_of(module: Any, destination: Any, prefix: str, keep_vars: bool) -> Any:
    """Put the state of a module and those below it into `destination`, and give that."""
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = {"version": module._version}
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    return destination


def load(module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Copy values into the memory of parameters and buffers, or let them be the values themselves."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    state, metadata = OrderedDict(state_dict), getattr(state_dict, "_metadata", None)
    _load_below(module, "", state, metadata, (strict, assign), (missing, unexpected, errors))
    if strict:
        for title, keys in (("Unexpected", unexpected), ("Missing", missing)):
            if keys:
                errors.insert(0, f"{title} key(s) in state_dict: {', '.join(map(_quoted, keys))}. ")
    if errors:
        words = "\n\t".join(errors)
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{words}")
    return IncompatibleKeys(missing, unexpected)


def _quoted(key: str) -> str:
    return f'"{key}"'


def _load_below(module: Any, prefix: str, state: Any, metadata: Any, how: Any, found: Any) -> None:
    (strict, assign), (missing, unexpected, errors) = how, found
    local = dict({} if metadata is None else metadata.get(prefix[:-1], {}), assign_to_params_buffers=assign)
    module._load_from_state_dict(state, prefix, local, strict, missing, unexpected, errors)
    for name, child in module._modules.items():
        below = f"{prefix}{name}."
        inner = OrderedDict((key, value) for key, value in state.items() if key.startswith(below))
        _load_below(child, below, inner, metadata, how, found)


def save_own(module: Any, destination: Any, prefix: str, keep_vars: bool) -> None:
    own = module.__dict__
    for name, parameter in own["_parameters"].items():
        if parameter is not None:
            destination[prefix + name] = parameter if keep_vars else new(parameter._data)
    transient = own["_non_persistent_buffers_set"]
    for name, array in own["_buffers"].items():
        if array is not None and name not in transient:
            destination[prefix + name] = buffer_tensor(own, name)


def load_own(
    module: Any,
    state_dict: Mapping[str, Any],
    prefix: str,
    local_metadata: Mapping[str, Any],
    strict: bool,
    missing_keys: list[str],
    unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:
    own, assign = module.__dict__, local_metadata.get("assign_to_params_buffers", False)
    parameters, buffers, transient = own["_parameters"], own["_buffers"], own["_non_persistent_buffers_set"]
    names = [name for name in (*parameters, *buffers) if name not in transient]
    for name in names:
        parameter = parameters.get(name)
        target = buffers.get(name) if parameter is None else parameter._data
        if target is None:
            continue
        key = prefix + name
        if key not in state_dict:
            if strict is not None:
                missing_keys.append(key)
            continue
        value = state_dict[key]
        array = value._data if isinstance(value, NumPyTensor) else value
        if not isinstance(array, np.ndarray | np.generic | float | int):
            error_msgs.append(
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from '
                f"checkpoint but received {type(value)}"
            )
            continue
        array = np.asarray(array)
        if not target.ndim and array.shape == (1,):  # files of PyTorch before 0.4
            array = array.reshape(())
        if array.shape != target.shape:
            error_msgs.append(
                f"size mismatch for {key}: copying a param with shape {Size(array.shape)} from checkpoint, "
                f"the shape in current model is {Size(target.shape)}."
            )
            continue
        if parameter is None:
            if assign:
                set_buffer(own, name, value)
            else:
                target[...] = array
        elif assign:
            parameter._data, parameter._memory = array, None
        else:
            target[...] = array
            parameter.written()
    if strict:
        known = {prefix + name for name in names}
        for key in state_dict:
            if key.startswith(prefix) and key not in known:
                name, _, rest = key[len(prefix) :].partition(".")
                if (not rest and name not in own["_modules"]) or (rest and name not in own["_modules"]):
                    unexpected_keys.append(key)
