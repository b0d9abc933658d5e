"""Files that PyTorch 1.0 to 2.13 wrote, with Python 2 and 3, by make_files_of_pytorch.py."""

import argparse
import collections
import re
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.training._pth import Makers, read_pth

FILES = sorted((Path(__file__).parent / "files_of_pytorch").glob("*.pth"))
NAMES = [path.stem for path in FILES]
SINCE = {"bool": (1, 2), "bfloat16": (1, 3), "uint16": (2, 3), "float8_e4m3fn": (2, 1)}


@pytest.fixture(params=FILES, ids=NAMES)
def path(request):
    return request.param


def version_of(path):
    return tuple(int(part) for part in path.name.split("-")[0].split("."))


def model():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))


def weights():
    """What the file's model has: the numbers of each parameter are counted from a hundred on."""
    shapes = [(2, 1, 3, 3), (2,), (2,), (2,), (2, 2), (2,)]
    names = ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    return {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 100 * index
            for index, (name, shape) in enumerate(zip(names, shapes, strict=True))}  # fmt: skip


def test_there_are_files_of_both_formats_and_of_python2():
    assert {name.split("-")[-1] for name in NAMES} == {"zip", "old"}
    assert {name.split("-")[1] for name in NAMES} == {"python2", "python3"}
    assert [version_of(path)[:2] for path in (FILES[0], FILES[-1])] == [(1, 0), (2, 13)]


def test_numbers_of_all_types_are_read(path):
    tensors = read_pth(path)["dtypes"]
    for name, since in SINCE.items():
        there = version_of(path) >= since and ("zip" in path.name or name in ("bool", "bfloat16"))
        assert (name in tensors) == there, name
    assert len(tensors) >= 8
    for name, array in tensors.items():
        widened = name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")
        assert array.dtype == (np.float32 if widened else np.dtype(name))
        assert array.tolist() == [0, 1, 1 if name == "bool" else 96]


def test_views_share_their_storage(path):
    loaded = read_pth(path)
    base = np.arange(24, dtype=np.float32)
    views = {
        "base": base,
        "rows": base.reshape(2, 3, 4),
        "permuted": base.reshape(2, 3, 4).transpose(2, 0, 1),
        "part": base[5:9],
        "steps": base[1::6],
    }
    for name, view in views.items():
        np.testing.assert_array_equal(loaded[name], view)
        assert loaded[name].strides == view.strides
        assert np.shares_memory(loaded[name], loaded["base"])
    assert (loaded["expanded"].shape, loaded["expanded"].strides) == ((2, 3), (0, 0))
    assert (loaded["scalar"].shape, float(loaded["scalar"]), loaded["empty"].shape) == ((), 7.5, (0, 3))


def test_parameters_and_gradients_are_told_to_hooks(path):
    make = Makers(
        tensor=lambda array, requires_grad: (array.tolist(), requires_grad),
        parameter=lambda tensor, requires_grad: ("parameter", tensor, requires_grad),
    )
    loaded = read_pth(path, make=make)
    assert loaded["parameter"] == ("parameter", ([0, 1, 2], False), True)
    assert loaded["frozen"] == ("parameter", ([0, 1, 2], False), False)
    assert (loaded["leaf"], loaded["scalar"]) == (([1, 1], True), (7.5, False))


def test_states_of_optimizers_are_read(path):
    loaded = read_pth(path)
    adam, sgd = loaded["adam"], loaded["sgd"]
    # PyTorch 1.6 began to count parameters; before, their keys were addresses.
    for state, group in ((adam, adam["param_groups"][0]), (sgd, sgd["param_groups"][0])):
        assert sorted(state["state"]) == sorted(group["params"])
        assert len(group["params"]) == 5
    assert (adam["param_groups"][0]["lr"], adam["param_groups"][0]["betas"]) == (0.125, (0.9, 0.999))
    assert (sgd["param_groups"][0]["lr"], sgd["param_groups"][0]["momentum"]) == (0.25, 0.5)
    for key, weight in zip(adam["param_groups"][0]["params"], weights().values(), strict=False):
        state = adam["state"][key]
        assert int(state["step"]) == 1
        np.testing.assert_allclose(state["exp_avg"], np.full(weight.shape, 0.1), rtol=1e-5)
        np.testing.assert_allclose(state["exp_avg_sq"], np.full(weight.shape, 0.001), rtol=1e-5)
    assert all(np.all(state["momentum_buffer"] == 1) for state in sgd["state"].values())
    assert loaded["scheduler"]["base_lrs"] == [0.125]
    assert (loaded["scheduler"]["step_size"], loaded["scheduler"]["gamma"]) == (3, 0.1)


def test_plain_values_are_read(path):
    loaded = read_pth(path)
    assert type(loaded) is collections.OrderedDict
    assert (loaded["size"], loaded["dtype"], loaded["device"]) == ((24,), "torch.float32", "cuda:1")
    assert repr(loaded["plain"]) == repr(
        [1, -1, 2**40, 2.5, True, None, "text", "\xfcn\xef", (1, (2,)), {3}, {"a": {1: "b"}}]
    )
    number, matrix, bools = loaded["numpy"]
    assert (type(number), number, matrix.tolist(), bools.tolist()) == (
        np.float64, 1.5, [[0, 1, 2], [3, 4, 5]], [True, False],
    )  # fmt: skip
    assert loaded["namespace"] == argparse.Namespace(lr=0.5, name="a")


def test_program_in_the_documentation_runs(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parent.parent / "docs/files.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert capsys.readouterr().out == "(10, 64)\n"


def test_weights_are_taken_by_a_model(path):
    ours = model()
    assert fastnn.load(path, ours) == ([], [])
    for name, array in weights().items():
        np.testing.assert_array_equal(ours.state_dict()[name], array)
    assert list(read_pth(path)["model"]) == list(ours.state_dict())
    assert read_pth(path)["model"]._metadata["1"] == {"version": 2}


def test_weights_that_are_read_are_written_and_read_as_they_were(path, tmp_path):
    state = fastnn.load(path)
    fastnn.save(state, tmp_path / "w.pth")
    again = fastnn.load(tmp_path / "w.pth")
    assert list(again) == list(state)
    for name, array in state.items():
        np.testing.assert_array_equal(again[name], array)
