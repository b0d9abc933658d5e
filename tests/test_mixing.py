"""MixUp and CutMix: pixels and labels in one proportion, of any shape, as alpha says."""

import numpy as np
import pytest

import fastnn
from fastnn import data


@pytest.mark.parametrize("mixing", [data.MixUp(1.0), data.CutMix(1.0)], ids=repr)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mixing_mixes_labels_as_it_mixes_pixels(mixing, dtype):
    # Image i is all black or all white, its label tells which: the mean of a pixel must be the label's probability.
    labels = np.arange(64) % 2
    images = np.zeros((64, 1, 8, 8), dtype) + labels[:, None, None, None].astype(dtype) * dtype(
        255 if dtype == np.uint8 else 1
    )
    before = images.copy()
    parts = set()
    for seed in range(10):
        mixed, soft = mixing(images, labels, np.random.default_rng(seed), num_classes=2)
        unit = mixed / (255 if dtype == np.uint8 else 1)
        np.testing.assert_allclose(unit.mean(axis=(1, 2, 3)), soft[:, 1], atol=0.5 / 255 if dtype == np.uint8 else 1e-6)
        np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
        assert mixed.dtype == dtype
        parts.update(soft.ravel().tolist())
    assert len(parts) > 10
    np.testing.assert_array_equal(images, before)


def test_mixing_rejects_bad_labels(rng):
    images = np.zeros((2, 1, 4, 4), np.float32)
    for labels, classes in (([0, 1], None), ([0, 2], 2), ([-1, 0], 2), ([0.5, 0.5], 2), ([0, 1, 1], 2)):
        with pytest.raises(ValueError, match=r"one_hot|MixUp"):
            data.MixUp()(images, labels, rng, num_classes=classes)


@pytest.mark.parametrize("mixing", [data.MixUp(), data.CutMix()], ids=repr)
def test_mixing_without_a_generator_follows_manual_seed(mixing, rng):
    images = rng.integers(0, 256, (8, 3, 9, 14), dtype=np.uint8)
    fastnn.manual_seed(3)
    first, second = (mixing(images, np.arange(8), num_classes=8) for _ in range(2))
    assert not np.array_equal(first[1], second[1])
    fastnn.manual_seed(3)
    for array, again in zip(mixing(images, np.arange(8), num_classes=8), first, strict=True):
        np.testing.assert_array_equal(array, again)


@pytest.mark.parametrize("make", [data.MixUp, data.CutMix])
def test_mixing_alpha_says_how_much_is_mixed(make, monkeypatch, rng):
    parts = []

    def noted(self, images, partner, part, rng):
        parts.append(part)
        return images, part

    monkeypatch.setattr(make, "mix", noted)
    n = 1000
    for alpha in (0.05, 1, 100):
        parts.clear()
        for _ in range(n):
            make(alpha)(np.zeros((2, 1, 1, 1)), [0, 1], rng, 2)
        # Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)).
        variance = 1 / (4 * (2 * alpha + 1))
        assert abs(np.mean(parts) - 0.5) < 5 * np.sqrt(variance / n)
        assert 0.8 < np.var(parts) / variance < 1.25


@pytest.mark.parametrize(("h", "w"), [(7, 12), (13, 4), (1, 9), (9, 1), (8, 8)])
def test_cutmix_labels_follow_the_area_on_any_shape(h, w):
    labels = np.arange(6) % 2
    images = np.zeros((6, 1, h, w), np.float32) + labels[:, None, None, None]
    seen = set()
    for seed in range(60):
        mixed, soft = data.CutMix()(images, labels, np.random.default_rng(seed), 2)
        np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), soft[:, 1], atol=1e-6)
        seen.add(round(float(soft.max()), 6))
    assert len(seen) > 1 or h * w < 10


def test_cutmix_rectangles_have_the_shape_of_the_image_and_lie_anywhere():
    h, w = 24, 48
    images = np.stack([np.zeros((1, h, w)), np.ones((1, h, w))])
    centres = []
    for seed in range(300):
        mixed, part = data.CutMix().mix(images, np.array([1, 0]), 0.75, np.random.default_rng(seed))
        rows, columns = np.flatnonzero(mixed[0, 0].any(axis=1)), np.flatnonzero(mixed[0, 0].any(axis=0))
        assert part == 1 - len(rows) * len(columns) / (h * w)
        np.testing.assert_array_equal(mixed[1], 1 - mixed[0])
        # A quarter of the area: half of each side, cut off at the border.
        assert len(rows) <= h // 2
        assert len(columns) <= w // 2
        if rows[0] > 0 and rows[-1] < h - 1:
            assert len(rows) == h // 2
        if columns[0] > 0 and columns[-1] < w - 1:
            assert len(columns) == w // 2
        centres.append((rows.mean(), columns.mean()))
    centres = np.array(centres)
    assert (np.ptp(centres, axis=0) > [0.6 * h, 0.6 * w]).all()
    assert abs(np.corrcoef(centres.T)[0, 1]) < 0.25


def test_mixup_pixels_are_weighted_means(rng):
    images = rng.random((2, 3, 4, 5))
    mixed, part = data.MixUp().mix(images, np.array([1, 0]), 0.3, rng)
    assert part == 0.3
    np.testing.assert_allclose(mixed, 0.3 * images + 0.7 * images[::-1], rtol=1e-14)


def test_mixing_takes_partners_from_the_whole_batch_and_keeps_probabilities(rng):
    images = np.zeros((50, 1, 2, 2))
    probabilities = np.eye(50)
    mixed, soft = data.MixUp()(images, probabilities, rng)
    assert (mixed.dtype, soft.dtype) == (np.float64, np.float64)
    np.testing.assert_allclose(soft.sum(axis=1), 1)
    np.testing.assert_allclose(soft.sum(axis=0), 1)  # each is the partner of one
    own = np.diag(soft)
    assert (own < 1).sum() > 40
    assert len(set(own[own < 1].round(12))) == 1  # one part for the batch


@pytest.mark.parametrize(
    ("labels", "settings", "error"),
    [
        ("ab", {}, ValueError), (None, {}, TypeError), ([0, 1], {"num_classes": "a"}, TypeError), (3, {}, ValueError),
        ([0, 1], {"num_classes": 0}, ValueError), ([0, 1], {"rng": 3}, TypeError), (np.eye(3), {}, ValueError),
        (np.zeros((2, 2), int), {}, TypeError), (np.zeros((2, 2, 2)), {}, ValueError),
        ([0, 1], {"num_classes": 2**70}, ValueError), (["a", "b"], {}, ValueError),
    ],
)  # fmt: skip
def test_mixing_rejects_nonsense(labels, settings, error):
    with pytest.raises(error, match=r"(MixUp|one_hot): "):
        data.MixUp()(np.zeros((2, 1, 4, 4), np.float32), labels, **({"num_classes": 2} | settings))


def test_compose_rejects_what_is_no_augmentation_and_mixing_outside_a_loader(rng):
    for steps in ("ab", 3, [lambda x, rng: x], [data.RandomCrop], None):
        with pytest.raises(TypeError, match=r"Compose: steps must be augmentations. Received"):
            data.Compose(steps)
    both = data.Compose([data.RandomCrop(1), data.MixUp()])
    with pytest.raises(TypeError, match=r"MixUp\(alpha=1.0\) does not map images to images; give it to a Loader"):
        both(np.zeros((2, 1, 4, 4), np.uint8), rng)
    ((_, y),) = data.Loader(np.zeros((2, 1, 4, 4), np.uint8), [0, 1], augment=both)
    assert y.shape == (2, 2)


def test_mixing_draws_its_partners():
    partners = set()
    for seed in range(5):
        _, soft = data.MixUp()(np.zeros((12, 1, 2, 2)), np.eye(12), np.random.default_rng(seed))
        np.fill_diagonal(soft, 0)
        partners.add(tuple(soft.argmax(axis=1)))
    assert len(partners) == 5
