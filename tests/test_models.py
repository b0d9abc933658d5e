"""The networks: parameter counts, shapes, gradients, initialisation, registry, summary."""

import numpy as np
import oracle
import pytest

import fastnn
from fastnn import models, nn

PARAMETERS = {
    "keras_cnn": 2_168_746,
    "vgg_a": 9_750_922,
    "vgg_a_bn": 9_756_426,
    "vgg_a_light": 285_162,
    "vgg_a_light_bn": 285_162 + 2 * (16 + 32),
    "resnet20": 272_474,
    "airbench94": 1_972_792,
}
# Small versions, for tests that compute.
SMALL = {
    "keras_cnn": {"widths": (4, 8), "hidden": 16},
    "vgg_a": {"stages": ((4,), (4,), (8, 8), (8,), (8,)), "hidden": 8},
    "vgg_a_bn": {"stages": ((4,), (4,), (8, 8), (8,), (8,)), "hidden": 8},
    "vgg_a_light": {"hidden": 16},
    "vgg_a_light_bn": {"hidden": 16},
    "resnet20": {"widths": (4, 8, 8), "blocks": 1},
    "airbench": {"widths": (4, 8, 8)},
}


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_models_parameters_are_as_many_as_published(name, expected):
    assert sum(p.size for p in models.create(name).parameters()) == expected


@pytest.mark.parametrize("name", SMALL)
def test_models_num_classes_is_the_width_of_the_logits(name):
    x = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)
    assert models.create(name, num_classes=7, **SMALL[name])(x).shape == (3, 7)


@pytest.mark.parametrize("name", SMALL)
def test_models_backward_reaches_every_trained_parameter(name, rng):
    fastnn.manual_seed(1)
    model = models.create(name, **SMALL[name])
    y = model(rng.standard_normal((4, 3, 32, 32)).astype(np.float32))
    dx = model.backward(rng.standard_normal(y.shape).astype(np.float32))
    assert dx.shape == (4, 3, 32, 32)
    for path, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, path


@pytest.mark.parametrize("name", ["resnet20", "airbench"])
def test_models_gradient_agrees_with_differences(name, rng):
    """In float64, of a random direction in the space of all parameters."""
    fastnn.manual_seed(2)
    model = models.create(name, **SMALL[name]).astype(np.float64)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            object.__setattr__(module, "forward", lambda x, m=module: _smooth_forward(m, x))
            object.__setattr__(module, "backward", lambda dy, m=module: dy * (1 - m._kept**2))
        if isinstance(module, nn.MaxPool2d):  # a step must not change which pixel is the largest: average instead
            pool = nn.AvgPool2d(module.kernel_size, module.stride)
            object.__setattr__(module, "forward", pool.forward)
            object.__setattr__(module, "backward", pool.backward)
    x = rng.standard_normal((3, 3, 32, 32))
    dy = rng.standard_normal(model(x).shape)
    model.backward(dy)
    trained = [p for p in model.parameters() if p.requires_grad]
    directions = [rng.standard_normal(p.shape) for p in trained]
    analytic = sum(float((p.grad * d).sum()) for p, d in zip(trained, directions, strict=True))

    def moved(step):
        for parameter, direction in zip(trained, directions, strict=True):
            parameter.data += step * direction
        value = float((model(x) * dy).sum())
        for parameter, direction in zip(trained, directions, strict=True):
            parameter.data -= step * direction
        return value

    step = 1e-6
    numeric = (moved(step) - moved(-step)) / (2 * step)
    assert oracle.relative_error(np.array(analytic), np.array(numeric)) < 1e-6


def _smooth_forward(module, x):
    module._kept = np.tanh(x)
    return module._kept


@pytest.mark.parametrize("name", SMALL)
def test_models_state_dict_round_trip_gives_the_same_logits(name, rng):
    x = rng.standard_normal((2, 3, 32, 32)).astype(np.float32)
    first, second = models.create(name, **SMALL[name]).eval(), models.create(name, **SMALL[name]).eval()
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(first(x), second(x))


def test_models_vgg_is_initialised_like_the_course():
    model = models.vgg_a()
    weight = model.classifier[0].weight.data
    expected = np.sqrt(2 / (512 + 512))
    assert abs(weight.std() / expected - 1) < 5 / np.sqrt(2 * weight.size)  # five standard errors
    assert all((m.bias.data == 0).all() for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    assert model.classifier[4].weight.shape == (10, 512)  # the layer whose gradients the course plots


def test_models_airbench_convolutions_start_as_the_identity(rng):
    model = models.airbench(widths=(24, 32, 32))
    conv = model.group1.conv1
    x = rng.standard_normal((2, 24, 7, 7)).astype(np.float32)
    with fastnn.conv2d_algorithm("direct"):  # another one may round where this one multiplies by 0 and 1
        oracle.assert_close(conv(x)[:, :24], x)
    assert np.abs(model.group2.conv1.weight.data[24:]).max() > 0  # filters beyond the input's channels are random


def test_models_airbench_trains_no_scale_and_no_whitening_filters():
    frozen = [path for path, p in models.airbench94().named_parameters() if not p.requires_grad]
    assert [path for path in frozen if "bn" not in path] == ["whitening.weight"]
    assert sum(path.endswith("weight") for path in frozen) == len(frozen) == 7


def test_models_airbench_for_muon_draws_the_same_and_rescales_the_head():
    plain, variant = (
        (fastnn.manual_seed(3), models.airbench(widths=(8, 8, 16), **options))[1]
        for options in ({}, {"unit_head": True, "zero_whitening_bias": False, "scale": 1 / 16})
    )
    head = variant.head.weight.data
    assert head.std(ddof=1, dtype=float) == pytest.approx(1, rel=1e-6)
    before = plain.head.weight.data
    np.testing.assert_allclose(head, before / before.std(ddof=1, dtype=float), rtol=1e-6)
    assert (plain.whitening.bias.data == 0).all()
    bias = variant.whitening.bias.data
    assert 0.5 / np.sqrt(12) < np.abs(bias).max() <= 1 / np.sqrt(12)  # of 24 draws one is larger than half the bound
    for (path, a), (_, b) in zip(plain.named_parameters(), variant.named_parameters(), strict=True):
        if path not in ("head.weight", "whitening.bias"):
            np.testing.assert_array_equal(a.data, b.data, err_msg=path)


def test_models_airbench_without_whitening_training_gives_the_other_gradients_unchanged(rng):
    model = models.airbench(widths=(8, 8, 8))
    x = rng.standard_normal((4, 3, 32, 32)).astype(np.float32)
    dy = rng.standard_normal((4, 10)).astype(np.float32)
    gradients = []
    for on in (True, False):
        model.train_whitening(on)
        model.zero_grad()
        model(x)
        model.backward(dy)
        gradients.append({path: p.grad for path, p in model.named_parameters()})
    assert gradients[1]["whitening.bias"] is None
    assert gradients[0]["whitening.bias"] is not None
    for path, gradient in gradients[0].items():
        if gradient is not None and path != "whitening.bias":
            np.testing.assert_array_equal(gradient, gradients[1][path])


def test_whitening_filters_make_patches_uncorrelated(rng):
    # Images with correlated neighbours and channels.
    noise = rng.standard_normal((40, 3, 17, 17))
    images = (noise + np.roll(noise, 1, axis=3) + noise.mean(axis=1, keepdims=True)).astype(np.float32)
    filters = models.whitening_filters(images, eps=0.0)
    assert filters.shape == (24, 3, 2, 2)
    np.testing.assert_array_equal(filters[12:], -filters[:12])
    answers = fastnn.functional.conv2d(images.astype(np.float64), filters[:12].astype(np.float64))
    matrix = answers.transpose(1, 0, 2, 3).reshape(12, -1)
    # Filters are rounded to float32; the condition of the covariance amplifies that.
    np.testing.assert_allclose(matrix @ matrix.T / matrix.shape[1], np.eye(12), atol=1e-4)


def test_whitening_filters_agree_with_explicit_patches(rng):
    images = rng.standard_normal((6, 3, 5, 6)).astype(np.float32)
    patches = [
        image[:, i : i + 2, j : j + 2].ravel() for image in images.astype(float) for i in range(4) for j in range(5)
    ]
    moments = np.transpose(patches) @ patches / len(patches)
    filters = models.whitening_filters(images)[:12].reshape(12, 12).astype(float)
    # Each filter f = v / sqrt(l + eps) is an eigenvector, with the eigenvalue that its length tells, largest first.
    eigenvalues = 1 / (filters**2).sum(axis=1) - 5e-4
    np.testing.assert_allclose(filters @ moments, eigenvalues[:, None] * filters, atol=1e-5)
    assert (np.diff(eigenvalues) <= 1e-6).all()


def test_whitening_filters_bits_do_not_depend_on_threads(rng):
    images = rng.standard_normal((300, 3, 32, 32)).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        results.append(models.whitening_filters(images).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("shape", [(0, 3, 32, 32), (4, 3, 1, 8), (3, 32, 32)])
def test_whitening_filters_of_bad_images_raise(shape):
    with pytest.raises(ValueError, match="whitening_filters"):
        models.whitening_filters(np.zeros(shape, np.float32))


def test_create_of_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="airbench94, keras_cnn"):
        models.create("lenet")


@pytest.mark.parametrize("name", ["lenet", None, 3, [], {}])
def test_create_needs_a_known_name(name):
    with pytest.raises(ValueError, match="create: there is no model"):
        models.create(name)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("wrong", ["a", None, 0, -1, 1.5, [], 1j])
def test_models_sizes_must_be_positive_integers(name, wrong):
    for setting in {"num_classes", *SMALL[name]}:
        with pytest.raises((TypeError, ValueError), match=rf"(?i){name}: {setting} must be"):
            models.create(name, **{**SMALL[name], setting: wrong})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.create("vgg_a", stages=[[4], "a"]), "vgg_a: stages must be"),
        (lambda: models.create("resnet20", widths=[4, 0]), "resnet20: widths must be"),
        (lambda: models.keras_cnn(widths=(4,) * 6, hidden=4), "keras_cnn: 6 pools leave nothing of size=32"),
        (lambda: models.keras_cnn(size="a"), "keras_cnn: size must be an integer"),
        (lambda: models.airbench(widths=(4, 4), unit_head="no"), "Airbench: unit_head must be True or False"),
        (lambda: models.airbench(widths=(4, 4), zero_whitening_bias=2), "zero_whitening_bias must be True or False"),
        (lambda: models.airbench(widths=(4, 4)).train_whitening("no"), "train_whitening: on must be True or False"),
        (
            lambda: models.airbench(widths=(4, 4)).whiten(np.ones((2, 1, 8, 8))),
            "whiten: images .N, 3, H, W. are needed",
        ),
        (lambda: models.whitening_filters("a"), "whitening_filters: images must hold numbers"),
        (lambda: models.whitening_filters(np.ones((2, 3, 8, 8)), size=0), "whitening_filters: size must be >= 1"),
        (lambda: models.whitening_filters(np.ones((2, 3, 8, 8)), eps=-1), "whitening_filters: eps must be"),
        (lambda: models.Scale("a"), "Scale: factor must be a number"),
        (lambda: models.Scale(np.nan), "Scale: factor must be finite"),
        (lambda: models.Scale(0.5)("a"), "Scale: x has dtype"),
        (lambda: models.Chain(a=nn.ReLU(), b=3), "Chain: b must be a Module. Received: 3"),
    ],
)
def test_models_nonsense_is_refused_in_words(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_summarize_counts_by_hand_and_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 5))
    model[1].eval()
    before = {key: array.copy() for key, array in model.state_dict().items()}
    random_state = fastnn.random_state()
    summary = models.summarize(model, (2, 3, 8, 8))
    conv, _, _, _, linear = summary.layers
    assert conv.output_shape == (2, 4, 8, 8)
    assert conv.multiplications == 2 * 8 * 8 * 4 * 27
    assert linear.multiplications == 2 * 256 * 5
    assert conv.parameters == 4 * 27 + 4
    assert summary.parameters == 4 * 27 + 4 + 8 + 256 * 5 + 5
    assert summary.activation_bytes == 4 * (4 * 2 * 4 * 64 + 2 * 5)
    assert model.training
    assert not model[1].training
    assert fastnn.random_state() == random_state
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    assert "forward" not in vars(model[0])
    text = str(summary)
    assert f"{summary.parameters:,}" in text
    assert len(text.splitlines()) == 5 + 6


def test_summarize_of_airbench_tells_what_is_not_trained():
    summary = models.summarize(models.airbench94())
    assert summary.parameters - summary.trainable_parameters == 288 + 2 * (64 + 256 + 256)
    assert "are not trained" in str(summary)
