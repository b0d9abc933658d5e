"""The recipe fudan-bn on synthetic images: what it records, what it writes, and that it goes on where it stopped."""

import json
import signal

import numpy as np
import pytest

from fastnn import courses, data, insight, models, nn
from fastnn.courses.fudan import bn, bn_training
from fastnn.training import history


class Shapes(data.Shapes32):
    """In the place of CIFAR-10, which not every machine has."""

    def __init__(self, root=None, train=True, download=False):
        super().__init__(400, train=train)


@pytest.fixture(autouse=True)
def _shapes_instead_of_cifar10(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "CIFAR10", Shapes)
    monkeypatch.setattr(bn_training, "BATCH_SIZE", 32)
    monkeypatch.setattr(bn, "LEARNING_RATES", (1e-3, 2e-3))
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(out, **options):
    return courses.run(
        "fudan-bn", quick=True, out=out, say=lambda text: None, **{"n_items": 96, "epochs": 2, **options}
    )


def test_fudan_bn_quick_writes_every_figure_and_no_row_fails(tmp_path):
    """And every stage trains the network that it names, whatever was trained before it."""
    report = run(tmp_path)
    assert report.failed == []
    names = ("training_curves", "loss_landscape", "gradient_predictiveness", "beta_smoothness")
    for name in names:
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    expected = [row.expected for row in report.rows if row.what.startswith("parameters")]
    assert expected == [9_750_922, 9_756_426, 285_162]
    not_run = [row.what for row in report.rows if row.verdict == courses.report.NOT_RUN]
    assert [what for what in not_run if what.startswith("validation accuracy")] == [
        "validation accuracy in %, VGG-A",
        "validation accuracy in %, VGG-A with batch norm",
    ]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["passed"]
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + 2 * 2 * 2
    context = courses.Context(courses.get("fudan-bn"), tmp_path / "again", quick=True)
    _, result = bn_training.train(context, "key", models.vgg_a_light, 2e-3, 2, *bn_training.load(context, 96))
    assert result["losses"].shape == (6,)
    assert result["changes"].shape == (5,)
    assert result["probe_steps"].tolist() == [1, 2, 3, 4, 5, 6]
    assert result["distances"].shape == result["smoothness"].shape == (6, len(bn_training.STEP_SIZES))
    assert metrics["metrics"]["best validation accuracy of VGG-A at 0.002"] == result["val_accuracy"].max()
    for name in ("vgg-a", "vgg-a-with-batch-norm"):
        assert (tmp_path / f"{name}.safetensors").exists()
    assert not list((tmp_path / "stages").glob("*-unfinished"))


def test_fudan_bn_keeps_the_loss_of_every_step_however_long_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "_MOST_STEPS", 4)  # the trainer's own history joins neighbours then
    context = courses.Context(courses.get("fudan-bn"), tmp_path, quick=True)
    _, result = bn_training.train(context, "key", models.vgg_a_light, 1e-3, 2, *bn_training.load(context, 384))
    assert result["losses"].shape == (2 * 384 // bn_training.BATCH_SIZE,)


def test_fudan_bn_goes_on_bit_for_bit_after_an_interruption(tmp_path, monkeypatch):
    class Impatient(bn_training.Recorder):
        def on_gradients(self, trainer):
            super().on_gradients(trainer)
            if trainer.step == 4:
                signal.raise_signal(signal.SIGINT)

    Impatient.__name__ = "Recorder"  # checkpoints name the callbacks whose states they hold

    def train(out):
        context = courses.Context(courses.get("fudan-bn"), out, quick=True, say=said.append)
        images = bn_training.load(context, 96)
        return bn_training.train(context, "key", models.vgg_a_light_bn, 1e-3, 2, *images)[1]

    said = []
    expected = train(tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(bn_training, "Recorder", Impatient)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "cut")
    result = train(tmp_path / "cut")
    assert any("continues after step 5" in text for text in said)
    for key in ("losses", "changes", "probe_steps", "distances", "smoothness", "loss_ranges", "val_accuracy"):
        np.testing.assert_array_equal(result[key], expected[key], err_msg=key)


def test_fudan_bn_recorder_measures_the_change_of_the_last_layers_gradient(rng):
    x, y = rng.standard_normal((4, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, 4)
    model, criterion = models.vgg_a_light(), nn.CrossEntropyLoss()
    recorder = bn_training.Recorder(x, y, every=10)

    class Trainer:
        last_loss = 1.0
        step = 1

    Trainer.model = model
    gradients = []
    for scale in (1, 3):
        model.zero_grad()
        criterion(model(scale * x), y)
        model.backward(criterion.backward())
        gradients.append(model.classifier[4].weight.grad.astype(np.float64))
        recorder.on_gradients(Trainer)
    recorder.on_step_end(Trainer)
    result = recorder.arrays()
    np.testing.assert_allclose(result["changes"], [np.linalg.norm(gradients[1] - gradients[0])], rtol=1e-5)
    probe = insight.probe_gradient(model, criterion, x, y, bn_training.STEP_SIZES)
    np.testing.assert_array_equal(result["distances"], [probe.distances])
    np.testing.assert_array_equal(result["loss_ranges"], [probe.loss_range[1] - probe.loss_range[0]])


@pytest.mark.parametrize(("option", "value"), [("model", "vgg_b"), ("n_items", 0), ("n_items", 50_001)])
def test_fudan_bn_of_bad_options_raises(option, value, tmp_path):
    with pytest.raises(ValueError, match=option):
        run(tmp_path, **{option: value})
