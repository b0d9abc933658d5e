"""Loss landscapes, bands of losses, the smoothness along the gradient: numbers, pictures, and no trace left behind."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastnn
from fastnn import insight, nn, optim
from fastnn.insight._state import input_gradients, preserved
from fastnn.insight.landscape import _direction


def network(dtype=np.float32):
    """With everything that has a state: batch norm, dropout, biases."""
    fastnn.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(4 * 36, 5),
    ).astype(dtype)


def batch(rng, n=8, dtype=np.float32):
    return rng.standard_normal((n, 3, 6, 6)).astype(dtype), rng.integers(0, 5, n)


def trace(model):
    """Everything that a look at the network must not change."""
    return (
        [(p.data.tobytes(), id(p.data), p.requires_grad, id(p.grad)) for p in model.parameters()],
        [None if p.grad is None else p.grad.tobytes() for p in model.parameters()],
        [(name, array.tobytes()) for name, array in model.named_buffers()],
        [(m.training, m.input_grad) for m in model.modules()],
        fastnn.random_state(),
    )


def used_network(rng, dtype=np.float32):
    """A network with gradients, running statistics, and one layer in another mode than the rest."""
    model = network(dtype)
    x, y = batch(rng, dtype=dtype)
    criterion = nn.CrossEntropyLoss()
    criterion(model(x), y)
    model.backward(criterion.backward())
    model[1].eval()
    return model, criterion, x, y


# ---- loss_landscape --------------------------------------------------------------------------------------------------
def test_loss_landscape_middle_is_the_loss_itself(rng):
    model, criterion, x, y = used_network(rng)
    line = insight.loss_landscape(model, criterion, [(x, y)], steps=7, span=0.3)
    model.eval()
    assert line.alphas[3] == 0
    assert line.losses[3] == criterion(model(x), y)
    assert line.betas is None


def test_loss_landscape_agrees_with_moving_the_weights_by_hand(rng):
    fastnn.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)).astype(np.float64)
    x, y = rng.standard_normal((9, 6)), rng.integers(0, 3, 9)
    criterion = nn.CrossEntropyLoss()
    plane = insight.loss_landscape(model, criterion, [(x[:5], y[:5]), (x[5:], y[5:])], directions=2, steps=4, seed=11)
    draw = np.random.default_rng(11)
    directions = []
    for _ in range(2):
        scaled = []
        for weight in (model[0].weight.data, model[2].weight.data):
            direction = draw.standard_normal(weight.shape)
            for row, own in zip(direction, weight, strict=True):
                row *= np.sqrt((own * own).sum()) / np.sqrt((row * row).sum())
            scaled.append(direction)
        directions.append(scaled)
    np.testing.assert_allclose(plane.alphas, [-1, -1 / 3, 1 / 3, 1], rtol=1e-15)
    for i, alpha in enumerate(plane.alphas):
        for k, beta in enumerate(plane.betas):
            first, second = (
                layer.weight.data + alpha * d + beta * e
                for layer, d, e in zip((model[0], model[2]), *directions, strict=True)
            )
            hidden = np.maximum(x @ first.T + model[0].bias.data, 0)
            logits = hidden @ second.T + model[2].bias.data
            losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(9), y]
            assert abs(plane.losses[i, k] - losses.mean()) < 1e-13 * np.abs(logits).max()


@pytest.mark.parametrize("normalize", ["filter", "layer", None])
def test_direction_has_the_norm_of_what_it_will_be_added_to(normalize, rng):
    weight = rng.standard_normal((4, 3, 2, 2)) * np.array([1, 10, 0, 0.1]).reshape(4, 1, 1, 1)
    direction = _direction(np.random.default_rng(0), weight, normalize)
    if normalize == "filter":
        for filter, own in zip(direction, weight, strict=True):
            np.testing.assert_allclose(np.linalg.norm(filter), np.linalg.norm(own), rtol=1e-14)
    elif normalize == "layer":
        np.testing.assert_allclose(np.linalg.norm(direction), np.linalg.norm(weight), rtol=1e-14)
    else:
        np.testing.assert_array_equal(direction, np.random.default_rng(0).standard_normal(weight.shape))


def test_loss_landscape_filter_normalised_is_the_same_for_scaled_weights(rng):
    """Batch norm undoes a scale of the weights before it, and so must the picture."""
    x, y = batch(rng, dtype=np.float64)
    lines = []
    for scale in (1.0, 8.0):
        fastnn.manual_seed(1)
        model = nn.Sequential(
            nn.Conv2d(3, 5, 6, bias=False), nn.BatchNorm2d(5, eps=0.0), nn.ReLU(), nn.Flatten(), nn.Linear(5, 5)
        )
        model.astype(np.float64)
        model[0].weight.data *= scale
        options = {"steps": 5, "batch_norm": "batch"}
        filtered = insight.loss_landscape(model, nn.CrossEntropyLoss(), [(x, y)], **options)
        raw = insight.loss_landscape(model, nn.CrossEntropyLoss(), [(x, y)], normalize=None, **options)
        lines.append((filtered.losses, raw.losses))
    np.testing.assert_allclose(lines[0][0], lines[1][0], rtol=1e-10)
    assert np.abs(lines[0][1] - lines[1][1]).max() > 1e-3


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("batch_norm", ["running", "batch"])
def test_loss_landscape_leaves_no_trace(directions, batch_norm, rng):
    model, criterion, x, y = used_network(rng)
    before = trace(model)
    insight.loss_landscape(
        model, criterion, [(x, y)], directions=directions, steps=3, batch_norm=batch_norm, include_vectors=True
    )
    assert trace(model) == before


def test_loss_landscape_leaves_no_trace_of_an_error(rng):
    model, _, x, y = used_network(rng)
    before = trace(model)

    calls = itertools.count(1)

    def fails_the_third_time(logits, y):
        if next(calls) == 3:
            raise RuntimeError("full")
        return 1.0

    with pytest.raises(RuntimeError, match="full"):
        insight.loss_landscape(model, fails_the_third_time, [(x, y)], batch_norm="batch")
    assert trace(model) == before


def spoil(model):
    model[1].running_mean[...] = 5  # written into
    model[1].running_var = np.ones_like(model[1].running_var)  # replaced
    model[1].train(not model[1].training)
    model.input_grad = False
    for parameter in model.parameters():
        parameter.data = parameter.data + 1
        parameter.grad = None
        parameter.requires_grad = not parameter.requires_grad
    nn.Linear(2, 2)  # draws
    raise RuntimeError("within")


@pytest.mark.parametrize("look", [preserved, input_gradients])
def test_a_look_puts_back_all_that_may_change(look, rng):
    model, _, _, _ = used_network(rng)
    model[0].weight.requires_grad = False
    before = trace(model)
    with pytest.raises(RuntimeError, match="within"), look(model):  # also if it ends with an error
        spoil(model)
    assert trace(model) == before


class AlwaysDrops(nn.Module):
    """Random in evaluation, too."""

    def forward(self, x):
        return x * (fastnn._random.generator().random(x.shape) < 0.5)


def test_loss_landscape_draws_the_same_random_numbers_at_every_point_and_puts_them_back(rng):
    x, y = rng.standard_normal((6, 4)).astype(np.float32), rng.integers(0, 3, 6)
    model = nn.Sequential(AlwaysDrops(), nn.Linear(4, 3))
    model.requires_grad_(False)  # nothing moves: only the random numbers could make a difference
    before = fastnn.random_state()
    line = insight.loss_landscape(model, nn.CrossEntropyLoss(), [(x, y)], steps=5)
    assert len(set(line.losses)) == 1
    assert fastnn.random_state() == before
    model(x)
    assert fastnn.random_state() != before


@pytest.mark.parametrize("steps", [2, 5, 7, 99])
def test_loss_landscape_places_are_symmetric_to_the_last_bit(steps, rng):
    model, x = nn.Linear(2, 2), np.ones((1, 2), np.float32)
    alphas = insight.loss_landscape(model, nn.CrossEntropyLoss(), [(x, [0])], steps=steps, span=0.7).alphas
    assert (alphas == -alphas[::-1]).all()
    assert len(alphas) == steps
    assert alphas[-1] == pytest.approx(0.7, rel=1e-15)


def test_loss_landscape_batch_norm_statistics_are_those_asked_for(rng):
    model, criterion, x, y = used_network(rng)
    options = {"steps": 3, "span": 0.5, "seed": 2}
    running = insight.loss_landscape(model, criterion, [(x, y)], batch_norm="running", **options)
    of_batch = insight.loss_landscape(model, criterion, [(x, y)], batch_norm="batch", **options)
    model.eval()
    assert running.losses[1] == criterion(model(x), y)
    model[1].train()
    assert of_batch.losses[1] == criterion(model(x), y)
    assert running.losses[1] != of_batch.losses[1]


def test_loss_landscape_depends_on_the_seed_only(rng):
    model, criterion, x, y = used_network(rng)
    first, again, other = (
        insight.loss_landscape(model, criterion, iter([(x, y)]), steps=3, seed=seed).losses for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first[[0, 2]] != other[[0, 2]]).all()


def test_loss_landscape_moves_vectors_only_if_asked(rng):
    model = nn.Linear(4, 3)
    model.weight.data[...] = 0  # a filter of norm 0 has a direction of norm 0
    batches = [(rng.standard_normal((5, 4)).astype(np.float32), rng.integers(0, 3, 5))]
    still = insight.loss_landscape(model, nn.CrossEntropyLoss(), batches, steps=3)
    moving = insight.loss_landscape(model, nn.CrossEntropyLoss(), batches, steps=3, include_vectors=True)
    assert len(set(still.losses)) == 1
    assert len(set(moving.losses)) == 3


def test_loss_landscape_does_not_move_frozen_parameters(rng):
    model, criterion, x, y = used_network(rng)
    model.requires_grad_(False)
    assert len(set(insight.loss_landscape(model, criterion, [(x, y)], steps=3).losses)) == 1


def test_loss_landscape_weighs_batches_by_their_images(rng):
    model = nn.Linear(4, 3).astype(np.float64)
    x, y = rng.standard_normal((7, 4)), rng.integers(0, 3, 7)
    whole, parts = (
        insight.loss_landscape(model, nn.CrossEntropyLoss(), batches, steps=3).losses
        for batches in ([(x, y)], [(x[:6], y[:6]), (x[6:], y[6:])])
    )
    np.testing.assert_allclose(whole, parts, rtol=1e-13)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"directions": 3}, "directions"),
        ({"steps": 1}, "steps"),
        ({"span": 0}, "span"),
        ({"span": float("nan")}, "span"),
        ({"normalize": "rows"}, "normalize"),
        ({"batch_norm": "none"}, "batch_norm"),
        ({"batches": []}, "no images"),
    ],
)
def test_loss_landscape_of_bad_arguments_raises(options, word, rng):
    x = rng.standard_normal((2, 4)).astype(np.float32)
    with pytest.raises(ValueError, match=word):
        insight.loss_landscape(
            nn.Linear(4, 2), nn.CrossEntropyLoss(), **{"batches": [(x, np.array([0, 1]))], **options}
        )


# ---- lr_band ---------------------------------------------------------------------------------------------------------
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(st.floats(0, 10), min_size=n, max_size=n), min_size=1)))
def test_lr_band_is_the_smallest_and_largest_of_each_step(curves):
    minimum, maximum = insight.lr_band(dict(enumerate(curves)))
    assert minimum.tolist() == [min(values) for values in zip(*curves, strict=True)]
    assert maximum.tolist() == [max(values) for values in zip(*curves, strict=True)]
    again = insight.lr_band(curves)
    assert again[0].tolist() == minimum.tolist()


def test_lr_band_counts_nan_as_infinite_and_keeps_the_input():
    curve = np.array([1.0, np.nan])
    minimum, maximum = insight.lr_band([curve, [2.0, 3.0]])
    assert (minimum.tolist(), maximum.tolist()) == ([1.0, 3.0], [2.0, np.inf])
    assert np.isnan(curve[1])


@pytest.mark.parametrize("losses", [{}, [[1.0, 2.0], [1.0]], [[[1.0]]]])
def test_lr_band_of_unequal_trainings_raises(losses):
    with pytest.raises(ValueError, match="lr_band"):
        insight.lr_band(losses)


# ---- smoothness ------------------------------------------------------------------------------------------------------
def test_probe_gradient_of_a_quadratic_is_exact(rng):
    """L = mean (x w - y)^2 has the gradient 2 x'(x w - y) / n and the Hessian 2 x'x / n."""
    model = nn.Linear(5, 1, bias=False).astype(np.float64)
    x, y = rng.standard_normal((12, 5)), rng.standard_normal((12, 1))
    w = model.weight.data[0].copy()
    hessian = 2 * x.T @ x / 12
    g = 2 * x.T @ (x @ w - y[:, 0]) / 12
    etas = [0.01, 0.1, 1.0]
    probe = insight.probe_gradient(model, nn.MSELoss(), x, y, etas)
    np.testing.assert_allclose(probe.gradient_norm, np.linalg.norm(g), rtol=1e-12)
    np.testing.assert_allclose(probe.distances, [np.linalg.norm(eta * hessian @ g) for eta in etas], rtol=1e-10)
    np.testing.assert_allclose(probe.smoothness, np.linalg.norm(hessian @ g) / np.linalg.norm(g), rtol=1e-10)
    expected = [np.square(x @ (w - eta * g) - y[:, 0]).mean() for eta in etas]
    np.testing.assert_allclose(probe.losses, expected, rtol=1e-12)
    assert probe.loss_range == (min(probe.loss, *probe.losses), max(probe.loss, *probe.losses))
    assert probe.beta <= np.linalg.eigvalsh(hessian)[-1] * (1 + 1e-10)
    np.testing.assert_array_equal(insight.gradient_predictiveness(model, nn.MSELoss(), x, y, etas), probe.distances)
    assert insight.beta_smoothness(model, nn.MSELoss(), x, y, etas) == probe.smoothness.max()


def test_probe_gradient_leaves_no_trace(rng):
    model, criterion, x, y = used_network(rng)
    before = trace(model)
    insight.probe_gradient(model, criterion, x, y, [0.1, 0.4])
    assert trace(model) == before


def test_probe_gradient_between_steps_does_not_change_a_training(rng):
    """Adam, batch norm and dropout go on bit for bit as if nobody had looked."""
    x, y = batch(rng)
    ends = []
    for looks in (False, True):
        model = network()
        fastnn.manual_seed(5)
        optimizer, criterion = optim.Adam(model.parameters()), nn.CrossEntropyLoss()
        for _ in range(3):
            criterion(model(x), y)
            optimizer.zero_grad()
            model.backward(criterion.backward())
            optimizer.step()
            if looks:
                insight.probe_gradient(model, criterion, x, y, [0.1])
                insight.loss_landscape(model, criterion, [(x, y)], steps=2)
        ends.append({key: array.tobytes() for key, array in model.state_dict().items()})
    assert ends[0] == ends[1]


def test_probe_gradient_draws_the_same_dropout_at_every_point(rng):
    """A hundredth of the step changes the gradient a hundredth as much; another mask would change it by itself."""
    fastnn.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 3)).astype(np.float64)
    x, y = rng.standard_normal((6, 20)), rng.integers(0, 3, 6)
    probe = insight.probe_gradient(model, nn.CrossEntropyLoss(), x, y, [1e-4, 1e-6])
    np.testing.assert_allclose(probe.distances[0] / probe.distances[1], 100, rtol=1e-2)


def test_probe_gradient_does_not_move_frozen_parameters(rng):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).astype(np.float64)
    model[0].requires_grad_(False)
    x, y = rng.standard_normal((6, 4)), rng.integers(0, 2, 6)
    hidden = model[0](x)
    whole = insight.probe_gradient(model, nn.CrossEntropyLoss(), x, y, [0.5])
    head = insight.probe_gradient(model[1], nn.CrossEntropyLoss(), hidden, y, [0.5])
    np.testing.assert_allclose(whole.distances, head.distances, rtol=1e-12)


def test_probe_gradient_where_the_gradient_is_zero_has_no_smoothness():
    model = nn.Linear(2, 1, bias=False).astype(np.float64)
    probe = insight.probe_gradient(model, nn.MSELoss(), np.zeros((3, 2)), np.zeros((3, 1)), [0.1])
    assert probe.distances.tolist() == [0.0]
    assert np.isnan(probe.beta)


def test_probe_gradient_of_bad_arguments_raises(rng):
    x, y = np.zeros((3, 2), np.float32), np.zeros(3, np.int64)
    for step_sizes in ([], [0.0], [-1.0], [np.inf], [[0.1]]):
        with pytest.raises(ValueError, match="step sizes"):
            insight.probe_gradient(nn.Linear(2, 2), nn.CrossEntropyLoss(), x, y, step_sizes)
    with pytest.raises(ValueError, match="no parameters"):
        insight.probe_gradient(nn.Linear(2, 2).requires_grad_(False), nn.CrossEntropyLoss(), x, y, [0.1])


# ---- plots -----------------------------------------------------------------------------------------------------------
def png(ax):
    """Draws for real, so that what only fails while drawing fails here."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(ax.figure).draw()
    return ax


def test_plot_loss_landscape_draws_lines_on_shared_axes():
    alphas = np.linspace(-1, 1, 5)
    ax = None
    for name, power in (("a", 2), ("b", 4)):
        ax = insight.plot_loss_landscape(insight.LossLandscape(alphas, None, alphas**power), ax, label=name)
    png(ax)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), alphas**4)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert ax.lines[0].get_color() != ax.lines[1].get_color()


@pytest.mark.parametrize(
    "losses", [lambda a, b: a + b + 3, lambda a, b: np.exp(5 * a + b), lambda a, b: 0 * a * b + 2, None]
)
def test_plot_loss_landscape_draws_contours_of_anything(losses):
    alphas = np.linspace(-1, 1, 5)
    table = np.full((5, 5), np.inf)
    if losses is not None:
        table = losses(alphas[:, None], alphas[None, :])
        table[0, 0] = np.nan
    ax = png(insight.plot_loss_landscape(insight.LossLandscape(alphas, alphas, table)))
    assert len(ax.figure.axes) == 2  # with a colour bar
    assert ax.get_ylabel().startswith("step beta")


def test_plot_lr_band_fills_one_area_for_each_network():
    bands = {"plain": ([1.0, 2.0, 3.0, 9.0], [2.0, 4.0, 6.0, np.inf]), "normed": ([0.0] * 4, [1.0] * 4)}
    ax = png(insight.plot_lr_band(bands, every=2, log=True))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["plain", "normed"]
    assert len(ax.collections) == 2
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1.5, 1.5], [3.5, 6.0]])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [3.0, np.nan])
    for every in (0, 5):
        with pytest.raises(ValueError, match="every"):
            insight.plot_lr_band(bands, every=every)


@pytest.mark.parametrize("plot", [insight.plot_gradient_predictiveness, insight.plot_beta_smoothness])
def test_plots_of_smoothness_show_the_largest_over_the_step_sizes(plot):
    series = {"plain": ([1, 5], [[1.0, 3.0], [4.0, 2.0]]), "normed": ([1, 5], [0.5, np.nan])}
    ax = png(plot(series))
    assert ax.lines[0].get_ydata().tolist() == [3.0, 4.0]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [0.5, np.nan])
    assert [line.get_label() for line in ax.lines] == ["plain", "normed"]
    assert ax.get_ylabel()


def test_probe_gradient_range_of_losses_includes_theta_itself():
    """L(w) = w^2 at w = 1: one step of 3 leads to w = -5."""
    model = nn.Linear(1, 1, bias=False).astype(np.float64)
    model.weight.data[...] = 1.0
    x, y = np.array([[1.0]]), np.array([[0.0]])
    assert insight.probe_gradient(model, nn.MSELoss(), x, y, [3.0]).loss_range == (1.0, 25.0)
    assert insight.probe_gradient(model, nn.MSELoss(), x, y, [0.5]).loss_range == (0.0, 1.0)


def test_probe_gradient_of_a_parameter_without_gradient_counts_zero():
    class Unused(nn.Linear):
        def __init__(self):
            super().__init__(1, 1, bias=False)
            self.unused = nn.Parameter(np.ones(3, np.float32))

    model = Unused().astype(np.float64)
    model.weight.data[...] = 2.0
    probe = insight.probe_gradient(model, nn.MSELoss(), np.array([[1.0]]), np.array([[0.0]]), [0.25])
    assert (probe.gradient_norm, probe.distances.tolist()) == (4.0, [2.0])
