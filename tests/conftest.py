"""Fixtures of all tests: every instruction set that this machine has, and several thread counts."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import fastnn
from fastnn import _runtime

settings.register_profile(
    "default",
    max_examples=20,
    deadline=None,  # the first call of a kernel is slower than the rest
    # Fixtures that select an instruction set are meant to hold for all examples of a test.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

DTYPES = (np.float32, np.float64)


@pytest.fixture(autouse=True)
def _same_runtime_afterwards():
    """Every test leaves threads and instruction set as it found them."""
    threads, isa = fastnn.num_threads(), fastnn.isa()
    yield
    fastnn.set_num_threads(threads)
    if isa != "reference":
        fastnn.set_isa(isa)


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace["np"] = np
    doctest_namespace["nn"] = __import__("fastnn.nn").nn


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


def pytest_collection_modifyitems(items):
    """A test that cannot run is loud: without the compiled module there is nothing to test."""
    if _runtime._native is None:
        raise pytest.UsageError("fastnn._native is missing: build it first (pip install -e .)")
