"""What fit does and reports: any loss, any metric, times, files, signals."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from small_training import Batches, SigintAt, make_trainer, multi_label, network, regression, same_weights, sgd

import fastnn
from fastnn import nn, optim, training
from fastnn.training.callbacks import Callback
from fastnn.training.trainer import count_steps


@pytest.mark.parametrize(
    ("criterion", "batches", "outputs"),
    [(nn.MSELoss(), regression, 1), (nn.BCEWithLogitsLoss(), multi_label, 3), (nn.L1Loss(), regression, 1)],
    ids=["MSE", "BCE", "L1"],
)
def test_fit_validates_with_the_criterion_and_invents_no_accuracy(criterion, batches, outputs, capsys):
    fastnn.manual_seed(0)
    model = nn.Linear(5, outputs)
    val = batches(seed=1)
    history = training.fit(model, batches(), 3, sgd(model), criterion, val_loader=val)
    assert history.columns == [
        "epoch", "step", "lr", "train_loss", "val_loss", "train_seconds", "images_per_second",
    ]  # fmt: skip
    x, y = (np.concatenate(parts) for parts in zip(*val, strict=True))
    assert history["val_loss"][-1] == pytest.approx(criterion(model(x), y), rel=1e-5)
    assert "train_accuracy" not in history.steps[0]
    assert "accuracy" not in capsys.readouterr().err


def test_fit_regression_with_targets_that_are_vectors_or_images_works():
    model = nn.Sequential(nn.Linear(5, 1), nn.Flatten(0))
    training.fit(
        model, regression(shape=()), 1, sgd(model), nn.MSELoss(), val_loader=regression(shape=()), progress=False
    )
    model = nn.Conv2d(3, 2, 1)
    x = np.ones((4, 3, 6, 6), np.float32)
    batches = [(x, np.ones((4, 2, 6, 6), np.float32))]
    history = training.fit(model, batches, 1, sgd(model), nn.MSELoss(), val_loader=batches, progress=False)
    assert history["val_loss"][0] < history["train_loss"][0]


def test_fit_segmentation_measures_pixels_that_count(rng):
    model = nn.Conv2d(3, 4, 1)
    x, y = rng.standard_normal((4, 3, 6, 6)).astype(np.float32), rng.integers(0, 4, (4, 6, 6))
    y[:, 0] = 255
    criterion = nn.CrossEntropyLoss(ignore_index=255)
    history = training.fit(model, [(x, y)], 1, sgd(model), criterion, val_loader=[(x, y)], progress=False)
    hits = (model(x).argmax(1) == y)[y != 255]
    assert history["val_accuracy"] == [hits.mean()]


def test_fit_passes_over_batches_in_which_every_label_is_ignored():
    x = np.eye(4, dtype=np.float32)
    full, empty = (x, np.arange(4)), (x, np.full(4, -100))
    models = []
    for batches in ([full, empty, full], [full, full]):
        fastnn.manual_seed(3)
        models.append(nn.Linear(4, 4))
        optimizer = sgd(models[-1], 0.1)
        history = training.fit(models[-1], batches, 2, optimizer, val_loader=[full, empty], progress=False)
        assert np.isfinite(history["train_loss"] + history["val_loss"]).all()
    assert same_weights(models[0].state_dict(), models[1].state_dict())


def test_fit_measures_metrics_by_name_in_training_and_validation(capsys):
    model = nn.Linear(5, 1)
    metrics = {"mae": training.mean_absolute_error}
    history = training.fit(
        model, regression(), 2, sgd(model), nn.MSELoss(), val_loader=regression(seed=1), metrics=metrics
    )
    x, y = (np.concatenate(parts) for parts in zip(*regression(seed=1), strict=True))
    assert history["val_mae"][-1] == pytest.approx(np.abs(model(x) - y).mean(), rel=1e-5)
    assert history["train_mae"][1] < history["train_mae"][0]
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"validation loss {history['val_loss'][-1]:.3f}, mae {history['val_mae'][-1]:.4g}" in last


def test_fit_val_criterion_is_used_instead(rng):
    model = network()
    history = training.fit(
        model, Batches(2), 1, sgd(model), nn.FocalLoss(), val_loader=Batches(2), progress=False,
        val_criterion=nn.CrossEntropyLoss(),
    )  # fmt: skip
    expected = training.evaluate(model, Batches(2))
    assert history["val_loss"] == [expected.loss]
    assert history["val_accuracy"] == [expected.accuracy]


class Clock:
    """Time that only tests turn."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def test_fit_times_steps_but_not_the_validation_nor_the_callbacks_of_epochs(monkeypatch):
    clock = Clock(monkeypatch)

    class Slow(Callback):
        def on_fit_begin(self, trainer):
            clock.now += 1000

        def on_gradients(self, trainer):
            clock.now += 2

        def on_epoch_end(self, trainer, row):
            clock.now += 500

    class Val(Batches):
        def __iter__(self):
            clock.now += 300
            return super().__iter__()

    trainer = training.Trainer(
        network_ := network(), nn.CrossEntropyLoss(), sgd(network_), callbacks=[Slow()], progress=False
    )
    history = trainer.fit(Batches(3, batch_size=10), 2, Val(1))
    assert history["train_seconds"] == [6.0, 6.0]
    assert history["images_per_second"] == [5.0, 5.0]
    assert (trainer.train_seconds, trainer.images_seen) == (12.0, 60)


def test_fit_history_has_the_rate_that_was_used():
    model = nn.Linear(5, 1)
    for interval, expected in (("step", [0.1 * 0.5**3, 0.1 * 0.5**7]), ("epoch", [0.1, 0.05])):
        optimizer = sgd(model, 0.1)
        used = []

        class Rates(Callback):
            def on_gradients(self, trainer, used=used):
                used.append(trainer.optimizer.param_groups[0]["lr"])

        scheduler = optim.ExponentialLR(optimizer, 0.5)
        trainer = training.Trainer(model, nn.MSELoss(), optimizer, scheduler, interval, [Rates()], progress=False)
        history = trainer.fit(regression(), 2)
        assert history["lr"] == [used[3], used[7]] == pytest.approx(expected)


def test_progress_lines_have_the_numbers_of_the_history(monkeypatch, capsys):
    clock = Clock(monkeypatch)

    class Slow(Callback):
        def on_gradients(self, trainer):
            clock.now += 0.25

    model = network()
    history = training.fit(model, Batches(4, batch_size=500, size=8), 2, sgd(model), val_loader=Batches(2),
                           callbacks=[Slow()], val_name="test")  # fmt: skip
    lines = capsys.readouterr().err.splitlines()
    for row, line in zip(history.rows, lines, strict=True):
        assert line == (
            f"epoch {row['epoch']}/2 | loss {row['train_loss']:.3f}, accuracy {row['train_accuracy']:.2%} | "
            f"test loss {row['val_loss']:.3f}, accuracy {row['val_accuracy']:.2%} | 2,000 images/s, 1.0 s"
        ).replace("%", " %")


def test_progress_without_a_standard_error_or_a_terminal_is_silent_or_plain(monkeypatch):
    class NoTerminal:
        def __init__(self):
            self.text = ""

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    stream = NoTerminal()
    model = nn.Linear(5, 1)
    training.fit(
        model, regression(), 1, sgd(model), nn.MSELoss(), progress=False, callbacks=[training.Progress(stream)]
    )
    assert stream.text.startswith("epoch 1/1 | loss ")
    monkeypatch.setattr(sys, "stderr", None)
    training.fit(model, regression(), 1, sgd(model), nn.MSELoss())


def test_history_prints_as_a_table():
    history = training.History([{"epoch": 1, "train_loss": 2.0 / 3}, {"epoch": 2, "train_loss": 0.5, "<b>": None}])
    assert repr(history).splitlines() == ["epoch  train_loss  <b>", "    1      0.6667", "    2         0.5"]
    assert ">&lt;b&gt;</th>" in history._repr_html_()
    assert history._repr_html_().count("<tr>") == 3
    assert repr(training.History()) == "History(no epochs)"


def test_trainer_prints_what_it_trains():
    trainer = make_trainer()
    trainer.fit(Batches(2), 1, Batches(1))
    assert repr(trainer) == (
        "Trainer(Sequential, CrossEntropyLoss, SGD, LambdaLR every step, callbacks=[Lookahead, EarlyStopping], "
        "2 steps, 1 epochs done)"
    )


def test_plot_history_of_what_is_not_there_says_what_is():
    history = training.History([{"epoch": 1, "train_loss": 1.0, "val_mae": 2.0, "train_seconds": 1.0}])
    with pytest.raises(ValueError, match=r"plot_history: the history has no metric 'acc'; it has loss, mae$"):
        training.plot_history(history, "acc")
    (line,) = training.plot_history(history, "mae").get_lines()
    assert line.get_label() == "validation"


def test_count_steps_counts_a_part_of_a_step_as_one():
    assert [count_steps(epochs, 3) for epochs in (1, 1.01, 1 / 3, 0.1)] == [3, 4, 1, 1]


def test_fit_leaves_weights_and_metrics_that_can_be_read(tmp_path):
    fastnn.manual_seed(0)
    model = nn.Linear(5, 1)
    history = training.fit(model, regression(), 2, sgd(model), nn.MSELoss(), out=tmp_path, progress=False)
    for name in ("weights", "last"):
        other = nn.Linear(5, 1)
        fastnn.load(tmp_path / f"{name}.safetensors", other)
        assert same_weights(other.state_dict(), model.state_dict())
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["train_loss"] == history["train_loss"][1]
    assert (metrics["steps"], metrics["epoch"], metrics["parameters"], metrics["resumed"]) == (8, 2, 6, False)
    assert metrics["version"] == fastnn.__version__


def test_interrupt_says_how_to_go_on(tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[SigintAt(2)])
    with pytest.raises(training.Interrupted, match=r"after step 2 of 6; its state is in .*last\.safetensors.*resume="):
        trainer.fit(Batches(), 1, Batches(1))


def test_fit_saves_when_the_process_is_told_to_end(tmp_path):
    code = textwrap.dedent("""
        import sys, time
        sys.path.insert(0, sys.argv[1])
        from small_training import Batches, SigintAt, make_trainer, multi_label, network, regression, same_weights, sgd
        from fastnn.training import Callback, Interrupted
        class Slow(Callback):
            def on_step_end(self, trainer):
                print("step", flush=True)
                time.sleep(0.05)
        try:
            make_trainer(sys.argv[2], callbacks=[Slow()]).fit(Batches(), 1000, Batches(1))
        except Interrupted as error:
            sys.exit(128 + error.signal_number)
    """)
    command = [sys.executable, "-c", code, os.path.dirname(__file__), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert training.load_state(tmp_path / "last.safetensors")["step"] >= 3


def test_interrupt_flag_leaves_a_handler_of_sigterm_alone():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        with training.interrupts.InterruptFlag() as flag:
            signal.raise_signal(signal.SIGTERM)
        assert (seen, flag.raised) == ([1], False)
    finally:
        signal.signal(signal.SIGTERM, before)
    with training.interrupts.InterruptFlag() as flag:
        signal.raise_signal(signal.SIGTERM)
    assert (flag.raised, flag.signal_number) == (True, signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_fit_tells_the_loader_which_epoch_it_is():
    class Told(Batches):
        def set_epoch(self, epoch):
            super().set_epoch(epoch)
            told.append(epoch)

    told = []
    trainer = make_trainer()
    trainer.fit(Told(2), 2, Batches(1))
    trainer.fit(Told(2), 3, Batches(1))
    assert told == [0, 1, 2]


def test_fit_trains_in_training_mode_and_restores_input_grad():
    modes = []

    class Modes(Callback):
        def on_gradients(self, trainer):
            modes.append((trainer.model[4].training, trainer.model.input_grad))

    for own in (True, False):
        model = network().eval()
        model.input_grad = own
        training.fit(model, Batches(2), 1, sgd(model), val_loader=Batches(1), callbacks=[Modes()], progress=False)
        assert model.input_grad is own
    assert set(modes) == {(True, False)}


def test_progress_counts_a_parted_epoch_as_one_of_all(capsys):
    model = nn.Linear(5, 1)
    training.fit(model, regression(), 1.5, sgd(model), nn.MSELoss())
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]


def test_fit_validates_with_the_averaging_that_was_asked_for():
    model = network()
    trainer = training.Trainer(model, nn.CrossEntropyLoss(), sgd(model), val_tta=1, progress=False)
    history = trainer.fit(Batches(2), 1, Batches(2, seed=4))
    averaged, plain = (training.evaluate(model, Batches(2, seed=4), tta=tta).loss for tta in (1, 0))
    assert history["val_loss"] == [averaged]
    assert averaged != plain


def test_fit_default_optimizer_is_that_of_its_docstring(monkeypatch):
    made = []
    sgd_class = optim.SGD

    def spy(parameters, **settings):
        made.append(settings)
        return sgd_class(parameters, **settings)

    monkeypatch.setattr(optim, "SGD", spy)
    training.fit(nn.Linear(5, 1), regression(), 1, criterion=nn.MSELoss(), progress=False)
    assert made == [{"lr": 0.005, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}]


def test_curves_have_a_title_and_names_on_their_axes(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    titles = []
    title = Figure.suptitle
    monkeypatch.setattr(Figure, "suptitle", lambda self, text: titles.append(text) or title(self, text))
    history = training.History([{"epoch": 1, "train_loss": 1.0}])
    training.save_curves(history, tmp_path / "a.png", "my run")
    training.save_curves(history, tmp_path / "b.png")
    assert titles == ["my run"]
    assert training.plot_history(history, "loss").get_ylabel() == "loss"


def test_non_finite_weights_before_the_first_update_are_of_step_one():
    model = nn.Linear(2, 1)
    model.weight.data[0, 0] = np.nan
    errors = [
        training.non_finite.find_non_finite(model, np.ones((1, 2), np.float32), math.nan, step).step
        for step in (1, 2, 5)
    ]
    assert errors == [1, 1, 4]
