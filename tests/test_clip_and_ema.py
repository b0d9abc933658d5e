"""What surrounds a step: clipping of gradients, penalties on weights, and the running mean of weights."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, seeds

import fastnn
from fastnn import nn, optim


def parameters(*gradients):
    found = [nn.Parameter(np.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(found, gradients, strict=True):
        parameter.grad = gradient
    return found


# ---- clipping --------------------------------------------------------------------------------------------------------
@given(dtype=dtypes, seed=seeds, norm_type=st.sampled_from([1, 2, 2.5, math.inf]), max_norm=st.floats(0.1, 20))
def test_clip_grad_norm_matches_definition(dtype, seed, norm_type, max_norm):
    rng = np.random.default_rng(seed)
    gradients = [np.array(rng.standard_normal(shape), dtype) for shape in ((3, 4), (5,), (0,), ())]
    whole = np.concatenate([gradient.ravel() for gradient in gradients]).astype(np.float64)
    before = [gradient.copy() for gradient in gradients]
    norm = optim.clip_grad_norm_(parameters(*gradients), max_norm, norm_type)
    expected = np.linalg.norm(whole, norm_type)
    assert norm == pytest.approx(expected, rel=30 * float(np.finfo(dtype).eps))
    factor = min(1.0, max_norm / (expected + 1e-6))
    for gradient, old in zip(gradients, before, strict=True):  # changed in place
        np.testing.assert_allclose(gradient, old * factor, rtol=40 * np.finfo(dtype).eps)


def test_clip_grad_norm_is_the_same_for_any_number_of_threads(isa, threads, rng):
    gradient = rng.standard_normal((70, 5000)).astype(np.float32)
    fastnn.set_num_threads(1)
    alone = optim.clip_grad_norm_(parameters(gradient.copy()), 1.0)
    fastnn.set_num_threads(threads)
    assert optim.clip_grad_norm_(parameters(gradient.copy()), 1.0) == alone


def test_clip_grad_norm_passes_over_missing_gradients_and_takes_one_parameter():
    a, b = parameters(np.array([3.0, 4.0]), np.zeros(2))
    b.grad = None
    assert optim.clip_grad_norm_([a, b], 10.0) == 5.0
    np.testing.assert_array_equal(a.grad, [3, 4])
    assert b.grad is None
    assert optim.clip_grad_norm_(a, 2.5) == 5.0
    np.testing.assert_allclose(a.grad, [1.5, 2.0], rtol=1e-6)
    assert optim.clip_grad_norm_([], 1.0) == 0.0


def test_clip_grad_norm_of_nan_reaches_all_gradients_or_raises():
    a, b = parameters(np.array([np.nan, 1.0]), np.ones(2))
    with pytest.raises(ValueError, match="norm of the gradients is nan"):
        optim.clip_grad_norm_([a, b], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(b.grad, 1)
    assert math.isnan(optim.clip_grad_norm_([a, b], 1.0))
    assert np.isnan(b.grad).all()


def test_clip_grad_norm_of_large_float32_does_not_overflow():
    (a,) = parameters(np.full(4, 1e30, np.float32))
    assert optim.clip_grad_norm_([a], 2.0) == pytest.approx(2e30, rel=1e-6)
    np.testing.assert_allclose(a.grad, np.ones(4, np.float32), rtol=1e-6)


def test_clip_grad_value_cuts_in_place_and_leaves_read_only_arrays_alone():
    gradient = np.array([-3.0, 0.5, 7.0])
    read_only = gradient.copy()
    read_only.flags.writeable = False
    a, b = parameters(gradient, read_only)
    optim.clip_grad_value_([a, b], 2.0)
    np.testing.assert_array_equal(gradient, [-2, 0.5, 2])
    np.testing.assert_array_equal(b.grad, [-2, 0.5, 2])
    np.testing.assert_array_equal(read_only, [-3, 0.5, 7])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: optim.clip_grad_norm_(p, -1.0), "max_norm must be >= 0"),
        (lambda p: optim.clip_grad_norm_(p, 1.0, 0), "norm_type must be > 0"),
        (lambda p: optim.clip_grad_value_(p, -1.0), "clip_value must be >= 0"),
        (lambda p: optim.l1_l2_penalty_(p, l1=-1.0), "l1 must be >= 0"),
    ],
)
def test_clip_bad_value_is_refused(call, message):
    found = parameters(np.ones(2))
    with pytest.raises(ValueError, match=message):
        call(found)
    np.testing.assert_array_equal(found[0].grad, 1)


def test_clip_needs_parameters():
    with pytest.raises(TypeError, match=r"clip_grad_norm_: nn.Parameter objects are needed. Received: float"):
        optim.clip_grad_norm_([1.0], 1.0)


# ---- penalties -------------------------------------------------------------------------------------------------------
def test_l1_l2_penalty_adds_the_gradient_of_what_it_returns(rng):
    w = nn.Parameter(np.asfortranarray(rng.standard_normal((3, 4))))
    frozen = nn.Parameter(np.ones(2), requires_grad=False)
    before = rng.standard_normal((3, 4))
    w.grad = before
    kept = before.copy()
    penalty = optim.l1_l2_penalty_([w, frozen], l1=0.3, l2=0.2)
    assert penalty == pytest.approx(0.3 * np.abs(w.data).sum() + 0.2 * (w.data**2).sum(), rel=1e-14)
    np.testing.assert_array_equal(before, kept)
    assert w.grad.strides == w.data.strides
    assert frozen.grad is None
    step = 1e-6
    for index in np.ndindex(w.shape):
        penalties = []
        for sign in (1, -1):
            moved = nn.Parameter(w.data.copy())
            moved.data[index] += sign * step
            penalties.append(optim.l1_l2_penalty_([moved], 0.3, 0.2))
        numeric = (penalties[0] - penalties[1]) / (2 * step)
        assert w.grad[index] - kept[index] == pytest.approx(numeric, rel=1e-6, abs=1e-8)


def test_l2_penalty_is_weight_decay(rng):
    start, gradient = rng.standard_normal((2, 5))
    a, b = nn.Parameter(start.copy()), nn.Parameter(start.copy())
    a.grad, b.grad = gradient.copy(), gradient.copy()
    optim.l1_l2_penalty_([a], l2=0.05)
    optim.SGD([a], lr=0.1).step()
    optim.SGD([b], lr=0.1, weight_decay=0.1).step()
    np.testing.assert_allclose(a.data, b.data, rtol=0, atol=1e-15)


# ---- running means ---------------------------------------------------------------------------------------------------
class Counting(nn.Module):
    """A parameter in tap-major order, a buffer of floats, a counter."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 2)
        self.register_buffer("running", np.zeros(3, np.float32))
        self.register_buffer("count", np.array(0))


def change(module, value):
    module.conv.weight.data[...] = value
    module.conv.bias.data[...] = value
    module.running = np.full(3, value, np.float32)
    module.count = np.array(int(value))


def test_ema_averages_parameters_and_buffers_and_copies_counts(isa):
    module = Counting()
    change(module, 0)
    ema = optim.EMA(module, decay=0.75)
    expected = 0.0
    for value in (4, 8, 2):
        change(module, value)
        ema.update()
        expected = 0.75 * expected + 0.25 * value
    own = module.conv.weight.data
    with ema.average() as averaged:
        assert averaged is module
        for array in (module.conv.weight.data, module.conv.bias.data, module.running):
            np.testing.assert_allclose(array, expected, rtol=1e-6)
        assert module.count == 2
        assert module.conv.weight.data.strides == own.strides
        module.conv(np.zeros((1, 2, 4, 4), np.float32))
        with pytest.raises(ValueError, match="read-only"):
            module.conv.weight.data[...] = 0
    assert module.conv.weight.data is own
    np.testing.assert_array_equal(own, 2)
    np.testing.assert_array_equal(module.running, 2)
    assert ema.updates == 3


def test_ema_average_restores_after_an_error():
    module = Counting()
    change(module, 1)
    ema = optim.EMA(module)
    change(module, 2)
    with pytest.raises(RuntimeError, match="stop"), ema.average():
        raise RuntimeError("stop")
    np.testing.assert_array_equal(module.conv.weight.data, 2)
    np.testing.assert_array_equal(module.running, 2)


def test_ema_copy_to_model_writes_in_place():
    module = Counting()
    change(module, 0)
    ema = optim.EMA(module)
    change(module, 8)
    own = module.conv.weight.data
    ema.update(decay=0.5)
    ema.copy_to_model()
    assert module.conv.weight.data is own
    np.testing.assert_array_equal(own, 4)
    own[...] = 0  # the averages are arrays of their own
    np.testing.assert_array_equal(ema.averages["conv.weight"], 4)


def test_ema_copy_to_model_gives_read_only_arrays_a_copy_of_their_own():
    module = nn.Linear(2, 2)
    ema = optim.EMA(module)
    expected = ema.averages["weight"].copy()
    read_only = np.zeros((2, 2), np.float32)
    read_only.flags.writeable = False
    module.weight.data = read_only
    ema.copy_to_model()
    np.testing.assert_array_equal(module.weight.data, expected)
    module.weight.data[...] = 7
    np.testing.assert_array_equal(ema.averages["weight"], expected)


def test_ema_of_shared_parameter_is_updated_once():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    first.weight.data[...] = 0
    model = nn.Sequential(first, second)
    ema = optim.EMA(model, decay=0.5)
    assert list(ema.averages) == ["0.weight", "0.bias", "1.bias"]
    first.weight.data[...] = 4
    ema.update()
    with ema.average():
        np.testing.assert_array_equal(second.weight.data, 2)


def test_ema_state_dict_continues_bit_identically(rng):
    module = Counting()
    ema, resumed = optim.EMA(module, 0.9), optim.EMA(module, 0.5)
    values = rng.standard_normal(6)
    for value in values[:3]:
        change(module, value)
        ema.update()
    resumed.load_state_dict(ema.state_dict())
    for value in values[3:]:
        change(module, value)
        ema.update()
        resumed.update()
    assert resumed.updates == ema.updates
    for path, array in ema.averages.items():
        np.testing.assert_array_equal(resumed.averages[path], array)


def test_ema_refuses_what_does_not_fit():
    ema = optim.EMA(Counting())
    good = ema.state_dict()
    with pytest.raises(KeyError, match="missing or unexpected: count"):
        ema.load_state_dict({**good, "averages": {k: v for k, v in good["averages"].items() if k != "count"}})
    with pytest.raises(ValueError, match=r"running: \(4,\) given, \(3,\) needed"):
        ema.load_state_dict({**good, "averages": {**good["averages"], "running": np.zeros(4)}})
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\]"):
        optim.EMA(Counting(), decay=1.5)
    ema.module.register_buffer("extra", np.zeros(1))
    with pytest.raises(ValueError, match="extra was added"):
        ema.update()
