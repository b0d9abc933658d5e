"""The `fastnn` command: results, resumption, errors of one sentence, exit codes."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bare_stream import BareStream

import fastnn
from fastnn import cli, data, models, training
from fastnn.training import RECIPES
from fastnn.training.plan import find_unfinished, open_dataset
from fastnn.training.trainer import count_steps

TINY = ["--dataset", "shapes32", "--train-images", "1100", "--test-images", "200"]
DEFAULT = RECIPES[training.DEFAULT_RECIPE]
TINY_STEPS = count_steps(DEFAULT.epochs, 1100 // DEFAULT.batch_size)


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FASTNN_DATA", "FASTNN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def python(*arguments):
    """A process of its own, which finds the package although the working folder is another."""
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, env=environment, check=False
    )


def weights(folder):
    return {key: array.tobytes() for key, array in training.load_weights(folder / "weights.safetensors").items()}


# ---- train -----------------------------------------------------------------------------------------------------------
def test_train_leaves_a_folder_of_results(tmp_path, capsys):
    assert run("train", *TINY, "--seed", 3, "--threads", 2) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("cifar10-75-shapes32-seed3-")
    assert {path.name for path in folder.iterdir()} == {
        "metrics.json",
        "history.csv",
        "history.json",
        "curves.png",
        "weights.safetensors",
        "last.safetensors",
    }
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["recipe"] == "cifar10-75"
    assert metrics["dataset"] == "shapes32"
    assert (metrics["seed"], metrics["threads"], metrics["isa"]) == (3, 2, fastnn.isa())
    assert metrics["steps"] == TINY_STEPS
    assert metrics["parameters"] == sum(p.size for p in RECIPES["cifar10-75"].make_model().parameters())
    assert 0 <= metrics["test_accuracy"] <= metrics["test_top5"] <= 1
    assert 0 < metrics["train_seconds"] < metrics["total_seconds"]
    assert metrics["images_per_second"] > 0
    captured = capsys.readouterr()
    assert f"test accuracy {100 * metrics['test_accuracy']:.2f} %" in captured.out
    assert "2 threads" in captured.err
    # The weights are those that were tested.
    model = RECIPES["cifar10-75"].make_model()
    training.load_weights(folder / "weights.safetensors", model)
    test = data.Shapes32(200, train=False)
    loader = data.Loader(test, batch_size=200, shuffle=False, mean=test.mean, std=test.std)
    assert training.evaluate(model, loader, tta=2).accuracy == metrics["test_accuracy"]


def test_train_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    assert run("train", *TINY, "--out", tmp_path / "whole") == 0
    # In a process of its own, as a user would: the signal comes in the middle of the third step.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from fastnn import cli, optim\n"
        "step, calls = optim.SGD.step, []\n"
        "def interrupted(self):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 3: signal.raise_signal(signal.SIGINT)\n"
        "    return step(self)\n"
        "optim.SGD.step = interrupted\n"
        f"sys.exit(cli.main({['train', *TINY, '--threads', '1']!r}))\n"
    )
    result = python("-c", code)
    assert result.returncode == 130, result.stderr
    assert f"interrupted after step 3 of {TINY_STEPS}; its state is in runs" in result.stderr
    assert "Traceback" not in result.stderr
    checkpoint = find_unfinished("runs", "cifar10-75", "shapes32", 0)
    assert checkpoint is not None
    assert run("train", *TINY, "--resume", "auto") == 0
    assert weights(checkpoint.parent) == weights(tmp_path / "whole")
    assert json.loads((checkpoint.parent / "metrics.json").read_text())["resumed"]
    assert find_unfinished("runs", "cifar10-75", "shapes32", 0) is None


def test_train_resume_auto_without_a_run_starts_anew(tmp_path, capsys):
    assert run("train", *TINY, "--epochs", 0.5, "--resume", "auto", "--out", tmp_path / "a") == 0
    assert "no unfinished run" in capsys.readouterr().err


def test_train_resume_takes_the_settings_of_the_checkpoint(tmp_path, capsys):
    out = tmp_path / "a"
    assert run("train", *TINY, "--epochs", 1, "--seed", 4, "--out", out) == 0
    before = weights(out)
    assert run("train", "--resume", out) == 0  # at its end already: evaluates again
    assert weights(out) == before
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["seed"], metrics["test_images"]) == (4, 200)
    capsys.readouterr()
    assert run("train", "--resume", out, "--seed", 5) == 2
    assert "seed was 4 and is 5" in capsys.readouterr().err
    assert weights(out) == before


def test_train_recipe_with_validation_reports_its_best_epoch(tmp_path, monkeypatch, capsys):
    small = replace(
        RECIPES["vgg_a_bn"],
        model_options={"stages": ((4,), (8,), (8, 8), (8, 8), (8, 8)), "hidden": 16},
        epochs=2.0,
        batch_size=64,
        validation=100,
    )
    monkeypatch.setitem(RECIPES, "vgg_a_bn", small)
    out = tmp_path / "a"
    assert run("train", *TINY, "--recipe", "vgg_a_bn", "--out", out) == 0
    assert "validation loss" in capsys.readouterr().err
    assert json.loads((out / "metrics.json").read_text())["train_images"] == 1000
    best = training.load_state(out / "best.safetensors")["model"]
    assert {key: array.tobytes() for key, array in best.items()} == weights(out)


def test_train_lists_its_recipes(capsys):
    assert run("train", "--recipe", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert len({line.index(recipe.description) for line, recipe in zip(lines, RECIPES.values(), strict=True)}) == 1


@pytest.mark.slow
def test_train_default_recipe_learns_shapes(tmp_path):
    arguments = ["--dataset", "shapes32", "--train-images", 6000, "--test-images", 1000, "--epochs", 5]
    assert run("train", *arguments, "--out", tmp_path / "a") == 0
    assert json.loads((tmp_path / "a/metrics.json").read_text())["test_accuracy"] > 0.6


# ---- errors ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required"),
        (["fly"], "invalid choice"),
        (["train", "--epochs", "many"], "invalid float"),
        (["train", "--epochs", "0", *TINY], "epochs must be"),
        (["train", "--epochs", "nan", *TINY], "epochs must be"),
        (["train", "--seed", "-1", *TINY], "seed must not be negative"),
        (["train", "--threads", "0", *TINY], "between 1 and 4096"),
        (["train", "--recipe", "none", *TINY], "there is no recipe 'none'; choose from cifar10-75"),
        (["train", "--dataset", "mnist3d"], "there is no data set"),
        (["train", "--dataset", "cifar10", "--data", "nowhere"], "CIFAR-10 was not found"),
        (["train", "--train-images", "0", "--dataset", "shapes32"], "between 1 and"),
        (["train", "--train-images", "10", "--dataset", "shapes32"], "fewer than a batch"),
        (["train", "--recipe", "vgg_a_bn", *TINY], "puts 5000 training images aside, of 1100"),
        (["train", "--resume", "nowhere", *TINY], "there is no file nowhere"),
        (["train", "--out", "file/a", *TINY], "file"),
        (["train", "--resume", "file", *TINY], "not a whole safetensors file"),
        (["train", "--resume", "weights", *TINY], "not a checkpoint of fastnn"),
        (["train", "--wings"], "unrecognized arguments: --wings"),
        (["summary"], "MODEL"),
        (["summary", "lenet"], "there is no model 'lenet'"),
        (["summary", "resnet20", "--batch", "0"], "--batch must be"),
    ],
)
def test_errors_are_one_sentence_and_exit_code_2(arguments, words, tmp_path, capsys):
    (tmp_path / "file").write_text("text")
    training.save_weights({"a": np.zeros(1)}, tmp_path / "weights")
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    last = captured.err.splitlines()[-1]
    assert words in last
    assert "Traceback" not in captured.err
    assert len(captured.err.splitlines()) <= 2  # what is trained may be announced before
    assert captured.out == ""


def test_train_into_a_read_only_folder_is_told_before_training(tmp_path, monkeypatch, capsys):
    def closed(*_, **__):  # root may write everywhere, so the rights of a folder prove nothing
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("fastnn.training._atomic._create", closed)
    assert run("train", *TINY, "--out", tmp_path / "closed") == 2
    assert capsys.readouterr().err == f"fastnn: {tmp_path / 'closed' / 'write-test.tmp'}: Permission denied\n"


def test_train_with_a_loss_that_is_not_finite_exits_with_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(RECIPES, "cifar10-75", replace(RECIPES["cifar10-75"], lr=1e30))
    with np.errstate(all="ignore"):
        assert run("train", *TINY, "--out", tmp_path / "a") == 1
    assert "the loss is" in capsys.readouterr().err.splitlines()[-1]


def test_unexpected_errors_are_one_sentence_unless_debugging(monkeypatch, capsys):
    def broken(*arguments):
        raise AssertionError("inner\nthoughts")

    monkeypatch.setattr(models, "summarize", broken)
    assert run("summary", "resnet20") == 1
    assert capsys.readouterr().err == "fastnn: AssertionError: inner thoughts\n"
    monkeypatch.setenv("FASTNN_DEBUG", "1")
    with pytest.raises(AssertionError):
        run("summary", "resnet20")


# ---- data sets -------------------------------------------------------------------------------------------------------
def test_open_dataset_auto_falls_back_to_shapes_and_says_so(monkeypatch):
    def missing(root, train, download):
        assert download
        raise data.DataNotFoundError("CIFAR-10 was not found")

    monkeypatch.setattr(data, "CIFAR10", missing)
    said = []
    name, train_set, test_set = open_dataset("auto", n_train=30, n_test=20, say=said.append)
    assert (name, len(train_set), len(test_set)) == ("shapes32", 30, 20)
    assert "shapes32" in said[0]
    assert (train_set.images[:20] != test_set.images).any()


# ---- info, summary ---------------------------------------------------------------------------------------------------
def test_info_tells_what_was_built_and_what_runs(capsys):
    assert run("info") == 0
    out = capsys.readouterr().out
    assert fastnn.__version__ in out
    assert f"{fastnn.isa()} kernels" in out
    assert ", ".join(fastnn.available_isas()) in out


@pytest.mark.parametrize("name", ["airbench94", "cifar10-75"])
def test_summary_of_a_model_or_a_recipe(name, capsys):
    assert run("summary", name, "--batch", 4) == 0
    out = capsys.readouterr().out
    assert "group1.conv1" in out
    assert "for a batch of 4" in out


def test_module_runs_as_a_command_and_knows_its_version():
    result = python("-m", "fastnn", "--version")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"fastnn {fastnn.__version__}\n"


def test_interrupt_outside_of_training_exits_with_130(monkeypatch, capsys):
    monkeypatch.setattr(models, "summarize", lambda *_: signal.raise_signal(signal.SIGINT))
    assert run("summary", "resnet20") == 130
    assert capsys.readouterr().err == "fastnn: interrupted\n"


# ---- surroundings ----------------------------------------------------------------------------------------------------
def shell(line, **environment):
    """`fastnn` in a shell, which redirects its streams."""
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1]), **environment}
    environment.pop("PYTHONUNBUFFERED", None)
    command = line.replace("fastnn", f"{sys.executable} -m fastnn")
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("fastnn fly 2>&-", 2, "", ""),  # not on standard output instead
        ("fastnn summary nothing 2>&-", 2, "", ""),
        ("fastnn info >&-", 0, "", ""),
        ("fastnn info >/dev/full", 2, "", "fastnn: No space left on device\n"),
        ("fastnn info | true", 1, "", ""),
        ("fastnn --help | true", 1, "", ""),
    ],
)
def test_streams_that_are_closed_full_or_unread(line, code, out, err):
    result = shell(line)
    assert (result.returncode, result.stdout, result.stderr) == (code, out, err)


@pytest.mark.parametrize("make", [BareStream, lambda: None])
def test_messages_go_to_any_standard_error(make, monkeypatch, capsys):
    stream = make()
    monkeypatch.setattr(sys, "stderr", stream)
    assert run("summary", "nothing") == 2
    assert run("fly") == 2
    assert capsys.readouterr().out == ""
    if stream is not None:
        assert "there is no model 'nothing'" in stream.text
        assert "invalid choice" in stream.text


def test_text_that_standard_output_cannot_write_is_escaped(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(
        "from fastnn import models, nn\ndef make(): return models.Chain(größe=nn.ReLU())\n", encoding="utf-8"
    )
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert run("summary", "net.py:make") == 0
    assert b"gr\\xf6\\xdfe" in stream.buffer.getvalue()
    assert stream.errors == "strict"  # as it was


def test_commands_run_without_home_and_in_the_c_locale():
    result = shell("env -u HOME -u XDG_CACHE_HOME LANG=C LC_ALL=C fastnn summary keras_cnn")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Conv2d" in result.stdout
