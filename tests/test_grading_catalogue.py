"""Every mistake of the catalogue is found and named, and the computation without mistakes is right."""

import itertools

import numpy as np
import pytest
from grading_mutants import plain_forms, student

from fastnn import grading
from fastnn.grading.calling import quiet
from fastnn.grading.operations import OPERATIONS

PARTS = [(operation.name, part.name) for operation in OPERATIONS.values() for part in operation.parts]
# What is random is tested in test_grading_mistakes.py, with functions that draw their own masks.
DETERMINISTIC = [
    pytest.param(*parts, marks=pytest.mark.slow if parts[0] == "two_layer_network" else ())
    for parts in PARTS
    if parts[0] != "dropout"
]

# Mistakes that can be made only in a form that hands over its state in a dict, or that are told as another one that
# gives the same numbers.
ELSEWHERE = {
    "unbiased running variance",
    "the learning rate is in the wrong place: outside the velocity",
    "t is not counted up",
    # Without the maximum, all of these overflow or underflow in the same cases.
    "the mean is subtracted instead of the maximum",
    "the maximum is added instead of subtracted",
}


def _settings(operation):
    names = list(operation.allowed)
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(operation.allowed[name] for name in names))
        if values[names.index("labels")] == "indices"
    ] if "labels" in names else [
        dict(zip(names, values, strict=True)) for values in itertools.product(*(operation.allowed[n] for n in names))
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "part_name"), DETERMINISTIC)
def test_every_mistake_is_named(name, part_name):
    operation = OPERATIONS[name]
    part = operation.part(part_name)
    unnamed = []
    for phrase in part.mistakes:
        if phrase in ELSEWHERE:
            continue
        found = False
        for form, settings in itertools.product(plain_forms(part), _settings(operation)):
            function = student(operation, part, form, [phrase], **settings)
            report = grading.check(name, style=form.style, **settings, **{part_name: function})
            found = any(phrase in text for text in report.mistakes)
            if found:
                assert not report.passed
                assert report.points == 0
                break
        if not found:
            unnamed.append(phrase)
    assert not unnamed


@pytest.mark.parametrize(("name", "part_name"), PARTS)
def test_without_mistakes_it_is_the_twin(name, part_name):
    operation = OPERATIONS[name]
    part = operation.part(part_name)
    for settings, seed in itertools.product(_settings(operation), range(3)):
        rng = np.random.default_rng(seed)
        for form in part.forms:
            for case in part.cases(rng, {**operation.settings, **settings}):
                inputs = form.adapted(case).inputs
                with quiet():
                    right, computed = part.right(inputs), part.compute(inputs, frozenset())
                for result in form.results:
                    deviation = float(right.get(f"{result} deviation", 1e-10))
                    np.testing.assert_allclose(computed[result], right[result], rtol=1e-9, atol=deviation)


@pytest.mark.parametrize(("name", "part_name"), PARTS)
def test_mistakes_have_a_hint_and_are_many(name, part_name):
    part = OPERATIONS[name].part(part_name)
    assert len(part.mistakes) >= (6 if (name, part_name) == ("dropout", "inference") else 8)
    assert all(part.mistakes.values())


def _gradient_parts():
    for operation in OPERATIONS.values():
        parts = {part.name: part for part in operation.parts}
        if "forward" in parts and "backward" in parts and operation.name not in ("dropout", "softmax_cross_entropy"):
            yield operation.name


@pytest.mark.parametrize("name", list(_gradient_parts()))
def test_right_gradients_are_those_of_differences(name):
    """The oracle of backward is the derivative of that of forward."""
    operation = OPERATIONS[name]
    forward, backward = operation.part("forward"), operation.part("backward")
    for case in backward.cases(np.random.default_rng(0), operation.settings)[:6]:
        if {"zeros", "large numbers", "large scores"} & set(case.tags):
            continue
        inputs = dict(case.inputs)
        gradients = backward.right(inputs)
        for variable, gradient in (("x", "dx"), ("weight", "dweight"), ("bias", "dbias")):
            if gradient not in gradients:
                continue
            array = np.array(inputs[variable], np.float64)
            numeric = np.zeros_like(array)
            for index in np.ndindex(*array.shape):
                values = []
                for step in (1e-5, -1e-5):
                    moved = array.copy()
                    moved[index] += step
                    values.append(np.sum(forward.right({**inputs, variable: moved})["y"] * inputs["dy"]))
                numeric[index] = (values[0] - values[1]) / 2e-5
            scale = max(1, np.abs(numeric).max())
            np.testing.assert_allclose(gradients[gradient], numeric, atol=2e-6 * scale)
