"""torch.onnx.export, as scripts call it; the graphs themselves are in test_interop_onnx*.py."""

import io
import os
import re

import numpy as np
import pytest

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn
from fastnn.compat.torch.nn import functional as F

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(64, 3)

    def forward(self, x):
        if torch.onnx.is_in_onnx_export():
            raise AssertionError
        return self.fc(self.drop(F.max_pool2d(F.relu(self.conv(x)), 2).flatten(1)))


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 2)

    def forward(self, tokens, x):
        return self.embedding(tokens).sum(1) + x, x * 2


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def session(content):
    return onnxruntime.InferenceSession(content if isinstance(content, bytes) else str(content))


def outputs(content, *arrays):
    runtime = session(content)
    return runtime.run(None, dict(zip([one.name for one in runtime.get_inputs()], arrays, strict=True)))


def test_sizes_are_those_of_the_arguments(net, tmp_path):
    x = torch.randn(2, 1, 8, 8)
    torch.onnx.export(net, x, tmp_path / "a.onnx", verbose=False, do_constant_folding=True)
    (given,), (result,) = session(tmp_path / "a.onnx").get_inputs(), session(tmp_path / "a.onnx").get_outputs()
    assert (given.name, given.shape, result.name, result.shape) == ("input", [2, 1, 8, 8], "output", [2, 3])
    assert net.training
    net.eval()
    np.testing.assert_allclose(outputs(tmp_path / "a.onnx", x.numpy())[0], net(x).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("axes", [{"image": {0: "n"}, "scores": {0: "n"}}, {"image": [0]}])
def test_the_axis_of_the_batch_may_be_open(axes, net, tmp_path):
    torch.onnx.export(
        net, (torch.randn(1, 1, 8, 8),), str(tmp_path / "a.onnx"), input_names=["image"], output_names=["scores"],
        dynamic_axes=axes, opset_version=20,
    )  # fmt: skip
    (given,) = session(tmp_path / "a.onnx").get_inputs()
    assert given.shape == ["n" if isinstance(axes["image"], dict) else "batch", 1, 8, 8]
    x = torch.randn(5, 1, 8, 8)
    np.testing.assert_allclose(outputs(tmp_path / "a.onnx", x.numpy())[0], net.eval()(x).detach().numpy(), atol=1e-6)


def test_several_inputs_some_of_them_numbers_of_tokens():
    model, file = Sum(), io.BytesIO()
    tokens, x = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.randn(2, 2)
    axes = {"tokens": {0: "batch"}, "x": {0: "batch"}}
    torch.onnx.export(model, (tokens, x), file, input_names=["tokens", "x"], dynamic_axes=axes)
    more = np.array([[0, 1, 1], [2, 2, 2], [6, 5, 4]]), np.ones((3, 2), np.float32)
    found = outputs(file.getvalue(), *more)
    wanted = model(torch.from_numpy(more[0]), torch.from_numpy(more[1]))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), atol=1e-6)


def test_an_older_opset_is_told(net, tmp_path):
    with pytest.warns(UserWarning, match="fastnn writes opset 18, not 11"):
        torch.onnx.export(net, torch.randn(1, 1, 8, 8), tmp_path / "a.onnx", opset_version=11)


WRONG = {
    "two open axes": ({"dynamic_axes": {"input": {0: "n", 2: "height"}}}, "one axis open"),
    "dynamo's shapes": ({"dynamic_shapes": {"x": {0: "n"}}}, "use args and dynamic_axes"),
    "training": ({"training": torch.onnx.TrainingMode.TRAINING}, "in evaluation mode"),
    "without weights": ({"export_params": False}, "with their parameters"),
    "a wrong word": ({"dynamic_axis": {}}, "there is no argument dynamic_axis"),
    "no file": ({"f": None}, "f must be a path"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_there_is_an_error_and_writes_nothing(name, net, tmp_path):
    options, message = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        torch.onnx.export(net, torch.randn(1, 1, 8, 8), **{"f": tmp_path / "a.onnx", **options})
    assert not os.listdir(tmp_path)
