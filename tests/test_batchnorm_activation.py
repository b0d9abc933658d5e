"""Batch norm, residual and activation in one pass: the same bits as one after the other, alone and in containers."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, from_reference, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import _native, models, nn
from fastnn import functional as F
from fastnn.functional import hard_activation

# 1 to 9 channels are folded into rows of 64 and more columns; 63 to 67 and 129 end in part of a vector.
channel_counts = st.one_of(st.integers(1, 9), st.sampled_from([15, 16, 17, 63, 64, 65, 129]))
shapes = st.tuples(st.integers(2, 5), channel_counts, st.integers(1, 6), st.integers(1, 6))
ACTIVATED = [("relu", False), ("relu", True), ("relu6", False), ("relu6", True), ("gelu", False), ("silu", False)]
applied = st.sampled_from([*ACTIVATED, (None, False), (None, True)])

FORWARD = {"relu": F.relu, "relu6": F.relu6, "gelu": F.gelu, "silu": F.silu, None: lambda z: z}
BACKWARD = {
    "relu": F.relu_backward,
    "relu6": hard_activation.relu6_backward,
    "gelu": F.gelu_backward,
    "silu": F.silu_backward,
}


def arguments(shape, dtype, seed):
    """x, dy, residual, running mean and variance, weight, bias."""
    rng = np.random.default_rng(seed)
    x, dy, residual = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    mean, weight, bias = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(3))
    weight *= 4  # so that relu6 has something to cut off
    return x, dy, residual, mean, rng.uniform(0.5, 2, shape[1]).astype(dtype), weight, bias


def one_after_the_other(x, dy, residual, mean, var, weight, bias, training, activation):
    """y and (dx, dweight, dbias, dresidual) by the functions that do one thing each."""
    result = F.batch_norm(x, mean, var, weight, bias, training)
    z = result.y if residual is None else F.add(result.y, residual)
    y = FORWARD[activation](z)
    dz = dy if activation is None else BACKWARD[activation](dy, z)
    gradients = F.batch_norm_backward(dz, x, result.mean, result.invstd, weight, training)
    return y, (*gradients, None if residual is None else dz)


def in_one_pass(x, dy, residual, mean, var, weight, bias, training, activation):
    args = (x, mean, var, weight, bias, training)
    result = F.batch_norm_activation(*args, activation=activation, residual=residual)
    y = None if residual is None else result.y
    backward = (dy, x, result.mean, result.invstd, weight, bias, training, activation, y)
    return result.y, F.batch_norm_activation_backward(*backward)


@given(shape=shapes, dtype=dtypes, seed=seeds, training=st.booleans(), what=applied)
def test_one_pass_gives_the_bits_of_separate_ones(isa, shape, dtype, seed, training, what):
    activation, has_residual = what
    x, dy, residual, *others = arguments(shape, dtype, seed)
    residual = residual if has_residual else None
    y, gradients = in_one_pass(x, dy, residual, *others, training, activation)
    expected_y, expected = one_after_the_other(x, dy, residual, *others, training, activation)
    np.testing.assert_array_equal(y, expected_y)
    for actual, wanted in zip(gradients, expected, strict=True):
        assert (actual is None) == (wanted is None)
        if wanted is not None:
            np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize(("activation", "has_residual"), ACTIVATED)
def test_twin_gives_what_its_parts_give(activation, has_residual):
    x, dy, residual, *others = arguments((4, 5, 3, 2), np.float64, 3)
    given_arguments = (x, dy, residual if has_residual else None, *others, True, activation)
    y, gradients = from_reference(in_one_pass, *given_arguments)
    expected_y, expected = from_reference(one_after_the_other, *given_arguments)
    np.testing.assert_allclose(y, expected_y, rtol=1e-14)
    for actual, wanted in zip(gradients, expected, strict=True):
        if wanted is not None:
            np.testing.assert_allclose(actual, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("activation", "has_residual"), ACTIVATED)
def test_gradients_match_finite_differences(isa, activation, has_residual, training):
    x, dy, residual, mean, var, weight, bias = arguments((5, 7, 2, 3), np.float64, 4)
    residual = residual if has_residual else None

    def forward():
        return F.batch_norm_activation(
            x, mean, var, weight, bias, training, activation=activation, residual=residual
        ).y  # fmt: skip

    z = one_after_the_other(x, dy, residual, mean, var, weight, bias, training, None)[0]
    assert min(np.abs(z).min(), np.abs(z - 6).min()) > 1e-4  # no kink is within reach of a difference
    assert z.max() > 6
    _, gradients = in_one_pass(x, dy, residual, mean, var, weight, bias, training, activation)
    arrays = (x, weight, bias, *([residual] if has_residual else []))
    for array, gradient in zip(arrays, gradients, strict=False):
        assert relative_error(gradient, numeric_gradient(forward, array, dy, step=1e-5)) < 1e-7


@pytest.mark.parametrize(("activation", "has_residual"), [("relu", True), ("gelu", False), ("relu6", False)])
def test_bits_do_not_depend_on_threads(isa, activation, has_residual):
    x, dy, residual, *others = arguments((64, 48, 12, 12), np.float32, 5)
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        y, gradients = in_one_pass(x, dy, residual if has_residual else None, *others, True, activation)
        results.append([y, *(g for g in gradients if g is not None)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("activation", "has_residual"), ACTIVATED)
def test_nan_stays_in_its_channel_and_is_not_hidden_by_activations(isa, activation, has_residual):
    x, dy, residual, *others = arguments((3, 20, 2, 2), np.float32, 6)
    x[1, 4, 0, 1] = np.nan
    y, (dx, *_) = in_one_pass(x, dy, residual if has_residual else None, *others, True, activation)
    assert np.isnan(y[:, 4]).all()
    assert np.isnan(dx[:, 4]).all()
    assert np.isfinite(np.delete(y, 4, 1)).all()
    assert np.isfinite(np.delete(dx, 4, 1)).all()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"activation": "tanh"}, r"activation must be None, 'relu', 'relu6', 'gelu' or 'silu'. Received: 'tanh'"),
        ({"activation": "gelu", "residual": np.zeros((2, 3))}, r"a residual goes with None or 'relu' or 'relu6' only"),
        ({"activation": "silu", "residual": np.zeros((2, 3))}, r"Received: activation='silu'"),
        ({"residual": np.zeros((3, 2))}, r"same shape"),
    ],
)
def test_wrong_arguments_are_errors(keywords, message):
    with pytest.raises(ValueError, match=message):
        F.batch_norm_activation(np.ones((2, 3)), np.zeros(3), np.ones(3), **keywords)


# ---- containers ------------------------------------------------------------------------------------------------------
def trained(model, x, joined):
    """Output, gradients, buffers and evaluation of a model after two steps."""
    model = copy.deepcopy(model)
    model.input_grad = True
    with fastnn.joined_layers(joined):
        for _ in range(2):
            y = model(x)
            dx = model.backward(np.cos(y))
        results = [y, dx, *(p.grad for p in model.parameters()), *(b for _, b in model.named_buffers())]
        model.eval()
        model.zero_grad()
        y = model(x)
        dx = model.backward(np.cos(y))
        return [*results, y, dx, *(p.grad for p in model.parameters()), *(b for _, b in model.named_buffers())]


def blocks():
    norm = nn.BatchNorm2d
    body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), norm(6), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), norm(6))
    shortcut = nn.Sequential(nn.Conv2d(6, 6, 1), norm(6))
    yield "norm and relu", nn.Sequential(norm(6), nn.ReLU())
    yield "norm and gelu", nn.Sequential(nn.Conv2d(6, 6, 1), norm(6), nn.GELU())
    yield "norm and relu6", nn.Sequential(nn.Conv2d(6, 6, 1), norm(6), nn.ReLU6())
    yield "norm and silu", nn.Sequential(nn.Conv2d(6, 6, 1), norm(6), nn.SiLU())
    yield "depthwise and relu6", nn.Sequential(nn.Conv2d(6, 6, 3, groups=6, padding=1), norm(6), nn.ReLU6())
    yield "residual and relu6", nn.Sequential(nn.Residual(body), nn.ReLU6())
    yield "norm and tanh approximation", nn.Sequential(norm(6), nn.GELU(approximate="tanh"))
    yield "residual and relu", nn.Sequential(nn.Residual(body), nn.ReLU())
    yield "residual with shortcut", nn.Sequential(nn.Residual(body, shortcut), nn.ReLU())
    yield "residual and gelu", nn.Sequential(nn.Residual(body), nn.GELU())
    yield "residual alone", nn.Residual(body)
    yield "residual around norm", nn.Residual(nn.Sequential(norm(6)))
    yield "residual around nothing", nn.Residual(nn.Sequential())
    yield "relu and pool", nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU(), nn.MaxPool2d(2))
    yield "relu and pool with padding", nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))
    yield "norm, relu and pool", nn.Sequential(norm(6), nn.ReLU(), nn.MaxPool2d(2))
    yield "convolution and norm", nn.Sequential(nn.Conv2d(6, 5, 3), norm(5))
    yield "direct", nn.Sequential(nn.Conv2d(6, 70, 3, padding=1, algorithm="direct"), norm(70), nn.ReLU())
    yield "winograd", nn.Sequential(nn.Conv2d(6, 70, 3, padding=1, algorithm="winograd"), norm(70), nn.ReLU())
    for name in ("winograd24", "winograd4"):
        yield name, nn.Sequential(nn.Conv2d(6, 70, 3, padding=1, algorithm=name), norm(70), nn.ReLU())
    yield "im2col", nn.Sequential(nn.Conv2d(6, 70, 3, stride=2, algorithm="im2col"), norm(70), nn.GELU())
    yield "groups", nn.Sequential(nn.Conv2d(6, 9, 3, groups=3, stride=2), norm(9), nn.ReLU())
    yield "depthwise", nn.Sequential(nn.Conv2d(6, 6, 3, groups=6, padding=1), norm(6), nn.ReLU())
    yield "one pixel", nn.Sequential(nn.AvgPool2d(7), nn.Conv2d(6, 9, 1, bias=False), norm(9), nn.ReLU())
    yield "dilation", nn.Sequential(nn.Conv2d(6, 9, 3, dilation=2), norm(9, affine=False), nn.ReLU())
    yield "norm without weights", nn.Sequential(norm(6, affine=False), nn.ReLU())


@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in blocks()])
def test_containers_give_the_same_with_and_without_joining(isa, model, rng):
    x = rng.standard_normal((5, 6, 7, 7)).astype(np.float32)
    x[:, :, 2:5] = np.round(x[:, :, 2:5])  # several elements of a window are equal, zero or -0
    for joined, alone in zip(trained(model, x, True), trained(model, x, False), strict=True):
        np.testing.assert_array_equal(joined, alone)


@pytest.mark.parametrize("name", ["resnet20", "airbench94", "vgg_a_light", "vgg_a_light_bn"])
def test_networks_give_the_same_with_and_without_joining(name, rng):
    x = rng.standard_normal((4, 3, 32, 32)).astype(np.float32)
    model = models.create(name)
    for joined, alone in zip(trained(model, x, True), trained(model, x, False), strict=True):
        np.testing.assert_array_equal(joined, alone)


def test_backward_of_an_evaluation_is_that_of_its_mode_and_its_copy_needs_a_forward(rng):
    x, other = (rng.standard_normal((3, 4, 6, 6)).astype(np.float32) for _ in range(2))
    model = nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU())
    model(other)
    model.eval()
    dy = np.cos(model(x))
    twin = pickle.loads(pickle.dumps(model))
    model.train()  # too late for what ran before
    before = [b.copy() for _, b in model.named_buffers()]
    dx = model.backward(dy)
    for old, (_, new) in zip(before, model.named_buffers(), strict=True):
        np.testing.assert_array_equal(old, new)
    model(other)
    with pytest.raises(RuntimeError, match="Sequential: backward needs a forward before it"):
        twin.backward(dy)
    twin(x)
    np.testing.assert_array_equal(twin.backward(dy), dx)
    expected = copy.deepcopy(twin)
    with fastnn.joined_layers(False):
        expected(x)
        np.testing.assert_array_equal(expected.backward(dy), dx)


def test_residual_of_another_shape_is_an_error_in_both_modes(rng):
    x = rng.standard_normal((2, 4, 6, 6)).astype(np.float32)
    block = nn.Residual(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)))
    for training in (True, False):
        with pytest.raises(ValueError, match=r"\(2, 4, 4, 4\).*\(2, 4, 6, 6\)"):
            block.train(training)(x)


def test_evaluation_joins_convolution_and_norm_and_training_does_not(monkeypatch, rng):
    calls = []

    class Spy:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(_native, name)

    monkeypatch.setattr(fastnn._runtime, "_native", Spy())
    body = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    )
    model = nn.Sequential(nn.Residual(body), nn.ReLU())
    x = rng.standard_normal((2, 4, 6, 6)).astype(np.float32)
    for training, joined in ((True, 0), (False, 2)):
        calls.clear()
        model.train(training)(x)
        assert calls.count("conv2d_norm_forward") == joined
        assert calls.count("conv2d_forward") == calls.count("batchnorm_training") == 2 - joined


def test_joining_adds_nothing_to_the_state(rng):
    model = nn.Sequential(nn.Residual(nn.Sequential(nn.BatchNorm1d(3))), nn.ReLU())
    names, modules = list(model.state_dict()), list(model.modules())
    model(rng.standard_normal((4, 3)).astype(np.float32))
    assert list(model.state_dict()) == names
    assert list(model.modules()) == modules


def test_observed_and_overridden_layers_run_on_their_own(rng):
    class Halved(nn.ReLU):
        def forward(self, x):
            return 0.5 * super().forward(x)

        def backward(self, dy):
            return 0.5 * super().backward(dy)

    x = rng.standard_normal((4, 3)).astype(np.float32)
    norm = nn.BatchNorm1d(3)
    np.testing.assert_array_equal(nn.Sequential(norm, Halved())(x), 0.5 * F.relu(norm(x)))

    seen = []
    model = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
    forward = model[1].forward
    object.__setattr__(model[1], "forward", lambda z: (seen.append(z.copy()), forward(z))[1])
    model(x)
    assert len(seen) == 1
    assert seen[0].min() < 0


@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in blocks()])
@pytest.mark.parametrize("first", ["nothing", "the container"])
@pytest.mark.parametrize("training", [True, False])
def test_layers_called_one_by_one_go_back_through_the_container(model, first, training, rng):
    """Whatever the container itself did before."""
    x, other = (rng.standard_normal((5, 6, 7, 7)).astype(np.float32) for _ in range(2))

    def by_hand(module, x):
        if isinstance(module, nn.Sequential):
            for child in module:
                x = by_hand(child, x)
            return x
        if isinstance(module, nn.Residual):
            return F.add(by_hand(module.body, x), by_hand(module.shortcut, x))
        return module.forward(x)

    results = []
    for joined in (True, False):
        model_ = copy.deepcopy(model).train(training)
        model_.input_grad = True
        with fastnn.joined_layers(joined):
            if first == "the container":
                model_.backward(np.sin(model_(other)))
                model_.zero_grad()
            y = by_hand(model_, x)
            results.append([y, model_.backward(np.cos(y)), *(p.grad for p in model_.parameters())])
    for actual, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(actual, expected)
