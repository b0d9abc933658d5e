"""Shapes32: the same bytes everywhere, and a task that needs more than a linear model."""

import hashlib

import numpy as np
import pytest

from fastnn import data
from fastnn.data import shapes32


def sha256(dataset):
    return hashlib.sha256(dataset.images.tobytes() + dataset.labels.tobytes()).hexdigest()


def test_shapes32_same_bytes_on_every_machine():
    assert sha256(data.Shapes32(1000, seed=0)) == "15bdcf93958acf5e18f739a21d1a6a396a41e4b5eb7f954960f728c1d490197c"
    assert (
        sha256(data.Shapes32(300, seed=7, train=False))
        == "978dc91b77a8059b0c06edf40a247b17129d76966ec5fbecf645e3cb004be3c5"
    )


def test_shapes32_smaller_set_begins_the_larger():
    small, large = data.Shapes32(300, seed=3), data.Shapes32(700, seed=3)
    np.testing.assert_array_equal(small.images, large.images[:300])
    np.testing.assert_array_equal(small.labels, large.labels[:300])


def test_shapes32_splits_and_seeds_share_no_image():
    sets = [data.Shapes32(500, seed, train) for seed in (0, 1) for train in (True, False)]
    images = [image.tobytes() for shapes in sets for image in shapes.images]
    assert len(set(images)) == len(images)


def test_shapes32_is_balanced_and_as_documented():
    shapes = data.Shapes32(5000)
    assert (shapes.images.dtype, shapes.labels.dtype) == (np.uint8, np.int64)
    assert len(shapes.classes) == 10
    # 500 of each with a standard deviation of sqrt(5000 * 0.1 * 0.9) = 21; five of these either way
    assert abs(np.bincount(shapes.labels, minlength=10) - 500).max() < 106
    np.testing.assert_allclose(shapes.images.mean(axis=(0, 2, 3)) / 255, shapes.mean, atol=0.01)
    np.testing.assert_allclose(shapes.images.std(axis=(0, 2, 3)) / 255, shapes.std, atol=0.01)
    assert (len(data.Shapes32()), len(data.Shapes32(train=False)), len(data.Shapes32(0))) == (10_000, 2_000, 0)


def test_shapes32_outlines_have_the_areas_of_their_shapes():
    u, v = np.meshgrid(*[np.linspace(-1.5, 1.5, 3001, dtype=np.float32)] * 2)
    areas = {
        "disc": np.pi * 0.9**2,
        "ring": np.pi * (0.97**2 - 0.53**2),
        "square": 1.6**2,
        "frame": 1.7**2 - 0.9**2,
        "cross": 2 * 2 * 0.56 - 0.56**2,
        "stripes": 2 * 0.36 * 1.8,
        "checker": 2 * 0.9**2,
        "two discs": 2 * np.pi * 0.42**2,
    }
    for name, area in areas.items():
        covered = (shapes32._SHAPES[name](u, v) > 0).mean() * 9
        assert abs(covered / area - 1) < 0.01, name
    # An equilateral triangle around the origin has its sides at 0.55: its area is 3 sqrt(3) 0.55 squared.
    assert abs((shapes32._SHAPES["triangle"](u, v) > 0).mean() * 9 / (3 * np.sqrt(3) * 0.55**2) - 1) < 0.01
    half = (shapes32._SHAPES["half disc"](u, v) > 0).mean() * 9
    assert np.pi / 2 < half < np.pi / 2 + 0.2


def test_shapes32_defeats_a_linear_model():
    """Ridge regression in closed form, on means of 2 x 2 pixels (more features only overfit): chance is 10 %."""

    def features(shapes):
        cells = shapes.images.reshape(-1, 3, 16, 2, 16, 2).mean(axis=(3, 5), dtype=np.float32)
        return cells.reshape(len(shapes), -1) / 255 - 0.45

    train, test = data.Shapes32(10_000), data.Shapes32(2000, train=False)
    x, x_test = features(train), features(test)
    targets = np.eye(10, dtype=np.float32)[train.labels] - 0.1
    best = 0.0
    for penalty in (1, 30, 1000):
        weight = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1], dtype=np.float32), x.T @ targets)
        best = max(best, (np.argmax(x_test @ weight, axis=1) == test.labels).mean())
    assert 0.1 < best < 0.45


@pytest.mark.parametrize(("arguments", "error"), [((-1,), ValueError), ((2.5,), TypeError), ((3, -1), ValueError)])
def test_shapes32_rejects_bad_arguments(arguments, error):
    with pytest.raises(error, match="Shapes32"):
        data.Shapes32(*arguments)
