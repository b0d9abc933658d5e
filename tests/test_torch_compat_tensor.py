"""The functions and methods of fastnn.compat.torch are PyTorch's: values, dtypes, gradients."""

import inspect

import numpy as np
import pytest

import fastnn.compat.torch as own
from fastnn.compat.torch import (
    _conversion,
    _creation,
    _indexing,
    _linalg,
    _of_nn,
    _pointwise,
    _random,
    _reductions,
    _shapes,
    _special,
)

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*(deprecated|invalid value|divide by zero)"),
]


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


class T:
    """An argument: the tensor of these numbers in either library."""

    def __init__(self, array, requires_grad=None):
        self.array = np.asarray(array)
        self.requires_grad = self.array.dtype.kind == "f" if requires_grad is None else requires_grad

    def of(self, library):
        x = library.from_numpy(self.array.copy())
        if self.requires_grad:
            x.requires_grad_()
        return x


def _rng(*key):
    return np.random.default_rng([len(key), *key])


def f(*shape, low=-2.0, high=2.0, dtype=np.float64, seed=0):
    return T(_rng(seed, *shape).uniform(low, high, shape).astype(dtype))


def i(*shape, low=0, high=4, dtype=np.int64, seed=0):
    return T(_rng(seed, *shape).integers(low, high, shape).astype(dtype))


def b(*shape, seed=0):
    return T(_rng(seed, *shape).random(shape) < 0.5)


def n(*values, dtype=None):
    return T(np.array(values, dtype))


X = f(3, 4)
Y = f(3, 4, seed=1)
P = f(3, 4, low=0.2, high=0.9)
C = f(2, 3, 4)
I34 = i(3, 4, low=1, high=9)
B34 = b(3, 4)
SPECIAL = T(np.array([np.nan, np.inf, -np.inf, 0.0, 1.5]), False)

# Name -> calls, each the arguments and the named ones; the first is `input`.
CALLS = {
    # two operands
    "add": [((X, Y), {}), ((X, 2), {}), ((I34, 2.5), {}), ((X, Y), {"alpha": 3}), ((I34, i(4)), {}), ((X, f(4)), {})],
    "sub": [((X, Y), {}), ((X, Y), {"alpha": 0.5}), ((I34, 2), {})],
    "subtract": [((X, Y), {})],
    "rsub": [((X, Y), {}), ((X, 2), {})],
    "mul": [((X, Y), {}), ((X, 2), {}), ((I34, B34), {}), ((f(3, 4, dtype=np.float32), T(np.float64(2.0), False)), {})],
    "multiply": [((X, Y), {})],
    "div": [
        ((X, P), {}),
        ((I34, 2), {}),
        ((I34, i(3, 4, low=1, high=5, seed=3)), {}),
        ((X, P), {"rounding_mode": "floor"}),
        ((I34, 2), {"rounding_mode": "trunc"}),
        ((X, 0.3), {"rounding_mode": "trunc"}),
    ],
    "divide": [((X, P), {})],
    "true_divide": [((I34, 2), {})],
    "floor_divide": [((T(X.array, False), T(P.array, False)), {}), ((I34, 2), {}), ((T(-I34.array), 2), {})],
    "remainder": [((X, P), {}), ((T(-I34.array), 3), {}), ((X, -1.5), {})],
    "fmod": [((X, P), {}), ((T(-I34.array), 3), {})],
    "pow": [((P, Y), {}), ((X, 2), {}), ((X, 3), {}), ((2.0, X), {}), ((I34, 2), {})],
    "maximum": [((X, Y), {}), ((I34, I34), {})],
    "minimum": [((X, Y), {})],
    "fmax": [((X, Y), {})],
    "fmin": [((X, Y), {})],
    "atan2": [((X, Y), {})],
    "arctan2": [((X, Y), {})],
    "hypot": [((X, Y), {})],
    "logaddexp": [((X, Y), {})],
    "logaddexp2": [((X, Y), {})],
    "copysign": [((T(X.array, False), T(Y.array, False)), {})],
    "lerp": [((X, Y, 0.3), {}), ((X, Y, P), {})],
    "addcmul": [((X, Y, P), {"value": 0.5})],
    "addcdiv": [((X, Y, P), {"value": 0.5})],
    "xlogy": [((X, P), {})],
    # questions
    **{
        name: [((I34, i(3, 4, seed=2)), {}), ((X, 0.5), {})]
        for name in ("eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "less_equal", "greater", "greater_equal")
    },
    **{
        name: [((B34, b(3, 4, seed=1)), {}), ((I34, i(3, 4, high=2)), {})]
        for name in ("logical_and", "logical_or", "logical_xor")
    },
    **{
        name: [((B34, b(3, 4, seed=1)), {}), ((I34, i(3, 4, high=7)), {}), ((I34, 3), {})]
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    },
    "logical_not": [((B34,), {}), ((I34,), {})],
    "bitwise_not": [((B34,), {}), ((I34,), {})],
    **{name: [((SPECIAL,), {}), ((I34,), {})] for name in ("isnan", "isinf", "isfinite")},
    "signbit": [((X,), {})],
    "isclose": [((X, T(X.array + 1e-9)), {}), ((X, Y), {"atol": 1.0})],
    "allclose": [((X, T(X.array + 1e-9)), {}), ((X, Y), {})],
    "equal": [((X, X), {}), ((X, Y), {})],
    # one operand
    **{
        name: [((X,), {}), ((I34,), {})]
        for name in (
            "exp",
            "exp2",
            "expm1",
            "sin",
            "cos",
            "tan",
            "atan",
            "arctan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "arcsinh",
            "sigmoid",
            "deg2rad",
            "rad2deg",
        )
    },
    **{name: [((P,), {}), ((I34,), {})] for name in ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal")},
    **{name: [((P,), {})] for name in ("asin", "arcsin", "acos", "arccos", "atanh", "arctanh", "logit")},
    "acosh": [((f(3, low=1.1, high=3),), {})],
    "arccosh": [((f(3, low=1.1, high=3),), {})],
    **{
        name: [((X,), {}), ((T(-I34.array),), {})]
        for name in ("square", "neg", "negative", "abs", "absolute", "relu", "sign", "sgn")
    },
    **{name: [((X,), {})] for name in ("floor", "ceil", "trunc", "fix", "frac")},
    "round": [((X,), {}), ((X,), {"decimals": 1})],
    "clamp": [
        ((X, -1, 1), {}),
        ((X,), {"min": 0.5}),
        ((X,), {"max": 0.5}),
        ((I34, 2, 5), {}),
        ((X, f(3, 4, low=-1, high=0, seed=5)), {}),
    ],
    "clip": [((X, -1, 1), {})],
    "clamp_min": [((X, 0.2), {})],
    "clamp_max": [((X, 0.2), {})],
    "nan_to_num": [((SPECIAL,), {}), ((SPECIAL,), {"nan": 1.0, "posinf": 9.0, "neginf": -9.0})],
    "where": [((B34, X, Y), {}), ((B34, X, 0.0), {}), ((B34,), {}), ((B34, I34, Y), {})],
    "masked_fill": [((X, B34, 9.0), {}), ((X, b(4), -1), {}), ((I34, B34, 0), {})],
    # shapes
    "reshape": [((C,), {"shape": (4, -1)}), ((C, (6, 4)), {}), ((C, (-1,)), {})],
    "flatten": [((C,), {}), ((C, 1), {}), ((C, 0, 1), {}), ((T(np.float64(3)),), {})],
    "ravel": [((C,), {})],
    "unflatten": [((X, 1, (2, 2)), {}), ((X, 1, (2, -1)), {})],
    "permute": [((C,), {"dims": (2, 0, 1)}), ((C, (2, 0, 1)), {}), ((C, (-1, 0, 1)), {})],
    "transpose": [((C, 0, 2), {}), ((C, -1, -2), {})],
    "swapaxes": [((C, 0, 2), {})],
    "swapdims": [((C, 0, 2), {})],
    "t": [((X,), {}), ((f(3),), {})],
    "movedim": [((C, 0, 2), {}), ((C, (0, 1), (2, 0)), {})],
    "moveaxis": [((C, 0, 2), {})],
    "squeeze": [((f(1, 3, 1),), {}), ((f(1, 3, 1), 0), {}), ((f(1, 3, 1), 1), {}), ((f(1, 3, 1), (0, 2)), {})],
    "unsqueeze": [((X, 0), {}), ((X, -1), {}), ((X, 1), {})],
    "broadcast_to": [((f(3, 1), (2, 3, 4)), {})],
    "clone": [((X,), {})],
    "tile": [((X,), {"dims": (2, 1)}), ((X, (2,)), {}), ((X, (2, 1, 3)), {})],
    "repeat_interleave": [((X, 2), {}), ((X, 2, 1), {}), ((X, i(3, low=1, high=3), 0), {})],
    "cat": [(([X, Y],), {"axis": 1}), (([X, Y],), {}), (([X, Y], 1), {}), (([X, I34], -1), {})],
    "concat": [(([X, Y],), {})],
    "concatenate": [(([X, Y],), {})],
    "stack": [(([X, Y],), {"axis": 1}), (([X, Y],), {}), (([X, Y], 1), {}), (([X, Y], -1), {})],
    "vstack": [(([X, Y],), {}), (([f(3), f(3, seed=1)],), {})],
    "row_stack": [(([X, Y],), {})],
    "hstack": [(([X, Y],), {}), (([f(3), f(3, seed=1)],), {})],
    "dstack": [(([X, Y],), {}), (([f(3), f(3, seed=1)],), {})],
    "column_stack": [(([f(3), f(3, seed=1)],), {})],
    "narrow": [((X, 1, 1, 2), {}), ((X, 0, -2, 2), {})],
    "split": [((X, 2), {}), ((X, [1, 3], 1), {})],
    "chunk": [((X, 2, 1), {}), ((X, 2), {}), ((f(7), 3), {})],
    "tensor_split": [((f(7), 3), {}), ((f(7), (2, 5)), {})],
    "unbind": [((X,), {}), ((X, 1), {})],
    "select": [((X, 1, 2), {}), ((X, 0, -1), {})],
    "flip": [((C,), {"dims": (0, 2)}), ((X, (0,)), {}), ((X, (0, 1)), {})],
    "fliplr": [((X,), {})],
    "flipud": [((X,), {})],
    "roll": [((X, 1), {}), ((X, 1, 0), {}), ((X, (1, 2), (0, 1)), {})],
    "rot90": [((X,), {}), ((X, 2, (0, 1)), {})],
    "tril": [((X,), {}), ((X, 1), {})],
    "triu": [((X,), {}), ((X, -1), {})],
    "diagonal": [((X,), {}), ((C, 1, 1, 2), {})],
    "diag": [((X,), {}), ((f(3),), {}), ((f(3), 1), {})],
    "diag_embed": [((X,), {}), ((X, 1), {}), ((X, -2), {})],
    "meshgrid": [((f(3), f(2)), {"indexing": "ij"}), ((f(3), f(2)), {"indexing": "xy"})],
    "cartesian_prod": [((f(3), f(2)), {})],
    "broadcast_tensors": [((f(3, 1), f(4)), {})],
    "broadcast_shapes": [(((3, 1), (4,)), {})],
    **{
        name: [((X,), {}), ((f(3),), {}), ((T(np.float64(3)),), {}), ((C,), {})]
        for name in ("atleast_1d", "atleast_2d", "atleast_3d")
    },
    "block_diag": [((X, f(2, 2)), {})],
    # places
    "gather": [((X, 1, i(3, 2)), {}), ((X, 0, i(2, 3, high=3)), {}), ((C, 2, i(1, 2, 5)), {})],
    "take_along_dim": [((X, i(3, 2), 1), {}), ((X, i(5)), {})],
    "index_select": [((X, 1, n(0, 0, 3)), {}), ((X, 0, n(2, 1)), {})],
    "take": [((X, i(2, 2, high=12)), {})],
    "masked_select": [((X, B34), {}), ((X, b(4)), {})],
    "nonzero": [((B34,), {}), ((B34,), {"as_tuple": True})],
    "argwhere": [((B34,), {})],
    "scatter": [
        ((X, 1, T(np.array([[0, 1], [3, 2], [1, 0]])), f(3, 2)), {}),
        ((T(X.array, False), 1, T(np.array([[0], [3], [1]])), 1.0), {}),
        ((T(X.array, False), 0, i(1, 4, high=3), T(f(1, 4).array, False)), {"reduce": "add"}),
    ],
    "scatter_add": [((X, 1, i(3, 4), Y), {}), ((X, 0, i(2, 4, high=3), f(2, 4, seed=4)), {})],
    "index_add": [((X, 0, n(0, 2, 0), f(3, 4, seed=3)), {"alpha": 2})],
    "index_copy": [((X, 0, n(0, 2), f(2, 4)), {})],
    "index_fill": [((X, 1, n(0, 2), 5.0), {})],
    "index_put": [((X, (n(0, 2), n(1, 1)), f(2)), {}), ((X, (n(0, 0), n(1, 1)), f(2)), {"accumulate": True})],
    "masked_scatter": [((X, B34, f(12)), {})],
    "unravel_index": [((i(3, high=12), (3, 4)), {})],
    "combinations": [((f(4),), {}), ((f(3), 2, True), {})],
    # sums
    **{
        name: [((X,), {}), ((X, 0), {}), ((X, (0, 1)), {}), ((X, -1, True), {}), ((C, (0, 2)), {"keepdim": True})]
        for name in ("sum", "mean")
    },
    "nansum": [((SPECIAL,), {})],
    "nanmean": [((X,), {}), ((X, 1), {})],
    **{
        name: [
            ((X,), {}),
            ((X, 1), {}),
            ((X, 1, False), {}),
            ((X, False), {}),
            ((X,), {"dim": 0, "keepdim": True}),
            ((X,), {"dim": (0, 1), "correction": 2}),
            ((X, 1), {"unbiased": False}),
        ]
        for name in ("var", "std")
    },
    "var_mean": [((X, 1), {})],
    "std_mean": [((X, 1), {})],
    "prod": [((X,), {}), ((X, 1), {}), ((I34,), {})],
    "cumsum": [((X, 1), {}), ((B34, 0), {})],
    "cumprod": [((X, 1), {})],
    "logsumexp": [((X, 1), {}), ((X, (0, 1)), {}), ((X, 0, True), {})],
    "count_nonzero": [((B34,), {}), ((B34, 1), {})],
    "all": [((B34,), {}), ((B34, 1), {}), ((I34,), {})],
    "any": [((B34,), {}), ((B34, 1), {"keepdim": True})],
    "max": [((X,), {}), ((X, 1), {}), ((X, 0, True), {}), ((X, Y), {}), ((I34, 1), {})],
    "min": [((X,), {}), ((X, 1), {}), ((X, 0, True), {}), ((X, Y), {})],
    "amax": [((X,), {}), ((X, 1), {}), ((T(np.array([1.0, 2, 2])), 0), {})],
    "amin": [((X, (0, 1)), {}), ((X, 1, True), {})],
    "aminmax": [((X,), {}), ((X,), {"dim": 1})],
    "argmax": [((X,), {"axis": 1}), ((X,), {}), ((X, 1), {}), ((X, 1, True), {}), ((I34, 0), {})],
    "argmin": [((X,), {}), ((X, 1), {})],
    "median": [((X,), {}), ((X, 1), {}), ((X, 0, True), {})],
    "kthvalue": [((X, 2, 1), {})],
    "mode": [((T(np.array([[1.0, 2, 2], [3, 3, 1]])),), {})],
    "sort": [((X,), {}), ((X, 0, True), {})],
    "argsort": [((X,), {}), ((X, 0), {"descending": True})],
    "msort": [((X,), {})],
    "topk": [((X, 2), {}), ((X, 2, 0), {}), ((X, 2), {"largest": False})],
    "cummax": [((X, 1), {})],
    "cummin": [((X, 0), {})],
    "quantile": [((T(X.array, False), 0.3), {}), ((T(X.array, False), 0.3, 1), {})],
    "unique": [
        ((I34,), {}),
        ((I34,), {"return_inverse": True, "return_counts": True}),
        ((i(5, 2, high=2),), {"dim": 0}),
    ],
    "unique_consecutive": [((n(1, 1, 2, 2, 1),), {"return_counts": True, "return_inverse": True})],
    "bincount": [((i(9),), {})],
    "histc": [((T(X.array, False),), {"bins": 5}), ((T(X.array, False), 4, -1, 1), {})],
    "bucketize": [((X, n(-1.0, 0.0, 1.0)), {}), ((X, n(-1.0, 0.0, 1.0)), {"right": True})],
    "searchsorted": [((n(-1.0, 0.0, 1.0), X), {})],
    "diff": [((X,), {}), ((X, 2, 0), {})],
    "norm": [
        ((X,), {}),
        ((X, 2, 1), {}),
        ((X, 1), {}),
        ((X, float("inf"), 1), {}),
        ((X, 3, 0, True), {}),
        ((X,), {"dim": (0, 1)}),
    ],
    "dist": [((X, Y), {}), ((X, Y, 1), {})],
    "cdist": [((X, f(5, 4)), {})],
    "renorm": [((T(X.array, False), 2, 0, 1.0), {})],
    "cosine_similarity": [((X, Y), {}), ((X, Y, 0), {})],
    # products
    "matmul": [
        ((X, f(4, 2)), {}),
        ((C, f(4, 2)), {}),
        ((f(4), f(4, seed=1)), {}),
        ((X, f(4)), {}),
        ((f(2, 3, 4), f(2, 4, 5)), {}),
    ],
    "mm": [((X, f(4, 2)), {})],
    "bmm": [((f(2, 3, 4), f(2, 4, 5)), {})],
    "mv": [((X, f(4)), {})],
    "dot": [((f(4), f(4, seed=1)), {})],
    "inner": [((X, f(2, 4)), {})],
    "outer": [((f(3), f(2)), {})],
    "ger": [((f(3), f(2)), {})],
    "addmm": [((f(3, 2), X, f(4, 2)), {"beta": 0.5, "alpha": 2})],
    "addmv": [((f(3), X, f(4)), {})],
    "addr": [((f(3, 2), f(3), f(2)), {})],
    "baddbmm": [((f(2, 3, 5), f(2, 3, 4), f(2, 4, 5)), {"beta": 0.5})],
    "einsum": [(("ij,kj->ik", X, Y), {}), (("bij,jk->bik", C, f(4, 2)), {}), (("ij->", X), {})],
    "tensordot": [((C, f(3, 4)), {"dims": 2}), ((C, f(4, 3)), {"dims": ([1, 2], [1, 0])})],
    "kron": [((f(2, 2), f(2, 3)), {})],
    "trace": [((f(3, 3),), {})],
    "cross": [((f(4, 3), f(4, 3, seed=1)), {"dim": 1})],
    "chain_matmul": [((X, f(4, 2), f(2, 5)), {})],
    "det": [((T(f(3, 3).array, False),), {})],
    "inverse": [((T(f(3, 3).array, False),), {})],
    "pinverse": [((T(X.array, False),), {})],
    # creation
    **{name: [((2, 3), {}), (((2, 3),), {"dtype": "int64"}), ((), {"size": (2,)})] for name in ("zeros", "ones")},
    "full": [(((2, 3), 2.5), {}), (((2,), 3), {}), (((2,), True), {}), (((2,), 3), {"dtype": "float64"})],
    "zeros_like": [((X,), {}), ((I34,), {}), ((X,), {"dtype": "int32"})],
    "ones_like": [((X,), {}), ((I34,), {})],
    "full_like": [((X, 3), {}), ((I34, 3), {})],
    "arange": [((5,), {}), ((1, 5), {}), ((0.0, 1.0, 0.25), {}), ((5,), {"dtype": "float32"}), ((5, 0, -2), {})],
    "linspace": [((0, 1, 5), {}), ((0.0, 3.0), {"steps": 4})],
    "logspace": [((0, 2, 3), {})],
    "eye": [((3,), {}), ((2, 3), {}), ((2,), {"dtype": "int64"})],
    "tensor": [
        (([1, 2],), {}),
        (([1.5, 2],), {}),
        ((3.5,), {}),
        (([True, False],), {}),
        (([[1, 2], [3, 4]],), {"dtype": "float64"}),
        ((np.float32(3),), {}),
        ((np.arange(3.0),), {}),
    ],
    "as_tensor": [(([1, 2],), {}), ((np.arange(3.0),), {}), (([1, 2],), {"dtype": "float32"})],
    "asarray": [(([1, 2],), {})],
    "from_numpy": [((np.arange(3.0),), {})],
    "scalar_tensor": [((3.5,), {})],
    "tril_indices": [((3, 4), {}), ((3, 3, -1), {})],
    "triu_indices": [((3, 4), {})],
    "hann_window": [((5,), {}), ((5, False), {})],
    "FloatTensor": [(([1, 2],), {})],
    "DoubleTensor": [(([1, 2],), {})],
    "LongTensor": [(([1, 2],), {})],
    "IntTensor": [(([1, 2],), {})],
    "ShortTensor": [(([1, 2],), {})],
    "CharTensor": [(([1, 2],), {})],
    "ByteTensor": [(([1, 2],), {})],
    "BoolTensor": [(([1, 0],), {})],
    "HalfTensor": [(([1, 2],), {})],
    # dtypes
    "is_tensor": [((X,), {}), ((3,), {})],
    "is_floating_point": [((X,), {}), ((I34,), {})],
    "is_complex": [((X,), {})],
    "is_nonzero": [((n(3),), {}), ((n(0.0),), {})],
    "numel": [((X,), {})],
    "result_type": [((X, I34), {}), ((f(3, dtype=np.float32), T(np.float64(1), False)), {})],
    "promote_types": [(("int64", "float32"), {}), (("uint8", "int8"), {}), (("bool", "int32"), {})],
    # from mathematics
    "erf": [((X,), {}), ((I34,), {})],
    "erfc": [((X,), {}), ((T(X.array * 4),), {})],
    "erfinv": [((P,), {}), ((T(P.array - 1),), {}), ((n(-1.0, 1.0, 0.0, 0.999999, 2.0),), {})],
    "lgamma": [((P,), {}), ((T(P.array * 20),), {}), ((n(-0.5, -3.7),), {}), ((n(0.0, -2.0, 1.0),), {})],
    "digamma": [((T(P.array * 20, False),), {}), ((T(np.array([-0.5, -3.7, 12.0, 0.0]), False),), {})],
    "mvlgamma": [((T(P.array + 3), 3), {})],
    "sinc": [((X,), {}), ((n(0.0, 1.0, 0.5),), {})],
    "heaviside": [((T(np.array([-1.0, 0.0, 2.0]), False), T(np.array(0.5), False)), {})],
    "softmax": [((C,), {"axis": 1}), ((X, 1), {}), ((C, 0), {}), ((I34, 1), {"dtype": "float64"})],
    "log_softmax": [((X, 1), {}), ((C, -1), {})],
    "hardshrink": [((X,), {}), ((C, 0.3), {})],
    "threshold": [((X, 0.1, 0.5), {})],
    "positive": [((X,), {})],
    "float_power": [((P, 2), {}), ((I34, 0.5), {}), ((P, Y), {})],
    "gcd": [((I34, i(3, 4, low=1, high=30, seed=5)), {})],
    "lcm": [((I34, i(3, 4, low=1, high=30, seed=5)), {})],
    "bitwise_left_shift": [((I34, 2), {}), ((I34, i(3, 4, low=1, high=4, seed=5)), {})],
    "bitwise_right_shift": [((I34, 1), {})],
    **{name: [((SPECIAL,), {}), ((I34,), {})] for name in ("isneginf", "isposinf", "isreal")},
    "isin": [((I34, n(3, 5)), {}), ((I34, n(3, 5)), {"invert": True}), ((I34, 3), {})],
    "diagflat": [((f(3),), {}), ((f(2, 2), 1), {})],
    "as_strided": [((f(12), (3, 2), (2, 3), 1), {}), ((f(8), (3, 4), (1, 1)), {})],
    "split_with_sizes": [((C, [1, 3], 2), {})],
    "hsplit": [((f(4, 6), 2), {}), ((f(6), 3), {}), ((C, [1, 2]), {})],
    "vsplit": [((f(4, 6), 2), {})],
    "dsplit": [((C, 2), {})],
    "select_scatter": [((X, f(3, seed=4), 1, 2), {})],
    "slice_scatter": [((X, f(3, 2, seed=4), 1, 1, 3), {})],
    "diagonal_scatter": [((X, f(3, seed=4)), {}), ((X, f(2, seed=4), -1), {})],
    "narrow_copy": [((T(X.array, False), 1, 1, 2), {})],
    "scatter_reduce": [
        ((X, 1, i(3, 5, high=4), f(3, 5, seed=4), "sum"), {}),
        *[
            ((T(X.array, False), 1, i(3, 5, high=4), T(f(3, 5, seed=4).array, False), reduce), {"include_self": own})
            for reduce in ("sum", "prod", "mean", "amax", "amin")
            for own in (True, False)
        ],
    ],
    "index_put_": [((T(X.array, False), (n(0, 2), n(1, 3)), T(np.array([5.0, 6.0]), False)), {})],
    "vdot": [((f(4), f(4, seed=1)), {})],
    "matrix_power": [((f(3, 3), 3), {}), ((f(3, 3), 0), {}), ((T(f(3, 3).array, False), -2), {})],
    "slogdet": [((T(f(3, 3).array, False),), {})],
    "logdet": [((T(f(3, 3).array, False),), {}), ((T(f(3, 3, seed=1).array, False),), {})],
    "cholesky": [((T(np.cov(f(3, 9).array), False),), {}), ((T(np.cov(f(3, 9).array), False), True), {})],
    "cov": [((X,), {}), ((X,), {"correction": 0}), ((f(5),), {})],
    "corrcoef": [((X,), {})],
    "can_cast": [(("float32", "int64"), {}), (("int64", "float32"), {})],
}

# What draws random numbers (compared in distribution in test_compat_tensor), leaves memory as it is, or is a class.
NOT_COMPARED = {
    "empty", "empty_like", "Generator", "default_generator", "manual_seed", "seed", "initial_seed", "get_rng_state",
    "set_rng_state", "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal",
    "bernoulli", "multinomial", "poisson", "device",
    # signs are not determined: test_compat_tensor multiplies them out
    "qr", "svd",
}  # fmt: skip
WRITING = {f"{name}_" for name in _pointwise._WRITING}
NAMES = sorted(
    {
        name
        for file in (
            _conversion, _creation, _indexing, _linalg, _of_nn, _pointwise, _random, _reductions, _shapes, _special,
        )
        for name in file.__all__
    }
    - set(WRITING)
)  # fmt: skip


def _argument(value, library):
    if isinstance(value, T):
        return value.of(library)
    if isinstance(value, list | tuple) and any(isinstance(part, T) for part in value):
        return type(value)(_argument(part, library) for part in value)
    if isinstance(value, str) and value in ("int64", "float64", "float32", "int32", "uint8", "int8", "bool"):
        return getattr(library, value)
    return value


def _leaves(arguments):
    for value in arguments:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        elif hasattr(value, "requires_grad") and value.requires_grad:
            yield value


def _results(y):
    return list(y) if isinstance(y, tuple | list) else [y]


def _compare(torch, call, arguments, keywords):
    found = []
    for library in (own, torch):
        given = [_argument(value, library) for value in arguments]
        named = {key: _argument(value, library) for key, value in keywords.items()}
        results = _results(call(library)(*given, **named))
        recorded = [y for y in results if getattr(y, "requires_grad", False)]
        gradients = []
        if recorded:
            weights = [np.random.default_rng(7).uniform(0.5, 1.5, tuple(y.shape)) for y in recorded]
            total = sum((y * library.from_numpy(np.asarray(w))).sum() for y, w in zip(recorded, weights, strict=True))
            total.backward()
            gradients = [None if leaf.grad is None else leaf.grad.numpy(force=True) for leaf in _leaves(given)]
        found.append((results, gradients))
    (mine, my_gradients), (theirs, their_gradients) = found
    assert len(mine) == len(theirs)
    for y, wanted in zip(mine, theirs, strict=True):
        if not isinstance(wanted, torch.Tensor):
            assert type(y).__name__ == type(wanted).__name__
            assert str(y) == str(wanted)
            continue
        assert isinstance(y, own.Tensor)
        assert repr(y.dtype) == repr(wanted.dtype)
        assert tuple(y.shape) == tuple(wanted.shape)
        assert y.requires_grad == wanted.requires_grad
        eps = 1e-6 if wanted.dtype == torch.float32 else 1e-12
        np.testing.assert_allclose(y.detach().numpy(), wanted.detach().numpy(), rtol=eps, atol=eps)
    for gradient, wanted in zip(my_gradients, their_gradients, strict=True):
        wanted = np.zeros_like(gradient) if wanted is None and gradient is not None else wanted
        gradient = np.zeros_like(wanted) if gradient is None and wanted is not None else gradient
        if wanted is not None:
            assert gradient.dtype == wanted.dtype
            np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_COMPARED])
def test_functions_are_those_of_pytorch(torch, name):
    assert name in CALLS, f"{name} is compared with nothing"
    for arguments, keywords in CALLS[name]:
        _compare(torch, lambda library: getattr(library, name), arguments, keywords)


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(own.Tensor, name) and name in CALLS])
def test_methods_are_those_of_pytorch(torch, name):
    for arguments, keywords in CALLS[name]:
        if isinstance(arguments[0], T) and hasattr(torch.Tensor, name) and name != "where":
            _compare(
                torch, lambda library: lambda x, *rest, **named: getattr(x, name)(*rest, **named), arguments, keywords
            )


@pytest.mark.parametrize(
    "name", sorted({name[:-1] for name in dir(own.Tensor) if name.endswith("_") and name[:-1] in CALLS})
)
def test_methods_that_write_into_the_tensor_give_what_pytorch_has_then(torch, name):
    if not hasattr(torch.Tensor, f"{name}_") or name.removeprefix("arc").removeprefix("a") in ("cosh", "sinh", "tanh"):
        return  # PyTorch has none, or no derivative of it
    for arguments, keywords in CALLS[name]:
        first = arguments[0]
        if not isinstance(first, T) or keywords.get("rounding_mode"):
            continue

        def call(library):
            def write(x, *rest, **named):
                y = x.clone()
                changed = getattr(y, f"{name}_")(*rest, **named)
                assert changed is y
                return y

            return write

        try:
            call(torch)(*[_argument(value, torch) for value in arguments],
                        **{key: _argument(value, torch) for key, value in keywords.items()})  # fmt: skip
        except RuntimeError:
            with pytest.raises(RuntimeError):
                call(own)(*[_argument(value, own) for value in arguments],
                          **{key: _argument(value, own) for key, value in keywords.items()})  # fmt: skip
            continue
        _compare(torch, call, arguments, keywords)


@pytest.mark.parametrize("name", [name for name in NAMES if name in CALLS])
def test_arguments_have_the_names_that_pytorch_documents(torch, name):
    """PyTorch's own functions have no signature, but their documentation starts with one."""
    text = (getattr(torch, name).__doc__ or "").strip().split("\n")[0]
    function = getattr(own, name)
    if not text.startswith(f"{name}(") or "dividend" in text or not inspect.isfunction(function):
        return  # PyTorch documents no arguments
    inside = (
        text[len(name) + 1 :].split(")")[0]
        if "=(" not in text
        else text[len(name) + 1 : text.index("->") if "->" in text else None]
    )
    documented = [part.split("=")[0].strip(" *`)") for part in inside.replace("(", "").split(",")]
    documented = [part for part in documented if part.isidentifier()]
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    variable = {p.name for p in parameters.values() if p.kind is p.VAR_POSITIONAL}
    lacking = [word for word in documented if word not in parameters and word not in variable]
    assert takes_any or not lacking or set(lacking) <= {"generator", "layout", "pin_memory", "memory_format", "out"}, (
        lacking
    )


def test_functions_that_write_are_the_methods_that_do(torch):
    for name in WRITING:
        assert hasattr(torch, name), name
        assert getattr(own, name) is getattr(own.Tensor, name)


@pytest.mark.parametrize(
    "make",
    [
        lambda torch: torch.tensor([0.1, 1e-50], dtype=torch.float64),
        lambda torch: torch.tensor(0.1, dtype=torch.float64),
        lambda torch: torch.tensor([16777217.0, 1.9], dtype=torch.int64),
        lambda torch: torch.tensor([[2**60 + 1]], dtype=torch.int64),
        lambda torch: torch.as_tensor([0.1], dtype=torch.float64),
        lambda torch: torch.DoubleTensor([0.1]),
        lambda torch: torch.zeros(2, dtype=torch.float64).new_tensor([0.1]),
        lambda torch: torch.zeros(2, dtype=torch.float64).new([0.1]),
        lambda torch: torch.full((2,), 0.1, dtype=torch.float64),
        lambda torch: torch.ones(2, dtype=torch.float64) * 0.1,
        lambda torch: torch.where(torch.ones(2, dtype=torch.bool), 0.1, torch.ones(2, dtype=torch.float64)),
        lambda torch: torch.zeros(3, dtype=torch.float64).fill_(0.1),
        lambda torch: torch.zeros(3, dtype=torch.float64).masked_fill(torch.ones(3, dtype=torch.bool), 0.1),
        lambda torch: torch.linspace(0, 0.1, 3, dtype=torch.float64),
        lambda torch: torch.tensor([True, False], dtype=torch.float64),
        lambda torch: torch.tensor([torch.tensor(0.1), torch.tensor(0.2)]),
        lambda torch: torch.zeros(2, dtype=torch.float64).clamp(min=0.1),
        lambda torch: torch.scalar_tensor(0.1, dtype=torch.float64),
    ],
)
def test_numbers_of_python_keep_all_their_digits(torch, make):
    mine, theirs = make(own), make(torch)
    assert repr(mine.dtype) == repr(theirs.dtype)
    assert mine.tolist() == theirs.tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda torch: torch.Tensor(torch.Size([2, 3])),
        lambda torch: torch.Tensor(torch.zeros(2, 3).size()),
        lambda torch: torch.FloatTensor(torch.zeros(2, 3).shape),
        lambda torch: torch.LongTensor(torch.Size([4])),
        lambda torch: torch.zeros(2, 3).new(torch.Size([5])),
        lambda torch: torch.FloatTensor(2, 3),
        lambda torch: torch.FloatTensor((2, 3)),
        lambda torch: torch.Tensor([2, 3]),
        lambda torch: torch.Tensor(),
    ],
)
def test_old_constructors_take_a_size_as_sizes_and_lists_as_numbers(torch, make):
    mine, theirs = make(own), make(torch)
    assert tuple(mine.shape) == tuple(theirs.shape)
    assert repr(mine.dtype) == repr(theirs.dtype)
