"""fit with criteria and networks that are written with NumPy's operators and functions."""

import numpy as np
import pytest
from small_training import Nothing, SigintAt, comparable, network, regression, sgd

import fastnn
from fastnn import data, nn, optim, training
from fastnn import functional as F


def features(channels=3):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())


class Joined(nn.Module):
    """Two images, each through layers of its own, and Linear on the joined features."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = features(), features(1), nn.Linear(128, 3)

    def forward(self, left, right):
        return self.head(np.concatenate([self.left(left), self.right(right)], axis=1))


class Siamese(nn.Module):
    """One network for both images; the distance of what it gives."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(features(), nn.Linear(64, 8))

    def forward(self, a, b):
        difference = self.embed(a) - self.embed(b)
        return np.sqrt((difference**2).sum(axis=1) + 1e-6)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.scores, self.number = features(), nn.Linear(64, 3), nn.Linear(64, 1)

    def forward(self, x):
        shared = self.body(x)
        return self.scores(shared), self.number(shared)


class TwoLosses(nn.Module):
    def forward(self, outputs, targets):
        return F.cross_entropy(outputs[0], targets[0]) + 0.3 * F.mse_loss(outputs[1], targets[1])


def contrastive(distance, same, margin=1.0):
    """Hadsell et al., 2006: pull together what is the same, push apart what is closer than the margin."""
    return (same * distance**2 + (1 - same) * np.maximum(margin - distance, 0) ** 2).mean()


class Contrastive:
    """The same, with its gradient written by hand."""

    def __call__(self, distance, same, margin=1.0):
        self.distance, self.same, self.gap = distance, same, np.maximum(margin - distance, 0)
        return float((same * distance**2 + (1 - same) * self.gap**2).mean())

    def backward(self):
        return 2 * (self.same * self.distance - (1 - self.same) * self.gap) / len(self.same)


rng = np.random.default_rng(4)
KIND = np.arange(32) % 2
LEFT = rng.integers(0, 60, (32, 3, 6, 6), np.uint8)
RIGHT = rng.integers(0, 60, (32, 3, 6, 6), np.uint8)
LEFT[KIND == 1, :, :3] += 150
SAME = (rng.permutation(32) % 2).astype(np.float32)
RIGHT[(KIND == 1) == (SAME == 1), :, :3] += 150
NUMBERS = rng.standard_normal((32, 1))


def loader(kind, shuffle=True):
    settings = {"batch_size": 8, "shuffle": shuffle, "seed": 3, "mean": 0.4, "std": 0.25}
    if kind == "joined":
        return data.Loader({"left": LEFT, "right": RIGHT[:, :1]}, KIND, **settings)
    return data.Loader((LEFT, RIGHT), SAME, **settings) if kind == "siamese" else data.Loader(
        LEFT, (KIND, NUMBERS), **settings
    )  # fmt: skip


CASES = {
    "joined": (Joined, nn.CrossEntropyLoss),
    "siamese": (Siamese, lambda: contrastive),
    "two heads": (TwoHeads, TwoLosses),
}


def trainer(kind, callbacks=()):
    fastnn.manual_seed(1)
    make_model, make_criterion = CASES[kind]
    model = make_model()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return training.Trainer(model, make_criterion(), optimizer, callbacks=callbacks, max_grad_norm=5.0, progress=False)


@pytest.mark.parametrize("kind", CASES)
def test_fit_learns(kind):
    history = trainer(kind).fit(loader(kind), 8, loader(kind, shuffle=False))
    assert history["train_loss"][-1] < 0.7 * history["train_loss"][0]
    assert np.isfinite(history["val_loss"]).all()


@pytest.mark.parametrize("kind", CASES)
def test_fit_continues_bit_for_bit(kind, tmp_path):
    whole = trainer(kind, [SigintAt(99)])
    whole.fit(loader(kind), 3, loader(kind, shuffle=False))
    stopped = trainer(kind, [SigintAt(6)])
    with pytest.raises(training.Interrupted):
        stopped.fit(loader(kind), 3, loader(kind, shuffle=False))
    stopped.save(tmp_path / "state.safetensors")
    resumed = trainer(kind, [Nothing()])
    resumed.fit(loader(kind), 3, loader(kind, shuffle=False), resume=tmp_path / "state.safetensors")
    assert comparable(resumed.state_dict()) == comparable(whole.state_dict())


def test_siamese_network_tells_same_from_different():
    learner = trainer("siamese")
    learner.fit(loader("siamese"), 20)
    distance = training.predict(learner.model.eval(), loader("siamese", shuffle=False))
    assert ((distance < 0.5) == (SAME == 1)).mean() > 0.9


def test_contrastive_loss_by_hand_trains_like_the_one_whose_gradient_is_found():
    weights = []
    for criterion in (contrastive, Contrastive()):
        fastnn.manual_seed(1)
        model = Siamese()
        training.fit(model, loader("siamese"), 2, sgd(model), criterion, progress=False)
        weights.append(model.state_dict())
    for path in weights[0]:
        np.testing.assert_allclose(weights[0][path], weights[1][path], rtol=2e-4, atol=1e-6)


def test_lambda_trains_like_its_module():
    states = []
    for criterion in (nn.MSELoss(), lambda y, t: ((y - t) ** 2).mean()):
        fastnn.manual_seed(1)
        model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
        history = training.fit(
            model, regression(), 3, sgd(model), criterion, val_loader=regression(seed=1), progress=False
        )
        states.append((model.state_dict(), history["train_loss"], history["val_loss"]))
    (mine, *losses), (theirs, *expected) = states
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for path in mine:
        np.testing.assert_allclose(mine[path], theirs[path], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_loss_of_a_function_that_is_not_finite_is_told(weight):
    with pytest.raises(training.NonFiniteLoss, match="it is the loss function or its labels"):
        training.fit(
            nn.Linear(5, 1), regression(), 1, criterion=lambda y, t: ((y - t) ** 2).mean() * weight, progress=False
        )


def test_nan_of_several_inputs_names_the_layer():
    model = Joined()
    model.right[0].weight.data[...] = 1e30
    x = {"left": np.ones((4, 3, 6, 6), np.float32), "right": np.full((4, 1, 6, 6), 1e20, np.float32)}
    with pytest.raises(training.NonFiniteLoss, match=r"right\.0 .Conv2d. is the first"):
        training.fit(model, [(x, np.zeros(4, int))], 1, progress=False)


def test_function_frees_what_it_recorded():
    used = []

    class Look(training.Callback):
        def on_step_begin(self, trainer):
            used.append(fastnn.memory_info()["used"])

    model = network()
    batches = [(np.zeros((64, 3, 8, 8), np.float32), np.zeros(64, int))] * 4
    training.fit(
        model, batches, 1, sgd(model), lambda y, t: F.cross_entropy(y, t) + 0 * (y * y).mean(), callbacks=[Look()],
        progress=False,
    )  # fmt: skip
    assert used[1:] == [used[1]] * 3
