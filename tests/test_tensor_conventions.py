"""Gradients of tensors at ties, bounds, zeros and NaN; dtypes; bits."""

import operator

import numpy as np
import pytest

import fastnn

INF, NAN = np.inf, np.nan


def slope(call, values, dtype=np.float64):
    x = fastnn.tensor(np.array(values, dtype), requires_grad=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        call(x).sum().backward()
    return x.grad.tolist()


# By hand; what PyTorch does.
AT_EDGES = {
    "relu by maximum halves": (lambda x: np.maximum(x, 0), [-1.0, 0.0, 2.0], [0.0, 0.5, 1.0]),
    "relu by where is 0": (lambda x: np.where(x > 0, x, 0), [-1.0, 0.0, 2.0], [0.0, 0.0, 1.0]),
    "clip passes at its bounds": (lambda x: np.clip(x, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0], [0.0, 1.0, 1.0, 1.0, 0.0]),
    "clip above only": (lambda x: x.clip(max=1), [-2.0, 1.0, 2.0], [1.0, 1.0, 0.0]),
    "clip of NaN": (lambda x: np.clip(x, -1, 1), [NAN], [0.0]),
    "maximum halves a tie": (lambda x: np.maximum(x, [1.0, 1.0, 1.0]), [0.0, 1.0, 2.0], [0.0, 0.5, 1.0]),
    "minimum halves a tie": (lambda x: np.minimum(x, [1.0, 1.0, 1.0]), [0.0, 1.0, 2.0], [1.0, 0.5, 0.0]),
    "maximum with itself": (lambda x: np.maximum(x, x), [1.0], [1.0]),
    "maximum of NaN": (lambda x: np.maximum(x, 0.0), [NAN], [1.0]),
    "fmax of NaN": (lambda x: np.fmax(x, 0.0), [NAN, 0.0], [0.0, 1.0]),
    "max splits a tie": (lambda x: x.max(0), [2.0, 1.0, 2.0], [0.5, 0.0, 0.5]),
    "min splits a tie": (lambda x: x.min(), [3.0, 1.0, 1.0, 1.0], [0.0, 1 / 3, 1 / 3, 1 / 3]),
    "max of rows splits ties": (lambda x: x.max(1), [[1.0, 1.0], [1.0, 2.0]], [[0.5, 0.5], [0.0, 1.0]]),
    "max over several axes": (lambda x: x.max((0, 1)), [[1.0, 1.0], [1.0, 0.0]], [[1 / 3, 1 / 3], [1 / 3, 0.0]]),
    "max of NaN": (lambda x: x.max(), [1.0, NAN, 2.0], [0.0, 1.0, 0.0]),
    "abs at 0": (abs, [-2.0, 0.0, -0.0, 3.0], [-1.0, 0.0, 0.0, 1.0]),
    "sign": (np.sign, [-2.0, 0.0], [0.0, 0.0]),
    "floor": (np.floor, [1.5, 2.0], [0.0, 0.0]),
    "norm at 0": (np.linalg.norm, [0.0, 0.0], [0.0, 0.0]),
    "norm of rows, one 0": (lambda x: np.linalg.norm(x, axis=1), [[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.6, 0.8]]),
    "hypot at 0": (lambda x: np.hypot(x, 0.0), [0.0, 2.0], [0.0, 1.0]),
    "std at 0": (lambda x: x.std(), [2.0, 2.0], [0.0, 0.0]),
    "var at 0": (lambda x: x.var(), [2.0, 2.0], [0.0, 0.0]),
    "sqrt at 0": (np.sqrt, [0.0, 4.0], [INF, 0.25]),
    "square by power": (lambda x: x**2, [-3.0, 0.0], [-6.0, 0.0]),
    "power 0": (lambda x: x**0, [0.0, 2.0], [0.0, 0.0]),
    "power 1": (lambda x: x**1, [0.0, 2.0], [1.0, 1.0]),
    "power of an array with 0": (lambda x: x ** np.array([0.0, 1.0, 2.0]), [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
    "0 to a power": (lambda x: 0.0**x, [0.0, 2.0], [0.0, 0.0]),
    "nan_to_num": (np.nan_to_num, [NAN, INF, 1.0], [0.0, 0.0, 1.0]),
    "nansum": (np.nansum, [NAN, 1.0], [0.0, 1.0]),
    "nanmean": (np.nanmean, [NAN, 1.0, 2.0], [0.0, 0.5, 0.5]),
    "nanmax": (np.nanmax, [NAN, 1.0, 2.0], [0.0, 0.0, 1.0]),
    "nanstd at 0": (np.nanstd, [NAN, 1.0, 1.0], [0.0, 0.0, 0.0]),
    "prod with a 0": (np.prod, [2.0, 0.0, 3.0], [0.0, 6.0, 0.0]),
    "prod with two": (np.prod, [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    "cumprod with a 0": (np.cumprod, [2.0, 0.0, 3.0], [1.0, 8.0, 0.0]),
    "sinc at 0": (np.sinc, [0.0], [0.0]),
    "picked twice": (lambda x: x[[0, 0, 1]], [1.0, 2.0, 3.0], [2.0, 1.0, 0.0]),
    "picked twice across": (lambda x: x[[0, 0], [1, 1]], [[1.0, 2.0]], [[0.0, 2.0]]),
    "taken twice": (lambda x: np.take(x, [2, -1]), [1.0, 2.0, 3.0], [0.0, 0.0, 2.0]),
    "sum of nothing": (lambda x: x[:0].sum(), [1.0], [0.0]),
    "NaN stays NaN": (lambda x: np.exp(x) * x, [NAN], [NAN]),
    "log at 0": (np.log, [0.0], [INF]),
}


@pytest.mark.parametrize("name", AT_EDGES)
def test_conventions_at_edges(name):
    call, values, expected = AT_EDGES[name]
    for dtype in (np.float64, np.float32):
        np.testing.assert_allclose(slope(call, values, dtype), expected, rtol=1e-6)


def test_conventions_bounds_of_clip_get_what_x_does_not():
    x, low, high = (fastnn.tensor(v, requires_grad=True) for v in ([-3.0, 0.0, -1.0, 5.0], [-1.0], 2.0))
    np.clip(x, low, high).sum().backward()
    assert (x.grad.tolist(), low.grad.tolist(), high.grad.tolist()) == ([0.0, 1.0, 1.0, 0.0], [1.0], 1.0)


def test_conventions_no_warnings_at_zero():
    zeros = [0.0, 0.0]
    for call in (np.linalg.norm, np.std, np.nanstd, lambda x: np.hypot(x, x), lambda x: np.power(x, [0.0, 2.0])):
        x = fastnn.tensor(zeros, requires_grad=True)
        call(x).sum().backward()
        assert x.grad.tolist() == zeros


# ---- dtypes ----------------------------------------------------------------------------------------------------------
OPERATIONS = (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, np.maximum, np.arctan2)
OTHERS = (
    2,
    2.0,
    True,
    np.float32(2),
    np.float64(2),
    np.float64([2.0]),
    np.ones(1, np.float32),
    np.array(2),
    np.int8(2),
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
@pytest.mark.parametrize("other", OTHERS, ids=lambda other: f"{type(other).__name__} {np.asarray(other).dtype}")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_those_of_numpy(operation, other, dtype):
    array = np.array([1.0, 2.0], dtype)
    for swapped in (False, True):
        x = fastnn.tensor(array, requires_grad=True)
        y = operation(other, x) if swapped else operation(x, other)
        wanted = operation(other, array) if swapped else operation(array, other)
        assert isinstance(y, fastnn.Tensor)
        assert y.dtype == wanted.dtype
        np.testing.assert_array_equal(y.data, wanted, strict=True)
        y.sum().backward()
        assert x.grad.dtype == dtype


def test_dtypes_python_numbers_do_not_widen_what_has_no_axes():
    x = fastnn.tensor(np.float32(2), requires_grad=True)
    for y in (x * 2.0, 2 / x, x**2, x + 1, np.clip(x, 0.0, 5.0), np.where(x > 0, x, 0.0), np.exp(x) * 0.5):
        assert (y.dtype, y.shape) == (np.float32, ())
        (dx,) = fastnn.grad(y, [x])
        assert (type(dx), dx.dtype, dx.shape) == (np.ndarray, np.float32, ())


def test_dtypes_of_a_mixed_operation_go_back_to_each():
    a = fastnn.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    b = fastnn.tensor(np.ones((3, 2)), requires_grad=True)
    for y in (a * b.T, a @ b, np.concatenate([a, b.T]), np.stack([a, b.T]), np.where(True, a, b.T), np.inner(a, b.T)):
        assert y.dtype == np.float64
        da, db = fastnn.grad(y.sum(), [a, b])
        assert (da.dtype, db.dtype) == (np.float32, np.float64)
        assert (da.shape, db.shape) == (a.shape, b.shape)


def test_dtypes_astype_goes_back():
    x = fastnn.tensor(np.ones(2, np.float32), requires_grad=True)
    y = x.astype(np.float64)
    assert y.dtype == np.float64
    (y * 2).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.astype(np.float32, copy=False) is x
    assert not x.astype(int).requires_grad


def test_dtypes_integers_have_no_gradient():
    counts = fastnn.tensor([1, 2])
    assert (counts + 1).dtype == np.int64
    assert (counts / 2).dtype == np.float64
    assert not (counts * 2).requires_grad
    with pytest.raises(TypeError, match="only floats have gradients"):
        fastnn.tensor([1, 2], requires_grad=True)
    x = fastnn.tensor([1.0, 2.0], requires_grad=True)
    (x * counts).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0]


def test_dtypes_float32_sums_of_broadcasts_keep_their_digits(rng):
    bias, dy = fastnn.tensor(np.zeros(8, np.float32), requires_grad=True), 1 + rng.random((50_000, 8), np.float32)
    (np.zeros_like(dy) + bias).backward(dy)
    np.testing.assert_allclose(bias.grad, dy.sum(0, dtype=np.float64), rtol=1e-7)


# ---- products --------------------------------------------------------------------------------------------------------
SHAPES = (
    ((7, 5), (5, 3)), ((130, 70), (70, 90)), ((1, 300), (300, 1)), ((300,), (300, 40)), ((40, 300), (300,)),
    ((500,), (500,)),
    ((6, 20, 30), (30, 10)), ((3, 20, 30), (3, 30, 10)), ((3, 4, 5), (3, 5, 2)), ((2, 1, 20, 30), (3, 30, 20)),
    ((20, 30), (3, 30, 20)), ((30,), (3, 30, 20)), ((3, 20, 30), (30,)),
)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_products_have_the_same_bits_for_any_number_of_threads(shapes, dtype, rng):
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    exact = np.matmul(*[x.astype(np.longdouble) for x in arrays])
    dy = rng.standard_normal(exact.shape).astype(dtype)
    found = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        tensors = [fastnn.tensor(x, requires_grad=True) for x in arrays]
        y = tensors[0] @ tensors[1]
        y.backward(dy)
        found.append([y.data, *(x.grad for x in tensors)])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert a.tobytes() == b.tobytes()
    n_terms = shapes[0][-1]
    np.testing.assert_allclose(found[0][0], exact, rtol=0, atol=8 * n_terms**0.5 * 4 * np.finfo(dtype).eps)
    for gradient, x in zip(found[0][1:], arrays, strict=True):
        assert (gradient.shape, gradient.dtype) == (x.shape, dtype)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_products_gradients_are_those_of_numpy(shapes, rng):
    a, b = (rng.standard_normal(shape) for shape in shapes)
    wide_a, wide_b = a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b
    dy = rng.standard_normal(np.matmul(a, b).shape)
    wide_dy = np.asarray(dy).reshape(np.matmul(wide_a, wide_b).shape)
    tensors = [fastnn.tensor(x, requires_grad=True) for x in (a, b)]
    (tensors[0] @ tensors[1]).backward(dy)
    for tensor, wide in (
        (tensors[0], wide_dy @ wide_b.swapaxes(-1, -2)),
        (tensors[1], wide_a.swapaxes(-1, -2) @ wide_dy),
    ):
        missing = wide.ndim - max(tensor.ndim, 2)
        wide = wide.sum(tuple(range(missing)))
        if tensor.ndim > 1:
            axes = tuple(axis for axis, size in enumerate(tensor.shape) if size == 1 != wide.shape[axis])
            wide = wide.sum(axes, keepdims=True)
        np.testing.assert_allclose(tensor.grad, wide.reshape(tensor.shape), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"), [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 4)), ((0,), (0,))]
)
def test_products_of_nothing(a, b):
    x, w = fastnn.tensor(np.ones(a), requires_grad=True), fastnn.tensor(np.ones(b), requires_grad=True)
    y = x @ w
    np.testing.assert_array_equal(y.data, np.ones(a) @ np.ones(b), strict=True)
    y.sum().backward()
    assert (x.grad.shape, w.grad.shape) == (a, b)
    assert not x.grad.any()
    assert not w.grad.any()


def test_products_of_integers_and_of_floats_of_other_sizes():
    a, b = np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal((fastnn.tensor(a) @ fastnn.tensor(b)).data, a @ b, strict=True)
    for dtype in (np.float16, np.longdouble):
        x = fastnn.tensor(a, dtype, requires_grad=True)
        y = x @ b.astype(dtype)
        np.testing.assert_array_equal(y.data, (a @ b).astype(dtype), strict=True)
        y.sum().backward()
        assert x.grad.tolist() == [[1.0, 5.0, 9.0]] * 2


def test_products_twins_agree(rng):
    a, b = rng.standard_normal((20, 30)), rng.standard_normal((30, 10))

    def gradients():
        tensors = [fastnn.tensor(x, requires_grad=True) for x in (a, b)]
        y = tensors[0] @ tensors[1]
        y.sum().backward()
        return [y.data, *(x.grad for x in tensors)]

    ours = gradients()
    with fastnn.backend("reference"):
        for x, twin in zip(ours, gradients(), strict=True):
            np.testing.assert_allclose(x, twin, rtol=1e-12, atol=1e-12)


def test_products_keep_only_what_they_need():
    w = fastnn.tensor(np.ones((3, 2)), requires_grad=True)
    x = fastnn.tensor(np.ones((4, 3)))
    y = x @ w
    assert not hasattr(y._op, "b")
    assert y._op.a is x.data
    assert not hasattr((w * 2.0)._op, "a")
    assert not hasattr((w + w)._op, "a")
