"""Random networks of layers and tensors: their gradients against differences."""

import layer_programs as programs
import numpy as np
from hypothesis import given

import fastnn


def _loss(program, x, layers):
    return sum(programs.run(program, x, layers))


@given(program=programs.programs)
def test_layer_programs_gradients_are_those_of_differences(program):
    """Along random directions, of the input and of every parameter."""
    array, layers = programs.made(program)
    x = fastnn.tensor(array, requires_grad=True)
    state = layers.state_dict()
    _loss(program, x, layers).backward()
    leaves = [x, *layers.parameters()]
    rng = np.random.default_rng(program["seed"])
    for leaf in leaves:
        gradient = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
        assert gradient.shape == leaf.shape
        assert gradient.dtype == leaf.dtype
        direction = rng.standard_normal(leaf.shape)
        step, before, sides = 1e-6, leaf.data.copy(), []
        for sign in (1, -1):
            layers.load_state_dict(state)  # with the running statistics of before
            leaf.data = before + sign * step * direction
            with fastnn.no_grad():
                sides.append(_loss(program, x, layers).item())
        leaf.data = before
        expected = (sides[0] - sides[1]) / (2 * step)
        scale = 1 + abs(expected) + np.abs(gradient).max(initial=0) + abs(sides[0])
        assert abs((gradient * direction).sum() - expected) < 2e-5 * scale


@given(program=programs.programs)
def test_layer_programs_have_the_same_bits_whatever_the_threads_and_whether_joined(program):
    results = []
    for threads, joined in ((1, True), (2, True), (3, False)):
        with fastnn.num_threads(threads), fastnn.joined_layers(joined):
            array, layers = programs.made(program)
            x = fastnn.tensor(array, requires_grad=True)
            losses = programs.run(program, x, layers)
            for loss in losses:
                loss.backward(retain_graph=True)
            results.append([loss.data.tobytes() for loss in losses] + [
                None if leaf.grad is None else leaf.grad.tobytes() for leaf in (x, *layers.parameters())
            ])  # fmt: skip
    assert results[0] == results[1] == results[2]
