"""The forecast of a step on more threads: the schedule of one region by hand, what is recorded, what is printed."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastnn
from fastnn import _native, cli, nn, optim
from fastnn import functional as F
from fastnn.profiling import forecast
from fastnn.profiling.forecast import Forecast, ForecastRow, Loss, _makespan, _parsed, _Region, _region_time

RULE = (64, 4)  # parts, runs


def model_and_batch(n=16):
    fastnn.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4096, 5))
    return model, np.random.default_rng(1).standard_normal((n, 3, 32, 32)).astype(np.float32), np.arange(n) % 5


# ---- the schedule ----------------------------------------------------------------------------------------------------
def test_rule_is_that_of_the_compiled_module():
    assert _native.schedule_rule() == (30000.0, *RULE)


@pytest.mark.parametrize(
    ("seconds", "threads", "expected"),
    [
        ([1.0, 2.0, 3.0], 1, 6.0),
        ([1.0] * 8, 2, 4.0),
        ([1.0] * 9, 2, 5.0),
        ([1.0] * 3, 3, 1.0),
        ([5.0, 1.0, 1.0, 1.0], 2, 5.0),  # the second thread takes what is left of the first one's part
        ([1.0, 1.0, 1.0, 5.0], 2, 6.0),  # the first comes to help too late: the long one has not begun at 1, but at 2
        ([1.0] * 128, 64, 2.0),
        ([1.0] * 128, 100, 2.0),  # threads beyond 64 begin in the parts of others
    ],
)
def test_makespan_by_hand(seconds, threads, expected):
    assert _makespan(np.array(seconds), threads, *RULE) == pytest.approx(expected)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=200), st.integers(1, 100))
def test_makespan_lies_between_its_bounds(seconds, threads):
    threads = min(threads, len(seconds))
    found, total = _makespan(np.array(seconds), threads, *RULE), sum(seconds)
    assert max(total / threads, max(seconds)) - 1e-9 <= found <= total + 1e-9


def test_region_that_is_not_worth_two_threads_costs_nothing():
    tasks = np.array([1.0, 1.0])
    assert _region_time(_Region("", 59_999.0, tasks), 8, 0.5).seconds == 2.0
    assert _region_time(_Region("", 60_000.0, tasks), 8, 0.5).seconds == 1.5
    assert _region_time(_Region("", 1e9, tasks), 1, 0.5).seconds == 2.0


# ---- what is recorded ------------------------------------------------------------------------------------------------
def test_recorded_tasks_are_those_of_the_regions_and_change_no_bit(isa, rng):
    x = rng.standard_normal(100_000).astype(np.float32)
    with fastnn.num_threads(3):
        expected = F.relu(x)
        numbers, ends, results = np.empty(100), [], []

        def call(mark):
            results.append(F.relu(x))
            mark("relu")
            results.append(F.relu(x))
            mark("again")

        used = _native.record_tasks(call, numbers, ends)
    assert all(result.tobytes() == expected.tobytes() for result in results)
    first, second = _parsed(numbers[:used], ends)
    assert (first.name, second.name) == ("relu", "again")
    assert len(first.seconds) == len(second.seconds) == -(-100_000 // 16384)
    assert first.cost == second.cost >= 100_000
    assert 0 < first.seconds.sum() < 1
    assert [region.name for region in _parsed(numbers[:used], [])] == ["others"] * 2


def test_record_without_room_counts_on(rng):
    x = rng.standard_normal(100_000).astype(np.float32)
    numbers = np.full(4, -1.0)
    assert _native.record_tasks(lambda mark: F.relu(x), numbers[:3], []) == 2 + 7
    assert numbers[3] == -1


def test_record_ends_with_an_exception_and_is_of_its_thread(rng):
    x = rng.standard_normal(100_000).astype(np.float32)
    numbers = np.empty(100)

    def call(mark):
        thread = threading.Thread(target=F.relu, args=(x,))
        thread.start()
        thread.join()
        raise KeyError("of the call")

    with pytest.raises(KeyError, match="of the call"):
        _native.record_tasks(call, numbers, [])
    before = numbers.copy()
    F.relu(x)
    np.testing.assert_array_equal(numbers, before)
    assert _native.record_tasks(lambda mark: None, numbers, []) == 0


# ---- the forecast ----------------------------------------------------------------------------------------------------
def test_forecast_trains_nothing_and_its_rows_fit_together():
    model, x, y = model_and_batch()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    before = [parameter.data.tobytes() for parameter in model.parameters()]
    found = forecast(model, x, y, [1, 4, 16], optimizer=optimizer, rounds=2)
    assert [parameter.data.tobytes() for parameter in model.parameters()] == before
    here = fastnn.available_threads()
    assert [row.threads for row in found.rows] == sorted({1, 4, 16, here})
    one = found.rows[0]
    for row in found.rows:
        assert row.efficiency == pytest.approx(one.seconds * one.efficiency / row.threads / row.seconds)
        assert min(row.alone, row.idle, row.regions) >= 0
        assert row.alone + row.idle + row.regions <= 1 + 1e-9
        assert (row.measured is not None) == (row.threads == here)
    assert one.alone == pytest.approx(1)
    losses = {loss.name: loss for loss in found.losses}
    assert losses["between the regions: Python"].regions == 0
    (of_weights,) = (loss for name, loss in losses.items() if name.startswith("conv2d_backward_weight 3 -> 16, 3 x 3"))
    assert of_weights.regions >= 1
    assert of_weights.tasks >= of_weights.regions
    assert [loss.seconds for loss in found.losses] == sorted((loss.seconds for loss in found.losses), reverse=True)


def test_forecast_prints_a_table():
    rows = (
        ForecastRow(2, 0.1, 0.9, 0.05, 0.03, 0.02, 0.105),
        ForecastRow(16, 0.0201, 0.56, 0.25, 0.1, 0.05, None),
    )
    text = str(Forecast(rows, (Loss("relu", 0.0012, 3, 40),), 128, 5, "avx2", "A CPU", 2.5e-6, 2))
    assert text == (
        "A step of 128 images by its tasks, timed on one thread (avx2, A CPU, medians of 5)\n"
        "\n"
        "threads   step, ms   efficiency   one thread works   threads wait   regions   measured, ms\n"
        "      2      100.0         0.90                5%             3%        2%          105.0\n"
        "     16       20.1         0.56               25%            10%        5%               \n"
        "A region costs 2.5 us with 2 threads.\n"
        "\n"
        "What 16 threads lose against a perfect division of the work\n"
        "  ms   regions   tasks   what\n"
        "  1.2        3      40   relu"
    )


@pytest.mark.parametrize(
    ("threads", "error", "words"),
    [
        ([0], ValueError, "threads must be >= 1"),
        ([4097], ValueError, "threads must be <= 4096"),
        (["2"], TypeError, ""),
    ],
)
def test_forecast_refuses_what_is_no_number_of_threads(threads, error, words):
    model, x, y = model_and_batch(2)
    with pytest.raises(error, match="forecast: " + words):
        forecast(model, x, y, threads, rounds=1)


def test_forecast_needs_the_compiled_kernels():
    model, x, y = model_and_batch(2)
    with fastnn.backend("reference"), pytest.raises(ValueError, match="forecast: needs the compiled kernels"):
        forecast(model, x, y, [2], rounds=1)


def test_forecast_of_a_network_that_does_something_else_each_time():
    class Fickle(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.steps = nn.Linear(300, 300), 0

        def forward(self, x):
            self.steps += 1
            for _ in range(self.steps):
                x = self.linear(x)
            return x

    with pytest.raises(ValueError, match="does something else in each step"):
        forecast(Fickle(), np.ones((300, 300), np.float32), np.zeros(300, int), [2], rounds=1)


def test_profile_command_forecasts(capsys):
    assert (
        cli.main(["profile", "vgg_a_light", "--batch-size", "8", "--forecast-threads", "3", "9", "--rounds", "1"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("A step of 8 images")
    assert [int(line.split()[0]) for line in lines[3:] if line[:7].strip().isdecimal()][-1] == 9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--forecast-threads", "0"], "between 1 and 4096"),
        (["--forecast-threads", "2", "--out", "x"], "leave out --out"),
        (["--forecast-threads", "2", "--threads", "2"], "leave out --threads"),
    ],
)
def test_profile_command_refuses_bad_forecasts(capsys, arguments, words):
    assert cli.main(["profile", "resnet20", *arguments]) != 0
    assert words in capsys.readouterr().err
