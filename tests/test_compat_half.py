"""Half precision: modules stay float32, bfloat16 is float32, and kernels compute float16 in float32."""

import numpy as np
import pytest
from compat_nn_layers import LAYERS, RANDOM, arrays, ids

import fastnn.compat.torch as torch
import fastnn.compat.torch.nn.functional as F
from fastnn.compat import notes
from fastnn.compat.torch import nn
from fastnn.compat.torch._dtype import HALF


@pytest.fixture(autouse=True)
def said(monkeypatch):
    found = []
    monkeypatch.setattr(notes, "_said", found)
    monkeypatch.setattr(notes, "is_quiet", True)
    return found


@pytest.mark.parametrize(
    "to_half",
    [
        lambda model: model.half(),
        lambda model: model.bfloat16(),
        lambda model: model.to(torch.float16),
        lambda model: model.to("cpu", torch.bfloat16),
        lambda model: model.to(torch.zeros(1, dtype=torch.float16)),
        lambda model: model.type(torch.half),
        lambda model: model.type("torch.HalfTensor"),
        lambda model: model.double().half(),
    ],
)
def test_module_in_half_precision_is_in_float32_and_says_so_once(to_half, said):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
    assert to_half(to_half(model)) is model
    assert {entry.dtype for entry in model.state_dict().values()} == {torch.float32, torch.int64}
    assert said == [HALF]
    assert model(torch.rand(2, 3, 8, 8).half()).dtype is torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_layer_made_in_half_precision_is_in_float32(dtype, said):
    assert nn.Linear(2, 3, dtype=dtype).weight.dtype is torch.float32
    assert nn.LazyLinear(3, dtype=dtype)(torch.ones(1, 2)).dtype is torch.float32
    assert said == [HALF]


@pytest.mark.parametrize(("name", "arguments", "keywords", "inputs"), LAYERS, ids=ids(LAYERS))
def test_layers_compute_float16_as_its_float32_values(name, arguments, keywords, inputs):
    layer = getattr(nn, name)(*arguments, **keywords).half().train(name not in RANDOM)
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    found = []
    for widen in (False, True):
        layer.load_state_dict(state)
        layer.zero_grad()
        leaves = []
        given = _halves(arrays(inputs, np.float32), widen, leaves)
        results = [y for y in _flat(layer(*given)) if y.is_floating_point()]
        sum((y.float() ** 2).sum() for y in results).backward()
        gradients = [leaf.grad for leaf in leaves] + [parameter.grad for parameter in layer.parameters()]
        found.append([results, [y for y in gradients if y is not None]])
    for values, expected in zip(*found, strict=True):
        assert len(values) == len(expected)
        for y, right in zip(values, expected, strict=True):
            np.testing.assert_allclose(_numbers(y), _numbers(right), rtol=2e-2, atol=2e-2)


def _halves(values, widen, leaves):
    if isinstance(values, tuple):
        return tuple(_halves(value, widen, leaves) for value in values)
    x = torch.from_numpy(values.copy())
    if not x.is_floating_point():
        return x
    leaves.append(x.half().float().requires_grad_())
    return leaves[-1] * 1 if widen else leaves[-1].half()


def _flat(value):
    return [part for item in value for part in _flat(item)] if isinstance(value, tuple | list) else [value]


def _numbers(x):
    return x.detach().float().numpy()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.conv2d(x, torch.ones(2, 3, 3, 3).half()),
        lambda x: F.linear(x, torch.ones(2, 8)),
        lambda x: F.cross_entropy(x.mean((2, 3)), torch.tensor([0, 1])),
        lambda x: F.pad(x, (1,) * 4, "reflect"),
        lambda x: F.scaled_dot_product_attention(x, x, x),
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.instance_norm(x),
        lambda x: F.rms_norm(x, (8,)),
        lambda x: F.max_pool2d(x, 2),
    ],
)
def test_functions_of_kernels_take_float16_and_give_float32(call):
    x = torch.rand(2, 3, 8, 8).half()
    y = call(x)
    assert y.dtype in (torch.float32, torch.float16)
    np.testing.assert_allclose(y.float().numpy(), call(x.float()).numpy(), rtol=2e-3, atol=2e-3)


def test_gradient_goes_back_through_float16():
    x = torch.ones(1, 2, requires_grad=True)
    layer = nn.Linear(2, 1).half()
    layer(x.half()).sum().backward()
    assert x.grad.dtype is torch.float32
    np.testing.assert_allclose(x.grad.numpy(), layer.weight.detach().numpy(), rtol=1e-3)


def test_tensors_of_float16_stay_float16(said):
    x = torch.tensor([0.1]).half()
    assert x.dtype is torch.float16 and (x * 2 + x).dtype is torch.float16  # noqa: PT018
    assert x.item() == float(np.float16(0.1))
    assert said == []


def test_bfloat16_is_float32_and_a_copy(said):
    x = torch.tensor([1.0, 2.0])
    for y in (x.bfloat16(), x.to(torch.bfloat16), x.type(torch.bfloat16)):
        assert y.dtype is torch.float32
        y /= 2
    assert x.tolist() == [1.0, 2.0]
    assert torch.zeros(2, dtype=torch.bfloat16).dtype is torch.float32
    assert said == [HALF]
    with pytest.raises(TypeError, match="bfloat16 is taken as float32"):
        torch.finfo(torch.bfloat16)


def test_user_error_with_float16_is_raised_once():
    calls = []

    class Broken(nn.Module):
        def forward(self, x):
            calls.append(x.dtype)
            raise TypeError("of the script")

    with pytest.raises(TypeError, match=r"^of the script$"):
        Broken()(torch.ones(2).half())
    assert calls == [torch.float16]
