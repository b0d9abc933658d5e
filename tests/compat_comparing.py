"""The same modules in PyTorch and in fastnn.compat.torch, and what came of them beside each other."""

import importlib
import inspect

import numpy as np

import fastnn.compat.torch as own

__all__ = ["alike", "array", "flat", "numbers", "part", "same", "signature", "weighted"]


def part(library, name):
    """A module of one of the two libraries: "nn.utils.rnn"."""
    return importlib.import_module(f"{library.__name__}.{name}")


def numbers(x):
    return x.detach().numpy()


def flat(value):
    return [item for several in value for item in flat(several)] if isinstance(value, tuple | list) else [value]


def weighted(library, results):
    total = 0
    for y in results:
        weights = np.cos(np.arange(numbers(y).size)).reshape(tuple(y.shape)).astype(numbers(y).dtype)
        total = total + (y * library.from_numpy(np.asarray(weights))).sum()
    return total


def same(found, expected, tolerance):
    assert len(found) == len(expected)
    for number, (x, right) in enumerate(zip(found, expected, strict=True)):
        assert (x is None) == (right is None), number
        if x is not None:
            assert tuple(x.shape) == tuple(right.shape)
            np.testing.assert_allclose(numbers(x), numbers(right), **tolerance, err_msg=str(number))


def signature(function):
    return [(p.name, p.kind, repr(p.default)) for p in inspect.signature(function).parameters.values()]


def alike(torch, make, dtype=np.float64, seed=0):
    """A module of each library, with the same numbers; `make` gets the library."""
    theirs, ours = make(torch), make(own)
    if dtype is np.float64:
        theirs, ours = theirs.double(), ours.double()
    rng = np.random.default_rng(seed)
    for tensor in theirs.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.from_numpy(rng.uniform(0.1, 0.9, tuple(tensor.shape)).astype(dtype)))
    state = {key: own.from_numpy(value.numpy().copy()) for key, value in theirs.state_dict().items()}
    ours.load_state_dict(state)
    return theirs, ours


def array(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)
