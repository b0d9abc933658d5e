"""torch.nn.init, losses and transformers of fastnn.compat.torch are PyTorch's."""

import copy
import inspect
import math
import pickle
import warnings

import numpy as np
import pytest
from compat_comparing import alike, array, flat, numbers, part, same, signature, weighted
from compat_functionals import REDUCTIONS, A, I, N, P, S, case, constant, ids, materialised

import fastnn.compat.torch as own

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*(deprecated|size_average|different to the input size|batch size and|nested)"),
]

TOLERANCE = {np.float32: {"rtol": 2e-4, "atol": 2e-5}, np.float64: {"rtol": 1e-9, "atol": 1e-10}}


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


# ---- init ------------------------------------------------------------------------------------------------------------
EXACT = [
    ("constant_", (0.7,), (3, 4)), ("ones_", (), (3,)), ("zeros_", (), (2, 3)), ("eye_", (), (3, 5)),
    ("eye_", (), (4, 2)), ("dirac_", (), (4, 3, 3, 3)), ("dirac_", (2,), (6, 2, 4)), ("dirac_", (), (2, 5, 2, 3, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "shape"), EXACT)
def test_init_of_fixed_values_is_that_of_pytorch(torch, name, arguments, shape):
    expected, found = (getattr(part(x, "nn.init"), name)(x.empty(*shape), *arguments) for x in (torch, own))
    np.testing.assert_array_equal(numbers(found), numbers(expected))


SHAPE = 60, 50, 3, 3
DRAWN = [
    ("uniform_", ()), ("uniform_", (-2.0, 3.0)), ("normal_", ()), ("normal_", (1.0, 0.2)), ("trunc_normal_", ()),
    ("trunc_normal_", (0.5, 2.0, -1.0, 1.5)), ("xavier_uniform_", ()), ("xavier_uniform_", (2.0,)),
    ("xavier_normal_", ()), ("xavier_normal_", (0.3,)), ("kaiming_uniform_", ()),
    ("kaiming_uniform_", (math.sqrt(5), "fan_out")), ("kaiming_uniform_", (0, "fan_in", "relu")),
    ("kaiming_normal_", ()),
    ("kaiming_normal_", (0.2, "fan_out", "leaky_relu")), ("kaiming_normal_", (0, "fan_in", "tanh")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), DRAWN)
def test_init_draws_from_the_distribution_of_pytorch(torch, name, arguments):
    """Quantiles, mean and bounds of 27,000 values."""
    torch.manual_seed(1)
    own.manual_seed(1)
    expected, found = (
        numbers(getattr(part(x, "nn.init"), name)(x.empty(*SHAPE), *arguments)).astype(np.float64).reshape(-1)
        for x in (torch, own)
    )
    scale = expected.std()
    places = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(found, places), np.quantile(expected, places), atol=0.1 * scale)
    np.testing.assert_allclose(found.mean(), expected.mean(), atol=0.05 * scale)
    np.testing.assert_allclose(found.std(), scale, rtol=0.03)
    if "normal" not in name or name == "trunc_normal_":
        np.testing.assert_allclose([found.min(), found.max()], [expected.min(), expected.max()], atol=0.01 * scale)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (4, 3, 2), (6, 6)])
def test_orthogonal_matrices_have_the_products_of_pytorch(torch, shape):
    for library in (torch, own):
        w = numbers(part(library, "nn.init").orthogonal_(library.empty(*shape), 1.5)).reshape(shape[0], -1)
        small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        np.testing.assert_allclose(small, 2.25 * np.eye(len(small)), atol=1e-5)


def test_sparse_matrices_have_the_zeros_of_pytorch(torch):
    for library in (torch, own):
        w = numbers(part(library, "nn.init").sparse_(library.empty(7, 40), 0.3, 0.5))
        assert ((w == 0).sum(0) == 3).all()
        assert 0.35 < w[w != 0].std() < 0.65


GAINS = [("linear", None), ("conv2d", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("leaky_relu", None),
         ("leaky_relu", 0.3), ("leaky_relu", 2), ("selu", None), ("conv_transpose3d", None)]  # fmt: skip


@pytest.mark.parametrize(("name", "param"), GAINS)
def test_gains_and_fans_are_those_of_pytorch(torch, name, param):
    assert own.nn.init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param))
    for shape in ((3, 4), (5, 2, 3), (4, 6, 3, 2)):
        for function, more in (("_calculate_fan_in_and_fan_out", ()), ("_calculate_correct_fan", ("fan_out",))):
            expected, found = (getattr(x.nn.init, function)(x.empty(*shape), *more) for x in (torch, own))
            assert found == expected


def test_init_refuses_what_pytorch_refuses(torch):
    refused = [
        lambda t: t.nn.init.xavier_uniform_(t.empty(3)), lambda t: t.nn.init.kaiming_normal_(t.empty(3)),
        lambda t: t.nn.init.kaiming_normal_(t.empty(3, 3), mode="fan"), lambda t: t.nn.init.eye_(t.empty(3)),
        lambda t: t.nn.init.dirac_(t.empty(3, 3)), lambda t: t.nn.init.dirac_(t.empty(3, 3, 3), 2),
        lambda t: t.nn.init.orthogonal_(t.empty(3)), lambda t: t.nn.init.sparse_(t.empty(3), 0.5),
        lambda t: t.nn.init.calculate_gain("gelu"),
    ]  # fmt: skip
    for call in refused:
        for library in (torch, own):
            with pytest.raises(ValueError):  # noqa: PT011 (each of them says something else)
                call(library)


def test_names_and_arguments_of_init_are_those_of_pytorch(torch):
    theirs, ours = torch.nn.init, own.nn.init
    wrong = []
    for name, function in vars(theirs).items():
        if not inspect.isfunction(function) or name[0] == "_":
            continue
        found = getattr(ours, name, None)
        if found is None or signature(found) != signature(function):
            wrong.append(name)
    assert not wrong


def test_old_names_of_init_warn_as_in_pytorch(torch):
    for library in (torch, own):
        for name in ("uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal",
                     "kaiming_uniform", "kaiming_normal", "orthogonal", "sparse"):  # fmt: skip
            shape = (3, 3, 3) if name == "dirac" else (3, 3)
            more = {"constant": (2.0,), "sparse": (0.5,)}.get(name, ())
            with pytest.warns(FutureWarning, match=f"`nn.init.{name}` is now deprecated"):
                getattr(library.nn.init, name)(library.empty(*shape), *more)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own.nn.init.uniform_(own.empty(2))


# ---- losses ----------------------------------------------------------------------------------------------------------
_Y = N(4, 3), N(4, 3)
LOSSES = [
    (name, {**keywords, "reduction": reduction}, inputs)
    for reduction in REDUCTIONS
    for name, keywords, inputs in [
        ("L1Loss", {}, _Y), ("MSELoss", {}, _Y), ("SmoothL1Loss", {"beta": 0.4}, _Y), ("HuberLoss", {"delta": 0.4}, _Y),
        ("BCELoss", {}, (P(4, 3), P(4, 3))), ("BCELoss", {"weight": P(3)}, (P(4, 3), P(4, 3))),
        ("BCEWithLogitsLoss", {}, (N(4, 3), P(4, 3))),
        ("BCEWithLogitsLoss", {"weight": P(4, 3), "pos_weight": P(3)}, (N(4, 3), P(4, 3))),
        ("KLDivLoss", {}, (N(4, 3), P(4, 3))), ("KLDivLoss", {"log_target": True}, _Y),
        ("PoissonNLLLoss", {"log_input": False, "full": True, "eps": 1e-3}, (P(4, 3), constant(P(4, 3)))),
        ("PoissonNLLLoss", {}, _Y), ("GaussianNLLLoss", {"full": True, "eps": 0.3}, (*_Y, P(4, 3))),
        ("SoftMarginLoss", {}, (N(4, 3), S(4, 3))), ("HingeEmbeddingLoss", {"margin": 0.5}, (N(4, 3), S(4, 3))),
        ("CosineEmbeddingLoss", {"margin": 0.1}, (*_Y, S(4))),
        ("MarginRankingLoss", {"margin": 0.3}, (N(4), N(4), S(4))),
        ("TripletMarginLoss", {"margin": 0.7, "p": 1.0, "swap": True}, (*_Y, N(4, 3))),
        ("TripletMarginWithDistanceLoss", {"swap": True}, (*_Y, N(4, 3))),
        ("CrossEntropyLoss", {}, (N(5, 4), I(4, 5))), ("CrossEntropyLoss", {}, (N(5, 4), P(5, 4))),
        ("CrossEntropyLoss", {"weight": P(4), "ignore_index": 1, "label_smoothing": 0.2}, (N(5, 4), I(4, 5))),
        ("CrossEntropyLoss", {"label_smoothing": 0.2}, (N(2, 4, 3, 5), I(4, 2, 3, 5))),
        ("NLLLoss", {"weight": P(4), "ignore_index": 2}, (N(5, 4), I(4, 5))),
        ("NLLLoss2d", {}, (N(2, 4, 3, 5), I(4, 2, 3, 5))),
        ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": P(4)}, (N(5, 4), I(4, 5))),
        ("MultiLabelMarginLoss", {}, (N(2, 4), A([[3, 0, -1, 1], [1, 0, 2, 3]]))),
        ("MultiLabelSoftMarginLoss", {"weight": P(3)}, (N(4, 3), P(4, 3))),
    ]
] + [
    ("CrossEntropyLoss", {"size_average": False}, (N(5, 4), I(4, 5))), ("MSELoss", {"reduce": False}, _Y),
    ("KLDivLoss", {"reduction": "batchmean"}, (N(4, 3), P(4, 3))),
]  # fmt: skip
LOSS_CASES = [case(name, *inputs, **keywords) for name, keywords, inputs in LOSSES]


def _loss_called(library, given, dtype):
    name = given[0]
    inputs, keywords, wanted = materialised(given, dtype)
    leaves = [library.from_numpy(x.copy()) for x in inputs]
    for leaf, wants in zip(leaves, wanted, strict=False):
        leaf.requires_grad_(wants)
    keywords = {
        key: library.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in keywords.items()
    }
    criterion = getattr(library.nn, name)(**keywords)
    loss = criterion(*leaves)
    weighted(library, [loss]).backward()
    return criterion, loss, [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", LOSS_CASES, ids=ids(LOSS_CASES))
def test_losses_have_values_gradients_and_state_of_pytorch(torch, given, dtype):
    theirs, expected, dexpected = _loss_called(torch, given, dtype)
    ours, found, dfound = _loss_called(own, given, dtype)
    assert repr(found.dtype) == repr(expected.dtype)
    same([found, *dfound], [expected, *dexpected], TOLERANCE[dtype])
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.reduction == theirs.reduction
    if "distance_function" not in vars(ours):  # a function of a test cannot be pickled
        again = pickle.loads(pickle.dumps(copy.deepcopy(ours)))
        assert list(again.state_dict()) == list(ours.state_dict())


def _losses_of(torch):
    return {
        name: value
        for name, value in vars(torch.nn).items()
        if isinstance(value, type) and issubclass(value, torch.nn.modules.loss._Loss)
    }


def test_every_loss_that_is_there_is_in_the_table_and_has_the_arguments_of_pytorch(torch):
    there = {name: value for name, value in _losses_of(torch).items() if hasattr(own.nn, name)}
    assert set(there) == {name for name, *_ in LOSSES}
    absent = set(_losses_of(torch)) - set(there)
    assert absent <= {"CTCLoss", "LinearCrossEntropyLoss"}
    wrong = [
        name
        for name, value in there.items()
        for method in ("__init__", "forward")
        if signature(getattr(getattr(own.nn, name), method)) != signature(getattr(value, method))
        and not (method == "forward" and name == "NLLLoss2d")
    ]
    assert not wrong


# ---- transformers ----------------------------------------------------------------------------------------------------
def _transformer_inputs(library, dtype, batch_first):
    source, target = array(3, 5, 8, dtype=dtype), array(3, 4, 8, dtype=dtype, seed=1)
    if not batch_first:
        source, target = source.swapaxes(0, 1).copy(), target.swapaxes(0, 1).copy()
    return [library.from_numpy(x).requires_grad_() for x in (source, target)]


SETTINGS = [{}, {"norm_first": True, "activation": "gelu"}, {"batch_first": True, "bias": False},
            {"batch_first": True, "norm_first": True, "layer_norm_eps": 1e-3}]  # fmt: skip


def _compared_layers(torch, make, call, tolerance):
    theirs, ours = alike(torch, make)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    outcome = []
    for library, layer in ((torch, theirs), (own, ours)):
        results, leaves = call(library, layer)
        weighted(library, flat(results)).backward()
        outcome.append((flat(results), [x.grad for x in leaves] + [p.grad for p in layer.parameters()]))
    (expected, dexpected), (found, dfound) = outcome
    same(found, expected, tolerance)
    same(dfound, dexpected, {"rtol": 1e-6, "atol": 1e-8})


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", ["encoder", "decoder", "both"])
@pytest.mark.parametrize("masked", [False, True])
def test_transformers_compute_what_pytorch_computes(torch, settings, kind, masked):
    first = settings.get("batch_first", False)

    def make(library):
        nn = library.nn
        if kind == "encoder":
            layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, **settings)
            return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
        if kind == "decoder":
            return nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 12, 0.0, **settings), 2)
        return nn.Transformer(8, 2, 1, 2, 12, 0.0, **settings)

    def call(library, model):
        source, target = _transformer_inputs(library, np.float64, first)
        padding = library.tensor([[False] * 5, [False, False, False, True, True], [False] * 4 + [True]])
        causal = library.nn.Transformer.generate_square_subsequent_mask(4, dtype=library.float64)
        if kind == "encoder":
            more = {"src_key_padding_mask": padding} if masked else {}
            return model(source, **more), [source]
        if kind == "decoder":
            more = {"tgt_mask": causal, "memory_key_padding_mask": padding} if masked else {}
            return model(target, source, **more), [source, target]
        more = {"tgt_mask": causal, "src_key_padding_mask": padding, "memory_key_padding_mask": padding}
        return model(source, target, **(more if masked else {})), [source, target]

    _compared_layers(torch, make, call, {"rtol": 1e-8, "atol": 1e-9})


def test_transformers_take_masks_of_bools_as_pytorch_does(torch):
    def call(library, layer):
        x = _transformer_inputs(library, np.float64, True)[0]
        mask = library.from_numpy(np.triu(np.ones((5, 5), bool), 1))
        padding = library.from_numpy(np.arange(5) >= np.array([[5], [4], [3]]))
        return layer(x, src_mask=mask, src_key_padding_mask=padding), [x]

    def make(library):
        return library.nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)

    _compared_layers(torch, make, call, {"rtol": 1e-8, "atol": 1e-9})


def test_transformers_have_the_arguments_and_initial_values_of_pytorch(torch):
    for name in ("Transformer", "TransformerEncoder", "TransformerDecoder", "TransformerEncoderLayer",
                 "TransformerDecoderLayer"):  # fmt: skip
        for method in ("__init__", "forward"):
            theirs, ours = (signature(getattr(getattr(x.nn, name), method)) for x in (torch, own))
            is_relu = [("activation", p[1]) if p[0] == "activation" else p for p in theirs]
            assert [("activation", p[1]) if p[0] == "activation" else p for p in ours] == is_relu
    for library in (torch, own):
        model = library.nn.Transformer(32, 4, 1, 1, 64)
        for path, parameter in model.named_parameters():
            values = numbers(parameter)
            if parameter.dim() > 1:
                bound = math.sqrt(6 / sum(values.shape))
                assert 0.9 * bound < np.abs(values).max() <= bound * 1.0001, path
            elif "norm" in path:
                assert (values == ("weight" in path)).all()
    masks = [x.nn.Transformer.generate_square_subsequent_mask(4).numpy() for x in (torch, own)]
    np.testing.assert_array_equal(*masks)
    assert masks[0].dtype == masks[1].dtype
