"""The layers of fastnn.compat.torch.nn are PyTorch's: state, text, results, gradients, signatures."""

import inspect

import numpy as np
import pytest
from compat_lazy_layers import LAZY
from compat_nn_layers import LAYERS, RANDOM, arrays, ids

import fastnn.compat.torch as own

pytestmark = pytest.mark.torch

TOLERANCE = {np.float32: {"rtol": 2e-4, "atol": 2e-5}, np.float64: {"rtol": 1e-9, "atol": 1e-10}}


# PyTorch multiplies gradients with constants of float32.
COARSE = {name: {"rtol": 1e-7, "atol": 1e-8} for name in ("CELU", "Hardsigmoid")}


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def made(library, name, arguments, keywords, dtype):
    layer = getattr(library.nn, name)(*arguments, **keywords)
    return layer.double() if dtype is np.float64 else layer


def filled(torch, theirs, ours):
    """Give both the same numbers, which are not those of a new layer."""
    generator = torch.Generator().manual_seed(3)
    for tensor in theirs.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) * 0.8 + 0.1)
    return ours.load_state_dict({key: own.from_numpy(value.numpy()) for key, value in theirs.state_dict().items()})


def tensors(library, values):
    """Arrays as tensors, those of floats with a gradient."""
    if isinstance(values, tuple):
        return tuple(tensors(library, value) for value in values)
    x = library.from_numpy(values.copy())
    return x.requires_grad_() if values.dtype.kind == "f" else x


def flat(value):
    if isinstance(value, tuple | list):
        return [part for item in value for part in flat(item)]
    return [] if value is None else [value]


def numbers(x):
    return x.detach().numpy()


def call(library, layer, values, changes_input):
    """The results of a call, and the gradients with respect to inputs and parameters."""
    given = tensors(library, values)
    passed = [x.clone() if changes_input and x.is_floating_point() else x for x in given] if changes_input else given
    results = [y for y in flat(layer(*passed)) if y.is_floating_point()]
    others = [y for y in flat(layer(*passed)) if not y.is_floating_point()] if not changes_input else []
    total = 0
    for y in results:
        weights = np.cos(np.arange(numbers(y).size)).reshape(y.shape).astype(numbers(y).dtype)
        total = total + (y * library.from_numpy(weights)).sum()
    layer.zero_grad()
    if total.requires_grad:
        total.backward()
    gradients = [x.grad for x in flat(given)] + [p.grad for p in layer.parameters()]
    return results + others, gradients, passed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "arguments", "keywords", "inputs"), LAYERS, ids=ids(LAYERS))
def test_layers_have_state_results_gradients_and_text_of_pytorch(torch, name, arguments, keywords, inputs, dtype):
    theirs, ours = (made(library, name, arguments, keywords, dtype) for library in (torch, own))
    assert repr(ours) == repr(theirs)
    before, after = theirs.state_dict(), ours.state_dict()
    assert list(before) == list(after)
    for key, value in before.items():
        assert tuple(after[key].shape) == tuple(value.shape), key
        assert repr(after[key].dtype) == repr(value.dtype), key
    assert repr(filled(torch, theirs, ours)) == "<All keys matched successfully>"
    tolerance = COARSE.get(name, TOLERANCE[dtype]) if dtype is np.float64 else TOLERANCE[dtype]
    values, is_in_place = arrays(inputs, dtype), getattr(theirs, "inplace", False)
    for training in (True, False):
        if training and name in RANDOM:
            continue
        ours.train(training)
        theirs.train(training)
        (expected, dexpected, left), (found, dfound, changed) = (
            call(library, layer, values, is_in_place) for library, layer in ((torch, theirs), (own, ours))
        )
        assert len(found) == len(expected)
        for y, right in zip(found, expected, strict=True):
            assert isinstance(y, own.Tensor)
            assert repr(y.dtype) == repr(right.dtype)
            assert tuple(y.shape) == tuple(right.shape)
            np.testing.assert_allclose(numbers(y), numbers(right), **tolerance)
        assert len(dfound) == len(dexpected)
        for dx, right in zip(dfound, dexpected, strict=True):
            assert (dx is None) == (right is None)
            if dx is not None:
                np.testing.assert_allclose(numbers(dx), numbers(right), **tolerance)
        for x, right in zip(flat(changed), flat(left), strict=True):
            np.testing.assert_allclose(numbers(x), numbers(right), **tolerance)
        for (key, value), right in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            np.testing.assert_allclose(numbers(value), numbers(right), **tolerance, err_msg=key)


def public_layers(torch):
    return {
        name: value
        for name, value in vars(torch.nn).items()
        if isinstance(value, type) and name[0] != "_" and issubclass(value, torch.nn.Module)
    }


# Classes that are not called, only asked for by `isinstance`.
BASES = {"RNNBase", "RNNCellBase"}
# Methods that a script may write, and that are there only then.
WRITTEN = {"get_extra_state", "set_extra_state"}


def test_every_name_of_torch_nn_is_there_or_has_advice(torch):
    from fastnn.compat.torch.nn.modules._absent import ABSENT

    for name in dir(torch.nn):
        if name.startswith("_"):
            continue
        if name in ABSENT:
            with pytest.raises(AttributeError, match=rf"torch\.nn\.{name} is not in fastnn: .{{10}}"):
                getattr(own.nn, name)
        else:
            assert hasattr(own.nn, name), name
    assert not [name for name in ABSENT if not hasattr(torch.nn, name)]


def test_every_layer_that_computes_is_in_the_table(torch):
    """A layer that is there, and neither in the table nor among those that are tried elsewhere, was forgotten."""
    elsewhere = {
        "Container", "DataParallel", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "RNNBase",
        "RNNCellBase", "Sequential",
    }  # fmt: skip
    known = {name for name, *_ in (*LAYERS, *LAZY)} | elsewhere
    there = {name for name in public_layers(torch) if hasattr(own.nn, name)}
    others = {name for name in there - known if not name.startswith("Transformer") and "Loss" not in name}
    assert not others


def _signature(function):
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [(p.name, p.kind, repr(getattr(p.default, "__name__", p.default))) for p in parameters]


def test_constructors_have_the_arguments_of_pytorch(torch):
    wrong = {}
    for name, theirs in public_layers(torch).items():
        if hasattr(own.nn, name) and name not in BASES:
            expected, found = _signature(theirs.__init__), _signature(getattr(own.nn, name).__init__)
            if expected != found:
                wrong[name] = expected, found
    assert not wrong


def test_methods_of_modules_have_the_arguments_of_pytorch(torch):
    wrong = {}
    for name, theirs in vars(torch.nn.Module).items():
        if name[0] == "_" or name in WRITTEN or not inspect.isfunction(theirs):
            continue
        ours = getattr(own.nn.Module, name, None)
        expected, found = _signature(theirs), ours and _signature(ours)
        if expected != found:
            wrong[name] = expected, found
    assert not wrong
