"""`fastnn bench` with PyTorch: both sides agree, the best is found, the ratio is that of the rounds."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn import cli, models
from fastnn.benchmark import torch_twin

pytestmark = pytest.mark.torch

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "compare_torch_operations.py"


@pytest.mark.parametrize("inference", [False, True])
def test_bench_compares_with_torch(inference, tmp_path, capsys):
    path = tmp_path / "bench.json"
    options = ["--networks", "resnet20", "--batch-sizes", "4", "--rounds", "2", "--seconds", "0", "--warmup", "0"]
    options += ["--modes", "channels_last", "--threads", "1", "--json", str(path), *["--inference"][: int(inference)]]
    assert cli.main(["bench", *options]) == 0
    assert "best PyTorch" in capsys.readouterr().out
    (row,) = json.loads(path.read_text())["rows"]
    ours, torch = (
        {"fastnn", "fastnn direct", "fastnn 2x2", "fastnn 4x4"},
        {"torch channels_last", "torch channels_last +thp"},
    )
    assert set(row["images_per_second"]) == ours | torch == set(row["memory"])
    assert row["mode"] == ("inference" if inference else "training")
    speeds, best = row["images_per_second"], row["best_torch"]
    assert speeds[best] == max(speeds[name] for name in torch)
    assert set(row["ratio_to_best_torch"]) == ours
    seconds = row["seconds_per_step"]
    for name, ratio in row["ratio_to_best_torch"].items():
        ratios = [theirs / mine for theirs, mine in zip(seconds[best], seconds[name], strict=True)]
        expected = {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        assert ratio == pytest.approx(expected)
    assert all(side["bytes"] > 0 for side in row["memory"].values())


@pytest.mark.parametrize("name", models.names())
def test_bench_twin_has_the_weights_of_every_network(name):
    model = models.create(name)
    twin = torch_twin.twin(model)
    ours, theirs = model.state_dict(), twin.state_dict()
    assert list(ours) == list(theirs)
    assert all((theirs[key].numpy() == value).all() for key, value in ours.items())
    assert [p.requires_grad for p in twin.parameters()] == [p.requires_grad for p in model.parameters()]


def test_bench_operations_agree_and_are_compared(tmp_path):
    path = tmp_path / "operations.json"
    options = ["--rounds", "2", "--seconds", "0", "--batch", "2", "--threads", "1", "--json", str(path)]
    done = subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    sentence, _, head, _, *lines = done.stdout.splitlines()
    assert "PyTorch" in sentence
    assert len(lines) == 22  # forward and backward of 4 layers, in place, and the loss, all on 2 shapes; 2 optimisers
    assert {line.count("|") for line in lines} == {head.count("|")}
    rows = {(row["operation"], row["shape"]): row for row in json.loads(path.read_text())["rows"]}
    assert len(rows) == len(lines)
    for row in rows.values():
        ours, best = row["seconds_per_call"]["fastnn"], row["seconds_per_call"][row["best_torch"]]
        torch = [times for name, times in row["seconds_per_call"].items() if name != "fastnn"]
        assert statistics.median(best) == min(map(statistics.median, torch))
        ratios = [theirs / mine for theirs, mine in zip(best, ours, strict=True)]
        assert row["ratio_to_best_torch"]["fastnn"]["median"] == pytest.approx(statistics.median(ratios))
        assert row["gigabytes_per_second"] == pytest.approx(row["bytes"] / statistics.median(ours) / 1e9)
    x = 4 * 2 * 64 * 32 * 32  # bytes
    moved = {name: rows[name, "2 x 64 x 32 x 32"]["bytes"] for name in ("batch_norm backward", "max_pool forward")}
    assert moved == {"batch_norm backward": 5 * x, "max_pool forward": x + x // 4 + x // 16}


def test_bench_suite_agrees_with_torch_and_compares_it(monkeypatch, tmp_path, capsys):
    from fastnn.benchmark.layers import LAYERS

    few = tuple(layer for layer in LAYERS if layer.network == "LeNet-5")
    monkeypatch.setattr("fastnn.benchmark.command.LAYERS", few)
    options = ["--rounds", "1", "--seconds", "0", "--warmup", "0", "--threads", "1", "--batch-sizes", "2"]
    path = tmp_path / "suite.json"
    assert cli.main(["bench", "--suite", "layers", *options, "--json", str(path)]) == 0
    assert "5 layers, forward and backward: geometric mean" in capsys.readouterr().out
    for row in json.loads(path.read_text())["rows"]:
        assert row["best_torch"] in ("torch nchw", "torch channels_last")
        assert row["ratio"]["median"] == pytest.approx(
            row["seconds"][row["best_torch"]][0] / row["seconds"]["fastnn"][0]
        )


def test_bench_suite_of_networks_agrees_with_torch_and_compares_it(monkeypatch, tmp_path, capsys):
    from fastnn.benchmark.networks import NETWORKS

    few = ("MLP", "LeNet-5", "ResNet-20", "ResNet-18", "EfficientNet-B0", "U-Net", "ViT-Ti", "ConvNeXt-T")
    own = tuple(network for network in NETWORKS if network.name in few)
    monkeypatch.setattr("fastnn.benchmark.command.NETWORKS", own)
    options = ["--rounds", "1", "--seconds", "0", "--warmup", "0", "--threads", "1", "--batch-sizes", "1"]
    path = tmp_path / "suite.json"
    assert cli.main(["bench", "--suite", "networks", *options, "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"Training of {len(few)} networks: geometric mean" in out
    assert f"Inference of {len(few)} networks: geometric mean" in out
    assert {row["network"] for row in json.loads(path.read_text())["rows"]} == set(few)
