"""The Saarland exercise: the toy problem to the last digit, the loop, the published run, deep networks."""

import os
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import courses, data, nn
from fastnn.courses.hlcv import mlp, two_layer, two_layer_figures
from fastnn.courses.hlcv import toy as toy_problem
from fastnn.courses.hlcv.images import cut
from fastnn.courses.hlcv.mlp_network import BATCH_NORM, COURSE_INIT, KAIMING, VARIANTS, build, signal_and_gradient
from fastnn.courses.hlcv.toy import relative_error
from fastnn.courses.pixel_rows import PixelRows
from fastnn.courses.two_layer_network import TwoLayerNet
from fastnn.courses.two_layer_training import train

needs_data = pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="NOT TESTED: FASTNN_DATA is not set")


@pytest.fixture
def net():
    return toy_problem.toy_net()[0]


@pytest.fixture
def toy():
    return toy_problem.toy_data()


def plain_loss(values, x, y, reg):
    """The loss from its definition, in plain NumPy."""
    scores = np.maximum(x @ values["W1"] + values["b1"], 0) @ values["W2"] + values["b2"]
    exps = np.exp(scores)
    probabilities = exps / exps.sum(axis=1, keepdims=True)
    penalty = reg * ((values["W1"] ** 2).sum() + (values["W2"] ** 2).sum())
    return -np.log(probabilities[np.arange(len(y)), y]).mean() + penalty


# ---- network and loss ------------------------------------------------------------------------------------------------
def test_toy_scores_and_loss_are_the_published_ones(net, toy, isa):
    x, y = toy
    assert np.abs(net.scores(x) - toy_problem.SCORES).sum() < 1e-7
    assert np.abs(net.probabilities(x) - toy_problem.PROBABILITIES).sum() < 1e-7
    assert net.loss(x, y, 0.05) == pytest.approx(1.30378789133, abs=1e-11)
    assert net.loss(x, y, 0.05) == pytest.approx(plain_loss(net.values(), x, y, 0.05), abs=1e-14)


def test_toy_gradients_are_those_of_the_table_and_of_differences(net, toy, isa):
    gradients = net.gradients(*toy, 0.05)
    numeric = net.numeric_gradients(*toy, 0.05)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, toy_problem.GRADIENTS[name], rtol=0, atol=1e-10)
        assert relative_error(gradient, numeric[name]) < 1e-8


@needs_data
def test_toy_agrees_with_the_stored_arrays(net, toy):
    path = Path(os.environ["FASTNN_DATA"], "courses", "hlcv_toy_expected.npz")
    with np.load(path) as stored:
        expected = dict(stored)
    np.testing.assert_array_equal(toy[0], expected["X"])
    gradients = net.gradients(*toy, 0.05)
    for name, value in net.values().items():
        np.testing.assert_array_equal(value, expected[name])
        np.testing.assert_allclose(gradients[name], expected[f"d{name}"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(toy_problem.train_toy()[0].losses, expected["toy_loss_history"], rtol=0, atol=1e-13)
    full, _ = toy_problem.train_toy(full_batch=True)
    np.testing.assert_allclose(full.losses, expected["toy_fullbatch_loss_history"], rtol=0, atol=1e-13)


def test_two_layer_numeric_gradients_leave_the_values_as_they_were(net, toy):
    before = {name: value.copy() for name, value in net.values().items()}
    net.numeric_gradients(*toy, 0.05)
    for name, value in net.values().items():
        np.testing.assert_array_equal(value, before[name])


def test_two_layer_keeps_copies_of_its_initial_values():
    w1, w2 = np.ones((4, 3)), np.ones((3, 2))
    net = TwoLayerNet(w1, np.zeros(3), w2, np.zeros(2))
    net.values()["W1"][0, 0] = 7
    assert w1[0, 0] == 1
    assert net.first.weight.data[0, 0] == 7


def test_two_layer_half_penalty_gradient_misses_reg_times_weights(net, toy):
    values = net.values()
    half = TwoLayerNet(*values.values(), penalty_factor=1.0)
    right, wrong = net.gradients(*toy, 0.05), half.gradients(*toy, 0.05)
    for name in ("W1", "W2"):
        np.testing.assert_allclose(right[name] - wrong[name], 0.05 * values[name], rtol=0, atol=1e-15)
        assert relative_error(wrong[name], net.numeric_gradients(*toy, 0.05)[name]) > 1e-3
    for name in ("b1", "b2"):
        np.testing.assert_array_equal(right[name], wrong[name])


def test_two_layer_accuracy_counts_all_chunks(net, toy):
    x, _ = toy
    many = np.tile(x, (501, 1))  # more than are classified at once
    predicted = net.predict(many)
    np.testing.assert_array_equal(predicted, np.tile(net.scores(x).argmax(axis=1), 501))
    assert net.accuracy(many, predicted) == 1.0
    predicted[-1] = (predicted[-1] + 1) % 3
    assert net.accuracy(many, predicted) == pytest.approx(1 - 1 / len(many))


# ---- the loop --------------------------------------------------------------------------------------------------------
def test_toy_training_has_the_published_losses(isa):
    log, random = toy_problem.train_toy()
    assert log.losses[99] == pytest.approx(0.017149607938732, abs=1e-9)
    for step, expected in toy_problem.LOSSES.items():
        assert log.losses[step] == pytest.approx(expected, abs=1e-9)
    expected = np.random.RandomState(0)
    expected.randn(70)
    for _ in range(100):
        expected.choice(5, 200)
    assert random.randint(1 << 30) == expected.randint(1 << 30)


def test_toy_training_is_the_same_with_any_number_of_threads(threads):
    losses = toy_problem.train_toy()[0].losses
    fastnn.set_num_threads(1)
    assert toy_problem.train_toy()[0].losses == losses


@pytest.mark.parametrize("penalty_factor", [2.0, 1.0])
def test_train_step_goes_down_the_gradient(toy, penalty_factor):
    x, y = toy
    net = TwoLayerNet(*toy_problem.toy_net()[0].values().values(), penalty_factor=penalty_factor)
    before = {name: value.copy() for name, value in net.values().items()}
    gradients = net.gradients(x, y, 0.05)
    train(net, x, y, draw=None, n_steps=1, lr=0.3, decay=0.5, reg=0.05, batch_size=5)
    for name, value in net.values().items():
        np.testing.assert_allclose(value, before[name] - 0.3 * gradients[name], rtol=0, atol=1e-15)


def test_train_lowers_the_learning_rate_after_the_first_step_of_each_epoch(net, toy):
    x, y = toy
    log = train(
        net, np.tile(x, (2, 1)), np.tile(y, 2), draw=np.random.RandomState(0).choice, n_steps=7, lr=0.1, decay=0.5,
        reg=0.0, batch_size=4, validation=(x, y),
    )  # fmt: skip
    assert [(row["step"], row["lr"]) for row in log.epochs] == [(0, 0.1), (2, 0.05), (4, 0.025), (6, 0.0125)]
    assert len(log.losses) == 7
    assert log.epochs[-1]["val_accuracy"] == net.accuracy(x, y)


def test_train_ends_when_the_loss_is_no_longer_a_number(toy):
    x, y = toy
    net = TwoLayerNet(*toy_problem.toy_net()[0].values().values())
    with np.errstate(all="ignore"):
        log = train(net, x, y, draw=None, n_steps=100, lr=1e200, decay=1.0, reg=0.0, batch_size=5, validation=(x, y))
    assert len(log.losses) < 100
    assert np.isfinite(log.losses).tolist() == [True] * (len(log.losses) - 1) + [False]
    assert len(log.epochs) == len(log.losses) - 1


def test_train_float32_stays_float32(toy):
    x, y = toy
    net = TwoLayerNet(*toy_problem.toy_net()[0].values().values(), dtype=np.float32)
    x = x.astype(np.float32)
    log = train(net, x, y, draw=None, n_steps=100, lr=0.1, decay=0.95, reg=5e-6, batch_size=5)
    assert all(value.dtype == np.float32 for value in net.values().values())
    assert log.losses[99] == pytest.approx(toy_problem.FULL_BATCH_FINAL_LOSS, rel=1e-3)


# ---- CIFAR-10 --------------------------------------------------------------------------------------------------------
def test_centred_rows_convert_what_is_selected(rng):
    pixels = rng.integers(0, 256, (9, 12), dtype=np.uint8)
    mean = pixels.mean(axis=0)
    rows = PixelRows(pixels, mean)
    assert len(rows) == 9
    np.testing.assert_array_equal(rows[np.array([8, 0, 0])], pixels[[8, 0, 0]].astype(np.float64) - mean)
    assert rows.astype(np.float32)[2:4].dtype == np.float32


@needs_data
def test_published_run_begins_with_the_published_losses():
    _, random = toy_problem.train_toy()
    splits = cut(data.CIFAR10(), data.CIFAR10(train=False))
    net = TwoLayerNet.random(3072, 50, 10, 1e-4, random.randn)
    log = train(net, *splits.train, draw=random.choice, n_steps=101, lr=1e-4, reg=0.25, validation=splits.val)
    assert log.losses[::100] == pytest.approx(two_layer.PUBLISHED_LOSSES[:2], abs=1e-6)
    assert log.epochs == [{"step": 0, "lr": 1e-4, "batch_accuracy": 0.135, "val_accuracy": 0.115}]


def test_weight_pictures_show_each_unit_as_an_image():
    w1 = np.zeros((3072, 11))
    w1.reshape(32, 32, 3, 11)[5, 6, 0, 10] = 1  # one red pixel in the last unit
    (image,) = two_layer_figures.weight_pictures(w1).axes[0].images
    picture = np.asarray(image.get_array())
    assert picture.shape == (2 * 34, 10 * 34, 3)
    np.testing.assert_array_equal(picture[34 + 1 + 5, 1 + 6], [1, 0, 0])


# ---- deep networks ---------------------------------------------------------------------------------------------------
def test_build_deep_networks_begin_as_asked():
    fastnn.manual_seed(0)
    normal, kaiming = (build([50, 50], variant) for variant in (COURSE_INIT, KAIMING))
    for model, expected in ((normal, (1e-3, 1e-3)), (kaiming, (np.sqrt(2 / 3072), np.sqrt(2 / 50)))):
        assert [type(layer) for layer in model] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
        for layer, std in zip((model[1], model[3]), expected, strict=True):
            assert layer.weight.data.std() == pytest.approx(std, rel=0.06)  # 3 sigma of 2500 draws is 4.2 %
            assert not layer.bias.data.any()
    model = build([20], BATCH_NORM, dropout=0.3)
    assert [type(layer) for layer in model] == [nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout, nn.Linear]


def test_signal_vanishes_with_small_weights_only(rng):
    fastnn.manual_seed(0)
    x = rng.uniform(-1, 1, (200, 3072)).astype(np.float32)
    y = rng.integers(0, 10, 200)
    layers = {variant: signal_and_gradient(build([50] * 4, variant), x, y) for variant in VARIANTS}
    signals = {variant: [row["signal"] for row in rows] for variant, rows in layers.items()}
    for a, b in zip(signals[COURSE_INIT], signals[COURSE_INIT][1:], strict=False):
        assert b < 0.02 * a  # 1e-3 * sqrt(50) is 0.007
    assert min(signals[KAIMING]) > 0.1 * max(signals[KAIMING])
    ratio = {variant: rows[0]["gradient"] / rows[0]["decay"] for variant, rows in layers.items()}
    assert ratio[COURSE_INIT] < 0.1 < 1 < min(ratio[KAIMING], ratio[BATCH_NORM])


def test_mlp_recipe_runs_on_small_data_and_resumes(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 700)
    images = rng.integers(0, 256, (700, 3, 32, 32), dtype=np.uint8)
    images[:, 0] = 25 * labels[:, None, None]  # the colour tells the class
    courses.names()  # other recipes read numbers of the real class
    monkeypatch.setattr(data, "CIFAR10", lambda root=None, train=True: data.Dataset(images, labels))
    monkeypatch.setattr(mlp, "N_TRAIN", 600)
    monkeypatch.setattr(mlp, "_BEST_HIDDEN", [20, 10])
    said = []
    report = courses.run("hlcv-mlp", quick=True, out=tmp_path, say=said.append)
    assert not [row for row in report.failed if "gradient" in row]
    assert {path.name for path in tmp_path.glob("*.png")} == {"depths.png", "signal.png", "best.png"}
    again = courses.run("hlcv-mlp", quick=True, out=tmp_path, say=said.append)
    assert sum("done before" in text for text in said) == 14
    assert [(row.what, row.ours) for row in again.rows] == [(row.what, row.ours) for row in report.rows]
