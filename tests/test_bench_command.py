"""`fastnn bench`: with PyTorch hidden it runs alone; what it says, writes, refuses. The rest: test_torch_bench.py."""

import importlib.metadata
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import cli
from fastnn.benchmark import Settings, compare, memory, worker
from fastnn.benchmark.command import table
from fastnn.benchmark.compare import _contestants, _difference
from fastnn.benchmark.contestant import Contestant

SPEEDS = ["fastnn, images/s", "direct, images/s", "2x2, images/s", "4x4, images/s"]
QUICK = ["--networks", "resnet20", "--rounds", "1", "--seconds", "0", "--warmup", "0", "--threads", "1"]


@pytest.fixture
def no_torch(monkeypatch):
    """An environment without PyTorch, whether it is there or not."""
    version = importlib.metadata.version

    def version_of(name):
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", version_of)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


# ---- alone -----------------------------------------------------------------------------------------------------------
def test_bench_without_torch_times_fastnn_alone_and_says_so(no_torch, tmp_path, capsys):
    path = tmp_path / "bench.json"
    assert (
        cli.main(["bench", *QUICK, "--batch-sizes", "1", "2", "--isa", fastnn.available_isas()[0], "--json", str(path)])
        == 0
    )
    sentence, _, head, rule, *lines = capsys.readouterr().out.splitlines()
    assert "PyTorch is not installed, so fastnn is alone" in sentence
    assert cells(head) == ["network", "mode", "batch", *SPEEDS, "fastnn, MB"]
    assert set(rule) == {"|", "-"}
    assert [cells(line)[:3] for line in lines] == [["resnet20", "training", "1"], ["resnet20", "training", "2"]]
    assert all(float(cell) > 0 for line in lines for cell in cells(line)[3:7])
    results = json.loads(path.read_text())
    assert results["machine"]["torch"] is None
    assert results["settings"]["isa"] == fastnn.available_isas()[0]
    assert [row["batch"] for row in results["rows"]] == [1, 2]
    for row in results["rows"]:
        assert row["best_torch"] is None
        assert row["ratio_to_best_torch"] == {}
        for by_contestant in (row["images_per_second"], row["seconds_per_step"], row["memory"]):
            assert list(by_contestant) == ["fastnn", "fastnn direct", "fastnn 2x2", "fastnn 4x4"]
        for name, (seconds,) in row["seconds_per_step"].items():
            assert row["images_per_second"][name] == pytest.approx(row["batch"] / seconds)
            assert 0 < row["memory"][name]["bytes"] < row["memory"][name]["process_bytes"]


def test_bench_inference_needs_less_than_training():
    settings = {"threads": 1, "isa": fastnn.isa(), "modes": (), "rounds": 1, "seconds": 0.0, "warmup": 0}
    rows = [compare("resnet20", 64, Settings(inference=inference, **settings)) for inference in (False, True)]
    assert [row["mode"] for row in rows] == ["training", "inference"]
    training, inference = (row["seconds_per_step"]["fastnn"][0] for row in rows)
    assert inference < training
    # A training step keeps the activations of all layers: some 100 MB of 64 images, of which inference needs a few.
    assert rows[1]["memory"]["fastnn"]["bytes"] < rows[0]["memory"]["fastnn"]["bytes"]


# ---- contestants -----------------------------------------------------------------------------------------------------
def test_bench_contestants_are_ours_and_all_modes_with_and_without_huge_pages():
    contestants = _contestants("resnet20", 8, Settings(threads=2, isa="avx512", inference=True))
    assert contestants[0][0] == "fastnn"  # the first is whom the others must agree with
    assert all(environment["OMP_NUM_THREADS"] == "2" for _, _, environment in contestants)
    ours = {name: (s, e) for name, s, e in contestants if s["library"] == "fastnn"}
    common = {"library": "fastnn", "network": "resnet20", "batch": 8, "threads": 2, "inference": True}
    common |= {"shape": [3, 32, 32], "classes": 10}
    assert [settings for settings, _ in ours.values()] == [common] * 4
    algorithms = {name: environment["FASTNN_CONV2D_ALGORITHM"] for name, (_, environment) in ours.items()}
    assert algorithms == {
        "fastnn": "auto", "fastnn direct": "direct", "fastnn 2x2": "winograd", "fastnn 4x4": "winograd4"
    }  # fmt: skip
    torch = {name: (s, e) for name, s, e in contestants if s["library"] == "torch"}
    assert len(torch) == 8
    assert {(s["channels_last"], s["compiled"], e["THP_MEM_ALLOC_ENABLE"]) for s, e in torch.values()} == {
        (channels_last, compiled, pages)
        for channels_last in (False, True)
        for compiled in (False, True)
        for pages in ("0", "1")
    }


def test_bench_isa_holds_all_sides():
    limits = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    for _, settings, environment in _contestants("resnet20", 8, Settings(threads=1, isa="avx2", modes=("nchw",))):
        held = {"FASTNN_ISA": "avx2"} if settings["library"] == "fastnn" else limits
        assert held.items() <= environment.items()


def test_bench_contestants_convolve_as_they_are_called_whatever_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTNN_CONV2D_ALGORITHM", "direct")  # of the bench, not of its contestants
    outputs = {}
    for arguments in _contestants("resnet20", 2, Settings(threads=1, isa=fastnn.isa(), modes=(), inference=True)):
        side = Contestant(*arguments)
        try:
            outputs[side.name] = side.results(str(tmp_path))["output"]
        finally:
            side.close()
    assert (outputs["fastnn"] != outputs["fastnn direct"]).any()
    for name, algorithm in (("fastnn direct", "direct"), ("fastnn 2x2", "winograd"), ("fastnn 4x4", "winograd4")):
        with fastnn.conv2d_algorithm(algorithm):
            expected = worker.Fastnn("resnet20", batch=2, threads=1, inference=True).results()["output"]
        np.testing.assert_array_equal(outputs[name], expected)


def test_bench_contestant_that_breaks_off_is_named():
    settings = {"library": "fastnn", "network": "nothing", "batch": 1, "threads": 1, "inference": False}
    side = Contestant("our side", settings, {})
    try:
        with pytest.raises(RuntimeError, match="our side ended with status 1"):
            side.run(0)
    finally:
        side.close()


# ---- agreement -------------------------------------------------------------------------------------------------------
def results(loss=2.0, weight=(1.0, -1.0, 2.0), bias=(1e-9,)):
    return {"loss": np.array(loss), "weight": np.array(weight), "bias": np.array(bias)}


def test_bench_agreement_allows_rounding_and_nothing_else():
    assert _difference(results(), results(loss=2.0 + 1e-5, weight=(1.0, -1.0, 2.0 + 1e-6), bias=(-1e-9,))) == ""
    assert "loss differs" in _difference(results(), results(loss=2.001))
    assert "weight differs" in _difference(results(), results(weight=(1.0, -1.0, 2.2)))
    assert "weight differs" in _difference(results(), results(weight=(1.0, -1.0, np.nan)))
    assert "bias differs" in _difference(results(), results(bias=(0.01,)))
    assert "only one has bias" in _difference(results(), {"loss": np.array(2.0), "weight": results()["weight"]})
    assert "output differs" in _difference({"output": np.ones(3)}, {"output": np.array([1.0, 1.0, 1.01])})


# ---- memory ----------------------------------------------------------------------------------------------------------
def test_bench_memory_peak_is_that_since_the_reset():
    size = 200 << 20
    memory.reset_peak()
    before = memory.resident()
    np.ones(size, np.uint8)  # gone at once
    peak = memory.peak()
    assert 0.9 * size < peak - before < 1.2 * size
    memory.reset_peak()
    assert memory.peak() < peak - 0.5 * size


# ---- the table -------------------------------------------------------------------------------------------------------
def test_bench_table_shows_the_best_of_torch_with_the_range():
    row = {
        "network": "vgg_a", "mode": "training", "batch": 128,
        "images_per_second": {
            "fastnn": 500.4, "fastnn direct": 380.2, "fastnn 2x2": 450.0, "fastnn 4x4": 600.0,
            "torch nchw": 300.0, "torch compile +thp": 400.0,
        },
        "memory": {
            "fastnn": {"bytes": 90e6}, "fastnn direct": {"bytes": 80e6}, "fastnn 2x2": {"bytes": 85e6},
            "fastnn 4x4": {"bytes": 95e6},
            "torch compile +thp": {"bytes": 180e6}, "torch nchw": {"bytes": 1e6},
        },
        "best_torch": "torch compile +thp",
        "ratio_to_best_torch": {
            "fastnn": {"median": 1.25, "lowest": 1.2, "highest": 1.31},
            "fastnn direct": {"median": 0.95, "lowest": 0.9, "highest": 1.0},
            "fastnn 2x2": {"median": 1.12, "lowest": 1.1, "highest": 1.15},
            "fastnn 4x4": {"median": 1.5, "lowest": 1.4, "highest": 1.6},
        },
    }  # fmt: skip
    head, rule, line = table([row]).splitlines()
    assert len(cells(head)) == len(cells(rule)) == len(cells(line))
    assert dict(zip(cells(head), cells(line), strict=True)) == {
        "network": "vgg_a",
        "mode": "training",
        "batch": "128",
        "fastnn, images/s": "500",
        "direct, images/s": "380",
        "2x2, images/s": "450",
        "4x4, images/s": "600",
        "best PyTorch, images/s": "400",
        "which": "compile +thp",
        "ratio (range)": "1.25 (1.20 to 1.31)",
        "ratio of direct (range)": "0.95 (0.90 to 1.00)",
        "ratio of 2x2 (range)": "1.12 (1.10 to 1.15)",
        "ratio of 4x4 (range)": "1.50 (1.40 to 1.60)",
        "fastnn, MB": "90",
        "best PyTorch, MB": "180",
    }


# ---- refusals --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("script", ["compare_torch.py", "compare_torch_operations.py"])
def test_bench_scripts_that_compare_need_torch(script, monkeypatch):
    folder = Path(__file__).parent.parent / "benchmarks"
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    monkeypatch.syspath_prepend(folder)  # as for a script
    with pytest.raises(SystemExit, match=r"^PyTorch is needed: pip install torch"):
        runpy.run_path(str(folder / script), run_name="__main__")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--networks", "nothing"], "no model 'nothing'"),
        (["--batch-sizes", "0"], "--batch-sizes"),
        (["--modes", "cuda"], "--modes .* 'cuda'"),
        (["--isa", "sse"], "--isa .* 'sse'"),
        (["--rounds", "0"], "--rounds"),
        (["--threads", "0"], "--threads"),
        (["--seconds", "nan"], "--seconds"),
        (["--warmup", "-1"], "--warmup"),
    ],
)
def test_bench_errors_are_one_sentence(options, words, capsys):
    assert cli.main(["bench", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(words, error), error
