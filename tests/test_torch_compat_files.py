"""`torch.save` and `torch.load` of fastnn.compat against PyTorch's, in both directions."""

import io

import numpy as np
import pytest

import fastnn.compat.torch as ft

pytestmark = pytest.mark.torch

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64",
          "bool"]  # fmt: skip
WIDENED = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


@pytest.fixture(params=[True, False], ids=["zip", "old"])
def form(request):
    return {"_use_new_zipfile_serialization": request.param}


def passed(value, writer, reader, **form):
    file = io.BytesIO()
    writer.save(value, file, **form)
    file.seek(0)
    return reader.load(file, weights_only=True)


@pytest.mark.parametrize("dtype", DTYPES + WIDENED)
def test_torch_tensors_of_every_type_are_loaded(torch, form, dtype):
    theirs = torch.tensor([0, 1, 2]).to(getattr(torch, dtype))
    ours = passed({"a": theirs}, torch, ft, **form)["a"]
    expected = theirs.float() if dtype in WIDENED else theirs
    assert (str(ours.dtype), ours.tolist()) == (str(expected.dtype), expected.tolist())


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_loads_tensors_of_every_type(torch, dtype):
    ours = ft.tensor([0, 1, 2]).to(getattr(ft, dtype))
    theirs = passed({"a": ours}, ft, torch)["a"]
    assert (str(theirs.dtype), theirs.tolist()) == (str(ours.dtype), ours.tolist())


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float8_e8m0fnu", "complex64"])
def test_torch_types_alone_are_loaded(torch, form, name):
    loaded = passed({"dtype": getattr(torch, name)}, torch, ft, **form)["dtype"]
    assert str(loaded) == f"torch.{name}"


def tensors(library):
    x = library.arange(24.0).reshape(2, 3, 4)
    return {
        "x": x,
        "permuted": x.permute(2, 0, 1),
        "part": x[1, 1:],
        "expanded": library.ones(1).expand(2, 3),
        "leaf": library.zeros(2, requires_grad=True),
        "parameter": library.nn.Parameter(library.arange(3.0)),
        "frozen": library.nn.Parameter(library.arange(3.0), requires_grad=False),
        "size": x.shape,
        "dtype": x.dtype,
        "several": [1, 2.5, "text", None, (True, {2})],
    }


def test_torch_objects_are_the_same_on_the_other_side(torch, form):
    for mine, other in ((ft, torch), (torch, ft)):
        loaded = passed(tensors(mine), mine, other, **form)
        expected = tensors(other)
        assert list(loaded) == list(expected)
        for name, value in expected.items():
            if isinstance(value, other.Tensor):
                assert type(loaded[name]) is type(value)
                assert (loaded[name].requires_grad, loaded[name].stride()) == (value.requires_grad, value.stride())
                assert loaded[name].tolist() == value.tolist()
            else:
                assert (type(loaded[name]), loaded[name]) == (type(value), value)
        loaded["x"][1, 1, 2] = -1
        assert (loaded["part"][0, 2].item(), loaded["permuted"][2, 1, 1].item()) == (-1, -1)


def training(library):
    # No bias before the normalisation: its gradient is rounding alone, which Adam makes large.
    model = library.nn.Sequential(library.nn.Linear(3, 2, bias=False), library.nn.BatchNorm1d(2))
    optimizer = library.optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
    return model, optimizer, library.optim.lr_scheduler.StepLR(optimizer, 2)


def step(library, model, optimizer, scheduler, seed):
    x = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)
    optimizer.zero_grad()
    (model(library.from_numpy(x)) ** 3).sum().backward()
    optimizer.step()
    scheduler.step()


def test_torch_training_goes_on_on_the_other_side(torch, form, tmp_path):
    """Three steps in one, three in the other, against six in PyTorch."""
    for first, second in ((torch, ft), (ft, torch)):
        whole, parts = training(torch), training(first)
        first_weights = {key: np.array(value.tolist()) for key, value in whole[0].state_dict().items()}
        parts[0].load_state_dict({key: first.tensor(value).to(parts[0].state_dict()[key].dtype)
                                  for key, value in first_weights.items()})  # fmt: skip
        for seed in range(6):
            step(torch, *whole, seed)
        for seed in range(3):
            step(first, *parts, seed)
        first.save([part.state_dict() for part in parts], tmp_path / "c.pth", **form)
        others = training(second)
        for part, state in zip(others, second.load(tmp_path / "c.pth", map_location="cpu"), strict=True):
            part.load_state_dict(state)
        for seed in range(3, 6):
            step(second, *others, seed)
        assert others[1].param_groups[0]["lr"] == pytest.approx(whole[1].param_groups[0]["lr"])
        for key, value in whole[0].state_dict().items():
            np.testing.assert_allclose(others[0].state_dict()[key].tolist(), value.tolist(), rtol=1e-4, atol=1e-6)
