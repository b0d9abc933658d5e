"""The doctor in a training and in a loop of one's own: what it says, once, and that it changes nothing."""

import io

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, optim, training
from fastnn import functional as F
from fastnn.autograd.observer import observers


def small(rng, n=256):
    labels = rng.integers(0, 3, n)
    x = (rng.standard_normal((n, 12)) + 2 * np.eye(12)[labels * 4]).astype(np.float32)
    fastnn.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    return model, data.Loader(x, labels, batch_size=32, shuffle=True), data.Loader(x[:64] + 0.01, labels[:64])


def fitted(model, train, val=None, epochs=2, criterion=None, optimizer=None, **keywords):
    """(what was said, the doctor) of a training."""
    said = []
    doctor = training.Doctor(every=3, say=said.append)
    optimizer = optim.Adam(model.parameters(), lr=0.01) if optimizer is None else optimizer
    training.fit(model, train, epochs, optimizer, criterion, val_loader=val, callbacks=[doctor], progress=False,
                 **keywords)  # fmt: skip
    return said, doctor


# ---- in a training ---------------------------------------------------------------------------------------------------
def test_nothing_is_said_of_a_training_that_works_and_the_numbers_are_kept(rng):
    model, train, val = small(rng)
    said, doctor = fitted(model, train, val)
    assert said == []
    assert doctor.diagnosis.healthy
    assert len(doctor.diagnosis.record.losses) == 16
    assert len(doctor.diagnosis.record.gradient_norms["0.weight"]) == 9  # steps 0 to 4, 6, 9, 12, 15
    assert str(doctor.diagnosis) == "nothing found (16 steps, 9 of them examined)"
    doctor.diagnosis.plot()


def test_weights_are_the_same_with_and_without_a_doctor():
    results = []
    for callbacks in ([training.Doctor(every=2)], []):
        model, train, val = small(np.random.default_rng(0))
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        history = training.fit(model, train, 2, optimizer, val_loader=val, callbacks=callbacks, progress=False)
        results.append((history["train_loss"], history["val_loss"], model.state_dict()))
    assert results[0][:2] == results[1][:2]
    assert all(np.array_equal(results[0][2][name], value) for name, value in results[1][2].items())


def test_each_finding_is_said_once_and_at_once(rng):
    model, train, _ = small(rng)
    batches = [(x * 200, y) for x, y in train]
    said, doctor = fitted(nn.Sequential(*list(model)[:1], *list(model)[2:]), batches)
    assert said[0].startswith("doctor: warning: input_range (train_loader): inputs lie in ")
    assert len(said) == len(set(said))
    assert "input_range" in doctor.diagnosis.names


def test_softmax_and_the_other_things_of_outputs_are_found_in_a_training(rng):
    model, train, _ = small(rng)
    _, doctor = fitted(nn.Sequential(*model, nn.Softmax(1)), train)
    assert "softmax_before_cross_entropy" in doctor.diagnosis.names


def test_labels_of_a_loader_that_gives_batches_once_an_epoch_are_seen_in_the_steps(rng):
    class Stream:
        def __init__(self, batches):
            self.batches, self.passes = batches, 0

        def __len__(self):
            return len(self.batches)

        def __iter__(self):
            self.passes += 1
            return iter(self.batches)

    model, train, _ = small(rng)
    stream = Stream([(x * 1000, y) for x, y in train])
    _, doctor = fitted(model, stream, epochs=2)
    assert stream.passes == 2
    assert "input_range" in doctor.diagnosis.names


def test_a_loss_that_breaks_is_named_though_the_training_ends_by_an_error(rng):
    model, train, _ = small(rng)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3))
    doctor = training.Doctor(say=lambda line: None)
    optimizer = optim.SGD(model.parameters(), lr=1e9)
    with pytest.raises(training.NonFiniteLoss), np.errstate(all="ignore"):
        training.fit(model, train, 5, optimizer, callbacks=[doctor], progress=False)
    assert set(doctor.diagnosis.names) == {"non_finite_loss", "learning_rate_too_high"}
    assert observers() == ()


def test_a_learning_rate_that_moves_nothing_is_named(rng):
    model, train, _ = small(rng)
    _, doctor = fitted(model, train, epochs=3, optimizer=optim.SGD(model.parameters(), lr=1e-7))
    assert "learning_rate_too_low" in doctor.diagnosis.names


def test_a_validation_in_another_scale_and_an_overlap_are_named(rng):
    model, train, _ = small(rng)
    other = data.Loader(train.images[:64], train.labels[:64], mean=3.0)
    _, doctor = fitted(model, train, other)
    assert set(doctor.diagnosis.names) == {"normalised_differently"}
    model, train, _ = small(rng)
    _, doctor = fitted(model, train, data.Loader(np.tile(train.images[:64], (1, 2))[:, :12], train.labels[:64]))
    assert doctor.diagnosis.names == ()  # 12 features are too few to tell copies


def test_the_line_goes_through_the_progress_output_and_does_not_tear_the_bar(rng):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    model, train, _ = small(rng)
    stream = Terminal()
    training.Trainer(
        nn.Sequential(*model, nn.Softmax(1)),
        nn.CrossEntropyLoss(),
        optim.SGD(model.parameters(), lr=0.01),
        callbacks=[training.Progress(stream), training.Doctor()],
        progress=False,
    ).fit(train, 1)
    lines = stream.getvalue().replace("\r", "\n").split("\n")
    (line,) = [line for line in lines if "softmax_before_cross_entropy" in line]
    assert line.startswith("doctor: error:")


def test_a_training_that_goes_on_from_a_checkpoint_does_not_say_it_again(rng, tmp_path):
    said = []

    def trainer():
        model, train, _ = small(np.random.default_rng(0))
        made = nn.Sequential(*model, nn.Softmax(1))
        optimizer = optim.SGD(made.parameters(), lr=0.01)
        doctor = training.Doctor(say=said.append)
        return training.Trainer(made, nn.CrossEntropyLoss(), optimizer, callbacks=[doctor], progress=False), train

    first, train = trainer()
    first.fit(train, 1)
    first.save(tmp_path / "state.safetensors")
    n = len(said)
    assert n
    second, train = trainer()
    second.fit(train, 2, resume=tmp_path / "state.safetensors")
    assert len(said) == n


def test_modes_that_a_callback_changes_are_seen(rng):
    class Evaluates(training.Callback):
        def on_step_begin(self, trainer):
            trainer.model.eval()

    model, train, _ = small(rng)
    doctor = training.Doctor(say=lambda line: None)
    training.fit(model, train, 1, callbacks=[Evaluates(), doctor], progress=False)
    assert "eval_mode_in_training" in doctor.diagnosis.names


@pytest.mark.parametrize("keywords", [{"every": 0}, {"every": 1.5}, {"say": 3}])
def test_arguments_that_make_no_sense_are_refused(keywords):
    with pytest.raises((TypeError, ValueError), match="Doctor"):
        training.Doctor(**keywords)


def test_the_validation_loss_must_rise_for_three_epochs():
    from fastnn.doctor.callback import _rising
    from fastnn.doctor.examine_loss import Gap

    def found(*losses):
        rows = [{"val_loss": loss, "train_loss": 1 / (i + 1)} for i, loss in enumerate(losses)]
        return [f.name for f in _rising(rows, Gap(0.1, losses[-1], 0.99, 0.7, 500))]

    assert found(1.0, 0.8, 1.0, 1.1, 1.2) == ["overfitting"]
    assert found(1.0, 0.8, 1.0, 1.1) == []
    assert found(1.0, 0.8, 0.81, 0.8, 0.82) == []


# ---- in a loop of one's own ------------------------------------------------------------------------------------------
def watched(rng, step, steps=8, change=lambda model: model, optimizer=None):
    """The doctor after a loop of `step(model, optimizer, criterion, x, y)`."""
    model, train, _ = small(rng)
    model = change(model)
    optimizer = optim.SGD(model.parameters(), lr=0.05) if optimizer is None else optimizer(model)
    doctor, criterion = training.Doctor(say=lambda line: None), nn.CrossEntropyLoss()
    with doctor.watch(model, optimizer):
        for _, (x, y) in zip(range(steps), train, strict=False):
            step(model, optimizer, criterion, x, y)
    assert "step" not in vars(optimizer)
    return doctor


def explicit(model, optimizer, criterion, x, y):
    optimizer.zero_grad()
    criterion(model(x), y)
    model.backward(criterion.backward())
    optimizer.step()


def by_tensors(model, optimizer, criterion, x, y):
    loss = F.cross_entropy(model(fastnn.tensor(x)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize("step", [explicit, by_tensors])
def test_nothing_is_found_in_a_loop_that_works(rng, step):
    doctor = watched(rng, step)
    assert doctor.diagnosis.healthy, str(doctor.diagnosis)
    assert len(doctor.diagnosis.record.losses) == 8


@pytest.mark.parametrize("zeros", ["never", "with zeros", "by hand", "after the step"])
def test_a_forgotten_zero_grad_is_named_whatever_way_gradients_are_reset(rng, zeros):
    def step(model, optimizer, criterion, x, y):
        if zeros == "with zeros":
            optimizer.zero_grad(set_to_none=False)
        elif zeros == "by hand":
            for parameter in model.parameters():
                parameter.grad = None
        criterion(model(x), y)
        model.backward(criterion.backward())
        optimizer.step()
        if zeros == "after the step":
            model.zero_grad()

    doctor = watched(rng, step)
    assert doctor.diagnosis.names == (("gradients_not_zeroed",) if zeros == "never" else ())


def test_gradients_that_are_accumulated_on_purpose_are_right(rng):
    def step(model, optimizer, criterion, x, y):
        optimizer.zero_grad()
        for half in (slice(0, 16), slice(16, 32)):
            criterion(model(x[half]), y[half])
            model.backward(criterion.backward())
        optimizer.step()

    assert watched(rng, step).diagnosis.healthy


def test_evaluation_in_training_mode_is_named(rng):
    def step(model, optimizer, criterion, x, y):
        explicit(model, optimizer, criterion, x, y)
        with fastnn.no_grad():
            model(x)

    doctor = watched(rng, step)
    assert doctor.diagnosis.names == ("training_mode_at_test",)

    def right(model, optimizer, criterion, x, y):
        explicit(model, optimizer, criterion, x, y)
        model.eval()
        with fastnn.no_grad():
            model(x)
        model.train()

    assert watched(rng, right).diagnosis.healthy


def test_training_in_eval_mode_and_softmax_are_named(rng):
    assert "eval_mode_in_training" in watched(rng, explicit, change=nn.Module.eval).diagnosis.names
    doctor = watched(rng, by_tensors, change=lambda model: nn.Sequential(*model, nn.Softmax(1)))
    assert doctor.diagnosis.names == ("softmax_before_cross_entropy",)


def test_a_missing_step_and_the_optimiser_of_another_network_are_named(rng):
    def no_step(model, optimizer, criterion, x, y):
        criterion(model(x), y)
        model.backward(criterion.backward())

    assert watched(rng, no_step).diagnosis.names == ("no_step",)
    doctor = watched(rng, explicit, optimizer=lambda model: optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1))
    assert "optimizer_of_another_model" in doctor.diagnosis.names


def test_a_loop_that_fails_leaves_nothing_behind(rng):
    model, _, _ = small(rng)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ZeroDivisionError), training.Doctor().watch(model, optimizer):
        raise ZeroDivisionError
    assert "step" not in vars(optimizer)
    assert observers() == ()


def test_watch_refuses_what_is_no_network_or_optimiser(rng):
    model, _, _ = small(rng)
    for arguments in ((3, optim.SGD(model.parameters(), lr=0.1)), (model, 3), (model, optim.SGD)):
        with pytest.raises(TypeError, match=r"Doctor\.watch"), training.Doctor().watch(*arguments):
            pass
