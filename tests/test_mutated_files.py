"""Every kind of file that is read, changed at random: it is read, or there is one kind of error with the file's name.

FASTNN_FUZZ=100000   so many changed files of each kind instead of 2000
"""

import gzip
import io
import json
import os
import random
import resource
import struct
import tarfile
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from mutations import mutate, with_right_checksums_of_png, with_right_checksums_of_tar
from PIL import Image
from pth_files import HOOKS, PARAMETER, floats, new_format, old_format, pickled, storage, tensor
from test_cifar10 import python2_pickle

import fastnn
from fastnn import data, nn, training
from fastnn.courses.pku import digits as pku_digits
from fastnn.data import _npz, _pickle, cifar10, mnist
from fastnn.training._pth import read_pth

RECORDS = 3
MUTATIONS = int(os.environ.get("FASTNN_FUZZ", "2000"))
SECONDS, MEGABYTES = 2, 64  # one file; all of them together

PREPROCESSING = data.Preprocessing(mean=(0.5,), std=(0.25,), size=(8, 8), classes=("a", "b"))
MODEL = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
MODEL.preprocessing = PREPROCESSING
STATE = {
    "model": dict(MODEL.state_dict()),
    "optimizer": {"state": {0: {"step": 3, "m": np.arange(4.0)}, 1: {"m": np.arange(3)}}, "betas": (0.9, 0.999)},
    "history": [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": float("nan")}],
    "preprocessing": PREPROCESSING.to_dict(),
}
PIXELS = np.random.default_rng(0).integers(0, 256, (RECORDS, 3072), np.uint8)


def batch_of_bytes():
    return np.hstack([np.arange(RECORDS, dtype=np.uint8)[:, None], PIXELS]).tobytes()


def tar_of(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, text in (("readme.html", b"text" * 99), (name, content)):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{member}")
            info.size, info.mtime = len(text), 1.5
            archive.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


def idx():
    return struct.pack(">4I", 0x803, 3, 28, 28) + bytes(range(256)) * 9 + bytes(48)


def array_file(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(content, compressed=True):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr("a.npy", content)
        archive.writestr("b.npy", array_file(np.arange(9.0).reshape(3, 3)))
    return buffer.getvalue()


def picture(form="PNG", **settings):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[0, :784].reshape(28, 28)).save(buffer, form, **settings)
    return buffer.getvalue()


def read_picture(path):
    return data.read_image(path, 32, max_pixels=1 << 20)


def written(folder, write, name="original.safetensors"):
    path = folder / name
    write(path)
    return path.read_bytes()


def without_checksum(content):
    """So that a change gets past it; a file of another program has none."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]["fastnn_crc32"]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def read_cifar(version):
    return lambda path: cifar10._read(
        path if path.suffix == ".gz" else path.parent, cifar10._VERSIONS[version], train=False
    )


def read_short_pickle(path):
    try:
        return _pickle.read_batch(path.read_bytes())
    except data.DataError as error:
        raise data.DataError(str(error), path) from None


def pth_parts():
    """An object of PyTorch with something of everything, and the bytes of its storages."""
    weight, storages = floats("0", *range(12), shape=(3, 4))
    storages["1"] = struct.pack("<2q", 7, 8)
    state = {"weight": weight, "view": tensor(storage("0", "FloatStorage", 12), (2, 2), (1, 4), 3),
             "steps": tensor(storage("1", "LongStorage", 2), (2,)), "parameter": PARAMETER(weight, True, HOOKS),
             "epoch": 3, "betas": (0.9, 0.999), "text": "a text", "more": [None, True, {1: 2}, {3, 4}, b"bytes"],
             "array": PIXELS[:1, :4]}  # fmt: skip
    return state, storages


def pth(write, **settings):
    state, storages = pth_parts()
    return write(state, storages, **settings)


def pth_with_pickle(write, **settings):
    """A file with a changed pickle, whose own checksums are right."""
    return lambda part: write(part, pth_parts()[1], **settings)


OF_OLD = {"itemsizes": {"0": 4, "1": 8}}

# kind -> name of the file, how it is read, and what makes it of a changed part
KINDS = {
    "CIFAR-10, binary": ("test_batch.bin", read_cifar(0), lambda folder: batch_of_bytes(), bytes),
    "CIFAR-10, pickle": ("test_batch", read_cifar(1), lambda folder: python2_pickle(PIXELS, [1] * RECORDS), bytes),
    "CIFAR-10, short pickle": ("a", read_short_pickle, lambda folder: python2_pickle(PIXELS[:, :3], [1] * 3), bytes),
    "CIFAR-10, archive": ("a.tar.gz", read_cifar(0),
                          lambda folder: gzip.compress(tar_of("test_batch.bin", batch_of_bytes())), bytes),
    "CIFAR-10, in the archive": ("a.tar.gz", read_cifar(0), lambda folder: tar_of("test_batch.bin", batch_of_bytes()),
                                 lambda part: gzip.compress(part, 1)),
    "CIFAR-10, headers of the archive": ("a.tar.gz", read_cifar(0),
                                         lambda folder: tar_of("test_batch.bin", batch_of_bytes()),
                                         lambda part: gzip.compress(with_right_checksums_of_tar(part), 1)),
    "MNIST": ("images", lambda path: mnist._read_idx(path, (28, 28), 100), lambda folder: idx(), bytes),
    "MNIST, gzip": ("images.gz", lambda path: mnist._read_idx(path, (28, 28), 100),
                    lambda folder: gzip.compress(idx()), bytes),
    "MNIST, in the gzip": ("images.gz", lambda path: mnist._read_idx(path, (28, 28), 100), lambda folder: idx(),
                           lambda part: gzip.compress(part, 1)),
    "npz": ("a.npz", _npz.read_npz, lambda folder: zipped(array_file(np.arange(40)), compressed=False), bytes),
    "npz, deflated": ("a.npz", _npz.read_npz, lambda folder: zipped(array_file(np.arange(400))), bytes),
    "npz, in the zip": ("a.npz", _npz.read_npz, lambda folder: array_file(np.arange(40, dtype=np.float32)), zipped),
    "PNG": ("0.png", pku_digits.read_image, lambda folder: picture(), bytes),
    "PNG, right checksums": ("0.png", pku_digits.read_image, lambda folder: picture(), with_right_checksums_of_png),
    **{f"picture, {form}": ("0.png", read_picture, lambda folder, form=form: picture(form), bytes)
       for form in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")},
    "picture, TIFF with LZW": ("0.tif", read_picture, lambda folder: picture("TIFF", compression="tiff_lzw"), bytes),
    "picture, PNG, right checksums": ("0.png", read_picture, lambda folder: picture(), with_right_checksums_of_png),
    "JSON": ("a", fastnn.load, lambda folder: json.dumps(PREPROCESSING.to_dict()).encode(),
             lambda part: metadata_file({"fastnn_preprocessing": part.decode("latin-1")})),
    "JSON of a state": ("a", training.load_state, lambda folder: json.dumps(
                        {"a": {"$": "tensor", "name": "t"}, "b": {"$": "map", "items": [[1, 2.5], [3, None]]},
                         "c": {"$": "tuple", "items": [True, "text"]}, "d": [[-1, 10**20]]}).encode(),
                        lambda part: metadata_file({"fastnn": part.decode("latin-1"), "fastnn_kind": "checkpoint",
                                                    "fastnn_format": "1"})),
    "weights": ("w", fastnn.load, lambda folder: written(folder, lambda path: fastnn.save(MODEL, path)), bytes),
    "weights without a checksum": ("w", fastnn.load, lambda folder: without_checksum(
                                   written(folder, lambda path: fastnn.save(MODEL, path))), bytes),
    "checkpoint": ("c", fastnn.load,
                   lambda folder: written(folder, lambda path: training.save_state(path, STATE)), bytes),
    "PyTorch": ("w.pth", read_pth, lambda folder: pth(new_format), bytes),
    "PyTorch, compressed": ("w.pth", read_pth, lambda folder: pth(new_format, compressed=True), bytes),
    "PyTorch, pickle": ("w.pth", read_pth, lambda folder: pickled(pth_parts()[0]), pth_with_pickle(new_format)),
    "PyTorch, pickle of protocol 5": ("w.pth", read_pth, lambda folder: pickled(pth_parts()[0], 5),
                                      pth_with_pickle(new_format)),
    "PyTorch, old format": ("w.pth", read_pth, lambda folder: pth(old_format, **OF_OLD), bytes),
    "PyTorch, old format, pickle": ("w.pth", read_pth, lambda folder: pickled(pth_parts()[0], 4),
                                    pth_with_pickle(old_format, **OF_OLD)),
    "PyTorch, weights": ("w.pth", fastnn.load,
                         lambda folder: written(folder, lambda path: fastnn.save(MODEL, path), "w.pth"), bytes),
    "checkpoint without a checksum": ("c", fastnn.load, lambda folder: without_checksum(
                                      written(folder, lambda path: training.save_state(path, STATE))), bytes),
}  # fmt: skip


def metadata_file(metadata):
    header = {"__metadata__": metadata, "t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


@pytest.fixture
def folder():
    """In memory if there is such a place: most of the time of these tests would be that of the disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_file_is_read_or_refused(folder, monkeypatch, kind):
    monkeypatch.setattr(cifar10, "_RECORDS", RECORDS)
    name, read, make, finish = KINDS[kind]
    path, original = folder / name, make(folder)
    rng = random.Random(f"{kind} 1")
    path.write_bytes(finish(original))
    read(path)
    refused, slowest, before = 0, 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(MUTATIONS):
        content = finish(mutate(rng, original))
        path.write_bytes(content)
        start = time.perf_counter()
        try:
            read(path)
        except fastnn.FileError as error:
            refused += 1
            assert str(error).startswith(str(path)), (number, error)  # noqa: PT017
            assert error.path == str(path), (number, error)  # noqa: PT017
        except BaseException:
            print(f"mutation {number} of {kind}: {content[:4000]!r}")
            raise
        slowest = max(slowest, time.perf_counter() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{kind}: {MUTATIONS} files, {refused} refused, slowest {slowest:.3f} s, {grown:.0f} MB more")
    assert refused > MUTATIONS / 20
    assert slowest < SECONDS
    assert grown < MEGABYTES


def test_mutations_are_the_same_for_a_seed():
    content = bytes(range(256)) * 4
    first, second = ([mutate(random.Random(seed), content) for seed in range(200)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 150
    assert zlib.crc32(b"".join(first)) != zlib.crc32(content * 200)
