"""Every operation of the tape has a form in ONNX, or a sentence that says why not and what to do."""

import importlib
import pkgutil

import numpy as np
import pytest
import tensor_cases
from onnx_models import by_reference, exported

import fastnn
from fastnn import nn
from fastnn.autograd import Op
from fastnn.interop import export_onnx
from fastnn.interop._onnx import registry

pytest.importorskip("onnx")

CASES = {name: (call, inputs) for name, call, inputs in tensor_cases.all_cases()}
# Numbers of more digits than ONNX has; a cut that goes back and forth.
REFUSED = {"ndarray.astype, 1": "no numbers of dtype", "array_split, 1": "not in order"}
# These give a class each its name, or are completed by others.
BASES = {
    "FromInput", "FromResult", "Hard", "Hardtanh", "Softmax", "Unary", "Binary", "Reduction", "Recurrence",
    "_Elementwise",
}  # fmt: skip
# Observers do not see them, or see what they are made of.
UNSEEN = {"HandWritten", "_Call"}


class Calls(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, *inputs):
        y = self.call(*inputs)
        return tuple(y) if isinstance(y, list) else y


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_function_of_numpy_gives_the_same_in_a_graph(name, tmp_path):
    call, inputs = CASES[name]
    inputs = [np.asarray(x) for x in inputs]
    if name in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name]):
            exported(Calls(call), tmp_path, tuple(inputs), batch_axis=None)
        return
    path = exported(Calls(call), tmp_path, tuple(inputs), batch_axis=None)
    found = by_reference(path, inputs)
    wanted = tensor_cases.outputs(call(*map(fastnn.tensor, inputs)))
    for y, expected in zip(found, wanted, strict=True):
        tensor_cases.assert_close(y, expected.data, rtol=1e-9, atol=1e-12)


COMPARISONS = {
    "masks": lambda x: np.where((x > 0) & ~(x >= 1) | (x < -1), x, 0.5 * x),
    "unequal": lambda x: np.where((np.floor(x) != np.rint(x)) ^ (np.ceil(x) == 1), x, -x),
    "at most": lambda x: np.where(np.logical_and(x <= 0.3, np.logical_not(np.isnan(x))), x, 0),
    "logical": lambda x: np.where(np.logical_or(np.isinf(x), np.isfinite(x)), x, 1.0),
    "sign bits": lambda x: np.where(np.logical_xor(np.signbit(x), x > 1), x, 1.0),
    "largest": lambda x: np.take_along_axis(x, x.argmax(1, keepdims=True), 1),
    "least of all": lambda x: x.reshape(-1) * x.argmin(),
    "places": lambda x: np.sort(x, axis=0),
    "all": lambda x: np.where(np.all(x > -1, axis=1, keepdims=True), x, 0),
    "any": lambda x: np.where(np.any(x > 1), x, 2 * x),
    "order": lambda x: np.take_along_axis(x, np.argsort(x, axis=1), 1),
    "counted": lambda x: x * (x > 0).sum(axis=1, keepdims=True),
    "whole": lambda x: (3 * x).astype(np.int64).astype(np.float64) + x,
    "a table by places": lambda x: np.take(x.reshape(-1), x.argmax(1)),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_what_depends_on_values_is_part_of_the_graph(name, tmp_path):
    path = exported(Calls(COMPARISONS[name]), tmp_path, np.random.default_rng(3).normal(size=(4, 5)), batch_axis=None)
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=(4, 5))
        (y,) = by_reference(path, [x])
        np.testing.assert_allclose(y, COMPARISONS[name](fastnn.tensor(x)).data, rtol=1e-9)


def test_every_operation_is_converted_or_named_with_advice():
    for module in pkgutil.walk_packages(fastnn.__path__, "fastnn."):
        if "__main__" not in module.name and not module.name.startswith("fastnn.grading._child"):
            importlib.import_module(module.name)
    table, found = registry.load(), set()
    kinds = [Op]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith("fastnn.") and kind is not Op and kind.__name__ not in BASES | UNSEEN:
            found.add(f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}")
    assert len(found) > 120
    assert found - set(table) - set(registry.NOT_CONVERTED) == set()
    assert not set(table) & set(registry.NOT_CONVERTED)
    assert set(registry.NOT_CONVERTED) <= found


def test_every_named_activation_is_converted():
    for name in ("relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "softplus"):
        assert f"activation.{name}" in registry.load()


def test_a_row_that_is_picked_by_a_computed_mask_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"indexing.Pick: an index that is computed .* use np.where for masks"):
        export_onnx(Calls(lambda x: x[x > -100]), tmp_path / "a.onnx", (3, 4), batch_axis=None)
