"""Every layer and every loss of fastnn.nn, from one table: a class that is missing in it fails.

In float64 through the C kernels, gradients agree with finite differences to 1e-8; the NumPy twins give the same without
any compiled code; a state_dict carries the whole state; neither arguments nor gradients are written to.
"""

import inspect

import numpy as np
import pytest
from oracle import layouts, numeric_gradient, relative_error
from several_inputs_table import SEVERAL

import fastnn
from fastnn import _runtime, nn

IMAGES, ROWS = (2, 6, 5, 4), (7, 5)
STEP = 5e-4


def apart(shape, rng):
    """Numbers in (-2, 2) in random order, so far from 0 and from each other that no step reaches a kink."""
    n = int(np.prod(shape))
    assert 0.3 * 4 / n > 2 * STEP
    return rng.permutation((np.arange(n) - n // 2 + 0.3) * 4 / n).reshape(shape)


def evaluated(layer):
    """The layer in evaluation, with running statistics that are not those of the beginning."""
    layer.running_mean[...] = np.linspace(-1, 1, layer.num_features)
    layer.running_var[...] = np.linspace(0.5, 2, layer.num_features)
    return layer.eval()


def residual():
    body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.Tanh(), nn.GroupNorm(3, 6))
    return nn.Residual(body, nn.Conv2d(6, 6, 1))


# class: (what makes a layer, the shape of its input) for each way it can work.
LAYERS = {
    nn.AdaptiveAvgPool2d: [(lambda: nn.AdaptiveAvgPool2d((2, 3)), IMAGES)],
    nn.AdaptiveMaxPool2d: [(lambda: nn.AdaptiveMaxPool2d((4, 2)), IMAGES)],
    nn.AvgPool2d: [
        (lambda: nn.AvgPool2d(2), IMAGES),
        (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), IMAGES),
    ],
    nn.BatchNorm1d: [
        (lambda: nn.BatchNorm1d(5), ROWS),
        (lambda: nn.BatchNorm1d(6, momentum=None), (4, 6, 5)),
        (lambda: evaluated(nn.BatchNorm1d(5)), ROWS),
    ],
    nn.BatchNorm2d: [
        (lambda: nn.BatchNorm2d(6), IMAGES),
        (lambda: nn.BatchNorm2d(6, affine=False, track_running_stats=False), IMAGES),
        (lambda: evaluated(nn.BatchNorm2d(6)), IMAGES),
    ],
    nn.Conv2d: [
        (lambda: nn.Conv2d(6, 4, 3, padding=1), IMAGES),
        (lambda: nn.Conv2d(6, 4, (3, 2), stride=2, padding=(2, 1), dilation=(1, 2), groups=2, bias=False), IMAGES),
        (lambda: nn.Conv2d(6, 12, 3, padding="same", groups=6), IMAGES),
        (lambda: nn.Conv2d(6, 4, 3, stride=2, algorithm="im2col"), IMAGES),
        (lambda: nn.Conv2d(6, 4, 3, padding=1, algorithm="winograd"), IMAGES),
        (lambda: nn.Conv2d(6, 4, 3, padding=1, algorithm="winograd24"), IMAGES),
        (lambda: nn.Conv2d(6, 4, 3, padding=1, algorithm="winograd4"), IMAGES),
    ],
    nn.ConvTranspose2d: [
        (lambda: nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1), IMAGES),
        (lambda: nn.ConvTranspose2d(6, 4, (3, 2), (2, 3), (1, 2), (1, 2), groups=2, bias=False), IMAGES),
        (lambda: nn.ConvTranspose2d(6, 6, 3, padding=1, groups=6), IMAGES),
        (lambda: nn.ConvTranspose2d(6, 2, 3, 2, output_padding=2, dilation=3), IMAGES),
    ],
    nn.Dropout: [(lambda: nn.Dropout(0.4), ROWS), (lambda: nn.Dropout(0.4), IMAGES)],
    nn.Dropout2d: [(lambda: nn.Dropout2d(0.4), IMAGES)],
    nn.ELU: [(lambda: nn.ELU(1.3), ROWS)],
    nn.Flatten: [(nn.Flatten, IMAGES)],
    nn.GELU: [(nn.GELU, ROWS), (lambda: nn.GELU("tanh"), IMAGES)],
    nn.GroupNorm: [(lambda: nn.GroupNorm(3, 6), IMAGES), (lambda: nn.GroupNorm(2, 6, affine=False), IMAGES)],
    nn.Hardsigmoid: [(nn.Hardsigmoid, ROWS)],
    nn.Hardswish: [(nn.Hardswish, ROWS)],
    nn.Hardtanh: [(lambda: nn.Hardtanh(-0.5, 1.2), ROWS)],
    nn.Identity: [(nn.Identity, ROWS)],
    nn.InstanceNorm1d: [
        (lambda: nn.InstanceNorm1d(6, affine=True), (4, 6, 5)),
        (lambda: nn.InstanceNorm1d(6, track_running_stats=True, momentum=0.3), (4, 6, 5)),
    ],
    nn.InstanceNorm2d: [
        (lambda: nn.InstanceNorm2d(6), IMAGES),
        (lambda: nn.InstanceNorm2d(6, affine=True, track_running_stats=True), IMAGES),
        (lambda: evaluated(nn.InstanceNorm2d(6, affine=True, track_running_stats=True)), IMAGES),
    ],
    nn.LayerNorm: [
        (lambda: nn.LayerNorm(5), ROWS),
        (lambda: nn.LayerNorm((6, 5, 4), bias=False), IMAGES),
        (lambda: nn.LayerNorm((5, 4), elementwise_affine=False), IMAGES),
    ],
    nn.LeakyReLU: [(lambda: nn.LeakyReLU(0.2), ROWS)],
    nn.Linear: [
        (lambda: nn.Linear(5, 9), ROWS),
        (lambda: nn.Linear(5, 3, bias=False), ROWS),
        (lambda: nn.Linear(4, 3), IMAGES),
    ],
    nn.LocalResponseNorm: [(lambda: nn.LocalResponseNorm(3, alpha=0.5), IMAGES)],
    nn.LogSoftmax: [(lambda: nn.LogSoftmax(1), ROWS), (lambda: nn.LogSoftmax(-1), IMAGES)],
    nn.MaxPool2d: [(lambda: nn.MaxPool2d(2), IMAGES), (lambda: nn.MaxPool2d(3, 2, 1, 2, ceil_mode=True), IMAGES)],
    nn.Mish: [(nn.Mish, ROWS)],
    nn.PReLU: [(nn.PReLU, ROWS), (lambda: nn.PReLU(6), IMAGES)],
    nn.RMSNorm: [(lambda: nn.RMSNorm(5), ROWS), (lambda: nn.RMSNorm((5, 4), 0.1, False), IMAGES)],
    nn.ReLU: [(nn.ReLU, IMAGES)],
    nn.ReLU6: [(nn.ReLU6, ROWS)],
    nn.PixelShuffle: [(lambda: nn.PixelShuffle(2), (2, 8, 3, 2))],
    nn.PixelUnshuffle: [(lambda: nn.PixelUnshuffle(2), (2, 3, 6, 4))],
    nn.ReflectionPad2d: [
        (lambda: nn.ReflectionPad2d(2), IMAGES),
        (lambda: nn.ReflectionPad2d((3, 0, 1, 4)), IMAGES),
    ],
    nn.ReplicationPad2d: [(lambda: nn.ReplicationPad2d((1, 6, 0, 2)), IMAGES)],
    nn.Residual: [(residual, IMAGES)],
    nn.Sequential: [(lambda: nn.Sequential(nn.Linear(5, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 2)), ROWS)],
    nn.SiLU: [(nn.SiLU, ROWS)],
    nn.Sigmoid: [(nn.Sigmoid, ROWS)],
    nn.Softmax: [(lambda: nn.Softmax(1), ROWS), (lambda: nn.Softmax(1), IMAGES)],
    nn.Softplus: [(lambda: nn.Softplus(2.0), ROWS)],
    nn.Tanh: [(nn.Tanh, ROWS)],
    nn.Upsample: [
        (lambda: nn.Upsample(scale_factor=2), IMAGES),
        (lambda: nn.Upsample((7, 3)), IMAGES),
        (lambda: nn.Upsample(scale_factor=(2, 1.5), mode="bilinear"), IMAGES),
        (lambda: nn.Upsample((3, 9), mode="bilinear", align_corners=True), IMAGES),
    ],
    nn.ZeroPad2d: [(lambda: nn.ZeroPad2d(1), IMAGES), (lambda: nn.ZeroPad2d((0, 3, 2, 1)), IMAGES)],
}


def scores(rng):
    """Multiples of 0.1, plus 0.03 for each column: no difference of two columns is near 0, 0.5 or 1."""
    return rng.integers(-9, 10, ROWS) / 10 + 0.03 * np.arange(ROWS[1])


def labels(rng):
    return rng.integers(0, ROWS[1], ROWS[0])


def some_ignored(rng):
    target = labels(rng)
    target[2] = -100
    return target


def values(rng):
    """Multiples of 0.1, plus 0.05: no difference from `scores` is near 0, 0.5 or 1."""
    return rng.integers(-9, 10, ROWS) / 10 + 0.045


def chances(rng):
    return rng.uniform(0.05, 0.95, ROWS)


def shares(rng):
    p = chances(rng)
    return p / p.sum(axis=1, keepdims=True)


WEIGHT = np.linspace(0.5, 2.0, ROWS[1])
# class: (what makes a loss, the input, the target) for each way it can work.
LOSSES = {
    nn.BCELoss: [(nn.BCELoss, chances, chances), (lambda: nn.BCELoss(WEIGHT, "sum"), chances, chances)],
    nn.BCEWithLogitsLoss: [
        (nn.BCEWithLogitsLoss, scores, chances),
        (lambda: nn.BCEWithLogitsLoss(WEIGHT, "none", pos_weight=WEIGHT[::-1].copy()), scores, chances),
    ],
    nn.CrossEntropyLoss: [
        (nn.CrossEntropyLoss, scores, labels),
        (lambda: nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1), scores, some_ignored),
        (lambda: nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.2), scores, shares),
        (lambda: nn.CrossEntropyLoss(WEIGHT, reduction="none"), scores, labels),
    ],
    nn.FocalLoss: [(nn.FocalLoss, scores, labels), (lambda: nn.FocalLoss(1.5, WEIGHT, "none"), scores, labels)],
    nn.HuberLoss: [(nn.HuberLoss, scores, values), (lambda: nn.HuberLoss("sum", delta=0.5), scores, values)],
    nn.L1Loss: [(nn.L1Loss, scores, values), (lambda: nn.L1Loss("none"), scores, values)],
    nn.MSELoss: [(nn.MSELoss, scores, values), (lambda: nn.MSELoss("none"), scores, values)],
    nn.MultiMarginLoss: [
        (nn.MultiMarginLoss, scores, labels),
        (lambda: nn.MultiMarginLoss(2, 0.5, WEIGHT, "sum"), scores, labels),
    ],
    nn.NLLLoss: [(nn.NLLLoss, scores, labels), (lambda: nn.NLLLoss(WEIGHT, reduction="none"), scores, some_ignored)],
    nn.SmoothL1Loss: [
        (nn.SmoothL1Loss, scores, values),
        (lambda: nn.SmoothL1Loss("none", beta=0.5), scores, values),
    ],
}


def cases(table):
    return [
        pytest.param(*case, id=f"{cls.__name__}{number or ''}")
        for cls, entries in table.items()
        for number, case in enumerate(entries)
    ]


def ready(make, rng):
    """A layer in float64 whose parameters are all different."""
    layer = make().astype(np.float64)
    for parameter in layer.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape)
    return layer


def called(layer, *arguments):
    """The result with the same random mask every time."""
    fastnn.manual_seed(7)
    return layer(*arguments)


def differences(function, x, dy):
    """A numeric gradient whose error falls with the fourth power of the step: Richardson's extrapolation."""
    near, far = (numeric_gradient(function, x, dy, step) for step in (STEP, 2 * STEP))
    return (4 * near - far) / 3


def frozen(array):
    """A copy that nobody can write to."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


@pytest.fixture
def no_compiled_code(monkeypatch):
    """The reference backend, and no compiled module to fall back on."""
    with fastnn.backend("reference"):
        monkeypatch.setattr(_runtime, "_native", None)
        yield


# ---- the tables are whole --------------------------------------------------------------------------------------------
def test_gradients_tables_hold_every_layer_and_loss():
    bases = {nn.Module, nn.Loss, nn.ModuleDict, nn.ModuleList, nn.ParameterList}
    public = {cls for cls in vars(nn).values() if inspect.isclass(cls) and issubclass(cls, nn.Module)} - bases
    assert {cls for cls in public if issubclass(cls, nn.Loss)} == set(LOSSES)
    assert {cls for cls in public if not issubclass(cls, nn.Loss)} == set(LAYERS) | set(SEVERAL)
    for cls, entries in [*LAYERS.items(), *LOSSES.items()]:
        assert all(type(make()) is cls for make, *_ in entries)


@pytest.mark.parametrize("cls", [*LAYERS, *LOSSES, *SEVERAL], ids=lambda cls: cls.__name__)
def test_gradients_docstring_of_class_says_what_a_caller_needs(cls):
    assert cls.__doc__
    for section in ("Shape:", "Example:"):
        assert section in cls.__doc__, section


# ---- layers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("make", "shape"), cases(LAYERS))
def test_gradients_of_layer_agree_with_differences(isa, make, shape, rng):
    layer, x = ready(make, rng), apart(shape, rng)
    y = called(layer, x)
    assert y.dtype == np.float64
    dy = rng.standard_normal(y.shape)
    called(layer, x)
    dx = layer.backward(dy)
    assert relative_error(dx, differences(lambda: called(layer, x), x, dy)) < 1e-8
    for name, parameter in layer.named_parameters():
        numeric = differences(lambda: called(layer, x), parameter.data, dy)
        assert relative_error(parameter.grad, numeric) < 1e-8, name


@pytest.mark.parametrize(("make", "shape"), cases(LAYERS))
def test_layer_on_the_reference_gives_the_same_without_compiled_code(request, make, shape, rng):
    layer, x = ready(make, rng), apart(shape, rng)
    dy = rng.standard_normal(called(layer, x).shape)
    expected = [layer.backward(dy), *(p.grad for p in layer.parameters())]
    layer.zero_grad()
    request.getfixturevalue("no_compiled_code")
    called(layer, x)
    actual = [layer.backward(dy), *(p.grad for p in layer.parameters())]
    for a, e in zip(actual, expected, strict=True):
        assert relative_error(a, e) < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("make", "shape"), cases(LAYERS))
def test_layer_keeps_dtype_and_changes_no_argument(make, shape, dtype, rng):
    layer = make().astype(dtype)
    x = frozen(apart(shape, rng).astype(dtype))
    y = layer(x)
    dy = frozen(rng.standard_normal(y.shape).astype(dtype))
    before = x.tobytes(), dy.tobytes()
    dx = layer.backward(dy)
    assert (x.tobytes(), dy.tobytes()) == before
    assert y.dtype == dx.dtype == dtype
    assert dx.shape == shape
    assert all(parameter.grad.dtype == dtype for parameter in layer.parameters())


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(("make", "shape"), cases(LAYERS))
def test_layer_of_an_empty_batch_gives_an_empty_result_and_no_gradient(make, shape, backend, rng):
    layer = ready(make, rng)
    y_shape, state = layer(apart(shape, rng)).shape, layer.state_dict()
    with fastnn.backend(backend):
        y = layer(np.zeros((0, *shape[1:])))
        dx = layer.backward(y)
    assert y.shape == (0, *y_shape[1:])
    assert dx.shape == (0, *shape[1:])
    assert y.dtype == dx.dtype == np.float64
    assert not any(parameter.grad.any() for parameter in layer.parameters())
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, state[key], err_msg=key)


@pytest.mark.parametrize(("make", "shape"), cases(LAYERS))
def test_layer_gives_the_same_for_any_layout(make, shape, rng):
    """To the last bit; but a sum over all elements may follow their order in memory."""
    layer, x = ready(make, rng), apart(shape, rng)
    dy = rng.standard_normal(called(layer, x).shape)
    results = []
    for name in layouts(x):
        layer.zero_grad()
        y = called(layer, layouts(x)[name])
        dx = layer.backward(layouts(dy)[name])
        results.append((y, dx, [p.grad for p in layer.parameters()]))
    for y, dx, gradients in results:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(dx, results[0][1])
        for a, b in zip(gradients, results[0][2], strict=True):
            assert relative_error(a, b) < 1e-14


@pytest.mark.parametrize(("make", "shape"), cases(LAYERS))
def test_layer_state_round_trips(make, shape, rng):
    first, second = ready(make, rng), make().astype(np.float64)
    x = apart(shape, rng)
    first(x)  # running statistics are state
    state = first.state_dict()
    assert not any(second.load_state_dict(state))
    assert list(second.state_dict()) == list(state)
    for key, array in second.state_dict().items():
        assert array.dtype == state[key].dtype
        assert array.tobytes() == state[key].tobytes(), key
    for mode in (True, False):
        first.train(mode)
        second.train(mode)
        np.testing.assert_array_equal(called(first, x), called(second, x))


@pytest.mark.parametrize(("make", "shape"), cases(LAYERS))
def test_layer_repr_names_it(make, shape):
    layer = make()
    assert repr(layer).startswith(type(layer).__name__ + "(")


# ---- losses ----------------------------------------------------------------------------------------------------------
def upstream(loss, rng):
    """The gradient of a loss: 1 where it is a number."""
    return rng.standard_normal(loss.shape) if isinstance(loss, np.ndarray) else 1.0


@pytest.mark.parametrize(("make", "make_input", "make_target"), cases(LOSSES))
def test_gradients_of_loss_agree_with_differences(isa, make, make_input, make_target, rng):
    criterion, x, target = make(), make_input(rng), make_target(rng)
    dloss = upstream(criterion(x, target), rng)
    dx = criterion.backward(dloss)
    assert relative_error(dx, differences(lambda: criterion(x, target), x, dloss)) < 1e-8


@pytest.mark.parametrize(("make", "make_input", "make_target"), cases(LOSSES))
def test_loss_on_the_reference_gives_the_same_without_compiled_code(request, make, make_input, make_target, rng):
    criterion, x, target = make(), make_input(rng), make_target(rng)
    loss = criterion(x, target)
    dloss = upstream(loss, rng)
    dx = criterion.backward(dloss)
    request.getfixturevalue("no_compiled_code")
    assert relative_error(np.asarray(criterion(x, target)), np.asarray(loss)) < 1e-13
    assert relative_error(criterion.backward(dloss), dx) < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("make", "make_input", "make_target"), cases(LOSSES))
def test_loss_keeps_dtype_and_changes_no_argument(make, make_input, make_target, dtype, rng):
    criterion, x, target = make(), frozen(make_input(rng).astype(dtype)), make_target(rng)
    target = frozen(target if target.dtype.kind == "i" else target.astype(dtype))
    before = x.tobytes(), target.tobytes()
    loss = criterion(x, target)
    dx = criterion.backward(upstream(loss, rng))
    assert (x.tobytes(), target.tobytes()) == before
    assert dx.dtype == dtype
    assert dx.shape == x.shape
    assert loss.dtype == dtype if isinstance(loss, np.ndarray) else isinstance(loss, float)


# ---- a whole network -------------------------------------------------------------------------------------------------
def test_training_on_the_reference_equals_training_in_c(request, rng):
    """Five steps of a network with most kinds of layers, in float64, without any compiled code in the second run."""
    x, y = rng.standard_normal((12, 3, 8, 8)), rng.integers(0, 4, 12)

    def losses_and_state():
        fastnn.manual_seed(3)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Residual(nn.Sequential(nn.Conv2d(8, 8, 3, padding="same", groups=2), nn.GELU())),
            nn.GroupNorm(2, 8),
            nn.Dropout2d(0.2),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 16),
            nn.LayerNorm(16),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Linear(16, 4),
        ).astype(np.float64)
        criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        optimizer = fastnn.optim.AdamW(model.parameters(), lr=0.01)
        losses = []
        for _ in range(5):
            losses.append(criterion(model(x), y))
            optimizer.zero_grad()
            fastnn.optim.clip_grad_norm_(model.parameters(), 1.0)
            model.backward(criterion.backward())
            optimizer.step()
        return losses, model.state_dict()

    losses, state = losses_and_state()
    request.getfixturevalue("no_compiled_code")
    reference_losses, reference_state = losses_and_state()
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(reference_losses, losses, rtol=1e-9)
    for key, array in reference_state.items():
        np.testing.assert_allclose(array, state[key], rtol=1e-7, atol=1e-9, err_msg=key)
