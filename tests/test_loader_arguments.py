"""Loader: which images, targets and settings it takes, and what it says of others."""

import numpy as np
import pytest

from fastnn import data


def numbered(n):
    """Images that all of whose pixels are their label."""
    labels = np.arange(n)
    return np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (n, 1, 4, 4)).copy(), labels


# ---- targets and images ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("labels", "dtype", "expected"),
    [
        ([True, False, True], np.float32, np.int64), ([[True, False]] * 3, np.float32, np.float32),
        ([[True]] * 3, np.float64, np.float64), ([0.5, 1.5, 2.5], np.float32, np.float32),
        (np.float16([[1], [2], [3]]), np.float64, np.float64), (np.uint8([3, 4, 5]), np.float32, np.int64),
        (np.zeros((3, 4, 4), np.int32), np.float64, np.int64),
        (np.float32([1, 2, 3]).astype(">f4"), np.float32, np.float32),
    ],
)  # fmt: skip
def test_loader_casts_targets(labels, dtype, expected):
    ((x, y),) = data.Loader(np.zeros((3, 1, 2, 2), np.float64), labels, dtype=dtype)
    assert (x.dtype, y.dtype, y.dtype.isnative) == (dtype, expected, True)
    np.testing.assert_array_equal(y, np.asarray(labels, np.float64))


def test_loader_and_dataset_accept_lists_of_images(rng):
    images = rng.integers(0, 256, (3, 2, 5, 4), dtype=np.uint8)
    np.testing.assert_array_equal(data.Dataset(list(images), [0, 1, 2]).images, images)
    ((x, _),) = data.Loader(list(images))
    np.testing.assert_array_equal(x, (images / 255).astype(np.float32))


@pytest.mark.parametrize("make", [lambda images: data.Loader(images, [0] * len(images)),
                                  lambda images: data.Dataset(images, [0] * len(images))])  # fmt: skip
def test_loader_and_dataset_name_what_is_wrong_with_images(make):
    pixels = np.full((3, 32, 32), 7, np.uint8)
    for images, error, words in (
        ([pixels, pixels, pixels[:, :20, :31]], ValueError,
         r"images\[2\] has shape \(3, 20, 31\), images\[0\] \(3, 32, 32\): all must have one size; resize them"),
        ([pixels, pixels.astype(np.float32)], TypeError, r"images\[1\] has dtype float32, images\[0\] uint8"),
        (np.zeros((5, 32, 30, 3), np.uint8), ValueError,
         r"shape \(N, 32, 30, 3\): channels come first; use images\.transpose\(0, 3, 1, 2\)"),
        (np.zeros((5, 28, 28, 1), np.float32), ValueError, r"channels come first"),
        (np.zeros((5, 9, 8, 4), np.float32), ValueError, r"channels come first"),
        (["a.png", "b.png"], TypeError, r"images must hold numbers; data\.read_image and data\.ImageFolder read files"),
        ([None, None], TypeError, r"images\[0\] must be an array of numbers"),
        (np.zeros(5, np.uint8), ValueError, "images has 1 dimensions"),
        (np.zeros((5, 3, 4, 4), complex), TypeError, "images must hold numbers"),
    ):  # fmt: skip
        with pytest.raises(error, match=words) as caught:
            make(images)
        assert len(str(caught.value)) < 300  # no arrays are dumped


def test_loader_does_not_take_narrow_maps_for_channels_last():
    for shape in ((2, 64, 4, 4), (2, 512, 1, 1), (2, 3, 40, 3), (2, 16, 100, 1), (2, 4, 9, 4), (2, 64, 3, 3)):
        ((x, _),) = data.Loader(np.zeros(shape, np.uint8))
        assert x.shape == shape


def test_loader_says_how_to_cast_integers_and_to_augment_grey():
    with pytest.raises(
        TypeError, match=r"int64; bytes in 0\.\.255 are images\.astype\(numpy\.uint8\), other numbers images"
    ):
        data.Loader(np.zeros((2, 3, 4, 4), int))
    with pytest.raises(ValueError, match=r"of grey ones that is images\[:, None\]"):
        data.Loader(np.zeros((2, 4, 4), np.uint8), augment=data.RandomCrop(1))


def test_loader_says_how_to_give_symbols():
    symbols = np.arange(12).reshape(4, 3)
    with pytest.raises(TypeError, match=r"symbols, which stay integers, are given in a tuple: \(images,\)"):
        data.Loader(symbols)
    ((x,), y) = next(iter(data.Loader((symbols,), [0, 1, 0, 1])))
    assert (x.dtype, x.tolist(), y.tolist()) == (np.int64, symbols.tolist(), [0, 1, 0, 1])


# ---- settings --------------------------------------------------------------------------------------------------------
def test_loader_default_settings(rng):
    images = rng.integers(0, 256, (300, 1, 2, 2), dtype=np.uint8)
    batches = list(data.Loader(images, np.arange(300)))
    assert [len(x) for x, _ in batches] == [128, 128, 44]
    assert np.concatenate([y for _, y in batches]).tolist() == list(range(300))
    x = np.concatenate([x for x, _ in batches])
    np.testing.assert_array_equal(x, (images / 255).astype(np.float32))


def test_loader_repr_tells_its_settings():
    plain = data.Loader(np.zeros((10, 5), np.float32), batch_size=3)
    assert repr(plain) == "Loader(10 images of 5, 4 batches of 3, mean=0.0, std=1.0, seed=0)"
    loader = data.Loader(data.Shapes32(10), batch_size=4, shuffle=True, drop_last=True, mean=[0.1, 0.2, 0.3], std=0.5,
                         augment=[data.RandomCrop(4), data.MixUp(0.2)], seed=3)  # fmt: skip
    assert repr(loader) == (
        "Loader(10 images of 3 x 32 x 32, 2 batches of 4, shuffle, drop_last, "
        "augment=[RandomCrop(padding=4, mode='zeros'), MixUp(alpha=0.2)], mean=[0.1, 0.2, 0.3], std=0.5, seed=3)"
    )


def test_loader_num_classes_is_given_named_or_the_largest_label():
    images, labels = numbered(4)
    for arguments, settings, n in (
        ((data.Dataset(images, labels, tuple("abcdef")),), {}, 6),
        ((data.Dataset(images, labels, tuple("abcdef")), None), {"num_classes": 9}, 9),
        ((images, labels), {}, 4),
        ((images, labels), {"num_classes": 7}, 7),
    ):  # fmt: skip
        ((_, y),) = data.Loader(*arguments, augment=data.MixUp(), **settings)
        assert y.shape == (4, n)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"shuffle": "no"}, TypeError), ({"drop_last": None}, TypeError), ({"prefetch": 2}, TypeError),
        ({"dtype": "nonsense"}, TypeError), ({"dtype": None}, TypeError), ({"mean": "a"}, TypeError),
        ({"mean": 1j}, TypeError), ({"std": [[1], [1, 2]]}, ValueError), ({"num_classes": 0}, ValueError),
        ({"num_classes": 2.5}, TypeError), ({"num_classes": 2**70}, ValueError), ({"labels": [1j] * 4}, TypeError),
        ({"labels": [[1], [1, 2], 3, 4]}, ValueError), ({"labels": [None] * 4}, TypeError), ({"labels": 7}, ValueError),
        ({"labels": np.full(4, 2**63, np.uint64)}, ValueError), ({"augment": "flip"}, TypeError),
        ({"augment": 3}, TypeError),
        ({"augment": data.RandomCrop}, TypeError), ({"dataset": None}, TypeError), ({"dataset": "folder"}, TypeError),
    ],
)  # fmt: skip
def test_loader_rejects_nonsense(change, error):
    arguments = {"dataset": np.zeros((4, 3, 6, 6), np.uint8)} | change
    with pytest.raises(error, match=r"^Loader: "):
        data.Loader(**arguments)


@pytest.mark.parametrize("state", [None, 3, {"seed": 0, "epoch": 0, "batch": 8}, {"seed": 0, "epoch": "a", "batch": 0}])
def test_loader_rejects_states_that_are_none(state):
    loader = data.Loader(*numbered(50), 8)
    loader.set_epoch(3)
    with pytest.raises((ValueError, TypeError), match=r"Loader\.load_state_dict: "):
        loader.load_state_dict(state)
    assert loader.state_dict() == {"seed": 0, "epoch": 3, "batch": 0}
    loader.load_state_dict({"seed": 0, "epoch": 0, "batch": 7})  # all of an epoch
    assert list(loader) == []
