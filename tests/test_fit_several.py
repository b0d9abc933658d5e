"""fit, evaluate and predict with several inputs, targets and outputs, and with criteria that have no backward."""

import numpy as np
import pytest
from small_training import Nothing, SigintAt, comparable, sgd

import fastnn
from fastnn import data, nn, optim, training
from fastnn import functional as F


class TwoInputs(nn.Module):
    """Two images, each through layers of its own; Linear on the joined features is the sum of one on each."""

    def __init__(self):
        super().__init__()
        self.left, self.right = (
            nn.Sequential(
                nn.Conv2d(c, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 3)
            )
            for c in (3, 1)
        )

    def forward(self, left, right):
        return F.add(self.left(left), self.right(right))


class TwoHeads(nn.Module):
    """One body, classes and a number."""

    def __init__(self, gives=tuple):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.classes, self.number = nn.Linear(64, 3), nn.Linear(64, 1)
        self.gives = gives

    def forward(self, x):
        features = self.body(x)
        heads = {"class": self.classes(features), "number": self.number(features)}
        return heads if self.gives is dict else tuple(heads.values())


class TwoLosses(nn.Module):
    def forward(self, outputs, targets):
        if isinstance(outputs, dict):
            outputs, targets = tuple(outputs.values()), tuple(targets.values())
        return F.add(F.cross_entropy(outputs[0], targets[0]), F.mse_loss(outputs[1], targets[1]))


class TwoLossesByHand:
    """The same, with a backward that somebody wrote."""

    def __init__(self):
        self.first, self.second = nn.CrossEntropyLoss(), nn.MSELoss()

    def __call__(self, outputs, targets):
        self.is_dict = isinstance(outputs, dict)
        if self.is_dict:
            outputs, targets = tuple(outputs.values()), tuple(targets.values())
        assert type(outputs[0]) is np.ndarray
        return self.first(outputs[0], targets[0]) + self.second(outputs[1], targets[1])

    def backward(self):
        gradients = self.first.backward(), self.second.backward()
        return dict(zip(("class", "number"), gradients, strict=True)) if self.is_dict else gradients


class TwoLossesOfNn(nn.Loss):
    """The same as a subclass of Loss, whose gradient is found."""

    def forward(self, outputs, targets):
        return TwoLosses().forward(outputs, targets)


rng = np.random.default_rng(4)
LEFT, RIGHT = rng.integers(0, 256, (24, 3, 6, 6), np.uint8), rng.integers(0, 256, (24, 1, 6, 6), np.uint8)
CLASSES, NUMBERS = rng.integers(0, 3, 24), rng.standard_normal((24, 1))


def loader(kind, **settings):
    settings = {"batch_size": 8, "shuffle": True, "seed": 3, "mean": 0.5, "std": 0.3, **settings}
    if kind == "two inputs":
        augment = {"augment": data.RandomCrop(1), "augment_parts": [0, 1]} if settings["shuffle"] else {}
        return data.Loader((LEFT, RIGHT), CLASSES, **augment, **settings)
    if kind == "names":
        return data.Loader({"right": RIGHT, "left": LEFT}, CLASSES, **settings)
    if kind == "two heads":
        return data.Loader(LEFT, (CLASSES, NUMBERS), **settings)
    return data.Loader(LEFT, {"class": CLASSES, "number": NUMBERS}, **settings)


def validation(kind):
    return loader(kind, shuffle=False)


CASES = {
    "two inputs": (TwoInputs, nn.CrossEntropyLoss),
    "names": (TwoInputs, lambda: F.cross_entropy),
    "two heads": (TwoHeads, TwoLosses),
    "heads by name": (lambda: TwoHeads(dict), TwoLosses),
    "heads by hand": (lambda: TwoHeads(dict), TwoLossesByHand),
}


def trainer(kind, callbacks=()):
    fastnn.manual_seed(1)
    make_model, make_criterion = CASES[kind]
    model = make_model()
    return training.Trainer(
        model, make_criterion(), optim.SGD(model.parameters(), lr=0.1, momentum=0.9), max_grad_norm=1.0,
        callbacks=[*callbacks, training.Lookahead(every=2), training.EarlyStopping("train_loss", restore_best=False)],
        progress=False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_fit_learns_from_several_arrays_and_counts_images_of_the_first(kind):
    learner = trainer(kind)
    history = learner.fit(loader(kind), 6, validation(kind))
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert (learner.images_seen, learner.last_batch_size, learner.step) == (6 * 24, 8, 18)
    evaluated = training.evaluate(learner.model, validation(kind), learner.criterion)
    assert (evaluated.images, evaluated.loss) == (24, history["val_loss"][-1])
    has_accuracy = kind in ("two inputs", "names")
    assert ("val_accuracy" in history.rows[-1], np.isnan(evaluated.accuracy)) == (has_accuracy, not has_accuracy)


@pytest.mark.parametrize("kind", CASES)
def test_fit_of_several_arrays_continues_bit_for_bit(kind, tmp_path):
    whole = trainer(kind, [SigintAt(99)])
    whole.fit(loader(kind), 3, validation(kind))
    stopped = trainer(kind, [SigintAt(5)])
    with pytest.raises(training.Interrupted):
        stopped.fit(loader(kind), 3, validation(kind))
    stopped.save(tmp_path / "state.safetensors")
    assert stopped.step == 5
    resumed = trainer(kind, [Nothing()])
    resumed.fit(loader(kind), 3, validation(kind), resume=tmp_path / "state.safetensors")
    assert comparable(resumed.state_dict()) == comparable(whole.state_dict())


@pytest.mark.parametrize(("first", "second"), [("tuple", "dict"), ("tuple", "hand"), ("dict", "hand by name")])
def test_fit_gives_the_same_bits_by_any_route(first, second):
    """Explicitly or by tensors, by position or by name."""
    cases = {
        "tuple": ("two heads", TwoHeads, TwoLosses),
        "dict": ("heads by name", lambda: TwoHeads(dict), TwoLosses),
        "hand": ("two heads", TwoHeads, TwoLossesByHand),
        "hand by name": ("heads by name", lambda: TwoHeads(dict), TwoLossesByHand),
    }
    states = []
    for kind, make_model, make_criterion in (cases[first], cases[second]):
        fastnn.manual_seed(1)
        model = make_model()
        training.fit(model, loader(kind), 2, sgd(model), make_criterion(), progress=False)
        states.append(comparable(dict(model.state_dict())))
    assert states[0] == states[1]


@pytest.mark.parametrize("kind", ["two heads", "heads by name"])
def test_fit_takes_a_loss_of_ones_own_of_several_outputs(kind):
    states = []
    for criterion in (TwoLosses(), TwoLossesOfNn()):
        fastnn.manual_seed(1)
        model = TwoHeads(dict if kind == "heads by name" else tuple)
        history = training.fit(
            model, loader(kind), 2, sgd(model), criterion, val_loader=validation(kind), progress=False
        )
        states.append((comparable(dict(model.state_dict())), np.float32(history["val_loss"]).tolist()))
    assert states[0][0] == states[1][0]
    np.testing.assert_allclose(states[0][1], states[1][1], rtol=1e-6)


class Losses(training.Callback):
    def __init__(self):
        self.seen = []

    def on_step_end(self, trainer):
        self.seen.append(trainer.last_loss)


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["module", "function"])
def test_fit_of_two_inputs_does_what_a_loop_by_hand_does(criterion):
    fastnn.manual_seed(1)
    model, losses = TwoInputs(), Losses()
    training.fit(model, loader("two inputs"), 2, sgd(model), criterion, callbacks=[losses], progress=False)
    fastnn.manual_seed(1)
    expected = TwoInputs()
    optimizer, by_hand, expected_losses = sgd(expected), nn.CrossEntropyLoss(), []
    batches = loader("two inputs")
    for epoch in range(2):
        batches.set_epoch(epoch)
        for (left, right), y in batches:
            expected_losses.append(by_hand(expected(left, right), y))
            optimizer.zero_grad()
            expected.backward(by_hand.backward())
            optimizer.step()
    assert comparable(dict(model.state_dict())) == comparable(dict(expected.state_dict()))
    np.testing.assert_allclose(losses.seen, expected_losses, rtol=1e-6)


def test_metrics_get_several_outputs_and_targets_as_they_are():
    seen = []

    def number_error(outputs, targets):
        seen.append((type(outputs), type(outputs["number"]), type(targets)))
        return training.mean_absolute_error(outputs["number"], targets["number"])

    def right(outputs, targets):
        return training.accuracy(outputs["class"], targets["class"])

    fastnn.manual_seed(1)
    model = TwoHeads(dict)
    history = training.fit(
        model, loader("heads by name"), 1, sgd(model), TwoLosses(), val_loader=validation("heads by name"),
        metrics=[number_error, right], progress=False,
    )  # fmt: skip
    assert set(seen) == {(dict, np.ndarray, dict)}
    assert {"train_number_error", "val_number_error", "val_right"} <= set(history.rows[-1])
    outputs = training.predict(model.eval(), loader("heads by name", shuffle=False))
    assert history["val_number_error"][-1] == pytest.approx(np.abs(outputs["number"] - NUMBERS).mean(), rel=1e-6)


# ---- predict ---------------------------------------------------------------------------------------------------------
def test_predict_gives_several_outputs_of_several_inputs_and_joins_batches():
    fastnn.manual_seed(1)
    model = TwoInputs().eval()
    (whole,) = data.Loader((LEFT, RIGHT))
    x, _ = whole
    expected = model(*x)
    for given in (x, dict(zip(("left", "right"), x, strict=True)), [whole], [(x,)], data.Loader((LEFT, RIGHT))):
        np.testing.assert_array_equal(training.predict(model, given), expected)
    for gives in (tuple, dict):
        heads = TwoHeads(gives).eval()
        together = training.predict(heads, x[0])
        joined = training.predict(heads, data.Loader(LEFT, batch_size=7))
        assert type(joined) is gives
        keys = together if gives is dict else range(2)
        for key in keys:
            np.testing.assert_allclose(joined[key], together[key], rtol=1e-5, atol=1e-6)
        assert joined[list(keys)[1]].shape == (24, 1)


def test_tta_of_several_arrays_is_refused():
    x, _ = next(iter(data.Loader((LEFT, RIGHT))))
    with pytest.raises(ValueError, match=r"predict: .*networks of one array of images; use tta=0.*x is a tuple"):
        training.predict(TwoInputs().eval(), x, tta=1)
    with pytest.raises(ValueError, match=r"predict: .*network that gives one array.*outputs that are a dict"):
        training.evaluate(TwoHeads(dict), loader("heads by name"), TwoLosses(), tta=2)


# ---- errors ----------------------------------------------------------------------------------------------------------
X = np.zeros((4, 3, 6, 6), np.float32)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ((X, X[:3]), r"the images of train_loader\[1\] has 3, the images of train_loader\[0\] has 4"),
        ({"a": X, "b": X[:3]}, r"train_loader\['b'\] has 3"),
        ((X, 3.0), r"must give arrays of images.*Received: a float as part \[1\]"),
        ((), "holds no arrays"),
        ([X, X], r"tuples or dicts of arrays. Received: a list"),
    ],
)
def test_fit_names_the_part_of_a_batch_that_is_wrong(x, words):
    with pytest.raises(ValueError, match=rf"Trainer.fit: .*{words}"):
        training.fit(TwoInputs(), [(x, np.zeros(4, int))], 1, progress=False)


def test_fit_says_how_to_make_a_loader_of_several_arrays():
    with pytest.raises(TypeError, match=r"Received: arrays; wrap them: data\.Loader"):
        training.fit(TwoInputs(), {"left": X, "right": X}, 1, progress=False)


def not_from_outputs(outputs, targets):
    return 1.0


def detached(outputs, targets):
    return F.mse_loss(outputs.detach(), targets)


def an_array(outputs, targets):
    return F.mse_loss(outputs, targets, reduction="none")


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (not_from_outputs, "no gradient goes through the number that the criterion, not_from_outputs, gave"),
        (detached, "no gradient goes through the number that the criterion, detached"),
        (an_array, "the criterion, an_array, must return a number"),
        (lambda outputs, targets: None, "must return a number. Received: None"),
        (lambda outputs, targets: outputs, "must return a number. Received: a ndarray"),
    ],
)
def test_fit_says_what_is_wrong_with_a_function_as_criterion(criterion, words):
    model = nn.Linear(5, 1)
    batch = np.zeros((4, 5), np.float32), np.zeros((4, 1), np.float32)
    with pytest.raises(TypeError, match=rf"Trainer.fit: .*{words}"):
        training.fit(model, [batch], 1, sgd(model), criterion, progress=False)
    assert model.weight.grad is None


def test_fit_of_a_function_and_a_frozen_network_changes_nothing():
    model = nn.Linear(5, 1).requires_grad_(False)
    before = model.state_dict()
    batch = np.ones((4, 5), np.float32), np.zeros((4, 1), np.float32)
    history = training.fit(model, [batch], 1, sgd(model), F.mse_loss, progress=False)
    assert history["train_loss"][0] > 0
    assert comparable(dict(model.state_dict())) == comparable(dict(before))


@pytest.mark.parametrize("by_name", [False, True])
def test_nan_within_one_of_several_inputs_is_told(by_name):
    left, right = np.zeros((4, 3, 6, 6), np.float32), np.full((4, 1, 6, 6), np.nan, np.float32)
    x = {"left": left, "right": right} if by_name else (left, right)
    with pytest.raises(training.NonFiniteLoss, match="the batch itself holds NaN"):
        training.fit(TwoInputs(), [(x, np.zeros(4, int))], 1, criterion=F.cross_entropy, progress=False)


def test_clipping_and_callbacks_see_the_gradients_of_a_function():
    norms = []

    class Look(training.Callback):
        def on_gradients(self, trainer):
            norms.append(np.sqrt(sum((p.grad**2).sum() for p in trainer.model.parameters())))

    model = TwoHeads()
    training.fit(
        model, loader("two heads"), 1, sgd(model), TwoLosses(), callbacks=[Look()], max_grad_norm=0.01, progress=False
    )
    np.testing.assert_allclose(norms, 0.01, rtol=1e-4)


def test_trainer_and_meter_show_the_name_of_a_function():
    model = nn.Linear(2, 2)
    learner = training.Trainer(model, F.cross_entropy, sgd(model), progress=False)
    assert repr(learner).startswith("Trainer(Linear, cross_entropy, SGD")
    assert repr(learner.meter) == "Meter(cross_entropy, 0 images)"


# ---- a criterion with parameters -------------------------------------------------------------------------------------
class LearnedLoss(nn.Module):
    """A loss through a layer of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(3, 3)

    def forward(self, scores, labels):
        return F.cross_entropy(self.scale(scores), labels)


def learned(callbacks=()):
    fastnn.manual_seed(1)
    model, criterion = TwoInputs(), LearnedLoss()
    optimizer = optim.SGD([*model.parameters(), *criterion.parameters()], lr=0.1)
    return training.Trainer(model, criterion, optimizer, callbacks=callbacks, progress=False)


def test_criterion_with_parameters_is_trained_and_continues_bit_for_bit(tmp_path):
    whole = learned([SigintAt(99)])
    before = whole.criterion.state_dict()
    whole.fit(loader("two inputs"), 3)
    assert (whole.criterion.scale.weight.data != before["scale.weight"]).all()
    stopped = learned([SigintAt(5)])
    with pytest.raises(training.Interrupted):
        stopped.fit(loader("two inputs"), 3)
    stopped.save(tmp_path / "state.safetensors")
    resumed = learned([Nothing()])
    resumed.fit(loader("two inputs"), 3, resume=tmp_path / "state.safetensors")
    assert comparable(resumed.state_dict()) == comparable(whole.state_dict())
    plain = TwoInputs()
    other = training.Trainer(plain, F.cross_entropy, sgd(plain), callbacks=[Nothing()], progress=False)
    with pytest.raises(training.CheckpointError, match="one of them has a criterion with parameters"):
        other.load(tmp_path / "state.safetensors")
