"""What a module's state is, as a script reads and writes it: tensors that share memory with the module."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn.parameter import Unsized, buffer_that_waits, is_lazy

__all__ = ["IncompatibleKeys", "buffer_tensor", "load", "load_own", "save_own", "set_buffer", "state_of"]

# The key of what `get_extra_state` gives.
_EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    def __str__(self) -> str:
        return repr(self)


def buffer_tensor(own: dict[str, Any], name: str) -> Tensor | None:
    """The buffer `name` of a module, of whose attributes `own` are, as a tensor: the same each time."""
    array = own["_buffers"][name]
    if array is None:
        return None
    if isinstance(array, Unsized):
        return buffer_that_waits(own, name)
    tensors = own.setdefault("_buffer_tensors", {})
    known = tensors.get(name)
    if known is None or known._data is not array:
        known = tensors[name] = new(array)
    return known


def set_buffer(own: dict[str, Any], name: str, value: Any) -> None:
    """Let the buffer be this tensor; one that was recorded keeps its history."""
    if isinstance(value, Tensor):
        own["_buffers"][name] = value.data._data if is_lazy(value) else value._data
        own.setdefault("_buffer_tensors", {})[name] = value
    elif isinstance(value, NumPyTensor):
        own["_buffers"][name] = value._data
    else:
        own["_buffers"][name] = None if value is None else np.asarray(value)


def _hooks_of(module: Any, kind: str) -> list[Any]:
    return list(module.__dict__.get(kind, {}).values())


def state_of(module: Any, destination: Any, prefix: str, keep_vars: bool) -> Any:
    """Put the state of a module and those below it into `destination`, and give that."""
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    metadata = {"version": module._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = metadata
    for hook in _hooks_of(module, "_state_dict_pre_hooks"):
        hook(module, prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    for hook in _hooks_of(module, "_state_dict_hooks"):
        changed = hook(module, destination, prefix, metadata)
        if changed is not None:
            destination = changed
    return destination


def save_own(module: Any, destination: Any, prefix: str, keep_vars: bool) -> None:
    """Put what is the module's own into `destination`."""
    own = module.__dict__
    for name, parameter in own["_parameters"].items():
        if parameter is not None:
            destination[prefix + name] = parameter if keep_vars or is_lazy(parameter) else parameter.detach()
    transient = own["_non_persistent_buffers_set"]
    for name, array in own["_buffers"].items():
        if array is not None and name not in transient:
            tensor = buffer_tensor(own, name)
            is_kept = keep_vars or is_lazy(tensor)
            destination[prefix + name] = tensor if is_kept else tensor.detach()  # type: ignore[union-attr]
    if hasattr(type(module), "get_extra_state"):
        destination[prefix + _EXTRA] = module.get_extra_state()


def load(module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Copy values into the memory of parameters and buffers, or let them be the values themselves."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    state, metadata = OrderedDict(state_dict), getattr(state_dict, "_metadata", None)
    if metadata is not None:
        state._metadata = metadata  # type: ignore[attr-defined]
    _load_below(module, "", state, metadata, assign, (missing, unexpected, errors))
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


def _load_below(module: Any, prefix: str, state: Any, metadata: Any, assign: bool, found: Any) -> None:
    missing, unexpected, errors = found
    local = dict({} if metadata is None else metadata.get(prefix[:-1], {}))
    if assign:
        local["assign_to_params_buffers"] = True
    module._load_from_state_dict(state, prefix, local, True, missing, unexpected, errors)
    for name, child in module._modules.items():
        if child is not None:
            below = f"{prefix}{name}."
            inner = OrderedDict((key, value) for key, value in state.items() if key.startswith(below))
            _load_below(child, below, inner, metadata, assign, found)
    for hook in _hooks_of(module, "_load_state_dict_post_hooks"):
        if hook(module, IncompatibleKeys(missing, unexpected)) is not None:
            raise AssertionError(
                "hooks of register_load_state_dict_post_hook return nothing: change incompatible_keys in place"
            )


def load_own(
    module: Any,
    state_dict: Any,
    prefix: str,
    local_metadata: Mapping[str, Any],
    strict: bool,
    missing_keys: list[str],
    unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:
    """Take from `state_dict` what is the module's own."""
    for hook in _hooks_of(module, "_load_state_dict_pre_hooks"):
        hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
    own, assign = module.__dict__, local_metadata.get("assign_to_params_buffers", False)
    transient = own["_non_persistent_buffers_set"]
    entries = {**own["_parameters"], **{name: a for name, a in own["_buffers"].items() if name not in transient}}
    entries = {name: entry for name, entry in entries.items() if entry is not None}
    for name, entry in entries.items():
        key = prefix + name
        if key in state_dict:
            problem = _take(own, name, entry, state_dict[key], assign, key)
            error_msgs.extend([] if problem is None else [problem])
        elif strict:
            missing_keys.append(key)
    has_extra = hasattr(type(module), "set_extra_state")
    if has_extra and prefix + _EXTRA in state_dict:
        module.set_extra_state(state_dict[prefix + _EXTRA])
    elif has_extra and strict:
        missing_keys.append(prefix + _EXTRA)
    for key in state_dict if strict else ():
        if not key.startswith(prefix) or (has_extra and key == prefix + _EXTRA):
            continue
        name, dot, _ = key[len(prefix) :].partition(".")
        if name not in (own["_modules"] if dot else entries):
            unexpected_keys.append(key)


def _take(own: dict[str, Any], name: str, entry: Any, value: Any, assign: bool, key: str) -> str | None:
    """Let a parameter or a buffer have this value; what is wrong with it, if anything."""
    if is_lazy(value) and (is_lazy(entry) or isinstance(entry, Unsized)):
        return None
    is_parameter = isinstance(entry, Tensor)
    if is_lazy(value):
        return value.shape  # which raises
    target = entry._data if is_parameter else entry
    array = value._data if isinstance(value, NumPyTensor) else value
    if not isinstance(array, np.ndarray | np.generic):
        return (
            f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint '
            f"but received {type(value)}"
        )
    array = np.asarray(array)
    if not target.ndim and array.shape == (1,):  # files of PyTorch before 0.4
        array = array.reshape(())
    if array.shape != target.shape:
        return (
            f"size mismatch for {key}: copying a param with shape {Size(array.shape)} from checkpoint, "
            f"the shape in current model is {Size(target.shape)}."
        )
    if assign and is_parameter:
        entry._data, entry._memory = array, None
    elif assign:
        set_buffer(own, name, value if isinstance(value, NumPyTensor) and array is value._data else new(array))
    else:
        target[...] = array
        tensor: Any = entry if is_parameter else buffer_tensor(own, name)
        tensor.written()
    return None
