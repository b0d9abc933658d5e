"""`diagnose` and the range test as a whole: what they find, what they leave as it was, and what they print."""

import pathlib
import random
import re

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, optim, training
from fastnn.doctor import Diagnosis, Finding, LRRangeTest


def inputs(rng, n=256, features=32):
    return rng.standard_normal((n, features)).astype(np.float32)


# ---- diagnose --------------------------------------------------------------------------------------------------------
def small(rng, n=256):
    labels = rng.integers(0, 3, n)
    x = (rng.standard_normal((n, 12)) + 2 * np.eye(12)[labels * 4]).astype(np.float32)
    fastnn.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    return model, x, labels


def test_diagnose_finds_nothing_in_a_training_that_works_and_the_picture_can_be_drawn(rng, tmp_path):
    model, x, labels = small(rng)
    loader = data.Loader(x, labels, batch_size=32, shuffle=True)
    diagnosis = fastnn.diagnose(model, loader, optimizer=optim.Adam(model.parameters(), lr=0.01), steps=30)
    assert diagnosis.healthy, str(diagnosis)
    assert len(diagnosis.record.losses) == 30
    assert set(diagnosis.record.gradient_norms) == {"0.weight", "4.weight"}
    diagnosis.plot().savefig(tmp_path / "doctor.png")
    Diagnosis().plot().savefig(tmp_path / "empty.png")


def state_of(model, optimizer, loader):
    return (
        [(name, id(p.data), p.data.tobytes(), id(p.grad), p.requires_grad) for name, p in model.named_parameters()],
        [(name, None if b is None else b.tobytes()) for m in model.modules() for name, b in m._buffers.items()],
        [(m.training, m.input_grad) for m in model.modules()],
        {k: {n: np.asarray(v).tobytes() for n, v in s.items()} for k, s in optimizer.state_dict()["state"].items()},
        optimizer.state_dict()["param_groups"],
        fastnn.random_state(),
        np.random.get_state()[1].tobytes(),  # noqa: NPY002
        random.getstate(),
        (loader._position, loader._next),
    )


class _Fails(nn.Module):
    """Raises in the call of this number; counts them."""

    def __init__(self, number, error):
        super().__init__()
        self.calls, self.number, self.error = 0, number, error

    def forward(self, x):
        np.random.standard_normal()  # noqa: NPY002
        random.random()
        self.calls += 1
        if self.calls == self.number:
            raise self.error
        return x


@pytest.mark.parametrize("number", [0, 2, 4, 15, 25])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("operation", ["diagnose", "lr_range_test"])
def test_everything_is_as_it_was_afterwards(rng, operation, number, error):
    model, x, labels = small(rng)
    fails = _Fails(0, error("stop"))
    model = nn.Sequential(*model, fails)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    loader = data.Loader(x, labels, batch_size=32, shuffle=True)
    training.fit(model, loader, 1, optimizer, progress=False)
    fails.number = fails.calls + number if number else 0
    model[1].eval()
    before = state_of(model, optimizer, loader)
    calls = fails.calls

    def run():
        if operation == "diagnose":
            fastnn.diagnose(model, loader, optimizer=optimizer, steps=10)
        else:
            training.lr_range_test(model, loader, optimizer=optimizer, steps=50)

    if number:
        with pytest.raises(error):
            run()
    else:
        run()
    assert state_of(model, optimizer, loader) == before
    assert fails.calls == calls


def test_diagnose_says_the_same_every_time(rng):
    model, x, labels = small(rng)
    loader = data.Loader(x, labels, batch_size=32, shuffle=True)
    first, second = (fastnn.diagnose(model, loader, steps=10) for _ in range(2))
    assert first.record == second.record
    assert str(first) == str(second)


def test_diagnose_stops_where_no_step_can_be_made(rng):
    model, x, labels = small(rng)
    assert fastnn.diagnose(model, [(x, labels + 1)]).names == ("labels_off_by_one",)
    assert fastnn.diagnose(model, [(x * np.nan, labels)]).names == ("non_finite_inputs",)
    other = optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    assert "optimizer_of_another_model" in fastnn.diagnose(model, [(x, labels)], optimizer=other).names


def test_diagnose_confirms_a_learning_rate_by_others(rng):
    model, x, labels = small(rng)
    loader = data.Loader(x, labels, batch_size=32, shuffle=True)
    for lr, name in ((1e-7, "learning_rate_too_low"), (1e3, "learning_rate_too_high")):
        diagnosis = fastnn.diagnose(model, loader, optimizer=optim.SGD(model.parameters(), lr=lr), steps=30)
        assert name in diagnosis.names, str(diagnosis)
        assert "went" in diagnosis[name].evidence


@pytest.mark.parametrize("lr", [10.0, 1000.0])
def test_diagnose_names_a_learning_rate_that_breaks_the_loss_also_where_no_other_one_learns_in_so_few_steps(lr):
    images = data.Shapes32(300)
    fastnn.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10))  # fmt: skip
    loader = data.Loader(images, batch_size=50, shuffle=True, mean=images.mean, std=images.std)
    diagnosis = fastnn.diagnose(model, loader, optimizer=optim.SGD(model.parameters(), lr=lr), steps=8)
    assert "learning_rate_too_high" in diagnosis.names, str(diagnosis)
    assert "diverged" in diagnosis["learning_rate_too_high"].evidence


def test_a_network_of_zeros_is_stuck_at_chance(rng):
    model, x, labels = small(rng)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    for parameter in model.parameters():
        parameter.data[...] = 0
    diagnosis = fastnn.diagnose(model, data.Loader(x, labels, batch_size=32, shuffle=True), steps=20)
    assert {"equal_units", "no_gradient", "loss_stuck_at_chance"} <= set(diagnosis.names)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "x"}, TypeError),
        ({"loader": 3}, TypeError),
        ({"loader": iter([])}, TypeError),
        ({"loader": []}, ValueError),
        ({"steps": 0}, ValueError),
        ({"optimizer": optim.SGD}, TypeError),
        ({"criterion": nn.MSELoss}, TypeError),
    ],
)
def test_diagnose_refuses_what_makes_no_sense(rng, change, error):
    model, x, labels = small(rng)
    arguments = {"model": model, "loader": [(x, labels)], **change}
    with pytest.raises(error, match="diagnose"):
        fastnn.diagnose(**arguments)


def test_diagnose_takes_several_inputs_and_functions_as_criteria(rng):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 1)

        def forward(self, left, right):
            return self.linear(np.concatenate([left, right], axis=1))

    fastnn.manual_seed(0)
    x, y = inputs(rng, features=4), inputs(rng, features=1)
    batches = [({"left": x, "right": x}, y)] * 3
    diagnosis = fastnn.diagnose(Two(), batches, lambda out, t: ((out - t) ** 2).mean(), steps=5)
    assert diagnosis.healthy, str(diagnosis)


# ---- what prints -----------------------------------------------------------------------------------------------------
def test_findings_are_sorted_and_html_is_escaped():
    findings = [Finding("b", "note", "1 < 2", "c", "a"), Finding("a", "error", "<b>", "c", "a", "layer")]
    diagnosis = Diagnosis(findings, examined="nothing")
    assert [finding.name for finding in diagnosis.findings] == ["a", "b"]
    assert str(diagnosis).splitlines()[0] == "2 findings: 1 error, 1 note (nothing)"
    assert "&lt;b&gt;" in diagnosis._repr_html_()
    assert Diagnosis()._repr_html_() == "<p>nothing found</p>"
    with pytest.raises(KeyError, match="there are a, b"):
        diagnosis["c"]


# ---- range test ------------------------------------------------------------------------------------------------------
def test_the_range_test_stops_at_divergence_and_suggests_what_trains(rng, tmp_path):
    model, x, labels = small(rng)
    loader = data.Loader(x, labels, batch_size=32, shuffle=True)
    test = training.lr_range_test(model, loader, optimizer=optim.SGD(model.parameters(), lr=1.0), stop=1e4)
    assert test.diverged
    assert len(test.lrs) == len(test.losses) < 100
    assert 1e-3 < test.suggestion < 10
    test.plot().figure.savefig(tmp_path / "range.png")


def test_the_range_test_suggests_nothing_where_nothing_falls(rng):
    losses = 2.3 + 0.1 * rng.standard_normal(100)
    assert LRRangeTest(np.geomspace(1e-6, 10, 100), losses, False).suggestion is None
    assert LRRangeTest([], [], False).suggestion is None


def test_groups_keep_their_proportion_in_the_range_test(rng):
    model, x, labels = small(rng)
    seen = []

    class Noting(optim.SGD):
        def step(self, closure=None):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    groups = [{"params": list(model[0].parameters()), "lr": 0.1}, {"params": list(model[4].parameters()), "lr": 0.4}]
    training.lr_range_test(model, [(x, labels)], optimizer=Noting(groups, lr=0.1), steps=10, stop=1e-3)
    assert all(low == pytest.approx(high / 4) for low, high in seen)
    assert seen[0][1] == pytest.approx(1e-6)
    assert seen[-1][1] == pytest.approx(1e-3)


@pytest.mark.parametrize("change", [{"start": 1.0, "stop": 0.1}, {"steps": 1}, {"start": 0}])
def test_the_range_test_refuses_what_makes_no_sense(rng, change):
    model, x, labels = small(rng)
    with pytest.raises(ValueError, match="lr_range_test"):
        training.lr_range_test(model, [(x, labels)], **change)


def test_the_guide_lists_every_finding():
    folder = pathlib.Path(fastnn.__file__).parent / "doctor"
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    # The name is the first argument, or one of two.
    named = set(re.findall(r'Finding\(\s*"([a-z_]+)"', source))
    for pair in re.findall(r'Finding\(\s*"([a-z_]+)" if \w+ else "([a-z_]+)"', source):
        named |= set(pair)
    guide = (pathlib.Path(__file__).parents[1] / "docs" / "doctor.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| `")]
    listed = set(re.findall(r"`([a-z_]+)`", "\n".join(cells)))
    assert named == listed
