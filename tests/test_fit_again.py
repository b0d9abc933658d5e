"""Another fold, another part of a training, a checkpoint: what begins afresh and what goes on."""

import copy
import math

import numpy as np
import pytest
from small_training import (
    Batches,
    Nothing,
    Sets,
    SigintAt,
    Weights,
    comparable,
    make_trainer,
    regression,
    same_weights,
    sgd,
)

import fastnn
from fastnn import nn, training


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


def test_checkpoints_that_choose_their_column_choose_anew_in_a_second_training(tmp_path):
    keep = training.Checkpoints(tmp_path, "auto")
    for scores, val_loader, step in (((0.9, 0.8), regression(seed=1), 4), ((0.7, 0.6), None, 8)):
        model = nn.Linear(5, 1)
        names = ("val_accuracy",) if val_loader else ()
        callbacks = [*(Sets(name, *scores) for name in names), Sets("train_loss", *scores), keep]
        training.fit(model, regression(), 2, sgd(model), nn.MSELoss(), val_loader=val_loader, callbacks=callbacks,
                     progress=False)  # fmt: skip
        assert training.load_state(keep.best)["step"] == step
