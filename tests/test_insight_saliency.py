"""Saliency, Grad-CAM, occlusion: against differences, by hand, and with everything left as it was."""

import numpy as np
import pytest
from oracle import assert_close, numeric_gradient, relative_error

from fastnn import insight, nn


def small_network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU(), nn.AvgPool2d(2), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(36, 5),
    )  # fmt: skip


LOOKS = {
    "saliency": lambda model, x, target=None: insight.saliency(model, x, target),
    "grad_cam": lambda model, x, target=None: insight.grad_cam(model, x, "2", target),
    "occlusion": lambda model, x, target=None: insight.occlusion(model, x, target, 2, 2),
}


@pytest.fixture(params=LOOKS)
def look(request):
    return LOOKS[request.param]


def test_saliency_agrees_with_differences(rng):
    model = small_network().astype(np.float64)
    x = rng.standard_normal((2, 3, 6, 6))
    actual = insight.saliency(model, x, [1, 3])
    model.eval()
    chosen = np.zeros((2, 5))
    chosen[[0, 1], [1, 3]] = 1
    dx = numeric_gradient(lambda: model(x), x, chosen, step=1e-5)
    assert relative_error(actual, np.abs(dx).max(axis=1)) < 1e-8


def test_saliency_of_vectors_is_the_magnitude_of_the_weights(rng):
    model = nn.Linear(7, 3)
    x = rng.standard_normal((4, 7)).astype(np.float32)
    actual = insight.saliency(model, x, 2)
    np.testing.assert_array_equal(actual, np.broadcast_to(np.abs(model.weight.data[2]), (4, 7)))


def test_look_without_target_takes_the_class_of_the_highest_score(look, rng):
    model, x = small_network(), rng.standard_normal((3, 3, 6, 6)).astype(np.float32)
    best = model.eval()(x).argmax(axis=1)
    np.testing.assert_array_equal(look(model, x), look(model, x, best))
    assert look(model, x).shape == (3, 6, 6)


def test_look_leaves_the_network_as_it_was(look, rng):
    model, x = small_network(), rng.standard_normal((2, 3, 6, 6)).astype(np.float32)
    model[1].eval()
    model.input_grad = False
    model[6].bias.requires_grad = False
    model[0].weight.grad = gradient = np.ones_like(model[0].weight.data)
    state, image = model.state_dict(), x.copy()
    flags = [(module.training, module.input_grad) for module in model.modules()]
    look(model, x)
    assert [(module.training, module.input_grad) for module in model.modules()] == flags
    assert model[0].weight.grad is gradient
    assert model[6].weight.grad is None
    assert model[6].weight.requires_grad
    assert not model[6].bias.requires_grad
    assert not any("forward" in vars(module) or "backward" in vars(module) for module in model.modules())
    np.testing.assert_array_equal(x, image)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[key])
    with pytest.raises(ValueError, match="target must lie in"):
        look(model, x, 5)
    assert [(module.training, module.input_grad) for module in model.modules()] == flags


@pytest.mark.parametrize("target", [-1, 5, [0, 1, 2], 1.0, [[0], [1]]])
def test_look_refuses_bad_targets(look, target):
    with pytest.raises(ValueError, match="target must"):
        look(small_network(), np.zeros((2, 3, 6, 6), np.float32), target)


def test_look_refuses_a_network_that_gives_images(look):
    with pytest.raises(ValueError, match="must give"):
        look(nn.Sequential(nn.Identity(), nn.Identity(), nn.ReLU()), np.zeros((2, 3, 6, 6), np.float32), 0)


# ---- Grad-CAM --------------------------------------------------------------------------------------------------------
def hand_network():
    """Two feature maps, their means, a linear layer: dscore/dA[k] is weight[class, k] / pixels everywhere."""
    model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2, bias=False))
    model[3].weight.data[...] = [[4.0, -8.0], [-4.0, 8.0]]
    return model


def test_grad_cam_by_hand():
    x = np.array([[[[1.0, 2.0], [3.0, 0.0]], [[0.0, 2.0], [1.0, 1.0]]]], np.float32)
    # Weights of class 0: 4 / 4 = 1 and -8 / 4 = -2, so the sum is A0 - 2 A1, of class 1 the opposite.
    model = hand_network()
    np.testing.assert_array_equal(insight.grad_cam(model, x, "0", 0), [[[1, 0], [1, 0]]])
    np.testing.assert_array_equal(insight.grad_cam(model, x, model[0], 1), [[[0, 2], [0, 2]]])


def test_grad_cam_of_the_last_map_is_the_class_activation_map(rng):
    """With a mean over pixels and a linear layer at the end, Grad-CAM is CAM over the number of pixels."""
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    model.astype(np.float64)
    x = rng.standard_normal((2, 3, 7, 7))
    features = model[1](model[0](x))
    cam = np.maximum(np.einsum("k,nkhw->nhw", model[4].weight.data[2], features), 0) / 25
    magnitude = np.einsum("k,nkhw->nhw", np.abs(model[4].weight.data[2]), features) / 25
    assert_close(insight.grad_cam(model, x, "1", 2, size=(5, 5)), cam, terms=32, magnitude=magnitude)


def test_grad_cam_of_a_block_and_of_a_layer_inside(rng):
    block = nn.Residual(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()))
    model = nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    x = rng.standard_normal((1, 3, 4, 4)).astype(np.float32)
    by_path, by_object = (insight.grad_cam(model, x, layer, 0) for layer in ("0", block))
    np.testing.assert_array_equal(by_path, by_object)
    assert not np.array_equal(insight.grad_cam(model, x, "0.body.1", 0), by_path)


def test_grad_cam_resizes_bilinearly():
    x = np.zeros((1, 2, 1, 2), np.float32)
    x[0, 0, 0] = [0, 8]
    model = hand_network()
    model[3].weight.data[...] = 2
    # Two pixels [0, 8] become four, whose centres lie at -1/4, 1/4, 3/4, 5/4 of the old ones.
    np.testing.assert_array_equal(insight.grad_cam(model, x, "0", 0, size=(2, 4)), [[[0, 2, 6, 8]] * 2])
    np.testing.assert_array_equal(insight.grad_cam(model, x, "0", 0, size=(1, 1)), [[[4]]])


def test_grad_cam_refuses_layers_that_do_not_fit():
    model, x = small_network(), np.zeros((1, 3, 6, 6), np.float32)
    with pytest.raises(ValueError, match="no layer 'conv'; it has '0', '1'"):
        insight.grad_cam(model, x, "conv")
    with pytest.raises(ValueError, match="no layer ReLU"):
        insight.grad_cam(model, x, nn.ReLU())
    with pytest.raises(ValueError, match=r"must give \(N, K, H, W\)"):
        insight.grad_cam(model, x, "5")


# ---- occlusion -------------------------------------------------------------------------------------------------------
def brute_force_occlusion(model, x, target, window, stride, fill):
    n, _, h, w = x.shape
    total, times = np.zeros((n, h, w)), np.zeros((h, w))
    base = model(x)[:, target].copy()
    tops = sorted({min(top, h - window) for top in range(0, h - window + stride, stride)})
    lefts = sorted({min(left, w - window) for left in range(0, w - window + stride, stride)})
    for top in tops:
        for left in lefts:
            covered = x.copy()
            covered[:, :, top : top + window, left : left + window] = fill
            fall = base - model(covered)[:, target]
            total[:, top : top + window, left : left + window] += fall[:, None, None]
            times[top : top + window, left : left + window] += 1
    assert times.min() > 0
    return total / times


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (4, 3), (6, 1), (1, 1)])
def test_occlusion_agrees_with_brute_force(window, stride, rng):
    model, x = small_network().astype(np.float64).eval(), rng.standard_normal((3, 3, 6, 6))
    expected = brute_force_occlusion(model, x, 2, window, stride, 0.5)
    for batch_size in (1, 7, 256):
        actual = insight.occlusion(model, x, 2, window, stride, 0.5, batch_size)
        assert relative_error(actual, expected) < 1e-12


def test_occlusion_finds_the_only_pixel_that_counts():
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 2, bias=False))
    model[1].weight.data[...] = 0
    model[1].weight.data[1, 16 + 4 * 2 + 1] = 3  # channel 1, row 2, column 1
    found = insight.occlusion(model, np.ones((1, 2, 4, 4), np.float32), 1, 1, 1, fill=[5.0, 0.0])[0]
    assert found[2, 1] == 3
    assert np.count_nonzero(found) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 7}, "larger than the images"),
        ({"window": 2, "stride": 3}, "stride must not exceed window"),
        ({"window": 2, "stride": 0}, "stride must be"),
        ({"window": 2, "stride": 1, "fill": [1.0, 2.0]}, "fill must be"),
        ({"window": 2, "stride": 1, "batch_size": 0}, "batch_size must be"),
    ],
)
def test_occlusion_refuses_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        insight.occlusion(small_network(), np.zeros((1, 3, 6, 6), np.float32), **settings)


def test_grad_cam_of_a_layer_that_runs_twice_looks_at_its_last_run(rng):
    class Twice(nn.Module):
        """layer(layer(x)) * weight, pooled; the backward of a ReLU of positive numbers is the identity."""

        def __init__(self):
            super().__init__()
            self.layer = nn.ReLU()
            self.pool = nn.AdaptiveAvgPool2d(1)

        def forward(self, x):
            first = self.layer(x)
            self.last = self.layer(3 * first + 1)
            return self.pool(self.last * 2).reshape(len(x), -1)

        def backward(self, dy):
            dlast = 2 * self.pool.backward(dy.reshape(*dy.shape, 1, 1))
            return self.layer.backward(3 * self.layer.backward(dlast))

    x = rng.uniform(1, 2, (1, 2, 4, 4))
    found = insight.grad_cam(Twice(), x, "layer", target=0)
    np.testing.assert_allclose(found, (3 * x[:, 0] + 1) * 2 / 16, rtol=1e-12)
