"""Dataset: what it takes, and what its parts keep."""

import numpy as np
import pytest

from fastnn import data


def small(n=10):
    """Images whose pixels are their number, in classes of different sizes."""
    labels = np.arange(n) % 4 % 3
    return data.Dataset(
        np.arange(n, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 2), np.uint8), labels, tuple("abc")
    )


@pytest.mark.parametrize(
    ("labels", "classes", "error", "words"),
    [
        ([0, 1], (), ValueError, r"one label for each image is needed. Received: 3 images, labels.shape=\(2,\)"),
        ([0, 1, 2], ("a", "b"), ValueError, r"lies outside \[0, 2\).*Received: labels from 0 to 2"),
        ([0, -1, 0], ("a", "b"), ValueError, r"Received: labels from -1 to 0"),
        ([0.0, 1.0, 1.0], (), ValueError, r"data\.Loader\(images, targets\)"),
        ([[True, False]] * 3, (), ValueError, r"data\.Loader\(images, targets\).*labels.dtype=bool"),
        ([[0], [1], [1]], (), ValueError, r"one integer label for each image"),
        (["a", "b", "a"], (), TypeError, "labels must be integers"),
        (None, (), TypeError, "labels must be an array of numbers"),
        ([0, 1, 1], "ab", TypeError, "classes must be names"),
        ([0, 1, 1], (1, 2), TypeError, "classes must be names"),
        ([0, 1, 1], 3, TypeError, "classes must be names"),
    ],
)  # fmt: skip
def test_dataset_checks_labels_and_classes(labels, classes, error, words):
    with pytest.raises(error, match=f"Dataset: .*{words}"):
        data.Dataset(np.zeros((3, 1, 2, 2), np.uint8), labels, classes)


def test_dataset_takes_booleans_and_any_integers():
    for labels in ([True, False, True], np.uint8([1, 0, 1]), [1, 0, 1]):
        dataset = data.Dataset(np.zeros((3, 1, 2, 2), np.uint8), labels)
        assert (dataset.labels.tolist(), dataset.labels.dtype) == ([1, 0, 1], np.int64)
    assert len(data.Dataset(np.zeros((0, 1, 2, 2), np.uint8), [])) == 0


@pytest.mark.parametrize("chosen", [[3, 1, 3], [-1], slice(1, 8, 3), np.arange(10) > 6, [], np.uint8([2]), slice(None)])
def test_dataset_subset_selects(chosen):
    whole = small()
    part = whole.subset(chosen)
    positions = np.arange(10)[chosen if not isinstance(chosen, list) else np.array(chosen, int)]
    assert part.images[:, 0, 0, 0].tolist() == positions.tolist()
    assert part.labels.tolist() == whole.labels[positions].tolist()
    assert np.shares_memory(part.images, whole.images) == isinstance(chosen, slice)
    assert len(whole) == 10


def test_dataset_subset_keeps_class_and_attributes():
    whole = small()
    whole.mean, whole.std, whole.origin = (0.25,), (0.5,), "the garden"
    part = whole.subset([1, 2]).subset([0])
    assert (part.mean, part.std, part.origin, part.classes) == ((0.25,), (0.5,), "the garden", ("a", "b", "c"))
    shapes = data.Shapes32(20).subset([3, 1])
    assert isinstance(shapes, data.Shapes32)
    assert (len(shapes), shapes[0][1]) == (2, data.Shapes32(20)[3][1])


@pytest.mark.parametrize(
    ("indices", "error"),
    [
        ("a", ValueError), (None, TypeError), (3, ValueError), ([[1]], ValueError), ([0.5], TypeError),
        ([10], IndexError), ([-11], IndexError), ([True], ValueError), ([1j], TypeError), (slice("a", 2), TypeError),
        (slice(0, 2, 0), ValueError), ([2**63], IndexError), ([[1], [1, 2]], ValueError),
    ],
)  # fmt: skip
def test_dataset_subset_rejects_what_selects_nothing(indices, error):
    with pytest.raises(error, match=r"Dataset\.subset: "):
        small().subset(indices)


def test_dataset_split_takes_the_fraction_of_each_class():
    labels = np.repeat([0, 1, 2, 5], [100, 6, 4, 30])
    whole = data.Dataset(np.arange(140, dtype=np.uint8)[:, None], labels)
    first, second = whole.split(0.3)
    assert np.bincount(second.labels).tolist() == [30, 2, 1, 0, 0, 9]  # of six 1.8, of four 1.2
    assert np.bincount(first.labels).tolist() == [70, 4, 3, 0, 0, 21]
    for part in (first, second):
        assert part.images[:, 0].tolist() == sorted(part.images[:, 0].tolist())
        assert (labels[part.images[:, 0]] == part.labels).all()
    assert sorted([*first.images[:, 0], *second.images[:, 0]]) == list(range(140))


def test_dataset_split_depends_on_the_seed_only():
    whole = data.Dataset(np.arange(200, dtype=np.uint8)[:, None], np.arange(200) % 2)
    chosen = [tuple(whole.split(0.5, seed)[1].images[:, 0]) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert tuple(whole.split(0.5)[1].images[:, 0]) == chosen[0]
    assert chosen[0] != tuple(range(100))


def test_dataset_split_leaves_one_of_each_class_on_both_sides():
    whole = data.Dataset(np.zeros((6, 1), np.uint8), [0, 0, 1, 2, 2, 2])
    for fraction, counts in ((0.01, [1, 0, 1]), (0.99, [1, 0, 2])):
        assert np.bincount(whole.split(fraction)[1].labels, minlength=3).tolist() == counts
    with pytest.raises(ValueError, match=r"Dataset\.split: no class has two images"):
        whole.subset([0, 2, 3]).split(0.5)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0,), ValueError), ((1,), ValueError), ((-0.5,), ValueError), (("a",), TypeError),
        ((float("nan"),), ValueError), ((None,), TypeError), ((0.5, -1), ValueError), ((0.5, "a"), TypeError),
    ],
)  # fmt: skip
def test_dataset_split_rejects_bad_arguments(arguments, error):
    with pytest.raises(error, match=r"Dataset\.split: (fraction|seed)"):
        small().split(*arguments)
