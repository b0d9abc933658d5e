"""Random programs of tensors: their gradients against differences."""

import numpy as np
import tensor_programs as programs
from hypothesis import given

import fastnn


def _gradients(program, inputs, in_turn):
    """Of the sum of all losses: by a backward of each in turn, or of their sum."""
    leaves = [fastnn.tensor(x, requires_grad=True) for x in inputs]
    losses = programs.run(program, leaves)
    if in_turn:
        for loss in losses:
            loss.backward(retain_graph=True)
    else:
        sum(losses).backward()
    return [leaf.grad for leaf in leaves]


def _value(program, inputs):
    return float(sum(programs.run(program, inputs)))


@given(program=programs.programs)
def test_programs_gradients_are_those_of_differences(program):
    inputs = programs.inputs_of(program)
    found = _gradients(program, inputs, in_turn=False)
    again = _gradients(program, inputs, in_turn=True)
    for index, x in enumerate(inputs):
        expected = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [other.copy() for other in inputs]
                moved[index][place] += step
                sides.append(_value(program, moved))
            expected[place] = (sides[0] - sides[1]) / 2e-6
        gradient = np.zeros_like(x) if found[index] is None else found[index]
        assert gradient.shape == x.shape
        scale = 1 + np.abs(expected).max(initial=0) + abs(_value(program, inputs))
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-6 * scale)
        if found[index] is not None:
            np.testing.assert_allclose(again[index], gradient, rtol=0, atol=1e-10 * scale)


@given(program=programs.programs)
def test_programs_gradients_are_the_same_each_time_and_share_no_memory(program):
    inputs = programs.inputs_of(program)
    first, second = (_gradients(program, inputs, in_turn=False) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert (a is None and b is None) or np.array_equal(a, b)
    arrays = [gradient for gradient in first if gradient is not None] + inputs
    for i, a in enumerate(arrays):
        assert not any(np.may_share_memory(a, b) for b in arrays[i + 1 :])


@given(program=programs.programs)
def test_programs_values_and_dtypes_are_those_of_arrays(program):
    inputs = [x.astype(np.float32) for x in programs.inputs_of(program)]
    leaves = [fastnn.tensor(x, requires_grad=True) for x in inputs]
    losses = programs.run(program, leaves)
    with fastnn.no_grad():
        unrecorded = programs.run(program, leaves)
    for ours, bare, theirs in zip(losses, unrecorded, programs.run(program, inputs), strict=True):
        assert ours.dtype == bare.dtype == np.result_type(theirs) == np.float32
        assert ours.data == bare.data
        np.testing.assert_allclose(ours.data, theirs, rtol=2e-4, atol=2e-4)
    sum(losses).backward()
    assert all(leaf.grad is None or leaf.grad.dtype == np.float32 for leaf in leaves)
