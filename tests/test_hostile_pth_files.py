"""Tensors and archives in files of PyTorch that are made by hand to do harm: one kind of error, in time and memory."""

import io
import pickle
import struct
import warnings
import zipfile
import zlib

import pytest
from hostile import MEGABYTE, made, memory_mark
from pth_files import (
    FORMATS,
    HOOKS,
    MAGIC,
    PARAMETER,
    REBUILD,
    REBUILD_TYPED,
    Call,
    Named,
    Persistent,
    floats,
    new_format,
    old_format,
    pickled,
    storage,
    tensor,
    zipped,
)
from pth_watch import OBJECTS, refuse, watched

FLOATS = storage("0", "FloatStorage", 1)


@pytest.fixture(params=FORMATS)
def write(request):
    """Makes the content of a file in each of the two formats."""
    return FORMATS[request.param]


# ---- tensors ---------------------------------------------------------------------------------------------------------
def numbered(*numbers, of=FLOATS):
    """A call of _rebuild_tensor_v2 with anything as offset, shape and strides."""
    return REBUILD(of, *numbers, False, HOOKS)


def seen_as(*dtypes, of=FLOATS):
    return [REBUILD_TYPED(of, 0, (1,), (1,), False, HOOKS, Named("torch", dtype)) for dtype in dtypes]


TENSORS = {
    "more than its storage": (numbered(0, (2,), (1,)), "outside of its storage"),
    "an offset behind its storage": (numbered(1, (1,), (1,)), "outside of its storage"),
    "strides behind its storage": (numbered(0, (2, 1), (1, 1)), "outside of its storage"),
    "an offset before its storage": (numbered(-1, (1,), (1,)), "that no tensor has"),
    "strides backwards": (numbered(0, (1,), (-1,)), "that no tensor has"),
    "negative sides": (numbered(0, (-1, -1), (1, 1)), "that no tensor has"),
    "a product that overflows": (numbered(0, (2**32, 2**32), (0, 0)), "that no tensor has"),
    "a product that is zero but for it": (numbered(0, (2**40, 2**40, 0), (0, 0, 0)), "that no tensor has"),
    "an offset of 100 bytes": (numbered(2**800, (1,), (1,)), "that no tensor has"),
    "strides that overflow": (numbered(0, (3,), (2**61,)), "outside of its storage"),
    "strides of 100 bytes": (numbered(0, (2,), (2**800,)), "that no tensor has"),
    "1,000 dimensions": (numbered(0, (1,) * 1000, (1,) * 1000), "that no tensor has"),
    "fewer strides than sides": (numbered(0, (1, 1), (1,)), "that no tensor has"),
    "fractions": (numbered(0, (1.0,), (1,)), "that no tensor has"),
    "bools": (numbered(0, (True,), (1,)), "that no tensor has"),
    "no shape": (numbered(0, None, None), "that no tensor has"),
    "a text as shape": (numbered(0, "1", "1"), "that no tensor has"),
    "no storage": (numbered(0, (1,), (1,), of=None), "no storage"),
    "too little": (REBUILD(FLOATS, 0, (1,)), "no storage"),
    "nothing": (REBUILD(), "no storage"),
    "no type": (REBUILD_TYPED(FLOATS, 0, (1,), (1,), False, HOOKS, "torch.float32"), "no type"),
    "a type that is none": (REBUILD_TYPED(FLOATS, 0, (1,), (1,), False, HOOKS, Named("torch", "Size")), "no type"),
    "metadata": (Call(REBUILD, (FLOATS, 0, (1,), (1,), False, HOOKS, {"conj": True})), "conjugated"),
    "metadata that are a list": (Call(REBUILD, (FLOATS, 0, (1,), (1,), False, HOOKS, [1])), "conjugated"),
    "a parameter of a number": (PARAMETER(3, True, HOOKS), "without data"),
    "a parameter of an array": (PARAMETER([], True, HOOKS), "without data"),
    "a parameter of a parameter's size": (PARAMETER(Named("torch", "Size")([1]), True, HOOKS), "without data"),
    "three types of one storage": (seen_as("float32", "int32", "uint8"), "more than 2 types"),
    "a storage without a key": (tensor(storage(None, "FloatStorage", 1), (1,)), "no key"),
    "a storage of half a number": (tensor(storage("0", "FloatStorage", 0.5), (1,)), "no key"),
    "a storage of true": (tensor(storage("0", "FloatStorage", True), (1,)), "no key"),
    "a storage of no class": (numbered(0, (1,), (1,), of=Persistent(("storage", "FloatStorage", "0", "cpu", 1))),
                              "no type"),
    "a storage of another class": (numbered(0, (1,), (1,), of=Persistent(("storage", HOOKS, "0", "cpu", 1))), "type"),
    "an identity of nothing": (numbered(0, (1,), (1,), of=Persistent(())), "type"),
    "an identity of a text": (numbered(0, (1,), (1,), of=Persistent("0")), "type"),
    "a storage that is not there": (tensor(storage("1", "FloatStorage", 1), (1,)), "missing|nothing refers"),
    "a storage that is longer": (tensor(storage("0", "FloatStorage", 2), (1,)), "truncated|another length"),
    "a storage that is shorter": (tensor(storage("0", "FloatStorage", 0), (0,)), "two lengths|another length"),
    "a storage of other numbers": (tensor(storage("0", "DoubleStorage", 1), (1,)), "another length|truncated"),
    "a negative storage": (tensor(storage("0", "FloatStorage", -1), (1,)), "length"),
    "a storage of a terabyte": (tensor(storage("0", "FloatStorage", 2**38), (2**38,)), "another length|truncated"),
    "a storage beyond all": (tensor(storage("0", "FloatStorage", 2**800), (1,)), "another length|no key or length"),
    "a storage in another folder": (tensor(storage("../data/0", "FloatStorage", 1), (1,)), "missing|nothing refers"),
    "a storage that is a pickle": (tensor(storage("../data.pkl", "FloatStorage", 1), (1,)), "missing|nothing refers"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_hostile_tensor_is_refused(tmp_path, write, name):
    value, words = TENSORS[name]
    refuse(tmp_path / "w.pth", write(value, {"0": bytes(4)}), words)


def test_many_tensors_take_bounded_memory(tmp_path, write):
    content = pickled(tensor(FLOATS, (1,)))
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\nq\x20"
    arguments = content[content.index(b"_rebuild_tensor_v2\n") + len("_rebuild_tensor_v2\n") : content.rindex(b"R")]
    content = rebuild + arguments + b"q\x2100](" + b"h\x20h\x21R" * 400_000 + b"e."
    refuse(tmp_path / "w.pth", write(content, {"0": bytes(4)}), "memory", 2 * OBJECTS)


def test_views_of_one_storage_take_no_more_memory_than_it(tmp_path, write):
    """Expanded, sliding and whole: a thousand tensors of gigabytes, of a storage of 16 MB."""
    count = 4 * MEGABYTE
    of = storage("0", "FloatStorage", count)
    value = [tensor(of, (2**20, count), (0, 1)) for _ in range(500)]
    value += [tensor(of, (count // 2, count // 2), (1, 1)) for _ in range(500)]
    path = tmp_path / "w.pth"
    path.write_bytes(write(value, {"0": bytes(4 * count)}))
    before = memory_mark()
    loaded = watched(path)
    assert memory_mark() - before < 2 * 4 * count + 8 * MEGABYTE
    assert (loaded[0].size, loaded[-1].size) == (2**20 * count, (count // 2) ** 2)
    assert not any(array.flags.writeable for array in loaded)


@pytest.mark.parametrize("dtypes", [["float32"], ["float32", "uint8"], ["bfloat16"], ["float8_e5m2", "float8_e4m3fn"]])
def test_memory_of_a_storage_is_bounded_by_its_types(tmp_path, write, dtypes):
    n_bytes = 16 * MEGABYTE
    of = storage("0", "UntypedStorage", n_bytes, module="torch.storage")
    value = [REBUILD_TYPED(of, 0, (1,), (1,), False, HOOKS, Named("torch", dtype)) for dtype in dtypes]
    path = tmp_path / "w.pth"
    path.write_bytes(write(value, {"0": bytes(n_bytes)}, **({"itemsizes": 1} if write is old_format else {})))
    before = memory_mark()
    watched(path)
    per_byte = sum({"float32": 1, "uint8": 1, "bfloat16": 2}.get(dtype, 4) for dtype in dtypes)
    assert memory_mark() - before < (per_byte + 2) * n_bytes


def large(write, **changes):
    """A file of eight tensors of 4 MB, some of which are changed."""
    keys = [str(key) for key in range(8)]
    value = {key: tensor(storage(key, "FloatStorage", MEGABYTE), (MEGABYTE,)) for key in keys}
    return write(value | changes, {key: bytes(4 * MEGABYTE) for key in keys})


WRONG = {
    "a tensor outside of its storage": tensor(storage("7", "FloatStorage", MEGABYTE), (MEGABYTE,), offset=1),
    "storages seen as several types": [
        seen_as("float32", "int32", "uint8", of=storage(str(key), "FloatStorage", MEGABYTE)) for key in range(8)
    ],
    "what is no data": Named("posix", "system")("true"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_file_with_something_wrong_takes_no_more_than_twice_its_memory(tmp_path, write, name):
    (tmp_path / "good.pth").write_bytes(large(write))
    assert sum(array.nbytes for array in watched(tmp_path / "good.pth").values()) == 8 * 4 * MEGABYTE
    refuse(tmp_path / "w.pth", large(write, wrong=WRONG[name]), None, 2 * 8 * 4 * MEGABYTE)


# ---- archives --------------------------------------------------------------------------------------------------------
VALUE, STORAGES = floats("0", 1.5, 2.5)
PICKLE = pickled({"a": VALUE})
GOOD = new_format({"a": VALUE}, STORAGES)
END = struct.Struct("<4s4H2IH")


def patched(content, place, form, *numbers):
    result = bytearray(content)
    struct.pack_into(form, result, place % len(result), *numbers)
    return bytes(result)


def entry_of(content, name):
    """Where the directory's entry of a member begins."""
    return content.rindex(name) - 46


def bomb(size, name="archive/data/0"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled(tensor(storage("0", "FloatStorage", size // 4), (1,))))
        with archive.open(name, "w") as member:
            for _ in range(size >> 20):
                member.write(bytes(MEGABYTE))
    return buffer.getvalue()


def overlapping(count):
    """`count` members that are all the same 16 MB of zeros, compressed."""
    content = zlib.compress(bytes(16 * MEGABYTE), 9)[2:-4]
    crc = zlib.crc32(bytes(16 * MEGABYTE))
    names = [b"a/data.pkl"] + [b"a/data/%d" % k for k in range(count)]
    body, directory = b"", b""
    for number, name in enumerate(names):
        part, size, check, method = (content, 16 * MEGABYTE, crc, 8) if number else (PICKLE, len(PICKLE), 0, 0)
        if number < 2:
            offset = len(body)
            body += struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, method, 0, 0, check, len(part), size, len(name), 0)
            body += name + part
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, method, 0, 0, check, len(part), size, len(name),
                                 0, 0, 0, 0, 0, offset) + name  # fmt: skip
    end = END.pack(b"PK\5\6", 0, 0, len(names), len(names), len(directory), len(body), 0)
    return body + directory + end


def twice():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the name that is there twice
        for content in (b"N.", PICKLE):
            archive.writestr("archive/data.pkl", content)
    return buffer.getvalue()


def many_members(count):
    """An archive with an end of 64 bits, in the place of whose members there is nothing."""
    start, length = 4, 50 * count
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + length, 1)
    end = END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    return b"PK\3\4" + bytes(length) + end64 + locator + end


# Where its storage stands in the directory, and where it begins itself.
E, LOCAL = entry_of(GOOD, b"archive/data/0"), GOOD.index(b"archive/data/0") - 30
ARCHIVES = {
    "zeros that expand": (lambda: bomb(1 << 27), "would expand"),
    "zeros in the pickle": (lambda: zipped({"a/data.pkl": bytes(1 << 26)}, compressed=True), "would expand"),
    "zeros that nobody wants": (lambda: bomb(1 << 27, "archive/other"), "would expand"),
    "one content for many members": (lambda: overlapping(100), "overlap|expand"),
    "one content for two members": (lambda: overlapping(2), "overlap|expand"),
    "a member twice": (twice, "twice"),
    "200,001 members": (lambda: many_members(200_001), "200,001 members"),
    "members that are not there": (patched(GOOD, -22 + 8, "<2H", 60_000, 60_000), "directory"),
    "a directory that is not there": (patched(GOOD, -22 + 12, "<I", 2**31), "before, behind or within"),
    "a directory elsewhere": (patched(GOOD, -22 + 16, "<I", 5), "before, behind or within"),
    "several parts": (patched(GOOD, -22 + 4, "<2H", 1, 1), "parts"),
    "something before it": (b"PK\3\4" + GOOD, "before, behind or within"),
    "something behind it": (GOOD + b"more", "behind"),
    "an end in its comment": (patched(GOOD, -2, "<H", 22) + GOOD[-22:], "behind|before|comment|overlap"),
    "a long comment": (patched(GOOD, -2, "<H", 65535), "behind"),
    "no end": (GOOD[:-22], "no end"),
    "an encrypted member": (patched(GOOD, E + 8, "<H", 1), "encrypted"),
    "an unknown compression": (patched(GOOD, E + 10, "<H", 93), "compressed in a way"),
    "two lengths": (patched(GOOD, E + 20, "<I", 7), "two lengths"),
    "lengths of gigabytes": (patched(GOOD, E + 20, "<2I", 2**31, 2**31), "expand"),
    "lengths of 64 bits that are not there": (patched(GOOD, E + 20, "<2I", 2**32 - 1, 2**32 - 1), "no length or place"),
    "a place that is not there": (patched(GOOD, E + 42, "<I", 2**31), "overlaps|truncated"),
    "a place within another": (patched(GOOD, E + 42, "<I", 3), "overlaps|not where"),
    "a place of another": (patched(GOOD, E + 42, "<I", 0), "overlaps|not where"),
    "a long name": (patched(GOOD, E + 28, "<H", 65535), "directory"),
    "another name before its content": (GOOD.replace(b"archive/data/0", b"archive/data/1", 1), "not where"),
    "a shorter name before its content": (patched(GOOD, LOCAL + 26, "<H", 5),
                                          "not (what|where)"),
    "a long extra before its content": (patched(GOOD, LOCAL + 28, "<H", 65535), "overlaps"),
    "another compression before its content": (patched(GOOD, LOCAL + 8, "<H", 8), "what the"),
    "compressed content that is none": (patched(patched(GOOD, E + 10, "<H", 8), LOCAL + 8, "<H", 8),
                                        "expand to its length"),
    "two pickles": (zipped({"a/data.pkl": PICKLE, "b/data.pkl": PICKLE}), "no data.pkl"),
    "a pickle in no folder": (zipped({"data.pkl": PICKLE, "a/b/data.pkl": PICKLE}), "no data.pkl"),
    "no members": (b"PK\3\4" + END.pack(b"PK\5\6", 0, 0, 0, 0, 0, 4, 0), "no data.pkl"),
    "a byte order of a megabyte": (lambda: new_format({"a": 1}, byteorder="little" * 200_000), "byte order"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archive_is_refused(tmp_path, name):
    content, words = made(ARCHIVES, name)
    refuse(tmp_path / "w.pth", content, words, memory=40 * MEGABYTE)


def old_file(*parts):
    return b"".join(part if isinstance(part, bytes) else pickle.dumps(part, 2) for part in parts)


def view(of, shape):
    """A tensor of a view of a storage of two numbers."""
    return old_format(tensor(storage("0", "FloatStorage", 2, of), shape), STORAGES)


START = (MAGIC, 1001, {"little_endian": True})
OLD = {
    "another magic number": (old_file(MAGIC + 1, 1001, {}, {}, []), "has not written"),
    "another version": (old_file(MAGIC, 1002, {}, {}, []), "another format"),
    "a version that is true": (old_file(MAGIC, True, {}, {}, []), "another format"),
    "no list of storages": (old_file(*START, {}, {}), "no list of its storages"),
    "storages that are numbers": (old_file(*START, {}, [1]), "no list of its storages"),
    "a storage that nobody has": (old_file(*START, {}, ["0"]), "nothing refers to its storage"),
    "a storage that is not listed": (old_file(*START, PICKLE, []), "its storage '0' is missing"),
    "a storage twice": (old_file(*START, PICKLE, ["0", "0"], struct.pack("<q", 2), bytes(8)), "twice"),
    "a storage of another length": (old_file(*START, PICKLE, ["0"], struct.pack("<q", 3), bytes(8)), "two lengths"),
    "a storage of a negative length": (old_file(*START, PICKLE, ["0"], struct.pack("<q", -1), bytes(8)), "two"),
    "no length": (old_file(*START, PICKLE, ["0"]), "truncated"),
    "half a storage": (old_file(*START, PICKLE, ["0"], struct.pack("<q", 2), bytes(7)), "truncated"),
    "more behind it": (old_file(*START, {}, [], bytes(7)), "7 bytes behind its end"),
    "a storage in the first pickle": (pickled(FLOATS), "where there are none"),
    "a storage in the last pickle": (old_file(*START, {}, pickled([FLOATS])), "where there are none"),
    "two lengths of a storage": (old_format([VALUE, tensor(FLOATS, (1,))], STORAGES), "two lengths"),
    "a view that is a text": (view("view", (1,)), "no place"),
    "a view of half numbers": (view(("v", 0.5, 1), (1,)), "place"),
    "a view before it": (view(("v", -1, 1), (1,)), "outside"),
    "a view behind it": (view(("v", 1, 2), (1,)), "outside"),
    "a tensor behind its view": (view(("v", 1, 1), (2,)), "outside"),
    "a source": (old_format(Persistent(("module", HOOKS, "net.py", "import os"))), "a whole model"),
    "many pickles that end nowhere": (lambda: old_file(*START) + b"(" + b"N" * (3 << 19), "truncated"),
    "a list of storages that ends nowhere": (lambda: old_file(*START, {}) + b"\x80\x02](" + b"X\1\0\0\0a" * 300_000,
                                             "truncated"),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_hostile_file_of_the_old_format_is_refused(tmp_path, name):
    content, words = made(OLD, name)
    refuse(tmp_path / "w.pth", content, words)
