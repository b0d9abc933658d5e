"""torch.nn.utils of fastnn.compat.torch is PyTorch's."""

import copy
import inspect
import math

import numpy as np
import pytest
from compat_comparing import alike, array, flat, numbers, part, same, signature, weighted

import fastnn.compat.torch as own

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*(deprecated|size_average|different to the input size|batch size and|nested)"),
]


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


# ---- utils: gradients and vectors ------------------------------------------------------------------------------------
def _with_gradients(library, arrays):
    parameters = [library.nn.Parameter(library.from_numpy(x.copy())) for x in arrays]
    for parameter, x in zip(parameters, arrays, strict=True):
        parameter.grad = library.from_numpy(np.cos(x))
    return parameters


@pytest.mark.parametrize("norm_type", [1, 2.0, 3, math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_is_that_of_pytorch(torch, norm_type, max_norm, dtype):
    arrays = [array(3, 4, dtype=dtype), array(5, dtype=dtype, seed=1)]
    results = []
    for library in (torch, own):
        utils = part(library, "nn.utils")
        parameters = _with_gradients(library, arrays)
        before = utils.get_total_norm([p.grad for p in parameters], norm_type)
        gradients = [p.grad for p in parameters]
        norm = utils.clip_grad_norm_(iter(parameters), max_norm, norm_type)
        after = [p.grad.clone() for p in parameters]
        same(gradients, after, {"rtol": 0, "atol": 0})  # in place
        utils.clip_grads_with_norm_(parameters, 0.1, norm)
        scaled = [p.grad.clone() for p in parameters]
        utils.clip_grad_value_(parameters, 0.02)
        assert repr(norm.dtype) == repr(parameters[0].dtype)
        results.append([before, norm, *after, *scaled, *(p.grad for p in parameters)])
    same(results[1], results[0], {"rtol": 1e-5, "atol": 1e-7})


def test_clipping_of_nothing_and_of_what_is_not_finite_is_that_of_pytorch(torch):
    for library in (torch, own):
        utils = part(library, "nn.utils")
        parameter = library.nn.Parameter(library.ones(2))
        assert float(utils.clip_grad_norm_(parameter, 1.0)) == 0
        assert float(utils.get_total_norm([])) == 0
        parameter.grad = library.tensor([math.inf, 1.0])
        with pytest.raises(RuntimeError, match="non-finite"):
            utils.clip_grad_norm_([parameter], 1.0, error_if_nonfinite=True)
        assert parameter.grad.tolist() == [math.inf, 1.0]
        assert float(utils.clip_grad_norm_([parameter], 1.0)) == math.inf
        assert math.isnan(parameter.grad[0])
        assert float(parameter.grad[1]) == 0
        with pytest.warns(UserWarning, match="empty generator"):
            utils.clip_grad_norm_((p for p in []), 1.0)
        with pytest.warns(FutureWarning, match="clip_grad_norm_"):
            utils.clip_grad_norm([parameter], 1.0)


def test_vectors_of_parameters_are_those_of_pytorch(torch):
    results = []
    for library in (torch, own):
        utils = part(library, "nn.utils")
        a, b = (library.nn.Parameter(library.from_numpy(array(*shape))) for shape in ((2, 3), (4,)))
        vector = utils.parameters_to_vector([a, b])
        (vector**2).sum().backward()
        utils.vector_to_parameters(vector * 3, [b, a])
        results.append([vector, a.grad, b.grad, a, b])
    same(results[1], results[0], {"rtol": 1e-12, "atol": 0})


# ---- utils: weights computed from others -----------------------------------------------------------------------------
def _stepped(library, layer, x, steps=2):
    """Results and parameters while a layer is trained by hand."""
    values = []
    for _ in range(steps):
        y = layer(library.from_numpy(x.copy()))
        layer.zero_grad()
        weighted(library, [y]).backward()
        for _, parameter in sorted(layer.named_parameters()):
            values.append(parameter.grad.clone())
            with library.no_grad():
                parameter -= 0.05 * parameter.grad
        values.append(y)
    return values + [value for _, value in sorted(layer.state_dict().items())]


LAYERS = [
    ("Linear", (4, 3), (5, 4)), ("Conv2d", (3, 4, 3), (2, 3, 6, 5)), ("ConvTranspose2d", (3, 4, 2), (2, 3, 4, 5)),
    ("Conv1d", (3, 4, 3), (2, 3, 6)), ("ConvTranspose1d", (3, 4, 2), (2, 3, 5)),
]  # fmt: skip
WRAPPERS = {
    "weight_norm": lambda x, layer: part(x, "nn.utils").weight_norm(layer),
    "weight_norm over all": lambda x, layer: part(x, "nn.utils").weight_norm(layer, dim=None),
    "weight_norm of axis 1": lambda x, layer: part(x, "nn.utils").weight_norm(layer, "weight", 1),
    "parametrizations.weight_norm": lambda x, layer: part(x, "nn.utils.parametrizations").weight_norm(layer),
    "spectral_norm": lambda x, layer: part(x, "nn.utils").spectral_norm(layer),
    "parametrizations.spectral_norm": lambda x, layer: part(x, "nn.utils.parametrizations").spectral_norm(
        layer, n_power_iterations=2
    ),
}


@pytest.mark.parametrize(("name", "arguments", "shape"), LAYERS, ids=[name for name, *_ in LAYERS])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_computed_weights_are_trained_as_in_pytorch(torch, wrapper, name, arguments, shape):
    def make(library):
        return WRAPPERS[wrapper](library, getattr(library.nn, name)(*arguments))

    theirs, ours = alike(torch, make)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    x = array(*shape)
    tolerance = {"rtol": 1e-7, "atol": 1e-8}
    same(_stepped(own, ours, x), _stepped(torch, theirs, x), tolerance)
    ours.eval(), theirs.eval()
    same(_stepped(own, ours, x, 1), _stepped(torch, theirs, x, 1), tolerance)
    for library, layer in ((torch, theirs), (own, ours)):
        layer(library.from_numpy(x))  # the hooks of old have seen the last step
        if wrapper.startswith("param"):
            part(library, "nn.utils.parametrize").remove_parametrizations(layer, "weight")
        else:
            remove = wrapper.split(" ")[0]
            getattr(part(library, "nn.utils"), f"remove_{remove}")(layer)
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict()) == ["bias", "weight"]
    same([ours.weight, ours.bias], [theirs.weight, theirs.bias], tolerance)
    same(_stepped(own, ours, x, 1), _stepped(torch, theirs, x, 1), tolerance)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_computed_weights_begin_as_the_weight_was(torch, wrapper):
    for library in (torch, own):
        layer = library.nn.Linear(4, 3)
        before = numbers(layer.weight).copy()
        WRAPPERS[wrapper](library, layer)
        layer.eval()
        layer(library.zeros(1, 4))
        found = numbers(layer.weight)
        factor = found / before
        np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-4)
        if "weight_norm" in wrapper:
            np.testing.assert_allclose(factor, 1, rtol=1e-5)


def test_parametrizations_are_registered_removed_and_cached_as_in_pytorch(torch):
    results = []
    for library in (torch, own):
        parametrize, nn = part(library, "nn.utils.parametrize"), library.nn

        class Symmetric(nn.Module):
            calls = 0

            def forward(self, w):
                type(self).calls += 1
                return w.triu() + w.triu(1).transpose(-1, -2)

            def right_inverse(self, w):
                return w.triu()

        class Scaled(nn.Module):
            def forward(self, w):
                return w * 2

            def right_inverse(self, w):
                return w / 2

        layer = nn.Linear(3, 3).double()
        with library.no_grad():
            layer.weight.copy_(library.from_numpy(array(3, 3)))
            layer.bias.copy_(library.from_numpy(array(3)))
        assert not parametrize.is_parametrized(layer)
        parametrize.register_parametrization(layer, "weight", Symmetric())
        parametrize.register_parametrization(layer, "weight", Scaled())
        assert parametrize.is_parametrized(layer)
        assert parametrize.is_parametrized(layer, "weight")
        assert not parametrize.is_parametrized(layer, "bias")
        assert parametrize.type_before_parametrizations(layer) is nn.Linear
        assert isinstance(layer, nn.Linear)
        assert type(layer).__name__ == "ParametrizedLinear"
        x = library.from_numpy(array(2, 3))
        values = [layer.weight, layer(x)]
        (layer(x) ** 2).sum().backward()
        values += [layer.parametrizations.weight.original.grad, layer.parametrizations["weight"].original]
        Symmetric.calls = 0
        with parametrize.cached():
            layer(x), layer(x)
            assert Symmetric.calls == 1
        symmetric = array(3, 3, seed=2)
        layer.weight = library.from_numpy(symmetric + symmetric.T)
        values += [layer.weight, layer.parametrizations.weight.original]
        twin = copy.deepcopy(layer) if library is own else layer
        values.append(twin(x))
        keys = list(layer.state_dict())
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        assert type(layer) is nn.Linear
        assert isinstance(layer.weight, nn.Parameter)
        assert list(layer.state_dict()) == ["bias", "weight"]
        values += [layer.weight, layer(x)]
        with pytest.raises(ValueError, match="does not have a parametrization on"):
            parametrize.remove_parametrizations(layer, "weight")
        with pytest.raises(ValueError, match="does not have a parameter"):
            parametrize.register_parametrization(layer, "nothing", Scaled())
        results.append((values, keys))
    same(results[1][0], results[0][0], {"rtol": 1e-12, "atol": 1e-12})
    assert results[1][1] == results[0][1]


def test_parametrizations_that_are_left_unparametrized_keep_the_original(torch):
    for library in (torch, own):
        parametrize = part(library, "nn.utils.parametrize")

        class Doubled(library.nn.Module):
            def forward(self, w):
                return w * 2

        layer = library.nn.Linear(3, 2)
        weight = layer.weight
        parametrize.register_parametrization(layer, "weight", Doubled())
        assert layer.parametrizations.weight.original is weight
        np.testing.assert_allclose(numbers(layer.weight), 2 * numbers(weight))
        with pytest.raises(RuntimeError, match="right_inverse"):
            layer.weight = library.ones(2, 3)
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        assert layer.weight is weight

        class Longer(library.nn.Module):
            def forward(self, w):
                return w.repeat(2, 1)

        with pytest.raises(ValueError, match="Registering a parametrization may not change the"):
            parametrize.register_parametrization(layer, "weight", Longer())
        parametrize.register_parametrization(layer, "weight", Longer(), unsafe=True)
        assert tuple(layer.weight.shape) == (4, 3)


# ---- utils: pruning --------------------------------------------------------------------------------------------------
PRUNED = {
    "l1_unstructured": lambda p, layer: p.l1_unstructured(layer, "weight", 0.4),
    "l1_unstructured, a number": lambda p, layer: p.l1_unstructured(layer, "bias", amount=1),
    "ln_structured": lambda p, layer: p.ln_structured(layer, "weight", 0.5, n=2, dim=0),
    "ln_structured by the largest": lambda p, layer: p.ln_structured(layer, "weight", 1, float("inf"), 1),
    "identity": lambda p, layer: p.identity(layer, "weight"),
    "twice": lambda p, layer: p.ln_structured(p.l1_unstructured(layer, "weight", 0.3), "weight", 1, 1, 1),
    "twice by elements": lambda p, layer: p.l1_unstructured(p.l1_unstructured(layer, "weight", 0.3), "weight", 0.5),
    "after a channel": lambda p, layer: p.ln_structured(p.ln_structured(layer, "weight", 1, 2, 0), "weight", 1, 2, 0),
    "global": lambda p, layer: p.global_unstructured(
        [(layer, "weight"), (layer, "bias")], pruning_method=p.L1Unstructured, amount=0.5
    ),
}


@pytest.mark.parametrize("how", PRUNED)
def test_pruning_is_that_of_pytorch(torch, how):
    theirs, ours = alike(torch, lambda library: library.nn.Conv2d(4, 3, 2), seed=5)
    results = []
    for library, layer in ((torch, theirs), (own, ours)):
        prune = part(library, "nn.utils.prune")
        PRUNED[how](prune, layer)
        assert prune.is_pruned(layer)
        values = _stepped(library, layer, array(2, 4, 5, 5))
        names = [name for name, _ in layer.named_parameters()], [name for name, _ in layer.named_buffers()]
        for name in ("weight", "bias"):
            if hasattr(layer, f"{name}_mask"):
                prune.remove(layer, name)
        assert not prune.is_pruned(layer)
        values += [layer.weight, layer.bias, layer(library.from_numpy(array(2, 4, 5, 5)))]
        assert isinstance(layer.weight, library.nn.Parameter)
        with pytest.raises(ValueError, match="has to be pruned before pruning can be removed"):
            prune.remove(layer, "weight")
        results.append((values, names, sorted(layer.state_dict())))
    same(results[1][0], results[0][0], {"rtol": 1e-7, "atol": 1e-8})
    assert results[1][1:] == results[0][1:]


def test_random_pruning_takes_as_many_as_pytorch(torch):
    for library in (torch, own):
        prune = part(library, "nn.utils.prune")
        layer = prune.random_unstructured(library.nn.Linear(6, 5), "weight", 0.3)
        assert numbers(layer.weight_mask).sum() == 21
        prune.random_unstructured(layer, "weight", 5)
        assert numbers(layer.weight_mask).sum() == 16
        layer = prune.random_structured(library.nn.Linear(6, 5), "weight", 2, dim=1)
        assert sorted(numbers(layer.weight_mask).sum(0)) == [0, 0, 5, 5, 5, 5]
        layer = prune.custom_from_mask(library.nn.Linear(2, 2), "weight", library.tensor([[0, 1], [1, 0]]))
        np.testing.assert_array_equal(numbers(layer.weight) != 0, [[False, True], [True, False]])
        for amount, error in ((1.5, ValueError), (-1, ValueError), ("a", TypeError)):
            with pytest.raises(error):
                prune.random_unstructured(library.nn.Linear(2, 2), "weight", amount)
        with pytest.raises(ValueError, match="smaller than the number of parameters to prune"):
            prune.l1_unstructured(library.nn.Linear(2, 2), "weight", 5)
        with pytest.raises(ValueError, match="multidimensional tensors"):
            prune.ln_structured(library.nn.Linear(2, 2), "bias", 1, 2, 0)


# ---- utils: fusion, calls with other parameters, sequences -----------------------------------------------------------
def test_fused_layers_are_those_of_pytorch(torch):
    cases = [
        ("Conv2d", (3, 4, 3), "BatchNorm2d", (2, 3, 5, 5), False),
        ("Conv1d", (3, 4, 3), "BatchNorm1d", (2, 3, 5), False),
        ("ConvTranspose2d", (3, 4, 2), "BatchNorm2d", (2, 3, 5, 5), True),
    ]
    for name, arguments, norm, shape, transpose in cases:
        for has_bias in (True, False):
            theirs, ours = alike(
                torch,
                lambda library, name=name, arguments=arguments, norm=norm, bias=has_bias: library.nn.Sequential(
                    getattr(library.nn, name)(*arguments, bias=bias), getattr(library.nn, norm)(4)
                ).eval(),
            )
            found = []
            for library, model in ((torch, theirs), (own, ours)):
                fused = part(library, "nn.utils").fuse_conv_bn_eval(model[0], model[1], transpose)
                assert isinstance(fused, getattr(library.nn, name))
                assert fused is not model[0]
                x = library.from_numpy(array(*shape))
                same([fused(x)], [model(x)], {"rtol": 1e-7, "atol": 1e-8})
                found.append([fused.weight, fused.bias, fused(x)])
            same(found[1], found[0], {"rtol": 1e-7, "atol": 1e-8})
    theirs, ours = alike(torch, lambda x: x.nn.Sequential(x.nn.Linear(3, 4), x.nn.BatchNorm1d(4)).eval())
    found = [
        list(part(library, "nn.utils").fuse_linear_bn_eval(model[0], model[1]).parameters())
        for library, model in ((torch, theirs), (own, ours))
    ]
    same(found[1], found[0], {"rtol": 1e-7, "atol": 1e-8})
    for library in (torch, own):
        with pytest.raises(AssertionError):
            part(library, "nn.utils").fuse_conv_bn_eval(library.nn.Conv2d(1, 1, 1), library.nn.BatchNorm2d(1))


def test_functional_call_computes_with_the_given_tensors(torch):
    theirs, ours = alike(torch, lambda x: x.nn.Sequential(x.nn.Linear(3, 4), x.nn.BatchNorm1d(4)))
    results = []
    for library, model in ((torch, theirs), (own, ours)):
        weight = library.from_numpy(array(4, 3)).requires_grad_()
        mean = library.from_numpy(array(4))
        before = model[0].weight
        call = part(library, "nn.utils.stateless").functional_call
        x = library.from_numpy(array(5, 3, seed=4))
        y = call(model, {"0.weight": weight, "1.running_mean": mean}, (x,))
        weighted(library, [y]).backward()
        assert model[0].weight is before
        assert before.grad is None
        results.append([y, weight.grad, mean, model[1].running_mean])
        with pytest.raises(RuntimeError):
            call(model, {"0.weight": weight}, (x,), strict=True)
    same(results[1], results[0], {"rtol": 1e-7, "atol": 1e-8})


LENGTHS = [(4, 3, 1), (2, 5, 2, 1), (3, 3)]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_are_padded_and_packed_as_in_pytorch(torch, lengths, batch_first):
    results = []
    for library in (torch, own):
        rnn = part(library, "nn.utils.rnn")
        several = [
            library.from_numpy(array(length, 2, seed=index)).requires_grad_() for index, length in enumerate(lengths)
        ]
        padded = rnn.pad_sequence(several, batch_first=batch_first, padding_value=7.0)
        left = rnn.pad_sequence(several, batch_first, padding_side="left")
        is_sorted = list(lengths) == sorted(lengths, reverse=True)
        packed = rnn.pack_padded_sequence(padded, list(lengths), batch_first, enforce_sorted=False)
        again, sizes = rnn.pad_packed_sequence(packed, batch_first=batch_first, padding_value=-1.0, total_length=6)
        parts = rnn.unpack_sequence(rnn.pack_sequence(several, enforce_sorted=False))
        pieces = rnn.unpad_sequence(padded.clone(), library.tensor(lengths), batch_first)
        if is_sorted:
            assert rnn.pack_sequence(several).sorted_indices is None
        else:
            with pytest.raises(RuntimeError, match="enforce_sorted"):
                rnn.pack_sequence(several)
        with pytest.raises(RuntimeError, match="0"):
            rnn.pack_padded_sequence(padded, [0] * len(lengths), batch_first)
        weighted(library, [padded, left, again, *parts, *pieces, packed.data]).backward()
        assert sizes.dtype is library.int64
        assert packed.batch_sizes.dtype is library.int64
        results.append([padded, left, again, sizes, *parts, *pieces, *packed] + [sequence.grad for sequence in several])
    same(results[1], results[0], {"rtol": 1e-12, "atol": 0})


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("settings", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}], ids=str)
@pytest.mark.parametrize("with_states", [False, True])
def test_recurrent_networks_run_packed_sequences_as_in_pytorch(torch, kind, settings, with_states):
    theirs, ours = alike(torch, lambda x: getattr(x.nn, kind)(2, 3, **settings))
    count = settings.get("num_layers", 1) * (2 if settings.get("bidirectional") else 1)
    results = []
    for library, model in ((torch, theirs), (own, ours)):
        rnn = part(library, "nn.utils.rnn")
        several = [library.from_numpy(array(length, 2, seed=length)) for length in (3, 5, 3, 1)]
        packed = rnn.pack_sequence([x.requires_grad_() for x in several], enforce_sorted=False)
        states = [library.from_numpy(array(count, 4, 3, seed=9 + index)).requires_grad_() for index in range(2)]
        given = (tuple(states) if kind == "LSTM" else states[0]) if with_states else None
        used = flat(given) if with_states else []
        y, last = model(packed, given)
        last = list(last) if isinstance(last, tuple) else [last]
        padded, sizes = rnn.pad_packed_sequence(y)
        weighted(library, [padded, *last]).backward()
        results.append(
            [padded, sizes, *last] + [x.grad for x in (*several, *used)] + [p.grad for p in model.parameters()]
        )
    same(results[1], results[0], {"rtol": 1e-7, "atol": 1e-9})


# ---- utils: names and arguments --------------------------------------------------------------------------------------
PACKAGES = {
    "nn.utils": set(),
    "nn.utils.clip_grad": set(),
    "nn.utils.convert_parameters": set(),
    "nn.utils.fusion": set(),
    "nn.utils.init": set(),
    "nn.utils.memory_format": set(),
    "nn.utils.weight_norm": set(),
    "nn.utils.spectral_norm": {"SpectralNormLoadStateDictPreHook", "SpectralNormStateDictHook"},
    "nn.utils.rnn": {"bind", "PackedSequence_"},
    "nn.utils.prune": set(),
    "nn.utils.parametrize": set(),
    "nn.utils.parametrizations": {"orthogonal"},
    "nn.utils.stateless": set(),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_utils_have_the_names_and_arguments_of_pytorch(torch, name):
    theirs, ours = part(torch, name), part(own, name)
    public = set(getattr(theirs, "__all__", ())) | {
        key
        for key, value in vars(theirs).items()
        if (inspect.isfunction(value) or isinstance(value, type)) and value.__module__ == f"torch.{name}"
    }
    wrong = []
    for key in sorted(public):
        if key[0] == "_" or key in PACKAGES[name]:
            continue
        value = getattr(theirs, key)
        found = getattr(ours, key, None)
        if found is None or (inspect.isfunction(value) and signature(found) != signature(value)):
            wrong.append(key)
    assert not wrong


def test_orthogonal_is_not_there_and_says_what_to_do():
    with pytest.raises(AttributeError, match=r"torch\.nn\.utils\.parametrizations\.orthogonal is not in fastnn: start"):
        own.nn.utils.parametrizations.orthogonal  # noqa: B018
