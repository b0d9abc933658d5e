"""`fastnn.explain`: every layer has its formula and twin, and what would run is what the planner decides."""

import inspect

import numpy as np
import pytest
from bad_calls_table import LAYERS, constructor

import fastnn
from fastnn import cli, insight, nn, reference
from fastnn import functional as F
from fastnn.functional._conv2d_plan import explain as planned
from fastnn.functional.conv2d import Conv2d as Convolution
from fastnn.insight._explained_twins import FUNCTIONS


def made(cls):
    arguments, inputs = LAYERS[cls]
    return constructor(cls)(**arguments), inputs


def shapes_of(value):
    return tuple(np.shape(part) for part in value)


def test_every_layer_is_in_the_table():
    assert set(FUNCTIONS) == set(LAYERS)
    for names in FUNCTIONS.values():
        assert all(inspect.isfunction(getattr(F, name)) for name in names)


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_every_layer_is_explained_by_the_source_of_its_twin(cls):
    layer, _ = made(cls)
    result = fastnn.explain(layer)
    assert isinstance(result, insight.Explanation)
    text = result.to_text()
    names = [name for name in FUNCTIONS[cls] if len(FUNCTIONS[cls]) == 1 or name not in ("linear", "dropout")]
    for name in names:
        assert inspect.getsource(getattr(reference, name)).rstrip() in result["Forward in NumPy"]
        assert inspect.getdoc(getattr(F, name)).splitlines()[0] in result["Formula"]
        backward = getattr(reference, f"{name}_backward", None)
        if backward is not None:
            assert inspect.getsource(backward).rstrip() in result["Backward in NumPy"]
        else:
            assert "Gradients" in text or "It has no twin of its own" in result["Backward in NumPy"]
    if not names and cls is not nn.Sequential:
        assert result["In NumPy"] == "It does no arithmetic, so that it has no twin."
    assert text == str(result) == repr(result)
    assert fastnn.explain(cls).sections == result.sections


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_every_layer_is_explained_for_a_shape(cls):
    layer, inputs = made(cls)
    if cls in (nn.LSTM, nn.LSTMCell):
        inputs = inputs[:1]  # without states
    shape = shapes_of(inputs) if len(inputs) > 1 else np.shape(inputs[0])
    before, random = layer.state_dict(), fastnn.random_state()
    gradients = [parameter.grad for parameter in layer.parameters()]
    text = fastnn.explain(layer, shape).sections[-1].text
    assert "machine" in text
    assert fastnn.random_state() == random
    after = [parameter.grad for parameter in layer.parameters()]
    assert all(a is b for a, b in zip(after, gradients, strict=True))
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_source_of_a_twin_runs_on_its_own():
    scope = vars(__import__("typing")) | {"np": np, "NDArray": np.ndarray}
    exec(fastnn.explain("batch_norm")["Forward in NumPy"], scope)
    x = np.random.default_rng(0).standard_normal((4, 3, 2, 2))
    mean, variance = scope["batch_norm_statistics"](x)
    y = scope["batch_norm"](x, mean, 1 / np.sqrt(variance + 1e-5), None, None)
    np.testing.assert_allclose(y, F.batch_norm(x, None, None, training=True).y, rtol=1e-12)


def test_names_functions_classes_and_operations_are_one_thing():
    expected = fastnn.explain("batch_norm").sections
    assert fastnn.explain(F.batch_norm).sections == expected
    assert fastnn.explain("batch_norm_backward").sections == expected
    assert fastnn.explain(Convolution).sections == fastnn.explain("conv2d").sections
    assert fastnn.explain("BatchNorm2d")["Formula"] == fastnn.explain(nn.BatchNorm2d)["Formula"]
    assert "Backward in NumPy" not in fastnn.explain("adam_step").to_text()


def test_made_of_others_is_said():
    text = fastnn.explain(nn.MultiheadAttention(4, 2))["What it does"]
    assert text.endswith(
        "It is made of linear, scaled_dot_product_attention and dropout; see also explain('linear') and "
        "explain('dropout')."
    )
    assert fastnn.explain(nn.GRU(3, 2))["What it does"].endswith(
        "It is made of gru and dropout; see also explain('dropout')."
    )


@pytest.mark.parametrize("shape", [(128, 64, 16, 16), (1, 64, 2, 2), (3, 64, 7, 5)])
def test_convolution_runs_as_the_planner_says(shape):
    layer = nn.Conv2d(64, 96, 3, padding=1)
    lines = fastnn.explain(layer, shape).sections[-1].text.splitlines()
    for direction in ("forward", "backward data", "backward weight"):
        found = planned(shape, (96, 64, 3, 3), padding=1, direction=direction.replace(" ", "_"))
        (line,) = [line for line in lines if line.startswith(f"{direction}  ")]
        assert line.split("  ")[0] == direction
        assert found.algorithm in line.removeprefix(direction).split()[:1]
        assert found.way in line
        assert line.endswith(found.why.removeprefix(f"{found.algorithm}: "))


def test_shape_gives_the_numbers_of_a_layer_by_hand():
    with fastnn.num_threads(2):
        text = fastnn.explain(nn.Conv2d(4, 6, 3, padding=1, stride=2), (8, 4, 16, 16))["With an input of 8x4x16x16"]
    assert text.splitlines()[:7] == [
        "input            8x4x16x16 of float32",
        "output           8x6x8x8",
        "parameters       222 (888 B)",
        "multiplications  110,592 forward; training takes about three times as many",
        "memory           32.8 kB of input, 12.3 kB of output",
        f"machine          {fastnn.isa()} kernels, 2 threads",
        "kernels          conv2d_forward, conv2d_backward_data, conv2d_backward_weight",
    ]
    assert 8 * 6 * 8 * 8 * 4 * 9 == 110_592
    with fastnn.backend("reference"):
        text = fastnn.explain(nn.Conv2d(4, 6, 3), (8, 4, 16, 16)).sections[-1].text
    assert "the NumPy reference" in text
    assert "forward          reference  the 'reference' backend was chosen" in text


def test_layers_that_are_computed_as_convolutions_name_the_plan_of_each_kernel():
    with fastnn.num_threads(1):
        text = fastnn.explain(nn.Linear(64, 32), (256, 64)).sections[-1].text
        transposed = fastnn.explain(nn.ConvTranspose2d(8, 4, 3), (2, 8, 6, 6)).sections[-1].text
    assert "algorithm        direct: a linear layer is the convolution of one pixel with a filter of one tap" in text
    found = planned((256, 64, 1, 1), (32, 64, 1, 1))
    assert f"kernels          conv2d_forward (direct, {found.way})" in text
    assert "conv2d_backward_data (direct, " in transposed.splitlines()[-1]


def test_network_is_a_table_of_its_layers():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, algorithm="winograd"), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    )
    with fastnn.num_threads(1):
        text = fastnn.explain(model, (2, 3, 8, 8))["With an input of 2x3x8x8"]
    assert text.splitlines() == [
        "layer  kind     output shape  multiplications   share  forward   backward data  backward weight",
        "-----------------------------------------------------------------------------------------------",
        "0      Conv2d   2x8x8x8                27,648  73.0 %  winograd  winograd       winograd",
        "1      ReLU     2x8x8x8",
        "2      Flatten  2x512",
        "3      Linear   2x10                   10,240  27.0 %  direct    direct         direct",
        "-----------------------------------------------------------------------------------------------",
        "multiplications  37,888 forward",
        f"machine          {fastnn.isa()} kernels, 1 thread",
    ]


class Swish(nn.Module):
    """y = x * sigmoid(x)."""

    def forward(self, x):
        self.x = x
        return x / (1 + np.exp(-x))

    def backward(self, dy):
        return dy * self.x


class Cube(fastnn.Op):
    """y = x^3."""

    def forward(self, x):
        return x**3

    def backward(self, dy):
        return dy


def test_own_layers_and_operations_are_explained_by_their_source():
    result = fastnn.explain(Swish(), (2, 3))
    assert result["What it does"] == "y = x * sigmoid(x)."
    assert result["Forward"] == "def forward(self, x):\n    self.x = x\n    return x / (1 + np.exp(-x))"
    assert result["Backward"] == "def backward(self, dy):\n    return dy * self.x"
    assert "2x3 of float32" in result["With an input of 2x3"]
    assert fastnn.explain(Cube())["Forward"] == "def forward(self, x):\n    return x**3"


def test_networks_have_their_own_words_and_layers_of_scripts_those_of_the_layer():
    from fastnn import models
    from fastnn.compat import torch

    network = fastnn.explain(models.create("airbench94"))
    assert network["What it does"] == inspect.getdoc(models.Airbench).split("\n\nArgs:")[0]
    assert [title for title, _ in network.sections] == ["What it does", "Source"]
    layer = torch.nn.Conv2d(3, 8, 3)
    assert fastnn.explain(layer)["Forward in NumPy"] == fastnn.explain("conv2d")["Forward in NumPy"]
    with pytest.raises(TypeError, match=r"explain: with a shape, what must be a module of fastnn.nn"):
        fastnn.explain(layer, (2, 3, 8, 8))
    with pytest.raises(TypeError, match=r"check: a module of fastnn.nn is needed"):
        layer.check((3, 8, 8))


def test_notebooks_get_escaped_html():
    page = fastnn.explain("relu")._repr_html_()
    assert page.startswith("<h3>relu</h3>\n<h4>Formula</h4>\n<pre>max(x, 0), element by element.</pre>")
    assert "def relu(x: NDArray) -&gt; NDArray:" in page


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((3,), TypeError, "explain: a layer, a function of fastnn.functional, an Op or a name is needed. Received: 3"),
        ((np.exp,), TypeError, "explain: a layer"),
        (("conv3d",), ValueError, "explain: there is no operation 'conv3d'; known are .*conv2d"),
        (("relu", 3), TypeError, "explain: shape must be several integers"),
        (("cross_entropy", (2, 3)), ValueError, "explain: with a shape, give a layer rather than cross_entropy"),
        ((nn.Linear(3, 2), (2, 4)), ValueError, "linear: x has 4 features, weight expects 3"),
    ],
    ids=str,
)
def test_explain_refuses_what_makes_no_sense(arguments, error, words):
    with pytest.raises(error, match=words):
        fastnn.explain(*arguments)
    with pytest.raises(KeyError, match="there is no section 'formula', but Formula"):
        fastnn.explain("relu")["formula"]


def test_explain_command(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DEBUG", raising=False)
    assert cli.main(["explain", "conv2d", "--shape", "8,4,6,6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "conv2d"
    assert "of Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))" in lines
    (tmp_path / "net.py").write_text("from fastnn import nn\n\n\ndef make(): return nn.Sequential(nn.Linear(4, 2))\n")
    assert cli.main(["explain", "net.py:make", "--shape", "3,4"]) == 0
    assert "0      Linear  3x2                        24  100.0 %  direct" in capsys.readouterr().out
    assert cli.main(["explain", "resnet20"]) == 0
    assert capsys.readouterr().out.startswith("Chain")
    assert cli.main(["explain", "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("fastnn: explain: there is no operation 'nonsense'; known are")
    assert cli.main(["explain", "relu", "--shape", "3x4"]) == 2
    assert (
        capsys.readouterr().err == "fastnn: --shape must be integers with commas, as in 128,64,16,16. Received: '3x4'\n"
    )
