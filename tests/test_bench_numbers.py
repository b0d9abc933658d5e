"""The numbers of `fastnn bench` by hand: a clock that the test turns, contestants that only pretend."""

import dataclasses
import math
import statistics
import sys
from typing import ClassVar

import numpy as np
import pytest

import fastnn
from fastnn.benchmark import Settings, compare, worker
from fastnn.benchmark.contestant import Contestant
from fastnn.benchmark.report import markdown, ratio, ratio_text, where


class Clock:
    """time.perf_counter that moves only when told."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(worker.time, "perf_counter", lambda: self.now)


def test_bench_time_steps_times_all_but_the_first_until_the_time_is_over(monkeypatch):
    clock, called = Clock(monkeypatch), []

    def step(number):
        called.append(number)
        clock.now += 10.0 if len(called) == 1 else 0.5 * len(called)
        return float(number)

    assert worker.time_steps(step, 7, 4.4) == {"seconds": [1.0, 1.5, 2.0], "value": 10.0}
    assert called == [7, 8, 9, 10]


def test_bench_time_steps_of_no_time_times_one(monkeypatch):
    clock = Clock(monkeypatch)

    def step(number):
        clock.now += 2.0
        return 0.0

    assert worker.time_steps(step, 0, 0.0)["seconds"] == [2.0]


def test_bench_peak_memory_is_the_most_of_several_steps_beyond_the_start(monkeypatch):
    events = []

    class Side:
        def step(self, number):
            events.append(number)

    monkeypatch.setattr(worker.memory, "reset_peak", lambda: events.append("reset"))
    monkeypatch.setattr(worker.memory, "peak", lambda: 1000)
    assert worker.peak_memory(Side(), 5, 300) == {"bytes": 700, "process_bytes": 1000}
    assert events == ["reset", 5, 6, 7]


def test_bench_contestant_tells_the_median_and_goes_on_with_the_next_step(monkeypatch):
    asked, answers = [], [{"seconds": [6.0, 1.0, 2.0], "value": 1.0}, {"seconds": [5.0], "value": math.nan}]
    monkeypatch.setattr(Contestant, "__init__", lambda self: None)
    side = Contestant()
    side.name, side._steps = "ours", 0
    monkeypatch.setattr(Contestant, "_ask", lambda self, **request: (asked.append(request), answers.pop(0))[1])
    assert side.run(0.5) == 2.0
    with pytest.raises(ArithmeticError, match="ours: it computes nan"):
        side.run(0.25)
    assert asked == [{"do": "time", "first": 0, "seconds": 0.5}, {"do": "time", "first": 4, "seconds": 0.25}]


SECONDS = {
    "fastnn": [1.0, 2.0, 4.0], "fastnn direct": [2.0, 2.0, 2.0], "fastnn 2x2": [1.0, 1.0, 1.0],
    "fastnn 4x4": [8.0, 8.0, 8.0], "torch nchw": [3.0, 4.0, 6.0], "torch nchw +thp": [9.0, 9.0, 9.0],
}  # fmt: skip


class Pretender:
    """A contestant whose seconds are a table, and which writes down its turns."""

    log: ClassVar[list] = []
    seconds: ClassVar[dict] = SECONDS

    def __init__(self, name, settings, environment):
        self.name, self.library, self.medians = name, settings["library"], []
        self.left = list(self.seconds[name])
        self.log.append((name, "made"))

    def run(self, seconds):
        self.log.append((self.name, seconds))
        return 0.0 if seconds == 0 else self.left.pop(0)

    def results(self, folder):
        return {"output": np.ones(2)}

    def memory(self):
        return {"bytes": len(self.name)}

    def close(self):
        self.log.append((self.name, "closed"))


def test_bench_compare_takes_turns_and_tells_medians_ratios_and_the_best(monkeypatch):
    module = sys.modules["fastnn.benchmark.compare"]
    monkeypatch.setattr(module, "Contestant", Pretender)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    Pretender.log = []
    settings = Settings(threads=1, isa="avx2", modes=("nchw",), inference=True, rounds=3, seconds=0.5, warmup=2)
    row = compare("resnet20", 8, settings)
    names = list(Pretender.seconds)
    turns = [turn for turn in Pretender.log if turn[1] not in ("made", "closed")]
    assert turns == [(name, 0) for _ in range(2) for name in names] + [(name, 0.5) for _ in range(3) for name in names]
    assert [name for name, what in Pretender.log if what == "closed"] == names[::-1]
    assert row["images_per_second"] == {name: 8 / statistics.median(Pretender.seconds[name]) for name in names}
    assert row["best_torch"] == "torch nchw"
    assert row["ratio_to_best_torch"]["fastnn"] == {"median": 2.0, "lowest": 1.5, "highest": 3.0}
    assert row["ratio_to_best_torch"]["fastnn 4x4"] == {"median": 0.5, "lowest": 0.375, "highest": 0.75}
    assert list(row["ratio_to_best_torch"]) == names[:4]
    assert (row["network"], row["batch"], row["mode"]) == ("resnet20", 8, "inference")
    assert row["memory"] == {name: {"bytes": len(name)} for name in names}
    assert row["seconds_per_step"] == Pretender.seconds


def test_bench_compare_ends_all_contestants_if_they_disagree(monkeypatch):
    module = sys.modules["fastnn.benchmark.compare"]

    class Other(Pretender):
        def results(self, folder):
            return {"output": np.full(2, 1.0 if self.name == "fastnn" else 2.0)}

    monkeypatch.setattr(module, "Contestant", Other)
    Pretender.log = []
    with pytest.raises(ArithmeticError, match="fastnn direct does not compute what fastnn does: output differs by"):
        compare("resnet20", 8, Settings(threads=1, isa="avx2", modes=()))
    assert sum(what == "closed" for _, what in Pretender.log) == 4


# ---- what is timed ---------------------------------------------------------------------------------------------------
def test_bench_worker_trains_on_one_batch_after_the_other_with_weights_that_all_share():
    side, again = (worker.Fastnn("resnet20", batch=2, threads=1, inference=False) for _ in range(2))
    assert (worker.BATCHES, worker.LEARNING_RATE, worker.MOMENTUM) == (4, 1e-3, 0.9)
    assert side.optimizer.param_groups[0]["lr"] == 1e-3
    assert side.optimizer.param_groups[0]["momentum"] == 0.9
    assert len({x.tobytes() for x, _ in side.batches}) == 4
    first, second = side.results(), again.results()
    assert first.keys() == second.keys() == {"loss", *dict(side.model.named_parameters())}
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    seen = []
    side.criterion = lambda output, y: (seen.append(y), 1 / 0)
    for number in (0, 1, 5, 6):
        with pytest.raises(ZeroDivisionError):
            side.step(number)
    assert [next(i for i, (_, y) in enumerate(side.batches) if y is label) for label in seen] == [0, 1, 1, 2]


def test_bench_worker_step_changes_weights_in_training_only():
    for inference in (False, True):
        side = worker.Fastnn("resnet20", batch=2, threads=1, inference=inference)
        before = side.model.conv.weight.data.copy()
        assert side.model.training is not inference
        assert np.isfinite(side.step(0))
        assert (side.model.conv.weight.data == before).all() == inference


# ---- words -----------------------------------------------------------------------------------------------------------
def test_bench_settings_have_these_defaults():
    assert dataclasses.asdict(Settings(threads=1, isa="avx2")) == {
        "threads": 1, "isa": "avx2", "modes": ("nchw", "channels_last", "compile", "compile_channels_last"),
        "inference": False, "rounds": 7, "seconds": 1.0, "warmup": 3, "shape": (3, 32, 32), "classes": 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threads": 0}, "Settings: threads must be >= 1"),
        ({"threads": "a"}, "Settings: threads must be an integer"),
        ({"rounds": 0}, "Settings: rounds must be >= 1"),
        ({"warmup": -1}, "Settings: warmup must be >= 0"),
        ({"seconds": math.nan}, "Settings: seconds must be"),
        ({"seconds": math.inf}, "Settings: seconds must be"),
        ({"isa": "sse"}, "Settings: isa must be 'reference', 'baseline', 'avx2', 'avx512' or 'neon'"),
        ({"modes": "nchw"}, "Settings: modes must be a tuple"),
        ({"modes": ("cuda",)}, "Settings: modes must be 'nchw'"),
        ({"inference": "no"}, "Settings: inference must be True or False"),
    ],
)
def test_bench_settings_of_nonsense_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Settings(**{"threads": 1, "isa": "avx2", **settings})


def test_bench_compare_of_nonsense_is_refused():
    settings = Settings(threads=1, isa="avx2")
    for arguments, message in (
        (("lenet", 1, settings), "compare: there is no model 'lenet'"),
        ((None, 1, settings), "compare: there is no model None"),
        (("resnet20", 0, settings), "compare: batch must be >= 1"),
        (("resnet20", 1.5, settings), "compare: batch must be an integer"),
        (("resnet20", 1, {}), "compare: settings must be Settings"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            compare(*arguments)


def test_bench_report_numbers_by_hand():
    assert ratio([1.0, 2.0, 4.0], [3.0, 4.0, 6.0]) == {"median": 2.0, "lowest": 1.5, "highest": 3.0}
    assert ratio_text({"median": 1.005, "lowest": 0.996, "highest": 12.344}) == "1.00 (1.00 to 12.34)"
    assert markdown([{"a": "1", "b": "2"}]) == "| a | b |\n|---|---|\n| 1 | 2 |"
    assert f", avx2, 1 thread, fastnn {fastnn.__version__}" in where("avx2", 1)
    assert ", avx512, 3 threads, " in where("avx512", 3)
