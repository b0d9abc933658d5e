"""For every function of NumPy that has a gradient: calls to compare with differences of its values."""

import operator

import numpy as np

import fastnn

_rng = np.random.default_rng(20240607)


def random(*shape, least=-2.0, most=2.0):
    return _rng.uniform(least, most, shape)


def apart(*shape):
    """Numbers of which no two are nearly equal, nor is one nearly zero."""
    size = int(np.prod(shape, dtype=int))
    return (_rng.permutation(size) - size / 2 + 0.25).reshape(shape) / 4


def assert_close(actual, wanted, **tolerances):
    """Numbers that are close, of one shape and dtype."""
    assert np.shape(actual) == np.shape(wanted)
    assert np.result_type(actual) == np.result_type(wanted)
    np.testing.assert_allclose(actual, wanted, **tolerances)


def outputs(result):
    return list(result) if isinstance(result, list | tuple) else [result]


def array(value):
    return value.data if isinstance(value, fastnn.Tensor) else np.asarray(value)


def gradients(call, inputs, dys):
    """By the tape."""
    tensors = [fastnn.tensor(x, requires_grad=True) for x in inputs]
    ys = outputs(call(*tensors))
    total = None
    for y, dy in zip(ys, dys, strict=True):
        part = (y * dy).sum()
        total = part if total is None else total + part
    total.backward()
    return [tensor.grad for tensor in tensors]


def numeric_gradients(call, inputs, dys, step=1e-6):
    """By differences, with NumPy alone."""

    def value(arrays):
        return sum(float((np.asarray(y) * dy).sum()) for y, dy in zip(outputs(call(*arrays)), dys, strict=True))

    result = []
    for index, x in enumerate(inputs):
        slopes = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            sides = []
            for sign in (1, -1):
                moved = [other.copy() for other in inputs]
                moved[index][place] += sign * step
                sides.append(value(moved))
            slopes[place] = (sides[0] - sides[1]) / (2 * step)
        result.append(slopes)
    return result


_POSITIVE = random(2, 3, least=0.3, most=2.0)
_INSIDE = random(2, 3, least=-0.9, most=0.9)
_ANY = apart(2, 3)
_ABOVE_ONE = random(2, 3, least=1.2, most=3.0)

# Where each function of one input is smooth.
UNARY = {
    **dict.fromkeys(
        (
            np.positive,
            np.conjugate,
            np.negative,
            np.exp,
            np.exp2,
            np.expm1,
            np.cbrt,
            np.square,
            np.reciprocal,
            np.absolute,
            np.fabs,
            np.sin,
            np.cos,
            np.tan,
            np.arctan,
            np.sinh,
            np.cosh,
            np.tanh,
            np.arcsinh,
            np.deg2rad,
            np.radians,
            np.rad2deg,
            np.degrees,
            np.sign,
        ),
        _ANY,
    ),
    **dict.fromkeys((np.log, np.log2, np.log10, np.log1p, np.sqrt), _POSITIVE),
    **dict.fromkeys((np.arcsin, np.arccos, np.arctanh), _INSIDE),
    **dict.fromkeys((np.floor, np.ceil, np.trunc, np.rint), _INSIDE / 4 + 1.25),
    np.arccosh: _ABOVE_ONE,
}

_APART_PAIR = (apart(2, 3), apart(2, 3) + 0.1)
BINARY = {
    **dict.fromkeys(
        (
            np.add,
            np.subtract,
            np.multiply,
            np.true_divide,
            np.maximum,
            np.minimum,
            np.fmax,
            np.fmin,
            np.arctan2,
            np.hypot,
            np.logaddexp,
            np.logaddexp2,
            np.copysign,
        ),
        _APART_PAIR,
    ),
    np.power: (_POSITIVE, apart(2, 3)),
    np.float_power: (_POSITIVE, apart(2, 3)),
    np.remainder: (random(2, 3, least=0.1, most=0.9) + 3, -random(2, 3, least=1.1, most=1.4)),
    np.fmod: (random(2, 3, least=0.1, most=0.9) - 4, random(2, 3, least=1.1, most=1.4)),
}

_A, _B, _C = apart(2, 3), apart(2, 3) + 0.1, apart(2, 3, 4)
_SQUARE = apart(3, 3)
_HOLES = np.array([[1.0, np.nan, 2.0], [np.nan, -3.0, 0.5]])
_IS_POSITIVE = _A > 0
_PLACES = np.array([[0, 2, 2], [1, 1, 0]])


def _axes(function, *settings):
    """A reduction over all axes, one, several, and with the axes kept."""
    return [
        *(
            (lambda x, s=s: function(x, **s), [_C])
            for s in ({}, {"axis": 1}, {"axis": -1}, {"axis": 0, "keepdims": True})
        ),
        *((lambda x, s=s: function(x, **s), [_C]) for s in settings),
    ]


_SEVERAL = {"axis": (0, 2)}, {"axis": (-1, 0), "keepdims": True}, {"keepdims": True}
_SPREAD = {"ddof": 1}, {"axis": 1, "ddof": 1}

_INDICES = (
    0, -1, slice(1, None), (slice(None), 1), (..., 1), (None, 0), (0, 1, 2), (slice(None), slice(2, None, -2)), ...,
    (0, ..., None), (np.int64(1), 1), (), True, np.array(1), [1, 0, 1, 1], _PLACES % 2, (slice(None), _PLACES),
    ([0, 1, 1], [2, 0, 0]), ([[0], [1]], slice(None), [0, 3, 3]), _C > 0, (0, _C[0] > 0),
    (slice(None), [True, False, True]), (_C[:, :, 0] > 0, 1),
)  # fmt: skip

_SUBSCRIPTS = (
    ("ij,jk->ik", (2, 3), (3, 2)),
    ("ij,kj", (2, 3), (4, 3)),
    ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->j", (2, 2, 3)),
    ("iijj->ij", (2, 2, 3, 3)),
    ("ij->", (2, 3)),
    ("ij->ji", (2, 3)),
    ("ji", (2, 3)),
    ("ij->ij", (2, 3)),
    ("i,j", (2,), (3,)),
    ("i,i", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("ij,j", (2, 3), (3,)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 2)),
    ("...i,...i", (2, 3), (3,)),
    ("...,...", (2, 3), (3,)),
    ("i...->...i", (2, 3, 4)),
    ("...", (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 2), (2, 2)),
    ("ij,ij,ij->i", (2, 3), (2, 3), (2, 3)),
    ("ijk,j,k", (2, 3, 2), (3,), (2,)),
    ("ij,k->jk", (2, 3), (2,)),
    ("ij,jk", (2, 1), (3, 2)),
    ("i,ij->ij", (1,), (2, 3)),
    ("nhqd,nhkd->nhqk", (1, 2, 3, 2), (1, 2, 2, 2)),
    ("b i, i -> b", (2, 3), (3,)),
    (",ij", (), (2, 3)),
    ("ij,jj->i", (2, 3), (3, 3)),
)

FUNCTIONS = {
    np.where: [
        (lambda a, b: np.where(_IS_POSITIVE, a, b), [_A, _B]),
        (lambda b: np.where(_IS_POSITIVE, 2.0, b), [_B[0]]),
    ],
    np.clip: [
        (lambda x: np.clip(x, -0.3, 0.4), [_A]),
        (lambda x: np.clip(x, None, 0.4), [_A]),
        (lambda x: np.clip(x, a_min=0.1, a_max=None), [_A]),
        (lambda x, low, high: np.clip(x, low, high), [_A, apart(3) - 0.4, np.array(0.3)]),
        (lambda x, low: np.clip(x, low, -10.0), [_A, _B]),
    ],
    np.nan_to_num: [(lambda x: np.nan_to_num(x), [_A]), (lambda x: np.nan_to_num(x, nan=3.0), [_HOLES])],
    np.sinc: [(np.sinc, [_A])],
    np.round: [(lambda x: np.round(x, 1), [_A]), (np.round, [_A])],
    np.around: [(np.around, [_A])],
    np.fix: [(np.fix, [_A])],
    np.real: [(np.real, [_A])],
    # reductions
    np.sum: _axes(np.sum, *_SEVERAL),
    np.mean: _axes(np.mean, *_SEVERAL),
    np.var: _axes(np.var, *_SEVERAL, *_SPREAD),
    np.std: _axes(np.std, *_SEVERAL, *_SPREAD),
    np.max: _axes(np.max, *_SEVERAL),
    np.amax: _axes(np.amax),
    np.min: _axes(np.min, *_SEVERAL),
    np.amin: _axes(np.amin),
    np.prod: [
        *_axes(np.prod, *_SEVERAL),
        (np.prod, [np.array([0.0, 2.0, 3.0])]),
        (np.prod, [np.array([0.0, 2.0, 0.0])]),
    ],
    np.cumsum: [(np.cumsum, [_A]), (lambda x: np.cumsum(x, 1), [_C]), (lambda x: np.cumsum(x, axis=-1), [_C])],
    np.cumprod: [
        (np.cumprod, [_A]),
        (lambda x: np.cumprod(x, 1), [_C]),
        (np.cumprod, [np.array([2.0, 0.0, 3.0, 0.0, 1.0])]),
    ],
    np.ptp: _axes(np.ptp, *_SEVERAL),
    np.average: [
        (np.average, [_C]),
        (lambda x, w: np.average(x, 1, w), [_C, np.array([0.5, 1.0, 2.0])]),
        (lambda x, w: np.average(x, weights=w), [_A, _POSITIVE]),
        (lambda x, w: np.average(x, axis=0, weights=w, keepdims=True), [_A, _POSITIVE]),
        (lambda x: np.average(x, axis=0, weights=[1.0, 2.0]), [_A]),
    ],
    np.median: [*_axes(np.median, {"axis": (0, 2)}), (np.median, [apart(5)])],
    np.linalg.norm: [
        *_axes(np.linalg.norm, {"axis": (0, 2)}, {"axis": (0, 1), "keepdims": True}, {"axis": 1, "ord": 1}),
        *((lambda x, ord=ord: np.linalg.norm(x, ord), [apart(5)]) for ord in (2, 1, 3, 2.5, np.inf, -np.inf)),
        (lambda x: np.linalg.norm(x, "fro"), [_A]),
    ],
    **{
        function: [
            *_axes(function, {"axis": (0, 2)}),
            (function, [_HOLES]),
            (lambda x, f=function: f(x, axis=1), [_HOLES]),
        ]
        for function in (np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin)
    },
    np.diff: [(np.diff, [_C]), (lambda x: np.diff(x, 2, 1), [_C])],
    # shapes
    np.reshape: [(lambda x: np.reshape(x, (3, -1)), [_A]), (lambda x: np.reshape(x, 6), [_A])],
    np.ravel: [(np.ravel, [_A])],
    np.squeeze: [(np.squeeze, [apart(1, 3, 1)]), (lambda x: np.squeeze(x, 0), [apart(1, 3, 1)])],
    np.expand_dims: [(lambda x: np.expand_dims(x, (0, -1)), [_A]), (lambda x: np.expand_dims(x, 1), [_A])],
    np.transpose: [(np.transpose, [_C]), (lambda x: np.transpose(x, (1, -1, 0)), [_C])],
    np.swapaxes: [(lambda x: np.swapaxes(x, 0, -1), [_C])],
    np.moveaxis: [(lambda x: np.moveaxis(x, 0, -1), [_C]), (lambda x: np.moveaxis(x, (0, 1), (2, 0)), [_C])],
    np.rollaxis: [(lambda x: np.rollaxis(x, 2), [_C])],
    np.broadcast_to: [(lambda x: np.broadcast_to(x, (4, 2, 3)), [apart(2, 1)])],
    np.broadcast_arrays: [(lambda a, b: np.broadcast_arrays(a, b), [apart(2, 1), apart(3)])],
    np.atleast_1d: [(np.atleast_1d, [np.array(2.0)]), (lambda a, b: np.atleast_1d(a, b), [np.array(2.0), _A])],
    np.atleast_2d: [(np.atleast_2d, [apart(3)])],
    np.atleast_3d: [(np.atleast_3d, [apart(3)]), (np.atleast_3d, [_A])],
    np.flip: [(np.flip, [_C]), (lambda x: np.flip(x, 1), [_C]), (lambda x: np.flip(x, (0, -1)), [_C])],
    np.fliplr: [(np.fliplr, [_A])],
    np.flipud: [(np.flipud, [_A])],
    np.rot90: [(lambda x, k=k: np.rot90(x, k), [_A]) for k in range(-1, 5)]
    + [(lambda x: np.rot90(x, 1, (2, 0)), [_C])],
    np.roll: [(lambda x: np.roll(x, 2), [_A]), (lambda x: np.roll(x, (1, -1), (0, 2)), [_C])],
    np.diagonal: [
        (np.diagonal, [_SQUARE]),
        (lambda x: np.diagonal(x, 1, 0, 2), [_C]),
        (lambda x: np.diagonal(x, -1), [_A]),
    ],
    np.diag: [(np.diag, [_SQUARE]), (lambda x: np.diag(x, 1), [apart(3)]), (lambda x: np.diag(x, -1), [_SQUARE])],
    np.trace: [(np.trace, [_SQUARE]), (lambda x: np.trace(x, 1, 1, 2), [_C])],
    np.tril: [(np.tril, [_SQUARE]), (lambda x: np.tril(x, 1), [_C])],
    np.triu: [(np.triu, [_SQUARE]), (lambda x: np.triu(x, -1), [_C])],
    np.copy: [(np.copy, [_A])],
    np.ndarray.astype: [(lambda x: x.astype(np.float64), [_A]), (lambda x: x.astype(np.longdouble), [_A])],
    # joining and cutting
    np.concatenate: [
        (lambda a, b: np.concatenate([a, b]), [_A, _B]),
        (lambda a, b: np.concatenate((a, _B, b), axis=-1), [_A, apart(2, 1)]),
        (lambda a, b: np.concatenate([a, b, a], axis=None), [_A, apart(2)]),
    ],
    np.stack: [(lambda a, b: np.stack([a, b]), [_A, _B]), (lambda a, b: np.stack([a, b, a], axis=-1), [_A, _B])],
    np.vstack: [(lambda a, b: np.vstack([a, b]), [_A, apart(3)])],
    np.hstack: [(lambda a, b: np.hstack([a, b]), [_A, _B]), (lambda a, b: np.hstack([a, b]), [apart(3), apart(2)])],
    np.dstack: [(lambda a, b: np.dstack([a, b]), [_A, _B]), (lambda a, b: np.dstack([a, b]), [apart(3), apart(3)])],
    np.column_stack: [(lambda a, b: np.column_stack([a, b]), [_A, apart(2)])],
    np.append: [(lambda a, b: np.append(a, b), [_A, apart(2)]), (lambda a, b: np.append(a, b, 1), [_A, _B])],
    np.split: [(lambda x: np.split(x, 3, 1), [_A]), (lambda x: np.split(x, [1, 3], axis=2), [_C])],
    np.array_split: [(lambda x: np.array_split(x, 2, 1), [_A]), (lambda x: np.array_split(x, [2, 1, 5], 2), [_C])],
    np.hsplit: [(lambda x: np.hsplit(x, 3), [_A]), (lambda x: np.hsplit(x, [1]), [apart(3)])],
    np.vsplit: [(lambda x: np.vsplit(x, 2), [_A])],
    np.dsplit: [(lambda x: np.dsplit(x, 2), [_C])],
    # again and again
    np.tile: [
        (lambda x: np.tile(x, 2), [_A]),
        (lambda x: np.tile(x, (2, 1, 3)), [_A]),
        (lambda x: np.tile(x, (2,)), [_C]),
    ],
    np.repeat: [
        (lambda x: np.repeat(x, 2), [_A]),
        (lambda x: np.repeat(x, 3, axis=1), [_C]),
        (lambda x: np.repeat(x, [2, 0, 1], 1), [_C]),
        (lambda x: np.repeat(x, 0, 1), [_A]),
    ],
    # places
    operator.getitem: [
        *((lambda x, index=index: x[index], [_C]) for index in _INDICES),
        (lambda x: x[-2], [apart(3)]),
    ],
    iter: [(lambda x: [2 * part for part in x], [_C]), (lambda x: next(iter(x)), [apart(3)])],
    np.take: [
        (lambda x: np.take(x, [0, 5, 5]), [_A]),
        (lambda x: np.take(x, _PLACES, axis=1), [_C]),
        (lambda x: np.take(x, [-1, 0, -1], -1), [_C]),
        (lambda x: np.take(x, [7, -7], 2, mode="wrap"), [_C]),
        (lambda x: np.take(x, 1, 1), [_C]),
    ],
    np.take_along_axis: [
        (lambda x: np.take_along_axis(x, _PLACES, 1), [_A]),
        (lambda x: np.take_along_axis(x, np.array([1, 1, 4]), None), [_A]),
        (lambda x: np.take_along_axis(x, np.array([[[1], [0], [1]]]), axis=-1), [_C]),
    ],
    np.sort: [(np.sort, [_C]), (lambda x: np.sort(x, 0), [_C]), (lambda x: np.sort(x, axis=None), [_A])],
    np.compress: [(lambda x: np.compress([True, False, True], x, 1), [_C])],
    np.extract: [(lambda x: np.extract(_IS_POSITIVE, x), [_A])],
    np.pad: [
        (lambda x: np.pad(x, 1), [_A]),
        (lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=3.0), [_A]),
        *([(lambda x: np.pad(x, {1: (1, 2)}), [_C])] if hasattr(np, "matvec") else []),  # since NumPy 2.2, too
        *(
            (lambda x, mode=mode: np.pad(x, ((1, 0), (2, 2)), mode), [_A])
            for mode in ("edge", "reflect", "symmetric", "wrap")
        ),
        (lambda x: np.pad(x, (5, 4), "reflect"), [apart(3)]),
        (lambda x: np.pad(x, 0, "edge"), [_A]),
    ],
    np.full_like: [(lambda x: np.full_like(x, x.sum()), [_A])],
    np.block: [
        (lambda a, b: np.block([[a, b], [b, a]]), [_A, _B]),
        (lambda a, b: np.block([a, b]), [apart(2), apart(1)]),
        (lambda a: np.block([[a], [np.ones(3)]]), [_A]),
    ],
    np.delete: [(lambda x: np.delete(x, 1, 1), [_C]), (lambda x: np.delete(x, [0, -1]), [_A])],
    np.select: [(lambda a, b: np.select([_IS_POSITIVE, _B > 1], [a, b], 0.5), [_A, _B])],
    np.nancumsum: [(np.nancumsum, [_HOLES]), (lambda x: np.nancumsum(x, 1), [_HOLES])],
    # products
    np.kron: [(np.kron, [_A, _SQUARE]), (np.kron, [apart(2), _A])],
    np.tensordot: [
        (lambda a, b: np.tensordot(a, b, 1), [_C, apart(4, 2)]),
        (lambda a, b: np.tensordot(a, b), [_C, apart(3, 4, 2)]),
        (lambda a, b: np.tensordot(a, b, ([0, 2], [1, 0])), [_C, apart(4, 2, 3)]),
        (lambda a, b: np.tensordot(a, b, 0), [apart(2), _A]),
    ],
    np.dot: [
        (np.dot, [apart(3), apart(3)]),
        (np.dot, [_A, apart(3)]),
        (np.dot, [_A, _SQUARE]),
        (np.dot, [_C, apart(4)]),
        (np.dot, [_C, apart(2, 4, 3)]),
        (np.dot, [np.array(2.0), _A]),
    ],
    np.inner: [(np.inner, [apart(3), apart(3)]), (np.inner, [_A, _SQUARE]), (np.inner, [_A, np.array(2.0)])],
    np.vdot: [(np.vdot, [_A, _B])],
    np.outer: [(np.outer, [apart(3), _A])],
    np.einsum: [
        *(
            (lambda *operands, s=s: np.einsum(s, *operands), [apart(*shape) for shape in shapes])
            for s, *shapes in _SUBSCRIPTS
        ),
        (lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), [_A, _SQUARE]),
        (lambda a, b: np.einsum(a, [..., 1], b, [1], optimize=True), [_A, apart(3)]),
    ],
}

# What not every NumPy has.
for _name, _cases in {
    "matrix_transpose": [(lambda x: np.matrix_transpose(x), [_C])],
    "permute_dims": [(lambda x: np.permute_dims(x, (2, 0, 1)), [_C])],
    "unstack": [(lambda x: np.unstack(x, axis=1), [_A])],
    "astype": [(lambda x: np.astype(x, np.float64), [_A])],
    "cumulative_sum": [(lambda x: np.cumulative_sum(x, axis=1), [_C]), (lambda x: np.cumulative_sum(x), [apart(3)])],
    "cumulative_prod": [(lambda x: np.cumulative_prod(x, axis=1), [_C])],
}.items():
    if hasattr(np, _name) and getattr(np, _name) not in FUNCTIONS:
        FUNCTIONS[getattr(np, _name)] = _cases
for _name, _cases in {
    "matrix_transpose": [(lambda x: np.linalg.matrix_transpose(x), [_C])],
    "diagonal": [(lambda x: np.linalg.diagonal(x, offset=1), [_C])],
    "trace": [(lambda x: np.linalg.trace(x), [_C])],
    "matmul": [(lambda a, b: np.linalg.matmul(a, b), [_A, _SQUARE])],
    "outer": [(lambda a, b: np.linalg.outer(a, b), [apart(2), apart(3)])],
    "tensordot": [(lambda a, b: np.linalg.tensordot(a, b, axes=1), [_C, apart(4, 2)])],
    "vecdot": [(lambda a, b: np.linalg.vecdot(a, b), [_A, _B])],
    "vector_norm": [
        (lambda x: np.linalg.vector_norm(x), [_C]),
        (lambda x: np.linalg.vector_norm(x, keepdims=True), [_C]),
        (lambda x: np.linalg.vector_norm(x, axis=(0, 2)), [_C]),
        (lambda x: np.linalg.vector_norm(x, axis=1, ord=1), [_C]),
    ],
    "matrix_norm": [(lambda x: np.linalg.matrix_norm(x), [_C])],
}.items():
    if hasattr(np.linalg, _name) and getattr(np.linalg, _name) not in FUNCTIONS:
        FUNCTIONS[getattr(np.linalg, _name)] = _cases

PRODUCTS = {
    np.matmul: [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3, 4)),
        ((2, 2, 3), (3, 2)),
        ((2, 2, 3), (3,)),
        ((3,), (2, 3, 2)),
        ((2, 2, 3), (2, 3, 2)),
        ((2, 1, 2, 3), (2, 3, 2)),
        ((2, 3), (2, 3, 2)),
        ((1, 1), (1, 1)),
    ],
}
for _name, _shapes in {
    "vecdot": [((2, 3), (3,))],
    "matvec": [((2, 2, 3), (3,)), ((2, 3), (4, 3))],
    "vecmat": [((3,), (2, 3, 2)), ((4, 3), (3, 2))],
}.items():
    if hasattr(np, _name):
        PRODUCTS[getattr(np, _name)] = _shapes


def all_cases():
    """(name, call, inputs) of every case."""
    for ufunc, x in UNARY.items():
        yield ufunc.__name__, ufunc, [x]
        yield f"{ufunc.__name__}, no axes", ufunc, [x[0, 0]]
    for ufunc, (a, b) in BINARY.items():
        yield ufunc.__name__, ufunc, [a, b]
        yield f"{ufunc.__name__}, broadcast", ufunc, [a[:, :1], b[None, 0]]
        yield f"{ufunc.__name__}, no axes", ufunc, [a[0, 0], b]
        yield f"{ufunc.__name__}, number right", lambda x, f=ufunc: f(x, 1.5), [a]
        yield f"{ufunc.__name__}, number left", lambda x, f=ufunc: f(3.3, x), [b]
    for ufunc, shapes in PRODUCTS.items():
        for a, b in shapes:
            yield f"{ufunc.__name__}, {a}, {b}", ufunc, [apart(*a), apart(*b)]
    for function, cases in FUNCTIONS.items():
        for number, (call, inputs) in enumerate(cases):
            name = getattr(function, "__qualname__", function.__name__)
            name = f"linalg.{name}" if getattr(function, "__module__", "") == "numpy.linalg" else name
            yield f"{name}, {number}", call, [np.asarray(x) for x in inputs]
