"""Callbacks that look at a column of the history: early stopping, the best checkpoint, the plateau."""

import pytest
from small_training import Batches, Sets, Weights, network, regression, same_weights, sgd

import fastnn
from fastnn import nn, optim, training


@pytest.mark.parametrize("monitor", ["val_mae", "train_mae", "val_loss"])
def test_early_stopping_and_checkpoints_look_at_any_column(monitor, tmp_path):
    model = nn.Linear(5, 1)
    stopping = training.EarlyStopping(monitor, patience=2)
    keep = training.Checkpoints(tmp_path, monitor)
    seen = Sets(monitor, 3.0, 1.0, 2.0, 1.5, 0.5)
    trainer = training.Trainer(
        model, nn.MSELoss(), sgd(model), callbacks=[seen, stopping, keep], progress=False,
        metrics={"mae": training.mean_absolute_error},
    )  # fmt: skip
    history = trainer.fit(regression(), 9, regression(seed=1))
    assert len(history) == 4
    assert f"{monitor} has not improved for 2 epochs" in trainer.stop_reason
    assert training.load_state(keep.best)["step"] == 2 * 4


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
