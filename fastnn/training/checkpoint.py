"""Weights and checkpoints as safetensors files, and weights as files of PyTorch.

A checkpoint is one file: the arrays of the whole training state as tensors, everything else as JSON in the file's
metadata, with references to the tensors. Nothing in it can run code. A checksum in the metadata tells a damaged file;
equal states are equal files. Files are written beside their name and renamed when they are complete on disk, so a file
of that name is always whole: the new one or the old one.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, nn
from fastnn._json import parse_json
from fastnn.data.preprocessing import Preprocessing
from fastnn.training._atomic import atomic_write
from fastnn.training._pth import PTH_SUFFIXES, is_file_of_pytorch, read_state_dict, write_state_dict
from fastnn.training._safetensors import CheckpointError, read_tensors, write_tensors

__all__ = [
    "CheckpointError",
    "atomic_write",
    "load_state",
    "load_weights",
    "read_preprocessing",
    "save_state",
    "save_weights",
]

# Version of the layout of `save_state`; a file of another version is refused.
_FORMAT = "1"
# Keys of the metadata. Others that begin like them are kept for later versions.
_RESERVED = "fastnn"
_KIND, _VERSION, _STATE, _PREPROCESSING = "fastnn_kind", "fastnn_format", "fastnn", "fastnn_preprocessing"
# As deep as the states of all courses by far, and less than Python's own limit.
_DEEPEST = 20
# Keys that are numbers stay small enough to have hashes of their own: a file cannot make a slow dictionary.
_LARGEST_KEY = 1 << 60
_MOST_NAMED = 3


# ---- weights ---------------------------------------------------------------------------------------------------------
def save_weights(
    model: nn.Module | Mapping[str, NDArray],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model's state_dict, or a mapping like it, as a safetensors file or as one of PyTorch.

    The suffix of the name decides. `name.pth` and `name.pt` are what `torch.load(path, weights_only=True)` reads, with
    parameters that share memory sharing it there; PyTorch is not needed here. `name.safetensors` is read by PyTorch
    programs too, and has a checksum of its content. Both keep `model.preprocessing` if there is one, and equal weights
    give equal files.

    Args:
        model: the network, or its state_dict.
        path: the file, `name.safetensors`, `name.pth`, `name.pt`, or a name without a suffix for safetensors.
        metadata: texts to keep in the file; their names do not begin with `fastnn`.

    Raises:
        TypeError, ValueError: an argument is something else; the message shows it.
        OSError: the file cannot be written; one that was there stays as it was.

    Example:
        >>> import tempfile
        >>> from fastnn import training
        >>> model = nn.Linear(4, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     training.save_weights(model, f"{folder}/weights.safetensors")
        ...     training.load_weights(f"{folder}/weights.safetensors", nn.Linear(4, 2))
        LoadResult(missing_keys=[], unexpected_keys=[])
    """
    state = _state_of(model, path)
    name = _checked_path("save_weights", path)
    suffix = Path(name).suffix
    if suffix.lower() not in ("", ".safetensors", *PTH_SUFFIXES):
        raise ValueError(
            f"save_weights: path must end in .safetensors, .pth or .pt, the formats that are written. "
            f"Received: {name!r}. Write {Path(name).with_suffix('.safetensors').name!r}"
        )
    texts = _checked_metadata(metadata)
    preprocessing = getattr(model, "preprocessing", None)
    if preprocessing is not None:
        if not isinstance(preprocessing, Preprocessing):
            raise TypeError(
                "save_weights: model.preprocessing must be a data.Preprocessing or None. "
                f"Received: {type(preprocessing).__name__}"
            )
        texts[_PREPROCESSING] = json.dumps(preprocessing.to_dict(), sort_keys=True)
    if suffix.lower() in PTH_SUFFIXES:
        write_state_dict(path, state, texts)
    else:
        write_tensors(path, state, {"format": "pt", **texts})


def load_weights(path: str | os.PathLike[str], model: nn.Module | None = None, strict: bool = True) -> Any:
    """Read weights into `model`, or return their arrays by name if there is no model.

    The file is what `save_weights`, PyTorch or another program wrote as safetensors, a checkpoint of a training, of
    which the weights of the network are taken, or a `.pth` or `.pt` file of `torch.save`; its first bytes tell which.
    `model.preprocessing` is set from the file if the file has one. Floating-point numbers of 16 and 8 bits (float16,
    bfloat16, float8) are returned as float32, which holds all of their values.

    A file of PyTorch is read without PyTorch, in the format of version 1.6 and later and in that before. It holds a
    state_dict, or a dictionary with one under "state_dict", "model_state_dict", "model", "net" or "weights", the first
    of them that is there. If all names begin with `module.`, as those of DataParallel do, that is taken off. Nothing in
    the file is executed: what is no tensor, number, text or container is an error, such as a whole model, of which
    `torch.save(model.state_dict(), path)` saves the weights. Without a model, arrays that share memory in PyTorch share
    it here, and expanded ones are read-only.

    Args:
        path: the file.
        model: the network that gets the weights, or None.
        strict: whether the names must be those of the model.
    Returns:
        What `model.load_state_dict` returns, or an ordered mapping of arrays without a model.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a whole file of weights, or its names are not those of the model.
        ValueError: the model does not fit, see `Module.load_state_dict`. In every case the model is unchanged.
    """
    if isinstance(path, nn.Module):
        raise TypeError("load_weights: path must be the name of a file, and comes first: load_weights(path, model)")
    _checked_path("load_weights", path)
    if model is not None and not isinstance(model, nn.Module):
        raise TypeError(f"load_weights: model must be a Module or None. Received: {_check.shown(model)}")
    weights, preprocessing = _read_weights(path, () if model is None else (key for key, *_ in model._state()))
    if model is None:
        return weights
    if strict:
        _check_names(path, model, weights)
    result = model.load_state_dict(weights, strict)
    if preprocessing is not None:
        model.preprocessing = preprocessing
    return result


def read_preprocessing(path: str | os.PathLike[str]) -> Preprocessing | None:
    """What is done to images before they go into the network of this file of weights, or None if it does not say.

    Raises:
        FileNotFoundError, CheckpointError: as `load_weights`.
    Example:
        >>> import tempfile
        >>> from fastnn import data, training
        >>> model = nn.Linear(4, 2)
        >>> model.preprocessing = data.Preprocessing(mean=(0.5,), std=(0.25,), channels=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     training.save_weights(model, f"{folder}/weights.safetensors")
        ...     training.read_preprocessing(f"{folder}/weights.safetensors") == model.preprocessing
        True
    """
    _checked_path("read_preprocessing", path)
    return _read_weights(path)[1]


def _read_weights(
    path: str | os.PathLike[str], names: Iterable[str] = ()
) -> tuple[OrderedDict[str, NDArray], Preprocessing | None]:
    """Weights and preprocessing of a file; `names` are those that are looked for."""
    of_pytorch = is_file_of_pytorch(path)
    tensors: Mapping[str, NDArray]
    tensors, metadata = read_state_dict(path, names) if of_pytorch else read_tensors(path)
    kind = None if of_pytorch else metadata.get(_KIND)
    if kind is None:
        try:
            preprocessing = parse_json(metadata.get(_PREPROCESSING, "null"))
        except ValueError as error:
            raise CheckpointError(f"its preprocessing is {error}", path) from None
        weights: Any = tensors if of_pytorch else dict(sorted(tensors.items()))
    else:
        state = _state(path, tensors, metadata)
        if "model" not in state:
            raise CheckpointError(f"it holds a {kind} of fastnn without weights: {_some(map(str, state))}", path)
        weights, preprocessing = state["model"], state.get("preprocessing")
        arrays = isinstance(weights, dict) and all(isinstance(array, np.ndarray) for array in weights.values())
        if not arrays or not all(isinstance(name, str) for name in weights):
            raise CheckpointError(f"the model in this {kind} is not a mapping of names to arrays", path)
    widened = OrderedDict((key, _widened(array)) for key, array in weights.items())
    if preprocessing is None:
        return widened, None
    try:
        return widened, Preprocessing.from_dict(preprocessing)
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"its preprocessing makes no sense: {error}", path) from None


def _widened(array: NDArray) -> NDArray:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _check_names(path: str | os.PathLike[str], model: nn.Module, weights: Iterable[str]) -> None:
    """Refuse weights of another network with a short message, whatever their number."""
    wanted = model.state_dict().keys()
    given = {key if key in wanted else key.removeprefix("module.") for key in weights}
    problems = []
    if missing := [key for key in wanted if key not in given]:
        problems.append(f"missing keys: {_some(missing)}")
    if unexpected := sorted(given - wanted):
        problems.append(f"unexpected keys: {_some(unexpected)}")
    if problems:
        raise CheckpointError(f"does not fit {type(model).__name__}: {'; '.join(problems)}", path)


def _some(names: Iterable[str]) -> str:
    """The first few of them, and how many more there are.

    Example:
        >>> _some("abcde"), _some("abc")
        ('a, b, c and 2 more', 'a, b, c')
    """
    names = [name if name.isprintable() and len(name) <= 80 else repr(name[:80]) for name in names]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


# ---- arguments -------------------------------------------------------------------------------------------------------
def _state_of(model: Any, path: Any) -> dict[str, NDArray]:
    if isinstance(model, nn.Module):
        return _tied(model, dict(model.state_dict()))
    if isinstance(model, str | os.PathLike) and isinstance(path, nn.Module | Mapping):
        raise TypeError("save_weights: the arguments are in the wrong order, the model comes first, then the path")
    if not isinstance(model, Mapping):
        raise TypeError(f"save_weights: model must be a Module or its state_dict. Received: {_check.shown(model)}")
    state = {}
    for key, value in model.items():
        if not isinstance(key, str) or key == "__metadata__":
            raise TypeError(f"save_weights: the keys of model must be names of arrays. Received: {_check.shown(key)}")
        state[key] = np.asarray(value)
        if state[key].dtype.kind not in "biufc":
            raise TypeError(
                f"save_weights: model[{key!r}] must be an array of numbers. Received: {_check.shown(value)}"
            )
    return state


def _tied(model: nn.Module, state: dict[str, NDArray]) -> dict[str, NDArray]:
    """A state_dict, which has copies, with one array for what is one in the model."""
    names: dict[int, str] = {}
    for key, _, _, array in model._state():
        name = names.setdefault(id(array), key)
        if name in state and key in state:
            state[key] = state[name]
    return state


def _checked_path(function: str, path: Any) -> str:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise TypeError(f"{function}: path must be the name of a file. Received: {_check.shown(path)}")
    return os.fsdecode(path)


def _checked_metadata(metadata: Any) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(f"save_weights: metadata must be texts by name. Received: {_check.shown(metadata)}")
    for name, text in metadata.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"save_weights: metadata must be texts by name. Received: {name!r}: {_check.shown(text)}")
        if name.startswith(_RESERVED):
            raise ValueError(f"save_weights: names in metadata must not begin with {_RESERVED!r}. Received: {name!r}")
    return dict(metadata)


# ---- state -----------------------------------------------------------------------------------------------------------
def save_state(path: str | os.PathLike[str], state: Mapping[str, Any], kind: str = "checkpoint") -> None:
    """Write nested dicts, lists, tuples, numbers, texts and arrays; `load_state` gives back the same, bit for bit.

    Raises:
        TypeError, ValueError: the state holds something else, or is nested too deep.
        OSError: the file cannot be written; one that was there stays as it was.
    """
    _checked_path("save_state", path)
    tensors: dict[str, NDArray] = {}
    text = json.dumps(_pack(state, "", tensors, 0))
    parse_json(text)  # what could not be read is not written
    write_tensors(path, tensors, {"format": "pt", _VERSION: _FORMAT, _KIND: kind, _STATE: text})


def load_state(path: str | os.PathLike[str], kind: str = "checkpoint") -> dict[str, Any]:
    """What `save_state` wrote: dicts with texts and integers as keys, lists, tuples, None, numbers, texts and arrays.

    Which of them stands where is for the caller to check; the file may be of anybody.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or something else.
    """
    _checked_path("load_state", path)
    tensors, metadata = read_tensors(path)
    if metadata.get(_KIND) != kind:
        found = f"a {metadata[_KIND][:80]!r} of fastnn" if _KIND in metadata else "weights"
        raise CheckpointError(f"not a {kind} of fastnn but {found}", path)
    return _state(path, tensors, metadata)


def _state(path: str | os.PathLike[str], tensors: Mapping[str, NDArray], metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get(_VERSION) != _FORMAT:
        raise CheckpointError("written by a fastnn with another format of checkpoints", path)
    left = dict(tensors)
    try:
        state = _unpack(parse_json(metadata.get(_STATE, "")), left)
    except ValueError as error:
        raise CheckpointError(f"damaged: {error}", path) from None
    if not isinstance(state, dict):
        raise CheckpointError("damaged: its state is not a mapping", path)
    if left:
        raise CheckpointError(f"damaged: nothing refers to {_some(left)}", path)
    return state


def _pack(value: Any, path: str, tensors: dict[str, NDArray], depth: int) -> Any:
    """`value` as JSON; arrays go into `tensors`, under the path by which they are reached."""
    if depth > _DEEPEST:
        raise ValueError(f"a checkpoint cannot hold what is nested more than {_DEEPEST} deep: {path[:80]}")
    if isinstance(value, np.ndarray):
        name = path
        while name in tensors or name == "__metadata__":  # {"a": {"b": x}, "a.b": y} has one path for two
            name += "'"
        tensors[name] = value
        return {"$": "tensor", "name": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        for key in value:
            if not _is_key(key):
                raise TypeError(f"a checkpoint cannot hold the key {_check.shown(key)} in {path}")
        items = [
            [key, _pack(item, f"{path}.{key}" if path else str(key), tensors, depth + 1)] for key, item in value.items()
        ]
        if all(isinstance(key, str) and key != "$" for key, _ in items):
            return dict(items)
        # JSON has no keys but texts; an optimiser's state is keyed by numbers.
        return {"$": "map", "items": items}
    if isinstance(value, list | tuple):
        packed = [_pack(item, f"{path}.{index}", tensors, depth + 1) for index, item in enumerate(value)]
        return packed if isinstance(value, list) else {"$": "tuple", "items": packed}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint cannot hold {path}, a {type(value).__name__}")


def _is_key(key: Any) -> bool:
    return isinstance(key, str) or (type(key) is int and abs(key) < _LARGEST_KEY)


def _unpack(value: Any, tensors: dict[str, NDArray]) -> Any:
    """The inverse of `_pack`; takes what is used out of `tensors`.

    Raises:
        ValueError: `_pack` writes nothing like it.
    """
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        return {key: _unpack(item, tensors) for key, item in value.items()}
    form = value["$"]
    if form == "tensor" and value.keys() == {"$", "name"} and isinstance(value["name"], str):
        if value["name"] not in tensors:
            raise ValueError(f"the tensor {value['name'][:80]!r} is missing, or used twice")
        return tensors.pop(value["name"])
    items = value.get("items")
    if form not in ("tuple", "map") or value.keys() != {"$", "items"} or not isinstance(items, list):
        raise ValueError("its state has a form that no checkpoint has")
    if form == "tuple":
        return tuple(_unpack(item, tensors) for item in items)
    if not all(isinstance(pair, list) and len(pair) == 2 and _is_key(pair[0]) for pair in items):
        raise ValueError("its state has keys that no checkpoint has")
    result = {key: _unpack(item, tensors) for key, item in items}
    if len(result) != len(items):
        raise ValueError("its state has a key twice")
    return result
