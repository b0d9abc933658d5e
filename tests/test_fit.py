"""What fit does with what it is given: any loss, any metric, another fold, another part of a training, wrong things."""

import copy
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
from small_training import Batches, Nothing, SigintAt, comparable, make_trainer, network

import fastnn
from fastnn import data, nn, optim, training
from fastnn.training.callbacks import Callback
from fastnn.training.trainer import count_steps


def regression(n=4, batch_size=8, seed=0, shape=(1,)):
    """Batches (x, y) of a linear law."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).standard_normal((5, int(np.prod(shape))))
    xs = rng.standard_normal((n, batch_size, 5))
    return [(x.astype(np.float32), (x @ weights).reshape(batch_size, *shape).astype(np.float32)) for x in xs]


def multi_label(n=4, seed=0):
    return [(x, (y > 0).astype(np.float32)) for x, y in regression(n, seed=seed, shape=(3,))]


def sgd(model, lr=0.01):
    return optim.SGD(model.parameters(), lr=lr)


class Sets(Callback):
    """Gives a column of the history given values."""

    def __init__(self, name, *values):
        self.name, self.values = name, values

    def on_epoch_end(self, trainer, row):
        row[self.name] = self.values[len(trainer.history) - 1]


class Weights(Callback):
    """The weights at the end of each epoch."""

    def __init__(self):
        self.epochs = []

    def on_epoch_end(self, trainer, row):
        self.epochs.append(trainer.model.state_dict())


def same_weights(a, b):
    return all((a[path] == b[path]).all() for path in a)


# ---- the validation is of the loss that was asked for ----------------------------------------------------------------
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


@pytest.mark.parametrize("monitor", ["val_mae", "train_mae", "val_loss"])
def test_early_stopping_checkpoints_and_plateau_look_at_any_column(monitor, tmp_path):
    model = nn.Linear(5, 1)
    optimizer = sgd(model)
    plateau = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    stopping = training.EarlyStopping(monitor, patience=2)
    keep = training.Checkpoints(tmp_path, monitor)
    seen = Sets(monitor, 3.0, 1.0, 2.0, 1.5, 0.5)
    seen_first = Callback()
    # The plateau looks before the callbacks do, so at what was really measured: make that go up.
    values = iter([3.0, 1.0, 2.0, 1.5])
    name = monitor.partition("_")[2]
    trainer = training.Trainer(
        model, nn.MSELoss(), optimizer, plateau, callbacks=[seen_first, seen, stopping, keep], progress=False,
        metrics={"mae": training.mean_absolute_error}, scheduler_monitor=monitor,
    )  # fmt: skip
    history = trainer.fit(regression(), 9, regression(seed=1))
    assert len(history) == 4
    assert f"{monitor} has not improved for 2 epochs" in trainer.stop_reason
    assert training.load_state(keep.best)["step"] == 2 * 4
    assert (name, next(values)) in (("mae", 3.0), ("loss", 3.0))


def test_plateau_looks_at_the_column_that_was_asked_for():
    model = nn.Linear(5, 1)
    rates = {}
    for monitor in ("val_worse", "val_better", None):
        optimizer = sgd(model, 0.001)
        calls = iter(range(100))
        metrics = {
            "worse": lambda y, t, calls=calls: float(next(calls)),
            "better": lambda y, t, calls=calls: -float(next(calls)),
        }
        plateau = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        training.Trainer(
            model, nn.MSELoss(), optimizer, plateau, metrics=metrics, scheduler_monitor=monitor, progress=False
        ).fit(regression(1), 4, regression(1, seed=1))
        rates[monitor] = optimizer.param_groups[0]["lr"]
    assert rates == {"val_worse": 0.001 / 8, "val_better": 0.001, None: 0.001}


def test_plateau_of_steps_and_of_an_unknown_column_are_refused():
    model = nn.Linear(5, 1)
    optimizer = sgd(model)
    plateau = optim.ReduceLROnPlateau(optimizer)
    with pytest.raises(ValueError, match="ReduceLROnPlateau looks at numbers of epochs"):
        training.Trainer(model, nn.MSELoss(), optimizer, plateau, scheduler_interval="step")
    trainer = training.Trainer(model, nn.MSELoss(), optimizer, plateau, scheduler_monitor="val_f1", progress=False)
    with pytest.raises(ValueError, match=r"nothing named 'val_f1' to watch; the history has epoch"):
        trainer.fit(regression(), 1)


@pytest.mark.parametrize(
    ("monitor", "better"),
    [("val_loss", -1), ("val_mae", -1), ("val_rmse", -1), ("top1_error", -1), ("val_accuracy", 1), ("val_f1", 1)],
)
def test_early_stopping_knows_by_the_name_what_is_better(monitor, better):
    model = nn.Linear(5, 1)
    weights = Weights()
    callbacks = [Sets(monitor, 1.0, 1.0 + better, 1.0 - better), weights, training.EarlyStopping(monitor)]
    training.fit(model, regression(), 3, sgd(model), nn.MSELoss(), callbacks=callbacks, progress=False)
    assert same_weights(model.state_dict(), weights.epochs[1])


def test_early_stopping_asks_what_is_better_of_names_that_say_nothing():
    for make in (training.EarlyStopping, lambda monitor: training.Checkpoints("x", monitor)):
        with pytest.raises(ValueError, match=r"is 'val_magic' better when small or when large"):
            make("val_magic")


def test_fit_keeps_the_best_by_accuracy_or_else_by_the_loss(tmp_path):
    model = nn.Linear(5, 1)
    callbacks = [Sets("val_loss", 3.0, 1.0, 2.0)]
    training.fit(model, regression(), 3, sgd(model), nn.MSELoss(), val_loader=regression(), out=tmp_path / "a",
                 callbacks=callbacks, progress=False)  # fmt: skip
    assert training.load_state(tmp_path / "a/best.safetensors")["step"] == 8
    callbacks = [Sets("val_loss", 3.0, 1.0, 2.0), Sets("val_accuracy", 0.25, 0.25, 0.5)]
    training.fit(
        network(), Batches(4), 3, val_loader=Batches(1), out=tmp_path / "b", callbacks=callbacks, progress=False
    )
    assert training.load_state(tmp_path / "b/best.safetensors")["step"] == 12
    callbacks = [Sets("train_loss", 3.0, 4.0, 5.0)]
    training.fit(network(), Batches(4), 3, out=tmp_path / "c", callbacks=callbacks, progress=False)
    assert training.load_state(tmp_path / "c/best.safetensors")["step"] == 4


# ---- a fresh start ---------------------------------------------------------------------------------------------------
def test_early_stopping_in_two_folds_gives_each_its_own_weights():
    stopping, best = training.EarlyStopping("score", patience=1), []
    for fold, scores in enumerate([(0.5, 0.9, 0.8), (0.1, 0.3, 0.2)]):
        fastnn.manual_seed(fold)
        model, weights = nn.Linear(5, 1), Weights()
        trainer = training.Trainer(
            model, nn.MSELoss(), sgd(model), callbacks=[Sets("score", *scores), weights, stopping], progress=False
        )
        assert len(trainer.fit(regression(seed=fold), 9)) == 3
        assert same_weights(model.state_dict(), weights.epochs[1])
        best.append(model.state_dict())
    assert not same_weights(*best)


def test_lookahead_in_two_trainings_averages_the_weights_of_its_own():
    def train(callback):
        fastnn.manual_seed(1)
        model = nn.Linear(5, 1)
        training.fit(model, regression(), 2, sgd(model), nn.MSELoss(), callbacks=[callback], progress=False)
        return model.state_dict()

    used = training.Lookahead(every=2)
    other = nn.Linear(5, 1)
    training.fit(other, regression(), 2, sgd(other), nn.MSELoss(), callbacks=[used], progress=False)
    assert same_weights(train(used), train(training.Lookahead(every=2)))


def test_checkpoints_of_a_second_training_begin_anew(tmp_path):
    keep = training.Checkpoints(tmp_path, "score")
    for scores, step in (((0.9, 0.8), 4), ((0.1, 0.3), 8)):
        model = nn.Linear(5, 1)
        callbacks = [Sets("score", *scores), keep]
        training.fit(model, regression(), 2, sgd(model), nn.MSELoss(), callbacks=callbacks, progress=False)
        assert training.load_state(keep.best)["step"] == step


def test_fit_after_a_stop_trains_on_and_keeps_the_best_weights():
    weights = Weights()
    scores = Sets("score", 0.5, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    stopping = training.EarlyStopping("score", patience=2)
    model = nn.Linear(5, 1)
    trainer = training.Trainer(model, nn.MSELoss(), sgd(model), callbacks=[scores, weights, stopping], progress=False)
    assert len(trainer.fit(regression(), 4)) == 4
    assert trainer.stop_reason == "score has not improved for 2 epochs"
    assert len(trainer.fit(regression(), 7)) == 6  # two more
    assert trainer.stop_reason is not None
    assert same_weights(model.state_dict(), weights.epochs[1])


def test_fit_in_parts_keeps_the_patience_so_far():
    scores = Sets("score", 0.9, 0.8, 0.7, 0.6, 0.5)
    model = nn.Linear(5, 1)
    stopping = training.EarlyStopping("score", patience=3)
    trainer = training.Trainer(model, nn.MSELoss(), sgd(model), callbacks=[scores, stopping], progress=False)
    trainer.fit(regression(), 2)
    assert trainer.stop_reason is None
    assert len(trainer.fit(regression(), 9)) == 4


def test_resume_keeps_the_patience_so_far_and_the_best(tmp_path):
    def trainer(patience):
        fastnn.manual_seed(0)
        model = nn.Linear(5, 1)
        callbacks = [
            Sets("score", 0.9, 0.8, 0.7, 0.6, 0.5, 0.4), training.EarlyStopping("score", patience),
            training.Checkpoints(tmp_path, "score"),
        ]  # fmt: skip
        return training.Trainer(model, nn.MSELoss(), sgd(model), callbacks=callbacks, progress=False)

    first = trainer(3)
    first.fit(regression(), 2)
    second = trainer(3)
    assert len(second.fit(regression(), 9, resume=tmp_path / "last.safetensors")) == 4
    assert second.stop_reason == "score has not improved for 3 epochs"
    assert training.load_state(tmp_path / "best.safetensors")["step"] == 4
    saved = training.load_state(tmp_path / "last.safetensors")
    assert saved["stop_reason"] == second.stop_reason
    more_patient = trainer(5)
    assert len(more_patient.fit(regression(), 9, resume=tmp_path / "last.safetensors")) == 6


def test_resume_after_a_stop_trains_on(tmp_path):
    path = tmp_path / "stopped.safetensors"
    first = make_trainer()
    first.fit(Batches(), 1, Batches(1))
    first.stop("enough")
    first.save(path)
    second = make_trainer()
    assert len(second.fit(Batches(), 2, Batches(1), resume=path)) == 2
    assert second.stop_reason is None


# ---- states that do not fit ------------------------------------------------------------------------------------------
def broken_states():
    trainer = make_trainer()
    trainer.fit(Batches(2), 1, Batches(1))
    good = trainer.state_dict()
    yield "no dictionary", [good]
    for name in good:
        state = dict(good)
        del state[name]
        yield f"without {name}", state
        for value in (object(), "text", -1, [[[]]], {"a": {}}, math.nan):
            if not (name in ("config", "scheduler", "stop_reason", "lr", "preprocessing") and value in ("text", -1)):
                yield f"{name} is {value!r}", {**good, name: value}
    random = copy.deepcopy(good["random"])
    for value in (-1, 2**200, "a", None, 1.5):
        random["state"]["state"] = value
        yield f"random state {value}", {**good, "random": copy.deepcopy(random)}
    for part in ("rows", "steps", "open", "per_record"):
        yield f"history.{part}", {**good, "history": {**good["history"], part: 7.5}}
    momentum = copy.deepcopy(good["optimizer"])
    momentum["state"][0]["momentum_buffer"] = np.zeros(3)
    yield "momentum of another shape", {**good, "optimizer": momentum}
    yield "weights with NaN as text", {**good, "model": {**good["model"], "0.weight": np.array(["a"])}}


def test_load_state_dict_that_does_not_fit_raises_and_changes_nothing():
    states = list(broken_states())
    assert len(states) > 100
    trainer = make_trainer(seed=5)
    trainer.fit(Batches(2, seed=3), 1, Batches(1))
    good, before = trainer.state_dict(), comparable(trainer.state_dict())
    passed = []
    for what, state in states:
        try:
            trainer.load_state_dict(state)
        except training.CheckpointError:
            assert comparable(trainer.state_dict()) == before, what
        else:
            passed.append(what)
            trainer.load_state_dict(good)
    # A NaN is what a training of no steps has, and a seed may be any integer.
    assert passed == ["loader_seed is -1", "lr is nan"]


def test_load_state_dict_interrupted_half_way_changes_nothing(monkeypatch):
    other = make_trainer(seed=6)
    other.fit(Batches(2, seed=4), 1, Batches(1))
    trainer = make_trainer(seed=5)
    trainer.fit(Batches(2, seed=3), 1, Batches(1))
    before = comparable(trainer.state_dict())
    load, calls = training.History.load_state_dict, []

    def interrupted(self, state):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        load(self, state)

    monkeypatch.setattr(training.History, "load_state_dict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.load_state_dict(other.state_dict())
    assert comparable(trainer.state_dict()) == before


def test_state_dict_round_trip_in_the_middle_of_everything(tmp_path):
    """Counters that are not at their start: plateau's cooldown, patience, the meter, the history's open record."""
    trainer = make_trainer(callbacks=[SigintAt(9)])
    with pytest.raises(training.Interrupted):
        trainer.fit(Batches(), 3, Batches(2))
    trainer.train_seconds, trainer._epoch_seconds = 12.5, 2.25
    trainer.save(tmp_path / "a")
    other = make_trainer(seed=1, callbacks=[Nothing()])
    other.load(tmp_path / "a")
    assert comparable(other.state_dict()) == comparable(trainer.state_dict())
    assert (other.train_seconds, other._epoch_seconds) == (12.5, 2.25)
    assert (other.images_seen, other.step, other.meter.images) == (9 * 16, 9, 3 * 16)


# ---- what cannot be trained ------------------------------------------------------------------------------------------
def test_fit_with_the_optimizer_of_another_model_is_refused():
    for frozen in (False, True):
        model, other = nn.Linear(5, 1), nn.Linear(5, 1)
        if frozen:
            other.requires_grad_(False)
        with pytest.raises(ValueError, match="the optimizer has none of the model's 2 trainable parameters"):
            training.Trainer(model, nn.MSELoss(), sgd(other))
    both = optim.SGD([*nn.Linear(5, 1).parameters(), *model.parameters()], lr=0.1)
    training.Trainer(model, nn.MSELoss(), both)


class Hidden(nn.Module):
    def __init__(self, container):
        super().__init__()
        self.first = nn.Linear(5, 4)
        self.layers = container

    def forward(self, x):
        return self.first(x)

    def backward(self, dy):
        return self.first.backward(dy)


@pytest.mark.parametrize(
    "container", [[nn.Linear(4, 4)], (nn.ReLU(), nn.Linear(4, 4)), {"a": nn.Linear(4, 4)}, [nn.Parameter(np.ones(3))]]
)
def test_fit_warns_of_layers_that_are_not_found(container):
    model = nn.Sequential(Hidden(container))
    with pytest.warns(UserWarning, match=r"layers in the (list|tuple|dict) 0\.layers are not found.*nn\.ModuleList"):
        training.Trainer(model, nn.MSELoss(), sgd(model))


def test_fit_does_not_warn_of_layers_that_are_found_or_have_nothing_to_train():
    shared = nn.Linear(4, 4)
    for container in ([nn.ReLU()], [], nn.ModuleList([nn.Linear(4, 4)]), [shared]):
        model = Hidden(container)
        model.registered = shared
        training.Trainer(model, nn.MSELoss(), sgd(model))


model_for_table = nn.Linear(5, 1)
loss, optimizer = nn.MSELoss(), optim.SGD(model_for_table.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((nn.Linear, loss, optimizer), r"model must be an nn.Module; make an instance: Linear\(\.\.\.\)"),
        ((abs, loss, optimizer), "model must be an nn.Module. Received: <built-in"),
        ((model_for_table, nn.MSELoss, optimizer), r"criterion is the class MSELoss; make one: MSELoss\(\)"),
        ((model_for_table, None, optimizer), "criterion must be a loss"),
        ((model_for_table, 3, optimizer), "criterion must be a loss"),
        ((model_for_table, lambda y, t: 0.0, optimizer), r"criterion needs a backward\(\)"),
        ((model_for_table, loss, optim.SGD), r"optimizer is the class SGD; make one: SGD\(model"),
        ((model_for_table, loss, "sgd"), "optimizer must be one of fastnn.optim"),
        ((model_for_table, loss, optimizer, optim.StepLR), "scheduler must be one of fastnn.optim"),
        ((model_for_table, loss, optimizer, None, "week"), "scheduler_interval"),
        ((model_for_table, loss, optimizer, None, "epoch", [training.EarlyStopping]), "must hold training.Callback"),
        ((model_for_table, loss, optimizer, None, "epoch", 3), "callbacks must be a list"),
        ((model_for_table, loss, optimizer, None, "epoch", [], "a"), "max_grad_norm must be a number"),
        ((model_for_table, loss, optimizer, None, "epoch", [], -1.0), "max_grad_norm must be >= 0"),
        ((model_for_table, loss, optimizer, None, "epoch", [], None, 3), "tta must be 0, 1 or 2"),
    ],
)
def test_trainer_names_the_argument_that_is_wrong(arguments, words):
    with pytest.raises((TypeError, ValueError), match=f"Trainer: {words}|{words}"):
        training.Trainer(*arguments)


arrays = np.zeros((8, 5), np.float32), np.zeros((8, 1), np.float32)


@pytest.mark.parametrize(
    ("loader", "words"),
    [
        (arrays, r"Received: arrays; wrap them: data\.Loader\(images, targets"),
        (arrays[0], r"Received: arrays; wrap them: data\.Loader\(images, targets"),
        (data.Dataset(np.zeros((4, 3, 2, 2), np.uint8), [0, 1, 0, 1]), r"Received: a data set, Dataset; wrap it"),
        ("train", "Received: a str"),
        (3, "Received: a int"),
        ((batch for batch in [arrays]), "needs a length.*Received: a generator"),
        ([], "no batches"),
        ([(arrays[0], None)], "gives batches without targets"),
        ([arrays[0]], "must give batches .images, targets.. Received: a ndarray"),
        ([(*arrays, 1)], "Received: 3 parts"),
        ([([[1.0] * 5], arrays[1])], "must give arrays of images in its batches"),
    ],
)
def test_fit_says_what_a_loader_must_give(loader, words):
    with pytest.raises((TypeError, ValueError), match=f"Trainer.fit: .*{words}"):
        training.fit(model_for_table, loader, 1, optimizer, loss, progress=False)


def test_fit_refuses_a_validation_loader_before_training():
    for loader in (arrays, [], "a"):
        trainer = training.Trainer(model_for_table, loss, optimizer, progress=False)
        with pytest.raises((TypeError, ValueError), match=r"Trainer.fit: val_loader"):
            trainer.fit([arrays], 1, loader)
        assert trainer.step == 0


@pytest.mark.parametrize("targets", [np.zeros((8, 1), np.float32), np.zeros(8, np.int64)])
def test_fit_of_one_score_as_classes_is_refused_before_anything_is_trained(targets):
    """Cross-entropy of one class is 0, and every answer is right."""
    model = nn.Linear(5, 1)
    before = model.state_dict()
    for call in (
        lambda: training.fit(model, [(arrays[0], targets)], 1, progress=False),
        lambda: training.evaluate(model, [(arrays[0], targets)]),
    ):
        with pytest.raises(ValueError, match=r"CrossEntropyLoss needs scores of two classes.*nn\.MSELoss"):
            call()
    assert same_weights(model.state_dict(), before)


def test_fit_with_a_loss_for_each_element_says_what_to_do():
    model = nn.Linear(5, 1)
    with pytest.raises(ValueError, match=r"MSELoss gives one loss for each element.*reduction='mean'"):
        training.fit(model, [arrays], 1, sgd(model), nn.MSELoss(reduction="none"), progress=False)


# ---- what is reported ------------------------------------------------------------------------------------------------
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
    assert repr(history).splitlines() == ["epoch  train_loss  <b>", "    1      0.6667     ", "    2         0.5     "]
    assert "<th>&lt;b&gt;</th>" in history._repr_html_()
    assert history._repr_html_().count("<tr>") == 3
    assert repr(training.History()) == "History(no epochs)"


def test_trainer_prints_what_it_trains():
    trainer = make_trainer()
    trainer.fit(Batches(2), 1, Batches(1))
    assert repr(trainer) == "Trainer(Sequential, CrossEntropyLoss, SGD, 2 steps, 1 epochs done)"


def test_plot_history_of_what_is_not_there_says_what_is():
    history = training.History([{"epoch": 1, "train_loss": 1.0, "val_mae": 2.0, "train_seconds": 1.0}])
    with pytest.raises(ValueError, match=r"plot_history: the history has no metric 'acc'; it has loss, mae$"):
        training.plot_history(history, "acc")
    (line,) = training.plot_history(history, "mae").get_lines()
    assert line.get_label() == "validation"


def test_count_steps_counts_a_part_of_a_step_as_one():
    assert [count_steps(epochs, 3) for epochs in (1, 1.01, 1 / 3, 0.1)] == [3, 4, 1, 1]


# ---- files -----------------------------------------------------------------------------------------------------------
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
        from small_training import Batches, make_trainer
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


# ---- ModuleList ------------------------------------------------------------------------------------------------------
def test_module_list_is_a_list_whose_parameters_are_found():
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)
    layers = nn.ModuleList([a])
    layers.append(c).insert(1, b)
    assert list(layers) == [a, b, c]
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert (layers[-1], list(layers[1:]), len(layers)) == (c, [b, c], 3)
    layers[1] = nn.Tanh()
    del layers[0]
    assert [type(layer) for layer in layers] == [nn.Tanh, nn.Linear]
    with pytest.raises(TypeError, match=r"ModuleList: modules are needed. Received: str"):
        layers.append("a")
    with pytest.raises(TypeError, match=r"ModuleList does not define forward"):
        layers(np.zeros(2))


# ---- what would pass unnoticed ---------------------------------------------------------------------------------------
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


def test_fit_after_an_interrupt_forgets_where_it_was_saved(tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[SigintAt(2)])
    with pytest.raises(training.Interrupted):
        trainer.fit(Batches(3), 1, Batches(1))
    assert trainer.saved_to == tmp_path / "last.safetensors"
    trainer.fit(Batches(3), 1, Batches(1))
    assert trainer.saved_to is None


def test_load_state_dict_brings_the_reason_of_the_stop():
    trainer = make_trainer()
    trainer.fit(Batches(2), 1, Batches(1))
    trainer.stop("enough")
    other = make_trainer()
    other.load_state_dict(trainer.state_dict())
    assert other.stop_reason == "enough"


@pytest.mark.parametrize(
    ("scores", "min_delta", "epochs"),
    [
        ((0.5, 0.4, 0.6, 0.5, 0.4, 0.3), 0.0, 6),  # an improvement starts the counting anew
        ((0.5, 0.5, 0.5, 0.5, 0.5, 0.5), 0.0, 4),  # a tie is none
        ((0.5, 0.75, 0.75, 0.75, 0.75, 0.75), 0.25, 4),  # nor is as much as min_delta
    ],
)
def test_early_stopping_counts_epochs_without_improvement(scores, min_delta, epochs):
    model = nn.Linear(5, 1)
    callbacks = [Sets("score", *scores), training.EarlyStopping("score", patience=3, min_delta=min_delta)]
    history = training.fit(model, regression(), 6, sgd(model), nn.MSELoss(), callbacks=callbacks, progress=False)
    assert len(history) == epochs


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


def test_plateau_looks_at_the_validation_by_default():
    model = nn.Linear(5, 1)
    rates = []
    for val_loader in (None, regression(1, seed=1)):
        optimizer = sgd(model, 1e-4)
        plateau = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        # The training gets better; what is validated gets worse.
        growing = iter(range(1, 100))

        class Worse(nn.MSELoss):
            def forward(self, input, target, growing=growing):
                return super().forward(input, target) * 0 + next(growing)

        trainer = training.Trainer(model, nn.MSELoss(), optimizer, plateau, progress=False, val_criterion=Worse())
        trainer.fit(regression(1), 3, val_loader)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1e-4, 1e-4 / 4]


def test_checkpoints_forget_a_best_value_of_another_column(tmp_path):
    (tmp_path / "a").mkdir()

    def trainer(monitor, *scores):
        fastnn.manual_seed(0)
        model = nn.Linear(5, 1)
        callbacks = [Sets("score", *scores), Sets("f1", *scores), training.Checkpoints(tmp_path, monitor)]
        return training.Trainer(model, nn.MSELoss(), sgd(model), callbacks=callbacks, progress=False)

    trainer("score", 0.9).fit(regression(), 1)
    trainer("score", 0.9, 0.5).fit(regression(), 2, resume=tmp_path / "last.safetensors")
    assert training.load_state(tmp_path / "best.safetensors")["step"] == 4
    trainer("f1", 0.9, 0.5, 0.6).fit(regression(), 3, resume=tmp_path / "last.safetensors")
    assert training.load_state(tmp_path / "best.safetensors")["step"] == 12


def test_predict_of_a_loader_keeps_what_a_network_writes_into_one_buffer():
    class Reuses(nn.Module):
        def __init__(self):
            super().__init__()
            self.buffer = np.zeros((2, 3), np.float32)

        def forward(self, x):
            self.buffer[...] = x
            return self.buffer

    batches = [np.full((2, 3), value, np.float32) for value in (1, 2, 3)]
    expected = np.concatenate(batches)
    np.testing.assert_array_equal(training.predict(Reuses(), batches), expected)
    np.testing.assert_array_equal(training.predict(Reuses(), [(x, None) for x in batches]), expected)
    with pytest.raises(ValueError, match="predict: the loader gave no batches"):
        training.predict(Reuses(), [])
    for wrong in ("a", 3, [[1, 2]], None):
        with pytest.raises(TypeError, match="predict: x must be an array, or a loader of batches"):
            training.predict(Reuses(), wrong)


def test_predict_averages_outputs_that_a_network_writes_into_one_buffer(rng):
    class Reuses(nn.Module):
        def __init__(self):
            super().__init__()
            self.buffer = np.zeros((2, 4), np.float32)

        def forward(self, x):
            self.buffer[...] = x[:, 0, 0]
            return self.buffer

    x = rng.standard_normal((2, 1, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(training.predict(Reuses(), x, 1), (x[:, 0, 0] + x[:, 0, 0, ::-1]) / 2)


def test_fit_default_optimizer_is_that_of_its_docstring(monkeypatch):
    made = []
    sgd_class = optim.SGD

    def spy(parameters, **settings):
        made.append(settings)
        return sgd_class(parameters, **settings)

    monkeypatch.setattr(optim, "SGD", spy)
    training.fit(nn.Linear(5, 1), regression(), 1, criterion=nn.MSELoss(), progress=False)
    assert made == [{"lr": 0.005, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}]


def test_checkpoints_that_choose_their_column_choose_anew_in_a_second_training(tmp_path):
    keep = training.Checkpoints(tmp_path, "auto")
    for scores, val_loader, step in (((0.9, 0.8), regression(seed=1), 4), ((0.7, 0.6), None, 8)):
        model = nn.Linear(5, 1)
        names = ("val_accuracy",) if val_loader else ()
        callbacks = [*(Sets(name, *scores) for name in names), Sets("train_loss", *scores), keep]
        training.fit(model, regression(), 2, sgd(model), nn.MSELoss(), val_loader=val_loader, callbacks=callbacks,
                     progress=False)  # fmt: skip
        assert training.load_state(keep.best)["step"] == step


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
        training.diagnose.find_non_finite(model, np.ones((1, 2), np.float32), math.nan, step).step for step in (1, 2, 5)
    ]
    assert errors == [1, 1, 4]
