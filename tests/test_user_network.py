"""Networks of users in the commands: `net.py:make_net`."""

import json
import sys
import textwrap

import numpy as np
import pytest

import fastnn
from fastnn import _user_network, cli, nn
from fastnn.benchmark import Settings
from fastnn.benchmark.command import table
from fastnn.benchmark.compare import _contestants

NET = """
    from fastnn import nn
    import blocks_of_mine  # beside the file

    class Net(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(64, blocks_of_mine.CLASSES))

    def make_net():
        return Net()

    ready = nn.Linear(3, 2)
    images = nn.ReLU()
    number = 3

    def gives_none():
        return None

    def needs(size):
        return Net()

    def fails():
        raise ValueError("of mine")

    class Broken(nn.Module):
        def forward(self, x):
            return x.nothing
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DEBUG", raising=False)
    for name in ("blocks_of_mine", "package_of_mine", "package_of_mine.nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "net.py").write_text(textwrap.dedent(NET))
    (tmp_path / "blocks_of_mine.py").write_text("CLASSES = 7\n")
    (tmp_path / "wrong.py").write_text("def make(:\n")
    (tmp_path / "stops.py").write_text("import sys\n\nsys.exit('enough')\n")
    (tmp_path / "imports.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "__init__.py").write_text("")
    (tmp_path / "package_of_mine" / "nets.py").write_text(
        "from fastnn import nn\n\n\ndef make(): return nn.Linear(4, 2)\n"
    )


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("net.py:make_net", "Net"),
        ("net.py:Net", "Net"),
        ("net.py:ready", "Linear"),
        ("./net.py:make_net", "Net"),
        ("package_of_mine.nets:make", "Linear"),
    ],
)
def test_user_network_is_made_by_a_function_or_class_of_a_file_or_module(name, kind):
    path = list(sys.path)
    assert type(_user_network.load_network(name)).__name__ == kind
    assert sys.path == path


def test_summary_of_a_users_network(capsys):
    assert run("summary", "net.py:make_net", "--input", 1, 6, 6, "--batch", 2) == 0
    out = capsys.readouterr().out
    assert "2x4x4x4" in out
    assert "2x7" in out
    assert run("summary", "package_of_mine.nets:make", "--input", 4) == 0
    assert "1x2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net.py", "net.py: say what makes the network, as in net.py:make_net"),
        ("nothing.py:make", "there is no file nothing.py"),
        ("nothing:make", "there is no module 'nothing'"),
        ("net.py:make", "net.py has no 'make'; there is Net, make_net, gives_none, needs, fails, Broken"),
        ("net.py:number", "net.py:number is no function but of type int"),
        ("net.py:gives_none", "net.py:gives_none must give an nn.Module. Received: NoneType"),
        ("net.py:needs", "net.py:needs is called without arguments: needs() missing 1 required"),
        ("net.py:fails", "net.py:23: ValueError: of mine"),
        ("net.py:Broken", "net.py:27: AttributeError: 'Tensor' object has no attribute 'nothing'"),
        ("wrong.py:make", "wrong.py:1: SyntaxError"),
        ("stops.py:make", "stops.py:3: SystemExit: enough"),
        ("imports.py:make", "imports.py:1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("imports:make", "imports.py:1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        (".:make", "'.' is no name of a module"),
    ],
)
@pytest.mark.parametrize("command", ["summary", "profile", "bench"])
def test_user_network_errors_are_one_line(command, name, words, capsys):
    option = ["--networks"] if command == "bench" else []
    assert run(command, *option, name, "--input", 1, 6, 6) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fastnn: {words}")
    assert error.count("\n") == 1


def test_user_network_error_has_its_own_traceback_when_debugging(monkeypatch):
    monkeypatch.setenv("FASTNN_DEBUG", "1")
    with pytest.raises(_user_network.NetworkError) as caught:
        run("summary", "net.py:Broken")
    assert isinstance(caught.value.__cause__, AttributeError)


@pytest.mark.parametrize("command", ["summary", "profile", "bench"])
def test_user_network_of_another_input_is_told_the_shapes(command, capsys):
    option = ["--networks"] if command == "bench" else []
    assert run(command, *option, "net.py:make_net") == 2
    assert "3 channels" in capsys.readouterr().err
    assert run(command, *option, "net.py:make_net", "--input", 1, 0, 6) == 2
    assert "--input must be at least 1. Received: [1, 0, 6]" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["profile", "bench"])
def test_user_network_that_gives_no_classes_is_refused(command, capsys):
    (option, words) = (["--networks"] if command == "bench" else []), "must give (N, classes) for an input of (1, 5, 3)"
    assert run(command, *option, "net.py:images", "--input", 5, 3) == 2
    assert words in capsys.readouterr().err


def test_profile_of_a_users_network(capsys):
    assert run("profile", "net.py:make_net", "--input", 1, 6, 6, "--rounds", 1, "--batch-size", 2) == 0
    out = capsys.readouterr().out
    assert "Conv2d" in out
    assert not any("0, forward" in line for line in out.splitlines())  # no hidden copy: images lie as the loader's
    assert run("profile", "package_of_mine.nets:make", "--input", 4, "--rounds", 1, "--batch-size", 2) == 0
    assert "Linear" in capsys.readouterr().out


def test_classes_of_a_network_leave_it_as_it_was():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    before, state = model.state_dict(), fastnn.random_state()
    assert _user_network.classes_of("mine:net", model, (4,)) == 3
    assert model.training
    assert fastnn.random_state() == state
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


@pytest.mark.slow
def test_bench_times_a_users_network_in_fastnn_alone_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fastnn.benchmark.command._torch_version", lambda: "2.13.0")
    options = ["--input", 1, 6, 6, "--batch", 2, "--rounds", 1, "--seconds", 0, "--warmup", 0, "--json", "out.json"]
    assert run("bench", "--networks", "net.py:make_net", *options) == 0
    captured = capsys.readouterr()
    assert "net.py:make_net runs in fastnn alone: there is no such network for PyTorch." in captured.err
    assert "| net.py:make_net | training | 2 |" in captured.out
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["settings"]["shape"] == [1, 6, 6]
    (row,) = results["rows"]
    assert row["best_torch"] is None


def test_bench_contestants_of_a_users_network_are_ours_only():
    settings = Settings(threads=1, isa="avx2", shape=(1, 6, 6), classes=7)
    own, built_in = (_contestants(name, 2, settings) for name in ("net.py:make_net", "resnet20"))
    assert {arguments["library"] for _, arguments, _ in own} == {"fastnn"}
    assert {arguments["library"] for _, arguments, _ in built_in} == {"fastnn", "torch"}
    assert all((arguments["shape"], arguments["classes"]) == ([1, 6, 6], 7) for _, arguments, _ in own + built_in)


def test_bench_table_has_empty_cells_where_torch_did_not_run():
    ours = {"fastnn": 10.0, "fastnn direct": 10.0, "fastnn 2x2": 10.0, "fastnn 4x4": 10.0}
    ratio = {"median": 1.0, "lowest": 1.0, "highest": 1.0}
    size = {"bytes": 1_000_000}
    alone = {
        "network": "net.py:make", "mode": "training", "batch": 2, "images_per_second": ours, "best_torch": None,
        "ratio_to_best_torch": {}, "memory": {"fastnn": size},
    }  # fmt: skip
    both = {
        **alone, "network": "resnet20", "images_per_second": {**ours, "torch nchw": 5.0}, "best_torch": "torch nchw",
        "ratio_to_best_torch": dict.fromkeys(ours, ratio), "memory": {"fastnn": size, "torch nchw": size},
    }  # fmt: skip
    for rows in ([alone, both], [both, alone]):
        lines = table(rows).splitlines()
        assert len({line.count("|") for line in lines}) == 1
        assert lines[0].endswith("| fastnn, MB | best PyTorch, MB |")
        (line,) = [line for line in lines if "net.py" in line]
        assert line.endswith("| 1 |  |")
