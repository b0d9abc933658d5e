"""Augmentation: C against the NumPy twins, the twins against loops, the classes against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, seeds

import fastnn
from fastnn import data, reference
from fastnn import functional as F

GEOMETRIC = [data.RandomCrop(3), data.RandomCrop(3, "reflect"), data.RandomHorizontalFlip(), data.AlternatingFlip(),
             data.Cutout(5), data.Translate(2.5), data.Rotate(30), data.Scale(0.3)]  # fmt: skip
COLOUR = [data.Brightness(0.4), data.Contrast(0.4), data.Saturation(0.4), data.Hue(0.2), data.GaussianNoise(0.1)]


def random_batch(rng, n_images, n, c, h, w):
    images = rng.integers(0, 256, (n_images, c, h, w), dtype=np.uint8)
    corners = rng.integers(-2, max(h, w) + 2, (n, 4))
    return images, {
        "indices": rng.integers(0, n_images, n),
        "shifts": np.stack([rng.integers(1 - h, h, n), rng.integers(1 - w, w, n)], axis=1),
        "flips": rng.random(n) < 0.5,
        "boxes": corners,
        "fill": rng.random(c),
        "mean": rng.random(c),
        "std": rng.uniform(0.1, 1, c),
    }


# ---- augment_batch ---------------------------------------------------------------------------------------------------
@given(n=st.integers(0, 40), c=st.integers(1, 5), h=st.integers(1, 9), w=st.integers(1, 20),
       reflect=st.booleans(), dtype=dtypes, seed=seeds)  # fmt: skip
def test_augment_batch_matches_reference(n, c, h, w, reflect, dtype, seed):
    images, settings = random_batch(np.random.default_rng(seed), 7, n, c, h, w)
    settings |= {"padding_mode": "reflect" if reflect else "zeros", "dtype": dtype}
    batch = F.augment_batch(images, **settings)
    np.testing.assert_array_equal(batch, from_reference(F.augment_batch, images, **settings))
    assert batch.dtype == dtype
    assert batch.transpose(2, 3, 0, 1).flags.c_contiguous


def test_augment_batch_same_bits_with_any_thread_count(rng):
    images, settings = random_batch(rng, 30, 100, 3, 32, 32)
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        results.append(F.augment_batch(images, **settings).tobytes())
    assert len(set(results)) == 1


def test_reference_augment_batch_matches_loops(rng):
    images, s = random_batch(rng, 4, 6, 2, 5, 7)
    indices, shifts, flips, boxes, fill, mean, std = s.values()
    for reflect in (False, True):
        result = reference.augment_batch(images, indices, shifts, flips, boxes, fill, mean, std, reflect)
        padded = [np.pad(image.astype(float) / 255, ((0, 0), (4, 4), (6, 6)), mode="reflect" if reflect else "constant")
                  for image in images]  # fmt: skip
        for k in range(6):
            down, right = shifts[k]
            view = padded[indices[k]][:, 4 + down : 9 + down, 6 + right : 13 + right]
            view = (view[:, :, ::-1] if flips[k] else view).copy()
            top, left, bottom, right = np.maximum(boxes[k], 0)
            view[:, top:bottom, left:right] = fill[:, None, None]
            np.testing.assert_allclose(result[k], (view - mean[:, None, None]) / std[:, None, None], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_augment_batch_of_floats_is_that_of_bytes(dtype, rng):
    images, settings = random_batch(rng, 5, 8, 3, 6, 6)
    batch = F.augment_batch((images / 255).astype(dtype), dtype=dtype, **settings)
    # A pixel of 1 rounds by eps / 2, and mean and std make at most 1 / 0.1 of it.
    np.testing.assert_allclose(batch, F.augment_batch(images, dtype=dtype, **settings), atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1)))))
def test_augment_batch_accepts_any_layout(layout, rng):
    images, settings = random_batch(rng, 5, 4, 3, 6, 6)
    given = layouts(images)[layout]
    before = given.copy()
    np.testing.assert_array_equal(F.augment_batch(given, **settings), F.augment_batch(images, **settings))
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"indices": [5]}, IndexError), ({"indices": [-1]}, IndexError), ({"indices": [0.5]}, TypeError),
        ({"indices": [[0]]}, ValueError), ({"shifts": [[6, 0]]}, IndexError), ({"shifts": [[0, -6]]}, IndexError),
        ({"shifts": [[0, 0, 0]]}, ValueError), ({"flips": [1]}, ValueError), ({"flips": [True, False]}, ValueError),
        ({"boxes": [[1, 2, 3]]}, ValueError), ({"fill": [1, 2]}, ValueError), ({"mean": np.nan}, ValueError),
        ({"std": 0}, ValueError), ({"padding_mode": "wrap"}, ValueError), ({"dtype": np.int32}, TypeError),
    ],
)  # fmt: skip
def test_augment_batch_rejects_what_does_not_fit(change, error):
    with pytest.raises(error, match="augment_batch"):
        F.augment_batch(np.zeros((5, 3, 6, 6), np.uint8), **({"indices": [0]} | change))


# ---- warp_batch ------------------------------------------------------------------------------------------------------
@given(n=st.integers(0, 5), c=st.integers(1, 4), h=st.integers(1, 8), w=st.integers(1, 8), dtype=dtypes, seed=seeds)
def test_warp_batch_matches_reference(n, c, h, w, dtype, seed):
    rng = np.random.default_rng(seed)
    x, maps = rng.random((n, c, h, w)).astype(dtype), rng.normal(0, 2, (n, 2, 3))
    np.testing.assert_array_equal(F.warp_batch(x, maps, 0.5), from_reference(F.warp_batch, x, maps, 0.5))


def test_warp_batch_same_bits_with_any_thread_count(rng):
    x, maps = rng.random((20, 3, 32, 32)).astype(np.float32), rng.normal(0, 1, (20, 2, 3))
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        results.append(F.warp_batch(x, maps).tobytes())
    assert len(set(results)) == 1


def test_warp_batch_is_linear_interpolation_inside(rng):
    i, j = np.mgrid[0:8, 0:9].astype(float)
    plane = (3 * i - 2 * j + 1)[None, None]  # bilinear sampling is exact on it
    a, b = 0.7 * i + 0.1 * j + 0.2, 0.2 * i + 0.6 * j + 0.3
    result = F.warp_batch(plane, [[[0.7, 0.1, 0.2], [0.2, 0.6, 0.3]]])
    assert_close(result[0, 0], 3 * a - 2 * b + 1, terms=8, magnitude=np.full(a.shape, 50.0))


def test_warp_batch_far_outside_is_fill_and_rejects_nan():
    x = np.ones((2, 1, 3, 3), np.float32)
    far = np.array([[[1, 0, 1e30], [0, 1, 0]], [[1, 0, 0], [0, 1, -1e30]]])
    np.testing.assert_array_equal(F.warp_batch(x, far, 0.25), np.full_like(x, 0.25))
    with pytest.raises(ValueError, match="warp_batch"):
        F.warp_batch(x, far * np.nan)
    with pytest.raises(ValueError, match="warp_batch"):
        F.warp_batch(x, far[:1])


# ---- the classes -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("augmentation", GEOMETRIC + COLOUR, ids=repr)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_augmentation_keeps_shape_dtype_and_its_input(augmentation, dtype, rng):
    images = rng.integers(0, 256, (6, 3, 12, 10)).astype(dtype)
    images = images if dtype == np.uint8 else images / dtype(255)
    before = images.copy()
    result = augmentation(images, np.random.default_rng(1))
    assert result.shape == images.shape
    assert result.dtype == dtype
    assert not np.array_equal(result, images)
    assert result.min() >= 0
    assert result.max() <= (255 if dtype == np.uint8 else 1)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(result, augmentation(images, np.random.default_rng(1)))


@pytest.mark.parametrize("augmentation", GEOMETRIC + COLOUR, ids=repr)
def test_augmentation_rejects_other_arrays(augmentation, rng):
    with pytest.raises(ValueError, match=type(augmentation).__name__):
        augmentation(np.zeros((3, 4, 4), np.uint8), rng)
    with pytest.raises(TypeError, match=type(augmentation).__name__):
        augmentation(np.zeros((1, 3, 4, 4), np.int64), rng)


def test_random_crop_shows_every_window(rng):
    image = np.arange(1, 10, dtype=np.uint8).reshape(1, 1, 3, 3)
    padded = np.pad(image[0, 0], 1)
    windows = {padded[i : i + 3, j : j + 3].tobytes() for i in range(3) for j in range(3)}
    assert {crop.tobytes() for crop in data.RandomCrop(1)(np.repeat(image, 300, axis=0), rng)} == windows
    with pytest.raises(ValueError, match="RandomCrop"):
        data.RandomCrop(3)(image, rng)


def test_flip_probabilities_zero_and_one(rng):
    images = rng.integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
    np.testing.assert_array_equal(data.RandomHorizontalFlip(0)(images, rng), images)
    np.testing.assert_array_equal(data.RandomHorizontalFlip(1)(images, rng), images[:, :, :, ::-1])


def test_alternating_flip_shows_both_ways_in_two_epochs():
    loader = data.Loader(
        np.tile(np.array([0, 255], np.uint8), (1000, 1, 1, 1)), augment=data.AlternatingFlip(), batch_size=64
    )
    epochs = [np.concatenate([x for x, _ in loader])[:, 0, 0, 0] for _ in range(3)]
    np.testing.assert_array_equal(epochs[0], 1 - epochs[1])
    np.testing.assert_array_equal(epochs[0], epochs[2])
    # 1000 fair coins: 500 with a standard deviation of 15.8; five of these either way
    assert abs(epochs[0].sum() - 500) < 80


def test_cutout_covers_squares_also_at_the_border(rng):
    covered = data.Cutout(4, fill=1.0)(np.zeros((500, 1, 8, 8), np.float32), rng)[:, 0]
    assert set(np.unique(covered)) == {0, 1}
    assert covered.sum(axis=(1, 2)).max() == 16
    assert covered.sum(axis=(1, 2)).min() == 4  # centred in the upper left corner: two by two
    assert covered.any(axis=0).all()


def test_crop_and_flip_in_either_order_are_one_pass_and_equal_two(rng):
    images = rng.integers(0, 256, (50, 3, 9, 9), dtype=np.uint8)
    crop, flip, cutout = data.RandomCrop(2), data.RandomHorizontalFlip(), data.Cutout(3)
    for steps in (
        [crop, flip],
        [flip, crop],
        [flip, data.RandomCrop(2, "reflect"), flip, cutout],
        [cutout, flip, crop],  # not one pass: what follows a cutout is done by itself
        [crop, crop],
    ):
        loader = data.Loader(images, batch_size=50, augment=steps, seed=3)
        ((fused, _),) = loader
        one_by_one = data.Compose(steps)((images / 255).astype(np.float32), loader._generator(1, 0, 0))
        np.testing.assert_allclose(fused, one_by_one, rtol=2 * np.finfo(np.float32).eps)


def test_rotate_by_right_angles_moves_pixels(rng):
    images = rng.random((2, 3, 6, 6))
    for quarter in (1, 2, 3):
        turned = data.Rotate((90 * quarter, 90 * quarter))(images, rng)
        np.testing.assert_allclose(turned, np.rot90(images, quarter, axes=(2, 3)), atol=1e-13)


def test_scale_enlarges_and_translate_moves(rng):
    image = np.zeros((1, 1, 9, 9))
    image[0, 0, 3:6, 3:6] = 1
    assert data.Scale((2, 2))(image, rng).sum() > 2 * image.sum()
    assert data.Scale((0.5, 0.5))(image, rng).sum() < image.sum() / 2
    moved = data.Translate(2)(np.repeat(image, 200, axis=0), rng)
    np.testing.assert_allclose(moved.sum(axis=(1, 2, 3)), 9)  # nothing is lost: it stays inside
    rows = (moved[:, 0].sum(axis=2) * np.arange(9)).sum(axis=1) / 9
    assert 2 <= rows.min() < 2.2
    assert 5.8 < rows.max() <= 6


def test_colour_extremes(rng):
    images = rng.random((3, 3, 4, 4))
    grey = np.tensordot(images, [0.299, 0.587, 0.114], (1, 0))[:, None]
    assert not data.Brightness((0, 0))(images, rng).any()
    np.testing.assert_allclose(data.Saturation((0, 0))(images, rng), np.repeat(grey, 3, axis=1))
    np.testing.assert_allclose(
        data.Contrast((0, 0))(images, rng), np.broadcast_to(grey.mean(axis=(1, 2, 3), keepdims=True), images.shape)
    )
    for same in (data.Brightness(0), data.Contrast(0), data.Saturation(0), data.Hue(0), data.GaussianNoise(0)):
        np.testing.assert_allclose(same(images, rng), images, atol=1e-15)
    with pytest.raises(ValueError, match="Hue: colour images"):
        data.Hue(0.1)(images[:, :1], rng)


def test_hue_agrees_with_colorsys(rng):
    import colorsys

    images = rng.random((1, 3, 5, 5))
    images[0, :, 0, 0] = 0.3  # grey has no hue
    for turn in (0.1, -0.25, 0.5):
        turned = data.Hue((turn, turn))(images, rng)
        for i, j in np.ndindex(5, 5):
            h, s, v = colorsys.rgb_to_hsv(*images[0, :, i, j])
            np.testing.assert_allclose(turned[0, :, i, j], colorsys.hsv_to_rgb((h + turn) % 1, s, v), atol=1e-12)


def test_gaussian_noise_has_its_deviation(rng):
    noise = data.GaussianNoise(0.05)(np.full((10, 3, 32, 32), 0.5), rng) - 0.5
    n = noise.size
    assert abs(noise.mean()) < 5 * 0.05 / np.sqrt(n)
    assert abs(noise.std() / 0.05 - 1) < 5 / np.sqrt(2 * n)


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


@pytest.mark.parametrize(
    "make",
    [
        lambda: data.RandomCrop(-1), lambda: data.RandomCrop(2, "wrap"), lambda: data.RandomHorizontalFlip(1.5),
        lambda: data.Cutout(-2), lambda: data.Rotate((20, 10)), lambda: data.Rotate(float("nan")),
        lambda: data.Scale((0, 1)), lambda: data.Brightness(-1), lambda: data.Hue(0.6), lambda: data.GaussianNoise(-1),
        lambda: data.MixUp(0), lambda: data.CutMix(-1), lambda: data.AlternatingFlip(-1), lambda: data.Translate(-1),
    ],
)  # fmt: skip
def test_augmentation_rejects_bad_settings(make):
    with pytest.raises(ValueError, match="Received"):
        make()
