"""Loader and Dataset: several arrays of inputs and targets, in tuples and dicts."""

import numpy as np
import pytest

from fastnn import data


def pictures(rng, n=10, channels=3):
    return rng.integers(0, 256, (n, channels, 6, 6), dtype=np.uint8)


def same(a, b):
    """Whether two batches hold the same bits in the same places."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loader_gives_parts_in_their_places_and_the_order_of_one_array(rng, prefetch, dtype):
    left, right, numbers = pictures(rng), pictures(rng, channels=1), rng.standard_normal((10, 2))
    labels, marks = np.arange(10), rng.standard_normal(10)
    settings = {"batch_size": 4, "shuffle": True, "seed": 5, "mean": 0.4, "std": 0.2, "dtype": dtype}
    settings["prefetch"] = prefetch
    as_tuple = data.Loader((left, right, numbers), (labels, marks), **settings)
    names, targets = ("left", "right", "numbers"), ("class", "mark")
    as_dict = data.Loader(
        dict(zip(names, (left, right, numbers), strict=True)),
        dict(zip(targets, (labels, marks), strict=True)),
        **settings,
    )
    singles = [data.Loader(part, labels, **settings) for part in (left, right)]
    for epoch in range(2):
        as_dict.set_epoch(epoch)
        for batches in zip(as_tuple, as_dict, *singles, strict=True):
            (x, y), (x_by_name, y_by_name), (x0, labels0), (x1, _) = batches
            assert same(x[0], x0)
            assert same(x[1], x1)
            assert same(y[0], labels0)
            np.testing.assert_array_equal(x[2], numbers.astype(dtype)[labels0])
            np.testing.assert_array_equal(y[1], marks.astype(dtype)[labels0])
            assert (x[2].dtype, y[1].dtype, y[0].dtype) == (dtype, dtype, np.int64)
            assert same(x_by_name, dict(zip(names, x, strict=True)))
            assert same(y_by_name, dict(zip(targets, y, strict=True)))


def test_loader_leaves_integers_of_several_arrays_as_integers(rng):
    ((x, y),) = data.Loader((np.uint8([1, 200]), np.array([[True, False]] * 2), np.float16([[1], [2]])))
    assert [(part.dtype, part.shape) for part in x] == [(np.int64, (2,)), (np.float32, (2, 2)), (np.float32, (2, 1))]
    assert x[0].tolist() == [1, 200]
    assert y is None


def test_loader_augments_the_only_images_with_the_bits_of_one_array(rng):
    left, numbers = pictures(rng), rng.standard_normal((10, 2))
    settings = {"augment": [data.RandomCrop(1), data.RandomHorizontalFlip(), data.Brightness(0.3)], "batch_size": 3}
    for (x, _), (alone, _) in zip(data.Loader((numbers, left), **settings), data.Loader(left, **settings), strict=True):
        assert same(x[1], alone)


def test_loader_augments_the_parts_that_are_named(rng):
    images = pictures(rng)
    plain = data.Loader({"a": images, "b": images})
    for parts, changed in (("a", {"a"}), (["b"], {"b"}), (["a", "b"], {"a", "b"})):
        loader = data.Loader({"a": images, "b": images}, augment=data.Brightness(0.5), augment_parts=parts)
        ((x, _),), ((before, _),) = loader, plain
        assert {name for name in x if not same(x[name], before[name])} == changed
    assert not same(x["a"], x["b"])  # each has random numbers of its own
    ((x, _),), ((before, _),) = (
        data.Loader((images, images), augment=data.RandomCrop(2), augment_parts=1),
        data.Loader((images, images)),
    )
    assert (same(x[0], before[0]), same(x[1], before[1])) == (True, False)


def test_loader_continues_several_arrays_in_the_middle(rng):
    def make():
        return data.Loader(
            (pictures(np.random.default_rng(1)), np.arange(10.0)[:, None]), np.arange(10), batch_size=2, shuffle=True,
            augment=data.RandomCrop(1),
        )  # fmt: skip

    whole, loader = list(make()), make()
    batches = iter(loader)
    next(batches), next(batches)
    later = make()
    later.load_state_dict(loader.state_dict())
    rest = list(later)
    assert len(rest) == 3
    assert all(same(a, b) for a, b in zip(rest, whole[2:], strict=True))


IMAGES = np.zeros((4, 3, 8, 8), np.uint8)
FLIP = data.RandomHorizontalFlip()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dataset": (IMAGES, IMAGES[:3])}, r"images\[1\] has 3, images\[0\] has 4"),
        ({"dataset": {"left": IMAGES, "right": IMAGES[:3]}}, r"images\['right'\] has 3, images\['left'\] has 4"),
        ({"dataset": {"left": IMAGES, "n": np.float32(1)}}, r"images\['n'\] needs an axis"),
        ({"dataset": ()}, "images holds no arrays"),
        ({"dataset": {"a": IMAGES, "b": ["x"] * 4}}, r"images\['b'\] must hold numbers"),
        ({"dataset": (IMAGES, IMAGES.astype(int))}, r"images\[1\] has dtype int64; bytes in"),
        ({"dataset": (IMAGES, np.zeros((4, 8, 8, 3), np.uint8))}, r"images\[1\] has shape .*channels come first"),
        ({"dataset": IMAGES, "labels": (np.zeros(4), np.zeros(3))}, r"labels\[1\].shape=\(3,\)"),
        ({"dataset": IMAGES, "labels": {"a": np.zeros(4), "b": ["x"] * 4}}, r"labels\['b'\] must be integers"),
        ({"dataset": (IMAGES, IMAGES), "augment": FLIP}, r"say on which parts by augment_parts.*\[0, 1\] are images"),
        ({"dataset": (np.zeros((4, 2)),), "augment": FLIP}, "no part has the shape of images"),
        ({"dataset": {"a": IMAGES}, "augment": FLIP, "augment_parts": "b"}, r"augment_parts must be of \['a'\]"),
        ({"dataset": (IMAGES, np.zeros(4)), "augment": FLIP, "augment_parts": [1]}, "part 1 holds none"),
        ({"dataset": (IMAGES,), "augment_parts": 0}, "augment_parts needs augment"),
        ({"dataset": IMAGES, "augment": FLIP, "augment_parts": 0}, "Received: one array"),
        ({"dataset": (np.zeros((4, 2)),), "mean": 1}, "mean and std are of images"),
        ({"dataset": (IMAGES, IMAGES[:, :1]), "mean": [0, 0, 0]}, "mean must be one finite number, or 1"),
        ({"dataset": (IMAGES,), "std": 0}, "std must be positive"),
        ({"dataset": (IMAGES,), "labels": [0] * 4, "augment": data.MixUp()}, "mixes the images of one array"),
        ({"dataset": IMAGES, "labels": {"a": np.zeros(4, int)}, "augment": data.CutMix()}, "mixes the labels of one"),
    ],
)  # fmt: skip
def test_loader_names_the_part_that_is_wrong(arguments, words):
    with pytest.raises((TypeError, ValueError), match=rf"Loader: .*{words}"):
        data.Loader(**arguments)


def test_loader_takes_a_tuple_of_numbers_as_one_array_of_labels():
    ((_, y),) = data.Loader(IMAGES, (3, 1, 2, 0))
    assert y.tolist() == [3, 1, 2, 0]


def test_loader_of_several_arrays_shows_their_shapes_and_has_no_preprocessing(rng):
    loader = data.Loader((IMAGES, np.zeros((4, 2)), np.zeros(4)))
    assert repr(loader).startswith("Loader(4 images of 3 x 8 x 8, 2, 1, 1 batches of 128")
    assert loader.preprocessing is None


def test_dataset_of_several_arrays_is_indexed_cut_and_split(rng):
    left, numbers, labels = pictures(rng), rng.standard_normal((10, 2)), np.arange(10) % 2
    together = data.Dataset({"left": left, "numbers": numbers}, labels, ["odd", "even"])
    image, label = together[3]
    assert (same(image["left"], left[3]), label, len(together)) == (True, 1, 10)
    part = together.subset([7, 2])
    assert same(part.images, {"left": left[[7, 2]], "numbers": numbers[[7, 2]]})
    train, validation = together.split(0.4)
    assert (len(train), len(validation), sorted(validation.labels)) == (6, 4, [0, 0, 1, 1])
    ((x, y),) = data.Loader(together.subset(slice(2, 5)))
    assert (x["left"].shape, y.tolist()) == ((3, 3, 6, 6), [0, 1, 0])
    assert repr(together) == "Dataset(10 images of 3 x 6 x 6, 2)"


def test_dataset_of_several_labels_is_cut_but_not_split(rng):
    both = data.Dataset(pictures(rng), (np.arange(10), rng.standard_normal((10, 4))))
    assert both[2][1][0] == 2
    assert same(both.subset(slice(3)).labels, (both.labels[0][:3], both.labels[1][:3]))
    ((_, y),) = data.Loader(both)
    assert (y[0].dtype, y[1].dtype) == (np.int64, np.float32)
    with pytest.raises(ValueError, match=r"Dataset.split: there are labels of several kinds"):
        both.split(0.5)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        ((IMAGES, IMAGES[:3]), [0] * 4, r"images\[1\] has 3"),
        (IMAGES, {"a": np.zeros(4), "b": np.zeros(3)}, r"labels\['b'\].shape=\(3,\)"),
    ],
)
def test_dataset_names_the_part_that_is_wrong(images, labels, words):
    with pytest.raises(ValueError, match=rf"Dataset: .*{words}"):
        data.Dataset(images, labels)
