"""`fastnn bench --suite`: the layers, what it tells, what it refuses. With PyTorch: test_torch_bench.py."""

import json
import re

import numpy as np
import pytest
from test_bench_command import cells, no_torch  # noqa: F401 (a fixture)

import fastnn
from fastnn import cli
from fastnn.benchmark import Settings, suite, suite_worker
from fastnn.benchmark.layers import LAYERS, Layer
from fastnn.benchmark.networks import NETWORKS, make

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
    side = suite_worker.FastnnLayer(layer, 1, 1)
    assert side.x.shape == layer.shape(1)
    results = side.results()
    assert results["output"].shape == side.dy.shape
    assert layer.values(1) == side.x.size + side.dy.size
    assert ("input" in results) == (not layer.is_first)
    assert np.isfinite(side.step(0))


def test_suite_without_torch_times_all_layers_that_fit(no_torch, monkeypatch, tmp_path, capsys):  # noqa: F811
    few = [layer for layer in LAYERS if layer.network == "LeNet-5"]
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
        (["--networks", "resnet20"], "--suite times layers and networks of its own"),
        (["--inference"], "--suite times layers and networks of its own"),
        (["--input", "3", "32", "32"], "it takes no --input"),
        (["--modes", "compile"], "--modes must be among nchw, channels_last with --suite. Received: 'compile'"),
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
    assert set(suite_worker.FastnnLayer(layer, 2, fastnn.num_threads()).results()) == {"output", "0.weight", "0.bias"}


# ---- networks --------------------------------------------------------------------------------------------------------
PARAMETERS = {  # as their papers, or PyTorch's documentation of them, say
    "LeNet-5": 61706, "AlexNet": 61100840, "VGG-16": 138357544, "ResNet-18": 11689512, "ResNet-20": 272474,
    "ResNet-50": 25557032, "DenseNet-121": 7978856, "MobileNetV2": 3504872, "EfficientNet-B0": 5288548,
    "ConvNeXt-T": 28589128, "ViT-Ti": 5717416,
}  # fmt: skip


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_suite_networks_are_those_of_their_papers(name, parameters):
    assert sum(p.numel() for p in make(suite_worker.torch_of("fastnn"), name).parameters()) == parameters


def test_suite_has_twelve_networks_and_names_them():
    assert len(NETWORKS) >= 12
    with pytest.raises(ValueError, match=r"there is no network 'ResNet-19'; choose from MLP, LeNet-5, "):
        make(suite_worker.torch_of("fastnn"), "ResNet-19")


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    "network",
    [pytest.param(n, id=n.name, marks=[pytest.mark.slow] if n.shape[-1] == 224 else []) for n in NETWORKS],
)
def test_suite_network_runs_and_its_results_are_finite(network, inference):
    side = suite_worker.ScriptedNetwork("fastnn", network, 2, fastnn.num_threads(), inference)
    assert np.isfinite(side.step(0))
    results = side.results()
    assert all(np.isfinite(array).all() for array in results.values())
    if inference:
        assert results["output"].shape == (2, network.classes, *network.labels)
    else:
        assert side.step(1) != side.step(1)  # it learns


def test_suite_of_networks_without_torch_times_training_and_inference(no_torch, monkeypatch, tmp_path, capsys):  # noqa: F811
    monkeypatch.setattr("fastnn.benchmark.command.NETWORKS", NETWORKS[:2])
    path = tmp_path / "suite.json"
    options = [*QUICK[:1], "networks", *QUICK[2:], "--json", str(path)]
    assert cli.main(["bench", *options]) == 0
    _, _, head, _, *lines = capsys.readouterr().out.splitlines()
    assert cells(head) == ["network", "mode", "batch", "fastnn, ms"]
    expected = [
        [network.name, mode, str(batch)]
        for network in NETWORKS[:2]
        for mode, batch in (("training", network.training), ("inference", network.inference))
    ]
    assert [cells(line)[:3] for line in lines] == expected
    assert [
        [row["network"], row["mode"], str(row["batch"])] for row in json.loads(path.read_text())["rows"]
    ] == expected


def test_suite_of_networks_tells_the_means_of_both_modes():
    def row(mode, ratio):
        seconds = {"fastnn": [0.001], "torch channels_last": [0.001 * ratio]}
        return {
            "network": "A", "mode": mode, "batch": 8, "seconds": seconds, "best_torch": "torch channels_last",
            "ratio": {"median": ratio, "lowest": ratio, "highest": ratio},
        }  # fmt: skip

    text = suite.report_networks([row("training", 2.0), row("training", 0.5), row("inference", 3.0)])
    assert "Training of 2 networks: geometric mean 1.00 times PyTorch's better layout, 1 slower than it." in text
    assert "Inference of 1 networks: geometric mean 3.00 times PyTorch's better layout, 0 slower than it." in text
    assert "| A | inference | 8 | 1 | 3 | channels_last | 3.00 (3.00 to 3.00) |" in text
