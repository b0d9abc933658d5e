"""`fastnn bench --suite layers`: the layers, what it tells, what it refuses. With PyTorch: test_torch_bench.py."""

import json
import re

import numpy as np
import pytest

import fastnn
from fastnn import cli
from fastnn.benchmark import Settings, layer_worker, suite
from fastnn.benchmark.layers import LAYERS, Layer
from tests.test_bench_command import cells, no_torch  # noqa: F401 (a fixture)

QUICK = ["--suite", "layers", "--rounds", "1", "--seconds", "0", "--warmup", "0", "--threads", "1"]


def test_suite_has_more_than_a_hundred_layers_of_twelve_networks_each_once():
    assert len(LAYERS) > 100
    assert len({layer.network for layer in LAYERS}) >= 12
    assert len(set(LAYERS)) == len({(layer.name, layer.padding, layer.is_first) for layer in LAYERS}) == len(LAYERS)
    for batch in suite.BATCHES:
        assert sum(suite.fits(layer, batch) for layer in LAYERS) > 50


@pytest.mark.parametrize(
    ("name", "size", "multiplications"),
    [
        ("11x11 3 -> 64, 224x224, stride 4", 55, 70276800),
        ("3x3 96 -> 96, 112x112, stride 2, depthwise", 56, 2709504),
        ("16x16 3 -> 192, 224x224, stride 16", 14, 28901376),
        ("1x1 64 -> 256, 56x56", 56, 51380224),
    ],
)
def test_suite_knows_the_layers_that_papers_count(name, size, multiplications):
    (layer,) = (layer for layer in LAYERS if layer.name == name)
    assert (layer.out_size, layer.multiplications(1)) == (size, multiplications)
    assert layer.multiplications(8) == 8 * multiplications


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.network}: {layer.name}")
def test_suite_layer_has_the_shapes_that_it_tells(layer):
    side = layer_worker.FastnnLayer(layer, 1, 1)
    assert side.x.shape == layer.shape(1)
    results = side.results()
    assert results["output"].shape == side.dy.shape
    assert layer.values(1) == side.x.size + side.dy.size
    assert ("input" in results) == (not layer.is_first)
    assert np.isfinite(side.step(0))


def test_suite_without_torch_times_all_layers_that_fit(no_torch, monkeypatch, tmp_path, capsys):  # noqa: F811
    few = [layer for layer in LAYERS if layer.network == "LeNet-5"]
    monkeypatch.setattr("fastnn.benchmark.suite.LAYERS", LAYERS)
    monkeypatch.setattr("fastnn.benchmark.command.LAYERS", tuple(few))  # their numbers; they come first in LAYERS, too
    assert list(LAYERS[: len(few)]) == few
    path = tmp_path / "suite.json"
    assert cli.main(["bench", *QUICK, "--batch-sizes", "1", "8", "--json", str(path)]) == 0
    sentence, _, head, _, *lines = capsys.readouterr().out.splitlines()
    assert "PyTorch is not installed, so fastnn is alone" in sentence
    assert cells(head) == ["network", "layer", "batch", "fastnn, ms"]
    assert [cells(line)[1:3] for line in lines] == [[layer.name, str(batch)] for layer in few for batch in (1, 8)]
    written = json.loads(path.read_text())
    assert written["settings"]["rounds"] == 1
    assert [row["layer"] for row in written["rows"]] == [layer.name for layer in few for _ in (1, 8)]
    assert all(row["ratio"] is None and len(row["seconds"]["fastnn"]) == 1 for row in written["rows"])


def test_suite_tells_the_mean_and_the_slowest():
    def row(network, number, ratio):
        seconds = {"fastnn": [1.0], "torch nchw": [ratio]}
        return {
            "network": network, "layer": f"layer {number}", "batch": 8, "multiplications": 1, "seconds": seconds,
            "best_torch": "torch nchw", "ratio": {"median": ratio, "lowest": ratio, "highest": ratio},
        }  # fmt: skip

    rows = [row("A", i, 2.0) for i in range(12)] + [row("B", 12, 0.5)]
    text = suite.report(rows)
    mean = 2 ** (11 / 13)
    assert f"13 layers, forward and backward: geometric mean {mean:.2f} times PyTorch's better layout, 1 slower" in text
    assert "| A | 12 | 2.00 | 2.00 |" in text
    assert f"| all | 13 | {mean:.2f} | {mean:.2f} |" in text
    slowest = re.findall(r"^\|.*layer \d.*$", text, re.MULTILINE)
    assert len(slowest) == 10
    assert slowest[0].startswith("| B | layer 12 | 8 | 1000 | 500 | nchw | 0.50")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--networks", "resnet20"], "--suite layers has layers of its own"),
        (["--inference"], "--suite layers has layers of its own"),
        (["--modes", "compile"], "--modes must be among nchw, channels_last with --suite layers. Received: 'compile'"),
        (["--batch-sizes", "0"], "--batch-sizes must be at least 1. Received: 0"),
        (["--batch-sizes", "100000000"], "no layer of the suite fits with so many images"),
    ],
)
def test_suite_refuses(options, message, no_torch, capsys):  # noqa: F811
    assert cli.main(["bench", "--suite", "layers", *options]) != 0
    assert message in capsys.readouterr().err


def test_suite_holds_all_sides_to_an_instruction_set():
    limits = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    contestants = suite._contestants(Settings(threads=2, isa="avx2", modes=suite.MODES))
    assert [name for name, _, _ in contestants] == ["fastnn", "torch nchw", "torch channels_last"]
    for _, settings, environment in contestants:
        held = {"FASTNN_ISA": "avx2"} if settings["library"] == "fastnn" else limits
        assert {**held, "OMP_NUM_THREADS": "2"}.items() <= environment.items()


def test_suite_step_of_a_first_layer_computes_no_gradient_of_the_images():
    layer = Layer("one", 3, 4, 8, 3, 1, 1, 1, is_first=True)
    assert set(layer_worker.FastnnLayer(layer, 2, fastnn.num_threads()).results()) == {"output", "0.weight", "0.bias"}
