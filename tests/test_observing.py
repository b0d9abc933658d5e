"""Looking inside while a network runs: one mechanism, which sees everything, nests, and leaves no trace."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _runtime, insight, models, nn, training
from fastnn import functional as F
from fastnn.autograd.observer import Observer, observers, observing
from fastnn.autograd.tape import Op


class Net(nn.Module):
    """Only a forward: a layer that is used twice, operations between layers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        a = F.relu(self.again(F.relu(self.conv(x))))
        return self.head(self.flat(self.pool(F.add(self.again(a), a))))


class Scale(nn.Module):
    """Forward and backward by hand."""

    def __init__(self, n=3):
        super().__init__()
        self.weight = nn.Parameter(np.arange(1, n + 1, dtype=np.float32))

    def forward(self, x):
        self.x = x
        return x * self.weight.data

    def backward(self, dy):
        self.weight.add_grad((dy * self.x).sum(axis=0))
        return dy * self.weight.data


class ByHand(nn.Module):
    """A container by hand, whose layers get arrays."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Scale(), nn.Linear(3, 2)

    def forward(self, x):
        return self.second(self.first(x))

    def backward(self, dy):
        return self.first.backward(self.second.backward(dy))


class Heads(nn.Module):
    """A network of two results."""

    def __init__(self, as_dict):
        super().__init__()
        self.net, self.head, self.as_dict = Net(), nn.Linear(5, 5), as_dict

    def forward(self, x):
        a = self.net(x)
        b = self.head(a)
        return {"a": a, "b": b} if self.as_dict else (a, b)


class Split(nn.Module):
    """A layer of two results."""

    def forward(self, x):
        self.n = x.shape[1] // 2
        return x[:, : self.n] * 1, x[:, self.n :] * 1

    def backward(self, dy):
        return np.concatenate(dy, axis=1)


class SumOfBoth(nn.Module):
    def forward(self, pair):
        return F.add(*pair)


class See(Observer):
    """Notes everything."""

    def __init__(self, sees_gradients=False):
        self.sees_gradients = sees_gradients
        self.seen = []

    def begins(self, what, phase, inputs):
        self.seen.append(("begins", what, phase))

    def operation(self, op, phase, inputs, results, seconds):
        self.seen.append(("ends", op, phase))

    def module(self, module, phase, inputs, results, seconds):
        self.seen.append(("ends", module, phase))

    def names(self, kind=object, when="ends"):
        return [(type(what).__name__, phase) for w, what, phase in self.seen if w == when and isinstance(what, kind)]


def images(n=2):
    return np.random.default_rng(0).standard_normal((n, 3, 6, 6)).astype(np.float32)


def rows(n=4):
    return np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32)


# ---- what is seen ----------------------------------------------------------------------------------------------------
def test_observer_sees_every_layer_and_operation_in_their_order():
    model, see = nn.Sequential(nn.Flatten(), nn.Linear(108, 2), nn.ReLU()), See()
    with observing(see):
        model(images())
        model.backward(np.ones((2, 2), np.float32))
    forward = ["Flatten", "Flatten", "Linear", "Linear"]
    assert [name for name, phase in see.names() if phase == "forward"][:4] == forward
    assert see.names(nn.Module) == [(name, "forward") for name in ("Flatten", "Linear", "ReLU", "Sequential")]
    assert [name for name, phase in see.names(Op) if phase == "backward"][1:] == ["Linear", "Flatten"]
    assert sorted(see.names(when="begins")) == sorted(see.names())


def test_observer_begins_and_ends_enclose_what_runs_within():
    see, open_now = See(), []
    with observing(see):
        Net()(images())
    for when, what, phase in see.seen:
        if when == "begins":
            open_now.append((what, phase))
        else:
            assert open_now.pop() == (what, phase)
    assert not open_now


def test_observer_sees_a_layer_that_is_used_twice_twice():
    model, see = Net(), See()
    with observing(see):
        model(images())
    assert [what for when, what, _ in see.seen if when == "ends" and what is model.again] == [model.again] * 2


def test_observer_sees_operations_with_the_module_that_ran_them_both_ways():
    model, found = Net(), []

    class Modules(Observer):
        def operation(self, op, phase, inputs, results, seconds):
            found.append((type(op).__name__, phase, op.module))
            assert seconds >= 0

    with observing(Modules()):
        model(images())
        model.backward(np.ones((2, 5), np.float32))
    for name, layer in (("Conv2d", model.conv), ("Linear", model.head), ("Add", model)):
        assert {(name, "forward", layer), (name, "backward", layer)} <= set(found), name


@pytest.mark.parametrize("by_tensors", [False, True])
def test_observer_sees_a_backward_of_ones_own_once(by_tensors):
    class Doubled(Scale):
        def forward(self, x):
            return 2 * super().forward(x)

        def backward(self, dy):
            return super().backward(2 * dy)

    model, see = nn.Sequential(Doubled(), ByHand()) if by_tensors else ByHand(), See()
    if not by_tensors:
        model.first = Doubled()
    with observing(see):
        model(rows())
        model.backward(np.ones((4, 2), np.float32))
    assert see.names(Scale).count(("Doubled", "forward")) == see.names(Scale).count(("Doubled", "backward")) == 1
    assert see.names(ByHand) == [("ByHand", "forward"), ("ByHand", "backward")]
    assert ("HandWritten", "forward") not in see.names()  # it is the module itself


def test_observer_that_sees_gradients_is_told_those_of_every_module():
    model, told = nn.Sequential(nn.Linear(3, 3), Scale(), nn.Tanh(), ByHand()), {}

    class Gradients(Observer):
        sees_gradients = True

        def module(self, module, phase, inputs, results, seconds):
            if phase == "backward":
                assert id(module) not in told
                told[id(module)] = inputs, results

    dy = np.ones((4, 2), np.float32)
    with observing(Gradients()):
        model(rows())
        dx = model.backward(dy)
    assert set(told) == {id(module) for module in model.modules()}
    np.testing.assert_array_equal(told[id(model)][0][0], dy)
    np.testing.assert_array_equal(told[id(model)][1][0], dx)
    np.testing.assert_array_equal(told[id(model[1])][0][0], told[id(model[2])][1][0])


def test_hooks_of_a_layer_whose_class_calls_super_are_called_once():
    class Doubled(nn.Linear):
        def forward(self, x):
            return super().forward(x)

    layer, calls = Doubled(3, 2), []
    layer.register_forward_hook(lambda module, x, y: calls.append(y.shape))
    layer(rows())
    object.__setattr__(layer, "forward", layer.forward)  # of the user's own
    layer(rows())
    assert calls == [(4, 2)] * 2


# ---- no trace --------------------------------------------------------------------------------------------------------
LOOKS = {
    "observe": lambda model, x: _observe(model, x),
    "summarize": lambda model, x: models.summarize(model, x.shape),
    "find_non_finite": lambda model, x: training.non_finite.find_non_finite(model, x, np.nan, 1),
    "profile": lambda model, x: fastnn.profile(model, x, np.arange(len(x)) % 2, rounds=1),
    "gradcheck": lambda model, x: insight.gradcheck(model, x, max_entries=3),
    "grad_cam": lambda model, x: insight.grad_cam(model, x, "conv", 0),
    "saliency": lambda model, x: insight.saliency(model, x, 0),
    "occlusion": lambda model, x: insight.occlusion(model, x, 0, 3, 3),
}


def _observe(model, x):
    with models.observe(model, lambda *_: None):
        model(x)


@pytest.mark.parametrize("look", sorted(LOOKS.keys() - {"gradcheck"}))
def test_looking_inside_leaves_a_forward_and_backward_of_the_users_own(look):
    model = Net()
    forward, calls = model.conv.forward, []

    def own(x):
        calls.append(1)
        return forward(x)

    object.__setattr__(model.conv, "forward", own)
    before, native = {name: id(value) for name, value in vars(model.conv).items() if name != "_call"}, _runtime._native
    LOOKS[look](model, images())
    assert model.conv.forward is own
    assert calls
    assert {name: id(value) for name, value in vars(model.conv).items() if name != "_call"} == before
    assert _runtime._native is native
    assert not observers()
    assert not any("forward" in vars(module) for module in model.modules() if module is not model.conv)


def test_gradcheck_of_a_layer_with_a_forward_of_the_users_own_checks_that():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    own = lambda x: F.relu(x)  # noqa: E731
    object.__setattr__(model[1], "forward", own)
    assert insight.gradcheck(model, rows()).ok
    assert model[1].forward is own
    object.__setattr__(model[1], "backward", lambda dy: dy)
    assert "layer '1' (Tanh) is wrong on its own" in str(insight.gradcheck(model, rows()))
    assert model[1].forward is own


@pytest.mark.parametrize("look", LOOKS)
def test_looking_inside_while_looking_inside_gives_the_same(look):
    outer, inner, alone = See(), See(), See()
    model = Net()
    with observing(alone):
        LOOKS[look](model, images())
    with observing(outer), observing(inner):
        LOOKS[look](model, images())
    assert len(alone.seen) == len(outer.seen) == len(inner.seen) > 0
    assert [(w, p) for w, _, p in outer.seen] == [(w, p) for w, _, p in inner.seen]
    assert observers() == ()


def test_nested_visits_see_the_same_and_the_outer_one_goes_on():
    model, outer, inner = Net(), [], []
    with models.observe(model, lambda path, layer, x, y: outer.append((path, y.shape))):
        with models.observe(model, lambda path, layer, x, y: inner.append((path, y.shape))):
            model(images())
        once = list(outer)
        model(images())
    assert once == inner == [
        ("conv", (2, 4, 6, 6)), ("again", (2, 4, 6, 6)), ("again", (2, 4, 6, 6)), ("pool", (2, 4, 1, 1)),
        ("flat", (2, 4)), ("head", (2, 5)),
    ]  # fmt: skip
    assert outer == inner * 2


def test_observer_of_one_thread_sees_nothing_of_another():
    model, see = Net(), See()
    with observing(see):
        thread = threading.Thread(target=lambda: model(images()))
        thread.start()
        thread.join()
    assert see.seen == []


@pytest.mark.parametrize("fails", ["layer", "visitor"])
def test_observer_is_gone_after_an_exception(fails):
    class Fails(nn.Module):
        def forward(self, x):
            raise ArithmeticError("no")

    def visit(path, layer, x, y):
        if fails == "visitor":
            raise ArithmeticError("no")

    model = nn.Sequential(nn.Flatten(), Fails() if fails == "layer" else nn.ReLU())
    before = [dict(vars(module)) for module in model]
    with pytest.raises(ArithmeticError), models.observe(model, visit):
        model(images())
    assert observers() == ()
    assert [{k: v for k, v in vars(module).items() if k != "_call"} for module in model] == before
    model[1] = nn.ReLU()
    assert model(images()).shape == (2, 108)


def test_profile_of_a_network_that_catches_what_a_layer_raises_gives_the_others_their_rows():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Flatten()

        def forward(self, x):
            self.inner(x)
            raise ArithmeticError("no")

    class Tries(nn.Module):
        def __init__(self):
            super().__init__()
            self.bad, self.good = Fails(), nn.Linear(3, 2)

        def forward(self, x):
            try:
                return self.bad(x)
            except ArithmeticError:
                return self.good(x)

    profile = fastnn.profile(Tries(), rows(), np.arange(4) % 2, rounds=1)
    calls = {(row.path, row.direction): row.calls for row in profile.rows}
    assert calls["good", "forward"] == calls["good", "backward weight"] == calls["", "forward"] == 1
    assert ("bad", "forward") not in calls


def test_joined_layers_run_apart_while_somebody_looks_and_give_the_same():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    expected, see = model(images()), See()
    with observing(see):
        y = model(images())
    np.testing.assert_array_equal(y, expected)
    assert [name for name, _ in see.names(nn.Module)] == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Sequential"]


# ---- any network -----------------------------------------------------------------------------------------------------
def test_networks_that_are_only_a_forward_are_looked_into():
    model, x = Net(), images()
    assert insight.saliency(model, x).shape == insight.occlusion(model, x, window=3, stride=3).shape == (2, 6, 6)
    result = insight.gradcheck(model, x, np.arange(2), criterion=nn.CrossEntropyLoss(), max_entries=8)
    assert result.ok, str(result)
    summary = models.summarize(model, x.shape)
    assert [(layer.path, layer.parameters) for layer in summary.layers[:3]] == [
        ("conv", 112),
        ("again", 148),
        ("again", 0),
    ]
    assert summary.multiplications == 2 * 36 * 4 * 27 + 2 * (2 * 36 * 4 * 36) + 2 * 4 * 5
    assert summary.parameters == 112 + 148 + 25


def test_grad_cam_of_a_network_that_is_only_a_forward_is_that_by_tensors():
    model, x = Net().astype(np.float64), images().astype(np.float64)
    a = fastnn.tensor(F.relu(model.again(F.relu(model.conv(x)))), requires_grad=True)
    features = model.again(a)
    scores = model.head(model.flat(model.pool(F.add(features, a))))
    dscores = np.zeros((2, 5))
    dscores[:, 3] = 1
    weights = fastnn.grad(scores, features, dscores).mean(axis=(2, 3))
    expected = np.maximum(np.einsum("nk,nkhw->nhw", weights, features.data), 0)
    np.testing.assert_allclose(insight.grad_cam(model, x, "again", 3), expected, rtol=1e-12)


def test_profile_of_a_network_that_is_only_a_forward_tells_its_layers_and_its_own_operations():
    x = images()
    profile = fastnn.profile(Net(), x, np.arange(2), rounds=1)
    found = {(row.path, row.direction): row for row in profile.rows}
    taps = (3 * 6 - 2) ** 2
    for direction in ("forward", "backward data", "backward weight"):
        assert found["again", direction].calls == 2
        assert found["again", direction].multiplications == 2 * (2 * 4 * 4 * taps)
    assert found["", "forward"].kernels == ("activation_forward", "add")
    assert found["", "backward"].kernels == ("activation_backward",)
    assert found["", "forward"].bytes == (2 + 2 + 3) * 2 * 4 * 36 * 4
    assert found["", "backward"].calls == 1


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_profile_of_a_layer_of_several_operations_counts_its_work_once(backend):
    class Both(nn.Linear):
        def forward(self, x):
            return F.tanh(super().forward(F.tanh(x)))

    with fastnn.backend(backend):
        profile = fastnn.profile(nn.Sequential(Both(3, 2)), rows(), np.arange(4) % 2, rounds=1)
    directions = {row.direction: row for row in profile.rows if row.path == "0"}
    backward = sum(row.multiplications for name, row in directions.items() if name != "forward")
    assert backward == 2 * directions["forward"].multiplications == 2 * 4 * 3 * 2
    assert directions["backward"].calls == directions["forward"].calls == 1


@pytest.mark.parametrize("as_dict", [False, True])
def test_networks_of_several_results_are_looked_into(as_dict):
    model, x, name = Heads(as_dict), images(), "b" if as_dict else 1
    assert models.summarize(model, x.shape).layers[-1].path == "head"
    profile = fastnn.profile(model, x, np.arange(2), lambda out, y: F.cross_entropy(out[name], y), rounds=1)
    calls = {(row.path, row.direction): row.calls for row in profile.rows}
    assert calls["head", "backward weight"] == calls["(loss)", "forward"] == calls["(loss)", "backward"] == 1
    assert "every layer's result is finite" in str(training.non_finite.find_non_finite(model, x, np.nan, 1))
    model.net.head.weight.data[:] = 0
    model.net.head.bias.data[:] = 1
    model.head.weight.data[:] = 3e38
    assert "layer head (Linear) is the first" in str(training.non_finite.find_non_finite(model, x, np.nan, 1))


def test_layers_of_several_results_are_looked_into():
    model = nn.Sequential(Split(), SumOfBoth(), nn.Flatten())
    summary = models.summarize(model, (1, 4, 2, 3))
    assert summary.layers[0].output_shape == ((1, 2, 2, 3), (1, 2, 2, 3))
    assert summary.layers[0].activation_bytes == 2 * 12 * 4
    assert "1x2x2x3, 1x2x2x3" in str(summary)
    profile = fastnn.profile(model, np.ones((1, 4, 2, 3), np.float32), np.array([0]), rounds=1)
    found = {(row.path, row.direction): row for row in profile.rows}
    assert found["0", "forward"].bytes == 2 * 24 * 4
    assert found["0", "backward"].bytes == 2 * 24 * 4
    pooled = models.summarize(nn.Sequential(nn.MaxPool2d(2, return_indices=True)), (1, 1, 4, 4)).layers[0]
    assert pooled.output_shape == ((1, 1, 2, 2), (1, 1, 2, 2))
    broken = training.non_finite.find_non_finite(
        nn.Sequential(nn.Identity(), Split()), np.full((1, 2), 3e38, np.float32), np.nan, 1
    )
    assert "every layer's result is finite" in str(broken)


def test_nan_search_names_the_operation_between_layers():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.after = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            a = self.inner(x)
            return self.after(F.add(a, a))

    model = nn.Sequential(nn.Flatten(), Sum())
    model[1].inner.weight.data[:] = 1e38
    error = training.non_finite.find_non_finite(model, np.ones((1, 2), np.float32), np.nan, 7)
    assert error.layer == "1"
    assert "layer 1 (Sum) is the first: its operation Add got finite numbers and gave others" in str(error)


# ---- kernels ---------------------------------------------------------------------------------------------------------
class Kernels(Observer):
    """Hands every run of a function of C to a function."""

    def __init__(self, function):
        self.kernel = function


def test_watchers_of_kernels_are_told_what_ran_and_nest():
    outer, inner = [], []
    x = images()
    with observing(Kernels(lambda name, *details: outer.append((name, details)))):
        with observing(Kernels(lambda name, *details: inner.append(name))):
            F.relu(x)
        F.conv2d(x, np.ones((4, 3, 3, 3), np.float32))
    F.relu(x)
    assert inner == ["activation_forward"]
    (first, _), (second, (plan,)) = outer
    assert (first, second) == ("activation_forward", "conv2d_forward")
    assert (plan.direction, plan.taps, plan.groups, plan.algorithm) == ("forward", (3, 3, 3, 4), 1, "direct")
    assert not observers()


def test_every_layer_that_runs_c_tells_its_kernels(rng):
    layers = [
        nn.ReLU(), nn.PReLU(), nn.Softmax(1), nn.Dropout(0.5), nn.Dropout2d(0.5), nn.BatchNorm2d(6), nn.GroupNorm(2, 6),
        nn.LayerNorm((6, 6)), nn.LocalResponseNorm(3), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveMaxPool2d(2),
        nn.AdaptiveAvgPool2d(2), nn.Conv2d(6, 2, 3), nn.Conv2d(6, 2, 3, algorithm="im2col"),
    ]  # fmt: skip
    x = rng.standard_normal((2, 6, 6, 6)).astype(np.float32)
    for layer in layers:
        seen = []
        with observing(Kernels(lambda name, *_, seen=seen: seen.append(name))):
            y = layer(x)
            n_forward = len(seen)
            layer.backward(np.ones_like(y))
        assert n_forward, layer
        assert len(seen) > n_forward, layer


def test_every_call_of_c_in_an_operation_is_told():
    """Of the folder of operations; but steps of optimisers have names of their own, what prepares data is no part of a
    network, and what looks at a batch norm's arguments is no kernel.
    """
    source = "\n".join(path.read_text() for path in Path(F.__file__).parent.glob("*.py"))
    called = set(re.findall(r"native\.([a-z0-9_]+)\(", source))
    told = set(re.findall(r'kernel_ran\("([a-z0-9_]+)"', source))
    others = {
        "augment_batch",
        "warp_batch",
        "sum_of_squares",
        "optimizer_step",
        "batchnorm_fits",
        "batchnorm_constants",
    }
    assert {name for name in called - told if not name.endswith("_workspace")} <= others
    assert told <= called
