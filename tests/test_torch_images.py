"""Layers that change the size of images against PyTorch: which pixel is read, and the gradients of a whole network."""

import numpy as np
import pytest
import torch
from torch import nn as tnn
from torch.nn import functional as TF

import fastnn
from fastnn import functional as F
from fastnn import nn

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 31, 48])
def test_torch_nearest_pixel_is_the_same_for_all_sizes(size):
    x = np.arange(size, dtype=np.float32).reshape(1, 1, 1, size)
    for out in range(1, 100):
        expected = TF.interpolate(torch.from_numpy(x), size=(1, out)).numpy()
        np.testing.assert_array_equal(F.interpolate(x, size=(1, out)), expected)
    for factor in np.linspace(1 / size, 5, 97).tolist():
        expected = TF.interpolate(torch.from_numpy(x), scale_factor=(1.0, factor)).numpy()
        np.testing.assert_array_equal(F.interpolate(x, scale_factor=(1.0, factor)), expected)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 31])
def test_torch_bilinear_is_the_same_for_all_sizes(size, align_corners, rng):
    x = rng.standard_normal((1, 2, size, 3))
    mode = {"mode": "bilinear", "align_corners": align_corners}
    for out in range(1, 60):
        expected = TF.interpolate(torch.from_numpy(x), size=(out, 4), **mode).numpy()
        np.testing.assert_allclose(F.interpolate(x, size=(out, 4), **mode), expected, rtol=0, atol=1e-13)
    for factor in np.linspace(1 / size, 5, 37).tolist():
        expected = TF.interpolate(torch.from_numpy(x), scale_factor=(factor, 1.5), **mode).numpy()
        np.testing.assert_allclose(F.interpolate(x, scale_factor=(factor, 1.5), **mode), expected, rtol=0, atol=1e-13)


def parts(library):
    """The layers of a network that goes down and up again, of either library."""
    return library.ModuleList([
        library.Conv2d(3, 8, 3),
        library.PixelUnshuffle(2),
        library.Conv2d(32, 12, 3),
        library.ConvTranspose2d(12, 8, 3, stride=2, padding=1, output_padding=1),
        library.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        library.ConvTranspose2d(16, 8, 4, 2, 1, groups=4, bias=False),
        library.PixelShuffle(2),
        library.Upsample((14, 15)),
        library.ReflectionPad2d(1),
        library.ReplicationPad2d((1, 0, 2, 1)),
        library.ZeroPad2d(1),
    ])  # fmt: skip


def down_and_up(layers, join, x):
    first, unshuffle, second, wider, smooth, grouped, shuffle, sized, reflect, replicate, zeros = layers
    fine = first(reflect(x))
    coarse = second(replicate(zeros(unshuffle(fine))))
    up = wider(coarse)
    both = join([sized(smooth(up)), sized(fine)])
    return shuffle(grouped(both))


def test_torch_gradients_of_a_network_that_goes_down_and_up(rng):
    ours, theirs = parts(nn).astype(np.float64), parts(tnn).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in ours.state_dict().items()})
    x = rng.standard_normal((2, 3, 16, 16))
    x_ours, x_theirs = fastnn.tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
    y = down_and_up(ours, lambda both: np.concatenate(both, axis=1), x_ours)
    expected = down_and_up(theirs, lambda both: torch.cat(both, dim=1), x_theirs)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=0, atol=1e-12)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    expected.backward(torch.from_numpy(dy.copy()))
    np.testing.assert_allclose(x_ours.grad, x_theirs.grad.numpy(), rtol=0, atol=1e-10)
    for (key, parameter), wanted in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad, wanted.grad.numpy(), rtol=0, atol=1e-10, err_msg=key)
