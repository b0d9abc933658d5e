"""Texts of tensors beside PyTorch's."""

import inspect

import numpy as np
import pytest
import torch

from fastnn.compat.torch import _printing as ours
from fastnn.compat.torch._tensor import new

pytestmark = pytest.mark.torch

SHAPES = [(), (1,), (3,), (0,), (0, 3), (2, 3), (40,), (3, 30), (2, 3, 4), (1001,), (30, 40), (7, 200), (3, 500),
          (12, 12, 12), (2, 1, 3, 2), (6, 6, 40), (5000, 1), (1, 2, 0)]  # fmt: skip
DTYPES = [np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.int8, np.bool_]


def numbers(generator, shape, dtype, kind):
    if np.dtype(dtype).kind in "iu":
        return generator.integers(0, 120, shape).astype(dtype) * (1 if dtype == np.uint8 else -1 if kind % 2 else 1)
    if dtype is np.bool_:
        return np.asarray(generator.standard_normal(shape) > 0)
    x = np.asarray(generator.standard_normal(shape))
    if kind == 1:
        x = np.round(x * 10)
    elif kind == 2:
        x = x * 10.0 ** generator.integers(-7, 7, shape)
    elif kind == 3:
        x = np.round(x * 1e5)
    elif kind == 4:
        x = x * 1e-5
    elif kind == 5:
        x = np.where(x > 0.5, np.inf, np.where(x < -0.5, np.nan, np.round(x)))
    elif kind == 6:
        x = np.where(x > 0.5, -np.inf, np.where(x < -0.5, np.nan, x))
    elif kind == 7:
        x = x * 0
    elif kind == 8:
        x = np.round(x * 1e9)
    with np.errstate(over="ignore"):
        return np.asarray(x.astype(dtype))


@pytest.fixture(params=[
    {}, {"precision": 2}, {"threshold": 5}, {"edgeitems": 1}, {"linewidth": 40}, {"profile": "short"},
    {"profile": "full", "threshold": 3000}, {"sci_mode": True}, {"sci_mode": False}, {"precision": 8, "linewidth": 120},
    {"edgeitems": 5, "threshold": 20}, {"edgeitems": 0, "threshold": 10},
])  # fmt: skip
def options(request):
    for module in (ours, torch):
        module.set_printoptions(profile="default")
        module.set_printoptions(**request.param)
    yield
    for module in (ours, torch):
        module.set_printoptions(profile="default")


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_print_like_pytorchs(dtype, options):
    generator = np.random.default_rng(0)
    for shape in SHAPES:
        for kind in range(9 if np.dtype(dtype).kind == "f" else 2):
            array = numbers(generator, shape, dtype, kind)
            assert ours.text_of(new(array)) == repr(torch.tensor(array)), (shape, kind)


def test_what_requires_a_gradient_says_so_like_pytorchs(options):
    generator = np.random.default_rng(1)
    for shape in SHAPES:
        for dtype in (np.float32, np.float64):
            array = generator.standard_normal(shape).astype(dtype)
            text = ours.text_of(new(np.asarray(array)).requires_grad_())
            assert text == repr(torch.tensor(array, requires_grad=True))


def test_a_result_names_its_operation_at_the_same_place():
    for shape in SHAPES:
        array = np.full(shape, 0.5)
        mine = new(array).requires_grad_()
        theirs = torch.tensor(array, requires_grad=True)
        expected = repr(theirs * 2).replace("MulBackward0", "MultiplyBackward0")
        if "\n       grad_fn" not in expected:  # else a longer name may have taken a line of its own
            assert ours.text_of(mine * 2) == expected


def test_the_settings_are_pytorchs():
    theirs = inspect.signature(torch.set_printoptions).parameters
    mine = inspect.signature(ours.set_printoptions).parameters
    assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in theirs.values()]
    with ours.printoptions(precision=2, sci_mode=True), torch._tensor_str.printoptions(precision=2, sci_mode=True):
        assert ours.get_printoptions() == torch._tensor_str.get_printoptions()
    assert ours.get_printoptions() == torch._tensor_str.get_printoptions()
