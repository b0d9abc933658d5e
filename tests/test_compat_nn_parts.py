"""torch.nn.init, losses, transformers and torch.nn.utils of fastnn.compat.torch, without PyTorch."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
from compat_functionals import CASES, RANDOM

import fastnn
import fastnn.compat.torch as torch
import fastnn.compat.torch.nn.functional as F
from fastnn.compat import notes
from fastnn.compat.torch import nn
from fastnn.compat.torch.nn import init, utils
from fastnn.compat.torch.nn.utils import parametrize, prune, rnn


def t(values, requires_grad=False):
    return torch.tensor(values, requires_grad=requires_grad)


# ---- init ------------------------------------------------------------------------------------------------------------
def test_init_writes_into_parameters_without_recording():
    layer = nn.Linear(3, 2)
    weight = layer.weight
    memory = weight.data_ptr()
    assert init.constant_(layer.weight, 0.5) is weight
    assert weight.data_ptr() == memory
    assert weight.is_leaf
    assert weight.requires_grad
    np.testing.assert_array_equal(weight.detach().numpy(), np.full((2, 3), 0.5, np.float32))
    init.eye_(layer.weight.data)
    np.testing.assert_array_equal(weight.detach().numpy(), np.eye(2, 3))


def test_init_fills_a_part_of_a_parameter():
    layer = nn.Linear(3, 2)
    init.zeros_(layer.weight.data[0])
    assert layer.weight[0].eq(0).all()
    assert not layer.weight[1].eq(0).any()
    init.ones_(layer.weight[1])
    assert layer.weight[1].eq(1).all()


def test_init_of_fixed_values_takes_integers_and_bools():
    assert init.constant_(torch.zeros(2, dtype=torch.int64), 3).tolist() == [3, 3]
    assert init.ones_(torch.zeros(2, dtype=torch.bool)).tolist() == [True, True]


def test_init_draws_into_half_precision():
    x = init.uniform_(torch.zeros(1000, dtype=torch.float16), 2, 3)
    assert x.dtype is torch.float16
    assert 2 <= float(x.min()) < 2.1
    assert 2.9 < float(x.max()) <= 3


def test_init_takes_a_generator_of_its_own():
    drawn = [init.normal_(torch.empty(5), generator=torch.Generator().manual_seed(4)).tolist() for _ in range(2)]
    assert drawn[0] == drawn[1]
    torch.manual_seed(4)
    first = init.kaiming_uniform_(torch.empty(3, 4)).tolist()
    torch.manual_seed(4)
    assert init.kaiming_uniform_(torch.empty(3, 4)).tolist() == first


def test_init_of_nothing_warns_and_changes_nothing():
    for function in (init.kaiming_normal_, init.kaiming_uniform_):
        with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
            assert function(torch.empty(0, 3)).shape == (0, 3)


# ---- functions -------------------------------------------------------------------------------------------------------
def test_every_function_is_in_the_table():
    assert {name for name in F.__all__ if name[-1] != "_"} == {name for name, *_ in CASES} | set(RANDOM)


def test_cross_entropy_is_the_logarithm_of_the_softmax():
    scores = t([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(scores, t([0, 1]))
    logs = scores.detach().numpy() - np.log(np.exp(scores.detach().numpy()).sum(1, keepdims=True))
    assert float(loss.detach()) == pytest.approx(-(logs[0, 0] + logs[1, 1]) / 2, rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(scores.grad.numpy(), (np.exp(logs) - np.eye(2, 3)) / 2, rtol=1e-5)


def test_losses_say_once_that_a_target_is_broadcast(capsys):
    notes._said.clear()
    F.mse_loss(torch.ones(3, 1), torch.ones(3))
    F.mse_loss(torch.ones(3, 1), torch.ones(3))
    assert capsys.readouterr().err.count("mse_loss: a target of another shape") == 1


def test_probabilities_of_another_size_say_what_to_do():
    with pytest.raises(ValueError, match=r"target\.unsqueeze\(1\) or input\.squeeze\(1\)"):
        F.binary_cross_entropy(torch.ones(3, 1), torch.ones(3))


def test_multilabel_margin_loss_counts_what_is_no_label():
    scores = t([0.1, 0.2, 0.4, 0.8])
    expected = sum(max(0, 1 - (a - b)) for a in (0.8, 0.1) for b in (0.2, 0.4)) / 4
    assert float(F.multilabel_margin_loss(scores, t([3, 0, -1, 1]))) == pytest.approx(expected)


# ---- losses ----------------------------------------------------------------------------------------------------------
def test_old_arguments_of_losses_mean_a_reduction():
    assert nn.MSELoss(reduce=False).reduction == "none"
    assert nn.CrossEntropyLoss(size_average=False).reduction == "sum"
    assert nn.L1Loss(True, True).reduction == "mean"
    assert nn.MSELoss(reduction="elementwise_mean").reduction == "mean"


def test_weights_of_losses_are_buffers():
    criterion = nn.BCEWithLogitsLoss(pos_weight=t([2.0]))
    assert list(criterion.state_dict()) == ["pos_weight"]
    again = pickle.loads(pickle.dumps(copy.deepcopy(criterion)))
    x, y = t([0.3]), t([1.0])
    assert float(again(x, y)) == float(criterion(x, y)) == pytest.approx(2 * math.log1p(math.exp(-0.3)), rel=1e-6)


def test_a_loss_of_ones_own_derives_from_one_that_is_there():
    class Focal(nn.CrossEntropyLoss):
        def forward(self, input, target):
            p = torch.exp(-F.cross_entropy(input, target, self.weight, reduction="none"))
            return ((1 - p) ** 2 * super().forward(input, target)).mean()

    x = torch.zeros(2, 2, requires_grad=True)
    loss = Focal(reduction="none")(x, t([0, 1]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.25 * math.log(2))
    assert x.grad.abs().sum() > 0


def test_losses_that_are_not_there_say_what_to_use():
    for name in ("CTCLoss", "LinearCrossEntropyLoss"):
        with pytest.raises(AttributeError, match=rf"{name} is not in fastnn: .*CrossEntropyLoss"):
            getattr(nn, name)


# ---- transformers ----------------------------------------------------------------------------------------------------
def test_a_causal_mask_hides_later_places():
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()
    x = torch.randn(1, 5, 8)
    changed = x.clone()
    changed[:, 3:] = 7.0
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    with torch.no_grad():
        before, after = (model(part, mask=mask).numpy() for part in (x, changed))
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-5)
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 0.1


def test_a_transformer_learns():
    torch.manual_seed(0)
    model = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)
    source, target = torch.randn(4, 3, 8), torch.randn(4, 3, 8)
    losses = []
    for _ in range(10):
        loss = F.mse_loss(model(source, target), source)
        model.zero_grad()
        loss.backward()
        losses.append(float(loss.detach()))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
    assert losses[-1] < 0.9 * losses[0]


def test_transformers_refuse_what_does_not_fit():
    model = nn.Transformer(8, 2, 1, 1, 16)
    with pytest.raises(RuntimeError, match="batch number"):
        model(torch.ones(3, 2, 8), torch.ones(3, 1, 8))
    with pytest.raises(RuntimeError, match="feature number"):
        model(torch.ones(3, 2, 4), torch.ones(3, 2, 8))
    with pytest.raises(RuntimeError, match="relu/gelu"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")


# ---- utils -----------------------------------------------------------------------------------------------------------
def test_clipping_scales_gradients_in_place_to_a_norm():
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = t([3.0, 4.0])
    gradient = parameter.grad
    norm = utils.clip_grad_norm_([parameter], 1.0)
    assert norm.item() == 5
    assert norm.shape == ()
    np.testing.assert_allclose(gradient.numpy(), [0.6, 0.8], rtol=1e-5)
    utils.clip_grad_value_(parameter, 0.7)
    np.testing.assert_allclose(gradient.numpy(), [0.6, 0.7], rtol=1e-5)


def test_clipping_takes_tensors_that_are_no_parameters():
    x = t([3.0, 4.0], requires_grad=True)
    y = x * 1
    y.retain_grad()
    (y * t([3.0, 4.0])).sum().backward()
    utils.clip_grad_norm_([x, y], 0.1)
    assert float(torch.cat([x.grad, y.grad]).norm()) == pytest.approx(0.1, rel=1e-4)


def test_vectors_of_parameters_go_back_where_they_came_from():
    layer = nn.Linear(2, 1)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (3,)
    utils.vector_to_parameters(t([1.0, 2.0, 3.0]), layer.parameters())
    assert layer.weight.tolist() == [[1, 2]]
    assert layer.bias.tolist() == [3]
    with pytest.raises(TypeError, match=r"expected torch\.Tensor, but got: list"):
        utils.vector_to_parameters([1.0], layer.parameters())


@pytest.mark.parametrize("wrap", [utils.weight_norm, utils.parametrizations.weight_norm])
def test_weight_norm_separates_length_and_direction(wrap):
    layer = wrap(nn.Linear(3, 2))
    length, direction = (p for name, p in layer.named_parameters() if name != "bias")
    assert length.shape == (2, 1)
    with torch.no_grad():
        direction *= 5
    layer(torch.zeros(1, 3))
    np.testing.assert_allclose(layer.weight.detach().norm(dim=1).numpy(), length.detach().numpy()[:, 0], rtol=1e-5)


@pytest.mark.parametrize("wrap", [utils.spectral_norm, utils.parametrizations.spectral_norm])
def test_spectral_norm_divides_by_the_largest_singular_value(wrap):
    torch.manual_seed(0)
    layer = wrap(nn.Conv2d(3, 4, 2))
    for _ in range(30):
        layer(torch.zeros(1, 3, 2, 2))
    assert np.linalg.norm(layer.weight.detach().numpy().reshape(4, -1), 2) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("joined", [True, False])
def test_layers_with_computed_weights_are_joined_with_their_neighbours_as_others_are(joined):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    utils.parametrizations.weight_norm(model[0])
    parametrize.register_parametrization(model[1], "weight", nn.Softplus())
    x = torch.randn(2, 3, 8, 8)
    with fastnn.joined_layers(joined):
        y = model(x)
    expected = x
    for module in model:
        expected = module(expected)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_copies_of_computed_weights_are_of_their_own():
    layer = utils.parametrizations.weight_norm(nn.Linear(3, 2))
    twin = copy.deepcopy(layer)
    parametrize.remove_parametrizations(layer, "weight")
    with torch.no_grad():
        twin.parametrizations.weight.original0.zero_()
    assert twin.weight.eq(0).all()
    assert not layer.weight.eq(0).any()
    assert twin(torch.ones(1, 3)).shape == (1, 2)


def test_modules_with_computed_weights_are_pickled():
    layer = utils.parametrizations.weight_norm(nn.Linear(3, 2))
    again = pickle.loads(pickle.dumps(layer))
    assert isinstance(again, nn.Linear)
    assert list(again.state_dict()) == list(layer.state_dict())
    assert again(torch.ones(1, 3)).tolist() == layer(torch.ones(1, 3)).tolist()
    parametrize.remove_parametrizations(again, "weight")
    assert type(again) is nn.Linear


def test_states_of_computed_weights_are_saved_and_loaded():
    for wrap in (utils.weight_norm, utils.spectral_norm, utils.parametrizations.spectral_norm):
        layer, other = wrap(nn.Linear(3, 2)), wrap(nn.Linear(3, 2))
        other.load_state_dict(layer.state_dict())
        layer.eval(), other.eval()
        x = torch.ones(1, 3)
        np.testing.assert_array_equal(layer(x).detach().numpy(), other(x).detach().numpy())


def test_norms_are_removed_only_where_they_are():
    for remove in (utils.remove_weight_norm, utils.remove_spectral_norm):
        with pytest.raises(ValueError, match="not found in"):
            remove(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="Cannot register two weight_norm hooks"):
        utils.weight_norm(utils.weight_norm(nn.Linear(2, 2)))
    with pytest.raises(RuntimeError, match="Cannot register two spectral_norm hooks"):
        utils.spectral_norm(utils.spectral_norm(nn.Linear(2, 2)))


def test_pruned_elements_stay_0_in_training():
    torch.manual_seed(0)
    layer = prune.l1_unstructured(nn.Linear(4, 3), "weight", 0.5)
    for _ in range(3):
        loss = (layer(torch.ones(2, 4)) ** 2).sum()
        layer.zero_grad()
        loss.backward()
        assert layer.weight_orig.grad[layer.weight_mask == 0].eq(0).all()
        with torch.no_grad():
            layer.weight_orig -= 0.1 * layer.weight_orig.grad
    prune.remove(layer, "weight")
    assert int(layer.weight.eq(0).sum()) == 6


def test_a_pruning_method_of_ones_own_is_applied():
    class Second(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = nn.Linear(4, 1)
    Second.apply(layer, "weight")
    assert layer.weight_mask.tolist() == [[0, 1, 0, 1]]
    assert isinstance(prune.L1Unstructured(1).prune(t([1.0, -0.1, 3.0])), torch.Tensor)
    assert prune.L1Unstructured(1).prune(t([1.0, -0.1, 3.0])).tolist() == [1, 0, 3]


def test_a_pruning_that_fails_leaves_the_module_as_it_was():
    layer = nn.Linear(4, 3)
    with pytest.raises(ValueError, match="multidimensional"):
        prune.ln_structured(layer, "bias", 1, 2, 0)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert not prune.is_pruned(layer)
    prune.l1_unstructured(layer, "weight", 2)
    with pytest.raises(IndexError, match="Invalid index 5"):
        prune.ln_structured(layer, "weight", 1, 2, 5)
    assert prune.is_pruned(layer)
    assert int(layer.weight_mask.sum()) == 10


def test_packed_sequences_come_back_in_their_order():
    several = [torch.arange(n, dtype=torch.float32)[:, None] + 10 * n for n in (2, 4, 1)]
    packed = rnn.pack_sequence(several, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2]
    for x, y in zip(several, rnn.unpack_sequence(packed), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    assert packed.double().data.dtype is torch.float64
    assert packed.cpu() is packed
    assert not packed.is_cuda


def test_networks_see_no_padding_of_packed_sequences():
    torch.manual_seed(0)
    model = nn.LSTM(1, 3, 2, bidirectional=True)
    several = [torch.randn(n, 1) for n in (2, 4, 2)]
    y, (h, c) = model(rnn.pack_sequence(several, enforce_sorted=False))
    padded, lengths = rnn.pad_packed_sequence(y)
    assert lengths.tolist() == [2, 4, 2]
    for index, x in enumerate(several):
        own, (own_h, own_c) = model(x[:, None])
        np.testing.assert_allclose(padded[: len(x), index].detach().numpy(), own[:, 0].detach().numpy(), atol=1e-6)
        for last, expected in ((h, own_h), (c, own_c)):
            np.testing.assert_allclose(last[:, index].detach().numpy(), expected[:, 0].detach().numpy(), atol=1e-6)


def test_layers_are_made_where_initial_values_do_not_matter():
    assert utils.skip_init(nn.Linear, 3, 2).weight.shape == (2, 3)
    with pytest.raises(RuntimeError, match="Expected a Module"):
        utils.skip_init(dict)
    with pytest.raises(RuntimeError, match="'device' arg"):
        utils.skip_init(nn.ReLU)


def test_weights_lie_in_memory_as_fastnn_wants():
    layer = nn.Conv2d(3, 4, 3)
    assert utils.convert_conv2d_weight_memory_format(layer, torch.channels_last) is layer
    assert utils.convert_conv3d_weight_memory_format(layer, torch.channels_last) is layer


def test_calls_with_other_parameters_leave_the_own_ones():
    shared = nn.Linear(2, 2, bias=False)
    model = nn.Sequential(shared, shared)
    y = utils.stateless.functional_call(model, {"0.weight": 2 * torch.eye(2)}, torch.ones(1, 2))
    assert y.tolist() == [[4, 4]]  # tied: in both places
    y = utils.stateless.functional_call(model, {"0.weight": torch.eye(2)}, torch.ones(1, 2), tie_weights=False)
    assert y.shape == (1, 2)
    assert model[0].weight is model[1].weight
    with pytest.raises(AttributeError, match="no parameter or buffer 'nothing'"):
        utils.stateless.functional_call(model, {"nothing": torch.eye(2)}, torch.ones(1, 2))


def test_nothing_here_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = utils.spectral_norm(nn.Linear(3, 2))
        nn.CrossEntropyLoss()(layer(torch.ones(2, 3)), t([0, 1])).backward()
