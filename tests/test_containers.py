"""Sequential, Residual and Identity, and user-written modules among them."""

import numpy as np
import pytest
from oracle import assert_close, from_reference, numeric_gradient, relative_error

import fastnn
from fastnn import _layout, nn


class Scale(nn.Module):
    """A module as a user writes it, in plain NumPy."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.full(1, 2.0))

    def forward(self, x):
        self.x = x
        return self.weight.data * x

    def backward(self, dy):
        self.weight.add_grad(np.array([(dy * self.x).sum()]))
        return dy * self.weight.data


class Count(nn.Module):
    """Counts its calls, and doubles."""

    def __init__(self):
        super().__init__()
        self.forwards = self.backwards = 0

    def forward(self, x):
        self.forwards += 1
        return 2 * x

    def backward(self, dy):
        self.backwards += 1
        return 2 * dy


def small_network():
    """Convolutions, a residual block with both kinds of shortcut, a user's module; float64."""
    body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 4, 3, padding=1))
    projected = nn.Residual(nn.Conv2d(4, 6, 1), nn.Sequential(nn.Conv2d(4, 6, 1, bias=False), Scale()))
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Residual(body), Scale(), projected, nn.SiLU())
    return network.astype(np.float64)


# ---- Identity --------------------------------------------------------------------------------------------------------
def test_identity_passes_everything_on():
    x = np.ones((2, 3))
    layer = nn.Identity()
    assert layer(x) is x
    assert layer.backward(x) is x
    assert repr(layer) == "Identity()"
    # As in PyTorch, arguments are taken and ignored, so that it can stand in for any layer.
    assert nn.Identity(54, unused=True)(x) is x


# ---- Sequential ------------------------------------------------------------------------------------------------------
def test_sequential_applies_modules_in_order_and_back(rng):
    x, dy = rng.standard_normal((2, 3, 4))
    first, second = nn.Linear(4, 4).astype(np.float64), nn.Tanh()
    model = nn.Sequential(first, second)
    y = second(first(x))
    dx = first.backward(second.backward(dy))
    np.testing.assert_array_equal(model(x), y)
    np.testing.assert_array_equal(model.backward(dy), dx)


def test_containers_forget_while_they_go_back_and_say_so(rng):
    x, dy = rng.standard_normal((2, 3, 4, 6, 6)).astype(np.float32)
    body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
    for last in (
        nn.Residual(body),
        nn.Sequential(body, nn.ReLU()),
        nn.Conv2d(4, 4, 1),
        nn.MaxPool2d(3, padding=1, stride=1),
    ):
        model = nn.Sequential(nn.ReLU(), last)
        for _ in range(2):
            model(x)
            model.backward(dy)
        with pytest.raises(RuntimeError, match="backward needs a forward before it"):
            model.backward(dy)
    layer = nn.ReLU()  # alone, it keeps what it has
    layer(x)
    np.testing.assert_array_equal(layer.backward(dy), layer.backward(dy))


def test_sequential_is_a_list_of_its_modules():
    modules = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    model = nn.Sequential(*modules)
    assert len(model) == 3
    assert list(model) == modules
    assert model[0] is modules[0]
    assert model[-1] is modules[2]
    assert list(model[1:]) == modules[1:]
    assert isinstance(model[:2], nn.Sequential)
    assert model[:2][0] is modules[0]
    with pytest.raises(IndexError):
        model[3]
    replacement = nn.ReLU()
    model[-2] = replacement
    assert model[1] is replacement
    assert model.append(nn.Tanh()) is model
    assert [name for name, _ in model.named_children()] == ["0", "1", "2", "3"]


def test_sequential_of_nothing_is_the_identity():
    x = np.ones(3)
    model = nn.Sequential()
    assert len(model) == 0
    assert model(x) is x
    assert model.backward(x) is x


@pytest.mark.parametrize("wrong", [None, np.tanh, nn.ReLU])
def test_sequential_rejects_what_is_no_module(wrong):
    with pytest.raises(TypeError, match="Sequential: modules are needed"):
        nn.Sequential(wrong)
    model = nn.Sequential(nn.ReLU())
    with pytest.raises(TypeError, match="Sequential: modules are needed"):
        model[0] = wrong
    assert isinstance(model[0], nn.ReLU)


def test_sequential_repr_shows_the_tree():
    text = repr(nn.Sequential(nn.ReLU(), nn.Residual(nn.Sequential(nn.Tanh()))))
    assert text.splitlines() == [
        "Sequential(",
        "  (0): ReLU()",
        "  (1): Residual(",
        "    (body): Sequential(",
        "      (0): Tanh()",
        "    )",
        "    (shortcut): Identity()",
        "  )",
        ")",
    ]


# ---- Residual --------------------------------------------------------------------------------------------------------
def test_residual_adds_body_and_shortcut(rng):
    x, dy = rng.standard_normal((2, 3, 4, 5, 2)).astype(np.float32)
    block = nn.Residual(Count(), nn.ReLU())
    np.testing.assert_array_equal(block(x), 2 * x + np.maximum(x, 0))
    np.testing.assert_array_equal(block.backward(dy), 2 * dy + np.where(x > 0, dy, 0))
    identity = nn.Residual(Count())
    np.testing.assert_array_equal(identity(x), 3 * x)
    np.testing.assert_array_equal(identity.backward(dy), 3 * dy)


def test_residual_stays_in_the_pixel_major_layout(rng):
    block = nn.Residual(nn.Conv2d(4, 4, 3, padding=1))
    x = _layout.empty_images((2, 4, 5, 6), np.float32)
    x[...] = rng.standard_normal(x.shape)
    before = _layout.conversions()
    y = block(x)
    dx = block.backward(y)
    assert y.strides == x.strides
    assert dx.strides == x.strides
    assert _layout.conversions() == before


def test_residual_changes_neither_input_nor_gradient(rng):
    x, dy = rng.standard_normal((2, 3, 4))
    x_before, dy_before = x.copy(), dy.copy()
    block = nn.Residual(nn.Identity())
    block(x)
    block.backward(dy)
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(dy, dy_before)


def test_residual_rejects_results_of_different_shapes():
    block = nn.Residual(nn.Conv2d(3, 4, 1))
    with pytest.raises(ValueError, match=r"Residual: body gives \(1, 4, 2, 2\), shortcut gives \(1, 3, 2, 2\)"):
        block(np.ones((1, 3, 2, 2), np.float32))


# ---- whole networks --------------------------------------------------------------------------------------------------
def test_containers_gradients_match_differences(isa, rng):
    model = small_network()
    x = rng.standard_normal((2, 3, 4, 3))
    dy = rng.standard_normal(model(x).shape)
    dx = model.backward(dy)
    assert relative_error(dx, numeric_gradient(lambda: model(x), x, dy)) < 1e-8
    parameters = dict(model.named_parameters())
    for name in ("0.bias", "2.body.0.bias", "3.weight", "4.shortcut.0.weight", "4.shortcut.1.weight"):
        parameter = parameters[name]
        data = np.ascontiguousarray(parameter.data)
        parameter.data = data
        assert relative_error(parameter.grad, numeric_gradient(lambda: model(x), data, dy)) < 1e-8


def test_containers_match_the_reference_backend(isa, rng):
    model = small_network()
    x = rng.standard_normal((2, 3, 4, 3))
    y = model(x)
    # 4 * 9 products in each of four convolutions in a row.
    assert_close(y, from_reference(model, x), 4 * 36, np.abs(y) + 1, growth=4)


def test_containers_sum_gradients_until_zero_grad(rng):
    model = small_network()
    x = rng.standard_normal((2, 3, 4, 3))
    dy = np.ones_like(model(x))
    model.backward(dy)
    once = {name: parameter.grad.copy() for name, parameter in model.named_parameters()}
    model(x)
    model.backward(dy)
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.grad, 2 * once[name])
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_containers_state_dict_has_the_keys_of_pytorch_and_loads_back(rng):
    model, other = small_network(), small_network()
    assert list(model.state_dict()) == [
        "0.weight",
        "0.bias",
        "2.body.0.weight",
        "2.body.0.bias",
        "2.body.2.weight",
        "2.body.2.bias",
        "3.weight",
        "4.body.weight",
        "4.body.bias",
        "4.shortcut.0.weight",
        "4.shortcut.1.weight",
    ]
    x = rng.standard_normal((2, 3, 4, 3))
    assert (model(x) != other(x)).any()
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other(x), model(x))


def test_containers_switch_all_modules_between_training_and_evaluation():
    model = nn.Sequential(nn.Dropout(), nn.Residual(nn.Sequential(nn.Dropout())))
    model.eval()
    assert not any(module.training for module in model.modules())
    x = np.ones((2, 3))
    np.testing.assert_array_equal(model(x), 2 * x)
    model.train()
    assert all(module.training for module in model.modules())


# ---- input_grad ------------------------------------------------------------------------------------------------------
def gradients(model, x, dy):
    model.zero_grad()
    model(x)
    dx = model.backward(dy)
    return dx, {name: parameter.grad for name, parameter in model.named_parameters()}


def test_sequential_without_input_grad_leaves_out_the_first_gradient_only(rng):
    model = small_network()
    x = rng.standard_normal((2, 3, 4, 3))
    dy = rng.standard_normal(model(x).shape)
    dx, expected = gradients(model, x, dy)
    assert dx is not None
    model.input_grad = False
    dx, actual = gradients(model, x, dy)
    assert dx is None
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name])
    model.input_grad = True
    assert gradients(model, x, dy)[0] is not None


def test_sequential_without_input_grad_skips_layers_before_the_first_parameters():
    count = Count()
    model = nn.Sequential(count, nn.Linear(3, 2), nn.ReLU())
    model.input_grad = False
    model(np.ones((4, 3), np.float32))
    assert model.backward(np.ones((4, 2), np.float32)) is None
    assert count.forwards == 1
    assert count.backwards == 0


@pytest.mark.parametrize("shortcut", [None, nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU())])
def test_residual_without_input_grad_returns_none(shortcut, rng):
    model = nn.Sequential(nn.Residual(nn.Sequential(nn.Conv2d(3, 3, 1)), shortcut), nn.Conv2d(3, 2, 1))
    x = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    dy = np.ones((2, 2, 4, 4), np.float32)
    dx, expected = gradients(model, x, dy)
    assert dx.shape == x.shape
    model.input_grad = False
    dx, actual = gradients(model, x, dy)
    assert dx is None
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name])


# ---- threads ---------------------------------------------------------------------------------------------------------
def test_containers_bits_do_not_depend_on_threads(rng):
    block = nn.Residual(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.GELU(), nn.Dropout2d(0.2)))
    x = rng.standard_normal((8, 8, 32, 32)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        fastnn.manual_seed(1)
        block.zero_grad()
        y = block(x)
        dx = block.backward(y)
        results.append([array.tobytes() for array in (y, dx, block.body[0].weight.grad)])
    assert results[0] == results[1] == results[2]


def test_residual_forgets_its_call_as_it_goes_back():
    block = nn.Residual(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)))
    y = block(np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4))
    block.backward(np.ones_like(y))
    with pytest.raises(RuntimeError, match="Residual: backward needs a forward before it"):
        block.backward(np.ones_like(y))
