"""Layers with several inputs or results, or with integers for input: what test_gradients.py asks of the others."""

import numpy as np
import pytest
from oracle import layouts, relative_error
from several_inputs_table import SEVERAL
from test_gradients import called, cases, differences, frozen, no_compiled_code, ready  # noqa: F401 - a fixture

import fastnn

CASES = pytest.mark.parametrize(("make", "make_inputs"), cases(SEVERAL))


def flat(value):
    """The arrays within tuples, without what is None."""
    if isinstance(value, tuple):
        return [array for item in value for array in flat(item)]
    return [] if value is None else [value]


def like(value, make):
    """`value` with what `make` makes of each array in it, tuples staying tuples."""
    if isinstance(value, tuple):
        return tuple(like(item, make) for item in value)
    return make(value) if isinstance(value, np.ndarray) else value


def gradients_for(result, rng):
    return like(result, lambda y: rng.standard_normal(y.shape).astype(y.dtype))


def floats_of(inputs):
    return [array for array in flat(inputs) if isinstance(array, np.ndarray) and array.dtype.kind == "f"]


def results_of(layer, inputs, dy):
    """Everything that comes of a step: results, gradients of inputs and of parameters."""
    layer.zero_grad()
    y = called(layer, *inputs)
    return [*flat(y), *flat(layer.backward(dy)), *(p.grad for p in layer.parameters())]


@CASES
def test_gradients_of_layer_with_several_agree_with_differences(make, make_inputs, rng):
    layer, inputs = ready(make, rng), make_inputs(rng)
    dy = gradients_for(called(layer, *inputs), rng)

    def joined():
        return np.concatenate([array.ravel() for array in flat(called(layer, *inputs))])

    together = np.concatenate([array.ravel() for array in flat(dy)])
    called(layer, *inputs)
    gradients = flat(layer.backward(dy))
    floats = floats_of(inputs)
    assert len(gradients) == len(floats)
    for x, dx in zip(floats, gradients, strict=True):
        assert relative_error(dx, differences(joined, x, together)) < 1e-8
    for name, parameter in layer.named_parameters():
        numeric = differences(joined, parameter.data, together)
        if name.startswith("weight") and hasattr(layer, "padding_idx") and layer.padding_idx is not None:
            numeric[layer.padding_idx] = 0
        assert relative_error(parameter.grad, numeric) < 1e-8, name


@CASES
def test_layer_with_several_on_the_reference_gives_the_same(request, make, make_inputs, rng):
    layer, inputs = ready(make, rng), make_inputs(rng)
    dy = gradients_for(called(layer, *inputs), rng)
    expected = results_of(layer, inputs, dy)
    request.getfixturevalue("no_compiled_code")
    for a, e in zip(results_of(layer, inputs, dy), expected, strict=True):
        assert relative_error(a, e) < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@CASES
def test_layer_with_several_keeps_dtype_and_changes_no_argument(make, make_inputs, dtype, rng):
    def cast(array):
        return frozen(array.astype(dtype) if array.dtype.kind == "f" else array)

    layer, inputs = make().astype(dtype), like(make_inputs(rng), cast)
    before = [array.tobytes() for array in flat(inputs) if isinstance(array, np.ndarray)]
    y = layer(*inputs)
    gradients = flat(layer.backward(like(gradients_for(y, rng), frozen)))
    assert [array.tobytes() for array in flat(inputs) if isinstance(array, np.ndarray)] == before
    assert all(array.dtype == dtype for array in [*flat(y), *gradients])
    assert [g.shape for g in gradients] == [x.shape for x in floats_of(inputs)]
    assert all(parameter.grad.dtype == dtype for parameter in layer.parameters())


@CASES
def test_layer_with_several_gives_the_same_for_any_layout(make, make_inputs, rng):
    layer, inputs = ready(make, rng), make_inputs(rng)
    dy = gradients_for(called(layer, *inputs), rng)
    expected = results_of(layer, inputs, dy)
    for name in layouts(np.zeros((2, 2))):
        actual = results_of(layer, *(like(value, lambda a, name=name: layouts(a)[name]) for value in (inputs, dy)))
        for a, e in zip(actual, expected, strict=True):
            assert relative_error(a, e) < 1e-14, name


@CASES
def test_layer_with_several_gives_the_same_bits_for_any_number_of_threads(make, make_inputs, rng):
    layer, inputs = ready(make, rng), make_inputs(rng)
    dy = gradients_for(called(layer, *inputs), rng)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        results.append([array.tobytes() for array in results_of(layer, inputs, dy)])
    assert results[0] == results[1] == results[2]


@CASES
def test_layer_with_several_goes_back_from_one_result_alone(make, make_inputs, rng):
    """None for a result says that nothing depends on it."""
    layer, inputs = ready(make, rng), make_inputs(rng)
    y = called(layer, *inputs)
    if not isinstance(y, tuple):
        return
    first = gradients_for(y[0], rng)
    expected = results_of(layer, inputs, (first, *like(y[1:], np.zeros_like)))
    for a, e in zip(results_of(layer, inputs, (first, None)), expected, strict=True):
        np.testing.assert_array_equal(a, e)


@CASES
def test_layer_with_several_is_the_same_with_tensors(make, make_inputs, rng):
    layer, inputs = ready(make, rng), make_inputs(rng)
    y = called(layer, *inputs)
    dy = gradients_for(y, rng)
    expected = results_of(layer, inputs, dy)
    layer.zero_grad()
    leaves = []

    def tensor(array):
        if array.dtype.kind != "f":
            return fastnn.tensor(array)
        leaves.append(fastnn.tensor(array, requires_grad=True))
        return leaves[-1]

    results = flat(called(layer, *like(inputs, tensor)))
    sum((result * d).sum() for result, d in zip(results, flat(dy), strict=True)).backward()
    actual = [*(r.data for r in results), *(x.grad for x in leaves), *(p.grad for p in layer.parameters())]
    for a, e in zip(actual, expected, strict=True):
        assert relative_error(a, e) < 1e-13


@CASES
def test_layer_with_several_gives_arrays_of_the_caller(make, make_inputs, rng):
    """Who writes into a result changes neither the others nor a gradient."""
    layer, inputs = ready(make, rng), make_inputs(rng)
    dy = gradients_for(called(layer, *inputs), rng)
    expected = results_of(layer, inputs, dy)
    layer.zero_grad()
    results = flat(called(layer, *inputs))
    before = [array.copy() for array in results]
    for index, array in enumerate(results):
        array[...] = np.nan
        for other, value in zip(results[index + 1 :], before[index + 1 :], strict=True):
            np.testing.assert_array_equal(other, value)
    actual = [*before, *flat(layer.backward(dy)), *(p.grad for p in layer.parameters())]
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e)


@CASES
def test_layer_with_several_is_the_same_without_recording(make, make_inputs, rng):
    layer, inputs = ready(make, rng), make_inputs(rng)
    expected = flat(called(layer, *inputs))
    with fastnn.no_grad():
        actual = flat(called(layer, *inputs))
    for a, e in zip(actual, expected, strict=True):
        assert type(a) is np.ndarray
        np.testing.assert_array_equal(a, e)


@CASES
def test_layer_with_several_has_state_that_round_trips(make, make_inputs, rng):
    first, second = ready(make, rng), make().astype(np.float64)
    assert not any(second.load_state_dict(first.state_dict()))
    inputs = make_inputs(rng)
    for a, b in zip(flat(called(first, *inputs)), flat(called(second, *inputs)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert repr(first).startswith(type(first).__name__ + "(")
