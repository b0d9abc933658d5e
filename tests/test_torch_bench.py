"""`fastnn bench` with PyTorch: both sides agree, the best is found, the ratio is that of the rounds."""

import json
import statistics

import pytest

from fastnn import cli, models
from fastnn.benchmark import torch_twin

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("inference", [False, True])
def test_bench_compares_with_torch(inference, tmp_path, capsys):
    path = tmp_path / "bench.json"
    options = ["--networks", "resnet20", "--batch-sizes", "4", "--rounds", "2", "--seconds", "0", "--warmup", "0"]
    options += ["--modes", "channels_last", "--threads", "1", "--json", str(path), *["--inference"][: int(inference)]]
    assert cli.main(["bench", *options]) == 0
    assert "best PyTorch" in capsys.readouterr().out
    (row,) = json.loads(path.read_text())["rows"]
    ours, torch = {"fastnn", "fastnn direct"}, {"torch channels_last", "torch channels_last +thp"}
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
