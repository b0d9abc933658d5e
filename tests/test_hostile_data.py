"""Data sets and pictures made by hand to do harm: to take all memory, to take for ever, to crash, to run a program."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile import ARRAYS, CIFAR10, MEGABYTE, MNIST, PICTURE, made, refused
from PIL import Image

import fastnn
from fastnn import data
from fastnn.courses.pku import digits as pku_digits
from fastnn.data import _files, _npz, cifar10, mnist

# ---- pickles ---------------------------------------------------------------------------------------------------------
LARGE = 31 * MEGABYTE  # as large as a batch


def equal_hashes(number):
    return b"".join(b"\x8a\x10" + (k * (2**61 - 1)).to_bytes(16, "little") + b"N" for k in range(1, number))


PICKLES = {
    "a million nested tuples as a key": (lambda: b"}" + b")" + b"\x85" * 1_000_000 + b"Ns.", "instructions"),
    "a hundred thousand nested tuples as a key": (b"}" + b")" + b"\x85" * 100_000 + b"Ns.", "strings as keys"),
    "nested tuples instead of labels": (b"}X\6\0\0\0labels)" + b"\x85" * 190_000 + b"sX\4\0\0\0dataNs.", "missing"),
    "nested lists": (b"]" * 190_000 + b"a" * 5 + b".", "dictionary is expected"),
    "nested stand-ins": (b"cnumpy\nndarray\n)R" + b"q\0cnumpy\nndarray\n)Rh\0b" * 30_000 + b".", "dictionary"),
    "keys of equal hashes": (lambda: b"}(" + equal_hashes(200_000) + b"u.", "instruction"),
    "numbers as keys": (b"}(" + b"".join(b"J" + struct.pack("<i", k) + b"N" for k in range(9)) + b"u.", "strings"),
    "empty dictionaries": (lambda: b"](" + b"}" * (LARGE - 9) + b"e.", "instructions"),
    "empty lists": (lambda: b"](" + b"]" * (LARGE - 9) + b"e.", "instructions"),
    "marks": (lambda: b"(" * LARGE, "instructions"),
    "memo": (lambda: b"N" + b"".join(b"r" + struct.pack("<I", k * 3919) for k in range(1_000_000)), "instructions"),
    "a huge memo index": (b"Nr\xff\xff\xff\xff.", "dictionary is expected"),
    "a string of 2 GB": (b"T\xff\xff\xff\x7f", "truncated"),
    "a string of negative length": (b"T\xff\xff\xff\xff", "truncated"),
    "a text that grows by decoding": (lambda: b"X" + struct.pack("<I", LARGE) + b"\xff" * LARGE + b".", "short key"),
    "a list in itself": (b"]q\0h\0a.", "dictionary is expected"),
    "a dictionary in itself": (b"}q\0U\1ah\0s.", "missing"),
    "another list through the memo": (b"]q\0(" + b"h\0" * 90_000 + b"e.", "dictionary is expected"),
    "a call of a string": (b"U\1a)R.", "calls"),
    "a call without a tuple": (b"cnumpy\nndarray\nU\1aR.", "calls"),
    "state of a string": (b"U\1aNb.", "sets attributes"),
    "a name without an end": (lambda: b"c" + b"a" * LARGE, "truncated"),
    "a mark that is gone": (b"]N(00.", "instruction"),
    "a mark above the stack": (b"]N(ae.", "mark|list|IndexError"),
    "protocol 4": (pickle.dumps({"data": np.zeros((3, 3), np.uint8), "labels": [1]}, 4), "protocol 4"),
    "a program": (b"cos\nsystem\n(U\6exit 1tR.", "asks for 'os.system'"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_hostile_pickle_is_refused(tmp_path, monkeypatch, name):
    content, words = made(PICKLES, name)
    monkeypatch.setattr(cifar10, "_RECORDS", 0)  # so that it may be small
    (tmp_path / "test_batch").write_bytes(content if content.startswith(b"\x80") else b"\x80\x02" + content)

    def read(path):
        return cifar10._read(path.parent, cifar10._VERSIONS[1], train=False)

    refused(read, tmp_path / "test_batch", CIFAR10 // 2, words)


def test_pickle_of_the_size_of_another_data_set_is_not_read(tmp_path):
    with open(tmp_path / "test_batch", "wb") as file:
        file.truncate(1 << 40)

    def read(path):
        return cifar10._read(path.parent, cifar10._VERSIONS[1], train=False)

    refused(read, tmp_path / "test_batch", 60 * MEGABYTE, "bytes, at most")


# ---- archives --------------------------------------------------------------------------------------------------------
def tar_header(name, size=0, kind=b"0"):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def padded(content):
    return content + bytes(-len(content) % 512)


def pax(text):
    return tar_header("pax", len(text), b"x") + padded(text)


def small_archives():
    wanted = "cifar-10-batches-bin/test_batch.bin"
    yield gzip.compress(pax(b"9" * 20_000 + b" path=a\n") + tar_header(wanted, 30_730_000)), "truncated"
    yield gzip.compress(tar_header("pax", 100 << 20, b"x")), "extended header of 104,857,600 bytes"
    long = tar_header("././@LongLink", 200, b"L") + padded(b"n" * 200)
    yield gzip.compress(long * 3_000), "more than 1,000 members"
    yield gzip.compress(pax(b"11 path=ab\n") * 3_000), "more than 1,000 members"
    yield gzip.compress(tar_header(wanted, 8**11 - 1)), "bytes, 30,730,000 are expected"
    sparse = tar_header("sparse", 512, b"S") + bytes(512) + tar_header("a")[:300] + bytes(212)
    yield gzip.compress(sparse), "checksum|truncated"
    negative = bytearray(tar_header("negative"))
    negative[124:136] = b"\xff" * 12
    yield gzip.compress(bytes(negative)), "checksum"
    negative[148:156] = b" " * 8
    negative[148:156] = b"%06o\0 " % sum(negative)
    yield gzip.compress(bytes(negative)), "no octal number"


def large_archives():
    yield gzip.compress(tar_header("empty") * 800_000, 1), "more than 1,000 members"
    yield gzip.compress(b"") * 1_000_000, "truncated"
    yield b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (100 << 20), "truncated|no end"
    yield gzip.compress(tar_header("zeros", 8**11 - 1) + bytes(300 << 20), 1), "expands to more"


def read_archive(path):
    return cifar10._read(path, cifar10._VERSIONS[0], train=False)


def test_hostile_archive_is_refused(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    for content, words in small_archives():
        path.write_bytes(content)
        refused(read_archive, path, 60 * MEGABYTE, words)


@pytest.mark.slow
def test_large_hostile_archive_is_refused(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    for content, words in large_archives():
        path.write_bytes(content)
        refused(read_archive, path, CIFAR10, words)


def test_archive_of_more_members_than_a_data_set_has_is_refused(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(tar_header("empty") * 1001))
    refused(read_archive, path, 60 * MEGABYTE, "more than 1,000")
    path.write_bytes(gzip.compress(tar_header("empty") * 999))
    refused(read_archive, path, 60 * MEGABYTE, "truncated")


# ---- MNIST -----------------------------------------------------------------------------------------------------------
def test_hostile_mnist_is_refused(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    zeros = bytes(60 << 20)
    for n, words in ((60_000, "there is more|expands to more"), (9_999_999, "at most 60,000"), (2**32 - 1, "at most")):
        path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, n, 28, 28) + zeros, 1))
        refused(lambda path: mnist._read_idx(path, (28, 28), 60_000), path, MNIST, words)
    path.write_bytes(gzip.compress(b"") * 1_000_000)
    refused(lambda path: mnist._read_idx(path, (28, 28), 60_000), path, MNIST, "truncated")
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    refused(lambda path: mnist._read_idx(path, (28, 28), 60_000), path, MEGABYTE, "at most")


def test_a_fifo_in_the_place_of_a_file_is_refused_and_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / "a")
    for read in (lambda path: _files.read_file(path, 1, 9), _npz.read_npz, pku_digits.read_image, fastnn.load,
                 lambda path: mnist._read_idx(path, (), 9)):  # fmt: skip
        refused(read, tmp_path / "a", MEGABYTE, "not a (regular )?file")


# ---- npz -------------------------------------------------------------------------------------------------------------
def array_file(descr="'<f8'", shape="(3,)", content=bytes(24)):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


def npz(*members, **kwargs):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(members):
            archive.writestr(f"{number}.npy", content, **kwargs)
    return buffer.getvalue()


def many_members(number):
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    return entry * number + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number & 65535, number & 65535, 47 * number, 0, 0)


ARRAY_FILES = {
    "no zip": (b"text" * 99, "not a whole .npz"),
    "empty": (b"", "0 bytes"),
    "zeros of 60 MB": (lambda: npz(array_file(shape="(200,)", content=bytes(60 << 20)), compresslevel=1), "more"),
    "80,000 members": (lambda: many_members(80_000), "more than 1,000 arrays"),
    "2,000 members": (many_members(2_000), "more than 1,000 arrays"),
    "a huge shape": (npz(array_file(shape="(999999999, 999999999, 999999999)")), "shape"),
    "a negative shape": (npz(array_file(shape="(-3,)")), "not an array of numbers"),
    "a shape of letters": (npz(array_file(shape="(" + "1" * 60_000)), "not an array of numbers"),
    "another size": (npz(array_file(shape="(4,)")), "shape"),
    "objects": (npz(array_file("'|O'")), "not an array of numbers"),
    "a structure": (npz(array_file("[('a', '<f8')]")), "not an array of numbers"),
    "a type that there is not": (npz(array_file("'<f3'", content=bytes(9))), "not a whole .npz"),
    "a header that is a program": (npz(b"\x93NUMPY\x01\x00\x0a\x00__import__"), "not an array of numbers"),
    "minus signs": (npz(b"\x93NUMPY\x01\x00\xf0\xff" + b"-" * 65520), "not an array of numbers"),
    "a header beyond the end": (npz(array_file()[:20]), "not an array"),
    "no array": (npz(b"text"), "no array"),
    "half": (npz(array_file())[:90], "not a whole .npz"),
    "too large": (bytes(5 << 20), "at most"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAY_FILES)
def test_hostile_npz_is_refused(tmp_path, name):
    content, words = made(ARRAY_FILES, name)
    (tmp_path / "a.npz").write_bytes(content)
    refused(_npz.read_npz, tmp_path / "a.npz", ARRAYS, words)


def test_npz_in_either_order_of_memory_is_read(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.savez(tmp_path / "a.npz", c=array, f=np.asfortranarray(array), big=array.astype(">i2"), scalar=np.float64(3))
    found = _npz.read_npz(tmp_path / "a.npz")
    for name in ("c", "f", "big"):
        np.testing.assert_array_equal(found[name], array)
    assert (found["scalar"].shape, found["scalar"]) == ((), 3)


def test_npz_of_wrong_checksum_or_encrypted_or_lacking_an_array_is_refused(tmp_path):
    path, content = tmp_path / "a.npz", bytearray(npz(array_file()))
    path.write_bytes(content)
    assert list(_npz.read_npz(path, ["0"])) == ["0"]
    with pytest.raises(data.DataError, match=r"a\.npz: there is no array x or y in it"):
        _npz.read_npz(path, ["x", "0", "y"])
    place = content.index(b"PK\1\2")
    for offset in (16, 8):  # the checksum, the flags
        changed = bytearray(content)
        changed[place + offset] ^= 1
        path.write_bytes(changed)
        refused(_npz.read_npz, path, ARRAYS, "not a whole .npz file")


@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="NOT TESTED on the courses' files: FASTNN_DATA is not set")
def test_npz_of_the_courses_are_read_as_numpy_reads_them():
    for path in Path(os.environ["FASTNN_DATA"], "courses").glob("*.npz"):
        ours, theirs = _npz.read_npz(path), np.load(path)
        assert list(ours) == list(theirs)
        for name, array in ours.items():
            assert (array.dtype, array.shape) == (theirs[name].dtype, theirs[name].shape)
            assert array.tobytes() == theirs[name].tobytes()
            assert array.flags.writeable


# ---- pictures --------------------------------------------------------------------------------------------------------
def chunk(kind, content=b""):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *chunks, depth=8, colour=0):
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def pictures():
    pixels = chunk(b"IDAT", zlib.compress(bytes(29 * 28)))
    end = chunk(b"IEND")
    large = chunk(b"IDAT", zlib.compress(bytes(3_400_000)))
    yield "30,000 x 30,000 pixels of a bit", png(30_000, 30_000, large, end, depth=1), "too many pixels"
    yield "2**31 x 2**31 pixels", png(2**31, 2**31, pixels, end), "too many pixels"
    yield (
        "a second header",
        png(28, 28, chunk(b"IHDR", struct.pack(">2I5B", 9000, 9000, 1, 0, 0, 0, 0)), large, end),
        None,
    )
    yield (
        "PostScript",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\n",
        "not a picture of the format",
    )
    yield "many chunks", png(28, 28, chunk(b"teXt") * 2_000_000, pixels, end), "bytes, at most"
    bomb = zlib.compress(bytes(64 << 20))
    yield "a text of 64 MB", png(28, 28, chunk(b"zTXt", b"a\0\0" + bomb), pixels, end), None
    yield "a profile of 64 MB", png(28, 28, chunk(b"iCCP", b"a\0\0" + bomb), pixels, end), None
    yield "pixels without an end", png(28, 28, chunk(b"IDAT", zlib.compress(bytes(29 * 28))[:8]), end), None
    yield "no pixels", png(28, 28, end), None
    yield "0 x 0", png(0, 0, pixels, end), None
    yield "half a header", png(28, 28)[:20], None
    yield "a chunk beyond the end", png(28, 28, struct.pack(">I", 2**31 - 1) + b"IDAT"), None


def test_hostile_picture_is_refused(tmp_path):
    for name, content, words in pictures():
        path = tmp_path / "0.png"
        path.write_bytes(content)

        def read(path, name=name):
            pixels = pku_digits.read_image(path, "L", formats=("PNG",), most_pixels=64 * 64)
            # Pillow ignores a broken text or profile: then it is a picture like any other.
            if "of 64 MB" in name and pixels.shape == (28, 28):
                raise data.DataError("ignored", path)

        refused(read, path, 4 * PICTURE, words)


def test_large_picture_of_many_chunks_is_refused(tmp_path):
    pixels, end = chunk(b"IDAT", zlib.compress(bytes(29 * 28))), chunk(b"IEND")
    for number, words in ((2_000_000, "chunks"), (9_997, None)):
        (tmp_path / "a.png").write_bytes(png(28, 28, chunk(b"teXt") * number, pixels, end))
        if words is not None:
            for read in (pku_digits.read_image, data.read_image):
                refused(read, tmp_path / "a.png", 2 * 24_000_000, words)
    assert data.read_image(tmp_path / "a.png").shape == (3, 28, 28)
    assert pku_digits.read_image(tmp_path / "a.png").shape == (28, 28, 3)


def test_small_file_of_a_large_picture_takes_no_memory(tmp_path):
    (tmp_path / "a.png").write_bytes(png(4096, 4096, chunk(b"IDAT", zlib.compress(bytes(999))), chunk(b"IEND")))
    for read in (pku_digits.read_image, data.read_image):
        refused(read, tmp_path / "a.png", MEGABYTE, "cannot be 4,096 x 4,096 pixels")


def test_large_picture_that_compresses_well_is_read(tmp_path):
    content = png(4096, 4096, chunk(b"IDAT", zlib.compress(bytes(4096 * 513))), chunk(b"IEND"), depth=1)
    (tmp_path / "a.png").write_bytes(content)
    assert pku_digits.read_image(tmp_path / "a.png").shape == (4096, 4096, 3)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_picture_of_more_pixels_than_wanted_is_refused(tmp_path, form):
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "a", form)
    assert pku_digits.read_image(tmp_path / "a", most_pixels=72).shape == (8, 9, 3)
    with pytest.raises(data.DataError, match="too many"):
        pku_digits.read_image(tmp_path / "a", most_pixels=71)


def test_pillow_may_only_use_the_formats_that_are_wanted(tmp_path, monkeypatch):
    opened, open_image = [], Image.open

    def spy(file, formats=None):
        opened.append(formats)
        return open_image(file, formats=formats)

    monkeypatch.setattr(Image, "open", spy)
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "0.png", "JPEG")
    assert pku_digits.read_image(tmp_path / "0.png").shape == (28, 28, 3)
    with pytest.raises(data.DataError, match=r"0\.png: not a picture of the format PNG"):
        pku_digits.read_digits(tmp_path)
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(data.DataError, match="not the assignment's image"):
        pku_digits.read_digits(tmp_path)
    assert opened == [("PNG", "JPEG"), ("PNG",)]


def test_picture_in_another_format_starts_no_program(tmp_path, monkeypatch):
    started = tmp_path / "started"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {started}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for start in (b"", b"\x89PNG\r\n\x1a\n"):
        text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n"
        (tmp_path / "0.png").write_bytes(start + text)
        refused(pku_digits.read_image, tmp_path / "0.png", PICTURE)
    assert not started.exists()
