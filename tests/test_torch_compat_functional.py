"""The functions of fastnn.compat.torch.nn.functional are PyTorch's: values, dtypes, gradients, signatures."""

import inspect
import re

import numpy as np
import pytest
from compat_comparing import flat, numbers, weighted
from compat_functionals import CASES, IN_PLACE, RANDOM, ids, materialised

import fastnn.compat.torch as own
import fastnn.compat.torch.nn.functional as own_functional

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings(
        "ignore:.*(deprecated|size_average|different to the input size|batch size and|padding='same'|invalid value)"
    ),
]

TOLERANCE = {np.float32: {"rtol": 2e-4, "atol": 2e-5}, np.float64: {"rtol": 1e-9, "atol": 1e-10}}
# PyTorch multiplies gradients with constants of float32.
COARSE = {key: {"rtol": 1e-07, "atol": 1e-08} for key in ("celu", "hardsigmoid", "selu")}


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def called(library, given, dtype, in_place=False):
    """The results of a call, the gradients with respect to its tensors, and these after it."""
    name = given[0]
    arguments, keywords, wanted = materialised(given, dtype)
    leaves, passed = [], []

    def tensor(value):
        if not isinstance(value, np.ndarray):
            return value
        leaf = library.from_numpy(value.copy())
        if wanted[len(leaves)]:
            leaf.requires_grad_()
        leaves.append(leaf)
        passed.append(leaf.clone() if in_place else leaf)
        return passed[-1]

    arguments = [tensor(value) for value in arguments]
    keywords = {key: tensor(value) for key, value in keywords.items()}
    results = flat(getattr(library.nn.functional, name)(*arguments, **keywords))
    recorded = [y for y in results if y.requires_grad]
    if recorded:
        weighted(library, recorded).backward()
    return results, [leaf.grad for leaf in leaves], passed


def compare(torch, given, dtype, in_place=False):
    tolerance = COARSE.get(given[0].rstrip("_"), TOLERANCE[dtype]) if dtype is np.float64 else TOLERANCE[dtype]
    expected, dexpected, after = called(torch, given, dtype, in_place)
    found, dfound, changed = called(own, given, dtype, in_place)
    assert len(found) == len(expected)
    for y, right in zip(found, expected, strict=True):
        assert isinstance(y, own.Tensor)
        assert repr(y.dtype) == repr(right.dtype)
        assert tuple(y.shape) == tuple(right.shape)
        assert y.requires_grad == right.requires_grad
        np.testing.assert_allclose(numbers(y), numbers(right), **tolerance)
    for number, (dx, right) in enumerate(zip(dfound, dexpected, strict=True)):
        assert (dx is None) == (right is None), f"tensor {number}"
        if dx is not None:
            np.testing.assert_allclose(numbers(dx), numbers(right), **tolerance, err_msg=f"tensor {number}")
    for x, right in zip(changed, after, strict=True):
        np.testing.assert_allclose(numbers(x), numbers(right), **tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", CASES, ids=ids(CASES))
def test_functions_have_results_and_gradients_of_pytorch(torch, given, dtype):
    compare(torch, given, dtype)


@pytest.mark.parametrize("given", IN_PLACE, ids=ids(IN_PLACE))
def test_functions_in_place_change_what_pytorch_changes(torch, given):
    compare(torch, given, np.float64, in_place=True)


def test_functions_of_no_training_leave_the_input_as_it_is(torch):
    x = own.from_numpy(np.ones((2, 4, 5), np.float32))
    for name in RANDOM:
        if name != "gumbel_softmax":
            np.testing.assert_array_equal(getattr(own_functional, name)(x, 0.5, False).numpy(), x.numpy())


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "alpha_dropout"])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_has_the_distribution_of_pytorch(torch, name, p):
    """The values that are there are the same, and how often each of them is."""
    torch.manual_seed(0)
    own.manual_seed(0)
    shape = (2000, 10, 3, 1) if name == "dropout2d" else (2000, 10, 3)
    found, expected = (
        numbers(getattr(library.nn.functional, name)(library.ones(*shape), p, training=True))
        for library in (own, torch)
    )
    values, counts = np.unique(np.round(expected, 4), return_counts=True)
    own_values, own_counts = np.unique(np.round(found, 4), return_counts=True)
    np.testing.assert_allclose(own_values, values, atol=2e-4)
    drawn = shape[0] * shape[1] * (1 if name in ("dropout1d", "dropout2d") else shape[2])
    spread = 6 * np.sqrt(2 * p * (1 - p) / drawn)
    np.testing.assert_allclose(own_counts / found.size, counts / expected.size, atol=spread + 1e-9)


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_has_the_distribution_of_pytorch(torch, hard):
    logits = np.broadcast_to(np.float64([0.1, 1.0, -1.0]), (20000, 3))
    found, expected = (
        numbers(library.nn.functional.gumbel_softmax(library.from_numpy(logits.copy()), tau=0.7, hard=hard))
        for library in (own, torch)
    )
    np.testing.assert_allclose(found.mean(0), expected.mean(0), atol=0.02)
    np.testing.assert_allclose(found.std(0), expected.std(0), atol=0.02)


# ---- names and arguments ---------------------------------------------------------------------------------------------
# What torch.nn.functional holds for itself, and nobody calls.
INTERNAL = {
    "assert_int_or_pair",
    "boolean_dispatch",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "grouped_mm",
    "scaled_grouped_mm",
    "scaled_mm",
}


def functions_of(torch):
    module = torch.nn.functional
    return {
        name: getattr(module, name)
        for name in dir(module)
        if name.islower()
        and name[0] != "_"
        and callable(getattr(module, name))
        and not isinstance(getattr(module, name), type)
        and name not in INTERNAL
    }


def test_every_function_is_there_or_has_advice(torch):
    for name in functions_of(torch):
        if name not in own_functional.__all__:
            with pytest.raises(AttributeError, match=rf"^torch\.nn\.functional\.{name} is not in fastnn: .{{10,}}"):
                getattr(own_functional, name)


def test_every_function_that_is_there_is_in_the_table():
    known = {name for name, *_ in CASES + IN_PLACE} | set(RANDOM)
    assert set(own_functional.__all__) == known


def _of_text(function):
    """The arguments and defaults that the documentation of a function in C++ begins with."""
    text = re.search(r"\(([^)]*(?:\([^)]*\)[^)]*)*)\) ->", function.__doc__).group(1)
    pairs = [part.strip().partition("=") for part in text.split(",")]
    return [(name.strip(), eval(default) if default else inspect.Parameter.empty) for name, _, default in pairs]


def test_functions_have_the_arguments_of_pytorch(torch):
    wrong = {}
    for name, function in functions_of(torch).items():
        if name not in own_functional.__all__:
            continue
        ours = inspect.signature(getattr(own_functional, name)).parameters.values()
        try:
            theirs = list(inspect.signature(function).parameters.values())
        except ValueError:
            found, expected = [(p.name, p.default) for p in ours], _of_text(function)
        else:
            if theirs[0].kind is inspect.Parameter.VAR_POSITIONAL:  # one of two functions, by a flag
                theirs = list(
                    inspect.signature(getattr(torch.nn.functional, f"{name}_with_indices")).parameters.values()
                )
            found, expected = ([(p.name, p.kind, p.default) for p in several] for several in (ours, theirs))
        if found != expected:
            wrong[name] = found, expected
    assert not wrong


# ---- errors ----------------------------------------------------------------------------------------------------------
REFUSED = {
    "a loss of an unknown reduction": lambda t: t.nn.functional.mse_loss(t.ones(2), t.ones(2), reduction="median"),
    "a target of another size": lambda t: t.nn.functional.binary_cross_entropy(t.ones(2, 1), t.ones(2)),
    "logits of another size": lambda t: t.nn.functional.binary_cross_entropy_with_logits(t.ones(2, 1), t.ones(2)),
    "a negative variance": lambda t: t.nn.functional.gaussian_nll_loss(t.ones(2), t.ones(2), -t.ones(2)),
    "a label that is no class": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 3])),
    "labels of another number": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1, 2])),
    "dropout above 1": lambda t: t.nn.functional.dropout(t.ones(2), 1.5),
    "an odd half": lambda t: t.nn.functional.glu(t.ones(2, 3)),
    "one_hot of floats": lambda t: t.nn.functional.one_hot(t.ones(2)),
    "one_hot of a class too many": lambda t: t.nn.functional.one_hot(t.tensor([3]), 3),
    "filters for other channels": lambda t: t.nn.functional.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 4, 3, 3)),
    "an image that is too small": lambda t: t.nn.functional.max_pool2d(t.ones(1, 1, 2, 2), 3),
    "a matrix that does not fit": lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(4, 5)),
    "a negative lambda": lambda t: t.nn.functional.softshrink(t.ones(2), -1.0),
    "multilabels of another shape": lambda t: t.nn.functional.multilabel_margin_loss(t.ones(2, 3), t.tensor([[0, 1]])),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_functions_refuse_what_pytorch_refuses(torch, call):
    with pytest.raises(Exception) as expected:  # noqa: PT011 (each of them says something else)
        call(torch)
    with pytest.raises((ValueError, RuntimeError, IndexError, TypeError, NotImplementedError)) as found:
        call(own)
    kinds = {ValueError, RuntimeError, IndexError}
    assert type(found.value) is type(expected.value) or {type(found.value), type(expected.value)} <= kinds
