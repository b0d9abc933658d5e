"""What torch has beside tensors, layers and optimisers, beside PyTorch's own: numbers, gradients, signatures, names."""

import importlib
import inspect
import io
import math
import operator

import numpy as np
import pytest

import fastnn.compat.torch as own
from fastnn.compat.torch import _toplevel_rest

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


@pytest.fixture
def flags(torch):
    """Settings that both keep, put back."""
    yield
    for library in (own, torch):
        library.use_deterministic_algorithms(False)
        library.set_float32_matmul_precision("highest")
        library.set_default_dtype(library.float32)


def module_of(library, path):
    for part in path.split(".") if path else ():
        library = getattr(library, part)
    return library


def plain(value):
    if hasattr(value, "detach"):
        return value.detach().numpy()
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def assert_same(ours, theirs, rtol=1e-9, atol=1e-11):
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b, rtol, atol)
    elif isinstance(ours, np.ndarray):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        is_float32 = ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, max(rtol, 1e-6) if is_float32 else rtol, atol)
    else:
        assert ours == theirs


def both(torch, call, arrays, *, with_gradients, rtol=1e-9, atol=1e-11):
    """The results of call(library, *tensors), and the gradients of their sum with random weights."""
    found = []
    for library in (own, torch):
        tensors = [library.tensor(array) for array in arrays]
        if with_gradients:
            for x in tensors:
                x.requires_grad_(x.is_floating_point())
        y = call(library, *tensors)
        parts = list(y) if isinstance(y, tuple) else [y]
        gradients = []
        if with_gradients:
            generator = np.random.default_rng(5)
            weights = [library.tensor(np.asarray(generator.standard_normal(tuple(part.shape)))) for part in parts]
            sum((part * weight).sum() for part, weight in zip(parts, weights, strict=True)).backward()
            gradients = [x.grad for x in tensors if x.requires_grad]
        found.append(plain([*parts, *gradients]))
    assert_same(*found, rtol, atol)


def matrix(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def definite(n=4, *batch, seed=0):
    a = matrix(*batch, n, n, seed=seed)
    return a @ np.swapaxes(a, -1, -2) + n * np.eye(n)


# ---- torch.linalg ----------------------------------------------------------------------------------------------------
V, A, B, S = matrix(6), matrix(4, 6), matrix(2, 3, 4, 6), definite()
# name -> calls with numbers and gradients
LINALG = {
    "norm": [
        (lambda t, x: t.linalg.norm(x), [A]),
        (lambda t, x: t.linalg.norm(x, 1), [V]),
        (lambda t, x: t.linalg.norm(x, 3, dim=-1), [B]),
        (lambda t, x: t.linalg.norm(x, "fro"), [A]),
        (lambda t, x: t.linalg.norm(x, math.inf, dim=(0, 2)), [B]),
        (lambda t, x: t.linalg.norm(x, dim=(1, 2), keepdim=True), [B]),
        (lambda t, x: t.linalg.norm(x, 1), [A]),
    ],
    "vector_norm": [
        (lambda t, x: t.linalg.vector_norm(x), [A]),
        (lambda t, x: t.linalg.vector_norm(x, 1, dim=1), [A]),
        (lambda t, x: t.linalg.vector_norm(x, -math.inf, dim=(0, 1)), [A]),
        (lambda t, x: t.linalg.vector_norm(x, 2.5, dim=0, keepdim=True), [A]),
    ],
    "matrix_norm": [
        (lambda t, x: t.linalg.matrix_norm(x), [B]),
        *[(lambda t, x, o=o: t.linalg.matrix_norm(x, o, dim=(1, 3)), [B]) for o in ("fro", 1, -1, math.inf, -math.inf)],
        (lambda t, x: t.linalg.matrix_norm(x, 1, keepdim=True), [B]),
    ],
    "matmul": [(lambda t, x, y: t.linalg.matmul(x, y), [A, A.T])],
    "vecdot": [(lambda t, x, y: t.linalg.vecdot(x, y, dim=0), [A, A + 1])],
    "cross": [(lambda t, x, y: t.linalg.cross(x, y), [matrix(4, 3), matrix(4, 3, seed=1)])],
    "multi_dot": [(lambda t, x, y, z: t.linalg.multi_dot([x, y, z]), [V, A.T, A])],
    "matrix_power": [(lambda t, x: t.linalg.matrix_power(x, 3), [S])],
    "diagonal": [(lambda t, x: t.linalg.diagonal(x, offset=1), [B])],
    "vander": [(lambda t, x: t.linalg.vander(x, N=4), [V])],
}
# name -> calls with numbers alone
LINALG_WITHOUT_GRADIENT = {
    "matrix_norm": [(lambda t, x, o=o: t.linalg.matrix_norm(x, o, (1, 3), True), [B]) for o in ("nuc", 2, -2)],
    "matrix_power": [(lambda t, x: t.linalg.matrix_power(x, -2), [S])],
    "vander": [(lambda t, x: t.linalg.vander(x), [A])],
    "vector_norm": [(lambda t, x: t.linalg.vector_norm(x.float(), 3, dtype=t.float64), [A])],
    "det": [(lambda t, x: t.linalg.det(x), [definite(3, 2)])],
    "slogdet": [(lambda t, x: tuple(t.linalg.slogdet(x)), [-definite(3, 2)])],
    "inv": [(lambda t, x: t.linalg.inv(x), [definite(3, 2)])],
    "pinv": [
        (lambda t, x: t.linalg.pinv(x), [B]),
        (lambda t, x: t.linalg.pinv(x @ x.mT), [matrix(5, 2)]),
        (lambda t, x: t.linalg.pinv(x, atol=0.5, rtol=0.1), [S]),
    ],
    "matrix_rank": [
        (lambda t, x: t.linalg.matrix_rank(x @ x.mT), [matrix(3, 5, 2)]),
        (lambda t, x: t.linalg.matrix_rank(x, atol=5.0), [S]),
        (lambda t, x: t.linalg.matrix_rank(x, rtol=0.7), [S]),
    ],
    "solve": [
        (lambda t, x, y: t.linalg.solve(x, y), [S, matrix(4, 2)]),
        (lambda t, x, y: t.linalg.solve(x, y), [S, matrix(4)]),
        (lambda t, x, y: t.linalg.solve(x, y), [definite(4, 3), matrix(3, 4)]),
        (lambda t, x, y: t.linalg.solve(x, y, left=False), [S, matrix(2, 4)]),
    ],
    "solve_triangular": [
        (lambda t, x, y: t.linalg.solve_triangular(x, y, upper=False), [S, matrix(4, 2)]),
        (
            lambda t, x, y: t.linalg.solve_triangular(x, y, upper=True, left=False, unitriangular=True),
            [S, matrix(2, 4)],
        ),
    ],
    "lstsq": [
        (lambda t, x, y: tuple(t.linalg.lstsq(x, y, driver="gelsd")), [matrix(6, 3), matrix(6, 2)]),
        (lambda t, x, y: t.linalg.lstsq(x, y).solution, [matrix(6, 3), matrix(6, 2)]),
    ],
    "cholesky": [
        (lambda t, x: t.linalg.cholesky(x), [definite(3, 2)]),
        (lambda t, x: t.linalg.cholesky(x, upper=True), [S]),
    ],
    "qr": [
        (lambda t, x, m=m: tuple(part.abs() for part in t.linalg.qr(x, m)), [A.T]) for m in ("reduced", "complete", "r")
    ],
    "svd": [
        (lambda t, x: tuple(part.abs() for part in t.linalg.svd(x, full_matrices=False)), [B]),
        (lambda t, x: t.linalg.svd(x).S, [A]),
        (lambda t, x: t.linalg.svd(x).Vh.shape[-1] + t.linalg.svd(x).S, [A]),
    ],
    "svdvals": [(lambda t, x: t.linalg.svdvals(x), [B])],
    "eigh": [
        (lambda t, x: t.linalg.eigh(x).eigenvalues, [S]),
        (lambda t, x: t.linalg.eigh(x, "U")[1].abs(), [S]),
    ],
    "eigvalsh": [(lambda t, x: t.linalg.eigvalsh(x), [S])],
    "cond": [(lambda t, x: t.linalg.cond(x), [definite(3, 2)]), (lambda t, x: t.linalg.cond(x, 1), [S])],
    "tensorinv": [(lambda t, x: t.linalg.tensorinv(x, 1), [matrix(6, 2, 3)])],
    "tensorsolve": [(lambda t, x, y: t.linalg.tensorsolve(x, y), [matrix(2, 3, 6), matrix(2, 3)])],
}


@pytest.mark.parametrize("name", LINALG)
def test_linear_algebra_has_pytorchs_numbers_and_gradients(torch, name):
    for call, arrays in LINALG[name]:
        both(torch, call, arrays, with_gradients=True)


@pytest.mark.parametrize("name", LINALG_WITHOUT_GRADIENT)
def test_linear_algebra_without_gradient_has_pytorchs_numbers(torch, name):
    for call, arrays in LINALG_WITHOUT_GRADIENT[name]:
        both(torch, call, arrays, with_gradients=False, rtol=1e-8, atol=1e-10)


def test_all_of_linalg_is_compared_or_missing_with_advice(torch):
    for name in public(torch.linalg):
        if name not in LINALG and name not in LINALG_WITHOUT_GRADIENT and name not in ("LinAlgError", "common_notes"):
            is_missing(own.linalg, name)


def test_a_matrix_without_inverse_is_the_same_kind_of_error(torch):
    for library in (own, torch):
        for call in (library.linalg.inv, library.linalg.cholesky, lambda x, t=library: t.linalg.solve(x, x)):
            with pytest.raises(library.linalg.LinAlgError):
                call(library.zeros(2, 2))
    assert issubclass(own.linalg.LinAlgError, RuntimeError)


# ---- torch.special, torch.fft ----------------------------------------------------------------------------------------
X = np.concatenate([np.linspace(-3, 3, 13), np.random.default_rng(0).standard_normal(20)])
P = np.random.default_rng(1).uniform(0.01, 0.99, 20)
SPECIAL = {
    "digamma": ("no gradient", [P * 8 - 3]),
    "entr": ("gradient", [P]),
    "erf": ("gradient", [X]),
    "erfc": ("gradient", [X]),
    "erfinv": ("gradient", [P * 2 - 1]),
    "exp2": ("gradient", [X]),
    "expit": ("gradient", [X]),
    "expm1": ("gradient", [X]),
    "gammaln": ("gradient", [P * 8]),
    "log1p": ("gradient", [P]),
    "logit": ("gradient", [P]),
    "multigammaln": ("gradient", [P + 2]),
    "ndtr": ("gradient", [X]),
    "ndtri": ("gradient", [P]),
    "psi": ("no gradient", [P]),
    "round": ("gradient", [X]),
    "sinc": ("gradient", [X]),
    "xlog1py": ("gradient", [X[:20], P]),
    "xlogy": ("gradient", [X[:20], P]),
    "log_softmax": ("gradient", [A]),
    "softmax": ("gradient", [A]),
    "logsumexp": ("gradient", [A]),
}
SPECIAL_ARGUMENTS = {"multigammaln": (3,), "log_softmax": (1,), "softmax": (0,), "logsumexp": (1,)}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_have_pytorchs_numbers_and_gradients(torch, name):
    kind, arrays = SPECIAL[name]
    more = SPECIAL_ARGUMENTS.get(name, ())
    both(torch, lambda t, *x: getattr(t.special, name)(*x, *more), arrays, with_gradients=kind == "gradient", rtol=1e-8)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_special_functions_have_pytorchs_numbers_at_the_edges(torch):
    edges = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan])
    for name in ("entr", "erf", "erfc", "erfinv", "gammaln", "ndtr", "expit", "log1p"):
        both(torch, lambda t, x, name=name: getattr(t.special, name)(x), [edges], with_gradients=False)
    for name in ("xlogy", "xlog1py"):
        both(
            torch,
            lambda t, x, y, n=name: getattr(t.special, n)(x, y),
            [edges, edges[::-1].copy()],
            with_gradients=False,
        )


def test_all_special_functions_are_compared_or_missing(torch):
    for name in torch.special.__all__:
        if name not in SPECIAL:
            with pytest.raises(AttributeError, match="is not in fastnn"):
                getattr(own.special, name)


def test_frequencies_and_shifts_are_pytorchs(torch):
    for n in (7, 8):
        both(torch, lambda t, n=n: (t.fft.fftfreq(n, 0.5), t.fft.rfftfreq(n)), [], with_gradients=False)
        array = matrix(n, 3)
        for call in (
            lambda t, x: t.fft.fftshift(x),
            lambda t, x: t.fft.ifftshift(x, dim=0),
            lambda t, x: t.fft.fftshift(x, (0, 1)),
        ):
            both(torch, call, [array], with_gradients=True)
    for name in public(torch.fft):
        if name not in ("fftfreq", "rfftfreq", "fftshift", "ifftshift", "Tensor"):
            is_missing(own.fft, name)


# ---- functions of layers at top level --------------------------------------------------------------------------------
IMAGES, SIGNALS = matrix(2, 4, 6, 6), matrix(2, 4, 12)
OF_NN = {
    "adaptive_avg_pool1d": (lambda t, x: t.adaptive_avg_pool1d(x, 5), [SIGNALS]),
    "alpha_dropout": (lambda t, x: t.alpha_dropout(x, 0.5, False), [A]),
    "avg_pool1d": (lambda t, x: t.avg_pool1d(x, 3, 2, 1), [SIGNALS]),
    "bilinear": (lambda t, x, y, w, b: t.bilinear(x, y, w, b), [A, matrix(4, 3), matrix(2, 6, 3), matrix(2)]),
    "celu": (lambda t, x: t.celu(x, 0.5), [A]),
    "celu_": (lambda t, x: t.celu_(x * 1), [A]),
    "channel_shuffle": (lambda t, x: t.channel_shuffle(x, 2), [IMAGES]),
    "conv1d": (lambda t, x, w, b: t.conv1d(x, w, b, 2, 1, 1, 2), [SIGNALS, matrix(6, 2, 3), matrix(6)]),
    "conv2d": (lambda t, x, w, b: t.conv2d(x, w, b, 2, 1, 1, 2), [IMAGES, matrix(6, 2, 3, 3), matrix(6)]),
    "conv_transpose1d": (lambda t, x, w: t.conv_transpose1d(x, w, None, 2, 1, 1), [SIGNALS, matrix(4, 3, 3)]),
    "conv_transpose2d": (lambda t, x, w: t.conv_transpose2d(x, w, None, 2, 1, 1), [IMAGES, matrix(4, 3, 3, 3)]),
    "dropout": (lambda t, x: t.dropout(x, 0.5, False), [A]),
    "group_norm": (lambda t, x, w, b: t.group_norm(x, 2, w, b, 1e-3), [IMAGES, matrix(4), matrix(4, seed=1)]),
    "hardshrink": (lambda t, x: t.hardshrink(x, 0.3), [A]),
    "layer_norm": (lambda t, x, w, b: t.layer_norm(x, (6,), w, b, 1e-3), [IMAGES, matrix(6), matrix(6, seed=1)]),
    "max_pool1d": (lambda t, x: t.max_pool1d(x, 3, 2, 1), [SIGNALS]),
    "max_pool2d": (lambda t, x: t.max_pool2d(x, 3, 2, 1), [IMAGES]),
    "pairwise_distance": (lambda t, x, y: t.pairwise_distance(x, y), [A, A + 1]),
    "pdist": (lambda t, x: t.pdist(x), [A]),
    "pixel_shuffle": (lambda t, x: t.pixel_shuffle(x, 2), [IMAGES]),
    "pixel_unshuffle": (lambda t, x: t.pixel_unshuffle(x, 3), [IMAGES]),
    "prelu": (lambda t, x, w: t.prelu(x, w), [IMAGES, matrix(4)]),
    "rms_norm": (lambda t, x, w: t.rms_norm(x, (6,), w, 1e-3), [IMAGES, matrix(6)]),
    "rrelu": (lambda t, x: t.rrelu(x, 0.1, 0.3, False), [A]),
    "rrelu_": (lambda t, x: t.rrelu_(x * 1, 0.1, 0.3, False), [A]),
    "selu": (lambda t, x: t.selu(x), [A]),
    "selu_": (lambda t, x: t.selu_(x * 1), [A]),
    "threshold": (lambda t, x: t.threshold(x, 0.1, 0.5), [A]),
    "threshold_": (lambda t, x: t.threshold_(x * 1, 0.1, 0.5), [A]),
}


@pytest.mark.parametrize("name", _toplevel_rest._OF_NN)
def test_functions_of_layers_take_pytorchs_arguments_at_top_level(torch, name):
    both(torch, *OF_NN[name], with_gradients=True, rtol=1e-7, atol=1e-8)


SAME = {
    "detach": (lambda t, x: t.detach(x) + 0 * x, [A]),
    "detach_": (lambda t, x: t.detach_(x * 2) + 0 * x, [A]),
    "zero_": (lambda t, x: t.zero_(x * 1) + 0 * x, [A]),
    "fill_": (lambda t, x: t.fill_(x * 1, 3.0) + 0 * x, [A]),
    "real": (lambda t, x: t.real(x), [A]),
    "conj": (lambda t, x: t.conj(x), [A]),
    "resolve_conj": (lambda t, x: t.resolve_conj(x), [A]),
    "resolve_neg": (lambda t, x: t.resolve_neg(x), [A]),
    "adjoint": (lambda t, x: t.adjoint(x), [B]),
    "vander": (lambda t, x: t.linalg.vander(x, N=3), [V]),
    "trapezoid": (lambda t, x: (t.trapezoid(x), t.trapezoid(x, dx=0.5, dim=1)), [B]),
    "trapz": (lambda t, y, x: (t.trapz(y, x), t.trapz(y, x.cumsum(0) ** 2)), [A, V]),
}


@pytest.mark.parametrize("name", SAME)
def test_tensors_by_other_names_have_pytorchs_numbers_and_gradients(torch, name):
    both(torch, *SAME[name], with_gradients=True)
    both(torch, lambda t, y, x: t.trapezoid(y, x, dim=0), [A, np.arange(4.0) ** 2], with_gradients=True)


def test_memory_of_others_is_taken_as_in_pytorch(torch):
    found = []
    for library in (own, torch):
        array = np.arange(4.0)
        x = library.from_dlpack(array)
        array[0] = 7
        y = library.frombuffer(bytearray(b"\x01\x00\x02\x00\x03\x00"), dtype=library.int16, count=2, offset=2)
        asked = [library.is_same_size(x, y), library.is_signed(x), library.is_signed(y.byte()), library.get_device(x)]
        found.append([x.tolist(), y.tolist(), *asked])
    assert found[0] == found[1]


# ---- torch.testing ---------------------------------------------------------------------------------------------------
PAIRS = {
    "equal": lambda t: (t.ones(3), t.ones(3)),
    "close": lambda t: (t.ones(3), t.ones(3) + 1e-6),
    "apart": lambda t: (t.ones(3), t.tensor([1.0, 1.1, 2.0])),
    "double": lambda t: (t.ones(3).double(), t.ones(3).double() + 1e-6),
    "dtypes": lambda t: (t.ones(3), t.ones(3).double()),
    "shapes": lambda t: (t.ones(3), t.ones(3, 1)),
    "integers": lambda t: (t.arange(3), t.arange(3)),
    "other integers": lambda t: (t.arange(3), t.arange(3) + 1),
    "nan": lambda t: (t.tensor([math.nan]), t.tensor([math.nan])),
    "infinite": lambda t: (t.tensor([math.inf]), t.tensor([math.inf])),
    "numbers": lambda t: (1.0, 1.0 + 1e-9),
    "numbers apart": lambda t: (1.0, 1.1),
    "int and float": lambda t: (1, 1.0),
    "lists": lambda t: ([t.ones(1), 2.0], (t.ones(1), 2.0)),
    "lists apart": lambda t: ([t.ones(1), 2.0], [t.ones(1), 3.0]),
    "lengths": lambda t: ([1.0], [1.0, 2.0]),
    "mappings": lambda t: ({"a": t.ones(1), "b": 1}, {"b": 1, "a": t.ones(1)}),
    "mappings apart": lambda t: ({"a": 1}, {"b": 1}),
    "arrays": lambda t: (np.ones(2), np.ones(2)),
    "an array and a tensor": lambda t: (np.ones(2), t.ones(2).double()),
    "texts": lambda t: ("a", "a"),
    "bools": lambda t: (t.tensor([True]), t.tensor([False])),
}
OPTIONS = [{}, {"rtol": 0, "atol": 0}, {"rtol": 0.1, "atol": 0.2}, {"equal_nan": True}, {"check_dtype": False}]


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_close_is_so_in_both(torch, name):
    for options in OPTIONS:
        outcomes = []
        for library in (own, torch):
            try:
                library.testing.assert_close(*PAIRS[name](library), **options)
            except (AssertionError, TypeError, ValueError) as error:
                outcomes.append(type(error))
            else:
                outcomes.append(None)
        assert outcomes[0] is outcomes[1], (options, outcomes)


def test_a_difference_is_told_in_pytorchs_words(torch):
    texts = []
    for library in (own, torch):
        with pytest.raises(AssertionError) as error:
            library.testing.assert_close(
                library.tensor([[1.0, 2.0], [3.0, 4.5]]), library.tensor([[1.0, 2.0], [3.0, 4.0]])
            )
        texts.append(str(error.value))
    assert texts[0] == texts[1]


def test_tensors_to_test_with_are_in_pytorchs_ranges(torch):
    for library in (own, torch):
        make = library.testing.make_tensor
        for dtype in (library.float32, library.float64, library.int64, library.uint8, library.bool):
            x = make(200, 3, dtype=dtype, device="cpu")
            assert tuple(x.shape) == (200, 3)
            assert x.dtype is dtype
        assert -9 <= make((500,), dtype=library.float32, device="cpu").min() < -8
        assert make(500, dtype=library.uint8, device="cpu").max() == 9
        assert (make(500, dtype=library.int64, device="cpu", low=0, high=3, exclude_zero=True) != 0).all()
        assert not make(4, 4, dtype=library.float32, device="cpu", noncontiguous=True).is_contiguous()
        assert make(2, dtype=library.float32, device="cpu", requires_grad=True).requires_grad
        with pytest.raises(ValueError, match="low"):
            make(2, dtype=library.float32, device="cpu", low=3, high=2)


# ---- signatures and names --------------------------------------------------------------------------------------------
def public(module):
    names = getattr(module, "__all__", None)
    return [str(name) for name in names] if names else [name for name in vars(module) if name[0] != "_"]


def is_missing(module, name):
    with pytest.raises(AttributeError, match=f"{name} is not in fastnn: ."):
        getattr(module, name)


def arguments(function):
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.default, p.kind) for p in parameters if p.name[0] != "_"]


def are_taken(mine, theirs):
    """Whether a call of the one is one of the other; names of positional arguments are nobody's business."""
    assert len(arguments(mine)) == len(arguments(theirs)), (mine, theirs)
    for a, b in zip(arguments(mine), arguments(theirs), strict=True):
        if b[2] is inspect.Parameter.POSITIONAL_ONLY:
            assert a[1] == b[1]
        else:
            assert a == b


MODULES = (
    "", "accelerator", "amp", "amp.autocast_mode", "amp.grad_scaler", "backends.cuda", "backends.mkl", "backends.mps",
    "backends.openmp", "compiler", "cpu", "cuda", "cuda.amp", "cuda.random", "distributed", "hub", "jit", "mps",
    "profiler", "random", "serialization", "testing", "utils.checkpoint", "xpu",
)  # fmt: skip
# Tensors, objects or modules of the library are defaults there; or a class of C has no signature.
OTHER_SIGNATURES = {
    "save": "pickle_module is a module",
    "no_grad": "decorates what it is called with",
    "enable_grad": "decorates what it is called with",
    "inference_mode": "decorates what it is called with",
    "autocast": "its dtype is torch.float16",
    "checkpoint": "context_fn is a function",
    "trace": "an object is a default",
    "Stream": "of C",
    "record_function": "its name is a positional argument of a class of C",
    "initial_seed": "documented",
    "set_flush_denormal": "of C",
    "cpu.Event": "nothing to set",
    "get_rng_state": "a device may be given",
    "set_rng_state": "a device may be given",
    "compile": "the compiler's takes what torch.compile takes",
    "dtype": "of C", "Tensor": "of C", "device": "of C", "Generator": "of C", "Size": "of C", "finfo": "of C",
    "iinfo": "of C", "set_checkpoint_early_stop": "a class", "set_checkpoint_debug_enabled": "a class",
    "annotate": "typing", "script": "its callback's type", "layout": "of C", "memory_format": "of C",
    "ScriptModule": "a base class",
}  # fmt: skip


@pytest.mark.parametrize("path", MODULES)
def test_functions_have_pytorchs_arguments(torch, path):
    ours, theirs = module_of(own, path), module_of(torch, path)
    seen = 0
    for name in public(ours):
        mine, value = getattr(ours, name), getattr(theirs, name, None)
        if (
            {name, f"{path}.{name}"} & OTHER_SIGNATURES.keys()
            or not callable(mine)
            or not mine.__module__.startswith("fastnn.compat.torch")
        ):
            continue
        try:
            inspect.signature(value)
        except (ValueError, TypeError):  # of C
            continue
        if path == "" and getattr(value, "__module__", "").startswith("torch.functional"):
            continue  # functions of tensors are compared elsewhere
        are_taken(mine, value)
        seen += 1
    assert seen or path in ("backends.mkl", "backends.openmp", "distributed", "profiler")


@pytest.mark.parametrize(
    "path",
    ["amp", "backends.mps", "backends.openmp", "cuda.amp", "cuda.random", "random", "testing", "types", "hub", "onnx",
     "version", "sparse", "profiler", "quantization", "func", "nested", "fx", "mps", "utils.model_zoo"],
)  # fmt: skip
def test_every_name_is_there_or_missing_by_name(torch, path):
    ours, theirs = importlib.import_module(f"fastnn.compat.torch.{path}"), importlib.import_module(f"torch.{path}")
    for name in public(theirs):
        if name[0] == "_" or inspect.ismodule(getattr(theirs, name, None)) or name == "Optional":
            continue
        if not hasattr(ours, name):
            with pytest.raises(AttributeError, match="is not in fastnn"):
                getattr(ours, name)


# ---- modes, settings, files ------------------------------------------------------------------------------------------
def settings(t):
    found = []
    t.use_deterministic_algorithms(True, warn_only=True)
    found += [t.are_deterministic_algorithms_enabled(), t.is_deterministic_algorithms_warn_only_enabled()]
    found += [t.get_deterministic_debug_mode()]
    t.set_deterministic_debug_mode("error")
    found += [t.get_deterministic_debug_mode(), t.is_deterministic_algorithms_warn_only_enabled()]
    t.set_float32_matmul_precision("high")
    found += [t.get_float32_matmul_precision()]
    t.set_default_tensor_type(t.DoubleTensor)
    found += [str(t.get_default_dtype()), str(t.zeros(1).dtype)]
    t.set_default_tensor_type("torch.FloatTensor")
    found += [str(t.get_default_dtype()), str(t.get_default_device())]
    found += [t.is_tensor(t.ones(1)), t.is_storage(3), t.is_inference(t.ones(1)), t.is_autocast_enabled()]
    found += [t.typename(t.ones(1)), t.typename(t.ones(1).long()), t.typename(3), t.typename("a"), t.typename(print)]
    found += [t.cuda.is_available(), t.cuda.device_count(), t.cuda.memory_allocated(), t.cuda.max_memory_allocated()]
    found += [t.backends.mps.is_available(), t.cuda.is_initialized(), t.jit.is_scripting(), t.compiler.is_compiling()]
    found += [t.backends.cudnn.benchmark, t.backends.cudnn.deterministic, t.backends.cudnn.enabled]
    found += [t.backends.cudnn.is_available(), t.accelerator.is_available(), t.accelerator.current_accelerator()]
    found += [t.xpu.is_available(), t.mps.device_count(), t.cpu.is_available(), t.cpu.device_count(), t.version.cuda]
    return found


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_settings_are_kept_as_in_pytorch(torch, flags):
    assert settings(own) == settings(torch)


SCALER = ("get_growth_factor", "get_backoff_factor", "get_growth_interval", "get_scale", "is_enabled", "state_dict")


def test_a_scaler_is_pytorchs_that_is_switched_off(torch):
    ours, theirs = own.amp.GradScaler(), torch.amp.GradScaler("cpu", enabled=False)
    assert {name for name in dir(torch.amp.GradScaler) if name[0] != "_"} <= set(dir(ours))
    found = []
    for library, scaler in ((own, ours), (torch, theirs)):
        x = library.tensor([2.0], requires_grad=True)
        optimizer = library.optim.SGD([x], lr=0.5)
        with library.autocast("cpu", enabled=False):
            loss = (x * x).sum()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        found.append([x.tolist(), [getattr(scaler, name)() for name in ("get_scale", "is_enabled", "state_dict")]])
    assert found[0] == found[1]


@pytest.mark.parametrize("old_format", [False, True])
def test_files_go_both_ways(torch, old_format):
    def content(t):
        generator = np.random.default_rng(0)
        linear = t.nn.Linear(3, 2)
        linear.load_state_dict(
            {
                name: t.tensor(generator.standard_normal(tuple(x.shape)).astype(np.float32))
                for name, x in linear.state_dict().items()
            }
        )
        optimizer = t.optim.Adam(linear.parameters(), lr=0.1)
        linear(t.ones(1, 3)).sum().backward()
        optimizer.step()
        return {
            "model": linear.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epoch": 3,
            "best": 0.5,
            "dtype": t.float64,
            "shape": t.Size([2, 3]),
            "device": t.device("cpu"),
            "names": ["a", ("b", None, True)],
            "integers": t.arange(5),
            "flags": t.tensor([True, False]),
            "parameter": linear.weight,
            "half": t.ones(2).half(),
            "empty": t.zeros(0, 3),
            "number": t.tensor(3.0).double(),
        }

    def texts(value):
        if isinstance(value, dict):
            return {key: texts(item) for key, item in value.items()}
        if hasattr(value, "detach"):
            return [str(value.dtype), value.requires_grad, value.detach().double().numpy().round(5).tolist()]
        return [type(value).__name__, str(value)] if not isinstance(value, list | tuple) else list(map(texts, value))

    wanted = texts(content(torch))
    for writer in (own, torch):
        for reader in (own, torch):
            file = io.BytesIO()
            writer.save(content(writer), file, _use_new_zipfile_serialization=not old_format)
            file.seek(0)
            found = reader.load(file, map_location="cpu", weights_only=False)
            assert texts(found) == wanted, (writer.__name__, reader.__name__)
            assert type(found["parameter"]) is reader.nn.Parameter
            assert type(found["shape"]) is reader.Size
            model = reader.nn.Linear(3, 2)
            model.load_state_dict(found["model"])
            reader.optim.Adam(model.parameters()).load_state_dict(found["optimizer"])


def test_versions_compare_as_pytorchs_do(torch):
    for other in ("1.8", "1.10.2", "10.0", (1, 2), (2, 14), (2, 12, 1), "2.6.0+cu118", "2.14"):
        for ask in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
            assert ask(own.__version__, other) == ask(torch.__version__, other), (other, ask)
    assert own.__version__.partition("+")[0] == torch.__version__.partition("+")[0]
    assert own.version.__version__ == own.__version__
