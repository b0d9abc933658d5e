"""The gradient check: right layers pass, kinks are told apart from errors, each kind of error is named."""

import threading

import numpy as np
import pytest

import fastnn
from fastnn import insight, nn


class Affine(nn.Module):
    """y = x @ weight + bias in plain NumPy. `dweight`, `dbias`, `dx` are made of x, dy, weight, to be made wrong."""

    def __init__(self, n_in=4, n_out=3, **wrong):
        super().__init__()
        rng = np.random.default_rng(5)
        self.weight = nn.Parameter(rng.standard_normal((n_in, n_out)).astype(np.float32))
        self.bias = nn.Parameter(rng.standard_normal(n_out).astype(np.float32))
        self.wrong = wrong

    def forward(self, x):
        self.x = x
        return x @ self.weight.data + self.bias.data

    def backward(self, dy):
        right = {
            "dweight": lambda x, dy, w: x.T @ dy,
            "dbias": lambda x, dy, w: dy.sum(axis=0),
            "dx": lambda x, dy, w: dy @ w.T,
        }
        made = {name: self.wrong.get(name, f)(self.x, dy, self.weight.data) for name, f in right.items()}
        for parameter, gradient in ((self.weight, made["dweight"]), (self.bias, made["dbias"])):
            before = parameter.grad
            parameter.grad = gradient if before is None or gradient is None else before + gradient
        return made["dx"]


class BatchNorm(nn.Module):
    """Plain normalisation over the batch; the terms of backward can be left out."""

    axis = 0

    def __init__(self, mean_term=1.0, variance_term=1.0):
        super().__init__()
        self.terms = mean_term, variance_term

    def forward(self, x):
        centred = x - x.mean(axis=self.axis, keepdims=True)
        self.invstd = 1 / np.sqrt((centred**2).mean(axis=self.axis, keepdims=True) + 1e-5)
        self.y = centred * self.invstd
        return self.y

    def backward(self, dy):
        mean_term, variance_term = self.terms
        means = dy.mean(axis=self.axis, keepdims=True)
        slopes = (dy * self.y).mean(axis=self.axis, keepdims=True)
        return self.invstd * (dy - mean_term * means - variance_term * self.y * slopes)


class LayerNorm(BatchNorm):
    axis = 1


def rows(rng, n=6, features=4):
    return rng.standard_normal((n, features))


# ---- right gradients -------------------------------------------------------------------------------------------------
def test_gradcheck_of_plain_numpy_layer_passes(rng):
    result = insight.gradcheck(Affine(), rows(rng))
    assert result.ok
    assert [row.name for row in result.rows] == ["input", "weight", "bias"]
    assert [row.checked for row in result.rows] == [24, 12, 3]
    assert max(row.error for row in result.rows) < 1e-9
    assert result.kinks == 0
    result.raise_if_wrong()


def test_gradcheck_of_network_with_loss_passes(isa, rng):
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.3),
        nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    x = rng.standard_normal((3, 2, 4, 4)).astype(np.float32)
    result = insight.gradcheck(model, x, np.array([0, 2, 1]), criterion=nn.CrossEntropyLoss())
    assert result.ok, str(result)
    names = ["input", *(name for name, _ in model.named_parameters())]
    assert [row.name for row in result.rows] == names
    # The bias in front of a normalisation has no influence: rounding errors on both sides are no error.
    assert abs(result["0.bias"].analytic) < 1e-12


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradcheck_of_loss_passes(reduction, rng):
    result = insight.gradcheck(nn.CrossEntropyLoss(reduction=reduction), rows(rng), np.array([0, 1, 2, 3, 0, 1]))
    assert result.ok, str(result)
    assert insight.gradcheck(nn.MSELoss(reduction), rows(rng).astype(np.float32), rows(rng).astype(np.float32)).ok


def test_gradcheck_of_large_array_takes_a_sample_that_the_seed_decides(rng):
    wrong_at = Affine(40, 30, dweight=lambda x, dy, w: x.T @ dy * 1.5)
    first, again = (insight.gradcheck(wrong_at, rows(rng, 2, 40), max_entries=50, seed=3) for _ in range(2))
    assert first["weight"].checked == first["input"].checked == 50
    assert first["bias"].checked == 30
    assert first["weight"].worst == again["weight"].worst or first["weight"].analytic != again["weight"].analytic
    assert not first.ok


def test_gradcheck_accepts_integers_as_input():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(np.arange(6, dtype=np.float32).reshape(3, 2))

        def forward(self, x):
            self.x = x
            return self.weight.data[x] ** 2

        def backward(self, dy):
            gradient = np.zeros_like(self.weight.data)
            np.add.at(gradient, self.x, 2 * self.weight.data[self.x] * dy)
            self.weight.add_grad(gradient)

    result = insight.gradcheck(Table(), np.array([0, 2, 2]))
    assert result.ok
    assert [row.name for row in result.rows] == ["weight"]


def test_gradcheck_of_empty_batch_passes():
    assert insight.gradcheck(nn.Linear(3, 2), np.zeros((0, 3))).ok


# ---- nothing changes -------------------------------------------------------------------------------------------------
def test_gradcheck_leaves_module_and_generators_as_they_were(rng):
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))
    model[1].eval()
    model.input_grad = False
    model[0].weight.requires_grad = False
    model[3].weight.grad = gradient = np.ones((2, 5), np.float32)
    x = rows(rng).astype(np.float32)
    before = model.state_dict(), x.copy(), [module.training for module in model.modules()]
    fastnn.manual_seed(11)
    own, legacy = fastnn.random_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert insight.gradcheck(model, x).ok
    assert fastnn.random_state() == own
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    for key, array in model.state_dict().items():
        assert array.dtype == before[0][key].dtype
        np.testing.assert_array_equal(array, before[0][key])
    np.testing.assert_array_equal(x, before[1])
    assert [module.training for module in model.modules()] == before[2]
    assert model[3].weight.grad is gradient
    assert model.input_grad is False
    assert model[0].weight.requires_grad is False
    assert not any("forward" in vars(module) for module in model.modules())


def test_gradcheck_fixes_the_generator_of_a_users_dropout(rng):
    class Noise(nn.Module):
        def __init__(self):
            super().__init__()
            self.rng = np.random.default_rng(3)

        def forward(self, x):
            self.mask = self.rng.random(x.shape) < np.random.rand()  # noqa: NPY002
            return x * self.mask

        def backward(self, dy):
            return dy * self.mask

    layer = Noise()
    state = layer.rng.bit_generator.state
    assert insight.gradcheck(layer, rows(rng)).ok
    assert layer.rng.bit_generator.state == state


def test_gradcheck_restores_running_statistics_between_runs(rng):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("runs", np.zeros(1))

        def forward(self, x):
            self.runs += 1
            self.factor = float(self.runs[0])
            return x * self.factor

        def backward(self, dy):
            return dy * self.factor

    layer = Counting()
    assert insight.gradcheck(layer, rows(rng)).ok
    assert layer.runs[0] == 0


# ---- kinks -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("slope", [0.0, 0.3, 0.5, 1.0])
def test_gradcheck_at_kink_accepts_left_right_and_between(slope):
    class Ramp(nn.Module):
        def forward(self, x):
            self.x = x
            return np.maximum(x, 0)

        def backward(self, dy):
            return dy * np.where(self.x == 0, slope, self.x > 0)

    result = insight.gradcheck(Ramp(), np.array([[-1.0, 0.0, 1.0], [0.0, 2.0, -3.0]]))
    assert result.ok
    assert result["input"].kinks == result.kinks == 2


@pytest.mark.parametrize("slope", [-0.1, 1.1])
def test_gradcheck_at_kink_refuses_what_lies_outside(slope):
    class Ramp(nn.Module):
        def forward(self, x):
            self.x = x
            return np.maximum(x, 0)

        def backward(self, dy):
            return dy * np.where(self.x == 0, slope, self.x > 0)

    result = insight.gradcheck(Ramp(), np.array([[-1.0, 0.0, 1.0]]))
    assert not result.ok
    assert result["input"].worst == (0, 1)


@pytest.mark.parametrize("distance", [1e-5, -3e-5, 4e-6])
def test_gradcheck_near_kink_uses_smaller_steps(distance):
    result = insight.gradcheck(nn.ReLU(), np.array([distance, 1.0]))
    assert result.ok
    assert result.kinks == 0

    class Wrong(nn.ReLU):
        def backward(self, dy):
            return dy * 0.5

    assert not insight.gradcheck(Wrong(), np.array([distance, 1.0])).ok


def test_gradcheck_of_equal_maxima_counts_kinks():
    result = insight.gradcheck(nn.MaxPool2d(2), np.zeros((1, 1, 4, 4)))
    assert result.ok
    assert result.kinks == 16
    assert insight.gradcheck(nn.L1Loss(), np.zeros((2, 3)), np.zeros((2, 3))).kinks == 6


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(-0.5), nn.PReLU(), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(2),
    ],
    ids=repr,
)  # fmt: skip
def test_gradcheck_of_layers_with_kinks_passes_at_them(layer, isa, rng):
    result = insight.gradcheck(layer, rng.integers(-1, 2, (2, 2, 4, 4)).astype(float))
    assert result.ok, str(result)
    assert result.kinks > 0


def test_gradcheck_of_dead_network_at_zero_bias_passes():
    """Zero input, zero bias: every ReLU is at its kink, from the bias's point of view."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    model[0].bias.data[:] = 0
    result = insight.gradcheck(model, np.zeros((5, 4)))
    assert result.ok, str(result)
    assert result["0.bias"].kinks == 3


def test_gradcheck_of_black_images_lets_the_layers_decide(rng):
    """Zero input and zero biases: many ReLUs at their kinks act on one loss, and 0 lies on neither side of it."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    for layer in (model[0], model[2]):
        layer.bias.data[:] = 0
    x, labels = np.zeros((5, 4)), np.array([0, 1, 2, 0, 1])
    result = insight.gradcheck(model, x, labels, criterion=nn.CrossEntropyLoss())
    assert result.ok, str(result)
    assert result["input"].kinks == 20
    assert result["input"].error < 1e-8

    class Wrong(nn.ReLU):
        def backward(self, dy):
            return np.where(self._x == 0, 1.5 * dy, super().backward(dy))

        def forward(self, x):
            self._x = x
            return super().forward(x)

    model[1] = Wrong()
    result = insight.gradcheck(model, x, labels, criterion=nn.CrossEntropyLoss())
    assert not result.ok
    assert result.notes[0].startswith("layer '1' (Wrong) is wrong on its own")


# ---- wrong gradients are named ---------------------------------------------------------------------------------------
CAUSES = {
    "half": ({"dweight": lambda x, dy, w: x.T @ dy / 2}, "weight", "2 times too small"),
    "twice": ({"dbias": lambda x, dy, w: 2 * dy.sum(0)}, "bias", "2 times too large"),
    "mean for sum": ({"dbias": lambda x, dy, w: dy.mean(0)}, "bias", "6 times too small, which is the batch size"),
    "sum for mean": (
        {"dweight": lambda x, dy, w: x.T @ dy * 6},
        "weight",
        "6 times too large, which is the batch size",
    ),
    "factor": ({"dx": lambda x, dy, w: dy @ w.T * 1.7}, "input", "1.7 times too large: a constant factor"),
    "sign": ({"dx": lambda x, dy, w: -dy @ w.T}, "input", "the sign is wrong"),
    "sign and factor": ({"dx": lambda x, dy, w: -3.5 * dy @ w.T}, "input", "3.5 times too large and the sign is wrong"),
    "zero": ({"dweight": lambda x, dy, w: 0 * w}, "weight", "the gradient is zero"),
    "missing": ({"dweight": lambda x, dy, w: None}, "weight", "there is no gradient"),
    "missing input": ({"dx": lambda x, dy, w: None}, "input", "there is no gradient"),
    "shape": ({"dweight": lambda x, dy, w: dy.T @ x}, "weight", "(3, 4), (4, 3) is needed: it is transposed"),
    "total": ({"dbias": lambda x, dy, w: np.full(3, dy.sum())}, "bias", "summed over the axes (0, 1); (0,) would be"),
    "first row": ({"dbias": lambda x, dy, w: dy[0]}, "bias", "only the first row of dy"),
    "last row": ({"dbias": lambda x, dy, w: dy[-1]}, "bias", "only the last row of dy"),
    "nan": ({"dbias": lambda x, dy, w: dy.sum(0) * np.nan}, "bias", "holds NaN or infinity"),
    "l2": ({"dweight": lambda x, dy, w: x.T @ dy - 0.1 * w}, "weight", "0.1 times the parameter should be added"),
    "l2 twice": ({"dweight": lambda x, dy, w: x.T @ dy + 0.1 * w}, "weight", "-0.1 times the parameter"),
    "l1": ({"dweight": lambda x, dy, w: x.T @ dy - 0.1 * np.sign(w)}, "weight", "0.1 times the sign of the parameter"),
    "reversed": ({"dx": lambda x, dy, w: (dy @ w.T)[::-1]}, "input", "reversed along axis 0"),
    "one column": (
        {"dweight": lambda x, dy, w: x.T @ dy * np.array([1, 1, 1.2])},
        "weight",
        "4 of 12 entries are wrong, all at index 2 of axis 1",
    ),
    "columns": (
        {"dweight": lambda x, dy, w: x.T @ dy * np.array([2, 3, 4])},
        "weight",
        "the gradient of each column is wrong by a factor of its own, from 0.25 to 0.5",
    ),
    "nonsense": ({"dx": lambda x, dy, w: np.sin(np.arange(24.0)).reshape(6, 4)}, "input", "no simple cause"),
}


@pytest.mark.parametrize("case", CAUSES)
def test_gradcheck_names_the_parameter_and_the_cause(case, rng):
    wrong, name, words = CAUSES[case]
    result = insight.gradcheck(Affine(**wrong), rows(rng))
    assert [row.name for row in result.rows if not row.ok] == [name]
    assert words in result[name].cause
    with pytest.raises(insight.GradientError, match=f"{name}: "):
        result.raise_if_wrong()


def test_gradcheck_names_transposed_square_weight(rng):
    result = insight.gradcheck(Affine(4, 4, dweight=lambda x, dy, w: dy.T @ x), rows(rng))
    assert result["weight"].cause == "the gradient is transposed"


def test_gradcheck_names_wrong_axis_of_a_square_batch(rng):
    result = insight.gradcheck(Affine(4, 6, dbias=lambda x, dy, w: dy.sum(axis=1)), rows(rng))
    assert result["bias"].cause == "dy is summed over the axes (1,); (0,) would be right"


@pytest.mark.parametrize("norm", [BatchNorm, LayerNorm])
def test_gradcheck_names_missing_terms_of_normalisation(norm, rng):
    x = rng.standard_normal((8, 6)) * 2 + 1
    assert insight.gradcheck(norm(), x).ok
    group = "channel" if norm is BatchNorm else "image"
    for layer, missing in (
        (norm(mean_term=0), "through the mean is missing"),
        (norm(variance_term=0), "through the variance is missing"),
        (norm(0, 0), "through mean and variance are missing"),
    ):
        cause = insight.gradcheck(layer, x)["input"].cause
        assert missing in cause
        assert cause.endswith(f"each {group}")


def test_gradcheck_names_rotated_kernel_and_exchanged_channels(rng):
    class Rotated(nn.Conv2d):
        def backward(self, dy):
            dx = super().backward(dy)
            self.weight.grad = self.weight.grad[..., ::-1, ::-1]
            return dx

    class Exchanged(nn.Conv2d):
        def backward(self, dy):
            dx = super().backward(dy)
            self.weight.grad = self.weight.grad.swapaxes(0, 1)
            return dx

    x = rng.standard_normal((2, 3, 5, 5))
    assert "rotated by 180 degrees" in insight.gradcheck(Rotated(3, 4, 3), x)["weight"].cause
    assert "axes 0 and 1 are exchanged" in insight.gradcheck(Exchanged(3, 3, 3), x)["weight"].cause


def test_gradcheck_names_dy_handed_on(rng):
    class Through(nn.Tanh):
        def backward(self, dy):
            return dy

    assert "dy is handed on as it came" in insight.gradcheck(Through(), rows(rng))["input"].cause


def test_gradcheck_of_data_from_the_same_seed_names_the_missing_mean_term():
    """Everybody's test data; if the weights of the result were the same numbers, this would look like a factor."""
    x = np.random.default_rng(0).normal(size=(8, 5))
    assert insight.gradcheck(BatchNorm(), x).ok
    cause = insight.gradcheck(BatchNorm(mean_term=0), x)["input"].cause
    assert cause == "the term through the mean is missing: mean and variance depend on all elements of each channel"
    both = insight.gradcheck(BatchNorm(0, 0), x)["input"].cause
    assert both.startswith("the terms through mean and variance are missing")


class ScaledNorm(BatchNorm):
    """Batch norm with a weight. `wrong(right dx, what there is) -> dx`."""

    def __init__(self, wrong=lambda dx, s: dx):
        super().__init__()
        self.weight = nn.Parameter(np.array([0.5, 2.0, -1.5, 3.0], np.float32))
        self.wrong = wrong

    def forward(self, x):
        self.x = x
        return super().forward(x) * self.weight.data

    def backward(self, dy):
        self.weight.add_grad((dy * self.y).sum(axis=0))
        self.dy = dy
        return self.wrong(super().backward(dy * self.weight.data), self)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda dx, s: dx / s.invstd**2, "multiplied by the root of the variance instead of divided by it"),
        (lambda dx, s: dx / s.invstd, "not divided by the root of the variance"),
        (lambda dx, s: dx * s.invstd, "divided by the root of the variance once too often"),
        (lambda dx, s: dx / s.weight.data, "the gradient of each channel is not multiplied by weight"),
        (lambda dx, s: dx * s.weight.data, "the gradient of each channel is multiplied once too often by weight"),
        (lambda dx, s: dx * np.array([2, 3, 4, 5]), "each channel is wrong by a factor of its own, from 0.2 to 0.5"),
        (
            lambda dx, s: s.dy * s.weight.data / s.invstd,
            "multiplied by the root of the variance instead of divided by it; the terms through mean and variance are",
        ),
    ],
)
def test_gradcheck_names_the_factor_of_each_channel(wrong, words):
    x = np.random.default_rng(0).normal(size=(9, 4)) * np.array([1, 2, 0.3, 5]) + 1
    assert insight.gradcheck(ScaledNorm(), x).ok
    assert words in insight.gradcheck(ScaledNorm(wrong), x)["input"].cause


def test_gradcheck_says_when_forward_is_not_finite():
    class Log(nn.Module):
        def forward(self, x):
            self.x = x
            with np.errstate(all="ignore"):
                return np.log(x)

        def backward(self, dy):
            with np.errstate(all="ignore"):
                return np.where(self.x > 0, dy / self.x, 0)

    result = insight.gradcheck(Log(), np.array([1.0, -1.0]))
    assert "forward holds NaN" in result["input"].cause


def test_gradcheck_of_network_blames_the_layer_that_is_wrong(rng):
    model = nn.Sequential(nn.Linear(4, 6), BatchNorm(0, 0), nn.Tanh(), nn.Linear(6, 3))
    result = insight.gradcheck(model, rows(rng, 8), np.arange(8) % 3, criterion=nn.CrossEntropyLoss())
    assert not result["input"].ok
    assert not result["0.weight"].ok
    assert result["3.weight"].ok
    assert len(result.notes) == 1
    assert result.notes[0].startswith("layer '1' (BatchNorm) is wrong on its own: input: the terms")
    assert result.notes[0] in str(result)


def test_gradcheck_says_when_only_the_connection_is_wrong(rng):
    class Lost(nn.Residual):
        def backward(self, dy):
            return self.body.backward(dy)

    result = insight.gradcheck(Lost(nn.Sequential(nn.Linear(4, 4), nn.Tanh())), rows(rng))
    assert not result["input"].ok
    assert result.notes == ("every layer is right on its own: look at how they are connected",)


# ---- what is wrong beside the numbers --------------------------------------------------------------------------------
class Scale(nn.Module):
    """y = 2 * x * weight, in as many wrong ways as there are."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.array([1.0, -2.0, 3.0], np.float32))

    def forward(self, x):
        self.x = x
        return 2 * x * self.weight.data

    def backward(self, dy):
        self.weight.add_grad((2 * dy * self.x).sum(axis=0))
        return 2 * dy * self.weight.data


class Overwrites(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        self.weight.grad = (2 * dy * self.x).sum(axis=0)
        return dx


class AddsOnlyOnce(Scale):
    def backward(self, dy):
        if self.weight.grad is None:
            self.weight.grad = (2 * dy * self.x).sum(axis=0)
        return 2 * dy * self.weight.data


class ForgetsTheGradient(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        if self.weight.grad is not None and (self.weight.grad != (2 * dy * self.x).sum(axis=0)).any():
            self.weight.grad = None
        return dx


class ChangesDy(Scale):
    def backward(self, dy):
        dx = super().backward(dy.copy())
        dy *= 2
        return dx


class GivesDyItself(Scale):
    def backward(self, dy):
        self.weight.add_grad((2 * dy * self.x).sum(axis=0))
        dy *= 2 * self.weight.data
        return dy


class ChangesXInForward(Scale):
    def forward(self, x):
        x *= 2 * self.weight.data
        self.y = x
        return x

    def backward(self, dy):
        self.weight.add_grad((dy * self.y / self.weight.data).sum(axis=0))
        return 2 * dy * self.weight.data


class ChangesXInBackward(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        self.x[:] = 0
        return dx


class ChangesWeight(Scale):
    def forward(self, x):
        self.weight.data[0] = 1.0 if x[0, 0] > 100 else 7.0
        return super().forward(x)


class Noisy(Scale):
    def forward(self, x):
        return super().forward(x) + np.random.default_rng().normal(size=x.shape)


class Counts(Scale):
    runs = 0

    def forward(self, x):
        self.runs += 1
        return super().forward(x) * self.runs


class RemembersBackward(Scale):
    runs = 0

    def backward(self, dy):
        self.runs += 1
        return super().backward(dy) * self.runs


class GivesList(Scale):
    def backward(self, dy):
        return super().backward(dy).tolist()


class GivesSingle(Scale):
    def backward(self, dy):
        return super().backward(dy).astype(np.float32)


class GivesIntegers(Scale):
    def backward(self, dy):
        return super().backward(dy).astype(int)


class GivesNothing(Scale):
    def backward(self, dy):
        super().backward(dy)


class GivesRow(Scale):
    def backward(self, dy):
        return super().backward(dy)[0]


class LeavesOutDy(Scale):
    def backward(self, dy):
        super().backward(dy)
        return 2 * np.ones(dy.shape) * self.weight.data


class TakesDyTwice(Scale):
    def backward(self, dy):
        return super().backward(dy) * dy


class GradientIsList(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        self.weight.grad = self.weight.grad.tolist()
        return dx


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Overwrites, "weight: backward overwrites .grad: it must add to what is there"),
        (AddsOnlyOnce, "weight: backward leaves a .grad that is there as it is: it must add"),
        (ForgetsTheGradient, "weight: a second forward and backward leave no gradient"),
        (ChangesDy, "backward changes dy in place"),
        (GivesDyItself, "backward changes dy in place"),
        (ChangesXInForward, "forward changes its input in place"),
        (ChangesXInBackward, "backward changes x in place"),
        (ChangesWeight, "forward changes the parameter 'weight'"),
        (Noisy, "input: forward gives another result for the same input"),
        (Counts, "weight: forward gives another result for the same input"),
        (RemembersBackward, "input: a second forward and backward of the same input give another gradient"),
        (GivesList, "input: the gradient is of type list, an array is needed"),
        (GivesSingle, "input: the gradient has the dtype float32, that of x is float64"),
        (GivesIntegers, "input: the gradient has the dtype int64, floating point is needed"),
        (GivesNothing, "input: there is no gradient"),
        (GivesRow, "input: the gradient has the shape (3,), (5, 3) is needed"),
        (LeavesOutDy, "input: dy is not in it"),
        (TakesDyTwice, "input: dy is in it twice"),
        (GradientIsList, "weight: the gradient is of type list"),
    ],
)
def test_gradcheck_names_what_a_layer_must_not_do(layer, words):
    x = np.random.default_rng(0).normal(size=(5, 3))
    before = x.copy()
    result = insight.gradcheck(layer(), x)
    assert not result.ok
    assert words in str(result)
    np.testing.assert_array_equal(x, before)
    if layer in (RemembersBackward, GivesList):
        return  # what came before has an effect on the one; of the other, Tanh makes an array
    # In a network, the layer is named.
    network = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Tanh(), layer()), nn.Linear(3, 2))
    result = insight.gradcheck(network, x)
    assert not result.ok
    (note,) = [note for note in (*result.notes, *result.faults) if words.partition(": ")[2] or words in note]
    assert note.startswith(f"layer '1.1' ({layer.__name__})")
    assert words in note


class Keeps(Scale):
    """Holds what cannot be copied."""

    def __init__(self):
        super().__init__()
        self.np = np
        self.tools = {"numpy": np, "lists": [np.linalg]}
        self.lock = threading.Lock()

    def forward(self, x):
        with self.lock:
            return self.np.add(0, super().forward(x))


class GivesViews(nn.Module):
    """Forward gives x itself, backward dy itself."""

    def forward(self, x):
        return x[...]

    def backward(self, dy):
        return dy


class InPlaceOnItsOwn(Scale):
    """Works in place on arrays that it made, and adds to .grad in place."""

    def forward(self, x):
        self.x = x
        y = x * self.weight.data
        y *= 2
        return y

    def backward(self, dy):
        addition = 2 * (dy * self.x).sum(axis=0)
        if self.weight.grad is None:
            self.weight.grad = addition
        else:
            self.weight.grad += addition
        return 2 * dy * self.weight.data


class Buffered(nn.Module):
    """Uses one buffer for all of its results."""

    def forward(self, x):
        if getattr(self, "out", None) is None or self.out.shape != x.shape:
            self.out = np.empty_like(x)
        return np.multiply(x, 3, out=self.out)

    def backward(self, dy):
        return np.multiply(dy, 3, out=self.out)


class Unused(Scale):
    """Has a parameter that does nothing, and one without elements."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(np.ones(2, np.float32))
        self.empty = nn.Parameter(np.ones((0, 3), np.float32))


@pytest.mark.parametrize("layer", [Scale, Keeps, GivesViews, InPlaceOnItsOwn, Buffered, Unused])
def test_gradcheck_of_right_layers_in_other_styles_passes(layer):
    x = np.random.default_rng(0).normal(size=(5, 3))
    result = insight.gradcheck(layer(), x)
    assert result.ok, str(result)
    network = nn.Sequential(nn.Linear(3, 3), layer(), nn.Residual(layer()), nn.Linear(3, 2))
    result = insight.gradcheck(network, x, np.arange(5) % 2, criterion=nn.CrossEntropyLoss())
    assert result.ok, str(result)


def test_gradcheck_of_one_layer_used_twice_passes_and_of_one_that_overwrites_does_not():
    class Twice(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            self.kept = x
            return self.layer(self.layer(x))

        def backward(self, dy):
            between = self.layer.backward(dy)
            self.layer(self.kept)  # what the layer keeps is of its last run
            return self.layer.backward(between)

    x = np.random.default_rng(0).normal(size=(5, 3))
    assert insight.gradcheck(Twice(Scale()), x).ok
    assert "layer 'layer' (Overwrites) is wrong on its own: weight: backward overwrites" in str(
        insight.gradcheck(Twice(Overwrites()), x)
    )


def test_gradcheck_leaves_what_a_layer_shares_with_its_copy_alone():
    layer = Keeps()
    insight.gradcheck(layer, np.ones((2, 3)))
    assert layer.weight.dtype == np.float32
    assert layer.weight.grad is None
    assert "x" not in vars(layer)
    assert layer.np is np


# ---- functions that are no modules -----------------------------------------------------------------------------------
def toy():
    """The two-layer network of a course: loss of softmax plus reg times the squares of the weights."""
    rng = np.random.default_rng(2)
    p = {name: rng.standard_normal(shape) for name, shape in (("W1", (4, 10)), ("W2", (10, 3)))}
    x, y, reg = 3 * rng.standard_normal((5, 4)), np.array([0, 1, 2, 2, 1]), 0.05

    def forward():
        hidden = np.maximum(x @ p["W1"], 0)
        scores = hidden @ p["W2"]
        chance = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, chance / chance.sum(axis=1, keepdims=True)

    def loss():
        chance = forward()[1]
        return -np.log(chance[np.arange(5), y]).mean() + reg * sum((w**2).sum() for w in p.values())

    hidden, dscores = forward()
    dscores[np.arange(5), y] -= 1
    dscores /= 5
    data = {"W2": hidden.T @ dscores, "W1": x.T @ (dscores @ p["W2"].T * (hidden > 0))}
    return loss, p, data, reg


def test_compare_gradients_finds_the_halved_regulariser():
    loss, p, data, reg = toy()
    before = {name: array.copy() for name, array in p.items()}
    right = {name: data[name] + 2 * reg * p[name] for name in p}
    halved = {name: data[name] + reg * p[name] for name in p}
    assert insight.compare_gradients(loss, p, right).ok
    result = insight.compare_gradients(loss, p, halved)
    for name in p:
        assert result[name].cause.startswith("0.05 times the parameter should be added: the term of a regulariser")
        np.testing.assert_array_equal(p[name], before[name])


def test_compare_gradients_refuses_bad_arguments():
    w = np.ones(3)
    with pytest.raises(ValueError, match="the same names"):
        insight.compare_gradients(lambda: 0.0, {"w": w}, {"v": w})
    with pytest.raises(TypeError, match="w must be an array of float64"):
        insight.compare_gradients(lambda: 0.0, {"w": w.astype(np.float32)}, {"w": w})


# ---- errors and text -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings",
    [{"step": 0}, {"step": float("nan")}, {"tolerance": 2}, {"max_entries": 0}, {"seed": -1}],
    ids=str,
)
def test_gradcheck_refuses_bad_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        insight.gradcheck(nn.ReLU(), np.ones(3), **settings)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((None, np.ones(3)), TypeError, "gradcheck: module must be an nn.Module. Received: None"),
        ((nn.ReLU, np.ones(3)), TypeError, r"make an instance: ReLU\(...\)"),
        ((nn.ReLU(), "same"), TypeError, "gradcheck: x must be an array of numbers. Received: 'same'"),
        ((nn.ReLU(), np.arange(3)), ValueError, "no gradient to check: x holds int64"),
    ],
    ids=str,
)
def test_gradcheck_refuses_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        insight.gradcheck(*arguments)
    with pytest.raises(TypeError, match=r"gradcheck: criterion must be an nn.Module; make an instance: MSELoss"):
        insight.gradcheck(nn.ReLU(), np.ones(3), np.ones(3), criterion=nn.MSELoss)


@pytest.mark.parametrize("value", [(1.0, 2.0), None, "a", [np.ones(3)]])
def test_gradcheck_refuses_a_forward_that_gives_no_array(value):
    class Gives(nn.Module):
        def forward(self, x):
            return value

    with pytest.raises(TypeError, match=f"Gives must give one array or number. Received: {type(value).__name__}"):
        insight.gradcheck(Gives(), np.ones(3))


def test_gradcheck_refuses_a_module_that_loses_precision():
    class Single(nn.Module):
        def forward(self, x):
            return x.astype(np.float32)

    with pytest.raises(TypeError, match="gives float32 for an input of float64"):
        insight.gradcheck(Single(), np.ones(3))


def test_gradcheck_table_has_a_line_for_each_gradient(rng):
    result = insight.gradcheck(Affine(dweight=lambda x, dy, w: x.T @ dy / 2), rows(rng))
    lines = str(result).splitlines()
    assert lines[0].split()[:4] == ["gradient", "of", "shape", "checked"]
    assert [line.split()[0] for line in lines[2:5]] == ["input", "weight", "bias"]
    assert lines[3].endswith("WRONG")
    assert lines[4].endswith("ok")
    assert lines[5].startswith("weight: the gradient is 2 times too small")
    with pytest.raises(KeyError, match="there are input, weight, bias"):
        result["gamma"]
