"""Convolutions of arrays, of tensors and by the operation itself: one route, the same bits."""

import itertools

import numpy as np
import pytest
from oracle import layouts

import fastnn
from fastnn import _layout
from fastnn import functional as F
from fastnn.autograd.tape import go_back
from fastnn.functional import _conv2d_plan
from fastnn.functional._conv2d_plan import Norm, plan_for
from fastnn.functional.conv2d import Conv2d

SETTINGS = {
    "plain": {"padding": 1},
    "strided": {"stride": (2, 1), "padding": (0, 2)},
    "grouped": {"groups": 2, "dilation": 2, "padding": "same"},
    "winograd": {"padding": 1, "algorithm": "winograd24"},
    "im2col": {"padding": 1, "groups": 2, "algorithm": "im2col"},
}
DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "algorithm": "auto"}
every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
every_backend = pytest.mark.parametrize("backend", ["native", "reference"])


def problem(settings, rng, dtype=np.float32):
    """x, weight, bias and dy."""
    shapes = (3, 4, 6, 7), (6, 4 // settings.get("groups", 1), 3, 3), (6,)
    x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return x, weight, bias, rng.standard_normal(F.conv2d(x, weight, bias, **settings).shape).astype(dtype)


def leaves(*arrays):
    return [fastnn.tensor(array, requires_grad=True) for array in arrays]


def operation(settings, norm=None):
    return Conv2d(**(DEFAULTS | settings), norm=norm)


def assert_all_equal(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e)


@every_backend
@every_setting
def test_conv2d_of_arrays_of_tensors_and_by_its_operation_has_the_same_bits(settings, backend, rng):
    x, weight, bias, _ = problem(settings, rng)
    with fastnn.backend(backend):
        y = F.conv2d(x, weight, bias, **settings)
        assert type(y) is np.ndarray
        np.testing.assert_array_equal(operation(settings)(x, weight, bias), y)
        recorded = F.conv2d(*leaves(x, weight, bias), **settings)
        np.testing.assert_array_equal(recorded.data, y)
        with fastnn.no_grad():
            np.testing.assert_array_equal(F.conv2d(*leaves(x, weight, bias), **settings), y)


@every_backend
@every_setting
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conv2d_gradients_of_tensors_equal_those_of_the_function(settings, dtype, backend, rng):
    x, weight, bias, dy = problem(settings, rng, dtype)
    with fastnn.backend(backend):
        tensors = leaves(x, weight, bias)
        F.conv2d(*tensors, **settings).backward(dy)
        assert_all_equal([t.grad for t in tensors], F.conv2d_backward(dy, x, weight, **settings))
        for t in tensors:
            assert (t.grad.shape, t.grad.dtype) == (t.shape, t.dtype)


@every_backend
@pytest.mark.parametrize("needs", list(itertools.product([False, True], repeat=3)))
def test_conv2d_operation_computes_and_keeps_only_what_is_needed(needs, backend, rng):
    x, weight, bias, dy = problem({}, rng)
    with fastnn.backend(backend):
        expected = F.conv2d_backward(dy, x, weight)
        op = operation({})
        inputs = [fastnn.tensor(a, requires_grad=need) for a, need in zip((x, weight, bias), needs, strict=True)]
        y = op(*inputs)
        assert (op.x is not None) == (needs[1] or needs[2])
        assert (op.weight is not None) == needs[0]
        if any(needs):
            actual = op.backward(dy)
            for a, e, need in zip(actual, expected, needs, strict=True):
                assert (a is not None) == need
                if need:
                    np.testing.assert_array_equal(a, e)
            y.backward(dy)
            assert [t.grad is not None for t in inputs] == list(needs)


class Double(fastnn.Op):
    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


@every_backend
@every_setting
def test_conv2d_adds_to_the_gradient_that_x_has_from_elsewhere(settings, backend, rng):
    x, weight, bias, dy = problem(settings, rng)
    other_dy = rng.standard_normal(x.shape).astype(np.float32)
    addends = []
    with fastnn.backend(backend):
        tensors = leaves(x, weight, bias)
        branch = Double()(tensors[0])  # a result, since gradients of leaves add up at the leaf
        op = operation(settings)
        y = op(branch, *tensors[1:])
        z = Double()(branch)  # called later, so that it goes back first
        backward = op.backward
        op.backward = lambda dy, addend=None: (addends.append(addend), backward(dy, addend))[1]
        go_back([(y, dy), (z, other_dy)])
        dx, dweight, dbias = F.conv2d_backward(dy, 2 * x, weight, **settings, addend=2 * other_dy)
    np.testing.assert_array_equal(addends, [2 * other_dy])
    assert_all_equal([t.grad for t in tensors], [2 * dx, dweight, dbias])


def test_conv2d_gradient_of_x_used_twice_is_the_sum(rng):
    x, weight, bias, dy = problem({}, rng, np.float64)
    (t,) = leaves(x)
    go_back([(F.conv2d(t, weight), dy), (F.conv2d(t, weight, bias), dy)])
    np.testing.assert_array_equal(t.grad, 2 * F.conv2d_backward(dy, x, weight)[0])


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_conv2d_gradients_are_those_of_the_arrays_as_they_were(layout, rng):
    """Arrays of the caller may change after the forward."""
    x, weight, bias, dy = problem({}, rng)
    given = layouts(x.copy())[layout]
    if layout == "read_only":
        given = _layout.pixel_major(x.copy())
        given.flags.writeable = False
    _, w, b = leaves(x, weight, bias)
    y = F.conv2d(given, w, b)
    if not given.flags.writeable:
        given.flags.writeable = True
    given[...] = 0
    y.backward(dy)
    np.testing.assert_array_equal(w.grad, F.conv2d_backward(dy, x, weight)[1])


def test_conv2d_gradients_notice_a_pixel_major_array_of_the_caller_that_changes(rng):
    x, weight, bias, dy = problem({}, rng)
    given = _layout.pixel_major(x.copy())
    for kind in (lambda a: a, lambda a: a.view(np.memmap)):
        _, w, b = leaves(x, weight, bias)
        y = F.conv2d(kind(given), w, b)
        given[...] = 0
        y.backward(dy)
        np.testing.assert_array_equal(w.grad, F.conv2d_backward(dy, x, weight)[1])
        given[...] = x


def test_conv2d_refuses_to_go_back_with_a_weight_that_was_written_into(rng):
    x, weight, bias, dy = problem({}, rng)
    taps_first = _layout.contiguous(weight.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
    tensors = leaves(x, taps_first, bias)
    y = F.conv2d(*tensors)
    with fastnn.no_grad():
        tensors[1] += 1
    with pytest.raises(RuntimeError, match="Conv2d: an array that its backward needs was written into"):
        y.backward(dy)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"stride": 1.0}, TypeError, "stride must be an integer or two of them. Received: 1.0"),
        ({"stride": (1.0, 1)}, TypeError, r"stride must be an integer or two of them. Received: \(1.0, 1\)"),
        ({"padding": (True, True)}, TypeError, r"padding must be an integer or two of them. Received: \(True, True\)"),
        ({"padding": [[1], 1]}, TypeError, "padding must be an integer or two of them"),
        ({"dilation": None}, TypeError, "dilation must be an integer or two of them. Received: None"),
        ({"groups": 1.0}, TypeError, "groups must be an integer. Received: 1.0"),
        ({"groups": True}, TypeError, "groups must be an integer. Received: True"),
        ({"algorithm": ["auto"]}, ValueError, r"algorithm must be one of .* Received: \['auto'\]"),
        ({"algorithm": None}, ValueError, "algorithm must be one of .* Received: None"),
        ({"stride": (1, 1, 1)}, ValueError, "stride must be one or two integers"),
        ({"padding": 9, "algorithm": "winograd"}, ValueError, "algorithm 'winograd' needs a 3 x 3 kernel"),
    ],
)
def test_conv2d_tells_what_is_wrong_at_every_call_whatever_was_planned(settings, error, words, rng):
    x, weight, _, dy = problem({}, rng)
    right = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    for _ in range(2):
        with pytest.raises(error, match=f"conv2d: {words}"):
            F.conv2d(x, weight, **{**right, **settings})
        with pytest.raises(error, match=f"conv2d_backward: {words}"):
            F.conv2d_backward(dy, x, weight, **{**right, **settings})
        F.conv2d(x, weight, **right)  # equal to some of those


def test_conv2d_says_what_does_not_fit_at_every_call(rng):
    x, weight, bias, _ = problem({}, rng)
    for _ in range(2):
        F.conv2d(x, weight, bias)
        with pytest.raises(TypeError, match="conv2d: x has dtype int64"):
            F.conv2d(x.astype(np.int64), weight.astype(np.int64))
        with pytest.raises(TypeError, match="conv2d: dtypes differ"):
            F.conv2d(x, weight, bias.astype(np.float64))
        with pytest.raises(ValueError, match=r"x has 3 channels.*x.shape=\(3, 3, 6, 7\), weight.shape=\(6, 4, 3, 3\)"):
            F.conv2d(x[:, :3], weight, bias)
        with pytest.raises(ValueError, match=r"Received: .*stride=1, padding=0, dilation=5, groups=1"):
            F.conv2d(x, weight, bias, dilation=5)


def test_conv2d_takes_settings_in_any_form(rng):
    x, weight, bias, dy = problem({"padding": 1}, rng)
    y = F.conv2d(x, weight, bias, padding=1)
    gradients = F.conv2d_backward(dy, x, weight, padding=1)
    for padding in (1, (1, 1), [1, 1], np.int64(1), np.array([1, 1]), (np.int32(1), 1), "same"):
        np.testing.assert_array_equal(F.conv2d(x, weight, bias, padding=padding), y)
        assert_all_equal(F.conv2d_backward(dy, x, weight, padding=padding), gradients)
    np.testing.assert_array_equal(F.conv2d(x.tolist(), weight.tolist(), padding=1), F.conv2d(
        x.astype(np.float64), weight.astype(np.float64), padding=1))  # fmt: skip


def test_conv2d_goes_back_by_what_is_chosen_then(rng):
    """Threads, algorithm and backend may be others than in the forward."""
    x, weight, bias, dy = problem({"padding": 1}, rng)
    for setting in (
        fastnn.conv2d_algorithm("im2col"),
        fastnn.conv2d_algorithm("winograd"),
        fastnn.backend("reference"),
    ):
        tensors = leaves(x, weight, bias)
        y = F.conv2d(*tensors, padding=1)
        with setting:
            y.backward(dy)
            assert_all_equal([t.grad for t in tensors], F.conv2d_backward(dy, x, weight, padding=1))
    tensors = leaves(x, weight, bias)
    y = F.conv2d(*tensors, padding=1)
    fastnn.set_num_threads(3)
    y.backward(dy)
    assert_all_equal([t.grad for t in tensors], F.conv2d_backward(dy, x, weight, padding=1))


def test_conv2d_of_an_empty_batch_gives_gradients_of_zero():
    tensors = leaves(np.zeros((0, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32), np.ones(4, np.float32))
    y = F.conv2d(*tensors, padding=1)
    y.backward(np.zeros((0, 4, 8, 8), np.float32))
    assert [t.grad.shape for t in tensors] == [t.shape for t in tensors]
    assert not any(t.grad.any() for t in tensors)


def test_conv2d_finds_a_plan_again():
    arguments = (2, 3, 8, 8), (4, 3, 3, 3), np.dtype(np.float32), ((1, 1), (1, 1), (1, 1), 1, "auto")
    plan = plan_for("conv2d", *arguments)
    assert plan_for("conv2d", *arguments) is plan
    assert plan.now() is plan
    with fastnn.conv2d_algorithm("im2col"):
        assert plan.now() is not plan


def test_conv2d_keeps_no_more_plans_than_it_may(monkeypatch, rng):
    monkeypatch.setattr(_conv2d_plan, "_plans", {})
    monkeypatch.setattr(_conv2d_plan, "_MOST_PLANS", 3)
    x, weight, bias, _ = problem({}, rng)
    results = {n: F.conv2d(x[:n], weight, bias) for n in range(4)}
    for _ in range(2):
        for n, y in results.items():
            np.testing.assert_array_equal(F.conv2d(x[:n], weight, bias), y)
            assert len(_conv2d_plan._plans) <= 3


# ---- with a norm -----------------------------------------------------------------------------------------------------
@every_setting
def test_conv2d_with_a_norm_has_the_bits_of_the_norm_after_it(settings, rng):
    x, weight, bias, dy = problem(settings, rng)
    constants = [rng.uniform(0.5, 2, 6).astype(np.float32) for _ in range(4)]
    norm = Norm(*constants, 1e-5, "relu")
    y = operation(settings, norm)(x, weight, bias, dy)
    expected = F.batch_norm_activation(
        F.conv2d(x, weight, bias, **settings), *constants, training=False, activation="relu", residual=dy
    )
    np.testing.assert_array_equal(y, expected.y)


def test_conv2d_with_a_norm_says_what_it_cannot_do(rng):
    x, weight, bias, dy = problem({}, rng)
    norm = Norm(np.ones(6, np.float32), np.ones(6, np.float32), None, None, 1e-5, None)
    with pytest.raises(ValueError, match="the residual must have the shape of the result"):
        operation({}, norm)(x, weight, bias, dy[:2])
    with fastnn.backend("reference"), pytest.raises(RuntimeError, match="call batch_norm_activation after it"):
        operation({}, norm)(x, weight, bias, dy)
    y = operation({}, norm)(*leaves(x, weight, bias), dy)
    with pytest.raises(RuntimeError, match="with a norm it goes forward only"):
        y.backward(dy)
