"""Colour and light: each image its own factor between the limits, against colorsys and formulas."""

import numpy as np
import pytest

from fastnn import data


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


@pytest.mark.parametrize("make", [data.Brightness, data.Contrast, data.Saturation])
def test_colour_blends_draw_factors_between_their_limits(make, rng):
    # 0.5 and its neighbours: the factor is how far they are apart afterwards.
    colour = np.array([0.45, 0.5, 0.55])[:, None, None]
    images = np.repeat(np.broadcast_to(colour, (3, 1, 2))[None], 800, axis=0).copy()
    images[:, :, :, 1] += 0.02
    spread = {
        data.Brightness: lambda x: x[:, 1, 0, 0] / 0.5,
        data.Contrast: lambda x: np.ptp(x[:, 1, 0], axis=1) / 0.02,
        data.Saturation: lambda x: (x[:, 2] - x[:, 0])[:, 0, 0] / 0.1,
    }[make]
    factors = spread(make(0.4)(images, rng))
    assert 0.6 - 1e-9 <= factors.min() < 0.62
    assert 1.38 < factors.max() <= 1.4 + 1e-9
    factors = spread(make((0.2, 0.5))(images, rng))
    assert 0.2 - 1e-9 <= factors.min() < 0.22
    assert 0.48 < factors.max() <= 0.5 + 1e-9


def test_hue_draws_turns_both_ways(rng):
    import colorsys

    images = np.repeat(np.array(colorsys.hsv_to_rgb(0.5, 0.8, 0.9)).reshape(1, 3, 1, 1), 500, axis=0)
    turns = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in data.Hue(0.2)(images, rng)[:, :, 0, 0]]) - 0.5
    assert -0.2 - 1e-9 <= turns.min() < -0.19
    assert 0.19 < turns.max() <= 0.2 + 1e-9


def test_colour_cuts_to_the_unit_range_and_takes_grey(rng):
    images = rng.random((5, 3, 4, 4))
    for augmentation in (
        data.Brightness((3, 3)),
        data.Contrast((5, 5)),
        data.Saturation((9, 9)),
        data.GaussianNoise(2),
    ):
        result = augmentation(images, rng)
        assert (result.min() >= 0, result.max() == 1) == (True, True)
    grey = rng.random((5, 1, 4, 4))
    np.testing.assert_allclose(data.Contrast((0, 0))(grey, rng), np.broadcast_to(
        grey.mean(axis=(1, 2, 3), keepdims=True), grey.shape))  # fmt: skip
    for augmentation in (data.Saturation(0.1), data.Hue(0.1), data.Brightness(0.1)):
        with pytest.raises(ValueError, match="colour images of 3 channels"):
            augmentation(np.zeros((5, 2, 4, 4)), rng)
    assert data.GaussianNoise().sigma == 0.1


def test_colour_of_bytes_is_rounded_to_the_nearest(rng):
    images = np.uint8([0, 1, 2, 3, 4, 255]).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(data.Brightness((0.6, 0.6))(images, rng).ravel(), [0, 1, 1, 2, 2, 153])
