"""Preprocessing: an image becomes what the network saw, to the last bit, however it is given."""

import sys

import numpy as np
import pytest
from PIL import Image

from fastnn import data


@pytest.fixture
def flowers(tmp_path, rng):
    """A folder with two classes of images of several sizes."""
    for position, name in enumerate(["daisy/1.png", "daisy/2.jpg", "tulip/3.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + position, 31, 3), dtype=np.uint8)).save(tmp_path / name)
    return data.ImageFolder(tmp_path, size=(12, 10), resize="pad")


def batch_of(loader):
    ((x, _),) = loader
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_preprocessing_gives_the_bits_of_the_loader(flowers, dtype):
    x = batch_of(data.Loader(flowers, mean=flowers.mean, std=flowers.std, dtype=dtype))
    seen = flowers.preprocessing
    first = [Image.open(file) for file in flowers.files]
    for given in (flowers.images, list(flowers.images), list(flowers.files), first,
                  flowers.images.transpose(0, 2, 3, 1), [image.transpose(1, 2, 0) for image in flowers.images],
                  [flowers.files[0], first[1], flowers.images[2]], tuple(flowers.files)):  # fmt: skip
        result = seen(given, dtype=dtype)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, x)
    assert seen(flowers.images).dtype == np.float32
    for one in (flowers.files[1], first[1], flowers.images[1], np.asarray(first[1])):
        np.testing.assert_array_equal(seen(one, dtype), x[1:2])


def test_preprocessing_resizes_as_read_image_does(tmp_path, rng):
    pixels = rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for resize in ("crop", "squash", "pad"):
        for channels in (1, 3):
            expected = data.read_image(tmp_path / "a.png", (9, 14), channels, resize)[None] / np.float32(255)
            seen = data.Preprocessing(size=(9, 14), channels=channels, resize=resize)
            for given in (
                tmp_path / "a.png",
                pixels,
                pixels.transpose(2, 0, 1),
                [Image.fromarray(pixels)],
                pixels[None],
            ):
                np.testing.assert_array_equal(seen(given), expected)


def test_preprocessing_of_grey_images(rng):
    grey = rng.integers(0, 256, (6, 5), dtype=np.uint8)
    one, three = data.Preprocessing(size=(6, 5), channels=1), data.Preprocessing(size=(6, 5), channels=3)
    expected = (grey / 255).astype(np.float32)
    for given in (grey, grey[None], grey[:, :, None], grey[None, None], [grey]):
        np.testing.assert_array_equal(one(given), expected[None, None])
        np.testing.assert_array_equal(three(given), np.broadcast_to(expected, (1, 3, 6, 5)))
    assert one(np.repeat(grey[None, None], 4, axis=0)).shape == (4, 1, 6, 5)


def test_preprocessing_of_transparent_arrays_shows_white():
    clear = np.zeros((4, 6, 5), np.uint8)
    assert (data.Preprocessing(size=(6, 5))(clear) == 1).all()
    assert (data.Preprocessing(size=(6, 5))(clear.transpose(1, 2, 0)) == 1).all()


def test_preprocessing_normalises_each_channel():
    seen = data.Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), size=(1, 1))
    np.testing.assert_allclose(seen(np.uint8([[[51, 102, 153]]])).ravel(), [0.25, 0.4, 0.5], rtol=1e-6)


def test_preprocessing_of_floats_counts_them_as_they_are(rng):
    images = rng.random((3, 3, 4, 5)).astype(np.float32)
    loader = data.Loader(images, mean=0.5, std=0.25)
    np.testing.assert_array_equal(loader.preprocessing(images), batch_of(loader))
    np.testing.assert_array_equal(loader.preprocessing(list(images)), batch_of(loader))
    with pytest.raises(ValueError, match=r"images\[0\] must be bytes, or have 3 channels and size \(4, 5\)"):
        loader.preprocessing(images[0, :, :3])


def test_preprocessing_without_size_takes_any_but_of_one(rng):
    seen = data.Preprocessing()
    assert seen(np.zeros((3, 7, 9), np.uint8)).shape == (1, 3, 7, 9)
    assert seen(np.zeros((2, 3, 7, 9), np.uint8)).shape == (2, 3, 7, 9)
    with pytest.raises(ValueError, match=r"images\[1\] has shape \(3, 8, 9\), images\[0\] \(3, 7, 9\)"):
        seen([np.zeros((3, 7, 9), np.uint8), np.zeros((3, 8, 9), np.uint8)])
    with pytest.raises(TypeError, match=r"images\[1\] has dtype float32, images\[0\] uint8"):
        seen([np.zeros((3, 7, 9), np.uint8), np.zeros((3, 7, 9), np.float32)])


def test_preprocessing_of_the_right_size_needs_no_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    seen = data.Preprocessing(size=(4, 4))
    assert seen(np.zeros((2, 3, 4, 4), np.uint8)).shape == (2, 3, 4, 4)
    assert seen([np.zeros((4, 4, 3), np.uint8)]).shape == (1, 3, 4, 4)
    with pytest.raises(ImportError, match=r'Preprocessing: Pillow is needed: pip install "fastnn\[image\]"'):
        seen(np.zeros((3, 5, 5), np.uint8))


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (None, TypeError), ([], ValueError), (object(), TypeError), (7, TypeError), (np.zeros(3, np.uint8), ValueError),
        (np.zeros((5, 6, 7), np.uint8), ValueError), (np.zeros((0, 4), np.uint8), ValueError), ([None], TypeError),
        (np.zeros((4, 4), np.int64), TypeError), (np.zeros((4, 4), complex), TypeError), ([[1, 2], [3]], TypeError),
        (np.zeros((2, 3, 4, 4), np.int64), TypeError), (np.zeros((1, 1, 1, 4, 4), np.uint8), ValueError),
        (np.zeros((2, 5, 9, 9), np.uint8), ValueError), (b"bytes", TypeError),
    ],
)  # fmt: skip
def test_preprocessing_rejects_what_is_no_image(images, error):
    with pytest.raises(error, match="Preprocessing: "):
        data.Preprocessing(size=(4, 4))(images)


def test_preprocessing_rejects_another_dtype():
    for dtype in (np.int8, "nonsense", None, 3):
        with pytest.raises(TypeError, match="Preprocessing: dtype must be float32 or float64"):
            data.Preprocessing()(np.zeros((3, 4, 4), np.uint8), dtype)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": "a"}, {"mean": 1j}, {"mean": (0.1, 0.2)}, {"mean": float("nan")}, {"mean": True}, {"std": 0},
        {"std": (0.1, -1, 1)}, {"std": float("inf")}, {"size": 3}, {"size": (0, 1)}, {"size": (1, 2, 3)},
        {"size": "ab"},
        {"size": (1.5, 2)}, {"size": (70_000, 2)}, {"channels": 0}, {"channels": "3"}, {"channels": 5000},
        {"resize": "fit"}, {"resize": None}, {"classes": (1, 2)}, {"classes": 3}, {"mean": 10**400}, {"mean": None},
        {"size": [[1], [2]]}, {"mean": (0.1, 0.2, 0.3), "channels": 1}, {"resize": ["crop"]},
    ],
)  # fmt: skip
def test_preprocessing_rejects_bad_settings(change):
    with pytest.raises(ValueError, match=rf"Preprocessing: {next(iter(change))} must be.*Received"):
        data.Preprocessing(**change)


def test_preprocessing_by_default_only_divides_by_255():
    assert data.Preprocessing() == data.Preprocessing((0.0,), (1.0,), None, 3, "crop", ())


def test_preprocessing_takes_arrays_of_numbers():
    given = data.Preprocessing(np.array([0.1, 0.2, 0.3]), np.float32(0.5), np.array([4, 5]))
    assert given == data.Preprocessing((0.1, 0.2, 0.3), (0.5,), (4, 5))


# ---- of a loader -----------------------------------------------------------------------------------------------------
def test_loader_preprocessing_is_what_it_does(flowers):
    loader = data.Loader(flowers, mean=(0.1, 0.2, 0.3), std=0.5, augment=data.RandomHorizontalFlip())
    assert loader.preprocessing == data.Preprocessing(
        (0.1, 0.2, 0.3), (0.5,), (12, 10), 3, "pad", ("daisy", "tulip"))  # fmt: skip
    assert data.Loader(flowers).preprocessing.mean == (0.0,)
    plain = data.Loader(np.zeros((2, 1, 4, 5), np.uint8), std=2)
    assert plain.preprocessing == data.Preprocessing((0.0,), (2.0,), (4, 5), 1, "crop", ())


def test_loader_preprocessing_is_none_where_no_image_is_prepared_like_that():
    bright = np.ones((2, 3, 4, 4), np.float32)
    assert data.Loader(bright).preprocessing is not None
    for images in (np.zeros((3, 7), np.uint8), np.zeros((3, 7, 7), np.uint8), 255 * bright, bright - 1.5, 1.5 * bright,
                   bright * np.nan, np.zeros((0, 3, 4, 4), np.uint8), np.zeros((2, 5000, 1, 1), np.uint8)):  # fmt: skip
        assert data.Loader(images).preprocessing is None
