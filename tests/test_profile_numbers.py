"""The numbers of a profile, by hand: a clock that the test turns, a result made of known rows, the text parsed back."""

import csv
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import fastnn
from fastnn import cli, models, nn, optim
from fastnn.profiling import Copy, Profile
from fastnn.profiling.recorder import Event, _parts_of_backward
from fastnn.profiling.result import make_row
from fastnn.profiling.work import backward_bytes, forward_bytes, multiplications, operation_bytes

PEAK, BANDWIDTH = 100.0, 20.0


def made():
    """A step of 10 ms: 2 + 3 + 1 + 0.5 + 1.5 + 2 ms."""

    def row(path, kind, direction, ms, multiplications=0, n_bytes=0, **more):
        values = {"calls": 1, "seconds": ms / 1e3, "share": ms / 10, "multiplications": multiplications}
        return make_row(PEAK, BANDWIDTH, path=path, kind=kind, direction=direction, bytes=n_bytes, **{**values, **more})

    copies = (Copy("pixel-major", 2, 3_000_000), Copy("C-contiguous", 1, 500_000))
    rows = (
        row("0", "Conv2d", "forward", 2, 40_000_000, 8_000_000, algorithm="direct", why="asked", kernels=("a", "b")),
        row("0", "Conv2d", "backward data", 3, 40_000_000, 4_000_000, algorithm="direct", why="asked", copies=copies),
        row("1", "Linear", "forward", 1, 10_000_000, 2_000_000, algorithm="direct", why="other"),
        row("(loss)", "CrossEntropyLoss", "forward", 0.5, 0, 1_000_000),
        row("(optimizer)", "SGD", "step", 1.5, 0, 6_000_000),
        row("(rest)", "", "step", 2, calls=0),
    )
    return Profile(rows, 64, 3, 2, "float32", "avx2", "the best", "A CPU", PEAK, BANDWIDTH)


def table(profile):
    """{(layer, direction): {column: text}} of the printed table; totals have the layer 'total'."""
    lines = str(profile).splitlines()
    rules = [i for i, line in enumerate(lines) if line and set(line) == {"-"}]
    head = lines[rules[0] - 1]
    names = ["layer", "kind", "direction", "calls", "ms", "share", "10^6 mult.", "MB", "GF/s", "peak", "stream"]
    ends, start = {}, 0
    for name in names:
        start = head.index(name, start)
        ends[name] = start + len(name)
    found = {}
    for line in lines[rules[0] + 1 : rules[1]] + lines[rules[1] + 1 : rules[1] + 4]:
        cells = {}
        for left, name in zip([None, *names], names, strict=False):
            if name not in ("layer", "kind", "direction"):  # those are flush right
                cells[name] = line[ends[left] : ends[name]].strip()
        layer, *_ = line.split("  ")
        direction = re.search(r"(forward|backward data|backward weight|backward|step)", line)[0]
        found[layer.strip(), direction] = cells
    return found


def test_profile_table_has_the_numbers_of_the_rows():
    cells = table(made())
    assert cells["0", "forward"] == {
        "calls": "1",
        "ms": "2.000",
        "share": "20.0%",
        "10^6 mult.": "40.00",
        "MB": "8.00",
        "GF/s": "40.0",  # 2 * 40e6 / 2 ms
        "peak": "40%",
        "stream": "20%",  # 8 MB / 2 ms is 4 GB/s
    }
    assert cells["(rest)", "step"]["calls"] == "0"
    assert cells["(loss)", "forward"]["GF/s"] == cells["(loss)", "forward"]["10^6 mult."] == ""
    assert cells["(loss)", "forward"]["stream"] == "10%"


def test_profile_totals_are_sums_of_layers_by_direction_and_of_everything():
    cells = table(made())
    forward, backward, step = (cells["total", direction] for direction in ("forward", "backward", "step"))
    # The loss is no layer.
    assert (forward["ms"], forward["share"], forward["calls"]) == ("3.000", "30.0%", "2")
    assert (forward["10^6 mult."], forward["MB"], forward["GF/s"]) == ("50.00", "10.00", "33.3")
    assert (backward["ms"], backward["10^6 mult."], backward["MB"]) == ("3.000", "40.00", "4.00")
    assert (step["ms"], step["share"], step["calls"]) == ("10.000", "100.0%", "5")
    assert (step["10^6 mult."], step["MB"], step["GF/s"]) == ("90.00", "21.00", "18.0")


def test_profile_head_and_foot_say_what_was_measured():
    lines = str(made()).splitlines()
    assert lines[:3] == [
        "A CPU, avx2, 2 threads, float32",
        "a step of 64 images: 10.00 ms, 6400 images/s (medians of 3 rounds)",
        "measured meanwhile: 100 GF/s of multiply-adds on registers, 20.0 GB/s streamed",
    ]
    assert lines[-6:] == [
        "avx2: the best",
        "direct, in 0 (forward, backward data): asked",
        "direct, in 1 (forward): other",
        "hidden copies: 3.50 MB a step",
        "  0, backward data: 2 to be pixel-major, 3.00 MB",
        "  0, backward data: 1 to be C-contiguous, 0.50 MB",
    ]
    assert "direct: a, b" in str(made())
    bare = Profile(made().rows, 1, 1, 1, "float64", "reference", "chosen", "A CPU", None, None)
    assert str(bare).splitlines()[:3] == [
        "A CPU, reference, 1 thread, float64",
        "a step of 1 images: 10.00 ms, 100 images/s (1 round)",
        "",
    ]
    assert made().seconds == pytest.approx(0.01)
    assert [copy.count for _, copy in made().copies] == [2, 1]


def test_profile_csv_has_every_number_of_every_row():
    profile = made()
    records = list(csv.DictReader(io.StringIO(profile.to_csv())))
    for record, row in zip(records, profile.rows, strict=True):
        for name in ("calls", "seconds", "share", "multiplications", "bytes"):
            assert float(record[name]) == getattr(row, name)
        for name in ("gflops", "peak_share", "bandwidth_share"):
            value = getattr(row, name)
            assert record[name] == ("" if value is None else str(value))
    assert records[0]["kernels"] == "a; b"
    assert records[1]["copies"] == "2 x pixel-major, 3000000 bytes; 1 x C-contiguous, 500000 bytes"


def test_profile_row_intensity_and_shares_are_those_by_hand():
    first = made().rows[0]
    assert first.intensity == 2 * 40 / 8
    assert (first.gflops, first.peak_share, first.bandwidth_share) == pytest.approx((40.0, 0.4, 0.2))
    loss = made().rows[3]
    assert (loss.intensity, loss.gflops, loss.peak_share) == (None, None, None)
    assert loss.bandwidth_share == pytest.approx(0.1)
    assert make_row(None, None, path="", kind="", direction="", calls=1, seconds=1.0, share=1.0, multiplications=5,
                    bytes=0).peak_share is None  # fmt: skip


def test_profile_plot_puts_markers_where_the_numbers_are_and_the_roof_at_its_corner():
    ax = made().plot(Figure().add_subplot())
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["forward"].get_xydata(), [[10, 40], [10, 20]])
    slope, flat = lines["20.0 GB/s streamed"], lines["100 GF/s of multiply-adds"]
    assert slope.get_xydata()[1].tolist() == flat.get_xydata()[0].tolist() == [5, 100]
    assert flat.get_xydata()[1][1] == 100
    low, high = ax.get_xlim()
    assert low <= 5 < 20 <= high
    assert ax.get_ylim()[1] >= 200


# ---- a clock that the test turns -------------------------------------------------------------------------------------
class Ticks(nn.Module):
    """Each forward takes the next of these seconds, each backward ten times as long."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.weight = nn.Parameter(np.ones((192, 5), np.float32))
        self.clock, self.seconds = clock, iter(seconds)

    def forward(self, x):
        self.x, self.last = x, next(self.seconds)
        self.clock[0] += self.last
        return x @ self.weight.data

    def backward(self, dy):
        self.clock[0] += 10 * self.last
        self.weight.add_grad(self.x.T @ dy)
        return dy @ self.weight.data.T


class Loss(nn.CrossEntropyLoss):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def forward(self, input, target):
        self.clock[0] += 100.0
        return super().forward(input, target)

    def backward(self):
        self.clock[0] += 200.0
        return super().backward()


class Step(optim.SGD):
    def __init__(self, clock, parameters):
        super().__init__(parameters, lr=0.1)
        self.clock = clock

    def step(self):
        self.clock[0] += 1000.0
        super().step()


def timed(monkeypatch, **settings):
    clock = [0.0]
    model = Ticks(clock, [50.0, 1.0, 3.0, 2.0, 7.0])
    monkeypatch.setattr("fastnn.profiling.recorder.time.perf_counter", lambda: clock[0])

    class Machine:
        def __init__(self, dtype):
            self.rounds = 0

        def measure(self):
            self.rounds += 1
            clock[0] += 1e6  # belongs to no step

        peak, bandwidth = 50.0, 10.0

    monkeypatch.setattr("fastnn.profiling.run._Machine", Machine)
    x, y = np.ones((6, 192), np.float32), np.arange(6) % 5
    return fastnn.profile(model, x, y, Loss(clock), Step(clock, model.parameters()), **settings)


def test_profile_takes_medians_over_the_rounds_without_the_warm_up(monkeypatch):
    profile = timed(monkeypatch, rounds=3)
    seconds = {(row.path, row.direction): row.seconds for row in profile.rows}
    assert seconds == {
        ("", "forward"): 2.0,  # of 1, 3, 2
        ("", "backward"): 20.0,
        ("(loss)", "forward"): 100.0,
        ("(loss)", "backward"): 200.0,
        ("(optimizer)", "step"): 1000.0,
        ("(rest)", "step"): 0.0,
    }
    assert profile.seconds == 1322.0
    shares = {(row.path, row.direction): row.share for row in profile.rows}
    assert shares["(optimizer)", "step"] == 1000 / 1322
    assert sum(shares.values()) == pytest.approx(1)
    assert str(profile).splitlines()[1] == "a step of 6 images: 1322000.00 ms, 0 images/s (medians of 3 rounds)"
    assert (profile.rounds, profile.batch_size, profile.peak_gflops, profile.bandwidth_gbs) == (3, 6, 50.0, 10.0)


def test_profile_warm_up_and_rounds_are_as_many_as_asked(monkeypatch):
    profile = timed(monkeypatch, rounds=1, warmup=3)  # 50, 1, 3, then 2
    assert profile.rows[0].seconds == 2.0
    profile = timed(monkeypatch, rounds=1, warmup=0)
    assert profile.rows[0].seconds == 50.0


def test_profile_parts_of_a_backward_are_told_apart_by_the_end_of_the_last_kernel_of_the_data():
    names = (
        ("conv2d_backward_data (a)", 13.0),
        ("conv2d_backward_data (b)", 14.0),
        ("pixel-major", 15.0),
        ("conv2d_backward_weight", 19.0),
    )
    events = [Event(name, end) for name, end in names]
    found = _parts_of_backward(events, start=10.0, seconds=10.0)  # from 10 to 20
    assert {direction: seconds for direction, (seconds, _) in found.items()} == {
        "backward data": 4.0,
        "backward weight": 6.0,
    }
    assert [event.name for event in found["backward data"][1]] == [name for name, _ in names[:2]]
    assert [event.name for event in found["backward weight"][1]] == ["pixel-major", "conv2d_backward_weight"]
    small = _parts_of_backward(events, start=10.0, seconds=3.0)  # observing took more of it than the work
    assert [seconds for seconds, _ in small.values()] == [3.0, 0.0]
    assert list(_parts_of_backward(events[:3], 10.0, 10.0)) == ["backward data"]
    assert list(_parts_of_backward(events[2:], 10.0, 10.0)) == ["backward weight"]
    assert _parts_of_backward(events[2:3], 10.0, 10.0) == {}


class Draws(nn.Module):
    """Has a generator of its own, and keeps what it drew."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(3)

    def forward(self, x):
        self.mask = self.rng.random(x.shape, np.float32)
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


def test_profile_leaves_the_generators_of_layers_as_they_were():
    layer = Draws()
    before = layer.rng.bit_generator.state
    fastnn.profile(nn.Sequential(layer, nn.Linear(4, 2)), np.ones((3, 4), np.float32), np.array([0, 1, 1]), rounds=1)
    assert layer.rng.bit_generator.state == before
    assert "mask" not in vars(layer)


# ---- least work ------------------------------------------------------------------------------------------------------
def test_bytes_of_a_layer_are_input_output_and_weights_also_frozen_ones():
    layer = nn.Linear(3, 2)
    x = np.ones((4, 3), np.float32)
    y, weights = layer(x), (3 * 2 + 2) * 4
    assert forward_bytes(layer, (x,), y) == x.nbytes + y.nbytes + weights
    layer.weight.requires_grad = False
    assert forward_bytes(layer, (x,), y) == x.nbytes + y.nbytes + weights  # a frozen weight is read, too
    dx = np.ones_like(x)
    found = backward_bytes(layer, x.nbytes, (y,), dx)
    assert found["backward data"] == y.nbytes + weights + dx.nbytes
    assert found["backward weight"] == y.nbytes + x.nbytes + 2 * 4  # the gradient of the bias alone
    assert found["backward"] == y.nbytes + dx.nbytes + weights + 2 * 4


def test_bytes_of_layers_that_read_their_input_again_of_views_and_of_containers():
    x = np.ones((4, 3), np.float32)
    dy, dx = np.ones_like(x), np.ones_like(x)
    assert backward_bytes(nn.ReLU(), x.nbytes, (dy,), dx)["backward"] == 3 * x.nbytes
    assert backward_bytes(nn.Dropout(), x.nbytes, (dy,), dx)["backward"] == 2 * x.nbytes
    assert forward_bytes(nn.Flatten(), (x,), x.reshape(-1)) == 0
    assert backward_bytes(nn.Flatten(), x.nbytes, (dy,), dy.reshape(-1)) == {"backward": 0}
    assert backward_bytes(nn.Residual(nn.ReLU()), x.nbytes, (dy,), dx) == {"backward": 0}
    assert operation_bytes((x, dy), dx) == 3 * x.nbytes  # the sum at the end of a residual block
    assert operation_bytes((dy,), (dy, dy)) == 0  # and its gradients
    assert forward_bytes(nn.ReLU(), (x,), (dx, dx)) == 3 * x.nbytes


def test_multiplications_of_a_linear_layer_are_those_by_hand():
    assert multiplications(nn.Linear(3, 2), (np.ones((4, 3)),)) == 4 * 3 * 2
    assert multiplications(nn.Conv2d(2, 4, 2, stride=2), (np.ones((3, 2, 4, 4)),)) == 3 * 4 * (2 * 2) * (2 * 2 * 2)
    assert multiplications(nn.ReLU(), (np.ones((4, 3)),)) == 0


# ---- the options of the command --------------------------------------------------------------------------------------
@pytest.fixture
def calls(monkeypatch):
    """What the command profiles, instead of doing it."""
    seen = []

    def profile(model, x, y, **settings):
        seen.append({"model": model, "x": x, "y": y, "threads": fastnn.num_threads(), **settings})
        return made()

    monkeypatch.setattr("fastnn.profiling.command.profile", profile)
    return seen


def test_profile_command_options_reach_the_profile(calls, capsys):
    assert cli.main(["profile", "keras_cnn"]) == 0
    assert str(made()) in capsys.readouterr().out
    options = ["--batch-size", "5", "--rounds", "3", "--threads", "3", "--input", "3", "16", "16"]
    assert cli.main(["profile", "resnet20", *options]) == 0
    default, asked = calls
    assert (default["x"].shape, default["rounds"]) == ((128, 3, 32, 32), 7)
    assert (asked["x"].shape, asked["rounds"], asked["threads"]) == ((5, 3, 16, 16), 3, 3)
    assert asked["x"].dtype == np.float32
    assert 0.9 < default["x"].std() < 1.1
    assert set(default["y"].tolist()) == set(range(10))
    assert not default["model"].input_grad
    settings = default["optimizer"].param_groups[0]
    assert (type(default["optimizer"]), settings["lr"], settings["momentum"]) == (optim.SGD, 1e-3, 0.9)


def test_profile_command_of_a_recipe_has_its_batch_size_and_optimizer(calls):
    from fastnn.training import RECIPES

    recipe = RECIPES["cifar10-94"]
    assert cli.main(["profile", "cifar10-94"]) == 0
    (call,) = calls
    assert len(call["x"]) == recipe.batch_size
    assert type(call["optimizer"]) is type(recipe.make_optimizer(recipe.make_model()))
    assert sum(p.size for p in call["model"].parameters()) == sum(p.size for p in recipe.make_model().parameters())


@pytest.mark.parametrize(("settings", "expected"), [({}, 9 * 2 * 3 * 16), ({"stride": 2, "padding": 1}, 2 * 3 * 100)])
def test_work_of_a_transposed_convolution_counts_what_lies_within_its_result(settings, expected):
    """4 x 4 pixels and 3 x 3 taps: with padding 1, 10 of 12 taps along each axis fall on the 7 pixels of the result."""
    layer = nn.ConvTranspose2d(2, 3, 3, **settings)
    assert multiplications(layer, [np.zeros((1, 2, 4, 4), np.float32)]) == expected
    assert models.summarize(layer, (1, 2, 4, 4)).multiplications == 9 * 2 * 3 * 16


# ---- what a reader is told of algorithms -----------------------------------------------------------------------------
def made_of_blocks(algorithm="winograd24"):
    """Five equal layers by `algorithm`, above the peak and below it, and another one."""

    def row(path, direction, ms, algorithm, why, multiplications=300_000_000):
        work = {"multiplications": multiplications, "bytes": 8_000_000, "seconds": ms / 1e3}
        reason = {"algorithm": algorithm, "why": why}
        return make_row(
            PEAK, BANDWIDTH, path=path, kind="Conv2d", direction=direction, calls=1, share=0.1, **work, **reason
        )

    rows = [row(f"body.{i}", "forward", 3 + i, algorithm, "cheaper") for i in range(5)]
    rows += [row(f"body.{i}", "backward weight", 4 + i, algorithm, "asked") for i in range(2)]
    rows.append(row("head", "forward", 1, "direct", "few channels", 1_000_000))
    return Profile(tuple(rows), 64, 3, 2, "float32", "avx2", "the best", "A CPU", PEAK, BANDWIDTH)


def test_profile_notes_name_the_layers_and_directions_of_each_reason():
    assert str(made_of_blocks()).splitlines()[-4:-1] == [
        "winograd24, in body.0, body.1, body.2 and 2 more (forward): cheaper",
        "winograd24, in body.0, body.1 (backward weight): asked",
        "direct, in head (forward): few channels",
    ]


@pytest.mark.parametrize(
    ("algorithm", "saved", "tile"), [("winograd", 2.25, "2x2"), ("winograd24", 3, "2x4"), ("winograd4", 4, "4x4")]
)
def test_roofline_explains_what_is_above_the_peak(algorithm, saved, tile):
    ax = made_of_blocks(algorithm).plot()
    [above] = [line for line in ax.lines if "Winograd" in line.get_label() and line.get_linestyle() == ":"]
    assert above.get_label() == f"{saved:g} times that: tiles of {tile} by Winograd"
    assert list(above.get_ydata()) == [saved * PEAK] * 2
    hollow = [line for line in ax.lines if line.get_label() == "forward, by Winograd"]
    assert [(len(line.get_xdata()), line.get_markerfacecolor()) for line in hollow] == [(5, "white")]
    assert max(hollow[0].get_ydata()) == 200 > PEAK  # 2 * 300e6 / 3 ms
    assert ax.get_ylim()[1] > saved * PEAK


def test_roofline_of_direct_layers_has_no_line_above_the_peak():
    ax = made_of_blocks("direct").plot()
    assert not any("Winograd" in line.get_label() for line in ax.lines)


def test_roofline_numbers_layers_of_the_same_work_once():
    ax = made_of_blocks().plot()
    # body.2 to body.4 have no backward here, so they are others than body.0 and body.1.
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names[-3:] == ["1  body.0 and 1 like it, Conv2d", "2  body.2 and 2 like it, Conv2d", "3  head, Conv2d"]
    assert sorted(text.get_text() for text in ax.texts) == ["1", "1", "2", "3"]  # 1 in both directions
