"""Every layer, exported, gives in ONNX Runtime and in ONNX's own evaluator what it gives here."""

import copy
import inspect

import numpy as np
import pytest
from bad_calls_table import LAYERS, constructor
from onnx_models import by_onnxruntime, by_reference, difference, exported, noise, of_fastnn

import fastnn
from fastnn import functional as F
from fastnn import nn
from fastnn.interop import export_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CLOSE = 2e-6
# Their inputs have the examples along the second axis, or the states along the first.
IN_STEPS = {nn.LSTM, nn.GRU, nn.RNN, nn.MultiheadAttention}
# A module without a forward of its own.
CONTAINERS = {nn.ModuleDict, nn.ModuleList, nn.ParameterList, nn.Module, nn.Loss}


class Applied(nn.Module):
    """A layer whose states come as inputs of their own."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, *states):
        if not states:
            return self.layer(x)
        if isinstance(self.layer, nn.LSTM | nn.LSTMCell):
            return self.layer(x, states)
        return self.layer(x, *states)


def made(cls):
    arguments, inputs = LAYERS[cls]
    fastnn.manual_seed(1)
    layer = Applied(constructor(cls)(**copy.deepcopy(arguments)))
    for name, buffer in layer.named_buffers():  # statistics that are not 0 and 1
        if buffer.dtype.kind == "f":
            buffer[...] = np.random.default_rng(len(name)).uniform(0.5, 1.5, buffer.shape)
    flat = [part for x in inputs for part in (x if isinstance(x, tuple) else (x,))]
    return layer, flat


def batches(inputs, axis, sizes=(1, 2, 5)):
    for size in sizes:
        yield [np.take(x, np.arange(size) % x.shape[axis], axis) * (1 if x.dtype.kind in "iu" else np.float32(0.9))
               for x in inputs]  # fmt: skip


EXPORTED = [cls for cls in LAYERS if not issubclass(cls, nn.Loss)]


@pytest.mark.parametrize("cls", EXPORTED, ids=lambda cls: cls.__name__)
def test_a_layer_gives_the_same_in_other_programs_for_any_batch(cls, tmp_path):
    layer, inputs = made(cls)
    axis = 1 if cls in IN_STEPS else 0
    path = exported(layer, tmp_path, tuple(inputs), batch_axis=axis)
    for given in batches(inputs, axis):
        wanted = of_fastnn(layer, given)
        assert difference(by_onnxruntime(path, given), wanted) < CLOSE
        assert difference(by_reference(path, given), wanted) < CLOSE


def test_every_layer_is_exported_or_is_a_loss():
    classes = [value for name, value in vars(nn).items() if inspect.isclass(value) and not name.startswith("_")]
    public = {value for value in classes if issubclass(value, nn.Module)}
    losses = {cls for cls in public if issubclass(cls, nn.Loss)}
    assert public - losses - CONTAINERS == set(EXPORTED)


@pytest.mark.parametrize("cls", [nn.CrossEntropyLoss, nn.MSELoss], ids=lambda cls: cls.__name__)
def test_a_loss_is_refused_with_advice(cls, tmp_path):
    _, inputs = LAYERS[cls]
    with pytest.raises(ValueError, match="a loss is not part of what is exported: export the network alone"):
        export_onnx(cls(), tmp_path / "a.onnx", tuple(inputs))


IMAGES = (2, 4, 9, 8)
SETTINGS = {
    "conv, stride and padding": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=(1, 2)), IMAGES),
    "conv, same": (lambda: nn.Conv2d(4, 6, (4, 2), padding="same"), IMAGES),
    "conv, same and dilated": (lambda: nn.Conv2d(4, 6, (2, 3), padding="same", dilation=(3, 2)), IMAGES),
    "conv, valid": (lambda: nn.Conv2d(4, 6, 3, padding="valid", bias=False), IMAGES),
    "conv, groups": (lambda: nn.Conv2d(4, 8, 3, groups=2, dilation=2), IMAGES),
    "conv, depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, padding=1), IMAGES),
    "transposed conv": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), IMAGES),
    "transposed conv, dilated": (lambda: nn.ConvTranspose2d(4, 6, 3, dilation=2, bias=False), IMAGES),
    "max pool, overlapping": (lambda: nn.MaxPool2d(3, 2, padding=1), IMAGES),
    "max pool, ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), (2, 4, 8, 8)),
    "max pool, ceil and padding": (lambda: nn.MaxPool2d(2, 3, padding=1, ceil_mode=True), IMAGES),
    "max pool, dilated": (lambda: nn.MaxPool2d(2, 1, dilation=3), IMAGES),
    "max pool, far over the border": (lambda: nn.MaxPool2d(2, 5, ceil_mode=True, dilation=4), (2, 4, 12, 12)),
    "max pool, places": (lambda: nn.MaxPool2d(3, 2, padding=1, return_indices=True), IMAGES),
    "average pool, padding": (lambda: nn.AvgPool2d(3, 2, padding=1), IMAGES),
    "average pool, of the image": (lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), IMAGES),
    "average pool, ceil": (lambda: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), (2, 4, 8, 8)),
    "average pool, all": (
        lambda: nn.AvgPool2d(2, 3, padding=1, ceil_mode=True, count_include_pad=False), IMAGES),
    "adaptive average, one": (lambda: nn.AdaptiveAvgPool2d(1), IMAGES),
    "adaptive average, even": (lambda: nn.AdaptiveAvgPool2d((3, 4)), IMAGES),
    "adaptive average, uneven": (lambda: nn.AdaptiveAvgPool2d((4, 3)), IMAGES),
    "adaptive average, larger": (lambda: nn.AdaptiveAvgPool2d((12, None)), IMAGES),
    "adaptive maximum, even": (lambda: nn.AdaptiveMaxPool2d((3, 4), return_indices=True), IMAGES),
    "adaptive maximum, uneven": (lambda: nn.AdaptiveMaxPool2d((4, 3)), IMAGES),
    "batch norm, three axes": (lambda: nn.BatchNorm1d(4), (2, 4, 5)),
    "batch norm, without weights": (lambda: nn.BatchNorm2d(4, affine=False), IMAGES),
    "batch norm, of the batch": (lambda: nn.BatchNorm2d(4, track_running_stats=False), IMAGES),
    "layer norm, three axes": (lambda: nn.LayerNorm((4, 9, 8)), IMAGES),
    "layer norm, without weights": (lambda: nn.LayerNorm(8, elementwise_affine=False), IMAGES),
    "group norm, rows": (lambda: nn.GroupNorm(2, 4), (2, 4)),
    "instance norm, statistics": (lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True), IMAGES),
    "RMS norm, two axes": (lambda: nn.RMSNorm((9, 8)), IMAGES),
    "response norm, even": (lambda: nn.LocalResponseNorm(4, alpha=0.5, beta=0.6, k=2.0), (2, 7, 3, 3)),
    "leaky ReLU": (lambda: nn.LeakyReLU(0.3), IMAGES),
    "PReLU, channels": (lambda: nn.PReLU(4), IMAGES),
    "ELU": (lambda: nn.ELU(0.7), IMAGES),
    "GELU, tanh": (lambda: nn.GELU("tanh"), IMAGES),
    "softplus": (lambda: nn.Softplus(3.0, 1.5), IMAGES),
    "hardtanh": (lambda: nn.Hardtanh(-0.5, 0.25), IMAGES),
    "softmax, default": (lambda: nn.Softmax(), IMAGES),
    "log softmax, last": (lambda: nn.LogSoftmax(-1), IMAGES),
    "linear, many axes": (lambda: nn.Linear(8, 3), IMAGES),
    "linear, without bias": (lambda: nn.Linear(8, 3, bias=False), (2, 8)),
    "flatten, middle": (lambda: nn.Flatten(1, 2), IMAGES),
    "flatten, all": (lambda: nn.Flatten(0), IMAGES),
    "nearest, twice": (lambda: nn.Upsample(scale_factor=2), IMAGES),
    "nearest, size": (lambda: nn.Upsample(size=(13, 5)), IMAGES),
    "bilinear, twice": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGES),
    "bilinear, size": (lambda: nn.Upsample(size=(13, 5), mode="bilinear"), IMAGES),
    "bilinear, corners": (lambda: nn.Upsample(size=(13, 5), mode="bilinear", align_corners=True), IMAGES),
    "bilinear, odd scale": (lambda: nn.Upsample(scale_factor=1.7, mode="bilinear"), IMAGES),
    "zero padding": (lambda: nn.ZeroPad2d((1, 2, 0, 3)), IMAGES),
    "reflection": (lambda: nn.ReflectionPad2d((1, 2, 0, 3)), IMAGES),
    "residual, joined": (
        lambda: nn.Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))), IMAGES),
    "LSTM": (lambda: nn.LSTM(5, 4, num_layers=2, batch_first=True, bidirectional=True, bias=False), (2, 6, 5)),
    "GRU": (lambda: nn.GRU(5, 4, num_layers=2, batch_first=True, bidirectional=True), (2, 6, 5)),
    "RNN": (lambda: nn.RNN(5, 4, nonlinearity="relu", batch_first=True, bidirectional=True), (2, 6, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_of_a_layer_reaches_the_graph(name, tmp_path):
    make, shape = SETTINGS[name]
    fastnn.manual_seed(2)
    layer = make()
    path = exported(layer, tmp_path, shape)
    for size in (1, 2, 5):
        given = [noise((size, *shape[1:]), size)]
        wanted = of_fastnn(layer, given)
        assert difference(by_onnxruntime(path, given), wanted) < CLOSE


class Functions(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


FUNCTIONS = {
    "patches as columns": (lambda x: F.im2col(x, (3, 2), 2, 1, (1, 2)), IMAGES),
    "columns as images": (lambda x: F.col2im(x, (9, 8), 3, 2, 1), (2, 4 * 9, 20)),
    "attention": (lambda x: F.scaled_dot_product_attention(x, 2 * x, x + 1), (2, 3, 5, 4)),
    "causal attention": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), (2, 3, 5, 4)),
    "attention with a mask": (
        lambda x: F.scaled_dot_product_attention(x, x, x, np.tri(5, dtype=bool)), (2, 3, 5, 4)),
    "dropout that is off": (lambda x: F.dropout(x, 0.5, training=False), IMAGES),
    "add": (lambda x: F.add(x, x), IMAGES),
    "padding of the channels": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 2), value=0.5), IMAGES),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gives_the_same_in_other_programs(name, tmp_path):
    function, shape = FUNCTIONS[name]
    path = exported(Functions(function), tmp_path, shape)
    for size in (1, 2, 5):
        given = [noise((size, *shape[1:]), size)]
        assert difference(by_onnxruntime(path, given), of_fastnn(Functions(function), given)) < CLOSE
