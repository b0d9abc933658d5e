"""Each function of the compiled module refuses an array that it cannot read or write as it lies, and writes nothing."""

import sys

import numpy as np
import pytest

from fastnn import _native

RNG = np.random.default_rng(0)


def real(*shape):
    return RNG.uniform(0.5, 1.5, shape).astype(DTYPE)


def doubles(*shape):
    return RNG.uniform(0.5, 1.5, shape)


def intp(*values):
    return np.array(values, np.intp)


def workspace(n_bytes):
    """Aligned to 64 bytes."""
    return np.frombuffer(_native.Block(n_bytes), np.uint8)


def images(*shape):
    """(N, C, H, W), pixel-major."""
    n, c, h, w = shape
    return real(h, w, n, c).transpose(2, 3, 0, 1)


def plan(direction):
    shapes = (3, 4, 2, 2), (3, 3, 2, 5), (3, 4, 2, 5)
    return _native.Conv2dPlan(direction, np.dtype(DTYPE), *shapes, (1, 1), (1, 1), (1, 1), 1, "direct", 1)


def pooling(n_outputs=2):
    """The windows of both axes: two rows each, of 4 rows."""
    axis = intp(0, 2, 4), intp((0, 0), (1, 1), (2, 0), (3, 1))
    return *axis, *axis


def taps(source, dtype):
    return np.zeros((2, 2, *source), dtype)


DTYPE = np.float32
PATCHES = (2, 3, 4, 4), (4, 4), (3, 3), (1, 1), (1, 1), (1, 1)


# Of each function: the arguments of a call that works, and the positions of those that it writes.
def calls():
    conv = [plan(direction) for direction in _native.CONV2D_DIRECTIONS]
    room = [workspace(one.workspace) for one in conv]
    heads = [images(2, 4, 3, 5).copy() for _ in range(8)]  # (n, heads, rows, features)
    sizes = [_native.attention_workspace(np.dtype(DTYPE).name, back, *[(2, 4, 3, 5)] * 3, 1) for back in (False, True)]
    attention, attention_back = map(workspace, sizes)
    pixels = [images(2, 3, 4, 4) for _ in range(5)]
    batchnorm = workspace(_native.batchnorm_workspace(32, 3, DTYPE is np.float64))
    groups = workspace(_native.groupnorm_workspace(real(6, 2, 4), 2))
    layer = workspace(_native.layernorm_backward_workspace(real(3, 5), True))
    response = workspace(_native.local_response_norm_workspace(real(3, 5), 3, 1))
    integers = np.array([1, 0, 1]), np.zeros((3, 2), int), np.zeros(3, np.uint8), np.zeros((3, 4), int)
    return {
        "fma_peak": ((2, real(2), doubles(2), 1), (1, 2)),
        "record_tasks": ((lambda mark: None, doubles(9), []), (1,)),
        "layout_transpose": ((real(2, 3, 4), real(3, 2, 4), 1), (1,)),
        "conv2d_forward": ((conv[0], real(3, 4, 2, 2), real(3, 3, 2, 5), real(5), real(3, 4, 2, 5), room[0]), (4, 5)),
        "conv2d_norm_forward": (
            (conv[0], real(3, 4, 2, 2), real(3, 3, 2, 5), real(5), *[real(5) for _ in range(4)], 1e-5, "relu",
             real(3, 4, 2, 5), real(3, 4, 2, 5), room[0]), (11, 12)),
        "conv2d_backward_data": (
            (conv[1], real(3, 4, 2, 5), real(3, 3, 2, 5), real(3, 4, 2, 2), real(3, 4, 2, 2), room[1]), (4, 5)),
        "conv2d_backward_weight": (
            (conv[2], real(3, 4, 2, 2), real(3, 4, 2, 5), real(3, 3, 2, 5), real(5), room[2]), (3, 4, 5)),
        "im2col": ((real(96), real(864), *PATCHES, 1), (1,)),
        "col2im": ((real(864), real(96), *PATCHES, 1), (1,)),
        "activation_forward": (("relu", 0.0, 0.0, real(7), real(7), 1), (4,)),
        "activation_backward": (("relu", 0.0, 0.0, real(7), real(7), real(7), 1), (5,)),
        "prelu_forward": ((real(4, 3), real(3), real(4, 3), 1), (2,)),
        "prelu_backward": (
            (real(4, 3), real(4, 3), real(3), real(4, 3), real(3), real(_native.prelu_backward_workspace(4, 3, 3)), 1),
            (3, 4, 5)),
        "add": ((real(7), real(7), real(7), 1), (2,)),
        "arithmetic": ((2, real(6), real(3), real(6), 2, 1), (3,)),
        "sum_rows": ((real(4, 3), real(3), workspace(_native.sum_rows_workspace(4, 3)), 1), (1, 2)),
        "matmul": ((1, real(2, 3, 4), real(2, 5, 4), real(2, 5, 4), real(2, 3, 5), 1), (3, 4)),
        "attention_forward": ((*heads[:3], 0.5, True, heads[3], attention, 1), (5, 6)),
        "attention_backward": ((*heads[:4], 0.5, True, *heads[4:7], attention_back, 1), (6, 7, 8, 9)),
        "softmax_forward": ((False, real(4, 3), real(4, 3), 1), (2,)),
        "softmax_backward": ((False, real(4, 3), real(4, 3), real(4, 3), 1), (3,)),
        "maxpool2d_forward": ((real(4, 4, 2, 3), real(2, 2, 2, 3), taps((2, 3), np.uint8), *pooling(), 2, 1), (1, 2)),
        "maxpool2d_backward": ((real(2, 2, 2, 3), taps((2, 3), np.int32), real(4, 4, 2, 3), *backwards(), 2, 1), (2,)),
        "avgpool2d_forward": ((real(4, 4, 2, 3), real(2, 2, 2, 3), *pooling(), intp(2, 2), intp(2, 2), 1), (1,)),
        "avgpool2d_backward": ((real(2, 2, 2, 3), real(4, 4, 2, 3), *backwards(), intp(2, 2), intp(2, 2), 1), (1,)),
        "batchnorm_constants": ((real(3), real(3), 1e-5, doubles(3), doubles(3)), (3, 4)),
        "batchnorm_training": (
            (pixels[0], 1e-5, 0.1, real(3), real(3), real(3), real(3), "relu", pixels[1], doubles(4, 3), real(3),
             real(3), pixels[2], batchnorm, 1), (9, 10, 11, 12, 13)),
        "batchnorm_forward": (
            (pixels[0], doubles(3), doubles(3), real(3), real(3), "relu", pixels[1], pixels[2], batchnorm, 1), (7, 8)),
        "batchnorm_backward": (
            (pixels[0], pixels[1], doubles(3), doubles(3), real(3), real(3), "relu", pixels[2], True, pixels[3],
             pixels[4], real(3), real(3), batchnorm, 1), (9, 10, 11, 12, 13)),
        "layernorm_forward": ((real(3, 5), real(5), real(5), 1e-5, real(3, 5), doubles(3), doubles(3), 1), (4, 5, 6)),
        "layernorm_backward_workspace": ((real(3, 5), True), ()),
        "layernorm_backward": (
            (real(3, 5), real(3, 5), doubles(3), doubles(3), real(5), real(3, 5), real(5), real(5), layer, 1),
            (5, 6, 7, 8)),
        "groupnorm_workspace": ((real(6, 2, 4), 2), ()),
        "groupnorm_forward": (
            (real(6, 2, 4), real(4), real(4), 1e-5, real(6, 2, 4), doubles(2, 2), doubles(2, 2), groups, 1),
            (4, 5, 6, 7)),
        "groupnorm_backward": (
            (real(6, 2, 4), real(6, 2, 4), doubles(2, 2), doubles(2, 2), real(4), real(6, 2, 4), real(4), real(4),
             groups, 1), (5, 6, 7, 8)),
        "local_response_norm_workspace": ((real(3, 5), 3, 1), ()),
        "local_response_norm_forward": ((real(3, 5), real(3, 5), 3, 1e-4, 0.75, 1.0, response, 1), (1, 6)),
        "local_response_norm_backward": (
            (real(3, 5), real(3, 5), real(3, 5), 3, 1e-4, 0.75, 1.0, response, 1), (2, 7)),
        "dropout": ((real(7), real(7), 3, 2**31, 2.0, 1), (1,)),
        "dropout_channels": ((real(4, 3), real(3), real(4, 3), 1), (2,)),
        "cross_entropy": (
            (real(3, 5), np.array([1, 0, 4]), None, real(5), -100, 0.1, True, doubles(3), real(3, 5), 1), (7, 8)),
        "sum_of_squares": ((real(7), 1), ()),
        "augment_batch": (
            (np.ones((2, 3, 4, 4), np.uint8), *integers, real(3, 256), real(3), real(4, 4, 3, 3), False, 1), (7,)),
        "warp_batch": ((real(4, 4, 2, 3), real(2, 6), 0.5, real(4, 4, 2, 3), 1), (3,)),
    }  # fmt: skip


def backwards():
    """The windows as the backward takes them: for each of 4 sources, its one destination."""
    axis = intp(0, 1, 2, 3, 4), intp((0, 0), (0, 1), (1, 0), (1, 1))
    return *axis, *axis


CALLS = calls()
ARRAYS = [
    pytest.param(name, i, id=f"{name}-{i}")
    for name, (arguments, _) in CALLS.items()
    for i, argument in enumerate(arguments)
    if isinstance(argument, np.ndarray)
]


def test_native_arrays_table_has_every_function_that_takes_one():
    others = {
        "isa_built", "isa_supported", "isa_select", "isa_selected", "openmp_version", "threads_that_can_be_made",
        "schedule_rule", "empty_regions", "set_flush_denormals", "get_flush_denormals", "prelu_backward_workspace",
        "sum_rows_workspace", "attention_workspace", "batchnorm_workspace",
    }  # fmt: skip
    elsewhere = {"join_rows", "batchnorm_fits", "optimizer_step"}
    public = {name for name, value in vars(_native).items() if callable(value) and not isinstance(value, type)}
    assert {name for name in public if not name.startswith("_")} == set(CALLS) | others | elsewhere


@pytest.mark.parametrize("name", CALLS)
def test_native_calls_of_this_table_work(name):
    getattr(_native, name)(*CALLS[name][0])


def with_layout_of(array, like):
    """The same numbers in memory in the order of another array."""
    order = np.argsort(like.strides)[::-1]
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


def unaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    copy = np.ndarray(array.shape, array.dtype, memory, strides=array.strides)
    copy[...] = array
    return copy


def spoiled(array, is_written):
    """Forms of an array that a function must refuse, by what is wrong with them."""
    other = {"f": np.float64, "d": np.float32, "B": np.int16}.get(array.dtype.char, np.int16)
    yield "half", with_layout_of(array.astype(np.float16), array)
    yield "dtype", with_layout_of(array.astype(other), array)
    yield "complex", with_layout_of(array.astype(np.complex64), array)
    yield "record", with_layout_of(np.zeros(array.shape, [("a", "f4"), ("b", "f4")]), array)
    yield "objects", with_layout_of(array.astype(object), array)
    yield "rank", array[None, None, None]
    yield "no rank", array.ravel()[:1].reshape(())
    if array.dtype.itemsize > 1:
        yield "byte order", with_layout_of(array.astype(array.dtype.newbyteorder()), array)
        yield "alignment", unaligned(array)
    axis = int(np.argmin(array.strides))
    yield "strides", np.repeat(array, 2, axis)[(slice(None),) * axis + (slice(None, None, 2),)]
    yield "reversed", np.flip(array, axis)
    yield "list", array.tolist()
    if is_written:
        fixed = array.view()
        fixed.flags.writeable = False
        yield "read-only", fixed


# Running statistics and what is made of them may be of either dtype; these cast.
EITHER_DTYPE = {("batchnorm_constants", 0), ("batchnorm_constants", 1)}
EITHER_DTYPE |= {("batchnorm_training", i) for i in (3, 4, 10, 11)}


def contents(arguments):
    return [argument.tobytes() if isinstance(argument, np.ndarray) else None for argument in arguments]


def faults_taken(name, position):
    """Those of one argument that the function does not refuse, or after which it has written something."""
    arguments, written = CALLS[name]
    faults = []
    for fault, wrong in spoiled(arguments[position], position in written):
        before = contents(arguments)
        try:
            getattr(_native, name)(*arguments[:position], wrong, *arguments[position + 1 :])
        except (ValueError, TypeError, BufferError, AttributeError):
            if contents(arguments) == before:
                continue
        faults.append(fault)
    return faults


# The one array of its call may be of either dtype, and running statistics, whatever the others are.
OF_EITHER_DTYPE = {"fma_peak": (1,), "sum_of_squares": (0,), "batchnorm_constants": (0, 1),
                   "batchnorm_training": (3, 4, 10, 11)}  # fmt: skip
OF_EITHER_DTYPE |= {name: (0,) for name in CALLS if name.endswith("_workspace")}


@pytest.mark.parametrize(("name", "position"), ARRAYS)
def test_native_function_refuses_an_array_that_it_cannot_take_and_writes_nothing(name, position):
    arrays = [argument for argument in CALLS[name][0] if isinstance(argument, np.ndarray)]
    references = [sys.getrefcount(array) for array in arrays]
    assert faults_taken(name, position) == (["dtype"] if position in OF_EITHER_DTYPE.get(name, ()) else [])
    assert [sys.getrefcount(array) for array in arrays] == references  # every view was given back


# Images to draw from, rows of a scratch array: every size is one that nothing else has.
OF_ANY_SIZE = {
    "record_tasks-1", "layernorm_backward_workspace-0", "groupnorm_workspace-0", "local_response_norm_workspace-0",
    "sum_of_squares-0", "augment_batch-0", "sum_rows-0",
}  # fmt: skip


@pytest.mark.parametrize(("name", "position"), [place for place in ARRAYS if place.id not in OF_ANY_SIZE])
def test_native_function_refuses_an_array_that_is_too_short(name, position):
    arguments, _ = CALLS[name]
    array = arguments[position]
    for axis in range(array.ndim):
        shorter = with_layout_of(np.delete(array, -1, axis), array)
        with pytest.raises((ValueError, TypeError)):
            getattr(_native, name)(*arguments[:position], shorter, *arguments[position + 1 :])


@pytest.mark.parametrize("name", [name for name, (arguments, _) in CALLS.items() if "workspace" not in name])
def test_native_function_takes_arrays_of_float64_and_no_mixture(name, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "DTYPE", np.float64)
    arguments, _ = calls()[name]
    getattr(_native, name)(*arguments)
