"""Images in another size: values by hand, C and NumPy against the twin, exact transposes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@st.composite
def problems(draw):
    """Images and settings by name."""
    mode = draw(st.sampled_from(["nearest", "bilinear"]))
    settings = {"mode": mode}
    if mode == "bilinear":
        settings["align_corners"] = draw(st.booleans())
    if draw(st.booleans()):
        settings["size"] = draw(sizes)
    else:
        settings["scale_factor"] = draw(st.sampled_from([1, 2, 3.0, 1.3, (1, 2.5), 4]))
    rng = np.random.default_rng(draw(seeds))
    shape = (draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 17])), *draw(sizes))
    return rng.standard_normal(shape).astype(draw(dtypes)), settings


def test_interpolate_nearest_by_hand():
    x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    np.testing.assert_array_equal(F.interpolate(x, scale_factor=2)[0, 0], np.kron(x[0, 0], np.ones((2, 2))))
    np.testing.assert_array_equal(F.interpolate(x, size=(1, 3))[0, 0], [[1, 1, 2]])
    dy = np.arange(16.0).reshape(1, 1, 4, 4)
    dx = F.interpolate_backward(dy, (1, 1, 2, 2), scale_factor=2)
    np.testing.assert_array_equal(dx[0, 0], [[0 + 1 + 4 + 5, 2 + 3 + 6 + 7], [8 + 9 + 12 + 13, 10 + 11 + 14 + 15]])


def test_interpolate_bilinear_by_hand():
    x = np.array([[[[0.0, 4.0], [8.0, 12.0]]]])
    rows = np.array([0, 2, 6, 8])
    by_centres = rows[:, None] + np.array([0, 1, 3, 4])
    np.testing.assert_allclose(F.interpolate(x, scale_factor=2, mode="bilinear")[0, 0], by_centres, rtol=1e-15)
    corners = F.interpolate(x, size=(3, 5), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(corners[0, 0], np.array([0, 4, 8])[:, None] + np.arange(5), rtol=1e-15)
    dx = F.interpolate_backward(np.ones((1, 1, 1, 4)), (1, 1, 1, 2), size=(1, 4), mode="bilinear")
    np.testing.assert_array_equal(dx[0, 0], [[1 + 0.75 + 0.25, 0.25 + 0.75 + 1]])


@given(problem=problems())
def test_interpolate_matches_reference(isa, problem):
    x, settings = problem
    y = F.interpolate(x, **settings)
    assert_close(y, from_reference(F.interpolate, x, **settings), 6, from_reference(F.interpolate, abs(x), **settings))
    dy = np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)
    arguments = x.shape, settings.get("size"), settings.get("scale_factor"), settings["mode"]
    arguments += (settings.get("align_corners"),)
    dx = F.interpolate_backward(dy, *arguments)
    magnitude = from_reference(F.interpolate_backward, abs(dy), *arguments)
    assert_close(dx, from_reference(F.interpolate_backward, dy, *arguments), dy[0, 0].size + 6, magnitude)


@given(problem=problems())
def test_interpolate_backward_is_the_transpose(problem):
    x, settings = problem
    x = x.astype(np.float64)
    y = F.interpolate(x, **settings)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    dx = F.interpolate_backward(dy, x.shape, **settings)
    scale = np.sum(F.interpolate(abs(x), **settings) * abs(dy))
    assert abs(np.sum(y * dy) - np.sum(x * dx)) <= 1e-13 * scale


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_interpolate_keeps_equal_values_and_infinities_where_they_are(mode):
    """No infinity is multiplied by zero, which would be NaN and a warning."""
    x = np.full((1, 2, 3, 4), 2.5)
    np.testing.assert_array_equal(F.interpolate(x, size=(7, 5), mode=mode), np.full((1, 2, 7, 5), 2.5))
    x[0, 0, 1, 2] = np.inf
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            y = F.interpolate(x, scale_factor=3, mode=mode)
            assert not np.isnan(y).any()
            assert np.isinf(y[0, 0]).any()
            assert not np.isinf(y[0, 1]).any()
            assert not np.isnan(F.interpolate_backward(y, x.shape, scale_factor=3, mode=mode)).any()


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_interpolate_bits_do_not_depend_on_threads(isa, mode, dtype, rng):
    x = rng.standard_normal((9, 33, 11, 10)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y = F.interpolate(x, scale_factor=2, mode=mode)
        results.append((y, F.interpolate_backward(y, x.shape, scale_factor=2, mode=mode)))
    for y, dx in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(dx, results[0][1])


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_interpolate_result_is_pixel_major_and_read_as_it_is(mode):
    x = fastnn.tensor(np.ones((2, 3, 5, 4), np.float32), requires_grad=True)
    y = F.interpolate(x, (9, 3), mode=mode)
    before = fastnn.conversions()
    z = F.conv2d(y, np.ones((1, 3, 3, 3), np.float32))
    assert fastnn.conversions() == before
    z.sum().backward()
    assert x.grad.transpose(2, 3, 0, 1).flags.c_contiguous


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_interpolate_accepts_any_layout(layout, mode, rng):
    x = rng.standard_normal((2, 3, 4, 5))
    y = F.interpolate(layouts(x)[layout], 6, mode=mode)
    np.testing.assert_array_equal(y, F.interpolate(x, 6, mode=mode))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "one of size and scale_factor is needed. Received: size=None, scale_factor=None"),
        ({"size": 3, "scale_factor": 2}, ValueError, "one of size and scale_factor is needed. Received: size=3, scale"),
        ({"size": 0}, ValueError, "size must be one or two integers >= 1"),
        ({"scale_factor": -1}, ValueError, "scale_factor must be >= 0"),
        ({"scale_factor": 0}, ValueError, "scale_factor must be > 0"),
        ({"scale_factor": "2"}, TypeError, "scale_factor must be a number. Received: '2'"),
        ({"scale_factor": (1, 2, 3)}, ValueError, "scale_factor must be two numbers"),
        ({"scale_factor": 0.1}, ValueError, "the result would have no pixels. Received: x.shape=(1, 1, 4, 4)"),
        ({"size": 3, "mode": "cubic"}, ValueError, "mode must be 'nearest' or 'bilinear'. Received: 'cubic'"),
        ({"size": 3, "align_corners": False}, ValueError, "align_corners is for mode='bilinear'"),
        ({"size": 3, "mode": "bilinear", "align_corners": 2}, TypeError, "align_corners must be True or False"),
        ({"size": 3, "x": np.zeros((4, 4))}, ValueError, "x has 2 dimensions, 4 are needed"),
        ({"size": 3, "x": np.zeros((1, 1, 0, 4))}, ValueError, "the images have no pixels"),
    ],
)
def test_interpolate_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error) as caught:
        F.interpolate(**({"x": np.zeros((1, 1, 4, 4))} | arguments))
    assert str(caught.value).startswith(f"interpolate: {words}")


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_interpolate_backward_rejects_other_shapes(mode):
    with pytest.raises(ValueError, match=r"^interpolate_backward: dy must have shape \(1, 1, 8, 8\)"):
        F.interpolate_backward(np.zeros((1, 1, 4, 4)), (1, 1, 4, 4), scale_factor=2, mode=mode)


def test_upsample_is_described_and_names_itself():
    assert repr(nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=(2.0, 2.0), mode='nearest')"
    layer = nn.Upsample((4, 5), mode="bilinear", align_corners=True)
    assert repr(layer) == "Upsample(size=(4, 5), mode='bilinear', align_corners=True)"
    with pytest.raises(ValueError, match=r"^Upsample: x has 2 dimensions, 4 are needed"):
        layer(np.zeros((4, 4)))
