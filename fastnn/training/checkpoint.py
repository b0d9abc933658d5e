"""Weights and checkpoints as safetensors files.

A checkpoint is one file: the arrays of the whole training state as tensors, everything else as JSON in the file's
metadata, with references to the tensors. Nothing in it can run code. Files are written beside their name and renamed
when they are complete on disk, so a file of that name is always whole: the new one or the old one.
"""

import contextlib
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastnn import nn
from fastnn._errors import FileError

__all__ = ["CheckpointError", "atomic_write", "load_state", "load_weights", "save_state", "save_weights"]

# Version of the layout of `save_state`; a file of another version is refused.
_FORMAT = "1"


class CheckpointError(FileError):
    """A file cannot be read as what it should be, or does not fit the training that it should continue."""


# ---- files -----------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb", **kwargs: Any) -> Iterator[IO[Any]]:
    """A file that takes the name `path` when the block ends without an error, and is on disk by then.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fastnn.training import atomic_write
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(f"{folder}/a.txt", "w") as file:
        ...         _ = file.write("whole")
        ...     Path(folder, "a.txt").read_text()
        'whole'
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with open(descriptor, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's files are private; these are results
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Put the renaming on disk, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, NDArray], metadata: Mapping[str, str]) -> None:
    from safetensors.numpy import save

    # Not np.ascontiguousarray, which would turn a scalar into a vector.
    contiguous = {name: np.array(array, order="C") for name, array in tensors.items()}
    data = save(contiguous, {"format": "pt", **metadata})
    with atomic_write(path) as file:
        file.write(data)


def _read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)}")
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{os.fspath(path)} is not a whole safetensors file: {error}") from None


# ---- weights ---------------------------------------------------------------------------------------------------------
def save_weights(
    model: nn.Module | Mapping[str, NDArray],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model's state_dict, or a mapping like it, as a safetensors file that PyTorch programs read too.

    Args:
        model: the network, or its state_dict.
        path: the file.
        metadata: texts to keep in the file.

    Raises:
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
    state = model.state_dict() if isinstance(model, nn.Module) else model
    _write_tensors(path, state, metadata or {})


def load_weights(path: str | os.PathLike[str], model: nn.Module | None = None, strict: bool = True) -> Any:
    """Read a safetensors file into `model`, or return its arrays by name if there is none.

    Returns:
        What `model.load_state_dict` returns, or an ordered mapping of arrays without a model.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a whole safetensors file.
        ValueError: the model does not fit, see `Module.load_state_dict`. In every case the model is unchanged.
    """
    tensors, _ = _read_tensors(path)
    if model is None:
        return OrderedDict(tensors)
    return model.load_state_dict(tensors, strict)


# ---- state -----------------------------------------------------------------------------------------------------------
def save_state(path: str | os.PathLike[str], state: Mapping[str, Any], kind: str = "checkpoint") -> None:
    """Write nested dicts, lists, tuples, numbers, texts and arrays; `load_state` gives back the same, bit for bit."""
    tensors: dict[str, NDArray] = {}
    skeleton = _pack(state, "", tensors)
    _write_tensors(path, tensors, {"fastnn_format": _FORMAT, "fastnn_kind": kind, "fastnn": json.dumps(skeleton)})


def load_state(path: str | os.PathLike[str], kind: str = "checkpoint") -> dict[str, Any]:
    """What `save_state` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or something else.
    """
    tensors, metadata = _read_tensors(path)
    if metadata.get("fastnn_kind") != kind:
        raise CheckpointError(f"{os.fspath(path)} is a safetensors file, but not a {kind} of fastnn")
    if metadata.get("fastnn_format") != _FORMAT:
        raise CheckpointError(f"{os.fspath(path)} was written by a fastnn with another format of checkpoints")
    try:
        return _unpack(json.loads(metadata["fastnn"]), tensors)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{os.fspath(path)} is damaged: {error}") from None


def _pack(value: Any, path: str, tensors: dict[str, NDArray]) -> Any:
    """`value` as JSON; arrays go into `tensors`, under the path by which they are reached."""
    if isinstance(value, np.ndarray):
        name = path
        while name in tensors or name == "__metadata__":  # {"a": {"b": x}, "a.b": y} has one path for two
            name += "'"
        tensors[name] = value
        return {"$": "tensor", "name": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        items = [[key, _pack(item, f"{path}.{key}" if path else str(key), tensors)] for key, item in value.items()]
        if all(isinstance(key, str) and key != "$" for key, _ in items):
            return dict(items)
        return {
            "$": "map",
            "items": items,
        }  # JSON has no keys but texts; an optimiser's state is keyed by numbers
    if isinstance(value, list | tuple):
        packed = [_pack(item, f"{path}.{index}", tensors) for index, item in enumerate(value)]
        return packed if isinstance(value, list) else {"$": "tuple", "items": packed}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint cannot hold {path}, a {type(value).__name__}")


def _unpack(value: Any, tensors: Mapping[str, NDArray]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    unpackers: dict[str, Callable[[], Any]] = {
        "tensor": lambda: tensors[value["name"]],
        "tuple": lambda: tuple(_unpack(item, tensors) for item in value["items"]),
        "map": lambda: {key: _unpack(item, tensors) for key, item in value["items"]},
    }
    if "$" in value:
        return unpackers[value["$"]]()
    return {key: _unpack(item, tensors) for key, item in value.items()}
