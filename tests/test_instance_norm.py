"""Instance normalisation: closed forms, running statistics, the twin, and what it refuses."""

import numpy as np
import pytest
from oracle import relative_error

from fastnn import functional as F
from fastnn import nn, reference


def test_instance_norm_by_hand():
    x = np.array([[[1.0, 3.0], [10.0, 30.0]], [[0.0, 8.0], [-1.0, 1.0]]])
    y = F.instance_norm(x, weight=np.array([1.0, 2.0]), bias=np.array([0.0, 5.0]), eps=0.0).y
    assert y.tolist() == [[[-1, 1], [3, 7]], [[-1, 1], [3, 7]]]


@pytest.mark.parametrize(("layer", "shape"), [(nn.InstanceNorm1d, (3, 4, 50)), (nn.InstanceNorm2d, (3, 4, 7, 9))])
@pytest.mark.parametrize("training", [True, False])
def test_instance_norm_gives_every_channel_of_every_image_mean_zero_and_variance_one(layer, shape, training, rng):
    x = 5 + rng.uniform(0.1, 3, (3, 4) + (1,) * (len(shape) - 2)) * rng.standard_normal(shape)
    y = layer(4, eps=0.0).train(training)(x)
    pixels = tuple(range(2, x.ndim))
    np.testing.assert_allclose(y.mean(pixels), 0, atol=1e-13)
    np.testing.assert_allclose(y.var(pixels), 1, rtol=1e-12)


def test_instance_norm_of_an_image_does_not_depend_on_the_others(rng):
    layer, x = nn.InstanceNorm2d(4), rng.standard_normal((3, 4, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(layer(x)[1:2], layer(x[1:2]))


def test_instance_norm_running_statistics_by_hand():
    """Means 2 and 20, unbiased variances 2 and 200 of two images; their means are 11 and 101."""
    x = np.array([[[1.0, 3.0]], [[10.0, 30.0]]])
    layer = nn.InstanceNorm1d(1, momentum=0.1, track_running_stats=True)
    layer(x)
    np.testing.assert_allclose(layer.running_mean, [1.1], rtol=1e-6)
    np.testing.assert_allclose(layer.running_var, [0.9 + 10.1], rtol=1e-6)
    before = layer.running_mean
    layer.eval()
    y = layer(x)
    np.testing.assert_allclose(y, (x - 1.1) / np.sqrt(11 + 1e-5), rtol=1e-6)
    assert layer.running_mean is before
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0]
    assert layer.running_var.tolist() == [1]


@pytest.mark.parametrize("shape", [(3, 4, 6), (3, 4, 6, 5)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("use_input_stats", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_instance_norm_agrees_with_its_twin(isa, threads, shape, affine, use_input_stats, dtype, rng):
    x = (2 + rng.standard_normal(shape)).astype(dtype)
    weight, bias = (rng.standard_normal((2, 4)).astype(dtype)) if affine else (None, None)
    mean, var = rng.standard_normal(4), rng.uniform(0.5, 2, 4)
    arguments = x, mean, var, weight, bias, use_input_stats, 0.3, 1e-3
    for actual, expected in zip(F.instance_norm(*arguments), reference.instance_norm(*arguments), strict=True):
        assert relative_error(actual, expected) < 10 * np.finfo(dtype).eps


def test_instance_norm_does_not_change_its_arguments():
    mean, var = np.zeros(2), np.ones(2)
    result = F.instance_norm(np.arange(12.0).reshape(2, 2, 3), mean, var)
    assert not mean.any()
    assert (var == 1).all()
    assert result.running_mean.tolist() == [0.1 * (1 + 7) / 2, 0.1 * (4 + 10) / 2]


X = np.zeros((2, 3, 4, 5), np.float32)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.InstanceNorm2d(4)(X),
            r"InstanceNorm2d: x has 3 channels, num_features is 4. .* x.shape=\(2, 3, 4, 5",
        ),
        (lambda: nn.InstanceNorm2d(3)(X[0]), r"InstanceNorm2d: x has 3 dimensions, 4 are needed. .* x.shape=\(3, 4, 5"),
        (lambda: nn.InstanceNorm1d(3)(X), "InstanceNorm1d: x has 4 dimensions, 3 are needed"),
        (lambda: nn.InstanceNorm2d(3)(X[:, :, :1, :1]), "InstanceNorm2d: one pixel has no variance: .* x.shape="),
        (lambda: F.instance_norm(X[:, :, :1, :1]), "instance_norm: one pixel has no variance"),
        (lambda: F.instance_norm(X, np.zeros(3)), "instance_norm: running_mean and running_var must both be given or"),
        (lambda: F.instance_norm(X, use_input_stats=False), "instance_norm: running_mean and running_var must both"),
        (lambda: F.instance_norm(X, weight=np.ones(2, np.float32)), "instance_norm: weight needs one value for each"),
        (lambda: F.instance_norm(X, weight=np.ones(3)), "instance_norm: dtypes differ"),
        (lambda: nn.InstanceNorm2d(3, momentum=None), "InstanceNorm2d: momentum must be a number. Received: None"),
        (lambda: nn.InstanceNorm1d(0), "InstanceNorm1d: num_features must be >= 1"),
    ],
)
def test_instance_norm_refuses_by_name(call, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        call()
