"""`out=` of functions of torch: those of PyTorch have it here, and the result is the tensor that was given."""

import ast
import functools
import inspect
import pathlib

import numpy as np
import pytest

import fastnn.compat.torch as own

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:torch:UserWarning")]


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


A = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
B = np.random.default_rng(1).standard_normal((3, 3)).astype(np.float32)
U = np.random.default_rng(2).random((3, 3)).astype(np.float32) * 0.8 + 0.1
V, W, SORTED = A[0].copy(), B[0].copy(), np.sort(A[1])
INDEX, EVERY = np.array([2, 0, 1]), np.array([[0, 1, 2], [1, 2, 0], [0, 0, 1]])
MASK = A > 0
BATCH = np.stack([A, B])
SYMMETRIC = (A @ A.T + np.eye(3)).astype(np.float32)

# By the name of the function, what it is called with: arrays become tensors.
CALLS = {
    "addcdiv": (A, B, U), "addcmul": (A, B, U), "addmm": (A, A, B), "addmv": (V, A, W), "addr": (A, V, W),
    "amax": (A, 1), "amin": (A, 1), "aminmax": (A,), "argmax": (A, 1), "argmin": (A, 1),
    "argsort": (A, {"stable": True}),
    "baddbmm": (BATCH, BATCH, BATCH), "bucketize": (A, SORTED), "cholesky": (SYMMETRIC,), "clamp_max": (A, 0.3),
    "clamp_min": (A, 0.3), "column_stack": ([A, B],), "cross": (A, B, 1), "cummax": (A, 1), "cummin": (A, 1),
    "diff": (A,), "dstack": ([A, B],), "ger": (V, W), "hardshrink": (A,), "histc": (A, 4, -1, 1),
    "hstack": ([A, B],), "index_add": (A, 0, INDEX, B), "index_copy": (A, 0, INDEX, B), "index_select": (A, 0, INDEX),
    "inner": (A, B), "inverse": (SYMMETRIC,), "isin": (EVERY, INDEX[:2]), "isneginf": (A,), "isposinf": (A,),
    "kron": (A, B), "kthvalue": (A, 2), "lerp": (A, B, 0.3), "log_softmax": (A, 1), "logit": (U,),
    "logsumexp": (A, 1), "masked_select": (A, MASK), "matrix_power": (A, 3), "max": (A, 1), "median": (A, 1),
    "min": (A, 1), "mode": (EVERY,), "msort": (A,), "multinomial": (np.eye(3, dtype=np.float32), 1),
    "mvlgamma": (U + 2, 2), "nan_to_num": (A,), "nanmean": (A, 1), "nansum": (A, 1), "narrow_copy": (A, 0, 1, 2),
    "nonzero": (A,), "outer": (V, W), "prod": (A, 1), "qr": (A,), "quantile": (A, 0.3), "renorm": (A, 2, 0, 1.0),
    "row_stack": ([A, B],), "scatter": (A, 1, EVERY, B), "scatter_add": (A, 1, EVERY, B),
    "scatter_reduce": (A, 1, EVERY, B, "amax"), "searchsorted": (SORTED, A), "signbit": (A,),
    "slice_scatter": (A, B[:2], 0, 1, 3), "slogdet": (A,), "softmax": (A, 1), "sort": (A, 1), "std": (A, 1),
    "svd": (A,), "take": (A, INDEX), "take_along_dim": (A, EVERY, 1), "threshold": (A, 0.1, 0.5), "topk": (A, 2),
    "var": (A, 1), "vdot": (V, W), "vstack": ([A, B],), "where": (MASK, A, B), "xlogy": (A, U),
}  # fmt: skip
UP_TO_SIGN = {"svd", "qr"}


def that_take_out(torch):
    """The functions that PyTorch's file of types gives an `out`."""
    text = (pathlib.Path(torch.__file__).parent / "_C" / "_VariableFunctions.pyi").read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if any(a.arg == "out" for a in (*f.args.args, *f.args.kwonlyargs))}


def test_functions_take_out_where_those_of_pytorch_do(torch):
    there = {name for name in that_take_out(torch) if hasattr(own, name)}
    assert len(there) > 200
    assert not {name for name in there if "out" not in inspect.signature(getattr(own, name)).parameters}


def test_every_function_that_gets_out_by_the_table_is_called_here():
    from fastnn.compat.torch._out import WRITE

    assert set(WRITE) <= CALLS.keys()


def given(library, value):
    if isinstance(value, list):
        return [given(library, part) for part in value]
    return library.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", CALLS)
def test_result_is_written_into_out(torch, name):
    found = {}
    for library in (torch, own):
        keywords = CALLS[name][-1] if isinstance(CALLS[name][-1], dict) else {}
        arguments = [given(library, value) for value in CALLS[name] if value is not keywords]
        function = functools.partial(getattr(library, name), *arguments, **keywords)
        plain = function()
        several = isinstance(plain, tuple)
        parts = tuple(plain) if several else (plain,)
        into = tuple(library.empty(0, dtype=part.dtype) for part in parts)
        result = function(out=into if several else into[0])
        results = tuple(result) if several else (result,)
        assert all(y is x for y, x in zip(results, into, strict=True))
        for y, x in zip(results, parts, strict=True):
            np.testing.assert_array_equal(y.numpy(), x.numpy())
        found[library] = [y.numpy() for y in results]
        if hasattr(plain, "_fields") and library is own:
            assert type(result) is type(plain)
    for y, right in zip(found[own], found[torch], strict=True):
        assert y.shape == right.shape
        signs = (lambda x: np.abs(x)) if name in UP_TO_SIGN else (lambda x: x)
        np.testing.assert_allclose(signs(y), signs(right), rtol=2e-4, atol=2e-5)


def test_out_of_the_functions_of_special(torch):
    for library in (torch, own):
        for name, arguments in (
            ("logit", (U,)),
            ("logsumexp", (A, 1)),
            ("multigammaln", (U + 2, 2)),
            ("xlogy", (A, U)),
        ):
            function, into = getattr(library.special, name), library.empty(0)
            values = [given(library, value) for value in arguments]
            assert function(*values, out=into) is into
            np.testing.assert_array_equal(into.numpy(), function(*values).numpy())


def test_unsqueeze_takes_no_out_as_in_pytorch(torch):
    for library in (torch, own):
        with pytest.raises(TypeError, match="out"):
            library.unsqueeze(library.ones(2), 0, out=library.empty(0))
