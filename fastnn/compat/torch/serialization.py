"""torch.serialization: `torch.save` and `torch.load`, PyTorch's files without PyTorch."""

import collections
import copyreg
import io
import os
import pickle
import sys
from types import FunctionType, ModuleType
from typing import IO, Any, ClassVar

import numpy as np

from fastnn._errors import FileError
from fastnn._layout import memory_order, unordered
from fastnn._system import is_in_folder
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.autograd.tensor import _restored
from fastnn.compat.notes import note
from fastnn.compat.torch._device import check_device, device
from fastnn.compat.torch._dtype import DTYPES, dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import new
from fastnn.nn.parameter import Parameter
from fastnn.training._atomic import atomic_write
from fastnn.training._pth import AsDevice, AsDType, AsSize, AsTensor, Makers, read_pth, write_pth

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
    if isinstance(f, str | os.PathLike):
        folder = os.path.dirname(os.fspath(f))
        if folder and not os.path.isdir(folder):
            raise RuntimeError(f"Parent directory {folder} does not exist.")
    try:
        write_pth(obj, f, stands_for=_stands_for, old_format=not _use_new_zipfile_serialization)
    except TypeError as error:
        note(f"torch.save: only fastnn can read this file, for it holds more than tensors and numbers ({error})")
        if isinstance(f, str | os.PathLike):
            with atomic_write(f) as opened:
                _pickle(obj, opened)
        else:
            _pickle(obj, f)


def _stands_for(value: Any) -> Any:
    if isinstance(value, NumPyTensor):
        return AsTensor(value._data, value._requires_grad and value._op is None, isinstance(value, Parameter))
    if isinstance(value, Size):
        return AsSize(tuple(value))
    if isinstance(value, dtype):
        return AsDType(str(value).removeprefix("torch."))
    if isinstance(value, device):
        return AsDevice("cpu")
    return None


def _pickle(obj: Any, file: IO[bytes]) -> None:
    content = io.BytesIO()
    _Pickler(content, pickle.HIGHEST_PROTOCOL).dump(obj)  # whole, before anything is written
    file.write(_OWN)
    file.write(content.getvalue())


class _Pickler(pickle.Pickler):
    """Arrays as their bytes: what NumPy puts into pickles can crash the process when it was changed."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is np.ndarray:
            if obj.dtype.kind not in _KINDS:
                raise TypeError(f"torch.save: an array of dtype {obj.dtype} cannot be saved")
            order = memory_order(obj)
            return _array, (obj.transpose(order).tobytes(), obj.dtype.str, obj.shape, order)
        if isinstance(obj, np.dtype):
            return _numbers_dtype, (obj.str,)
        if isinstance(obj, np.generic):
            return _number, (obj.item(), obj.dtype.str)
        return NotImplemented


_KINDS = "fiub"


def _numbers_dtype(name: str) -> np.dtype:
    found = np.dtype(name) if isinstance(name, str) and len(name) <= 4 else None
    if found is None or found.kind not in _KINDS:
        raise ValueError(f"no dtype of numbers: {str(name)[:20]!r}")
    return found


def _array(content: bytes, dtype: str, shape: tuple[int, ...], order: tuple[int, ...]) -> np.ndarray:
    """The array of this shape whose elements lie so in memory, its axes in this order."""
    if not isinstance(content, bytes):
        raise ValueError("no bytes")
    flat = np.frombuffer(bytearray(content), _numbers_dtype(dtype))
    return unordered(flat.reshape([shape[axis] for axis in order]), order)


def _number(value: Any, dtype: str) -> Any:
    if not isinstance(value, bool | int | float):
        raise ValueError("no number")
    return _numbers_dtype(dtype).type(value)


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
    their state_dict. Those that were saved here are, with weights_only=False, if their classes are the script's own or
    fastnn's; no other function of a pickle is called.

    Raises:
        FileNotFoundError: there is no such file.
        fastnn.FileError: it is damaged, or holds something else.
        pickle.UnpicklingError: it holds objects, and not weights_only=False; or objects of classes that nobody has
            imported.
    """
    if map_location is not None and not callable(map_location) and not isinstance(map_location, dict):
        check_device(map_location)
    if not isinstance(f, str | os.PathLike):
        start = f.read(len(_OWN))
        if start == _OWN:
            return _unpickle(f, str(getattr(f, "name", "")), weights_only)
        f.seek(-len(start), os.SEEK_CUR)
    elif os.path.isfile(f):
        with open(f, "rb") as file:
            if file.read(len(_OWN)) == _OWN:
                return _unpickle(file, os.fspath(f), weights_only)
    return read_pth(f, make=_MAKERS)


def _tensor(array: np.ndarray, requires_grad: bool) -> Any:
    y = new(array)
    y._requires_grad = requires_grad
    return y


def _parameter(tensor: Any, requires_grad: bool) -> Any:
    from fastnn.compat.torch.nn import Parameter  # which imports much

    return Parameter(tensor, requires_grad)


def _dtype(name: str) -> Any:
    return DTYPES.get(name.removeprefix("torch."), name)  # a text, for those that fastnn has no object for


_MAKERS = Makers(_tensor, _parameter, Size, _dtype, device)


# ---- objects ---------------------------------------------------------------------------------------------------------
def _unpickle(file: IO[bytes], name: str, weights_only: bool | None) -> Any:
    if weights_only is not False:
        raise pickle.UnpicklingError(
            "torch.load: the file holds objects, not weights only. If it is yours: torch.load(path, weights_only=False)"
        )
    # From memory: a length that is a lie takes no more of it than the file has.
    content = io.BytesIO(file.read())
    try:
        return _Unpickler(content).load()
    except _Refused:
        raise
    except Exception as error:  # whatever a class makes of a state that is not its own
        raise FileError(f"its objects are damaged ({type(error).__name__}: {error})", name) from error


class _Refused(pickle.UnpicklingError):
    """The file asks for something that does more than calculate."""


_InPython: Any = pickle._Unpickler  # whose steps can be refused
# What is not an object of a class with attributes.
_UNCHANGED = (type, FunctionType, ModuleType, np.ndarray, np.generic, np.dtype)


class _Unpickler(_InPython):
    """Of classes that are there: no function of the file's choice is called, no module imported, no class changed."""

    dispatch: ClassVar = dict(_InPython.dispatch)

    def load_build(self) -> None:
        changed = self.stack[-2]
        if isinstance(changed, _UNCHANGED):
            raise _Refused(f"torch.load: the file asks for a change of {getattr(changed, '__name__', 'an array')}")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build

    def find_class(self, module: str, name: str) -> Any:
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if _is_harmless(found, module):
            return found
        raise _Refused(
            f"torch.load: the file asks for {module}.{name}, which is neither a class of this script nor of fastnn's. "
            "Save model.state_dict(), and load that into a new model"
        )


_HARMLESS = {
    collections.OrderedDict, collections.defaultdict, collections.Counter, collections.deque, complex, set, frozenset,
    bytearray, dict, list, tuple, int, float, bool, str, bytes, range, slice, object,
    copyreg._reconstructor,  # type: ignore[attr-defined]
    _array, _number, _numbers_dtype,
}  # fmt: skip
_CLASSES = ("fastnn.nn.", "fastnn.compat.torch.nn.", "fastnn.compat.torch.optim.", "fastnn.compat.torch._")
_FUNCTIONS = (
    "fastnn.functional.",
    "fastnn.compat.torch.nn._functional_",
    "fastnn.compat.torch.nn.utils._derived",
    *tuple(
        f"fastnn.compat.torch._{name}"
        for name in ("creation", "dtype", "indexing", "linalg", "of_nn", "pointwise", "reductions", "shapes", "special")
    ),
)


def _is_harmless(found: Any, module: str) -> bool:
    """What calculates, or makes an object that does; never what another module has beside its own."""
    if type(found).__hash__ is not None and found in _HARMLESS:  # of a class, not of what it makes
        return True
    if isinstance(found, type):
        if issubclass(found, np.bool_ | np.integer | np.floating):
            return True
        own = found.__module__ == module
        return own and (module == "__main__" or module.startswith(_CLASSES) or _is_of_the_script(module))
    if isinstance(found, FunctionType):
        is_its_own = found.__module__ == module and "." not in found.__qualname__
        return is_its_own and (module.startswith(_FUNCTIONS) or found is _restored)
    return isinstance(found, dtype)


def _is_of_the_script(module: str) -> bool:
    """Whether a module lies beside the script, not among installed packages."""
    path, main = (getattr(sys.modules.get(name), "__file__", None) for name in (module, "__main__"))
    if path is None or main is None:
        return False
    return is_in_folder(os.path.abspath(path), os.path.dirname(os.path.abspath(main)))


_TRUST = "torch.load(path, weights_only=False) reads objects of your own classes that torch.save wrote here"
__getattr__ = missing(
    __name__,
    {
        "add_safe_globals": _TRUST,
        "safe_globals": _TRUST,
        "get_unsafe_globals_in_checkpoint": _TRUST,
    },
)
