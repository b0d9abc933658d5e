"""Arithmetic of large arrays, by the kernel on all threads: NumPy's own results, to the bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, seeds

import fastnn
from fastnn import _runtime
from fastnn.autograd import arithmetic, broadcasting

LARGE = arithmetic.LARGE
OPERATIONS = {
    "add": (arithmetic.add, np.add), "subtract": (arithmetic.subtract, np.subtract),
    "multiply": (arithmetic.multiply, np.multiply), "divide": (arithmetic.divide, np.true_divide),
}  # fmt: skip


@pytest.fixture
def ran(monkeypatch):
    """How often the kernel ran."""
    calls = []
    monkeypatch.setattr(arithmetic, "kernel_ran", calls.append)
    return calls


@given(name=st.sampled_from(sorted(OPERATIONS)), n=st.integers(1, 70), dtype=dtypes, seed=seeds)
def test_kernel_equals_numpy_to_the_bit_for_arrays_and_numbers(isa, name, n, dtype, seed):
    a, b = np.random.default_rng(seed).standard_normal((2, n)).astype(dtype)
    number = np.array([1.7], dtype)
    native, ufunc = _runtime._native, OPERATIONS[name][1]
    for left, right in ((a, b), (a, number), (number, b)):
        if n == 1 and (left is number or right is number):
            continue  # an array of one element
        y = np.full(n + 1, 3, dtype)
        inner = n if left is number or right is number else 1
        native.arithmetic(native.ARITHMETIC[name], left, right, y[:n], inner, 2)
        np.testing.assert_array_equal(y[:n], ufunc(left, right)[:n])
        assert y[n] == 3


@pytest.mark.parametrize(
    ("a", "b", "n", "inner"), [(3, 3, 6, 1), (6, 4, 6, 1), (6, 3, 6, 4), (6, 1, 6, 7), (6, 2, 6, 0), (0, 6, 6, 1)]
)
def test_kernel_refuses_lengths_that_do_not_fit(a, b, n, inner):
    arrays = [np.ones(size, np.float32) for size in (a, b, n)]
    with pytest.raises(ValueError, match="lengths do not fit"):
        _runtime._native.arithmetic(0, *arrays, inner, 1)


@pytest.mark.parametrize("kind", [-1, 4, 2**31 - 1])
def test_kernel_refuses_kinds_that_there_are_not(kind):
    arrays = np.ones((3, 6), np.float32)
    with pytest.raises(ValueError, match=f"arithmetic: there is no kind {kind}"):
        _runtime._native.arithmetic(kind, *arrays, 1, 1)
    a = np.ones((1, 2, 2))
    with pytest.raises(ValueError, match=f"matmul: there is no kind {kind}"):
        _runtime._native.matmul(kind, a, a, None, a, 1)


# A shape, and those that are broadcast to it; the axes in memory order.
BROADCASTS = [
    ((300, 400), [(400,), (1, 400), (300, 1)]),
    ((8, 40, 30, 20), [(40, 1, 1), (1, 40, 1, 1), (8, 40, 1, 1), (30, 20), (1, 1, 30, 20), (40, 30, 20), (8, 1, 1, 1)]),
    ((70_000,), [(1,)]),
    ((1, 300, 1, 400), [(400,), (300, 1, 1), (1, 300, 1, 400)]),
]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@pytest.mark.parametrize(("shape", "others"), BROADCASTS)
def test_what_is_broadcast_to_pieces_of_memory_goes_through_the_kernel(isa, threads, name, shape, others, rng, ran):
    operation, ufunc = OPERATIONS[name]
    a = rng.standard_normal(shape).astype(np.float32)
    for n_calls, other in enumerate(others, 1):
        b = rng.standard_normal(other).astype(np.float32) + 3
        assert operation(a, b).tobytes() == ufunc(a, b).tobytes()
        assert operation(b, a).tobytes() == ufunc(b, a).tobytes()
        assert len(ran) == 2 * n_calls, other


def test_a_scale_of_each_image_and_channel_meets_pixels_as_they_lie(rng, ran):
    x = fastnn._layout.empty_images((4, 64, 16, 32), np.float32)
    x[...] = rng.standard_normal(x.shape)
    for shape in ((4, 64, 1, 1), (64, 1, 1)):
        scale = rng.standard_normal(shape).astype(np.float32)
        y = arithmetic.multiply(x, scale)
        assert y.strides == x.strides
        np.testing.assert_array_equal(y, x * scale)
    assert ran == ["arithmetic"] * 2


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_large_results_are_numpys_to_the_bit_for_any_threads(isa, threads, rng, ran, name):
    operation, ufunc = OPERATIONS[name]
    a, b = rng.standard_normal((2, 310, 1001)).astype(np.float32)
    a[0, :4] = np.inf, -np.inf, np.nan, 1e-42
    b[0, :4] = np.inf, 0, 1, 0.5
    with np.errstate(all="ignore"):
        for left, right in ((a, b), (a, 3), (0.3, b), (a, np.float32(1.5)), (a, np.array(2, np.float32))):
            y = operation(left, right)
            assert y.dtype == np.float32
            assert y.tobytes() == ufunc(left, right).tobytes()
    assert ran == ["arithmetic"] * 5


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_other_operands_are_left_to_numpy(rng, ran, name):
    operation, ufunc = OPERATIONS[name]
    a = rng.standard_normal((300, 400)).astype(np.float32) + 3
    others = (
        a.astype(np.float64), np.full(a.shape, 2), a[::-1], np.float64(2), True, a[:, :1].astype(">f4"), a[:1, ::-1],
        np.asfortranarray(a), a.astype(">f4"), a[:1].astype(np.float64), np.ones((3, 1, 1), np.float32),
    )  # fmt: skip
    for other in others:
        y, expected = operation(a, other), ufunc(a, other)
        assert y.dtype == expected.dtype
        np.testing.assert_array_equal(y, expected)
    assert not ran


def test_results_lie_in_memory_as_their_operands(rng, ran):
    a = fastnn._layout.empty_images((4, 64, 16, 32), np.float32)
    a[...] = rng.standard_normal(a.shape)
    y = arithmetic.add(a, a)
    assert y.strides == a.strides
    assert ran
    np.testing.assert_array_equal(y, a + a)


def test_written_results_are_numpys_where_operands_overlap(rng, ran):
    start = rng.standard_normal(2 * LARGE).astype(np.float32)
    for ufunc in (np.add, np.subtract, np.multiply, np.true_divide):
        for of in (
            lambda x: (x[1:], x[:-1]), lambda x: (x[:-1], x[1:]), lambda x: (x, x), lambda x: (x, x[7]),
            lambda x: (x, x[7, ...]), lambda x: (x, 0.3), lambda x: (x[::2], x[1::2]), lambda x: (x, x[::-1]),
            lambda x: (x.reshape(64, -1), x[: x.size // 64]), lambda x: (x.reshape(64, -1), x[:64, None]),
            lambda x: (x.reshape(64, -1), np.array(x[:64, None])),
        ):  # fmt: skip
            ours, theirs = start.copy(), start.copy()
            arithmetic.write(ufunc, *of(ours))
            array, other = of(theirs)
            ufunc(array, other, out=array)
            np.testing.assert_array_equal(ours, theirs)
    assert ran


def test_writing_a_higher_dtype_into_a_lower_one_raises():
    for n in (3, LARGE):
        with pytest.raises(TypeError):
            arithmetic.write(np.add, np.zeros(n, np.int64), 0.5)
        narrow = np.zeros(n, np.float32)
        arithmetic.write(np.add, narrow, np.ones(n))
        assert narrow.dtype == np.float32
        assert (narrow == 1).all()


def test_tensors_of_many_elements_have_numpys_gradients(rng, ran):
    arrays = [1 + rng.random((300, 400)) for _ in range(2)]
    a, b = (fastnn.tensor(array, requires_grad=True) for array in arrays)
    y = (a * b + a / b - 0.1 * a) ** 2
    y.sum().backward()
    x, z = arrays
    inner = 2 * (x * z + x / z - 0.1 * x)
    np.testing.assert_allclose(a.grad, inner * (z + 1 / z - 0.1), rtol=1e-12)
    np.testing.assert_allclose(b.grad, inner * (x - x / z**2), rtol=1e-12, atol=1e-13)
    assert len(ran) > 8


def test_flushing_of_denormals_does_not_concern_it(threads):
    tiny = np.full(LARGE, 1e-42, np.float32)
    assert (arithmetic.multiply(tiny, 1.0) == tiny).all()
    assert (arithmetic.add(tiny, tiny) == tiny + tiny).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((300, 400), (1, 400)),
        ((300, 400), (400,)),
        ((9, 8, 16, 80), (16, 80)),
        ((70_000, 16), (16,)),
        ((3, 30_011), (30_011,)),
    ],
)
def test_gradients_of_what_was_broadcast_are_summed_by_the_kernel(isa, threads, shape, kept, dtype, rng, monkeypatch):
    calls = []
    monkeypatch.setattr(broadcasting, "kernel_ran", calls.append)
    dy = (1 + rng.random(shape)).astype(dtype)
    actual = broadcasting.unbroadcast(dy, kept, dy.dtype)
    assert calls == ["sum_rows"]
    assert (actual.shape, actual.dtype) == (kept, dtype)
    axes = tuple(range(dy.ndim - len(kept))) or 0
    expected = dy.sum(axes, np.longdouble, keepdims=len(kept) == dy.ndim)
    # 31 additions in the precision of dy, and one rounding; all else is exact enough.
    np.testing.assert_allclose(actual, expected, rtol=32 * np.finfo(dtype).eps / 2)


def test_gradients_of_a_scale_of_channels_are_summed_as_the_pixels_lie(rng, monkeypatch):
    calls = []
    monkeypatch.setattr(broadcasting, "kernel_ran", calls.append)
    x = fastnn._layout.empty_images((4, 64, 16, 32), np.float32)
    x[...] = rng.integers(-9, 9, x.shape)
    for kept, axes in (((4, 64, 1, 1), (2, 3)), ((64, 1, 1), (0, 2, 3)), ((1, 64, 1, 1), (0, 2, 3))):
        actual = broadcasting.unbroadcast(x, kept, x.dtype)
        np.testing.assert_array_equal(actual, x.sum(axes).reshape(kept))
    assert calls == ["sum_rows"] * 3
    for kept in ((4, 1, 1, 1), (1, 1, 16, 32), (4, 64, 16, 1), ()):  # along axes that are not the first in memory
        actual = broadcasting.unbroadcast(x, kept, x.dtype)
        axes = tuple(i for i in range(4) if not kept or kept[i] == 1)
        np.testing.assert_array_equal(actual, x.sum(axes).reshape(kept))
    assert len(calls) == 3
