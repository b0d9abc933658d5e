"""No operation leaves its workspace: each ends at a page without rights."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _native
from fastnn import functional as F

GUARDED = Path(__file__).with_name("guarded_workspaces.py")


def run_guarded(kind, seed, cases):
    command = [sys.executable, str(GUARDED), kind, str(seed), str(cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{done.returncode} in {lines[-1:]}\n{done.stderr}"
    assert len(lines) == cases


@pytest.mark.parametrize("kind", ["convolution", "norm", "product", "attention"])
def test_operations_stay_inside_their_workspaces(kind):
    run_guarded(kind, 0, 150)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("kind", ["convolution", "norm", "product", "attention"])
def test_many_operations_stay_inside_their_workspaces(kind, seed):
    run_guarded(kind, seed, 1000)


def test_a_guarded_workspace_ends_the_process_that_leaves_it():
    code = (
        f"import sys; sys.path.insert(0, {str(GUARDED.parent)!r}); import ctypes, guarded_workspaces as g; "
        "a = g.guarded(1000); print(len(a), a.ctypes.data % 64, flush=True); ctypes.memset(a.ctypes.data + {}, 0, 1)"
    )
    for place, survives in ((1023, True), (1024, False)):
        done = subprocess.run([sys.executable, "-c", code.format(place)], capture_output=True, text=True, timeout=60)
        assert done.stdout.split() == ["1024", "0"]
        assert (done.returncode == 0) == survives


def test_a_workspace_that_does_not_fit_into_memory_is_an_error():
    """Of arrays that are there, with settings that no array bounds: so many threads at 5 MB each."""
    x, weight = (40, 40, 64, 64), (3, 3, 64, 64)
    first = "forward", np.dtype("float32"), x, weight, x, (1, 1), (1, 1), (1, 1), 1, "winograd4"
    sizes = [_native.Conv2dPlan(*first, n).workspace for n in (1, 2, 3)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0
    assert _native.Conv2dPlan(*first, 2**31 - 1).workspace == sizes[0] + (2**31 - 2) * (sizes[1] - sizes[0])


@pytest.mark.parametrize("algorithm", ["direct", "winograd4"])
def test_an_operation_keeps_its_kernels_when_another_thread_selects_others(rng, algorithm):
    """Its memory is cut by the width of one instruction set's panels."""
    names = fastnn.available_isas()
    x = rng.standard_normal((4, 19, 12, 12)).astype(np.float32)
    weight = rng.standard_normal((70, 19, 3, 3)).astype(np.float32)
    dy = rng.standard_normal((4, 70, 12, 12)).astype(np.float32)

    def results():
        y = F.conv2d(x, weight, padding=1, algorithm=algorithm)
        return [a.tobytes() for a in (y, *F.conv2d_backward(dy, x, weight, padding=1, algorithm=algorithm)[:2])]

    allowed = []
    for name in names:
        with fastnn.isa(name):
            allowed.append(results())
    before, ended = fastnn.isa(), threading.Event()

    def switch():
        while not ended.is_set():
            for name in names:
                fastnn.set_isa(name)

    thread = threading.Thread(target=switch)
    thread.start()
    try:
        for _ in range(60):
            for index, part in enumerate(results()):
                assert part in [one[index] for one in allowed]
    finally:
        ended.set()
        thread.join()
        fastnn.set_isa(before)
