"""Networks, exported, give in ONNX Runtime what they give here, for batches of three sizes."""

import re
import runpy
from pathlib import Path

import layer_programs
import numpy as np
import pytest
import tensor_programs
from compat_networks import NETWORKS
from hypothesis import HealthCheck, given, settings
from onnx_models import by_onnxruntime, by_reference, difference, exported, noise, of_fastnn

import fastnn
from fastnn import models, nn

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parent.parent
CLOSE = 1e-5
BATCHES = (1, 2, 7)


def trained(model, seed=0):
    """With weights and statistics that are not those of the beginning."""
    rng = np.random.default_rng(seed)
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.dtype.kind == "f":
                buffer[...] = rng.uniform(0.5, 1.5, buffer.shape) if "var" in name else rng.normal(0, 0.3, buffer.shape)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data = parameter.data + rng.normal(0, 0.1, parameter.shape).astype(parameter.dtype)
    return model


def agrees(model, path, shapes, close=CLOSE, run=by_onnxruntime):
    for n in BATCHES:
        given = [noise((n, *shape[1:]), n + index) for index, shape in enumerate(shapes)]
        assert difference(run(path, given), of_fastnn(model, given)) < close


# The others are made of the same layers, and larger.
QUICK = {"airbench94", "keras_cnn", "resnet20", "vgg_a_light_bn"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in models.names()]
)
def test_a_model_gives_the_same_in_onnxruntime(name, tmp_path):
    fastnn.manual_seed(3)
    model = trained(models.create(name))
    path = exported(model, tmp_path, (1, 3, 32, 32))
    agrees(model, path, [(1, 3, 32, 32)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["keras_cnn", "resnet20", "vgg_a_light_bn"])
def test_a_model_gives_the_same_in_the_evaluator_of_onnx(name, tmp_path):
    fastnn.manual_seed(3)
    model = trained(models.create(name))
    path = exported(model, tmp_path, (1, 3, 32, 32))
    agrees(model, path, [(1, 3, 32, 32)], run=by_reference)


@pytest.mark.parametrize("opset", range(18, 24))
def test_a_model_can_be_written_with_any_of_the_opsets(opset, tmp_path):
    fastnn.manual_seed(3)
    model = trained(models.resnet20())
    path = exported(model, tmp_path, (1, 3, 32, 32), opset=opset)
    agrees(model, path, [(1, 3, 32, 32)])


# ---- networks of examples and documents ------------------------------------------------------------------------------
def of_example(name):
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="example")


def of_gan():
    code = of_example("gan")
    return nn.Sequential(
        nn.ConvTranspose2d(32, 64, 4, bias=False), nn.BatchNorm2d(64), nn.ReLU(), *code["larger"](64, 32),
        *code["larger"](32, 16), nn.ConvTranspose2d(16, 3, 4, stride=2, padding=1), nn.Tanh())  # fmt: skip


EXAMPLES = {
    "branches": (lambda: of_example("branches")["Branches"](), (3, 32, 32)),
    "two_losses": (lambda: of_example("two_losses")["TwoHeads"](), (3, 32, 32)),
    "siamese": (lambda: of_example("siamese")["network"](), (3, 32, 32)),
    "segmentation": (lambda: of_example("segmentation")["UNet"](), (1, 32, 32)),
    "vision_transformer": (lambda: of_example("vision_transformer")["VisionTransformer"](), (3, 32, 32)),
    "recurrent": (lambda: of_example("recurrent")["Recurrent"](), (12, 4)),
    "gan": (of_gan, (32, 1, 1)),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_network_of_an_example_gives_the_same_in_onnxruntime(name, tmp_path):
    make, shape = EXAMPLES[name]
    fastnn.manual_seed(4)
    model = trained(make())
    path = exported(model, tmp_path, (1, *shape))
    agrees(model, path, [(1, *shape)])


def test_an_operation_of_ones_own_is_written_by_ones_own_converter(tmp_path):
    code = of_example("own_operation")

    def mish(call):
        (x,) = call.inputs
        return call.add("Mul", x, call.add("Tanh", call.add("Softplus", x)))

    model = code["Network"]()
    path = exported(model, tmp_path, (1, 2), converters={code["Mish"]: mish})
    agrees(model, path, [(1, 2)])


@pytest.fixture(scope="module")
def documented():
    """What the cells of the page on branches define."""
    page = (ROOT / "docs/howto/branches_and_shared_layers.md").read_text()
    names = {}
    for cell in re.findall(r"```\{code-cell\}\n(.*?)```", page, re.DOTALL):
        exec(cell, names)
    return names


@pytest.mark.parametrize(
    ("name", "arguments", "shapes"),
    [
        ("Block", (4,), [(1, 4, 5, 6)]),
        ("Twins", (), [(1, 3, 5, 5)] * 2),
        ("TwoHeads", (), [(1, 6)]),
        ("Deep", (3,), [(1, 4)]),
    ],
)
def test_branches_shared_layers_inputs_and_outputs_are_exported(name, arguments, shapes, documented, tmp_path):
    model = documented[name](*arguments)
    path = exported(model, tmp_path, tuple(shapes))
    agrees(model, path, shapes)
    agrees(model, path, shapes, run=by_reference)


def test_a_shared_weight_is_there_once_under_its_own_name(documented, tmp_path):
    import onnx

    path = exported(documented["Twins"](), tmp_path, ((1, 3, 5, 5), (1, 3, 5, 5)))
    graph = onnx.load(path).graph
    names = {x.name for x in graph.initializer if not x.name.startswith("constant")}
    assert names == {"see.0.weight", "see.0.bias", "see.4.weight", "see.4.bias"}
    assert sum(node.op_type == "Conv" for node in graph.node) == 2


def test_joined_layers_are_exported_as_plain_ones_and_dropout_not_at_all(tmp_path):
    import onnx

    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(16, 2),
    )  # fmt: skip
    path = exported(model, tmp_path, (1, 3, 6, 6))
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds == ["Conv", "BatchNormalization", "Relu", "MaxPool", "Flatten", "Gemm"]
    agrees(model, path, [(1, 3, 6, 6)])


# ---- networks that were written for PyTorch --------------------------------------------------------------------------
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_written_for_pytorch_is_exported(name, tmp_path):
    import fastnn.compat.torch as torch

    make, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    model = make(torch)
    path = exported(model, tmp_path, (1, *shape))
    model.eval()
    for n in BATCHES:
        x = noise((n, *shape), n)
        with torch.no_grad():
            wanted = model(torch.from_numpy(x))
        assert difference(by_onnxruntime(path, [x]), [wanted.numpy()]) < CLOSE


TORCH = {
    "masked": lambda torch, m: m.masked_fill(m < 0.05, 0),
    "largest": lambda torch, m: m.max(dim=1)[0],
    "place": lambda torch, m: m.argmax(1),
    "gathered": lambda torch, m: m.gather(1, (m > 0).long()),
    "chosen": lambda torch, m: torch.where(m > 0, m, -m),
    "in place": lambda torch, m: torch.nn.functional.relu(m, inplace=True).add_(1),
    "triangle": lambda torch, m: m.unsqueeze(1).repeat(1, 4, 1).masked_fill(torch.ones(4, 4).triu(1).bool(), -9.0),
    "counted": lambda torch, m: (m > 0).sum(1),
    "any": lambda torch, m: (m > 0.5).any(1),
}


@pytest.mark.parametrize("name", TORCH)
def test_functions_of_torch_that_depend_on_values_are_part_of_the_graph(name, tmp_path):
    import fastnn.compat.torch as torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(4, 4)

        def forward(self, x):
            return TORCH[name](torch, self.first(x))

    torch.manual_seed(0)
    model = Net()
    path = exported(model, tmp_path, (1, 4))
    for n in BATCHES:
        x = noise((n, 4), n)
        assert difference(by_onnxruntime(path, [x]), [model(torch.from_numpy(x)).detach().numpy()]) < CLOSE


# ---- random networks -------------------------------------------------------------------------------------------------
class Program(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, *inputs):
        return tuple(self.run(*inputs))


relaxed = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@relaxed
@given(program=tensor_programs.programs)
def test_a_random_program_of_tensors_is_exported_or_refused(program, tmp_path):
    inputs = tensor_programs.inputs_of(program)
    model = Program(lambda *given: tensor_programs.run(program, given))
    try:
        path = exported(model, tmp_path, tuple(inputs), batch_axis=None)
    except ValueError:
        assert any(name == "mask" for name, *_ in program["steps"])
        return
    wanted = [loss.data for loss in tensor_programs.run(program, [fastnn.tensor(x) for x in inputs])]
    for y, expected in zip(by_reference(path, inputs), wanted, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)


@relaxed
@given(program=layer_programs.programs)
def test_a_random_network_of_layers_is_exported(program, tmp_path):
    array, layers = layer_programs.made(program)
    layers.astype(np.float32).eval()

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            values = [x]
            tables = {**layer_programs.UNARY, **layer_programs.BINARY}
            for name, *places in program["steps"]:
                a, b = (values[-1 - place % len(values)] for place in places)
                if name in layer_programs.LAYERS:
                    values.append(self.layers[name](a))
                else:
                    values.append(tables[name][0](*((a,) if name in layer_programs.UNARY else (a, b))))
            return values[-1]

    model = Network()
    path = exported(model, tmp_path, array.shape)
    agrees(model, path, [array.shape])
