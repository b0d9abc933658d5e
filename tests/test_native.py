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
    described = {
        item.name: [a.arg for a in item.args.posonlyargs] for item in STUB if isinstance(item, ast.FunctionDef)
    }
    assert described == {name: list(inspect.signature(PUBLIC[name]).parameters) for name in FUNCTIONS}


def test_native_stub_has_all_other_names_of_the_module():
    described = {item.target.id for item in STUB if isinstance(item, ast.AnnAssign)}
    described |= {item.name for item in STUB if isinstance(item, ast.ClassDef)}
    assert described == set(PUBLIC) - FUNCTIONS


# ---- what callers have checked is checked again where it would write outside of an array -----------------------------
PIXELS, TAPS = np.ones((4, 4, 2, 3), np.float32), np.ones((3, 3, 3, 5), np.float32)
RESULT = np.empty((4, 4, 2, 5), np.float32)


DIRECTIONS = _native.CONV2D_DIRECTIONS


def _plan(direction="forward", algorithm="direct", n_threads=1, dtype="float32", **settings):
    given = {"stride": (1, 1), "pad": (1, 1), "dilation": (1, 1), "groups": 1, **settings}
    shapes = PIXELS.shape, TAPS.shape, RESULT.shape
    return _native.Conv2dPlan(direction, np.dtype(dtype), *shapes, *given.values(), algorithm, n_threads)


@pytest.mark.parametrize("n_threads", [0, -1, -(2**31)])
@pytest.mark.parametrize("algorithm", _native.CONV2D_ALGORITHMS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_native_convolution_refuses_to_plan_for_no_threads(direction, algorithm, n_threads):
    with pytest.raises(ValueError, match="n_threads must be at least 1"):
        _plan(direction, algorithm, n_threads)


def test_native_convolution_refuses_what_its_plan_is_not_for():
    """Another direction or dtype, an array of another shape, a workspace that is too small or not aligned."""
    workspace = _memory.empty((1 << 22,), np.uint8)
    calls = [
        lambda plan, x, w, y, room: _native.conv2d_forward(plan, x, w, None, y, room),
        lambda plan, x, w, y, room: _native.conv2d_backward_data(plan, y, w, None, x, room),
        lambda plan, x, w, y, room: _native.conv2d_backward_weight(plan, x, y, w, None, room),
    ]
    for i, (direction, call) in enumerate(zip(DIRECTIONS, calls, strict=True)):
        plan, arrays = _plan(direction), [PIXELS.copy(), TAPS.copy(), RESULT.copy()]
        call(plan, *arrays, workspace)
        for other, words in (
            (_plan(DIRECTIONS[i - 1]), f"conv2d: the plan is for {DIRECTIONS[i - 1]}, not {direction}"),
            (_plan(direction, dtype="float64"), "an array of float64 is needed"),
        ):
            with pytest.raises(ValueError, match=words):
                call(other, *arrays, workspace)
        for j in range(3):
            for axis in range(4):
                smaller = list(arrays)
                smaller[j] = np.ascontiguousarray(np.delete(arrays[j], 0, axis))
                with pytest.raises(ValueError, match="conv2d: shapes do not fit"):
                    call(plan, *smaller, workspace)
        for room in (workspace[: plan.workspace - 1], workspace[1:]):
            with pytest.raises(ValueError, match="workspace of"):
                call(plan, *arrays, room)
        with pytest.raises(TypeError):
            call(None, *arrays, workspace)
        for j in range(3):
            for wrong, error in ((None, TypeError), (arrays[j].T, ValueError), (arrays[j].astype(">f4"), ValueError),
                                 (arrays[j].reshape(-1), ValueError)):  # fmt: skip
                with pytest.raises(error):
                    call(plan, *arrays[:j], wrong, *arrays[j + 1 :], workspace)
        result = (2, 0, 1)[i]
        arrays[result].flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            call(plan, *arrays, workspace)


@pytest.mark.parametrize(
    ("position", "shape"),
    [(0, (4, 4, 3, 3)), (0, (4, 4, 2, 4)), (1, (3, 3, 2, 5)), (1, (3, 3, 3, 4)), (2, (4, 4, 1, 5)), (2, (0, 4, 2, 5))],
)
def test_native_convolution_refuses_shapes_that_do_not_fit(position, shape):
    shapes = [PIXELS.shape, TAPS.shape, RESULT.shape]
    shapes[position] = shape
    with pytest.raises(ValueError, match="conv2d: shapes do not fit"):
        _native.Conv2dPlan("forward", np.dtype("float32"), *shapes, (1, 1), (1, 1), (1, 1), 1, "direct", 1)


def test_native_convolution_refuses_arrays_that_no_memory_holds():
    shapes = (2**31, 2**31, 1, 1), (1, 1, 1, 1), (2**31, 2**31, 1, 1)
    with pytest.raises(OverflowError, match="a size does not fit into memory"):
        _native.Conv2dPlan("forward", np.dtype("float32"), *shapes, (1, 1), (0, 0), (1, 1), 1, "direct", 1)


@pytest.mark.parametrize("name", ["stride", "pad", "dilation"])
@pytest.mark.parametrize("value", [2**31, 2**61, 2**63 - 1])
def test_native_convolution_refuses_settings_whose_products_overflow(name, value):
    with pytest.raises(ValueError, match="stride, padding or dilation is too large"):
        _plan(**{name: (1, value)})
    given = {"stride": (1, 1), "pad": (1, 1), "dilation": (1, 1), name: (value, 1)}
    columns = np.empty(2 * 3 * 9 * 16, np.float32)
    with pytest.raises(ValueError, match="stride, padding or dilation is too large"):
        _native.im2col(PIXELS.reshape(-1), columns, (2, 3, 4, 4), (4, 4), (3, 3), *given.values(), 1)
