"""CIFAR-10: the real data, both published forms of it made small, and files that mean harm."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn import data
from fastnn.data import _files, _pickle, cifar10

RECORDS = 7  # in a file of the small copies
NAMES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


# ---- the real data ---------------------------------------------------------------------------------------------------
@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="NOT TESTED on the real CIFAR-10: FASTNN_DATA is not set")
@pytest.mark.parametrize(
    ("train", "n", "sha256"),
    [
        (True, 50_000, "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111"),
        (False, 10_000, "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56"),
    ],
)
def test_cifar10_real_pixels_in_official_order(train, n, sha256):
    images = data.CIFAR10(train=train)
    assert images.images.shape == (n, 3, 32, 32)
    assert hashlib.sha256(images.images.tobytes()).hexdigest() == sha256
    np.testing.assert_array_equal(np.bincount(images.labels), n // 10)
    image, label = images[0]
    assert images.classes[label] == ("frog" if train else "cat")
    assert isinstance(label, int)
    assert image.shape == (3, 32, 32)
    if train:
        means = images.images.mean(axis=(2, 3), dtype=np.float32) / 255
        np.testing.assert_allclose(means.mean(axis=0, dtype=np.float64), data.CIFAR10.mean, atol=1e-5)


# ---- small copies ----------------------------------------------------------------------------------------------------
def python2_pickle(pixels, labels, dtype=b"u1", shape=None, extra=b"", order="C"):
    """What Python 2's pickler, protocol 2, writes for a batch; pickle.dumps of Python 3 writes arrays differently."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def integer(value):
        return b"J" + struct.pack("<i", value)

    rows, columns = pixels.shape if shape is None else shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + integer(0) + b"\x85" + text(b"b") + b"\x87R"
        b"(" + integer(1) + integer(rows) + integer(columns) + b"\x86"
        b"cnumpy\ndtype\n" + text(dtype) + integer(0) + integer(1) + b"\x87R(" + integer(3) + text(b"|")
        + b"NNN" + integer(-1) + integer(-1) + integer(0) + (b"tb\x88" if order == "F" else b"tb\x89")
        + b"T" + struct.pack("<i", pixels.size) + pixels.tobytes(order) + b"tb"
    )  # fmt: skip
    listed = b"](" + b"".join(integer(label) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + extra + b"u."


@pytest.fixture
def small(monkeypatch):
    """Six batches of a few images each, and a loader that takes these for the real size."""
    monkeypatch.setattr(cifar10, "_RECORDS", RECORDS)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    rng = np.random.default_rng(0)
    return {name: (rng.integers(0, 256, (RECORDS, 3072), np.uint8), rng.integers(0, 10, RECORDS)) for name in NAMES}


def encoded(small, form):
    """File name -> content, of the folder of one form."""
    if form == "py":
        return {name: python2_pickle(*batch) for name, batch in small.items()} | {"batches.meta": b"ignored"}
    return {
        f"{name}.bin": np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes()
        for name, (pixels, labels) in small.items()
    }


def write(root, files, form, kind):
    folder = f"cifar-10-batches-{form}"
    if kind == "folder":
        (root / folder).mkdir()
        for name, content in files.items():
            (root / folder / name).write_bytes(content)
        return root / folder
    members = [(tarfile.TarInfo(f"{folder}/{name}"), content) for name, content in sorted(files.items())[::-1]]
    return write_archive(root, members, form)


def write_archive(root, members, form):
    path = root / f"cifar-10-{'python' if form == 'py' else 'binary'}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(params=["py", "bin"])
def form(request):
    return request.param


@pytest.fixture(params=["folder", "archive"])
def kind(request):
    return request.param


def expected(small, train):
    batches = [small[name] for name in (NAMES[:5] if train else NAMES[5:])]
    return np.concatenate([pixels for pixels, _ in batches]), np.concatenate([labels for _, labels in batches])


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("given_as", ["root", "itself", "FASTNN_DATA", "cache"])
def test_cifar10_reads_both_forms_from_every_place(small, form, kind, train, given_as, tmp_path, monkeypatch):
    place = write(tmp_path, encoded(small, form), form, kind)
    monkeypatch.setattr(_files, "cache_folder", lambda: tmp_path if given_as == "cache" else tmp_path / "none")
    if given_as == "FASTNN_DATA":
        monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    before = sorted(path.name for path in tmp_path.rglob("*"))
    images = data.CIFAR10({"root": tmp_path, "itself": place}.get(given_as), train=train)
    pixels, labels = expected(small, train)
    np.testing.assert_array_equal(images.images.reshape(-1, 3072), pixels)
    np.testing.assert_array_equal(images.labels, labels)
    assert (images.images.dtype, images.labels.dtype) == (np.uint8, np.int64)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before  # nothing is extracted


def test_cifar10_missing_says_where_it_looked_and_what_to_do(small, tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "variable"))
    with pytest.raises(FileNotFoundError, match=r"root.*variable.*cache.*download=True.*FASTNN_DATA") as info:
        data.CIFAR10(tmp_path / "root")
    assert isinstance(info.value, data.DataNotFoundError)


def test_cifar10_missing_or_truncated_batch_is_named(small, form, kind, tmp_path):
    files = encoded(small, form)
    name = f"data_batch_3{'.bin' if form == 'bin' else ''}"
    whole = files.pop(name)
    (tmp_path / "missing").mkdir()
    write(tmp_path / "missing", files, form, kind)
    with pytest.raises(data.DataError, match=f"{name}.* is missing"):
        data.CIFAR10(tmp_path / "missing")
    for number, content in enumerate((whole[:-1], whole[:100], b"", whole[:-100] + whole[-99:])):
        (tmp_path / str(number)).mkdir()
        write(tmp_path / str(number), files | {name: content}, form, kind)
        with pytest.raises(data.DataError, match=name):
            data.CIFAR10(tmp_path / str(number))


@pytest.mark.parametrize("label", [10, 255])
def test_cifar10_label_out_of_range_is_an_error(small, form, kind, label, tmp_path):
    small["data_batch_2"][1][3] = label
    write(tmp_path, encoded(small, form), form, kind)
    with pytest.raises(data.DataError, match=r"data_batch_2.*label"):
        data.CIFAR10(tmp_path)


def test_cifar10_half_a_folder_beside_a_whole_archive_is_passed_over(small, form, tmp_path):
    files = encoded(small, form)
    write(tmp_path, dict(list(files.items())[:3]), form, "folder")
    with pytest.raises(data.DataError, match=r"data_batch_4\S*, data_batch_5\S* is missing"):
        data.CIFAR10(tmp_path)
    write(tmp_path, files, form, "archive")
    np.testing.assert_array_equal(data.CIFAR10(tmp_path).labels, expected(small, True)[1])


def test_cifar10_damaged_folder_beside_a_folder_of_the_other_form_is_passed_over(small, tmp_path):
    folder = write(tmp_path, encoded(small, "bin"), "bin", "folder")
    (folder / "data_batch_2.bin").write_bytes(b"short")
    write(tmp_path, encoded(small, "py"), "py", "folder")
    np.testing.assert_array_equal(data.CIFAR10(tmp_path).labels, expected(small, True)[1])


def test_cifar10_broken_data_of_the_user_is_not_replaced_by_that_of_another_place(small, form, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "other").mkdir()
    files = encoded(small, form)
    write(tmp_path / "other", files, form, "folder")
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "other"))
    assert len(data.CIFAR10(tmp_path / "mine")) == 5 * RECORDS
    folder = write(tmp_path / "mine", dict(list(files.items())[:3]), form, "folder")
    with pytest.raises(data.DataError, match="is missing") as info:
        data.CIFAR10(tmp_path / "mine", download=True)
    assert info.value.path == str(folder)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_cifar10_archives_of_every_kind_of_tar_are_read(small, format, tmp_path):
    long = "x" * 150 if format != tarfile.USTAR_FORMAT else "x" * 90 + "/" + "y" * 90
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz", format=format) as archive:
        for name, content in [(long, b"?" * 700), *encoded(small, "bin").items()]:
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size, info.mtime = len(content), 1234.5  # a fraction becomes an extended header
            archive.addfile(info, io.BytesIO(content))
    np.testing.assert_array_equal(data.CIFAR10(tmp_path).labels, expected(small, True)[1])


def test_cifar10_errors_carry_the_path(small, form, kind, tmp_path):
    small["data_batch_2"][1][3] = 11
    place = write(tmp_path, encoded(small, form), form, kind)
    with pytest.raises(data.DataError) as info:
        data.CIFAR10(tmp_path)
    batch = f"data_batch_2{'.bin' if form == 'bin' else ''}"
    assert info.value.path == str(place / batch if kind == "folder" else place)
    assert batch in str(info.value)


def test_data_without_a_home_has_a_folder_among_the_temporary_files(small, tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 123456)  # nobody that the system knows
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _files.cache_folder() == tmp_path / "fastnn-123456"
    with pytest.raises(data.DataNotFoundError, match="CIFAR-10 was not found"):
        data.CIFAR10("~/data")
    (tmp_path / "fastnn-123456").mkdir()
    write(tmp_path / "fastnn-123456", encoded(small, "bin"), "bin", "folder")
    assert len(data.CIFAR10()) == 5 * RECORDS
    monkeypatch.setattr("pooch.os_cache", lambda name: Path("~/.cache") / name)  # of an older platformdirs
    assert _files.cache_folder() == tmp_path / "fastnn-123456"
    monkeypatch.setattr("pooch.os_cache", lambda name: Path("/home") / name)
    assert _files.cache_folder() == Path("/home/fastnn")


# ---- hostile archives ------------------------------------------------------------------------------------------------
def test_cifar10_archive_that_is_cut_or_damaged_is_an_error(small, form, tmp_path):
    path = write(tmp_path, encoded(small, form), form, "archive")
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for content in (
        whole[: len(whole) // 2],
        whole[:20],
        b"",
        b"not gzip at all",
        gzip.compress(b"not a tar"),
        bytes(damaged),
    ):
        path.write_bytes(content)
        with pytest.raises(data.DataError, match=path.name):
            data.CIFAR10(tmp_path)


def test_cifar10_archive_with_a_damaged_header_or_something_behind_it_is_an_error(small, form, tmp_path):
    path = write(tmp_path, encoded(small, form), form, "archive")
    content = bytearray(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(content) + b"text")
    with pytest.raises(data.DataError, match="something behind the compressed data"):
        data.CIFAR10(tmp_path)
    content[110] ^= 1  # the owner of the first member
    path.write_bytes(gzip.compress(content))
    with pytest.raises(data.DataError, match="a header of the archive has another checksum"):
        data.CIFAR10(tmp_path)


@pytest.mark.parametrize("attack", ["symlink", "hard link", "device", "fifo", "folder", "too long"])
def test_cifar10_archive_member_of_another_kind_is_refused(small, attack, tmp_path):
    kinds = {"symlink": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "device": tarfile.CHRTYPE,
             "fifo": tarfile.FIFOTYPE, "folder": tarfile.DIRTYPE, "too long": tarfile.REGTYPE}  # fmt: skip
    info = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    info.type, info.linkname = kinds[attack], "/etc/passwd"
    content = bytes(RECORDS * 3073 + (attack == "too long"))  # so that nothing else is wrong
    write_archive(tmp_path, [(info, content)], "bin")
    words = "21,512 bytes, 21,511 are expected" if attack == "too long" else "not a regular file"
    with pytest.raises(data.DataError, match=f"data_batch_1.bin: {words}"):
        data.CIFAR10(tmp_path)


def test_cifar10_archive_paths_lead_nowhere(small, tmp_path):
    (tmp_path / "root").mkdir()
    absolute = tmp_path / "absolute"
    hostile = ["../escaped", str(absolute), "cifar-10-batches-bin/../../escaped", "cifar-10-batches-bin/link"]
    members = [(tarfile.TarInfo(name), b"harm") for name in hostile]
    members[3][0].type, members[3][0].linkname = tarfile.SYMTYPE, "/"
    members[3] = (members[3][0], b"")
    members += [
        (tarfile.TarInfo(f"cifar-10-batches-bin/{name}"), content) for name, content in encoded(small, "bin").items()
    ]
    write_archive(tmp_path / "root", members, "bin")
    assert len(data.CIFAR10(tmp_path / "root")) == 5 * RECORDS
    assert [path.name for path in tmp_path.rglob("*")] == ["root", "cifar-10-binary.tar.gz"]
    assert not absolute.exists()


def test_cifar10_decompression_bomb_is_stopped(small, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "_LARGEST_PICKLE", 1 << 20)  # so that 7 MB are the limit
    info = tarfile.TarInfo("bomb")
    write_archive(tmp_path, [(info, bytes(64 << 20))], "bin")
    with pytest.raises(data.DataError, match="expands to more"):
        data.CIFAR10(tmp_path)


# ---- hostile pickles -------------------------------------------------------------------------------------------------
class _Executes:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def hostile_pickles(path):
    pixels, labels = np.zeros((RECORDS, 3072), np.uint8), [0] * RECORDS
    command = f"touch {path}".encode()
    yield from (pickle.dumps({b"data": _Executes(path), b"labels": labels}, protocol) for protocol in range(6))
    yield b"cos\nsystem\n(S'" + command + b"'\ntR."
    yield b"(S'" + command + b"'\nios\nsystem\n."  # INST
    yield b"\x80\x02cbuiltins\neval\nU\x031+1\x85R."
    yield b"\x80\x02cnumpy.core.multiarray\n_reconstruct.__globals__\n."
    yield b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93."  # STACK_GLOBAL
    yield b"\x80\x02}r\xff\xff\xff\x7fr\xff\xff\xff\x7f."  # a memo of 16 GB
    yield b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x00."  # BYTEARRAY8 of 72 PB
    yield b"\x80\x02\x82\x01."  # extension registry
    yield b"P1\n."  # persistent id
    yield b"\x80\x02cnumpy\nndarray\n}U\x04codeU\x01xsb."  # sets attributes of a stand-in
    yield b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b"."  # nesting
    yield python2_pickle(pixels, labels, dtype=b"O8")
    yield python2_pickle(pixels, labels, dtype=b"f8")
    yield python2_pickle(pixels, labels, shape=(RECORDS, 3071))
    yield python2_pickle(pixels, labels, shape=(-RECORDS, -3072))
    yield python2_pickle(pixels, labels, shape=(2**30, 2**30))
    yield python2_pickle(pixels, labels[:-1])
    yield python2_pickle(pixels.reshape(-1, 1024), labels)
    yield python2_pickle(pixels, labels, extra=b"U\x06labels]")
    yield python2_pickle(pixels, labels, extra=b"U\x06labelsN")
    yield python2_pickle(pixels, labels, extra=b"U\x06labels](" + b"\x88" * RECORDS + b"e")
    yield python2_pickle(pixels, labels, extra=b"U\x04dataN")
    yield from (b"", b".", b"N.", b"].", b"}.", b"\x80\x02", b"\x80\xff.", b"garbage", b"I" + b"9" * 5000 + b"\n.")


def test_cifar10_hostile_pickles_do_nothing_and_are_refused(small, tmp_path):
    executed, before = tmp_path / "executed", dict(vars(_pickle._Array))
    for content in hostile_pickles(executed):
        with pytest.raises(data.DataError):
            cifar10._parse_pickle(content)
        assert not executed.exists()
    assert dict(vars(_pickle._Array)) == before


@pytest.mark.parametrize("order", ["C", "F"])
def test_cifar10_pickle_in_either_order_of_memory_is_the_same(small, order):
    pixels, labels = small["test_batch"]
    found, found_labels = cifar10._parse_pickle(python2_pickle(pixels, labels, order=order))
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(found_labels, labels)


@given(position=st.integers(0, RECORDS * 3072 + 400), value=st.integers(0, 255), tail=st.booleans())
def test_cifar10_mutated_pickle_is_read_or_refused(position, value, tail):
    content = bytearray(python2_pickle(np.zeros((RECORDS, 3072), np.uint8), [1] * RECORDS))
    # Most of the file are pixels: half of the mutations go to what is around them.
    position = (position % 300 if position % 2 else -1 - position % 120) if tail else position % len(content)
    content[position] = value
    try:
        pixels, labels = _pickle.read_batch(bytes(content))
    except data.DataError:
        return
    assert pixels.dtype == np.uint8
    assert isinstance(labels, list)
