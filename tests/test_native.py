"""The compiled module: its stub describes it, and it refuses what would write outside of an array."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _memory, _native

STUB = ast.parse(Path(fastnn.__file__).with_name("_native.pyi").read_text()).body
PUBLIC = {name: value for name, value in vars(_native).items() if not name.startswith("_")}
FUNCTIONS = {name for name, value in PUBLIC.items() if callable(value) and not isinstance(value, type)}


def test_native_stub_has_the_functions_of_the_module_and_their_parameters():
    described = {item.name: [a.arg for a in item.args.args] for item in STUB if isinstance(item, ast.FunctionDef)}
    assert described == {name: list(inspect.signature(PUBLIC[name]).parameters) for name in FUNCTIONS}


def test_native_stub_has_all_other_names_of_the_module():
    described = {item.target.id for item in STUB if isinstance(item, ast.AnnAssign)}
    described |= {item.name for item in STUB if isinstance(item, ast.ClassDef)}
    assert described == set(PUBLIC) - FUNCTIONS


# ---- what callers have checked is checked again where it would write outside of an array -----------------------------
PIXELS, TAPS = np.ones((4, 4, 2, 3), np.float32), np.ones((3, 3, 3, 5), np.float32)
RESULT = np.empty((4, 4, 2, 5), np.float32)


def _settings(algorithm="direct", stride=(1, 1), pad=(1, 1), dilation=(1, 1)):
    return stride, pad, dilation, 1, algorithm


@pytest.mark.parametrize("n_threads", [0, -1, -(2**31)])
@pytest.mark.parametrize("algorithm", ["direct", "winograd", "winograd24", "winograd4"])
def test_native_convolution_refuses_a_workspace_for_no_threads(algorithm, n_threads):
    workspace = _memory.empty((1 << 22,), np.uint8)
    calls = [
        lambda last: _native.conv2d_forward(PIXELS, TAPS, None, RESULT, *last),
        lambda last: _native.conv2d_backward_data(RESULT, TAPS, None, PIXELS.copy(), *last),
        lambda last: _native.conv2d_backward_weight(PIXELS, RESULT, TAPS.copy(), None, *last),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="n_threads must be at least 1"):
            call((*_settings(algorithm), workspace, n_threads))
    for direction in ("forward", "backward_data", "backward_weight"):
        with pytest.raises(ValueError, match="n_threads must be at least 1"):
            _native.conv2d_workspace(direction, PIXELS, TAPS, RESULT, *_settings(algorithm), n_threads)


@pytest.mark.parametrize("name", ["stride", "pad", "dilation"])
@pytest.mark.parametrize("value", [2**31, 2**61, 2**63 - 1])
def test_native_convolution_refuses_settings_whose_products_overflow(name, value):
    with pytest.raises(ValueError, match="stride, padding or dilation is too large"):
        _native.conv2d_workspace("forward", PIXELS, TAPS, RESULT, *_settings(**{name: (1, value)}), 1)
    given = {"stride": (1, 1), "pad": (1, 1), "dilation": (1, 1), name: (value, 1)}
    columns = np.empty(2 * 3 * 9 * 16, np.float32)
    with pytest.raises(ValueError, match="stride, padding or dilation is too large"):
        _native.im2col(True, PIXELS.reshape(-1), columns, (2, 3, 4, 4), (4, 4), (3, 3), *given.values(), 1)
