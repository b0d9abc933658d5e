"""The weights of a network in PyTorch's files."""

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._pth.pickling import is_written
from fastnn.training._pth.reading import is_pth, read_pth
from fastnn.training._pth.writing import write_pth
from fastnn.training._safetensors import CheckpointError

__all__ = ["PTH_SUFFIXES", "is_file_of_pytorch", "read_state_dict", "write_state_dict"]

PTH_SUFFIXES = (".pth", ".pt")
# Where common scripts put a state_dict, in the order in which they are looked at.
_PLACES = ("state_dict", "model_state_dict", "model", "net", "weights")
# PyTorch keeps attributes of a state_dict, and does not look at this one.
_METADATA = "_fastnn_metadata"
_OF_DATA_PARALLEL = "module."
_SIZE_OF_START = 300


def is_file_of_pytorch(path: str | os.PathLike[str]) -> bool:
    """Whether a file is to be read as one of torch.save: by its first bytes, or its name if they say nothing."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_SIZE_OF_START)
    # A safetensors file under another name has its header behind eight bytes.
    return is_pth(start) or (path.suffix.lower() in PTH_SUFFIXES and start[8:9] != b"{")


def read_state_dict(
    path: str | os.PathLike[str], names: Iterable[str] = ()
) -> tuple[OrderedDict[str, NDArray], dict[str, str]]:
    """The arrays by name, and the texts that `write_state_dict` has put beside them.

    The file holds a state_dict, or a dictionary with one under a name that scripts commonly use. `module.`, which
    DataParallel puts before every name, is taken off if all names have it, unless all `names` do.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no whole file of torch.save, or holds something else.
    """
    found = _state_dict_in(read_pth(path, widen=True), path)
    metadata = getattr(found, _METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for pair in metadata.items() for text in pair):
        raise CheckpointError("damaged, its metadata are not texts", path)
    prefixed = found and all(key.startswith(_OF_DATA_PARALLEL) for key in found)
    names = list(names)
    if prefixed and not (names and all(name.startswith(_OF_DATA_PARALLEL) for name in names)):
        return OrderedDict((key.removeprefix(_OF_DATA_PARALLEL), array) for key, array in found.items()), metadata
    return OrderedDict(found), metadata


def _state_dict_in(content: Any, path: str | os.PathLike[str]) -> dict[str, NDArray]:
    if not isinstance(content, dict):
        raise CheckpointError(f"it holds a {type(content).__name__} and no state_dict: save model.state_dict()", path)
    if (problem := _problem(content)) is None:
        return content
    for place in _PLACES:
        if isinstance(content.get(place), dict):
            if (inner := _problem(content[place])) is not None:
                raise CheckpointError(f"its {place!r} is no state_dict: {inner}", path)
            return content[place]
    raise CheckpointError(f"it holds no state_dict: {problem}, and there is none under {', '.join(_PLACES)}", path)


def _problem(content: dict[Any, Any]) -> str | None:
    """Why a dictionary is no state_dict, which has names of tensors and nothing else; None if it is one."""
    for key, value in content.items():
        shown = repr(key[:80]) if isinstance(key, str) else f"a key of the type {type(key).__name__}"
        if not isinstance(key, str) or not isinstance(value, np.ndarray):
            return f"{shown} is a {type(value).__name__} and no tensor" if isinstance(key, str) else f"it has {shown}"
    return None


def write_state_dict(path: str | os.PathLike[str], tensors: Mapping[str, NDArray], metadata: Mapping[str, str]) -> None:
    """Write arrays by name as the state_dict that `torch.load` returns, and texts that PyTorch does not look at.

    Raises:
        TypeError: an array is not of numbers that such a file can hold.
        OSError: the file cannot be written.
    """
    for name, array in tensors.items():
        if not is_written(array.dtype):
            raise TypeError(f"a file of PyTorch cannot hold {name!r}, an array of {array.dtype}")
    state = OrderedDict(tensors)
    if metadata:
        vars(state)[_METADATA] = dict(sorted(metadata.items()))
    write_pth(state, path)
