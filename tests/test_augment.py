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
        ({"shifts": [[-6, 0]]}, IndexError), ({"shifts": [[0, 6]]}, IndexError),
        ({"shifts": [[0, 0, 0]]}, ValueError), ({"flips": [1]}, ValueError), ({"flips": [True, False]}, ValueError),
        ({"boxes": [[1, 2, 3]]}, ValueError), ({"fill": [1, 2]}, ValueError), ({"mean": np.nan}, ValueError),
        ({"std": 0}, ValueError), ({"padding_mode": "wrap"}, ValueError), ({"dtype": np.int32}, TypeError),
    ],
)  # fmt: skip
def test_augment_batch_rejects_what_does_not_fit(change, error):
    for images in (np.zeros((5, 3, 6, 6), np.uint8), np.zeros((5, 3, 6, 6))):  # in C, and in NumPy
        with pytest.raises(error, match="augment_batch: "):
            F.augment_batch(images, **({"indices": [0]} | change))


def test_augment_batch_by_default_only_divides_by_255(rng):
    images = rng.integers(0, 256, (3, 2, 4, 5), dtype=np.uint8)
    x = F.augment_batch(images, [2, 0])
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, (images[[2, 0]] / 255).astype(np.float32))
    shifted = F.augment_batch(images, [1], shifts=[[1, -2]], boxes=[[0, 3, 1, 5]])
    expected = np.zeros((1, 2, 4, 5), np.float32)
    expected[0, :, :3, 2:] = images[1, :, 1:, :3] / 255
    expected[0, :, 0, 3:] = 0
    np.testing.assert_array_equal(shifted, expected)


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
    for shape in ((1, 1, 3, 3), (1, 1, 3, 9), (1, 1, 9, 3)):
        with pytest.raises(ValueError, match="RandomCrop: padding 3 is not less than the image"):
            data.RandomCrop(3)(np.zeros(shape, np.uint8), rng)


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
        [cutout, crop],
        [cutout, cutout],
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


@pytest.mark.parametrize(
    "make",
    [
        lambda: data.RandomCrop(-1), lambda: data.RandomCrop(2, "wrap"), lambda: data.RandomHorizontalFlip(1.5),
        lambda: data.Cutout(-2), lambda: data.Rotate((20, 10)), lambda: data.Rotate(float("nan")),
        lambda: data.Scale((0, 1)), lambda: data.Brightness(-1), lambda: data.Hue(0.6), lambda: data.GaussianNoise(-1),
        lambda: data.MixUp(0), lambda: data.CutMix(-1), lambda: data.AlternatingFlip(-1), lambda: data.Translate(-1),
        lambda: data.GaussianNoise(10**400), lambda: data.Brightness((0, float('inf'))),
        lambda: data.Scale(float('nan')),
    ],
)  # fmt: skip
def test_augmentation_rejects_bad_settings(make):
    with pytest.raises(ValueError, match="Received"):
        make()


# ---- what they draw from, and that each image gets its own -----------------------------------------------------------
ALL = [*GEOMETRIC, *COLOUR, data.Compose([data.RandomCrop(3), data.Brightness(0.4)])]


@pytest.mark.parametrize("augmentation", [a for a in ALL if not isinstance(a, data.AlternatingFlip)], ids=repr)
def test_augmentation_of_equal_images_differs_and_without_a_generator_follows_manual_seed(augmentation, rng):
    images = np.repeat(rng.integers(0, 256, (1, 3, 9, 14), dtype=np.uint8), 30, axis=0)
    fastnn.manual_seed(3)
    first, second = augmentation(images), augmentation(images)
    least = 2 if isinstance(augmentation, data.RandomHorizontalFlip) else 15
    assert len({image.tobytes() for image in first}) >= least
    assert not np.array_equal(first, second)
    fastnn.manual_seed(3)
    np.testing.assert_array_equal(augmentation(images), first)


@pytest.mark.parametrize("augmentation", ALL, ids=repr)
def test_augmentation_rejects_other_generators_and_single_images(augmentation, rng):
    name = type(augmentation).__name__
    for bad in (0, "a", np.random.RandomState(0), np.random):
        with pytest.raises(TypeError, match=f"{name}: rng must be a generator"):
            augmentation(np.zeros((1, 3, 9, 9), np.uint8), bad)
    with pytest.raises(ValueError, match=rf"{name}: images has 3 dimensions.*one image is images\[None\]"):
        augmentation(np.zeros((3, 9, 9), np.uint8), rng)


def plane(h, w, down, right, n=1):
    """Images whose values grow by `down` with each row and by `right` with each column, 0.5 in the centre."""
    i, j = np.mgrid[0:h, 0:w]
    values = 0.5 + down * (i - (h - 1) / 2) + right * (j - (w - 1) / 2)
    return np.repeat(values[None, None], n, axis=0)


def slopes(images):
    """For each image its value in the centre, and how it grows there with rows and columns."""
    h, w = images.shape[2:]
    i, j = h // 2, w // 2
    x = images[:, 0]
    centre = x[:, i - (h % 2 == 0) : i + 1, j - (w % 2 == 0) : j + 1].mean(axis=(1, 2))
    return centre, (x[:, i + 1, j] - x[:, i - 1, j]) / 2, (x[:, i, j + 1] - x[:, i, j - 1]) / 2


@pytest.mark.parametrize(("h", "w"), [(15, 24), (24, 15), (16, 16)])
def test_rotate_draws_angles_up_to_its_limit_both_ways(h, w, rng):
    centre, down, right = slopes(data.Rotate(30)(plane(h, w, 0, 0.02, 500), rng))
    np.testing.assert_allclose(centre, 0.5, atol=1e-12)
    np.testing.assert_allclose(np.hypot(down, right), 0.02, rtol=1e-9)
    # What grew to the right grows upwards after a turn that is counter-clockwise as seen.
    angles = np.rad2deg(np.arctan2(-down, right))
    assert -30 <= angles.min() < -29
    assert 29 < angles.max() <= 30
    assert abs(angles.mean()) < 5 * 60 / np.sqrt(12 * 500)
    _, down, right = slopes(data.Rotate((10, 20))(plane(h, w, 0, 0.02, 200), rng))
    angles = np.rad2deg(np.arctan2(-down, right))
    assert 10 <= angles.min() < 10.5
    assert 19.5 < angles.max() <= 20


@pytest.mark.parametrize(("h", "w"), [(15, 24), (24, 15)])
def test_scale_draws_factors_between_its_limits_for_both_axes(h, w, rng):
    centre, down, right = slopes(data.Scale((0.8, 1.6))(plane(h, w, 0.01, 0.02, 500), rng))
    np.testing.assert_allclose(centre, 0.5, atol=1e-12)
    np.testing.assert_allclose(right, 2 * down, rtol=1e-9)
    factors = 0.01 / down
    assert 0.8 <= factors.min() < 0.82
    assert 1.58 < factors.max() <= 1.6


@pytest.mark.parametrize(("h", "w"), [(15, 24), (24, 15)])
def test_translate_draws_rows_and_columns_by_themselves(h, w, rng):
    rows = (slopes(data.Translate(3)(plane(h, w, 0.01, 0, 500), rng))[0] - 0.5) / 0.01
    rng = np.random.default_rng(5)
    columns = (slopes(data.Translate(3)(plane(h, w, 0, 0.01, 500), rng))[0] - 0.5) / 0.01
    again = (slopes(data.Translate(3)(plane(h, w, 0.01, 0, 500), np.random.default_rng(5)))[0] - 0.5) / 0.01
    for moved in (rows, columns):
        assert -3 <= moved.min() < -2.9
        assert 2.9 < moved.max() <= 3
    assert abs(np.corrcoef(columns, again)[0, 1]) < 0.25
    assert abs(rows - rows.round()).max() > 0.2  # by fractions too


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_random_crop_draws_rows_and_columns_by_themselves(mode, rng):
    image = np.arange(1, 36, dtype=np.uint8).reshape(5, 7)
    padded = np.pad(image, 2, mode="reflect" if mode == "reflect" else "constant")
    windows = {padded[i : i + 5, j : j + 7].tobytes() for i in range(5) for j in range(5)}
    crops = data.RandomCrop(2, mode)(np.repeat(image[None, None], 500, axis=0), rng)
    assert {crop.tobytes() for crop in crops} == windows
    assert data.RandomCrop(2).mode == "zeros"


def test_random_horizontal_flip_mirrors_as_often_as_it_says(rng):
    images = np.tile(np.uint8([0, 1]), (2000, 1, 1, 1))
    for flip, p in ((data.RandomHorizontalFlip(0.2), 0.2), (data.RandomHorizontalFlip(), 0.5)):
        mirrored = flip(images, rng)[:, 0, 0, 0].sum()
        assert abs(mirrored - 2000 * p) < 5 * np.sqrt(2000 * p * (1 - p))


def test_alternating_flip_belongs_to_the_image_and_to_the_seed():
    images = np.tile(np.array([0, 255], np.uint8), (200, 1, 1, 1))

    def flips(seed=0, **settings):
        loader = data.Loader(images, np.arange(200), 32, augment=data.AlternatingFlip(seed), **settings)
        order, first = zip(*[(y, x[:, 0, 0, 0]) for x, y in loader], strict=True)
        return np.concatenate(first)[np.argsort(np.concatenate(order))].tolist()

    assert flips() == flips(shuffle=True)
    assert flips() != flips(seed=1)
    np.testing.assert_array_equal(data.AlternatingFlip()(images)[:, 0, 0, 0] / 255, flips())


@pytest.mark.parametrize(("size", "h", "w"), [(1, 5, 9), (4, 9, 6), (5, 7, 12), (5, 12, 7), (9, 20, 11), (0, 4, 4)])
def test_cutout_covers_as_its_centre_says(size, h, w, rng):
    covered = data.Cutout(size, fill=1)(np.zeros((3000, 1, h, w), np.float32), rng)[:, 0].astype(bool)
    # Square i of the centres 0 to h - 1: rows max(0, i - size // 2) up to i - size // 2 + size.
    expected = set()
    for i in range(h):
        for j in range(w):
            box = np.zeros((h, w), bool)
            top, left = i - size // 2, j - size // 2
            box[max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)] = True
            expected.add(box.tobytes())
    assert {box.tobytes() for box in covered} == expected


def test_cutout_fills_each_channel(rng):
    images = np.zeros((4, 3, 6, 6), np.float32)
    full = data.Cutout(100, fill=(0.1, 0.2, 0.3))(images, rng)
    np.testing.assert_array_equal(full, np.broadcast_to(np.float32([0.1, 0.2, 0.3])[:, None, None], images.shape))
    assert (data.Cutout(100)(images, rng) == 0.5).all()
    for fill, byte in ((2, 255), (-1, 0)):  # cut to what a byte can be
        assert (data.Cutout(100, fill)(np.full((4, 3, 6, 6), 9, np.uint8), rng) == byte).all()
    with pytest.raises(ValueError, match="fill must be one finite number, or 1"):
        data.Cutout(2, fill=(0.1, 0.2, 0.3))(images[:, :1], rng)


def test_augmentation_in_a_loader_comes_before_the_normalisation(rng):
    images = rng.integers(0, 256, (20, 3, 7, 9), dtype=np.uint8)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5, 0.6])
    for steps in ([data.RandomCrop(2), data.Cutout(3, (0.9, 0.8, 0.7))], [data.RandomCrop(2), data.Brightness(0.5)]):
        ((plain, _),) = data.Loader(images, augment=steps, dtype=np.float64)
        ((x, _),) = data.Loader(images, augment=steps, mean=mean, std=std, dtype=np.float64)
        np.testing.assert_allclose(x, (plain - mean[:, None, None]) / std[:, None, None], rtol=1e-12, atol=1e-12)


def test_augmentation_settings_as_given_and_shown():
    assert data.Brightness(0.25).amount == (0.75, 1.25)
    assert data.Brightness(2).amount == (0, 3)
    assert data.Brightness([0.5, 3]).amount == (0.5, 3)
    assert data.Hue(0.1).amount == (-0.1, 0.1)
    assert data.Hue((-0.5, 0.5)).amount == (-0.5, 0.5)
    assert data.Rotate(360).degrees == (-360, 360)
    assert data.Rotate(np.array([0, 10])).degrees == (0, 10)
    assert data.Scale(0.25).scale == (0.75, 1.25)
    assert data.Scale(5).scale == (1e-3, 6)
    assert data.MixUp().alpha == data.CutMix().alpha == 1
    assert repr(data.Compose([data.Cutout(3), data.Rotate(5)])) == (
        "Compose(steps=[Cutout(size=3, fill=0.5), Rotate(degrees=(-5.0, 5.0))])")  # fmt: skip


# ---- extreme arguments -----------------------------------------------------------------------------------------------
def test_augment_batch_rejects_shifts_whose_absolute_value_is_none():
    images = np.zeros((1, 1, 4, 4), np.uint8)
    for shift in (-(2**63), 2**63 - 1):
        for shifts in ([[shift, 0]], [[0, shift]]):
            with pytest.raises(IndexError, match="a shift is as large as the image"):
                F.augment_batch(images, [0], shifts=np.array(shifts, np.int64))


def test_augment_batch_boxes_may_reach_anywhere():
    big = 2**63 - 1
    x = F.augment_batch(np.zeros((1, 1, 2, 2), np.uint8), [0], boxes=[[-big, -big, big, big]], fill=1)
    np.testing.assert_array_equal(x, 1)


def test_warp_batch_rejects_maps_that_float32_cannot_hold():
    x = np.zeros((1, 1, 2, 2), np.float32)
    with pytest.raises(ValueError, match="finite in float32"):
        F.warp_batch(x, [[[1e300, 0, 0], [0, 1, 0]]])
    assert F.warp_batch(x.astype(np.float64), [[[1e300, 0, 0], [0, 1, 0]]]).shape == x.shape
    for fill in (None, "a", np.nan, np.inf, 1j, 10**400):
        with pytest.raises(ValueError, match="warp_batch: fill must be a finite number"):
            F.warp_batch(x, [[[1, 0, 0], [0, 1, 0]]], fill)


@pytest.mark.parametrize(
    ("seed", "epoch", "mirrored"),
    [(0, 0, "001001101100000110100000"), (3, 1, "100001011011100100110001")],
)
def test_alternating_flip_mirrors_the_images_that_published_runs_saw(seed, epoch, mirrored):
    placement = data.augment.Placement(np.arange(24), (4, 4), epoch)
    data.AlternatingFlip(seed).place(placement, np.random.default_rng(0))
    assert "".join(str(int(flip)) for flip in placement.flips) == mirrored
