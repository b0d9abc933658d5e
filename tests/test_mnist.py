"""MNIST: the real test set, small IDX files, and headers that lie."""

import gzip
import os
import struct

import numpy as np
import pytest

from fastnn import data
from fastnn.data import _files, mnist


@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="NOT TESTED on the real MNIST: FASTNN_DATA is not set")
def test_mnist_real_test_set():
    digits = data.MNIST(train=False)
    assert digits.images.shape == (10_000, 1, 28, 28)
    assert digits.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert abs(digits.images.mean() / 255 - 0.1325) < 1e-3
    image, label = digits[0]
    assert (image.shape, label, digits.classes[label]) == ((1, 28, 28), 7, "7")


def idx(array):
    return struct.pack(f">I{array.ndim}I", 8 << 8 | array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setattr(_files, "cache_folder", lambda: tmp_path / "cache")
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (5, 28, 28)), np.array([0, 9, 3, 3, 1])


def write(folder, images, labels, compressed, split="train"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((f"{split}-images-idx3-ubyte", images), (f"{split}-labels-idx1-ubyte", labels)):
        content = content if isinstance(content, bytes) else idx(content)
        path = folder / (f"{name}.gz" if compressed else name)
        path.write_bytes(gzip.compress(content) if compressed else content)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw", "cache"])
@pytest.mark.parametrize("train", [True, False])
def test_mnist_reads_plain_and_compressed_files(small, compressed, folder, train, tmp_path):
    write(tmp_path / folder, *small, compressed, "train" if train else "t10k")
    digits = data.MNIST(None if folder == "cache" else tmp_path, train=train)
    np.testing.assert_array_equal(digits.images[:, 0], small[0])
    np.testing.assert_array_equal(digits.labels, small[1])
    assert digits.images.flags.writeable


@pytest.mark.parametrize("compressed", [True, False])
def test_mnist_reads_files_with_a_dot_in_their_names(small, compressed, tmp_path):
    write(tmp_path, *small, compressed)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    np.testing.assert_array_equal(data.MNIST(tmp_path).labels, small[1])


def test_mnist_of_more_images_than_there_are_is_an_error(small, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_MOST_IMAGES", {"train": 5, "t10k": 4})
    for split in ("train", "t10k"):
        write(tmp_path, *small, True, split)
    assert len(data.MNIST(tmp_path)) == 5
    with pytest.raises(data.DataError, match=r"5 items of shape .28, 28., at most 4"):
        data.MNIST(tmp_path, train=False)


def test_mnist_limits_are_those_of_the_data_set():
    assert mnist._MOST_IMAGES == {"train": 60_000, "t10k": 10_000}


def test_mnist_errors_carry_the_path(small, tmp_path):
    write(tmp_path, small[0], small[1][:-1], False)
    with pytest.raises(data.DataError, match=r"4 labels, .*train-images-idx3-ubyte has 5 images") as info:
        data.MNIST(tmp_path)
    assert info.value.path == str(tmp_path / "train-labels-idx1-ubyte")


def test_mnist_missing_says_where_it_looked(small, tmp_path):
    with pytest.raises(data.DataNotFoundError, match=r"train-images-idx3-ubyte.*nowhere.*cache.*download=True"):
        data.MNIST(tmp_path / "nowhere")


def lies(images, labels):
    whole = idx(images)
    header, pixels = whole[:16], whole[16:]
    huge = struct.pack(">4I", 0x803, 2**32 - 1, 28, 28)
    yield "truncated", whole[:-1], labels
    yield "more", whole + b"\0", labels
    yield "empty", b"", labels
    yield "header only", header, labels
    yield "half a header", header[:9], labels
    yield "huge", huge + pixels, labels
    yield "large", struct.pack(">4I", 0x803, 9_000_000, 28, 28) + pixels, labels
    yield "another size", struct.pack(">4I", 0x803, 5, 56, 14) + pixels, labels
    yield "floats", struct.pack(">4I", 0xD03, 5, 28, 28) + pixels, labels
    yield "labels for images", idx(labels), labels
    yield "fewer labels", images, labels[:-1]
    yield "label 10", images, labels + 7


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("number", range(12))
def test_mnist_lying_file_is_an_error(small, compressed, number, tmp_path):
    _, images, labels = list(lies(*small))[number]
    write(tmp_path, images, labels, compressed)
    with pytest.raises(data.DataError):
        data.MNIST(tmp_path)


def test_mnist_damaged_gzip_is_an_error(small, tmp_path):
    write(tmp_path, *small, compressed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    wrong_checksum = whole[:-8] + b"\0\0\0\0" + whole[-4:]
    for content in (whole[:-12], whole[: len(whole) // 2], whole[:5], b"no gzip", wrong_checksum, whole + b"text"):
        path.write_bytes(content)
        with pytest.raises(data.DataError, match="train-images"):
            data.MNIST(tmp_path)


def test_mnist_bomb_is_not_expanded(small, tmp_path):
    images, labels = small
    write(tmp_path, images, labels, compressed=True)
    bomb = gzip.compress(idx(images) + bytes(200 << 20), 1)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    with pytest.raises(data.DataError, match="more than the 5 items"):
        data.MNIST(tmp_path)
