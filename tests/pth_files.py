"""Files as torch.save writes them, made without PyTorch, whole or wrong."""

import argparse
import collections
import io
import math
import pickle
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies

from fastnn.training._pth import read_pth, write_pth

MAGIC = 0x1950A86A20F9469CFC6C
FACTS = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


@dataclass(frozen=True)
class Named:
    """A function or class, by name only."""

    module: str
    name: str

    def __call__(self, *arguments):
        return Call(self, arguments)


@dataclass
class Call:
    """What a function makes of its arguments, and a state that is set afterwards."""

    function: Named
    arguments: tuple
    state: Any = None


@dataclass
class Persistent:
    """What stands outside of the pickle."""

    identity: Any


class _Pickler(pickle._Pickler):
    """Python's own, slow pickler, which also writes names that cannot be imported."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_named(self, named):
        if self.proto >= 4:
            self.save(named.module)
            self.save(named.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(f"c{named.module}\n{named.name}\n".encode())
        self.memoize(named)

    def save_call(self, call):
        self.save(call.function)
        self.save(call.arguments)
        self.write(pickle.REDUCE)
        self.memoize(call)
        if call.state is not None:
            self.save(call.state)
            self.write(pickle.BUILD)

    def save_persistent(self, persistent):
        self.save(persistent.identity)
        self.write(pickle.BINPERSID)

    dispatch[Named], dispatch[Call], dispatch[Persistent] = save_named, save_call, save_persistent


def pickled(value, protocol=2):
    file = io.BytesIO()
    _Pickler(file, protocol).dump(value)
    return file.getvalue()


REBUILD = Named("torch._utils", "_rebuild_tensor_v2")
REBUILD_OLD = Named("torch._utils", "_rebuild_tensor")
REBUILD_TYPED = Named("torch._utils", "_rebuild_tensor_v3")
PARAMETER = Named("torch._utils", "_rebuild_parameter")
HOOKS = Named("collections", "OrderedDict")()


def storage(key, kind, count, *view, location="cpu", module="torch"):
    return Persistent(("storage", Named(module, kind), key, location, count, *view))


def tensor(of, shape, strides=None, offset=0):
    """A tensor of a storage; in rows, unless there are other strides."""
    if strides is None:
        strides = [1] * len(shape)
        for axis in range(len(shape) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
    return REBUILD(of, offset, tuple(shape), tuple(strides), False, HOOKS)


def floats(key, *numbers, shape=None, byteorder="<"):
    """A tensor of float32, and the bytes of its storage by key."""
    content = struct.pack(f"{byteorder}{len(numbers)}f", *numbers)
    return tensor(storage(key, "FloatStorage", len(numbers)), shape or (len(numbers),)), {key: content}


def zipped(members, compressed=False):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, archive.compression)
    return buffer.getvalue()


def new_format(value, storages=None, byteorder="little", folder="archive", protocol=2, compressed=False, **more):
    """The format of PyTorch 1.6 and later. `value` may be the bytes of a pickle."""
    members = {"data.pkl": value if isinstance(value, bytes) else pickled(value, protocol)}
    if byteorder is not None:
        members["byteorder"] = byteorder.encode()
    members |= {f"data/{key}": content for key, content in (storages or {}).items()}
    members["version"] = b"3\n"
    members |= more
    return zipped({f"{folder}/{name}": content for name, content in members.items()}, compressed)


def old_format(value, storages=None, itemsizes=4, protocol=2, facts=FACTS, keys=None):
    """The format before. `itemsizes` is that of all storages or a mapping."""
    storages = storages or {}
    content = pickle.dumps(MAGIC, protocol) + pickle.dumps(1001, protocol) + pickle.dumps(facts, protocol)
    content += value if isinstance(value, bytes) else pickled(value, protocol)
    content += pickle.dumps(sorted(storages) if keys is None else keys, protocol)
    for key in sorted(storages):
        itemsize = itemsizes[key] if isinstance(itemsizes, dict) else itemsizes
        content += struct.pack("<q", len(storages[key]) // itemsize) + storages[key]
    return content


FORMATS = {"zip": new_format, "old": old_format}


def read(content, **hooks):
    return read_pth(io.BytesIO(content), **hooks)


def written(value, **settings):
    file = io.BytesIO()
    write_pth(value, file, **settings)
    return file.getvalue()


# Values that are read and written as they are.
OBJECTS = {
    "numbers": [0, 255, 256, -1, 2**31, -(2**31), 2**70, -(2**70), 1.5, -math.inf, True, False, None],
    "texts": ["", "a", "ünï", "\N{GRINNING FACE}", "x" * 300, "\ud800", "a\nb\\u0041"],
    "bytes": [b"", b"a", bytes(range(256)), bytearray(b"abc")],
    "containers": [[], (), {}, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[1], [2, [3]]], {"a": {"b": {3: 4.5}}}],
    "sets": [{1, 2}, frozenset([3]), set()],
    "keys": {"a": 1, 2: 2, 2.5: 3, None: 4, True: 5, (1, "b"): 6, b"c": 7},
    "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
    "default": collections.defaultdict(list, {"a": [1]}),
    "without default": collections.defaultdict(None, {"a": 1}),
    "counter": collections.Counter("abca"),
    "namespace": argparse.Namespace(lr=0.1, layers=[1, 2], other=argparse.Namespace(a=None)),
    "many": list(range(3000)),
    "many keys": {number: str(number) for number in range(2001)},
    "many in a set": set(range(2000)),
    "complex": 1.5 - 2j,
    "optimiser": {"state": {0: {"step": 3, "m": [0.5]}}, "param_groups": [{"betas": (0.9, 0.99), "params": [0]}]},
}  # fmt: skip
ARRAYS = {
    "matrix": np.arange(6.0).reshape(2, 3),
    "in columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">i4"),
    "bools": np.array([True, False]),
    "of no dimension": np.array(3, np.int8),
    "empty": np.zeros((0, 3), np.float16),
    "large": np.arange(2000.0),
    "complex": np.array([1 + 2j]),
}
# Types without a class of storages.
TYPED = {"uint16": ("H", [0, 1, 2**16 - 1]), "uint32": ("I", [0, 1, 2**32 - 1]), "uint64": ("Q", [0, 1, 2**64 - 1])}


_texts = strategies.text(strategies.characters(exclude_categories=()), max_size=20)
_keys = _texts | strategies.integers(-(2**59), 2**59) | strategies.floats(allow_nan=False) | strategies.none()
_plain = _keys | strategies.booleans() | strategies.floats() | strategies.integers(-(2**99), 2**99)
# Anything that PyTorch reads with weights_only=True, but tensors.
objects = strategies.recursive(
    _plain | strategies.binary(max_size=9) | strategies.complex_numbers(),
    lambda inner: (
        strategies.lists(inner, max_size=5)
        | strategies.lists(inner, max_size=5).map(tuple)
        | strategies.dictionaries(_keys | strategies.tuples(_keys, _keys), inner, max_size=5)
        | strategies.dictionaries(_keys, inner, max_size=5).map(collections.OrderedDict)
        | strategies.sets(_keys, max_size=1)  # of more, the order may be another
    ),
    max_leaves=20,
)
