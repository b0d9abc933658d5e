"""Products of matrices, one by one or many at once: the kernel against NumPy in float64."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, seeds

import fastnn
from fastnn import _runtime
from fastnn.autograd import products

sizes = st.integers(1, 40)


def allowed(a, b):
    """The sum of k products of which each is rounded, and the sum after each: k roundings of at most |a| |b|."""
    return (a.shape[-1] + 1) * np.finfo(a.dtype).eps * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))


@given(matrices=st.integers(1, 5), rows=st.integers(1, 130), depth=sizes, columns=st.integers(1, 80), dtype=dtypes,
       seed=seeds)  # fmt: skip
def test_kernel_equals_numpy_for_every_kind(isa, matrices, rows, depth, columns, dtype, seed):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((matrices, rows, depth)).astype(dtype)
    b = rng.standard_normal((matrices, depth, columns)).astype(dtype)
    a_turned, b_turned = (np.ascontiguousarray(x.swapaxes(1, 2)) for x in (a, b))
    expected = a.astype(np.float64) @ b.astype(np.float64)
    native = _runtime._native
    results = []
    for kind, left, right in (
        ("times", a, b), ("times_transposed", a, b_turned), ("transposed_times", a_turned, b),
    ):  # fmt: skip
        block = np.full(matrices * rows * columns + 1, 7, dtype)
        y = block[:-1].reshape(matrices, rows, columns)
        room = np.empty_like(right) if kind == "times_transposed" else None
        native.matmul(native.MATMUL[kind], left, right, room, y, 2)
        assert (np.abs(y - expected) <= allowed(a, b)).all()
        assert block[-1] == 7
        results.append(y)
    assert all((y == results[0]).all() for y in results)  # the same sums, in the same order


def test_kernel_refuses_shapes_that_do_not_fit():
    native = _runtime._native
    a, b, y = np.ones((2, 3, 4)), np.ones((2, 4, 5)), np.empty((2, 3, 5))
    for bad in ((a[:1], b, y), (a, b[:, :3].copy(), y), (a, b, np.empty((2, 3, 6))), (a, b, np.empty((2, 2, 5)))):
        with pytest.raises(ValueError, match=r"matmul|length|fit"):
            native.matmul(native.MATMUL["times"], bad[0], bad[1], None, bad[2], 1)
    turned = np.ones((2, 5, 4))
    for room in (None, np.empty((1, 5, 4)), np.empty((2, 5, 3))):
        with pytest.raises(ValueError, match=r"matmul|length|fit"):
            native.matmul(native.MATMUL["times_transposed"], a, turned, room, y, 1)


def test_bits_do_not_depend_on_threads(isa, threads, rng):
    a = rng.standard_normal((7, 197, 64)).astype(np.float32)
    b = rng.standard_normal((7, 64, 197)).astype(np.float32)
    with fastnn.num_threads(1):
        expected = products._product(a, b)
    assert products._product(a, b).tobytes() == expected.tobytes()


@pytest.mark.parametrize(("a_batch", "b_batch"), [((), ()), ((3,), (3,)), ((2, 3), (2, 3)), ((2, 1), (3,)), ((), (4,))])
def test_matrices_are_read_as_they_lie(rng, a_batch, b_batch):
    """Transposed and cut ones, too; gradients as NumPy's."""
    a = rng.standard_normal((*a_batch, 5, 6))
    b = rng.standard_normal((*b_batch, 6, 7))
    expected = a @ b
    dy = rng.standard_normal(expected.shape)

    def forms(x):
        yield x
        yield np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
        wide = np.empty((*x.shape[:-1], x.shape[-1] + 3))
        wide[..., 1:-2] = x
        yield wide[..., 1:-2]
        yield x.astype(">f8")

    da, db = dy @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ dy
    for left, right in itertools.product(forms(a), forms(b)):
        x, w = fastnn.tensor(left, requires_grad=True), fastnn.tensor(right, requires_grad=True)
        y = x @ w
        np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)
        (y * dy).sum().backward()
        for grad, wanted, side in ((x.grad, da, a), (w.grad, db, b)):
            extra = tuple(range(wanted.ndim - side.ndim))
            total = wanted.sum(extra)
            ones = tuple(axis for axis, size in enumerate(side.shape) if size == 1 != total.shape[axis])
            np.testing.assert_allclose(grad, total.sum(ones, keepdims=True), rtol=1e-12, atol=1e-12)


def test_large_and_small_products_go_different_ways_to_the_same_numbers(rng):
    a, b = rng.standard_normal((2, 129, 129)).astype(np.float32)
    y = products.product(a, b)  # packed
    assert (np.abs(y - a.astype(np.float64) @ b) <= allowed(a, b)).all()
    assert (np.abs(products.product(a[:100], b) - y[:100]) <= 2 * allowed(a[:100], b)).all()
