"""Every option of every command reaches what it is for, and every default is the one that the help promises."""

import itertools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import fastnn
from fastnn import benchmark, cli, courses, training
from fastnn.training import plan as plan_module


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


# ---- train -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def planned(monkeypatch):
    """What `train` asks for, instead of doing it."""
    seen = []

    def plan(**settings):
        seen.append({**settings, "threads": fastnn.num_threads()})
        recipe = SimpleNamespace(name="a recipe")
        made = SimpleNamespace(recipe=recipe, dataset="a data set", seed=3, folder="a folder", shards=None)
        return made, "train set", "test set"

    monkeypatch.setattr(plan_module, "plan", plan)
    monkeypatch.setattr(training, "train_recipe", lambda *arguments, say, callbacks: seen.append(arguments[1:]))
    return seen


def test_train_options_reach_the_plan(planned, capsys):
    threads = fastnn.num_threads()
    assert run("train") == 0
    default, sets = planned
    say = default.pop("say")
    say("a word")
    names = ("recipe", "dataset", "epochs", "seed", "out", "resume", "data_root", "n_train", "n_test", "shards")
    assert default == {**dict.fromkeys(names), "download": False, "threads": threads}
    assert sets == ("train set", "test set")
    captured = capsys.readouterr()
    assert captured.err.startswith(f"a recipe on a data set, seed 3, {threads} thread")
    assert captured.err.endswith("; results go to a folder\na word\n")
    del planned[:]
    options = {
        "--recipe": "r", "--dataset": "d", "--data": "folder", "--epochs": "2.5", "--seed": "4", "--threads": "3",
        "--train-images": "5", "--test-images": "6", "--out": "o", "--resume": "auto",
        "--shards": "8",
    }  # fmt: skip
    assert run("train", "--download", *(part for item in options.items() for part in item)) == 0
    given = planned[0]
    del given["say"]
    assert given == {
        "recipe": "r", "dataset": "d", "data_root": "folder", "epochs": 2.5, "seed": 4, "threads": 3, "n_train": 5,
        "n_test": 6, "out": "o", "resume": "auto", "download": True, "shards": 8,
    }  # fmt: skip
    assert ", 3 threads, " in capsys.readouterr().err


# ---- reproduce -------------------------------------------------------------------------------------------------------
@pytest.fixture
def reproduced(monkeypatch):
    seen = []

    def reproduce(name, **settings):
        seen.append((name, settings, fastnn.num_threads()))
        return SimpleNamespace(failed=[], verdict=lambda: "fine")

    monkeypatch.setattr(courses, "run", reproduce)
    clock = itertools.cycle([100.0, 103.25])
    monkeypatch.setattr("fastnn.courses.command.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    return seen


def test_reproduce_options_reach_the_recipe(reproduced, capsys):
    assert run("reproduce", "fudan-bn") == 0
    options = ("--quick", "--full", "--out", "o", "--data", "d", "--epochs", 2, "--n-items", 3, "--model", "m")
    assert run("reproduce", "fudan-bn", *options, "--image", "i", "--seed", 5, "--threads", 3) == 0
    (name, default, _), (_, given, threads) = reproduced
    assert name == "fudan-bn"
    assert default == {"quick": False, "out": Path("runs/fudan-bn"), "data": None, "seed": 0}
    assert given == {
        "quick": True, "full": True, "out": Path("o"), "data": "d", "seed": 5, "epochs": 2, "n_items": 3, "model": "m",
        "image": "i",
    }  # fmt: skip
    assert threads == 3
    assert capsys.readouterr().out.splitlines() == [
        "fudan-bn: fine (3.2 s); runs/fudan-bn/report.html",
        "fudan-bn: fine (3.2 s); o/report.html",
    ]


def test_reproduce_all_gives_each_recipe_its_folder_and_the_options_it_has(reproduced):
    assert run("reproduce", "all", "--quick", "--epochs", 2, "--out", "o") == 0
    assert [name for name, _, _ in reproduced] == courses.names()
    for name, settings, _ in reproduced:
        assert settings["out"] == Path("o") / name
        assert ("epochs" in settings) == ("epochs" in courses.get(name).options)
    del reproduced[:]
    assert run("reproduce", "all", "--quick") == 0
    assert [settings["out"] for _, settings, _ in reproduced] == [
        Path(f"runs/{name}-quick") for name in courses.names()
    ]


# ---- bench -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def compared(monkeypatch):
    seen = []

    def compare(network, batch, settings):
        seen.append((network, batch, settings))
        names = ["fastnn", "fastnn direct", "fastnn 2x2", "fastnn 4x4"]
        return {
            "network": network, "batch": batch, "mode": "training", "images_per_second": dict.fromkeys(names, 1234.4),
            "best_torch": None, "ratio_to_best_torch": {}, "memory": {name: {"bytes": 56_700_000} for name in names},
        }  # fmt: skip

    monkeypatch.setattr("fastnn.benchmark.command.compare", compare)
    monkeypatch.setattr("fastnn.benchmark.command._torch_version", lambda: "2.13.0")
    return seen


def test_bench_defaults_are_those_of_the_help(compared, capsys):
    networks = ["keras_cnn", "vgg_a", "vgg_a_bn", "resnet20", "airbench94"]
    assert run("bench") == 0
    assert [(network, batch) for network, batch, _ in compared] == [(n, b) for b in (128, 512) for n in networks]
    modes = ("nchw", "channels_last", "compile", "compile_channels_last")
    assert {settings for _, _, settings in compared} == {
        benchmark.Settings(
            threads=fastnn.num_threads(), isa=fastnn.isa(), modes=modes, inference=False, rounds=7, seconds=1.0,
            warmup=3, shape=(3, 32, 32), classes=10,
        )
    }  # fmt: skip
    captured = capsys.readouterr()
    assert "| keras_cnn | training | 128 | 1234 | 1234 | 1234 | 1234 | 57 |" in captured.out
    assert "  fastnn direct                    1234       57" in captured.err
    del compared[:]
    assert run("bench", "--inference", "--networks", "resnet20") == 0
    assert [(network, batch) for network, batch, _ in compared] == [("resnet20", b) for b in (1, 32, 512)]


def test_bench_options_reach_the_comparison(compared, tmp_path):
    isa = fastnn.available_isas()[0]
    options = ["--batch-sizes", 4, 5, "--threads", 3, "--modes", "compile", "--rounds", 2, "--seconds", 0.5]
    path = tmp_path / "out.json"
    more = ["--warmup", 1, "--isa", isa, "--json", path, "--inference", "--input", 3, 40, 40]
    assert run("bench", "--networks", "resnet20", *options, *more) == 0
    assert [batch for _, batch, _ in compared] == [4, 5]
    assert compared[0][2] == benchmark.Settings(
        threads=3, isa=isa, modes=("compile",), inference=True, rounds=2, seconds=0.5, warmup=1, shape=(3, 40, 40),
        classes=10,
    )  # fmt: skip
    assert path.exists()
    del compared[:]
    assert run("bench", "--networks", "resnet20", "--modes") == 0
    assert compared[0][2].modes == ()


# ---- exit codes and words --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("no good"), 2, "no good"),
        (ImportError("not there"), 2, "not there"),
        (FileNotFoundError(2, "No such file", "a.txt"), 2, "a.txt: No such file"),
        (OSError(28, "No space"), 2, "No space"),
        (ArithmeticError("not finite"), 1, "not finite"),
        (TypeError("two\n  lines"), 1, "TypeError: two lines"),
        (ValueError(), 2, "ValueError: "),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("go on later"), 130, "go on later"),
        (BrokenPipeError(), 1, None),
    ],
    ids=repr,
)
def test_exit_codes_and_sentences_of_exceptions(error, code, words, monkeypatch, capsys):
    def fails(*arguments, **settings):
        raise error

    monkeypatch.setattr(plan_module, "plan", fails)
    monkeypatch.setattr(cli, "_drop_stdout", lambda: None)
    assert run("train") == code
    assert capsys.readouterr().err == ("" if words is None else f"fastnn: {words}\n")


def test_help_names_every_option_with_its_default():
    for command, defaults in {
        "summary": ["(default: 1)", "(default: 3 32 32)", "net.py:make_net"],
        "export": ["(default: 3 32 32)", "(default: 18)", "net.py:make_net", "new random weights"],
        "profile": ["(default: 7)", "(default: the recipe's, or 128)", "net.py:make_net"],
        "bench": [
            "default: 7, with --suite 3",
            "(default: 1, with --suite layers 0.1)",
            "(default: 3, with --suite 1)",
            "net.py:make_net",
            "fastnn alone",
        ],
    }.items():
        code = f"import sys; from fastnn import cli; sys.exit(cli.main([{command!r}, '--help']))"
        environment = {"PYTHONPATH": str(Path(fastnn.__file__).parents[1]), "COLUMNS": "400", "PATH": ""}
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
        )
        for words in defaults:
            assert words in result.stdout, (command, words)
