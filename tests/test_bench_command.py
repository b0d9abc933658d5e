"""`fastnn bench`: with PyTorch hidden it runs alone; what it says, writes, refuses. The rest: test_torch_bench.py."""

import importlib.metadata
import json
import re

import numpy as np
import pytest

import fastnn
from fastnn import cli
from fastnn.benchmark import Settings, compare, memory
from fastnn.benchmark.command import table
from fastnn.benchmark.compare import _contestants, _difference
from fastnn.benchmark.contestant import Contestant

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
    assert cells(head) == ["network", "mode", "batch", "fastnn, images/s", "fastnn, MB"]
    assert set(rule) == {"|", "-"}
    assert [cells(line)[:3] for line in lines] == [["resnet20", "training", "1"], ["resnet20", "training", "2"]]
    assert all(float(cells(line)[3]) > 0 for line in lines)
    results = json.loads(path.read_text())
    assert results["machine"]["torch"] is None
    assert results["settings"]["isa"] == fastnn.available_isas()[0]
    assert [row["batch"] for row in results["rows"]] == [1, 2]
    for row in results["rows"]:
        assert list(row["images_per_second"]) == ["fastnn"]
        assert row["best_torch"] is row["ratio"] is None
        (seconds,) = row["seconds_per_step"]["fastnn"]
        assert row["images_per_second"]["fastnn"] == pytest.approx(row["batch"] / seconds)
        assert 0 < row["memory"]["fastnn"]["bytes"] < row["memory"]["fastnn"]["process_bytes"]


def test_bench_inference_needs_less_than_training():
    settings = {"threads": 1, "isa": fastnn.isa(), "modes": (), "rounds": 1, "seconds": 0.0, "warmup": 0}
    rows = [compare("resnet20", 64, Settings(inference=inference, **settings)) for inference in (False, True)]
    assert [row["mode"] for row in rows] == ["training", "inference"]
    training, inference = (row["seconds_per_step"]["fastnn"][0] for row in rows)
    assert inference < training
    # A training step keeps the activations of all layers: some 100 MB of 64 images, of which inference needs a few.
    assert rows[1]["memory"]["fastnn"]["bytes"] < rows[0]["memory"]["fastnn"]["bytes"]


# ---- contestants -----------------------------------------------------------------------------------------------------
def test_bench_contestants_are_all_modes_with_and_without_huge_pages():
    ours, *torch = _contestants("resnet20", 8, Settings(threads=2, isa="avx512", inference=True))
    assert ours[0] == "fastnn"
    assert ours[1] == {"library": "fastnn", "network": "resnet20", "batch": 8, "threads": 2, "inference": True}
    assert len({name for name, _, _ in torch}) == 8
    assert {(s["channels_last"], s["compiled"], e["THP_MEM_ALLOC_ENABLE"]) for _, s, e in torch} == {
        (channels_last, compiled, pages)
        for channels_last in (False, True)
        for compiled in (False, True)
        for pages in ("0", "1")
    }
    assert all(environment["OMP_NUM_THREADS"] == "2" for _, _, environment in (ours, *torch))


def test_bench_isa_holds_both_sides():
    ours, theirs, _ = _contestants("resnet20", 8, Settings(threads=1, isa="avx2", modes=("nchw",)))
    assert ours[2]["FASTNN_ISA"] == "avx2"
    limits = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    assert limits.items() <= theirs[2].items()


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
        "images_per_second": {"fastnn": 500.4, "torch nchw": 300.0, "torch compile +thp": 400.0},
        "memory": {"fastnn": {"bytes": 90e6}, "torch compile +thp": {"bytes": 180e6}, "torch nchw": {"bytes": 1e6}},
        "best_torch": "torch compile +thp", "ratio": 1.25, "ratio_lowest": 1.2, "ratio_highest": 1.31,
    }  # fmt: skip
    head, rule, line = table([row]).splitlines()
    assert len(cells(head)) == len(cells(rule)) == len(cells(line))
    assert dict(zip(cells(head), cells(line), strict=True)) == {
        "network": "vgg_a",
        "mode": "training",
        "batch": "128",
        "fastnn, images/s": "500",
        "best PyTorch, images/s": "400",
        "which": "compile +thp",
        "ratio (range)": "1.25 (1.20 to 1.31)",
        "fastnn, MB": "90",
        "best PyTorch, MB": "180",
    }


# ---- refusals --------------------------------------------------------------------------------------------------------
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
