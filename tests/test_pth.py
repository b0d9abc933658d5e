"""PyTorch's files without PyTorch: what is read, by files made by hand."""

import collections
import io
import math
import pickle
import struct
import zipfile

import numpy as np
import pytest
from pth_files import (
    ARRAYS,
    FORMATS,
    HOOKS,
    OBJECTS,
    REBUILD,
    REBUILD_OLD,
    REBUILD_TYPED,
    TYPED,
    Named,
    Persistent,
    floats,
    new_format,
    old_format,
    pickled,
    read,
    storage,
    tensor,
    zipped,
)

import fastnn
from fastnn import training
from fastnn.training._pth import Makers, read_pth


@pytest.fixture(params=FORMATS)
def write(request):
    """Makes the content of a file in each of the two formats."""
    return FORMATS[request.param]


# ---- number types ----------------------------------------------------------------------------------------------------
VALUES = {
    "DoubleStorage": ("d", [0.1, -2.5, math.inf]),
    "FloatStorage": ("f", [0.5, -2.5, math.inf]),
    "HalfStorage": ("e", [0.5, -2.5, 65504.0]),
    "LongStorage": ("q", [-(2**63), 0, 2**63 - 1]),
    "IntStorage": ("i", [-(2**31), 0, 2**31 - 1]),
    "ShortStorage": ("h", [-(2**15), 0, 2**15 - 1]),
    "CharStorage": ("b", [-128, 0, 127]),
    "ByteStorage": ("B", [0, 1, 255]),
}


def typed(key, dtype, n_bytes, count):
    """As PyTorch writes tensors of types that have no class of storages."""
    of = storage(key, "UntypedStorage", n_bytes, module="torch.storage")
    return REBUILD_TYPED(of, 0, (count,), (1,), False, HOOKS, Named("torch", dtype))


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("kind", VALUES)
def test_storage_is_read_as_its_numbers(kind, byteorder):
    code, values = VALUES[kind]
    content = struct.pack(f"{'>' if byteorder == 'big' else '<'}3{code}", *values)
    array = read(new_format(tensor(storage("0", kind, 3), (3,)), {"0": content}, byteorder))
    assert array.dtype == np.dtype(code)
    assert array.dtype.isnative
    assert array.tolist() == values


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("dtype", TYPED)
def test_unsigned_tensor_is_read_as_its_numbers(dtype, byteorder):
    code, values = TYPED[dtype]
    content = struct.pack(f"{'>' if byteorder == 'big' else '<'}3{code}", *values)
    array = read(new_format(typed("0", dtype, len(content), 3), {"0": content}, byteorder))
    assert (array.dtype, array.tolist()) == (np.dtype(dtype), values)


@pytest.mark.parametrize("kind", VALUES)
def test_storage_in_the_old_format_is_read_as_its_numbers(kind):
    code, values = VALUES[kind]
    content = struct.pack(f"<3{code}", *values)
    value = tensor(storage("94", kind, 3, None), (3,))
    for little in (True, False):  # either way the bytes are the same
        file = old_format(value, {"94": content}, struct.calcsize(code), facts={"little_endian": little})
        array = read(file)
        assert (array.dtype, array.tolist()) == (np.dtype(code), values)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_bfloat16_is_read_as_float32(byteorder):
    content = struct.pack(f"{byteorder}3H", 0x3FC0, 0xC020, 0x7F80)
    order = "little" if byteorder == "<" else "big"
    array = read(new_format(tensor(storage("0", "BFloat16Storage", 3), (3,)), {"0": content}, order))
    assert (array.dtype, array.tolist()) == (np.float32, [1.5, -2.5, math.inf])


@pytest.mark.parametrize(("dtype", "codes", "values"), [
    ("float8_e4m3fn", [0x38, 0x7E, 0x81, 0xFF], [1.0, 448.0, -(2.0**-9), math.nan]),
    ("float8_e5m2", [0x3C, 0x7B, 0x81, 0xFC], [1.0, 57344.0, -(2.0**-16), -math.inf]),
    ("float8_e4m3fnuz", [0x40, 0x7F, 0x81, 0x80], [1.0, 240.0, -(2.0**-10), math.nan]),
    ("float8_e5m2fnuz", [0x40, 0x7F, 0x81, 0x80], [1.0, 57344.0, -(2.0**-17), math.nan]),
    ("float8_e8m0fnu", [0x7F, 0x80, 0x00, 0xFF], [1.0, 2.0, 2.0**-127, math.nan]),
])  # fmt: skip
def test_float8_is_read_as_float32(dtype, codes, values):
    for file in (new_format(typed("0", dtype, 4, 4), {"0": bytes(codes)}),
                 old_format(typed("0", dtype, 4, 4), {"0": bytes(codes)}, 1)):  # fmt: skip
        array = read(file)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, values)


def test_bool_of_any_byte_is_read_as_a_bool():
    array = read(new_format(tensor(storage("0", "BoolStorage", 3), (3,)), {"0": b"\0\1\xff"}))
    assert (array.dtype, array.tolist(), array.view(np.uint8).tolist()) == (bool, [False, True, True], [0, 1, 1])


def test_float16_becomes_float32_when_widened_and_in_weights(tmp_path):
    content = new_format({"a": tensor(storage("0", "HalfStorage", 2), (2,))}, {"0": struct.pack("<2e", 0.5, 65504)})
    assert read(content)["a"].dtype == np.float16
    assert read(content, widen=True)["a"].dtype == np.float32
    (tmp_path / "w.pth").write_bytes(content)
    loaded = fastnn.load(tmp_path / "w.pth")["a"]
    assert (loaded.dtype, loaded.tolist()) == (np.float32, [0.5, 65504])


@pytest.mark.parametrize(("kind", "words"), [
    ("ComplexFloatStorage", r"its tensor 'layer\.weight' has numbers of the type 'complex64'.*view_as_real"),
    ("ComplexDoubleStorage", r"its tensor 'layer\.weight' has numbers of the type 'complex128'.*view_as_real"),
    ("QInt8Storage", r"its tensor 'layer\.weight' has numbers of the type 'qint8'.*dequantize"),
])  # fmt: skip
def test_other_numbers_are_an_error_that_names_the_tensor(tmp_path, write, kind, words):
    (tmp_path / "w.pth").write_bytes(
        write(
            {"layer.weight": tensor(storage("0", kind, 1), (1,))},
            {"0": bytes(16)},
        )
    )
    with pytest.raises(fastnn.FileError, match=rf"w\.pth: {words}"):
        read_pth(tmp_path / "w.pth")


def test_file_without_a_byte_order_is_little_endian():
    value, storages = floats("0", 1.5, 2.5)
    assert read(new_format(value, storages, byteorder=None)).tolist() == [1.5, 2.5]


# ---- shapes ----------------------------------------------------------------------------------------------------------
NUMBERS = np.arange(24, dtype=np.float32)


def view(shape, strides, offset=0, count=24):
    return tensor(storage("0", "FloatStorage", count), shape, strides, offset)


@pytest.mark.parametrize(("shape", "strides", "offset", "expected"), [
    ((2, 3, 4), (12, 4, 1), 0, NUMBERS.reshape(2, 3, 4)),
    ((4, 2, 3), (1, 12, 4), 0, NUMBERS.reshape(2, 3, 4).transpose(2, 0, 1)),
    ((3,), (8,), 2, NUMBERS[2::8]),
    ((2, 2), (12, 1), 9, NUMBERS.reshape(2, 12)[:, 9:11]),
    ((5, 3), (0, 1), 1, np.broadcast_to(NUMBERS[1:4], (5, 3))),
    ((22, 3), (1, 1), 0, np.lib.stride_tricks.sliding_window_view(NUMBERS, 3)),
    ((), (), 23, np.float32(23)),
    ((1, 24), (2**61, 1), 0, NUMBERS[None]),
    ((0, 3), (3, 1), 0, np.empty((0, 3))),
    ((3, 0), (1, 1), 24, np.empty((3, 0))),
])  # fmt: skip
def test_tensor_is_the_view_of_its_storage(write, shape, strides, offset, expected):
    array = read(write(view(shape, strides, offset), {"0": NUMBERS.tobytes()}))
    assert array.shape == shape
    np.testing.assert_array_equal(array, expected)


def test_expanded_tensor_is_read_only_and_takes_no_memory():
    array = read(new_format(view((10**6, 10**6), (0, 0)), {"0": NUMBERS.tobytes()}))
    assert (array.shape, array.strides, array.flags.writeable) == ((10**6, 10**6), (0, 0), False)
    assert array[-1, -1] == 0
    assert read(new_format(view((24,), (1,)), {"0": NUMBERS.tobytes()})).flags.writeable


def test_tensors_of_one_storage_share_their_memory(write):
    of = storage("0", "FloatStorage", 24)
    loaded = read(write({"a": tensor(of, (24,)), "b": tensor(of, (4,), offset=20)}, {"0": NUMBERS.tobytes()}))
    loaded["a"][23] = -1
    assert loaded["b"].tolist() == [20, 21, 22, -1]


def test_view_of_a_storage_in_the_old_format_is_read():
    of = storage("root", "FloatStorage", 24, ("view", 20, 4))
    array = read(old_format(tensor(of, (2,), offset=1), {"root": NUMBERS.tobytes()}))
    assert array.tolist() == [21, 22]
    with pytest.raises(fastnn.FileError, match="outside"):
        read(old_format(tensor(of, (2,), offset=3), {"root": NUMBERS.tobytes()}))


@pytest.mark.parametrize("name", ["_rebuild_parameter", "_rebuild_parameter_with_state"])
def test_hooks_get_tensors_and_parameters(write, name):
    value, storages = floats("0", 1.5)
    rebuild = Named("torch._utils", name)
    state = ({"tag": 1},) if name.endswith("state") else ()
    content = write({"t": value, "p": rebuild(value, True, HOOKS, *state), "q": rebuild(value, False, HOOKS, *state)},
                    storages)  # fmt: skip
    plain = read(content)
    assert [array.tolist() for array in plain.values()] == [[1.5]] * 3
    made = read(content, make=Makers(lambda array, requires_grad: fastnn.tensor(array, requires_grad=requires_grad),
                                     lambda made, requires_grad: (made, requires_grad)))  # fmt: skip
    assert isinstance(made["t"], fastnn.Tensor)
    assert [pair[1] for pair in (made["p"], made["q"])] == [True, False]
    assert made["p"][0].data.tolist() == [1.5]


def test_hook_sees_no_tensor_twice():
    value, storages = floats("0", 1.5)
    seen = []
    make = Makers(tensor=lambda array, requires_grad: seen.append((array.tolist(), requires_grad)) or 7)
    assert read(old_format([value, value], storages), make=make) == [7, 7]
    assert seen == [([1.5], False)]


def test_hooks_make_sizes_types_and_devices(write):
    value = {
        "size": Named("torch", "Size")([2, 3]),
        "device": Named("torch", "device")("cuda", 1),
        "dtype": Named("torch", "bfloat16"),
        "typed": typed("0", "uint16", 2, 1),
    }
    make = Makers(size=lambda sides: ("size", sides), dtype=lambda name: [name], device=lambda name: {name: 0})
    loaded = read(write(value, {"0": b"\2\1"}, **({"itemsizes": 1} if write is old_format else {})), make=make)
    assert loaded.pop("typed").tolist() == [0x102]
    assert loaded == {"size": ("size", (2, 3)), "dtype": ["torch.bfloat16"], "device": {"cuda:1": 0}}


def test_tensor_that_requires_a_gradient_is_one(write):
    value, storages = floats("0", 1.5)
    wanted = REBUILD(*value.arguments[:4], True, HOOKS)
    make = Makers(tensor=lambda array, requires_grad: (array.tolist(), requires_grad))
    assert read(write([value, wanted], storages), make=make) == [([1.5], False), ([1.5], True)]


def test_error_of_a_hook_is_the_callers(write):
    value, storages = floats("0", 1.5)

    def fail(array, requires_grad):
        raise IndexError("of the caller")

    with pytest.raises(IndexError, match="of the caller"):
        read(write(value, storages), make=Makers(tensor=fail))


def test_oldest_way_to_rebuild_a_tensor_is_read():
    of = storage("0", "FloatStorage", 24, None)
    array = read(old_format(REBUILD_OLD(of, 2, (3,), (2,)), {"0": NUMBERS.tobytes()}))
    assert array.tolist() == [2, 4, 6]


def test_tensor_of_a_class_is_read_without_its_attributes(write):
    value, storages = floats("0", 1.5)
    of_class = Named("torch._tensor", "_rebuild_from_type_v2")
    made = of_class(value.function, Named("torch", "Tensor"), value.arguments, {"tag": 3})
    assert read(write({"a": made}, storages))["a"].tolist() == [1.5]


# ---- other objects ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", OBJECTS)
def test_object_of_python_is_read_as_itself(write, name, protocol):
    content = pickle.dumps(OBJECTS[name], protocol)
    if write is old_format and protocol == 1:
        content = pickle.dumps(OBJECTS[name], 1)
    result = read(write(content, protocol=protocol))
    assert repr(result) == repr(OBJECTS[name])
    assert type(result) is type(OBJECTS[name])


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ARRAYS)
def test_array_of_numpy_is_read_as_itself(write, name, protocol):
    array = ARRAYS[name]
    first, second = read(write(pickle.dumps([array, array], protocol), protocol=protocol))
    assert first is second
    assert (first.shape, first.dtype) == (array.shape, array.dtype.newbyteorder("="))
    assert first.flags.writeable
    np.testing.assert_array_equal(first, array)


@pytest.mark.parametrize("protocol", range(6))
def test_number_of_numpy_is_read_as_itself(write, protocol):
    numbers = [np.float32(1.5), np.int64(-3), np.bool_(True), np.float64(0.1), np.uint8(7), np.dtype(">f4").type(2)]
    loaded = read(write(pickle.dumps(numbers, protocol), protocol=protocol))
    assert loaded == numbers
    assert [type(number) for number in loaded] == [type(number) for number in numbers]


def test_array_of_numpy_before_2_is_read(write):
    content = pickle.dumps(ARRAYS["matrix"], 2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in content
    np.testing.assert_array_equal(read(write(content)), ARRAYS["matrix"])


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["text"]), np.array([b"b"]), np.zeros(2, "i4,f4"),
                                   np.array(["2020"], "M8[Y]")])  # fmt: skip
def test_other_array_of_numpy_is_refused(write, array):
    with pytest.raises(fastnn.FileError, match="NumPy"):
        read(write(pickle.dumps(array, 2)))


def test_facts_of_pytorch_become_plain_values(write):
    value = {
        "size": Named("torch", "Size")([2, 3]),
        "tuple": Named("torch", "Size")((4,)),
        "device": Named("torch", "device")("cuda", 1),
        "cpu": Named("torch", "device")("cpu"),
        "dtype": Named("torch", "bfloat16"),
    }
    expected = {"size": (2, 3), "tuple": (4,), "device": "cuda:1", "cpu": "cpu", "dtype": "torch.bfloat16"}
    assert read(write(value)) == expected


def test_attributes_of_an_ordered_dictionary_are_kept(write):
    state = collections.OrderedDict(a=1)
    state._metadata = collections.OrderedDict([("", {"version": 2})])
    loaded = read(write(pickle.dumps(state, 2)))
    assert (loaded, loaded._metadata) == (state, state._metadata)


def test_ordered_dictionary_of_python2_is_read(write):
    made = Named("collections", "OrderedDict")([["a", 1], ["b", 2]])
    assert read(write(made)) == collections.OrderedDict(a=1, b=2)


def test_strings_of_python2_are_read(write):
    content = b"\x80\x02}(U\x03key" + b"T\x02\x00\x00\x00\xff\xfeU\x02hiNu."
    assert read(write(content)) == {"key": b"\xff\xfe", "hi": None}


def test_where_tensors_were_kept_makes_no_difference(write):
    of = [storage("0", "FloatStorage", 24, location=place) for place in ("cuda:3", "mps", "xla:0")]
    for place in of:
        assert read(write(tensor(place, (2,)), {"0": NUMBERS.tobytes()})).tolist() == [0, 1]
    cuda = storage("0", "FloatStorage", 24, location="cuda:0", module="torch.cuda")
    assert read(write(tensor(cuda, (2,)), {"0": NUMBERS.tobytes()})).tolist() == [0, 1]


@pytest.mark.parametrize(("value", "words"), [
    (Named("__main__", "Net")(), r"an object of __main__\.Net.*torch\.save\(model\.state_dict\(\), path\)"),
    (Named("torch.nn.modules.linear", "Linear")(), r"an object of torch\.nn\.modules\.linear\.Linear"),
    (Named("torch._utils", "_rebuild_sparse_tensor")(), r"_rebuild_sparse_tensor.*to_dense"),
    (Named("torch._utils", "_rebuild_qtensor")(), r"_rebuild_qtensor.*dequantize"),
    (Named("pathlib", "PosixPath")("a"), r"an object of pathlib\.PosixPath"),
    ({"f": Named("collections", "OrderedDict")}, r"it holds the class or function collections\.OrderedDict as a value"),
    ([Named("numpy", "ndarray")], r"it holds a storage, a type or a class as a value"),
    ({"dtype": Named("numpy", "dtype")("f4", False, True)}, r"it holds a storage, a type or a class as a value"),
])  # fmt: skip
def test_other_objects_are_an_error_that_says_what_to_do(tmp_path, write, value, words):
    (tmp_path / "w.pth").write_bytes(write({"model": value}))
    with pytest.raises(training.CheckpointError, match=rf"w\.pth: .*{words}"):
        read_pth(tmp_path / "w.pth")


def test_whole_model_in_the_old_format_is_called_so():
    model = Persistent(("module", Named("collections", "OrderedDict"), "net.py", "class Net: ..."))
    with pytest.raises(fastnn.FileError, match="a whole model"):
        read(old_format(model))


def test_bare_storage_is_refused(write):
    with pytest.raises(fastnn.FileError, match="holds a storage"):
        read(write([storage("0", "FloatStorage", 24)], {"0": NUMBERS.tobytes()}))


# ---- files -----------------------------------------------------------------------------------------------------------
class Plain:
    """A file that can be read and positioned, and nothing else."""

    def __init__(self, content):
        self._file = io.BytesIO(content)
        self.read, self.seek, self.tell = self._file.read, self._file.seek, self._file.tell


def test_file_that_can_be_read_only_is_read(write):
    numbers = np.arange(1 << 19, dtype=np.float32)
    value = tensor(storage("0", "FloatStorage", numbers.size), (numbers.size,))
    np.testing.assert_array_equal(read_pth(Plain(write(value, {"0": numbers.tobytes()}))), numbers)


def test_file_that_is_open_for_texts_is_refused(tmp_path):
    (tmp_path / "w.pth").write_text("text")
    with (tmp_path / "w.pth").open() as file, pytest.raises(TypeError, match="file must be open for reading bytes"):
        read_pth(file)


@pytest.mark.parametrize("folder", ["archive", "my model", "ünï", "x" * 200])
@pytest.mark.parametrize("compressed", [False, True])
def test_zip_archive_of_any_folder_is_read(folder, compressed):
    content = new_format(view((24,), (1,)), {"0": NUMBERS.tobytes()}, folder=folder, compressed=compressed)
    assert read(content).tolist() == NUMBERS.tolist()


def test_zip_archive_of_64_bits_is_read():
    file = io.BytesIO()
    members = {"a/data.pkl": pickled(view((24,), (1,))), "a/data/0": NUMBERS.tobytes()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    assert read(file.getvalue()).tolist() == NUMBERS.tolist()


def test_archive_with_64_bit_entries_and_end_is_read():
    """As PyTorch's own zip writer builds them for files of more than 4 GB, with descriptors behind the members."""
    members = {b"a/data.pkl": pickled(view((24,), (1,))), b"a/data/0": NUMBERS.tobytes()}
    content, directory = b"", b""
    for name, part in members.items():
        offset = len(content)
        content += struct.pack("<4s5H3I2H", b"PK\3\4", 0, 8, 0, 0, 0, 0, 0, 0, len(name), 0) + name + part
        content += struct.pack("<4sIQQ", b"PK\7\x08", 0, len(part), len(part))
        wide = struct.pack("<2H3Q", 1, 24, len(part), len(part), offset)
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 0, 45, 8, 0, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(name),
                                 len(wide), 0, 0, 0, 0, 2**32 - 1) + name + wide  # fmt: skip
    start = len(content)
    content += directory
    content += struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, len(directory), start)
    content += struct.pack("<4sIQI", b"PK\6\7", 0, start + len(directory), 1)
    content += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, 2**32 - 1, 2**32 - 1, 0)
    assert read(content).tolist() == NUMBERS.tolist()


def test_checksum_is_compared_unless_there_is_none():
    content = bytearray(new_format(view((24,), (1,)), {"0": NUMBERS.tobytes()}))
    place = content.index(NUMBERS.tobytes())
    content[place] ^= 1
    with pytest.raises(fastnn.FileError, match="checksum of its member 'archive/data/0'"):
        read(content)
    entry = content.rindex(b"archive/data/0") - 46
    content[entry + 16 : entry + 20] = bytes(4)
    assert read(content)[0] != 0


@pytest.mark.parametrize(("content", "words"), [
    (b"", "not a file of torch.save"),
    (b"a text of some length, but nothing else", "not a file of torch.save"),
    (b"\0" * 257 + b"ustar\0" + b"\0" * 300, "a tar archive.*torch.save"),
    (zipped({"a.npy": b""}), "a zip archive, but not one of torch.save"),
    (zipped({"a/data.pkl": b"", "b/data.pkl": b""}), "a zip archive, but not one of torch.save"),
    (zipped({"a/data.pkl": b"", "a/constants.pkl": b""}), "a program of TorchScript.*state_dict"),
    (pickle.dumps({"a": 1}, 2), "a pickle that torch.save has not written"),
    (pickle.dumps(7, 2), "a pickle that torch.save has not written"),
    (old_format({})[:30], "truncated"),
    (new_format({})[:-1], "zip archive"),
    (new_format({}, byteorder="middle"), "byte order"),
])  # fmt: skip
def test_other_file_is_called_what_it_is(tmp_path, content, words):
    (tmp_path / "w.pth").write_bytes(content)
    for function in (read_pth, fastnn.load):
        with pytest.raises(training.CheckpointError, match=rf"w\.pth: .*{words}") as info:
            function(tmp_path / "w.pth")
        assert info.value.path == str(tmp_path / "w.pth")


def test_file_that_is_not_there_or_no_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_pth(tmp_path / "w.pth")
    with pytest.raises(training.CheckpointError, match="not a file but a folder"):
        read_pth(tmp_path)


def test_open_file_is_read_from_its_beginning(tmp_path, write):
    content = write(view((24,), (1,)), {"0": NUMBERS.tobytes()})
    (tmp_path / "w.pth").write_bytes(content)
    with (tmp_path / "w.pth").open("rb") as file:
        file.seek(7)
        assert read_pth(file).tolist() == NUMBERS.tolist()
    (tmp_path / "w.pth").write_bytes(content[:-2])
    with (tmp_path / "w.pth").open("rb") as file, pytest.raises(fastnn.FileError, match=r"w\.pth: ") as info:
        read_pth(file)
    assert info.value.path == str(tmp_path / "w.pth")
