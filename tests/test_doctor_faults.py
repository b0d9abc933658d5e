"""The doctor is judged: it names the faults of trainings that do not work, and is silent about those that do."""

import os

import doctor_faults
import doctor_healthy
import pytest

import fastnn

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _one_thread():
    """Small networks: threads would wait for each other on a machine that is busy."""
    fastnn.set_num_threads(1)


@pytest.mark.parametrize("network", list(doctor_faults.NETWORKS))
@pytest.mark.parametrize("fault", list(doctor_faults.FAULTS))
def test_a_fault_is_named(fault, network):
    diagnosis = doctor_faults.FAULTS[fault](doctor_faults.healthy(network))
    assert fault in diagnosis.names, str(diagnosis)


@pytest.mark.parametrize("name", list(doctor_healthy.BUILT_IN))
def test_nothing_is_found_in_a_training_that_works(name):
    for diagnosis in doctor_healthy.BUILT_IN[name]():
        assert diagnosis.healthy, str(diagnosis)


@pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="NOT TESTED on real images: FASTNN_DATA is not set")
@pytest.mark.parametrize("name", list(doctor_healthy.REAL))
def test_nothing_is_found_in_a_training_that_works_on_real_images(name):
    for diagnosis in doctor_healthy.REAL[name]():
        assert diagnosis.healthy, str(diagnosis)
