"""export_onnx: the file, its names and sizes, what it leaves as it was, and what it refuses."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from onnx_models import by_onnxruntime, by_reference, difference, exported, noise, of_fastnn

import fastnn
from fastnn import data, nn
from fastnn import functional as F
from fastnn.interop import export_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def small():
    fastnn.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


class Applied(nn.Module):
    """A function, and a weight."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(np.ones(4, np.float32))

    def forward(self, *inputs, **named):
        return self.function(self, *inputs, **named)


def sizes(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


# ---- the file --------------------------------------------------------------------------------------------------------
def test_the_file_says_who_made_it_and_what_goes_in_and_out(tmp_path):
    model = onnx.load(exported(small(), tmp_path, (8, 3, 6, 6), description="two classes"))
    assert (model.producer_name, model.producer_version) == ("fastnn", fastnn.__version__)
    assert model.doc_string == "two classes"
    assert model.graph.name == "Sequential"
    assert [(x.name, sizes(x)) for x in model.graph.input] == [("input", ["batch", 3, 6, 6])]
    assert [(x.name, sizes(x)) for x in model.graph.output] == [("output", ["batch", 2])]
    assert model.opset_import[0].version == 18
    assert model.ir_version == 8


def test_how_images_are_prepared_is_in_the_metadata(tmp_path):
    model = small()
    model.preprocessing = data.Preprocessing((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), (6, 6), 3, "crop", ("a", "b"))
    (entry,) = onnx.load(exported(model, tmp_path, (1, 3, 6, 6))).metadata_props
    assert entry.key == "fastnn_preprocessing"
    assert data.Preprocessing.from_dict(json.loads(entry.value)) == model.preprocessing


def test_weights_are_initializers_under_their_own_names(tmp_path):
    model = small()
    graph = onnx.load(exported(model, tmp_path, (1, 3, 6, 6))).graph
    found = {x.name: onnx.numpy_helper.to_array(x) for x in graph.initializer}
    wanted = {name: array for name, array in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert set(wanted) <= set(found)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


def test_nodes_are_named_by_the_modules_that_they_come_from(tmp_path):
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Linear(3, 2))
    graph = onnx.load(exported(model, tmp_path, (1, 3))).graph
    assert [node.name for node in graph.node] == ["0.0/Gemm", "0.1/Relu", "1/Gemm"]


def test_two_exports_have_the_same_bytes_whatever_ran_between(tmp_path):
    model = small()
    first = exported(model, tmp_path, (1, 3, 6, 6)).read_bytes()
    fastnn.manual_seed(5)
    model(noise((9, 3, 6, 6)))
    model.load_state_dict(small().state_dict())
    with fastnn.num_threads(1):
        assert exported(model, tmp_path, (4, 3, 6, 6)).read_bytes() == first


def test_names_are_those_that_are_asked_for(tmp_path):
    path = exported(
        small(), tmp_path, (1, 3, 6, 6), input_names=["image"], output_names=["scores"], batch_name="n"
    )  # fmt: skip
    graph = onnx.load(path).graph
    assert [(x.name, sizes(x)) for x in (*graph.input, *graph.output)] == [
        ("image", ["n", 3, 6, 6]),
        ("scores", ["n", 2]),
    ]


def test_a_parameter_that_is_called_like_an_output_does_not_get_in_the_way(tmp_path):
    class Output(nn.Module):
        def __init__(self):
            super().__init__()
            self.input, self.output = (nn.Parameter(np.full(3, v, np.float32)) for v in (2, 3))

        def forward(self, x):
            return x * self.input + self.output

    path = exported(Output(), tmp_path, (1, 3))
    (y,) = by_onnxruntime(path, [np.ones((2, 3), np.float32)])
    np.testing.assert_array_equal(y, np.full((2, 3), 5))


def test_inputs_by_name_and_outputs_in_a_dict(tmp_path):
    model = Applied(lambda self, left, right: {"sum": left + right * self.weight, "both": [left, (right, None)]})
    path = exported(model, tmp_path, {"right": (1, 4), "left": (1, 4)})
    graph = onnx.load(path).graph
    assert [x.name for x in graph.input] == ["right", "left"]
    assert [x.name for x in graph.output] == ["output_0", "output_1", "output_2"]
    right, left = noise((3, 4)), noise((3, 4), 1)
    found = by_onnxruntime(path, [right, left])
    assert difference(found, [left + right, left, right]) < 1e-6


def test_one_result_may_be_given_twice_and_a_constant_too(tmp_path):
    def twice(self, x):
        y = x * self.weight
        return y, y, self.weight

    path = exported(Applied(twice), tmp_path, (1, 4))
    x = noise((3, 4))
    assert difference(by_onnxruntime(path, [x]), [x, x, np.ones(4, np.float32)]) == 0


def test_float64_is_kept(tmp_path):
    model = small().astype(np.float64)
    path = exported(model, tmp_path, (1, 3, 6, 6))
    assert onnx.load(path).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    for n in (1, 2, 5):
        x = noise((n, 3, 6, 6), n, np.float64)
        assert difference(by_reference(path, [x]), of_fastnn(model, [x])) < 1e-10


def test_tokens_are_given_as_an_example(tmp_path):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.gru, self.head = nn.Embedding(9, 6), nn.GRU(6, 5, batch_first=True), nn.Linear(5, 2)

        def forward(self, tokens):
            return self.head(self.gru(self.table(tokens))[0][:, -1])

    model, rng = Words(), np.random.default_rng(0)
    path = exported(model, tmp_path, rng.integers(0, 9, (4, 7)))
    for n in (1, 2, 6):
        tokens = rng.integers(0, 9, (n, 7))
        assert difference(by_onnxruntime(path, [tokens]), of_fastnn(model, [tokens])) < 1e-6


def test_the_batch_may_be_another_axis_or_none(tmp_path):
    model = nn.LSTM(4, 3)
    path = exported(model, tmp_path, (6, 1, 4), batch_axis=1)
    assert sizes(onnx.load(path).graph.input[0]) == [6, "batch", 4]
    for n in (1, 3):
        x = noise((6, n, 4))
        assert difference(by_onnxruntime(path, [x]), of_fastnn(model, [x])) < 1e-6
    path = exported(Applied(lambda self, x: x.reshape(-1)[: 3 * len(x)]), tmp_path, (2, 4), batch_axis=None)
    assert sizes(onnx.load(path).graph.output[0]) == [6]


def test_inputs_may_have_their_examples_along_different_axes_or_none(tmp_path):
    model = Applied(lambda self, scale, x: x.swapaxes(0, 1) * scale)
    path = exported(model, tmp_path, ((4,), (6, 1, 4)), batch_axis=(None, 1))
    graph = onnx.load(path).graph
    assert [sizes(x) for x in (*graph.input, *graph.output)] == [[4], [6, "batch", 4], ["batch", 6, 4]]
    for n in (1, 3):
        given = [noise((4,)), noise((6, n, 4))]
        assert difference(by_onnxruntime(path, given), of_fastnn(model, given)) < 1e-6


SHAPES = {
    "rows of all pixels": lambda self, x: x.transpose(0, 2, 1).reshape(-1, 4) * self.weight,
    "of the batch's size": lambda self, x: x.reshape(x.shape[0], -1),
    "sizes that multiply": lambda self, x: (x.reshape(2 * len(x), -1) + 1).reshape(len(x), 2, -1),
    "one row for each": lambda self, x: x + np.broadcast_to(self.weight, (len(x), 6, 4)).transpose(0, 2, 1),
    "states of zeros": lambda self, x: x[:, :, 0] + np.zeros((len(x), 4), np.float32) * self.weight,
    "a mean by hand": lambda self, x: x.sum(axis=0, keepdims=True) / len(x) + x,
    "pairs": lambda self, x: (x.reshape(len(x), 1, -1) - x.reshape(1, len(x), -1)).sum(axis=2),
    "joined with itself": lambda self, x: np.concatenate([x, x + 1]),
    "cut in two again": lambda self, x: sum(np.split(np.concatenate([x, x + 1]), 2)),
    "all but one": lambda self, x: x[:, 1:],
    "to the end": lambda self, x: x[: len(x), ..., -1],
}


@pytest.mark.parametrize("name", SHAPES)
def test_no_shape_has_the_size_of_a_batch_in_it(name, tmp_path):
    model = Applied(SHAPES[name])
    path = exported(model, tmp_path, (2, 4, 6))
    for n in (1, 2, 3, 8):
        x = noise((n, 4, 6), n)
        assert difference(by_onnxruntime(path, [x]), of_fastnn(model, [x])) < 1e-6


# ---- nothing is touched ----------------------------------------------------------------------------------------------
def test_the_model_its_mode_and_the_random_numbers_stay_as_they_were(tmp_path):
    model = nn.Sequential(small(), nn.Dropout(0.5), nn.Linear(2, 2))
    model[0].eval()
    model[2].weight.requires_grad = False
    x = noise((4, 3, 6, 6))
    dy = np.ones_like(model(x))
    model.backward(dy)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    gradients = {name: p.grad.copy() for name, p in model.named_parameters() if p.grad is not None}
    modes = [module.training for module in model.modules()]
    state, legacy = fastnn.random_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    exported(model, tmp_path, (1, 3, 6, 6))
    assert [module.training for module in model.modules()] == modes
    assert fastnn.random_state() == state
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    assert {name for name, p in model.named_parameters() if p.grad is not None} == set(gradients)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    for name, parameter in model.named_parameters():
        if name in gradients:
            np.testing.assert_array_equal(parameter.grad, gradients[name])
    assert not model[2].weight.requires_grad


def test_an_error_leaves_the_mode_and_the_file_as_they_were(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), Applied(lambda self, x: np.asarray(x)))
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(TypeError, match="would not carry the gradient on"):
        export_onnx(model, path, (1, 3))
    assert model.training
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.onnx"]


# ---- what is refused -------------------------------------------------------------------------------------------------
def cut(x):
    return fastnn.tensor(x.data * 2)


class Cube(fastnn.Op):
    def forward(self, x):
        return x**3


class ByHand(nn.Module):
    def forward(self, x):
        return x * 2

    def backward(self, dy):
        return dy * 2


REFUSED = {
    "data": (
        lambda self, x: x * cut(x),
        r"an array \(data, np.asarray\) in Applied.forward",
    ),
    "if": (
        lambda self, x: F.relu(x) if x.sum() > -1e9 else F.tanh(x),
        "a decision .* depends on the values of the inputs",
    ),
    "check": (lambda self, x: x * bool(np.isfinite(x).all()), "a decision .* leave checks of values to those who call"),
    "place": (
        lambda self, x: self.weight[int(x.argmax()) % 4] * x,
        r"a number \(item, int, float\) in Applied.forward",
    ),
    "index": (
        lambda self, x: list("abcd" * 9)[x.argmax()] and x,
        "an index or a size in Applied.forward",
    ),
    "mask": (
        lambda self, x: np.where((x > -100).data, x, 0),
        r"an array \(data, np.asarray\) in Applied.forward",
    ),
    "counts": (lambda self, x: x * np.count_nonzero(x), "np.count_nonzero in Applied.forward"),
    "values": (
        lambda self, x: F.relu(x) if float(x.sum()) > 0 else F.tanh(x),
        r"a number \(item, int, float\) in Applied.forward",
    ),
    "loop": (lambda self, x: sum(row.sum() for row in x), "what the model runs depends on the values or on the number"),
    "half": (lambda self, x: x[: len(x) // 2], "a size depends on that of the batch without being a multiple"),
    "one more": (lambda self, x: np.concatenate([x, x[:1]]), "a size depends on that of the batch without being"),
    "number": (
        lambda self, x: x * float(x.data.sum()),
        r"an array \(data, np.asarray\) in Applied.forward",
    ),
    "dropout": (lambda self, x: F.dropout(x), "dropout drops elements in evaluation too: pass training=self.training"),
    "own operation": (lambda self, x: Cube()(x), r"Cube has no form in ONNX here: pass converters=\{Cube: function\}"),
    "loss": (
        lambda self, x: F.mse_loss(x, np.zeros((len(x), 4), np.float32)),
        "a loss is not part of what is exported",
    ),
    "nothing": (lambda self, x: None, "the model must give an array or a tensor. Received: None"),
    "text": (lambda self, x: "x", "the model must give arrays or tensors"),
    "in a dict": (lambda self, x: {"a": 3}, r"Received: int at output\['a'\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_graph_cannot_say_is_an_error_that_says_what_to_do(name, tmp_path):
    function, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message):
        export_onnx(Applied(function), tmp_path / "a.onnx", (2, 4))
    assert not os.listdir(tmp_path)


def test_an_error_names_the_module(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(Applied(lambda self, x: Cube()(x))))
    with pytest.raises(ValueError, match=r"export_onnx: [\w.]*test_interop_onnx.Cube in 1.0 has no form"):
        export_onnx(model, tmp_path / "a.onnx", (1, 4))


def test_an_operation_in_a_file_named_like_one_of_fastnn_is_not_taken_for_that(tmp_path):
    impostor = type("Linear", (Cube,), {"__module__": "linear"})
    with pytest.raises(ValueError, match=r"export_onnx: linear.Linear in 0 has no form"):
        export_onnx(nn.Sequential(Applied(lambda self, x: impostor()(x))), tmp_path / "a.onnx", (1, 4))


def test_a_module_with_a_backward_of_its_own_needs_a_converter(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), ByHand())
    with pytest.raises(ValueError, match=r"depends on the inputs in a way that was not recorded"):
        export_onnx(model, tmp_path / "a.onnx", (1, 4))
    path = exported(
        model, tmp_path, (1, 4), converters={ByHand: lambda call: call.add("Mul", call.inputs[0], call.number(2))}
    )
    x = noise((3, 4))
    assert difference(by_onnxruntime(path, [x]), of_fastnn(model, [x])) < 1e-6


def test_writing_into_a_result_is_noticed(tmp_path):
    def write(self, x):
        y = x * self.weight
        y._data[...] = 0
        return y + 1

    with pytest.raises(ValueError, match="a result was written into after it was computed"):
        export_onnx(Applied(write), tmp_path / "a.onnx", (2, 4))


def test_adding_in_place_is_exported_as_what_it_gives(tmp_path):
    def add(self, x):
        y = x * self.weight
        y += 1
        x += y
        return x

    model = Applied(add)
    with fastnn.no_grad():
        path = exported(model, tmp_path, (2, 4))
    x = noise((3, 4))
    assert difference(by_onnxruntime(path, [x]), [2 * x + 1]) < 1e-6


ARGUMENTS = {
    "model": (TypeError, "model must be an nn.Module", {"model": len}),
    "path": (TypeError, "path must be the name of a file", {"path": 3}),
    "shape, one number": (TypeError, "input_shape must be several integers", {"input_shape": 3}),
    "shape, a text": (TypeError, "input_shape", {"input_shape": "3, 6"}),
    "shape, zero": (ValueError, "input_shape must be", {"input_shape": (0, 3, 6, 6)}),
    "shape of another size": (ValueError, "conv2d: x has 2 channels", {"input_shape": (1, 2, 6, 6)}),
    "array of texts": (TypeError, "input_shape must hold numbers", {"input_shape": np.array(["a"])}),
    "dtype": (TypeError, "dtype must be float32 or float64", {"dtype": np.int32}),
    "opset, old": (ValueError, "opset must be", {"opset": 17}),
    "opset, new": (ValueError, "opset must be", {"opset": 99}),
    "axis": (ValueError, "batch_axis=4 is no axis of an input", {"batch_axis": 4}),
    "axes": (ValueError, "batch_axis needs one axis for each of 1 inputs", {"batch_axis": (0, 1)}),
    "equal rows": (ValueError, "at least two different rows", {"input_shape": np.ones((2, 3, 6, 6), np.float32)}),
    "one row": (ValueError, "at least two different rows", {"input_shape": noise((1, 3, 6, 6))}),
    "too few names": (ValueError, "input_names must be 1 different names", {"input_names": []}),
    "names": (ValueError, "output_names must be 1 different names", {"output_names": ["a", "b"]}),
    "a name": (TypeError, "output_names must be a text", {"output_names": [3]}),
    "the same name": (ValueError, "inputs and outputs need different names", {"output_names": ["input"]}),
    "converters": (TypeError, "converters must be a dict", {"converters": [1]}),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_wrong_arguments_are_named(name, tmp_path):
    error, message, changed = ARGUMENTS[name]
    given = {"model": small(), "path": tmp_path / "a.onnx", "input_shape": (1, 3, 6, 6), **changed}
    with pytest.raises(error, match=message):
        export_onnx(**given)
    assert not os.listdir(tmp_path)


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match="a folder"):
        export_onnx(small(), tmp_path, (1, 3, 6, 6))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        export_onnx(small(), tmp_path / "nowhere" / "a.onnx", (1, 3, 6, 6))


def test_more_than_two_gigabytes_are_refused_before_they_are_written(tmp_path, monkeypatch):
    from fastnn.interop import onnx as module

    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"the weights have 1,\d\d\d bytes, but a file can hold 1,000"):
        export_onnx(small(), tmp_path / "a.onnx", (1, 3, 6, 6))


def test_without_the_package_an_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'export_onnx needs the package onnx: pip install "fastnn\[onnx\]"'):
        export_onnx(small(), tmp_path / "a.onnx", (1, 3, 6, 6))


def test_importing_fastnn_and_its_interop_loads_no_onnx():
    code = "import sys, fastnn, fastnn.interop; fastnn.interop.export_onnx; print('onnx' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
