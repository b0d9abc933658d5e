"""The names that a pickle may use, and what each of them means here.

This table is the whole of it: a name that is not here is an error that says so. What the functions do is done by this
package, with arguments that have been checked; nothing of PyTorch or of the file is called.
"""

import argparse
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._pth import numpy_objects
from fastnn.training._pth.errors import Budget, Unreadable
from fastnn.training._pth.machine import DICT_ITEM, KeyLimit, StandIn
from fastnn.training._pth.makers import Makers
from fastnn.training._pth.tensors import DTYPES, STORAGES, Storage, Storages, StorageType, strided

__all__ = ["Context", "Identity"]

Identity = Callable[[Any], Storage]

_TENSOR, _CONTAINER = 800, 240  # bytes of memory
_SAVE_WEIGHTS = "save the weights alone: torch.save(model.state_dict(), path)"


@dataclass(frozen=True, slots=True, eq=False)
class _Function(StandIn):
    """Takes the place of a function or a class that is called."""

    name: str
    call: "Callable[[Context, tuple[Any, ...], str], Any]"


@dataclass(frozen=True, slots=True, eq=False)
class _DType(StandIn):
    """A number type."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class _Name(StandIn):
    """Takes the place of a class that other calls are told about."""

    name: str


class Context:
    """What a pickle of PyTorch can name, for one run of it.

    Args:
        storages: the numbers of storages; None to look at nothing but which storages there are.
        storage_of: the storage that a persistent id means.
        make: what is made of arrays and names.
        budget: memory for objects.
    """

    def __init__(
        self,
        storages: Storages | None,
        storage_of: Identity,
        make: Makers,
        budget: Budget,
    ) -> None:
        self.budget, self.keys = budget, KeyLimit()
        self.storages, self._storage_of = storages, storage_of
        self.make = make if storages is not None else Makers()
        self.arrays = numpy_objects.PendingArrays(budget)
        # By their ids, which hold as long as they are here.
        self.tensors: dict[int, Any] = {}
        self.dtypes: dict[int, tuple[Any, str]] = {}

    # ---- what a machine asks -----------------------------------------------------------------------------------------
    def find(self, name: str) -> Any:
        found = _TABLE.get(name)
        if found is None:
            raise Unreadable(_unknown(name))
        if not isinstance(found, _DType):
            return found
        self.budget.take(_CONTAINER)
        made = self.make.dtype(found.name)
        self.dtypes[id(made)] = made, found.name
        return made

    def call(self, function: Any, arguments: tuple[Any, ...], label: Any) -> Any:
        if not isinstance(function, _Function):
            raise Unreadable("refused, its pickle calls what is no function")
        return function.call(self, arguments, _shown(label))

    def build(self, target: Any, state: Any) -> None:
        if isinstance(target, numpy_objects.DTypeStandIn):
            target.set_state(state)
        elif self.arrays.is_pending(target):
            self.arrays.fill(target, state)
        elif type(target) in (OrderedDict, argparse.Namespace):
            self._set_attributes(target, state)
        else:
            raise Unreadable(f"refused, its pickle sets attributes of a {type(target).__name__}")

    def _set_attributes(self, target: Any, state: Any) -> None:
        if not isinstance(state, dict) or not all(type(name) is str for name in state):
            raise Unreadable(f"damaged, the attributes of a {type(target).__name__} have no names")
        for name in state:
            # It would hide a method, and `items` would not be what it is.
            if hasattr(type(target), name) or name.startswith("__"):
                raise Unreadable(f"refused, its pickle sets the attribute {name[:80]!r} of a {type(target).__name__}")
        self.budget.take(DICT_ITEM * len(state))
        vars(target).update(state)

    def persistent(self, identity: Any) -> Storage:
        self.budget.take(_CONTAINER)
        return self._storage_of(identity)


def _shown(label: Any) -> str:
    """How messages call a tensor that will stand under the key `label`."""
    return f"its tensor {label[:80]!r}" if type(label) is str else "a tensor in it"


def _unknown(name: str) -> str:
    shown = name[:120] if name.isprintable() else repr(name[:120])
    what = f"it holds an object of {shown}, which is not read: only tensors, numbers, texts and containers are"
    if name.startswith(("torch._utils._rebuild_", "torch._tensor.")):
        return f"{what}. Save tensor.to_dense(), tensor.dequantize() or tensor.cpu() of such a tensor"
    if name.startswith(("torch.jit", "__torch__")):
        return f"{what}. It is a program of TorchScript: {_SAVE_WEIGHTS}"
    return f"{what}. Load it where PyTorch is installed, and {_SAVE_WEIGHTS}"


# ---- tensors -------------------------------------------------------------------------------------------------------
_ADVICE = {"complex": "torch.view_as_real(tensor)", "q": "tensor.dequantize()"}
_OTHER_ADVICE = "tensor.float()"


def _rebuilt(context: Context, arguments: tuple[Any, ...], dtype: str, label: str) -> Any:
    storage, offset, shape, strides = arguments[:4]
    requires_grad = len(arguments) > 4 and arguments[4] is True
    context.budget.take(_TENSOR + (16 * len(shape) if type(shape) in (tuple, list) else 0))
    if dtype not in DTYPES:
        advice = next((words for start, words in _ADVICE.items() if dtype.startswith(start)), _OTHER_ADVICE)
        raise Unreadable(f"{label} has numbers of the type {dtype[:40]!r}, which are not read: save {advice}")
    if context.storages is None:
        array = np.empty(0)
    else:
        array = strided(context.storages.numbers(storage, dtype), offset, shape, strides, label)
    tensor = context.make.tensor(array, requires_grad)
    context.tensors[id(tensor)] = tensor
    return tensor


def _check_plain(arguments: tuple[Any, ...], least: int, label: str) -> Storage:
    if len(arguments) < least or not isinstance(arguments[0], Storage):
        raise Unreadable(f"damaged, {label} has no storage")
    return arguments[0]


def _check_metadata(metadata: Any, label: str) -> None:
    if metadata is not None and (type(metadata) is not dict or not all(flag is False for flag in metadata.values())):
        raise Unreadable(f"{label} is a conjugated or negated view, which is not read: save tensor.resolve_neg()")


def _tensor_v1(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
    """torch._utils._rebuild_tensor(storage, offset, size, stride)."""
    storage = _check_plain(arguments, 4, label)
    return _rebuilt(context, arguments, storage.dtype, label)


def _tensor_v2(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
    """torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata=None)."""
    storage = _check_plain(arguments, 6, label)
    _check_metadata(arguments[6] if len(arguments) > 6 else None, label)
    return _rebuilt(context, arguments, storage.dtype, label)


def _tensor_v3(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
    """torch._utils._rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata=None)."""
    _check_plain(arguments, 7, label)
    _, dtype = context.dtypes.get(id(arguments[6]), (None, None))
    if dtype is None:
        raise Unreadable(f"damaged, {label} has no type")
    _check_metadata(arguments[7] if len(arguments) > 7 else None, label)
    return _rebuilt(context, arguments, dtype.removeprefix("torch."), label)


def _parameter(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
    """torch._utils._rebuild_parameter(data, requires_grad, hooks) and _rebuild_parameter_with_state(..., state)."""
    if len(arguments) < 2 or id(arguments[0]) not in context.tensors or type(arguments[1]) is not bool:
        raise Unreadable(f"damaged, {label} is a parameter without data")
    context.budget.take(_TENSOR)
    return context.make.parameter(arguments[0], arguments[1])


def _of_class(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
    """torch._tensor._rebuild_from_type_v2(function, class, arguments, state), where state is a tensor's attributes."""
    functions = (_tensor_v1, _tensor_v2, _tensor_v3, _parameter)
    if len(arguments) != 4 or not isinstance(arguments[0], _Function) or type(arguments[2]) is not tuple:
        raise Unreadable(f"damaged, {label} is of no class")
    if arguments[0].call not in functions:
        raise Unreadable(f"{label} is of a class that is not read: save tensor.as_subclass(torch.Tensor)")
    return arguments[0].call(context, arguments[2], label)


def _size(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
    """torch.Size(sides)."""
    sides: Any = arguments[0] if len(arguments) == 1 else None
    if type(sides) not in (list, tuple) or not all(type(side) is int for side in sides):
        raise Unreadable("damaged, a torch.Size has no sides")
    context.budget.take(_CONTAINER + 8 * len(sides))
    return context.make.size(tuple(sides))


def _device(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
    """torch.device(kind, index)."""
    kind, index = (*arguments, None, None)[:2]
    if type(kind) is not str or len(kind) > 40 or not (index is None or (type(index) is int and 0 <= index < 1 << 16)):
        raise Unreadable("damaged, a torch.device has no name")
    context.budget.take(100)
    return context.make.device(kind if index is None else f"{kind}:{index}")


# ---- Python --------------------------------------------------------------------------------------------------------
def _encoded(context: Context, arguments: tuple[Any, ...], label: str) -> bytes:
    """_codecs.encode(text, "latin1"): how protocols up to 2 write bytes."""
    if len(arguments) != 2 or not all(type(argument) is str for argument in arguments):
        raise Unreadable("damaged, bytes of it are no text in Latin-1")
    if arguments[1] not in ("latin1", "latin-1"):
        raise Unreadable("damaged, bytes of it are no text in Latin-1")
    context.budget.take(_CONTAINER + len(arguments[0]))
    try:
        return arguments[0].encode("latin-1")
    except UnicodeEncodeError:
        raise Unreadable("damaged, bytes of it are no text in Latin-1") from None


def _bytes(context: Context, arguments: tuple[Any, ...], label: str) -> bytes:
    """bytes(): protocols up to 2 write empty ones so."""
    if arguments:
        raise Unreadable("damaged, bytes of it are made of something")
    return b""


def _bytearray(context: Context, arguments: tuple[Any, ...], label: str) -> bytearray:
    """bytearray(), bytearray(content), bytearray(text, "latin-1")."""
    if not arguments:
        return bytearray()
    if len(arguments) == 1 and type(arguments[0]) is bytes:
        context.budget.take(_CONTAINER + len(arguments[0]))
        return bytearray(arguments[0])
    return bytearray(_encoded(context, arguments, label))


def _complex(context: Context, arguments: tuple[Any, ...], label: str) -> complex:
    if len(arguments) != 2 or not all(type(part) is float for part in arguments):
        raise Unreadable("damaged, a complex number has no parts")
    context.budget.take(40)
    return complex(*arguments)


def _items(context: Context, arguments: tuple[Any, ...], kind: str) -> list[Any]:
    items = arguments[0] if len(arguments) == 1 else []
    if len(arguments) > 1 or type(items) is not list:
        raise Unreadable(f"damaged, a {kind} is not made of a list")
    context.budget.take(_CONTAINER + DICT_ITEM * len(items))
    return items


def _set_of(make: type) -> Callable[[Context, tuple[Any, ...], str], Any]:
    def call(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
        items = _items(context, arguments, make.__name__)
        context.keys.check(items)
        return make(items)

    return call


def _ordered_dict(context: Context, arguments: tuple[Any, ...], label: str) -> OrderedDict[Any, Any]:
    """OrderedDict(), or with a list of pairs, as Python 2 wrote it."""
    pairs = _items(context, arguments, "OrderedDict")
    if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
        raise Unreadable("damaged, an OrderedDict is not made of pairs")
    context.budget.take(DICT_ITEM * len(pairs))  # its own list of keys
    context.keys.check([pair[0] for pair in pairs])
    return OrderedDict(pairs)


_FACTORIES = (bool, bytes, dict, float, int, list, set, str, tuple)


def _default_dict(context: Context, arguments: tuple[Any, ...], label: str) -> defaultdict[Any, Any]:
    """defaultdict(factory), whose factory is one of Python's own plain types, or None."""
    factory = arguments[0] if len(arguments) == 1 else None
    if len(arguments) > 1 or not (factory is None or isinstance(factory, _Function)):
        raise Unreadable("refused, a defaultdict is made of something")
    made = None if factory is None else _FACTORY_OF.get(factory.name)
    if factory is not None and made is None:
        raise Unreadable(f"refused, a defaultdict makes values by {factory.name}")
    context.budget.take(_CONTAINER)
    return defaultdict(made)


def _counter(context: Context, arguments: tuple[Any, ...], label: str) -> Counter[Any]:
    counts = arguments[0] if len(arguments) == 1 else {}
    if len(arguments) > 1 or type(counts) is not dict:
        raise Unreadable("damaged, a Counter is not made of a dictionary")
    context.budget.take(_CONTAINER + DICT_ITEM * len(counts))
    counter: Counter[Any] = Counter()
    dict.update(counter, counts)
    return counter


def _namespace(context: Context, arguments: tuple[Any, ...], label: str) -> argparse.Namespace:
    if arguments:
        raise Unreadable("damaged, a Namespace is made of something")
    context.budget.take(_CONTAINER)
    return argparse.Namespace()


def _reconstructed(context: Context, arguments: tuple[Any, ...], label: str) -> argparse.Namespace:
    """copyreg._reconstructor(class, object, None): how protocols 0 and 1 make an object."""
    if len(arguments) != 3 or arguments[0] is not _NAMESPACE or arguments[1] is not _OBJECT or arguments[2] is not None:
        raise Unreadable("refused, its pickle makes an object of a class")
    return _namespace(context, (), label)


def _plain(make: type) -> Callable[[Context, tuple[Any, ...], str], Any]:
    """A plain type, which is named for a defaultdict and not called."""

    def call(context: Context, arguments: tuple[Any, ...], label: str) -> Any:
        raise Unreadable(f"refused, its pickle calls {make.__name__}")

    return call


# ---- NumPy ---------------------------------------------------------------------------------------------------------
def _numpy_array(context: Context, arguments: tuple[Any, ...], label: str) -> NDArray:
    return context.arrays.make(arguments)


def _numpy_dtype(context: Context, arguments: tuple[Any, ...], label: str) -> StandIn:
    context.budget.take(_CONTAINER)
    return numpy_objects.DTypeStandIn(arguments)


def _numpy_scalar(context: Context, arguments: tuple[Any, ...], label: str) -> np.generic:
    context.budget.take(40)
    return numpy_objects.scalar(arguments)


def _numpy_frombuffer(context: Context, arguments: tuple[Any, ...], label: str) -> NDArray:
    return numpy_objects.frombuffer(arguments, context.budget)


# ---- the table -----------------------------------------------------------------------------------------------------
_OBJECT = _Name("object")
_NAMESPACE = _Function("argparse.Namespace", _namespace)
_BUILTINS: dict[str, Callable[[Context, tuple[Any, ...], str], Any]] = {
    "set": _set_of(set),
    "frozenset": _set_of(frozenset),
    "bytearray": _bytearray,
    "bytes": _bytes,
    "complex": _complex,
} | {make.__name__: _plain(make) for make in (bool, dict, float, int, list, str, tuple)}
_FUNCTIONS: dict[str, Callable[[Context, tuple[Any, ...], str], Any]] = {
    "torch._utils._rebuild_tensor": _tensor_v1,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _of_class,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _default_dict,
    "collections.Counter": _counter,
    "_codecs.encode": _encoded,
    "copyreg._reconstructor": _reconstructed,
    "copy_reg._reconstructor": _reconstructed,
    "numpy.dtype": _numpy_dtype,
    "numpy.core.multiarray._reconstruct": _numpy_array,
    "numpy._core.multiarray._reconstruct": _numpy_array,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy._core.multiarray.scalar": _numpy_scalar,
    "numpy.core.numeric._frombuffer": _numpy_frombuffer,
    "numpy._core.numeric._frombuffer": _numpy_frombuffer,
}
_TABLE: dict[str, Any] = {
    **{name: _Function(name, call) for name, call in _FUNCTIONS.items()},
    **{f"{module}.{name}": _Function(f"{module}.{name}", call) for name, call in _BUILTINS.items()
       for module in ("builtins", "__builtin__")},
    **{f"{module}.{name}": StorageType(dtype) for name, dtype in STORAGES.items()
       for module in ("torch", "torch.cuda", "torch.storage")},
    **{f"torch.{dtype}": _DType(f"torch.{dtype}") for dtype in (*DTYPES, "complex32", "complex64", "complex128")},
    "argparse.Namespace": _NAMESPACE,
    "builtins.object": _OBJECT,
    "__builtin__.object": _OBJECT,
    "numpy.ndarray": numpy_objects.ARRAY_CLASS,
    **{name: _Name(name) for name in ("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter",
                                      "torch.nn.parameter.Buffer")},
}  # fmt: skip
_FACTORY_OF = {f"{module}.{make.__name__}": make for make in _FACTORIES for module in ("builtins", "__builtin__")}
