"""The profile of a training step: what it counts, what it finds out, and that it leaves no trace."""

import csv
import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import fastnn
from fastnn import _layout, _runtime, cli, data, nn, optim, reference
from fastnn.profiling.work import valid_multiplications


def small_model():
    fastnn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Residual(nn.Conv2d(8, 8, 3, padding=1, groups=8)),
        nn.Dropout(0.5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 5),
    )


def batch(n=6, dtype=np.float32, pixel_major=True):
    x = np.random.default_rng(1).standard_normal((n, 3, 8, 8)).astype(dtype)
    return (_layout.pixel_major(x) if pixel_major else x), np.arange(n) % 5


def row(profile, path, direction):
    (found,) = (row for row in profile.rows if (row.path, row.direction) == (path, direction))
    return found


# ---- counting --------------------------------------------------------------------------------------------------------
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    pad=st.integers(0, 3),
    dilation=st.integers(1, 2),
    groups=st.integers(1, 3),
)
def test_profile_multiplications_are_those_with_real_pixels(size, kernel, stride, pad, dilation, groups):
    if any(s + 2 * pad <= dilation * (k - 1) for s, k in zip(size, kernel, strict=True)):
        return
    # The sum of a convolution of ones with ones is the number of its products that are not with padding.
    x, weight = np.ones((2, 2 * groups, *size)), np.ones((3 * groups, 2, *kernel))
    out = [(s + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for s, k in zip(size, kernel, strict=True)]
    y = reference.conv2d(x, weight, None, (stride,) * 2, (pad,) * 2, (dilation,) * 2, groups, tuple(out))
    assert valid_multiplications(x, weight, stride, pad, dilation, groups) == y.sum()


def test_profile_counts_the_work_of_known_layers():
    profile = fastnn.profile(small_model(), *batch(), rounds=1)
    pixels_3x3 = (3 * 8 - 2) ** 2  # of the 9 * 64 taps on an 8x8 map, those within it
    for direction in ("forward", "backward data", "backward weight"):
        assert row(profile, "0", direction).multiplications == 6 * 3 * 8 * pixels_3x3
        assert row(profile, "3.body", direction).multiplications == 6 * 8 * pixels_3x3
        assert row(profile, "7", direction).multiplications == 6 * 128 * 5
    activation = 6 * 8 * 8 * 8 * 4
    image, weights = 6 * 3 * 8 * 8 * 4, (3 * 8 * 9 + 8) * 4
    assert row(profile, "0", "forward").bytes == image + weights + activation
    assert row(profile, "0", "backward weight").bytes == image + weights + activation
    assert row(profile, "2", "forward").bytes == 2 * activation
    assert row(profile, "2", "backward").bytes == 3 * activation
    assert row(profile, "3", "forward").bytes == 3 * activation
    assert row(profile, "2", "forward").multiplications == 0
    assert row(profile, "2", "forward").gflops is None


def test_profile_layers_whose_gradients_nobody_asks_for_have_no_row_of_them():
    model = small_model()
    model.input_grad = False
    model[3].body.requires_grad_(False)
    directions = {(r.path, r.direction) for r in fastnn.profile(model, *batch(), rounds=1).rows}
    assert {("0", "forward"), ("0", "backward weight"), ("3.body", "backward data")} <= directions
    assert not {("0", "backward data"), ("3.body", "backward weight")} & directions


def test_profile_figures_follow_from_each_other_and_shares_sum_to_one():
    profile = fastnn.profile(small_model(), *batch(), rounds=3)
    assert sum(r.share for r in profile.rows) == pytest.approx(1)
    assert all(r.seconds >= 0 for r in profile.rows)
    conv = row(profile, "0", "forward")
    assert conv.gflops == pytest.approx(2 * conv.multiplications / conv.seconds / 1e9)
    assert conv.peak_share == pytest.approx(conv.gflops / profile.peak_gflops)
    assert conv.bandwidth_share == pytest.approx(conv.bytes / conv.seconds / 1e9 / profile.bandwidth_gbs)
    assert conv.intensity == pytest.approx(2 * conv.multiplications / conv.bytes)
    assert (profile.batch_size, profile.rounds, profile.dtype) == (6, 3, "float32")
    assert (profile.isa, profile.threads) == (fastnn.isa(), fastnn.num_threads())


class Slow(nn.Module):
    """Its time is known: the clock of the test stands still but here."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def forward(self, x):
        self.clock[0] += 2.0
        return x + 1

    def backward(self, dy):
        self.clock[0] += 3.0
        return dy * 1


class Wrapper(nn.Module):
    """Works itself, too."""

    def __init__(self, inner, clock):
        super().__init__()
        self.inner, self.clock = inner, clock

    def forward(self, x):
        self.clock[0] += 5.0
        return self.inner(self.inner(x))

    def backward(self, dy):
        self.clock[0] += 7.0
        return self.inner.backward(self.inner.backward(dy))


def test_profile_gives_each_layer_its_own_time_and_counts_calls(monkeypatch):
    clock = [0.0]
    model = nn.Sequential(Wrapper(Slow(clock), clock), nn.Flatten())
    monkeypatch.setattr("fastnn.profiling.recorder.time.perf_counter", lambda: clock[0])
    with monkeypatch.context() as patch:
        patch.setattr("fastnn.profiling.run._machine.Stream", lambda dtype: None)  # it divides by the time
        profile = fastnn.profile(model, *batch(), rounds=2)
    times = {(r.path, r.direction): (r.calls, r.seconds) for r in profile.rows}
    assert times["0.inner", "forward"] == (2, 4.0)
    assert times["0.inner", "backward"] == (2, 6.0)
    assert times["0", "forward"] == (1, 5.0)
    assert times["0", "backward"] == (1, 7.0)
    assert times["(rest)", "step"] == (0, 0.0)
    assert profile.seconds == 22.0


class Sometimes(nn.Module):
    """Runs its layer in every other step."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.steps = layer, 0

    def forward(self, x):
        self.steps += 1
        return self.layer(x) if self.steps % 2 else x * 1

    def backward(self, dy):
        return self.layer.backward(dy) if self.steps % 2 else dy * 1


@pytest.mark.parametrize("rounds", [1, 2])
def test_profile_of_layers_that_run_at_times(rounds):
    model = nn.Sequential(Sometimes(nn.ReLU()), nn.Flatten(), nn.Linear(192, 5))
    profile = fastnn.profile(model, *batch(), rounds=rounds, warmup=1)  # the warm-up is one in which it runs
    assert [r.calls for r in profile.rows if r.path == "0.layer"] == ([] if rounds == 1 else [1, 1])
    assert model[0].steps == 0


def test_profile_of_a_single_layer_calls_it_a_dot():
    x, y = batch()
    profile = fastnn.profile(nn.Linear(192, 5), x.reshape(6, -1), y, rounds=1)
    assert row(profile, "", "forward").multiplications == 6 * 192 * 5
    assert any(line.split()[:2] == [".", "Linear"] for line in str(profile).splitlines())
    assert "1  ., Linear" in [text.get_text() for text in profile.plot().get_legend().get_texts()]


def test_profile_leaves_no_memory_in_the_cache():
    fastnn.empty_cache()
    fastnn.profile(nn.Linear(192, 5), batch()[0].reshape(6, -1), batch()[1], rounds=1)
    assert fastnn.memory_info()["cached"] < 1_000_000  # the measurement of the bandwidth takes a hundred times as much


# ---- what ran --------------------------------------------------------------------------------------------------------
def test_profile_tells_the_algorithm_and_the_kernels_that_ran():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 3, algorithm="im2col"), nn.Flatten()
    )
    profile = fastnn.profile(model, *batch(), rounds=1)
    direct, depthwise, im2col = (row(profile, path, "forward") for path in "012")
    assert (direct.algorithm, direct.kernels) == ("direct", ("conv2d_forward (in runs)",))
    assert (depthwise.algorithm, depthwise.kernels) == ("direct", ("conv2d_forward (by channel)",))
    assert (im2col.algorithm, im2col.kernels) == ("im2col", ("conv2d_forward (gathered)",))
    assert "winograd" in direct.why
    assert "asked for" in im2col.why
    assert row(profile, "2", "backward data").kernels == ("conv2d_backward_data (gathered)",)
    assert row(profile, "2", "backward weight").kernels == ("conv2d_backward_weight (in planes)",)


def test_profile_tells_why_an_instruction_set_runs(isa):
    profile = fastnn.profile(small_model(), *batch(), rounds=1)
    best = fastnn.available_isas()[-1]
    assert profile.isa == isa
    assert ("the best" if isa == best else f"though {best} is there") in profile.isa_why
    assert f"{isa}: {profile.isa_why}" in str(profile).splitlines()


def test_profile_runs_on_the_reference():
    with fastnn.backend("reference"):
        profile = fastnn.profile(small_model(), *batch(), rounds=1)
    assert profile.isa == "reference"
    backward = row(profile, "0", "backward")
    assert (backward.algorithm, backward.kernels) == ("reference", ())
    assert backward.multiplications == 2 * row(profile, "0", "forward").multiplications


# ---- hidden copies ---------------------------------------------------------------------------------------------------
def hidden_copies(x, y, model=None):
    profile = fastnn.profile(nn.Sequential(nn.Conv2d(3, 5, 8)) if model is None else model, x, y, Scores(), rounds=1)
    return {(r.path, r.direction): (copy.purpose, copy.count, copy.bytes) for r, copy in profile.copies}


class Scores(nn.CrossEntropyLoss):
    """Of images of one pixel."""

    def forward(self, input, target):
        self.shape = input.shape
        return super().forward(input.reshape(len(input), -1), target)

    def backward(self):
        return super().backward().reshape(self.shape)


def test_profile_finds_no_copies_of_arrays_that_lie_right():
    assert hidden_copies(*batch()) == {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_profile_tells_of_the_copy_of_an_nchw_batch(dtype):
    x, y = batch(dtype=dtype, pixel_major=False)
    model = nn.Sequential(nn.Conv2d(3, 5, 8)).astype(dtype)
    assert hidden_copies(x, y, model) == {("0", "forward"): ("pixel-major", 1, x.nbytes)}


def test_profile_tells_of_the_copy_of_swapped_bytes():
    x, y = batch()
    model = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 5, 8))
    found = hidden_copies(x.astype(x.dtype.newbyteorder()), y, model)
    assert ("in native byte order", 1, x.nbytes) in found.values()


def test_profile_tells_of_the_copy_of_weights_that_lie_wrong():
    model = nn.Sequential(nn.Conv2d(3, 5, 8))
    model[0].weight.data = np.ascontiguousarray(model[0].weight.data)
    n_bytes = model[0].weight.data.nbytes
    assert hidden_copies(*batch(), model)["0", "forward"] == ("C-contiguous", 1, n_bytes)


def test_profile_of_another_dtype_raises_what_the_layer_does():
    with pytest.raises(TypeError, match="dtypes differ"):
        fastnn.profile(small_model(), *batch(dtype=np.float64), rounds=1)


# ---- no trace --------------------------------------------------------------------------------------------------------
def state_of(model, optimizer):
    """Everything that must not change, as bytes and identities."""
    arrays = [array for p in model.parameters() for array in (p.data, p.grad)]
    arrays += [array for _, array in model.named_buffers()]
    arrays += [array for values in optimizer.state.values() for array in values.values()]
    kept = [sorted((name, id(value)) for name, value in vars(module).items()) for module in model.modules()]
    return (
        [(id(array), array.tobytes("A")) if isinstance(array, np.ndarray) else array for array in arrays],
        kept,
        [(module.training, module.input_grad) for module in model.modules()],
        fastnn.random_state(),
        [dict(group) for group in optimizer.param_groups],
        _runtime._native,
    )


@pytest.fixture
def trained():
    """A model in the midst of a training, with an optimiser that has a state."""
    model, (x, y) = small_model(), batch()
    optimizer, criterion = optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    criterion(model(x), y)
    model.backward(criterion.backward())
    optimizer.step()
    model.eval()
    model[1].train()
    return model, optimizer


def test_profile_leaves_model_and_optimizer_bit_for_bit_as_they_were(trained):
    model, optimizer = trained
    before = state_of(*trained)
    profile = fastnn.profile(model, *batch(), optimizer=optimizer, rounds=2)
    assert state_of(*trained) == before
    step = row(profile, "(optimizer)", "step")
    assert step.kernels == ("adam_step",)
    assert step.bytes == 7 * sum(p.data.nbytes for p in model.parameters())  # w, m, v read and written, g read


def test_profile_leaves_no_trace_when_a_step_fails(trained):
    before = state_of(*trained)
    with pytest.raises(ValueError, match="label"):
        fastnn.profile(trained[0], batch()[0], np.full(6, 99), optimizer=trained[1], rounds=1)
    assert state_of(*trained) == before


def test_profile_leaves_a_forward_of_the_users_own():
    model, (x, y) = small_model(), batch()
    forward = model[2].forward
    calls = []
    object.__setattr__(model[2], "forward", lambda x: calls.append(1) or forward(x))
    own = model[2].forward
    fastnn.profile(model, x, y, rounds=1)
    assert model[2].forward is own
    assert calls == [1, 1]  # the warm-up and the round


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"rounds": 0}, ValueError, "rounds must be >= 1"),
        ({"warmup": -1}, ValueError, "warmup must be >= 0"),
        ({"model": lambda x: x}, TypeError, "nn.Module"),
        ({"x": np.zeros((0, 3, 8, 8), np.float32)}, ValueError, "at least one image"),
        ({"x": np.zeros((2, 3, 8, 8), np.float16)}, TypeError, "profile: x has dtype float16"),
    ],
)
def test_profile_refuses_what_makes_no_sense(changes, error, words):
    x, y = batch()
    with pytest.raises(error, match=words):
        fastnn.profile(**{"model": small_model(), "x": x, "y": y, **changes})


def test_profile_is_a_function_also_when_its_package_is_loaded():
    import fastnn.profiling

    assert fastnn.profile is fastnn.profiling.profile


# ---- table, file, picture --------------------------------------------------------------------------------------------
def test_profile_table_has_every_layer_and_direction_aligned():
    model = small_model()
    profile = fastnn.profile(model, *batch(pixel_major=False), rounds=1)
    lines = str(profile).splitlines()
    assert str(profile) == profile.table()
    for path, module in model.named_modules():
        if not isinstance(module, nn.Sequential):
            for direction in ("forward",) if isinstance(module, nn.Identity) else ("forward", "backward"):
                assert any(line.split()[:3] == [path, type(module).__name__, direction] for line in lines), path
    rules = [number for number, line in enumerate(lines) if line and set(line) == {"-"}]
    header = lines[rules[0] - 1]
    ends = {header.index("ms") + 2, header.index("share") + 5}
    for line in lines[rules[0] + 1 : rules[1]]:
        assert all(line[end - 1].isdigit() or line[end - 1] == "%" for end in ends), line
    assert "0, forward: 1 to be pixel-major" in str(profile)


def test_profile_csv_has_the_rows(tmp_path):
    profile = fastnn.profile(small_model(), *batch(), rounds=1)
    text = profile.to_csv(tmp_path / "profile.csv")
    assert (tmp_path / "profile.csv").read_text() == text
    records = list(csv.DictReader(io.StringIO(text)))
    assert [(r["path"], r["direction"]) for r in records] == [(r.path, r.direction) for r in profile.rows]
    assert [float(r["seconds"]) for r in records] == [r.seconds for r in profile.rows]


def test_profile_plot_marks_every_layer_under_the_roof_and_labels_do_not_overlap(tmp_path):
    profile = fastnn.profile(small_model(), *batch(), rounds=1)
    ax = profile.plot()
    marked = sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() not in (None, "None", ""))
    rows = [r for r in profile.rows if r.multiplications]
    assert marked == len(ax.texts) == len(rows) == 9
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    slope = next(line for line in ax.lines if "GB/s" in line.get_label())
    np.testing.assert_allclose(slope.get_ydata() / slope.get_xdata(), profile.bandwidth_gbs)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"forward", "backward data", "backward weight", "1  0, Conv2d", "3  7, Linear"} <= set(legend)
    ax.figure.savefig(tmp_path / "roofline.png")
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert (tmp_path / "roofline.png").stat().st_size > 5000


def test_profile_plot_draws_on_given_axes():
    ax = Figure().add_subplot()
    assert fastnn.profile(small_model(), *batch(), rounds=1).plot(ax) is ax


# ---- the command -----------------------------------------------------------------------------------------------------
def test_profile_command_writes_table_and_roofline(tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    options = ["--batch-size", "2", "--rounds", "1", "--threads", "1", "--out", str(out)]
    assert cli.main(["profile", "cifar10-75", *options]) == 0
    printed = capsys.readouterr().out
    assert "whitening" in printed
    assert "1 thread" in printed
    assert {path.name for path in out.iterdir()} == {"profile.txt", "profile.csv", "roofline.png"}
    assert (out / "profile.txt").read_text() in printed
    assert "hidden copies: none" in printed  # the images lie as the loader's do


def test_profile_command_images_lie_like_those_of_the_loader():
    train = data.Shapes32(8, train=True)
    x, _ = next(iter(data.Loader(train, batch_size=8, mean=train.mean, std=train.std)))
    before = fastnn.conversions()
    _layout.pixels(x)
    assert fastnn.conversions() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nothing"], "nothing"),
        (["resnet20", "--rounds", "0"], "--rounds"),
        (["resnet20", "--batch-size", "-1"], "--batch-size"),
    ],
)
def test_profile_command_errors_are_one_sentence(options, words, capsys):
    assert cli.main(["profile", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
