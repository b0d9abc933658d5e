"""PyTorch's files without PyTorch: what is written, by reading it again."""

import argparse
import collections
import io
import struct
import types
import zipfile

import numpy as np
import pytest
from hypothesis import given
from pth_files import (
    ARRAYS,
    OBJECTS,
    TYPED,
    objects,
    read,
    written,
)

import fastnn
from fastnn import nn
from fastnn.training._pth import AsDevice, AsDType, AsSize, AsTensor, Makers, write_pth

WRITTEN = {
    name: np.arange(6).reshape(2, 3).astype(name)
    for name in ("bool", "u1", "i1", "u2", "i2", "u4", "i4", "f4", "u8", "i8", "f8", "f2")
} | {
    "scalar": np.array(3, np.float32),
    "empty": np.zeros((0, 5)),
    "big": np.arange(3, dtype=">f4"),
    "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
    "reversed": np.arange(5)[::-1],
}


def test_written_arrays_are_read_as_themselves():
    loaded = read(written(WRITTEN))
    assert list(loaded) == list(WRITTEN)
    for name, array in WRITTEN.items():
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype.newbyteorder("="), array.shape)
        np.testing.assert_array_equal(loaded[name], array)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", OBJECTS)
def test_written_object_is_read_as_itself(name, old):
    loaded = read(written(OBJECTS[name], old_format=old))
    assert repr(loaded) == repr(OBJECTS[name])
    assert type(loaded) is type(OBJECTS[name])


@pytest.mark.parametrize("name", ARRAYS)
def test_array_that_is_no_tensor_is_written_as_one_of_numpy(name):
    loaded = read(written(ARRAYS[name], stands_for=lambda value: None), make=Makers(tensor=None))
    assert (loaded.shape, loaded.dtype) == (ARRAYS[name].shape, ARRAYS[name].dtype.newbyteorder("="))
    np.testing.assert_array_equal(loaded, ARRAYS[name])


@given(value=objects)
def test_written_object_of_any_parts_is_read_as_itself(value):
    for old in (False, True):
        loaded = read(written(value, old_format=old))
        assert (repr(loaded), type(loaded)) == (repr(value), type(value))


def test_object_at_several_places_is_one_object_again():
    shared = {"list": [1], "dict": {}, "set": {1}, "tuple": ([],), "array": np.ones(2),
              "ordered": collections.OrderedDict(), "namespace": argparse.Namespace()}  # fmt: skip
    first, second = read(written([shared, dict(shared)]))
    for name in shared:
        assert first[name] is second[name]


def test_object_of_many_references_is_written_and_read_at_once():
    value = [0]
    for _ in range(90):
        value = [value, value]
    content = written(value)
    assert len(content) < 10_000
    loaded = read(content)
    assert loaded[0] is loaded[1]


def test_objects_that_stand_for_those_of_pytorch_are_written_as_these():
    kinds = {"s": AsSize((2, 3)), "t": AsDType("int8"), "d": AsDevice("cuda", 1), "c": AsDevice("cpu"),
             "g": AsTensor(np.ones(1), requires_grad=True)}  # fmt: skip
    content = written(list(kinds), stands_for=lambda value: kinds.get(value) if isinstance(value, str) else None)
    make = Makers(size=lambda sides: ("size", sides), tensor=lambda array, requires_grad: requires_grad)
    assert read(content, make=make) == [("size", (2, 3)), "torch.int8", "cuda:1", "cpu", True]


def test_written_numbers_of_numpy_are_pythons():
    value = {"n": np.float32(0.5), "i": np.int64(3), "b": np.bool_(True)}
    loaded = read(written(value))
    assert loaded == {"n": 0.5, "i": 3, "b": True}
    assert [type(item) for item in loaded.values()] == [float, int, bool]


def test_written_mappings_of_other_classes_are_dictionaries():
    loaded = read(written([types.MappingProxyType({"a": 1}), type("D", (dict,), {})(b=2)]))
    assert (loaded, [type(item) for item in loaded]) == ([{"a": 1}, {"b": 2}], [dict, dict])


def test_attributes_of_an_ordered_dictionary_are_written():
    state = collections.OrderedDict(a=1)
    state._metadata = {"": {"version": 1}}
    assert read(written(state))._metadata == {"": {"version": 1}}


def sharing():
    """Arrays whose memory overlaps, and the names of those with which each shares elements."""
    rows = np.arange(1000.0).reshape(10, 100)
    single, grown = np.arange(6, dtype=np.int8)[::-1], np.arange(5, dtype=np.float32)
    arrays = {
        "rows": rows, "same": rows, "flat": rows.reshape(-1), "copy": rows.copy(), "transposed": rows.T,
        "column": rows[:, 7], "even": rows[::2], "odd": rows[1::2], "corner": rows[8:, 98:], "one": rows[3:4, 2:3],
        "bits": rows.view(np.int64), "backwards": rows[::-1], "empty": rows[:0], "alone": np.arange(9.0)[::3],
        "small": single, "wide": np.broadcast_to(grown, (4, 5)), "grown": grown, "last": grown[4],
    }  # fmt: skip
    return {name: np.asarray(array) for name, array in arrays.items()}


@pytest.mark.parametrize("dtype", TYPED)
def test_type_that_pytorch_cannot_read_from_the_old_format_is_not_written_there(dtype):
    with pytest.raises(TypeError, match=rf"obj\['a'\] must not be {dtype}, which PyTorch does not read from its old"):
        written({"a": np.ones(1, dtype)}, old_format=True)


@pytest.mark.parametrize("old", [False, True])
def test_arrays_that_share_memory_share_it_again(old):
    arrays = sharing()
    content = written(arrays, old_format=old)
    loaded = read(content)
    for name, array in arrays.items():
        assert (loaded[name].shape, loaded[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(loaded[name], array)
        for other in arrays:
            # Those that PyTorch cannot see as one storage are copies: other types, negative steps.
            apart = {name, other} & {"bits", "backwards", "small", "empty"} and name != other
            expected = not apart and np.shares_memory(array, arrays[other])
            assert np.shares_memory(loaded[name], loaded[other]) == expected, (name, other)
    copies = 4  # rows, copy, bits, backwards
    assert len(content) < copies * 8000 + 8000


def test_tensors_that_share_no_memory_are_contiguous_and_have_no_gaps():
    base = np.arange(10_000.0).reshape(100, 100)
    content = written({"column": base[:, 0], "block": np.asfortranarray(base[50:53, 50:53])})
    loaded = read(content)
    assert loaded["column"].flags.c_contiguous
    assert loaded["block"].flags.c_contiguous
    assert len(content) < 4000
    tied = base[::2].T
    assert all(array.flags.c_contiguous for array in read(written([tied, tied, tied[:]])))


def test_expanded_array_is_written_as_its_elements():
    array = np.broadcast_to(np.float32([1, 2]), (1 << 30, 2))
    content = written(array)
    loaded = read(content)
    assert (len(content), loaded.shape, loaded.strides) < (2000, array.shape, (0, 4))
    assert loaded[-1].tolist() == [1, 2]


def test_written_archive_is_one_that_other_programs_read():
    content = written(WRITTEN)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.read("archive/byteorder") == b"little"
        assert archive.read("archive/version") == b"3\n"
        for member in archive.infolist():
            name_length, extra_length = struct.unpack_from("<2H", content, member.header_offset + 26)
            assert (member.header_offset + 30 + name_length + extra_length) % 64 == 0
            assert member.compress_type == zipfile.ZIP_STORED


def test_archive_of_members_that_need_64_bits_is_read(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 500)
    content = written({"a": np.arange(1000.0), "b": np.arange(7.0)})
    assert struct.pack("<2H2Q", 1, 16, 8000, 8000) in content
    loaded = read(content)
    assert (loaded["a"].tolist(), loaded["b"].tolist()) == (list(range(1000)), list(range(7)))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            name_length, extra_length = struct.unpack_from("<2H", content, member.header_offset + 26)
            assert (member.header_offset + 30 + name_length + extra_length) % 64 == 0


def test_equal_objects_are_equal_files(tmp_path):
    for name in ("one.pth", "two.pth"):
        write_pth({"a": np.arange(9.0), "b": [1, "x"]}, tmp_path / name)
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "two.pth").read_bytes()


def test_hook_says_what_is_a_tensor_and_a_parameter():
    def stands_for(value):
        if isinstance(value, fastnn.Tensor):
            return AsTensor(value.data, value.requires_grad, isinstance(value, nn.Parameter))
        return None

    frozen = nn.Parameter(np.ones(1, np.float32))
    frozen.requires_grad = False
    content = written({"p": nn.Parameter(np.ones(2, np.float32)), "f": frozen, "t": fastnn.tensor([3.0])},
                      stands_for=stands_for)  # fmt: skip
    loaded = read(content, make=Makers(parameter=lambda array, requires_grad: (array.tolist(), requires_grad)))
    assert (loaded["p"], loaded["f"], loaded["t"].tolist()) == (([1, 1], True), ([1], False), [3])


@pytest.mark.parametrize(("value", "error", "words"), [
    ({"a": object()}, TypeError, r"write_pth: obj\['a'\] must be a number.*Received: object"),
    ([1, (2, len)], TypeError, r"write_pth: obj\[1\]\[1\] must be .*builtin_function"),
    ({"a": np.array([1j])}, TypeError, r"write_pth: obj\['a'\] must be an array of real numbers.*complex128"),
    ({"a": np.array(["x"])}, TypeError, r"write_pth: obj\['a'\] must be an array of real numbers"),
    ({frozenset(): 1}, TypeError, r"write_pth: a key of obj must be .*frozenset"),
    (2**3000, TypeError, r"write_pth: obj must be an integer of at most 255 bytes"),
    (collections.defaultdict(lambda: 1), TypeError, r"write_pth: obj must be a defaultdict of one of Python's plain"),
])  # fmt: skip
def test_what_cannot_be_written_is_named(tmp_path, value, error, words):
    with pytest.raises(error, match=words):
        write_pth(value, tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


def test_object_that_holds_itself_is_not_written(tmp_path):
    circle = []
    circle.append(circle)
    with pytest.raises(ValueError, match="holds itself, or is nested more than 100 deep"):
        write_pth(circle, tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


def test_deepest_object_that_is_written_is_read():
    value = 1
    for _ in range(99):
        value = [value]
    assert read(written(value)) == value
