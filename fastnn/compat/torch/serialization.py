"""torch.serialization: `torch.save` and `torch.load`, PyTorch's files without PyTorch."""

import io
import os
import pickle
from typing import IO, Any

from numpy.typing import NDArray

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.notes import note
from fastnn.compat.torch._device import check_device
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.nn.parameter import Parameter
from fastnn.training._atomic import atomic_write
from fastnn.training._pth import read_pth, write_pth

__all__ = ["load", "save"]

# What begins a file of objects that PyTorch's format has no place for, such as a whole model.
_OWN = b"fastnn: objects, pickled by Python\n"


def save(
    obj: Any,
    f: str | os.PathLike[str] | IO[bytes],
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write a state_dict, a checkpoint of dictionaries, lists, numbers and texts, or a tensor, which PyTorch can read.

    Other objects, such as a whole model, are pickled by Python, and only fastnn reads the file.
    """
    try:
        write_pth(obj, f, array_of=_array_of)
    except TypeError as error:
        note(f"torch.save: only fastnn can read this file, for it holds more than tensors and numbers ({error})")
        if isinstance(f, str | os.PathLike):
            with atomic_write(f) as opened:
                _pickle(obj, opened)
        else:
            _pickle(obj, f)


def _pickle(obj: Any, file: IO[bytes]) -> None:
    content = io.BytesIO()
    pickle.dump(obj, content, pickle.HIGHEST_PROTOCOL)  # whole, before anything is written
    file.write(_OWN)
    file.write(content.getvalue())


def _array_of(value: Any) -> tuple[NDArray, bool] | None:
    return (value._data, isinstance(value, Parameter)) if isinstance(value, NumPyTensor) else None


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """What `torch.save` wrote here, or in PyTorch, in both of its formats.

    Tensors are read wherever they were kept, bfloat16 as float32. Whole models that PyTorch wrote are not read: save
    their state_dict. Those that were saved here are with weights_only=False, which runs what is in the file: only for
    files that you trust.

    Raises:
        FileNotFoundError: there is no such file.
        fastnn.FileError: it is damaged, or holds something else.
        pickle.UnpicklingError: it holds objects, and not weights_only=False.
    """
    if map_location is not None and not callable(map_location) and not isinstance(map_location, dict):
        check_device(map_location)
    if not isinstance(f, str | os.PathLike):
        start = f.read(len(_OWN))
        if start == _OWN:
            return _unpickle(f, weights_only)
        f.seek(-len(start), os.SEEK_CUR)
    elif os.path.isfile(f):
        with open(f, "rb") as file:
            if file.read(len(_OWN)) == _OWN:
                return _unpickle(file, weights_only)
    return read_pth(f, tensor=new, parameter=_parameter)


def _unpickle(file: IO[bytes], weights_only: bool | None) -> Any:
    if weights_only is not False:
        raise pickle.UnpicklingError(
            "torch.load: the file holds objects, not weights only. If you trust it, since reading it runs what is in "
            "it: torch.load(path, weights_only=False)"
        )
    return pickle.load(file)


def _parameter(tensor: Any, requires_grad: bool) -> Any:
    from fastnn.compat.torch.nn import Parameter  # which imports much

    return Parameter(tensor, requires_grad)


_TRUST = "torch.load(path, weights_only=False) reads objects that torch.save wrote here"
__getattr__ = missing(
    __name__,
    {
        "add_safe_globals": _TRUST,
        "safe_globals": _TRUST,
        "get_unsafe_globals_in_checkpoint": _TRUST,
    },
)
