"""What the notes of errors inside networks leave as it is: other exceptions, the network, random numbers, observers."""

import contextlib

import numpy as np
from test_errors_inside_networks import IMAGES, notes

import fastnn
from fastnn import functional as F
from fastnn import nn
from fastnn.nn._failures import walk


def test_errors_that_others_raise_are_untouched():
    class Refuses(nn.Module):
        def forward(self, x):
            raise ValueError("of mine")

    assert notes(nn.Sequential(nn.Identity(), Refuses()), IMAGES) == []

    class Fails(nn.Module):
        def forward(self, x):
            return x.nothing

    assert notes(nn.Sequential(Fails()), IMAGES, error=AttributeError) == []


def test_error_that_a_forward_catches_costs_no_second_run(monkeypatch):
    monkeypatch.setattr(walk, "walk", None)

    class Tries(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.caught = nn.Linear(3, 3), []

        def forward(self, x):
            try:
                return self.layer(x[:, :2])
            except ValueError as error:
                self.caught.append(error)
                return self.layer(x)

    model = Tries()
    assert model(np.zeros((2, 3), np.float32)).shape == (2, 3)
    assert [getattr(error, "__notes__", []) for error in model.caught] == [[]]


def test_failure_that_was_caught_before_is_not_blamed():
    class Tries(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            with contextlib.suppress(ValueError):
                np.concatenate([self.first(x), x[:1, :2]], axis=0)
            return self.second(x).reshape(7)

    assert notes(Tries(), np.zeros((2, 3), np.float32)) == [
        "in the forward of Tries",
        "input (2, 3) -> second Linear (2, 2)",
        "x has 4 = 2 * 2 elements; for one row for each image write x.reshape(len(x), -1)",
    ]


def test_network_is_run_again_on_a_copy_without_hooks():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls, self.seen = 0, []
            self.register_buffer("total", np.zeros(1))

        def forward(self, x):
            self.calls += 1
            self.seen.append(x.shape)
            self.total[...] += 1
            return x + np.random.default_rng(0).random()

    model, hooked = nn.Sequential(Counts(), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Linear(3, 2)), []
    model[0].register_forward_hook(lambda module, x, y: hooked.append(module))
    model[3].register_forward_pre_hook(lambda module, x: hooked.append(module))
    fastnn.manual_seed(1)
    x = IMAGES.copy()
    found = notes(model, x)
    assert found[0] == "in 3, Linear(in_features=3, out_features=2, bias=True)"
    assert (model[0].calls, len(model[0].seen), model[0].total[0]) == (1, 1, 1.0)
    assert hooked == [model[0], model[3]]
    assert model[1].num_batches_tracked == 1
    state = fastnn.random_state()
    fastnn.manual_seed(1)
    F.dropout(x, 0.5)
    assert fastnn.random_state() == state  # the one dropout of the call itself


def test_network_that_fails_once_only_says_where():
    class Once(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.left = nn.Linear(3, 2), iter([2, 3])  # which is copied, too, but ...

        def __deepcopy__(self, memo):
            raise RuntimeError("no copies")

        def forward(self, x):
            return self.layer(x[:, : next(self.left)])

    assert notes(nn.Sequential(Once()), np.zeros((2, 3), np.float32)) == [
        "in 0.layer, Linear(in_features=3, out_features=2, bias=True)"
    ]


def test_observers_see_one_run():
    seen = []

    class Look(fastnn.autograd.Observer):
        def module(self, module, phase, inputs, results, seconds):
            seen.append(type(module).__name__)

    with fastnn.autograd.observing(Look()):
        found = notes(nn.Sequential(nn.Flatten(), nn.Linear(2, 1)), IMAGES)
    assert seen == ["Flatten"]
    assert found[0].startswith("in 1, Linear")
