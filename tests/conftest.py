"""Fixtures of all tests: every instruction set that this machine has, and several thread counts.

HYPOTHESIS_PROFILE=thorough   300 random examples of each property instead of 20
HYPOTHESIS_PROFILE=emulated   3, the same ones each time, for an emulated CPU (tests/arm64)
FASTNN_NO_SKIPS=1             a test that is skipped counts as failed; for machines where everything must run
FASTNN_MALLOC=1               every array and workspace is a block of malloc, which sanitizers watch, of its exact size
"""

import importlib.util
import inspect
import os
import re
import signal
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import fastnn
from fastnn import _memory, _runtime, courses
from fastnn.courses import recipe as recipes

# A shell that starts the tests in the background lets them ignore Ctrl-C, which some of them send themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "default",
    max_examples=20,
    deadline=None,  # the first call of a kernel is slower than the rest
    # Fixtures that select an instruction set are meant to hold for all examples of a test.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=300)
settings.register_profile("emulated", settings.get_profile("default"), max_examples=3, derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# On Windows these tests are about nothing: locks, limits and signals of processes, links, devices, modes of files.
_OF_POSIX = re.compile(
    r"\bfcntl\b|\bresource\.|\b(?:mkfifo|os\.fork|killpg|getuid|geteuid|fchmod|fchown|umask|symlink)\b|\bsymlink_to\b"
    r"|\bchmod\b|SIGKILL|SIGHUP|SIGXCPU|SIGUSR1|preexec_fn|pass_fds|/dev/\w+|/proc/|AF_UNIX|S_IMODE"
)
if sys.platform == "win32":
    collect_ignore = ["test_atomic_write.py", "test_bad_calls.py", "test_extreme_settings.py", "test_mutated_files.py"]


def pytest_collection_modifyitems(items):
    """Skip what only POSIX has, with its name as the reason."""
    for item in items if sys.platform == "win32" else ():
        if found := _OF_POSIX.search(inspect.getsource(item.function)):
            item.add_marker(pytest.mark.skip(reason=f"Windows has no {found[0]}"))


DTYPES = (np.float32, np.float64)

if os.environ.get("FASTNN_MALLOC", "") not in ("", "0"):

    def _workspace(n_bytes):
        block = np.empty(max(n_bytes, 1) + 64, np.uint8)
        begin = -block.ctypes.data % 64
        return block[begin : begin + max(n_bytes, 1)]

    _memory.empty, _memory.workspace = np.empty, _workspace


@pytest.fixture(autouse=True)
def _same_runtime_afterwards():
    """Every test leaves threads and instruction set as it found them."""
    threads, isa = fastnn.num_threads(), fastnn.isa()
    yield
    fastnn.set_num_threads(threads)
    if isa != "reference":
        fastnn.set_isa(isa)


@pytest.fixture(params=fastnn.available_isas())
def isa(request):
    """Runs the test once with the kernels of each instruction set of this machine."""
    fastnn.set_isa(request.param)
    return request.param


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    fastnn.set_num_threads(request.param)
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


# ---- a test that cannot run is loud ----------------------------------------------------------------------------------
_HAS_TORCH = importlib.util.find_spec("torch") is not None
_NO_SKIPS = os.environ.get("FASTNN_NO_SKIPS", "") not in ("", "0")

# Without PyTorch these files cannot even be read. `pytest -m torch` then says so below.
collect_ignore_glob = [] if _HAS_TORCH else ["test_torch*.py"]
_HAS_TORCHVISION = importlib.util.find_spec("torchvision") is not None


def pytest_configure(config):
    if _runtime._native is None:
        raise pytest.UsageError("fastnn._native is missing: build it first (make install)")
    if config.option.markexpr == "torch" and not _HAS_TORCH:
        raise pytest.UsageError("these tests compare with PyTorch: pip install torch==2.13.0, or run make test-torch")
    if config.option.markexpr == "torchvision" and not _HAS_TORCHVISION:
        raise pytest.UsageError("these tests compare with torchvision: install it, or run make test-torchvision")


def pytest_report_header():
    info = fastnn.build_info()
    where = os.path.dirname(fastnn.__file__)
    return (
        f"fastnn: {where}, isas {' '.join(info['available_isas'])}, {info['threads']} threads, openmp {info['openmp']}"
    )


def _fail_if_skipped(report):
    if _NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        # A machine may lack the real data; .ci/run sets the variable on every one that has it.
        if "FASTNN_DATA is not set" not in reason:
            report.outcome, report.longrepr = "failed", f"nothing may be skipped here (FASTNN_NO_SKIPS). {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _fail_if_skipped((yield))


@pytest.fixture
def new_recipe(monkeypatch, tmp_path):
    """Registers recipes that are gone after the test, which has no others and runs in a folder of its own."""
    courses.names()  # reads the files of the real ones into the real list
    monkeypatch.setattr(recipes, "registry", {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DEBUG", raising=False)

    def register(function, name="toy", course="A course", **settings):
        recipes.registry.pop(name, None)
        recipes.recipe(name, course=course, title=f"The {name}", about=f"About {name}.", **settings)(function)

    return register
