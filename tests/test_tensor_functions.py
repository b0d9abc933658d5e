"""NumPy's functions on tensors: every one against NumPy's values and against differences of them."""

import gc
import itertools
import operator

import numpy as np
import pytest
import tensor_cases as cases

import fastnn
from fastnn.autograd.elementwise import ANSWERS
from fastnn.autograd.methods import FUNCTIONS, NO_GRADIENT, UFUNCS

ALL = {name: (call, inputs) for name, call, inputs in cases.all_cases()}


def _case(name, dtype=np.float64):
    call, inputs = ALL[name]
    inputs = [np.array(x, dtype) for x in inputs]
    expected = cases.outputs(call(*inputs))
    rng = np.random.default_rng(7)
    return call, inputs, expected, [np.asarray(rng.standard_normal(np.shape(y))) for y in expected]


def test_functions_every_one_has_a_case():
    without = {np.floor_divide, *ANSWERS}
    assert set(UFUNCS) - without == {*cases.UNARY, *cases.BINARY, *cases.PRODUCTS}
    assert set(FUNCTIONS) == set(cases.FUNCTIONS)
    assert len(ALL) == sum(1 for _ in cases.all_cases())


@pytest.mark.parametrize("name", ALL)
def test_functions_value_is_that_of_numpy(name):
    call, inputs, expected, _ = _case(name)
    results = cases.outputs(call(*[fastnn.tensor(x) for x in inputs]))
    recorded = cases.outputs(call(*[fastnn.tensor(x, requires_grad=True) for x in inputs]))
    for result, again, wanted in zip(results, recorded, expected, strict=True):
        assert isinstance(result, fastnn.Tensor)
        assert not result.requires_grad
        assert again.requires_grad
        assert result.dtype == again.dtype == np.result_type(wanted)
        cases.assert_close(result.data, wanted, rtol=1e-13, atol=1e-14)
        np.testing.assert_array_equal(result.data, again.data, strict=True)


@pytest.mark.parametrize("name", ALL)
def test_functions_gradient_is_that_of_differences(name):
    call, inputs, _, dys = _case(name)
    found = cases.gradients(call, inputs, dys)
    expected = cases.numeric_gradients(call, inputs, dys)
    for gradient, wanted, x in zip(found, expected, inputs, strict=True):
        assert type(gradient) is np.ndarray
        wanted = np.where(np.isnan(x), 0, wanted)  # a NaN has no neighbours
        cases.assert_close(gradient, wanted, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("name", ALL)
def test_functions_gradient_float32_has_its_dtype_and_memory(name):
    call, inputs, expected, dys = _case(name, np.float32)
    tensors = [fastnn.tensor(x, requires_grad=True) for x in inputs]
    results = cases.outputs(call(*tensors))
    assert [y.dtype for y in results] == [np.result_type(y) for y in expected]
    dys = [dy.astype(y.dtype) for dy, y in zip(dys, results, strict=True)]
    originals = [dy.copy() for dy in dys]
    for y, dy in zip(results, dys, strict=True):
        y.backward(dy, retain_graph=True)
    found = [tensor.grad for tensor in tensors]
    for gradient, x in zip(found, inputs, strict=True):
        assert type(gradient) is np.ndarray
        assert (gradient.shape, gradient.dtype) == (x.shape, np.float32)
        assert gradient.flags.writeable
    held = [*found, *dys, *(tensor.data for tensor in tensors), *(y.data for y in results)]
    for gradient, other in itertools.product(found, held):
        assert gradient is other or not np.may_share_memory(gradient, other)
    assert all(np.array_equal(dy, original) for dy, original in zip(dys, originals, strict=True))
    double = cases.gradients(call, [x.astype(np.float64) for x in inputs], originals)
    for gradient, wanted in zip(found, double, strict=True):
        scale = 1 + np.abs(wanted).max(initial=0)
        np.testing.assert_allclose(gradient, wanted, rtol=0, atol=3e-5 * scale)


@pytest.mark.parametrize("name", ALL)
def test_functions_gradient_does_not_depend_on_order_of_memory(name):
    call, inputs, _, dys = _case(name)
    tensors = [fastnn.Tensor(np.array(x, order="F"), requires_grad=True) for x in inputs]
    for y, dy in zip(cases.outputs(call(*tensors)), dys, strict=True):
        y.backward(np.array(dy, order="F"), retain_graph=True)
    for tensor, wanted in zip(tensors, cases.gradients(call, inputs, dys), strict=True):
        np.testing.assert_allclose(tensor.grad, wanted, rtol=1e-13, atol=1e-13)


def _cycles(function):
    """How many objects only the garbage collector can free after this call."""
    function()
    gc.collect()
    gc.disable()
    try:
        function()
        return gc.collect()
    finally:
        gc.enable()


def test_functions_leave_no_cycles():
    def everything():
        for call, inputs in ALL.values():
            x = [fastnn.tensor(value, requires_grad=True) for value in inputs]
            ys = cases.outputs(call(*x))
            for y in ys[1:]:
                y.backward(np.ones(y.shape), retain_graph=True)
            ys[0].backward(np.ones(ys[0].shape))

    assert _cycles(everything) == 0


# ---- methods and operators -------------------------------------------------------------------------------------------
X = cases.apart(2, 3)
METHODS = {
    "T": (lambda x: x.T, lambda x: x.T),
    "mT": (lambda x: x.mT, lambda x: x.swapaxes(-1, -2)),
    "reshape": (lambda x: x.reshape(3, 2), lambda x: x.reshape(3, 2)),
    "reshape, tuple": (lambda x: x.reshape((3, -1)), lambda x: x.reshape(3, 2)),
    "transpose": (lambda x: x.transpose(1, 0), lambda x: x.T),
    "transpose, tuple": (lambda x: x.transpose((1, 0)), lambda x: x.T),
    "transpose, none": (lambda x: x.transpose(), lambda x: x.T),
    "swapaxes": (lambda x: x.swapaxes(0, 1), lambda x: x.T),
    "squeeze": (lambda x: x[:1].squeeze(0), lambda x: x[0]),
    "expand_dims": (lambda x: x.expand_dims(1), lambda x: x[:, None]),
    "flatten": (lambda x: x.flatten(), lambda x: x.flatten()),
    "ravel": (lambda x: x.ravel(), lambda x: x.ravel()),
    "broadcast_to": (lambda x: x.broadcast_to((2, 2, 3)), lambda x: np.broadcast_to(x, (2, 2, 3))),
    "repeat": (lambda x: x.repeat(2, 1), lambda x: x.repeat(2, 1)),
    "pad": (lambda x: x.pad(1, mode="edge"), lambda x: np.pad(x, 1, "edge")),
    "take_along_axis": (
        lambda x: x.take_along_axis(np.array([[1], [0]]), 1),
        lambda x: np.take_along_axis(x, np.array([[1], [0]]), 1),
    ),
    "copy": (lambda x: x.copy(), lambda x: x.copy()),
    **{
        f"{name}, {axis}": (
            lambda x, n=name, a=axis: getattr(x, n)(a),
            lambda x, n=name, a=axis: getattr(np, n)(x, axis=a),
        )
        for name in ("sum", "mean", "var", "std", "max", "min", "prod", "cumsum")
        for axis in (None, 0, -1)
    },
    "sum, keepdims": (lambda x: x.sum(1, keepdims=True), lambda x: x.sum(1, keepdims=True)),
    "var, ddof": (lambda x: x.var(1, ddof=1), lambda x: x.var(1, ddof=1)),
    "dot": (lambda x: x.dot(x.T), lambda x: x.dot(x.T)),
    **{
        name: (lambda x, n=name: getattr(x, n)(), lambda x, n=name: getattr(np, n)(x))
        for name in ("exp", "abs", "sign", "sin", "cos", "tanh", "round")
    },
    **{
        f"{name} of positive": (lambda x, n=name: getattr(abs(x), n)(), lambda x, n=name: getattr(np, n)(abs(x)))
        for name in ("log", "log1p", "sqrt")
    },
    "power": (lambda x: x.power(3), lambda x: x**3),
    "maximum": (lambda x: x.maximum(0.1), lambda x: np.maximum(x, 0.1)),
    "minimum": (lambda x: x.minimum(0.1), lambda x: np.minimum(x, 0.1)),
    "clip": (lambda x: x.clip(-0.2, 0.3), lambda x: x.clip(-0.2, 0.3)),
    "clip, above": (lambda x: x.clip(max=0.3), lambda x: x.clip(max=0.3)),
    **{
        f"{operation.__name__}, right": (lambda x, o=operation: o(x, 1.7), lambda x, o=operation: o(x, 1.7))
        for operation in (operator.add, operator.sub, operator.mul, operator.truediv, operator.mod)
    },
    **{
        f"{operation.__name__}, left": (lambda x, o=operation: o(1.7, x), lambda x, o=operation: o(1.7, x))
        for operation in (operator.add, operator.sub, operator.mul, operator.truediv, operator.mod, operator.pow)
    },
    "pow": (lambda x: x**2 + x**0 + x**1 + x**-1, lambda x: x**2 + x**0 + x**1 + x**-1),
    "neg": (lambda x: -x, lambda x: -x),
    "pos": (lambda x: +x, lambda x: +x),
    "matmul, array left": (lambda x: X.T @ x, lambda x: X.T @ x),
    "matmul, array right": (lambda x: x @ X.T, lambda x: x @ X.T),
    "array left": (lambda x: X * x, lambda x: X * x),
    "array right": (lambda x: x - X, lambda x: x - X),
    "list right": (lambda x: x * [1.0, 2.0, 3.0], lambda x: x * [1.0, 2.0, 3.0]),
    "NumPy's number left": (lambda x: np.float64(2) * x, lambda x: np.float64(2) * x),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_those_of_arrays(name, rng):
    ours, theirs = METHODS[name]
    x = fastnn.tensor(X, requires_grad=True)
    y, expected = ours(x), theirs(X)
    assert y.requires_grad
    cases.assert_close(y.data, expected, rtol=1e-13)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    (wanted,) = cases.numeric_gradients(theirs, [X], [dy])
    np.testing.assert_allclose(x.grad, wanted, rtol=1e-6, atol=1e-7)


def test_methods_pieces_of_split_and_iteration_carry_gradients():
    x = fastnn.tensor(X, requires_grad=True)
    first, _, last = x.split(3, 1)
    (first * 2 + last).sum().backward()
    assert x.grad.tolist() == [[2, 0, 1], [2, 0, 1]]
    x.grad = None
    upper, _lower = x
    upper.sum().backward()
    assert x.grad.tolist() == [[1, 1, 1], [0, 0, 0]]


# ---- answers and places ----------------------------------------------------------------------------------------------
ANSWERING = {
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(),
    "argsort": lambda x: x.argsort(),
    "all": lambda x: x.all(0),
    "any": lambda x: x.any(),
    "np.argmax": lambda x: np.argmax(x, axis=0, keepdims=True),
    "less": lambda x: x < 0,
    "equal": lambda x: x == x,
    "not_equal": lambda x: x != 1.0,
    "greater": lambda x: x < 0.5,
    "isnan": np.isnan,
    "isfinite": np.isfinite,
    "signbit": np.signbit,
    "logical_not": np.logical_not,
    "and": lambda x: (x > 0) & (x < 1),
    "or": lambda x: (x > 0) | True,
    "xor": lambda x: (x > 0) ^ (x < 1),
    "invert": lambda x: ~(x > 0),
    "isclose": lambda x: np.isclose(x, 0.25),
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
    "full_like": lambda x: np.full_like(x, 3),
    "searchsorted": lambda x: np.searchsorted(np.sort(x[0]), 0.1),
    "unique": np.unique,
    "nonzero": lambda x: np.nonzero(x)[0],
    "where": lambda x: np.where(x > 0)[1],
    "count_nonzero": lambda x: np.count_nonzero(x, axis=0),
    "astype": lambda x: x.astype(np.int64),
    "argpartition": lambda x: np.argpartition(x, 1),
    "bincount": lambda x: np.bincount(x.astype(int).ravel() + 3),
}


@pytest.mark.parametrize("name", ANSWERING)
def test_answers_carry_no_gradient(name):
    call = ANSWERING[name]
    result = call(fastnn.tensor(X, requires_grad=True) * 1)
    assert isinstance(result, fastnn.Tensor)
    assert not result.requires_grad
    np.testing.assert_array_equal(result.data, call(X), strict=True)


def test_answers_that_are_no_arrays_stay_what_they_are():
    x = fastnn.tensor(X, requires_grad=True) * 1
    assert np.shape(x) == (2, 3)
    assert (np.ndim(x), np.size(x), np.size(x, 1)) == (2, 6, 3)
    assert np.array_equal(x, X) is True
    assert np.allclose(x, X) is True
    assert np.result_type(x, np.float32) == np.float64
    assert "0.3125" in np.array2string(x)


def test_answers_need_no_list(rng):
    for function in NO_GRADIENT:
        assert callable(function)
    assert not NO_GRADIENT & set(FUNCTIONS)


# ---- what has no gradient says so ------------------------------------------------------------------------------------
REFUSED = {
    "np.linalg.inv": lambda x: np.linalg.inv(x[:, :2]),
    "np.floor_divide": lambda x: x // 2,
    "np.heaviside": lambda x: np.heaviside(x, 0.5),
    "np.modf": np.modf,
    "np.add.reduce": np.add.reduce,
    "np.add.outer": lambda x: np.add.outer(x, x),
    "np.multiply.accumulate": np.multiply.accumulate,
    "np.add with where": lambda x: np.add(x, 1, where=True),
    "np.exp with dtype": lambda x: np.exp(x, dtype=np.float64),
    "np.sum with where": lambda x: np.sum(x, where=X > 0),
    "np.sum with dtype": lambda x: np.sum(x, dtype=np.float64),
    "np.interp": lambda x: np.interp(x, [0.0, 1.0], [0.0, 2.0]),
    "np.cross": lambda x: np.cross(x[0], x[1]),
    "np.percentile": lambda x: np.percentile(x, 30),
    "np.fft.fft": np.fft.fft,
    "np.linalg.norm": lambda x: np.linalg.norm(x, 2),
    "np.pad": lambda x: np.pad(x, 1, "linear_ramp"),
    "np.multiply with a list of tensors": lambda x: x * [x[0], x[1]],
    "np.gradient": np.gradient,
    "np.insert": lambda x: np.insert(x, 0, 1.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_functions_without_gradient_say_their_name(name):
    with pytest.raises(TypeError, match=name.replace(".", r"\.") + " has "):
        REFUSED[name](fastnn.tensor(X, requires_grad=True))


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("np.linalg.norm", "np.pad")])
def test_functions_without_gradient_work_where_none_is_wanted(name):
    with fastnn.no_grad():
        expected = cases.outputs(REFUSED[name](X))
        for x in (fastnn.tensor(X), fastnn.tensor(X, requires_grad=True)):
            results = cases.outputs(REFUSED[name](x))
            for result, wanted in zip(results, expected, strict=True):
                assert not result.requires_grad
                np.testing.assert_allclose(result.data, wanted)


OUT = {
    "np.add": lambda x, out: np.add(x, 1.0, out=out),
    "np.exp": lambda x, out: np.exp(x, out),
    "np.sum": lambda x, out: np.sum(x, 1, out=out[:, 0]),
    "np.clip": lambda x, out: np.clip(x, 0, 1, out=out),
    "np.concatenate": lambda x, out: np.concatenate([x, x], out=out),
}


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("name", OUT)
def test_functions_out_raises(name, requires_grad):
    out = X.copy()
    with pytest.raises(TypeError, match=rf"{name}: .*array|{name} has no gradient"):
        OUT[name](fastnn.tensor(X, requires_grad=requires_grad), out)
    assert np.array_equal(out, X)


def test_functions_out_and_dtype_none_say_nothing():
    x = fastnn.tensor(X, requires_grad=True)
    for y in (np.sum(x, dtype=None, out=None), np.mean(x, axis=0, dtype=None), np.concatenate([x, x], out=None)):
        assert y.requires_grad
    with pytest.raises(TypeError, match=r"np.sum with dtype has no gradient"):
        np.sum(x, dtype=np.float64)


def test_functions_array_in_place_with_a_tensor_raises():
    a, t = X.copy(), fastnn.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match="write a = a \\+ b"):
        a += t
    assert np.array_equal(a, X)


WRITING = {
    "np.add.at": lambda x: np.add.at(x, [0], 1.0),
    "np.copyto": lambda x: np.copyto(x, 1.0),
    "np.put": lambda x: np.put(x, [0], 1.0),
    "np.fill_diagonal": lambda x: np.fill_diagonal(x, 1.0),
    "np.put_along_axis": lambda x: np.put_along_axis(x, np.zeros((2, 1), int), 1.0, 1),
    "np.putmask": lambda x: np.putmask(x, X > 0, 1.0),
    "np.place": lambda x: np.place(x, X > 0, [1.0]),
    "np.nan_to_num": lambda x: np.nan_to_num(x, copy=False),
}


@pytest.mark.parametrize("name", WRITING)
def test_functions_that_write_into_arguments_raise(name):
    x = fastnn.tensor(X)
    with fastnn.no_grad(), pytest.raises(TypeError, match=name.replace(".", r"\.")):
        WRITING[name](x)
    assert np.array_equal(x.data, X)


def test_functions_order_other_than_c_raises():
    x = fastnn.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match=r"np\.reshape: order must be 'C'"):
        np.reshape(x, -1, order="F")
    with pytest.raises(TypeError, match=r"np\.ravel: order must be 'C'"):
        np.ravel(x, "F")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x @ x, ValueError, "matmul: .*Received: a.shape=\\(2, 3\\), b.shape=\\(2, 3\\)"),
        (lambda x: x @ 2.0, ValueError, "matmul"),
        (lambda x: np.einsum("ij,jk", x, x), ValueError, "np.einsum: .*Received: 'j' with 3 and 2"),
        (lambda x: np.einsum("ii", x), ValueError, "np.einsum"),
        (lambda x: np.einsum("ijk", x), ValueError, "einstein sum"),
        (lambda x: np.einsum("ij->ik", x), ValueError, "einstein sum"),
        (lambda x: np.tensordot(x, x, 1), ValueError, "np.tensordot: .*Received"),
        (lambda x: np.split(x, 2, 1), ValueError, "np.split: 3 along axis 1"),
        (lambda x: x.sum(2), ValueError, "axis 2"),
        (lambda x: np.flip(x, 2), ValueError, "axis 2"),
        (lambda x: x[2], IndexError, "out of bounds"),
        (lambda x: x[[0, 2]], IndexError, "out of bounds"),
        (lambda x: x + np.ones(4), ValueError, "broadcast"),
        (lambda x: x + None, TypeError, "unsupported operand"),
        (lambda x: x + "a", TypeError, "unsupported operand|can only concatenate"),
        (lambda x: x.reshape(4), ValueError, "reshape"),
    ],
)
def test_functions_bad_arguments_raise(call, error, words):
    with pytest.raises(error, match=words):
        call(fastnn.tensor(X, requires_grad=True))


LISTS = {
    "np.clip": lambda x: np.clip(x, [x[0, 0], x[0, 1], x[0, 2]], 2.0),
    "np.where": lambda x: np.where(X > 0, [x[0, 0], x[0, 1], x[0, 2]], x),
    "np.concatenate": lambda x: np.concatenate([x, [[x[0, 0], x[0, 0], x[0, 0]]]]),
    "np.maximum": lambda x: np.maximum(x, [x[0, 0], x[0, 1], x[0, 2]]),
    "np.matmul": lambda x: x @ [x[0, 0], x[0, 1], x[0, 2]],
    "np.average": lambda x: np.average(x, weights=[x[0], x[1]]),
}


@pytest.mark.parametrize("name", LISTS)
def test_functions_lists_of_tensors_with_gradients_raise(name):
    with pytest.raises(TypeError, match=f"{name} with a list of tensors has no gradient here"):
        LISTS[name](fastnn.tensor(X, requires_grad=True))


def test_functions_lists_of_tensors_without_gradients_are_numbers():
    x = fastnn.tensor(X)
    for call in LISTS.values():
        assert isinstance(call(x), fastnn.Tensor)


def test_functions_a_tensor_anywhere_makes_the_result_one():
    places, mask, x = fastnn.tensor([1, 0]), fastnn.tensor([True, False]), fastnn.tensor([1.0, 3.0], requires_grad=True)
    given = [5.0, 7.0]
    for result, wanted in (
        (np.take_along_axis(np.array(given), places, 0), [7, 5]),
        (np.compress(mask, given), [5]),
        (np.extract(mask, given), [5]),
        (np.delete(given, places[:1]), [5]),
        (np.average(given, weights=x), 6.5),
        (np.where(mask, given, given), given),
        (np.clip(given, x, 6.0), [5, 6]),
        (np.dot(given, x), 26),
        (np.outer(given, x)[1], [7, 21]),
        (np.concatenate([given, x]), [5, 7, 1, 3]),
        (np.tensordot(given, x, 1), 26),
        (np.searchsorted(given, x), [0, 0]),
    ):
        assert isinstance(result, fastnn.Tensor)
        assert result.tolist() == wanted


def test_functions_complex_results_have_no_gradient():
    y = fastnn.tensor(X, requires_grad=True) * 1j
    with pytest.raises(TypeError, match="complex numbers have no gradient"):
        y.backward(np.ones((2, 3)))


def test_functions_copies_of_numpy_are_copies():
    for call in (
        lambda x: x.flatten(),
        lambda x: x.copy(),
        lambda x: np.tile(x, 1),
        lambda x: np.repeat(x, 1, 0),
        lambda x: np.pad(x, 0, "edge"),
        lambda x: np.real(x),
        lambda x: +x,
        lambda x: np.concatenate([x]),
    ):
        x = fastnn.tensor(X)
        y = call(x)
        y[...] = 100
        assert x.tolist() == X.tolist()


def test_functions_axis_of_what_has_no_axes():
    x = fastnn.tensor(2.0, requires_grad=True)
    for call in (np.sum, np.max, np.min, np.prod):
        assert fastnn.grad(call(x, axis=-1), x).shape == ()


def test_functions_too_few_degrees_of_freedom():
    x = fastnn.tensor([1.0], requires_grad=True)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="Degrees of freedom"):
        y = np.var(x, ddof=1)
    y.backward()
    assert np.isnan(x.grad).all()


def test_functions_slices_of_one_result_add_up_in_any_number(rng):
    x = fastnn.tensor(rng.standard_normal((50, 3)), requires_grad=True)
    y, weights = x * 1, rng.standard_normal((50, 3))
    sum((y[t] * weights[t]).sum() for t in range(50)).backward()
    assert np.array_equal(x.grad, weights)
    x.grad = None
    y = x * 1
    total = y.sum() + y[1:].sum() + (y[0] + y[0]).sum()
    total.backward()
    assert x.grad.tolist() == [[3.0] * 3] + [[2.0] * 3] * 49


NOTHING = {
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(1),
    "prod": np.prod,
    "cumsum": lambda x: np.cumsum(x, 0),
    "cumprod": lambda x: np.cumprod(x, 0),
    "list": lambda x: x[[]],
    "mask": lambda x: x[x > 0],
    "sort": lambda x: np.sort(x, 0),
    "repeat": lambda x: np.repeat(x, [1] * len(x), 0),
    "tile": lambda x: np.tile(x, 2),
    "pad": lambda x: np.pad(x, 1),
    "split": lambda x: np.array_split(x, 2)[0],
    "norm": lambda x: np.linalg.norm(x, axis=0),
    "add": lambda x: x + np.ones((1, 3)),
    "outer": lambda x: np.outer(x, x),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "concatenate": lambda x: np.concatenate([x, x]),
    "diagonal": np.diagonal,
    "roll": lambda x: np.roll(x, 1),
}


@pytest.mark.parametrize("name", NOTHING)
def test_functions_of_nothing(name):
    call, nothing = NOTHING[name], np.zeros((0, 3))
    x = fastnn.tensor(nothing, requires_grad=True)
    y = call(x)
    cases.assert_close(y.data, np.asarray(call(nothing)))
    y.backward(np.ones(y.shape))
    assert x.grad.shape == (0, 3)


def test_take_along_axis_indices_of_another_kind_are_refused_as_numpy_does(rng):
    x = fastnn.tensor(rng.standard_normal((3, 3)))
    for indices in (np.arange(3), np.ones((3, 3), bool), np.zeros((3, 1, 1), int)):
        with pytest.raises((ValueError, IndexError)):
            np.take_along_axis(x.data, indices, 1)
        with pytest.raises((ValueError, IndexError)):
            np.take_along_axis(x, indices, 1)
