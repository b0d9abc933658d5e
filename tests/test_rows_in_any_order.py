"""Layers that take each row by itself read rows as they lie: channels last of pixel-major images need no copy."""

import numpy as np
import pytest

import fastnn
from fastnn import _layout, nn
from fastnn.autograd.observer import Observer, observing


class Copies(Observer):
    def __init__(self):
        self.purposes = []

    def copied(self, purpose, copy):
        self.purposes.append(purpose)


def layer_of(name, features, dtype):
    layer = nn.LayerNorm(features) if name == "layer norm" else nn.Linear(features, features)
    for parameter in layer.parameters():
        parameter.data = parameter.data.astype(dtype)
    if name == "linear in rows":  # not transposed in memory, as layers keep it
        layer.weight.data = np.ascontiguousarray(layer.weight.data)
    return layer


def run(layer, x, dy):
    """The result and all gradients."""
    x = fastnn.tensor(x, requires_grad=True)
    layer.zero_grad()
    y = layer(x)
    y.backward(dy)
    return [y.data, x.grad, *(p.grad.copy() for p in layer.parameters())]


def lying(x, order):
    """The same values, in memory in this order of axes."""
    return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("name", ["layer norm", "linear", "linear in rows"])
@pytest.mark.parametrize("order", [(1, 2, 0, 3), (2, 0, 1, 3), (1, 0, 2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_in_any_order_give_the_same_values(backend, name, order, dtype, rng):
    x, dy = (rng.standard_normal((2, 3, 4, 7)).astype(dtype) for _ in range(2))
    layer, watcher = layer_of(name, 7, dtype), Copies()
    with fastnn.backend(backend):
        expected = run(layer, x, dy)
        apart = run(layer, lying(x, order), dy)
        with observing(watcher):
            together = run(layer, lying(x, order), lying(dy, order))
    for found in (apart, together):
        for e, f in zip(expected, found, strict=True):
            assert f.dtype == dtype
            assert f.shape == e.shape
            # Sums of 24 rows of some ones, in another order.
            np.testing.assert_allclose(f, e, rtol=0, atol=24 * 10 * np.finfo(dtype).eps)
    if backend == "native":
        assert watcher.purposes == []
        assert all(a.transpose(order).flags.c_contiguous for a in together[:2])


def test_features_that_do_not_lie_last_are_copied_once_each_way(rng):
    x = np.ascontiguousarray(rng.standard_normal((2, 7, 3, 4), np.float32)).transpose(0, 2, 3, 1)
    watcher = Copies()
    with observing(watcher):
        y = nn.LayerNorm(7)(fastnn.tensor(x))
    assert len(watcher.purposes) == 1
    assert y.data.flags.c_contiguous


def test_norm_over_channels_of_pixel_major_images_copies_nothing(rng):
    convolution, norm, linear = nn.Conv2d(4, 6, 3, padding=1), nn.LayerNorm(6), nn.Linear(6, 4)
    x, dy = (_layout.pixel_major(rng.standard_normal((3, 4, 5, 5), np.float32)) for _ in range(2))
    watcher = Copies()
    with observing(watcher):
        x = fastnn.tensor(x, requires_grad=True)
        y = x + linear(norm(convolution(x).transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
        y.backward(dy)
    assert watcher.purposes == []
