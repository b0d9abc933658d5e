"""The recipes of the PKU course: their parts, and on the real data their numbers."""

import json
import math
import os
import sys

import numpy as np
import pytest
from PIL import Image

from fastnn import courses, data, nn
from fastnn.courses.pku import (
    bn,
    bn_inference,
    bn_network,
    cnn,
    cnn_figures,
    cnn_network,
    cnn_training,
    digits,
    mlp,
    pictures,
)

needs_data = pytest.mark.skipif(
    "FASTNN_DATA" not in os.environ, reason="NOT TESTED on the course's digits: FASTNN_DATA is not set"
)


def quiet(text):
    """For `say`."""


@pytest.fixture
def small_cifar(monkeypatch):
    """130 training and 40 test images of the synthetic set in place of CIFAR-10."""
    monkeypatch.setattr(
        data, "CIFAR10", lambda root=None, train=True: data.Shapes32(256 if train else 100, train=train)
    )
    monkeypatch.setattr(cnn_training, "LOG_EVERY", 5)


# ---- the digits ------------------------------------------------------------------------------------------------------
def write_digits(folder, value=0, size=(28, 28)):
    folder.mkdir()
    for digit in range(10):
        Image.new("L", size, value).save(folder / f"{digit}.png")


def test_courses_pku_digits_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "variable"))
    with pytest.raises(data.DataNotFoundError, match=r"pku-mnist-subset.*mnist_subset.*root.*variable"):
        digits.read_digits(tmp_path / "root")


@pytest.mark.parametrize("name", ["pku-mnist-subset", "mnist_subset"])
def test_courses_pku_digits_other_pictures_are_refused(tmp_path, name):
    write_digits(tmp_path / name)
    with pytest.raises(data.DataError, match=r"0\.png: not the assignment's image.*sum up to 0, not 31095"):
        digits.read_digits(tmp_path)
    with pytest.raises(data.DataError, match="not the assignment's image"):
        digits.read_digits(tmp_path / name)  # the folder itself


def test_courses_pku_digits_wrong_size_is_refused(tmp_path):
    write_digits(tmp_path / "mnist_subset", size=(32, 28))
    with pytest.raises(data.DataError, match="32 x 28 pixels, not 28 x 28"):
        digits.read_digits(tmp_path)


@pytest.mark.parametrize("damage", [lambda png: b"no picture", lambda png: png[: len(png) // 2], lambda png: b""])
def test_courses_pku_image_damaged_is_a_sentence(tmp_path, damage):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(data.DataError, match=r"picture\.png"):
        pictures.read_image(path)


def test_courses_pku_image_colours_and_grey(tmp_path):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pictures.read_image(tmp_path / "a.png"), pixels)
    assert pictures.read_image(tmp_path / "a.png", "L").shape == (2, 3)


def test_courses_pku_without_pillow_is_a_sentence(tmp_path, monkeypatch):
    write_digits(tmp_path / "mnist_subset")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(courses.MissingExtraError, match=r"pku-mlp needs Pillow.*fastnn\[image\]"):
        courses.run("pku-mlp", out=tmp_path / "out", data=tmp_path, say=quiet)


# ---- pku-mlp ---------------------------------------------------------------------------------------------------------
@needs_data
def test_courses_pku_mlp_gives_the_printed_losses():
    losses = mlp.train(mlp.make_network(), digits.read_digits(), digits.labels(10))
    assert len(digits.MLP_LOSSES) == 50
    np.testing.assert_allclose(losses, digits.MLP_LOSSES, rtol=0, atol=1e-6)


@needs_data
def test_courses_pku_mlp_report_passes(tmp_path):
    report = courses.run("pku-mlp", quick=True, out=tmp_path, say=quiet)
    assert not report.failed
    assert sum(row.what.startswith("loss, iteration") for row in report.rows) == 50
    written = {"report.md", "report.html", "metrics.json", "history.csv", "loss.png", "weights.png"}
    assert written | {"weights.safetensors"} <= {path.name for path in tmp_path.iterdir()}


@needs_data
def test_courses_pku_mlp_wrong_loss_is_a_failed_row(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "MLP_LOSSES", (digits.MLP_LOSSES[0] + 2e-6, *digits.MLP_LOSSES[1:]))
    assert courses.run("pku-mlp", out=tmp_path, say=quiet).failed == ["loss, iteration 0"]


# ---- pku-bn ----------------------------------------------------------------------------------------------------------
def trained_bn(fault=None):
    images = digits.read_digits()
    x, y = images[: bn.TRAIN_IMAGES], digits.labels(bn.TRAIN_IMAGES)
    model = bn_network.make_network(fault)
    return model, mlp.train(model, x, y), images[bn.TRAIN_IMAGES :]


@needs_data
def test_courses_pku_bn_gives_the_printed_losses():
    model, losses, x_val = trained_bn()
    assert len(digits.BN_LOSSES) == 50
    np.testing.assert_allclose(losses, digits.BN_LOSSES, rtol=0, atol=1e-6)
    statistics = bn_inference.cumulative_statistics(model[1], bn.TRAIN_IMAGES)
    before = model.state_dict()
    assert bn_inference.validation_loss(model, *statistics, x_val, np.zeros((1, 1))) == pytest.approx(
        0.028552, abs=1e-6
    )
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert model.training


@needs_data
@pytest.mark.parametrize("fault", bn_network.FAULTS, ids=lambda fault: fault.done)
def test_courses_pku_bn_fault_has_its_signature(fault):
    _, losses, _ = trained_bn(fault)
    assert losses[0] == pytest.approx(digits.BN_LOSSES[0], abs=1e-6)
    assert losses[-1] == pytest.approx(fault.loss, abs=1e-5)


@needs_data
def test_courses_pku_bn_report_passes(tmp_path):
    report = courses.run("pku-bn", quick=True, out=tmp_path, say=quiet)
    assert not report.failed
    names = {row.what for row in report.rows}
    assert {"bn_dx_first", "bn_dgamma_first", "bn_dbeta_first"} <= names
    assert "0.84335" in (tmp_path / "report.md").read_text()


def test_courses_pku_bn_terms_of_dx_are_those_of_the_layer(rng):
    x, dy = rng.normal(2, 3, (9, digits.HIDDEN)), rng.normal(0, 1, (9, digits.HIDDEN))
    right = bn_network.make_network()[1]
    right(x)
    dx = right.backward(dy)

    def recomputed(g, x_hat, std):
        return (g - bn_network._mean_term(g) - bn_network._variance_term(g, x_hat)) / std

    same = bn_network.make_network(bn_network.Fault("nothing", 0.0, recomputed))[1]
    same(x)
    np.testing.assert_allclose(same.backward(dy), dx, rtol=1e-9, atol=1e-12)
    for fault in bn_network.FAULTS:
        wrong = bn_network.make_network(fault)[1]
        wrong(x)
        assert np.abs(wrong.backward(dy) - dx).max() > 1e-3


def test_courses_pku_bn_numeric_gradients_agree_with_the_layer(rng):
    x, dout = rng.normal(0, 2, (9, digits.HIDDEN)), rng.normal(0, 1, (9, digits.HIDDEN))
    layer = bn_network.make_network()[1]
    layer(x)
    layer.backward(dout)
    numeric = bn.numeric_gradients(x, dout)
    for name in ("dx", "dgamma", "dbeta"):
        scale = np.abs(numeric[name]).max()
        np.testing.assert_allclose(layer.first_step[name], numeric[name], rtol=0, atol=1e-7 * scale)


def test_courses_pku_bn_cumulative_statistics_are_means_of_the_batches(rng):
    layer = bn_network.make_network()[1]
    batches = rng.normal(1, 2, (4, 9, digits.HIDDEN))
    for x in batches:
        layer(x)
    mean, variance = bn_inference.cumulative_statistics(layer, 9)
    np.testing.assert_allclose(mean, batches.mean(axis=(0, 1)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(variance, batches.var(axis=1).mean(axis=0), rtol=1e-12)


# ---- pku-cnn ---------------------------------------------------------------------------------------------------------
def test_courses_pku_cnn_cross_entropy_is_that_of_the_library(rng):
    scores, labels = rng.normal(0, 5, (20, 10)), rng.integers(0, 10, 20)
    own, library = cnn_network.CrossEntropy(), nn.CrossEntropyLoss()
    assert own(scores, labels) == pytest.approx(library(scores, labels), rel=1e-12)
    np.testing.assert_allclose(own.backward(), library.backward(), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(own.backward(2.0), 2 * library.backward(), rtol=1e-9, atol=1e-14)
    assert own(scores.astype(np.float32), labels) == pytest.approx(library(scores, labels), rel=1e-5)
    assert own.backward().dtype == np.float32


def test_courses_pku_cnn_cross_entropy_is_finite_for_huge_scores():
    assert cnn_network.CrossEntropy()(np.array([[1e6, 0.0, -1e6]]), np.array([2])) == 2e6


def test_courses_pku_cnn_loader_gives_bytes():
    images = np.arange(256, dtype=np.uint8).repeat(12).reshape(1, 3, 32, 32)
    x, _ = next(iter(cnn_training.raw_loader(data.Dataset(images, [0]), 1)))
    np.testing.assert_allclose(x, images, rtol=1e-6)


@pytest.mark.parametrize("side", [32, 48])
def test_courses_pku_cnn_augmentations_change_the_picture(side, rng):
    image = rng.integers(0, 256, (3, side, side + 8), np.uint8)
    for name, augmentation in cnn_figures.shown_augmentations(side).items():
        changed = augmentation(image[None], np.random.default_rng(3))[0]
        assert changed.shape == image.shape, name
        assert (changed != image).mean() > 0.05, name


def test_courses_pku_cnn_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="no augmentations 'mirror'"):
        cnn_training.augmentations("mirror")


def test_courses_pku_cnn_writes_a_report_and_resumes(tmp_path, monkeypatch, small_cifar):
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(picture)
    run = {"quick": True, "out": tmp_path / "out", "image": str(picture), "say": quiet}
    report = courses.run("pku-cnn", **run)
    assert not report.failed
    verdicts = {row.what: row.verdict for row in report.rows}
    assert verdicts["parameters"] == "pass"
    assert verdicts["validation top-1 of (e)"] == "not run (quick)"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"learning-rates.png", "augmentations.png", "augmentation-curves.png", "history.csv"} <= names
    assert not list((tmp_path / "out" / "stages").glob("*-unfinished"))
    assert "weights-lr-1e-4-position-and-colour.safetensors" in names
    first = json.loads((tmp_path / "out" / "metrics.json").read_text())

    def not_again(*args, **kwargs):
        raise AssertionError("a stored stage was run again")

    monkeypatch.setattr(cnn_training, "train", not_again)
    monkeypatch.setattr(cnn.training, "train_recipe", not_again)
    courses.run("pku-cnn", **run)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["rows"] == first["rows"]


class Failing:
    """A loader that is interrupted in its second epoch."""

    def __init__(self, loader):
        self.loader, self.seed = loader, loader.seed

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            if self.loader.epoch == 1:
                raise KeyboardInterrupt
            yield batch

    def set_epoch(self, epoch):
        self.loader.set_epoch(epoch)


def test_courses_pku_cnn_training_continues_where_it_was_interrupted(tmp_path, small_cifar):
    train_set, test_set = data.CIFAR10(), data.CIFAR10(train=False)

    def loader(seed=0):
        return cnn_training.raw_loader(train_set, 20, data.RandomHorizontalFlip(), shuffle=True, seed=seed)

    def train(out, batches, **options):
        context = courses.Context(courses.get("pku-cnn"), out, quick=True, options=options, say=said.append)
        return cnn_training.train(context, "key", batches, test_set, 1e-3, 2)[1]

    said = []
    whole = train(tmp_path / "whole", loader())
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", Failing(loader()))
    continued = train(tmp_path / "cut", loader())
    for name, array in whole.items():
        np.testing.assert_array_equal(continued[name], array)
    assert said == [f"key continues after step {len(loader())}"]
    other = train(tmp_path / "cut", loader(), n_items=200)
    np.testing.assert_array_equal(other["epochs"], whole["epochs"])
    assert "begins anew" in said[-1]
    assert "n_items" in said[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"image": "missing.png"}, r"missing\.png"), ({"n_items": 100}, "needs 128 images or more")],
)
def test_courses_pku_cnn_bad_options_fail_before_training(tmp_path, monkeypatch, small_cifar, options, words):
    monkeypatch.setattr(cnn_training, "train", None)
    with pytest.raises((ValueError, OSError), match=words):
        courses.run("pku-cnn", quick=True, out=tmp_path, say=quiet, **options)


def test_courses_pku_cnn_short_run_is_not_compared_with_the_published_one(tmp_path, monkeypatch, small_cifar):
    monkeypatch.setattr(cnn, "LEARNING_RATES", (1e-2, 1e-4))
    monkeypatch.setattr(cnn, "AUGMENTED", ("position",))
    report = courses.run("pku-cnn", out=tmp_path, say=quiet, epochs=1)
    assert not [row.what for row in report.rows if row.what.startswith("validation top-1")]
    assert "are not compared" in (tmp_path / "report.md").read_text()
    assert all(math.isfinite(row.ours) for row in report.rows)
