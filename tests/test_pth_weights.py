"""Weights of networks in PyTorch's files: `fastnn.load` and `fastnn.save`."""

import struct

import numpy as np
import pytest
from pth_files import (
    FORMATS,
    HOOKS,
    PARAMETER,
    Call,
    floats,
    new_format,
    read,
    storage,
    tensor,
)

import fastnn
from fastnn import data, nn, training
from fastnn.training._pth import read_pth, write_pth

PREPROCESSING = data.Preprocessing(mean=(0.5,), std=(0.25,), size=(8, 8), classes=("a", "b"))


@pytest.fixture(params=FORMATS)
def write(request):
    """Makes the content of a file in each of the two formats."""
    return FORMATS[request.param]


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "W.PTH"])
def test_weights_round_trip(tmp_path, name):
    model, other = network(), network()
    model[1].running_mean[:] = 3
    fastnn.save(model, tmp_path / name, {"note": "text"})
    assert fastnn.load(tmp_path / name, other) == ([], [])
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[key], array)
    assert list(fastnn.load(tmp_path / name)) == list(model.state_dict())
    assert read_pth(tmp_path / name)._fastnn_metadata == {"note": "text"}


def test_preprocessing_goes_with_the_weights(tmp_path):
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    model.preprocessing = PREPROCESSING
    fastnn.save(model, tmp_path / "w.pth")
    fastnn.load(tmp_path / "w.pth", other)
    assert other.preprocessing == training.read_preprocessing(tmp_path / "w.pth") == PREPROCESSING


def test_file_is_known_by_its_first_bytes(tmp_path, write):
    value, storages = floats("0", 1.5)
    (tmp_path / "w.safetensors").write_bytes(write({"a": value}, storages))
    assert fastnn.load(tmp_path / "w.safetensors")["a"].tolist() == [1.5]
    fastnn.save({"a": np.ones(1)}, tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "a.pth")
    assert fastnn.load(tmp_path / "a.pth")["a"].tolist() == [1]


def test_safetensors_file_whose_header_begins_like_a_pickle_is_read(tmp_path):
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(0x280)
    (tmp_path / "a").write_bytes(struct.pack("<Q", 0x280) + header + struct.pack("<f", 7))
    assert (tmp_path / "a").read_bytes()[:2] == b"\x80\x02"
    assert fastnn.load(tmp_path / "a")["a"].tolist() == [7]


@pytest.mark.parametrize("place", ["state_dict", "model_state_dict", "model", "net", "weights"])
def test_state_dict_is_found_where_scripts_put_it(tmp_path, write, place):
    value, storages = floats("0", 1.5)
    (tmp_path / "w.pth").write_bytes(write({"epoch": 3, place: {"a": value}, "optimizer": {"state": {}}}, storages))
    assert fastnn.load(tmp_path / "w.pth")["a"].tolist() == [1.5]


def test_prefix_of_data_parallel_is_taken_off_if_all_names_have_it(tmp_path):
    model = nn.Linear(2, 2)
    state = model.state_dict()
    write_pth({f"module.{key}": array for key, array in state.items()}, tmp_path / "all.pth")
    write_pth({"module.weight": state["weight"], "bias": state["bias"]}, tmp_path / "some.pth")
    other = nn.Linear(2, 2)
    fastnn.load(tmp_path / "all.pth", other)
    np.testing.assert_array_equal(other.weight.data, model.weight.data)
    assert list(fastnn.load(tmp_path / "all.pth")) == ["weight", "bias"]
    assert list(fastnn.load(tmp_path / "some.pth")) == ["module.weight", "bias"]


def test_module_that_is_called_module_keeps_its_names(tmp_path):
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)

    model, other = Wrapper(), Wrapper()
    fastnn.save(model, tmp_path / "w.pth")
    assert fastnn.load(tmp_path / "w.pth", other) == ([], [])
    np.testing.assert_array_equal(other.module.weight.data, model.module.weight.data)


@pytest.mark.parametrize(("value", "words"), [
    ([1], "it holds a list and no state_dict"),
    ({"a": 1}, "no state_dict: 'a' is a int and no tensor, and there is none under state_dict"),
    ({1: 2}, "no state_dict: it has a key of the type int"),
    ({"state_dict": {"a": "text"}}, "its 'state_dict' is no state_dict: 'a' is a str and no tensor"),
    ({"model": {"a": {"b": 1}}, "net": {}}, "its 'model' is no state_dict"),
])  # fmt: skip
def test_file_without_a_state_dict_says_what_it_has(tmp_path, value, words):
    write_pth(value, tmp_path / "w.pth")
    with pytest.raises(training.CheckpointError, match=rf"w\.pth: .*{words}"):
        fastnn.load(tmp_path / "w.pth")


def test_weights_of_another_network_change_nothing(tmp_path):
    fastnn.save(nn.Linear(3, 2), tmp_path / "w.pth")
    fastnn.save({"a": np.ones(1)}, tmp_path / "a.pth")
    model = nn.Linear(2, 2)
    before = model.weight.data.copy()
    with pytest.raises(ValueError, match=r"weight: \(2, 3\) given, \(2, 2\) is needed"):
        fastnn.load(tmp_path / "w.pth", model)
    with pytest.raises(training.CheckpointError, match="does not fit Linear: missing keys: weight, bias; unexpected"):
        fastnn.load(tmp_path / "a.pth", model)
    np.testing.assert_array_equal(model.weight.data, before)


def test_expanded_weight_is_loaded_as_its_values(tmp_path):
    of = storage("0", "FloatStorage", 2)
    state = {"weight": tensor(of, (2, 2), (0, 1)), "bias": tensor(of, (2,), (1,))}
    (tmp_path / "w.pth").write_bytes(new_format(state, {"0": struct.pack("<2f", 1, 2)}))
    model = nn.Linear(2, 2)
    fastnn.load(tmp_path / "w.pth", model)
    assert model.weight.data.tolist() == [[1, 2], [1, 2]]
    model.weight.data[0, 0] = 5
    assert (model.weight.data[1, 0], model.bias.data[0]) == (1, 1)


def test_save_of_numbers_that_pytorch_lacks_says_so(tmp_path):
    with pytest.raises(TypeError, match="a file of PyTorch cannot hold 'a', an array of complex64"):
        fastnn.save({"a": np.zeros(1, "c8")}, tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


def test_tied_weights_are_written_once(tmp_path):
    model = nn.Sequential(nn.Linear(30, 30), nn.Linear(30, 30))
    model[1].weight = model[0].weight
    fastnn.save(model, tmp_path / "w.pth")
    loaded = fastnn.load(tmp_path / "w.pth")
    assert np.shares_memory(loaded["0.weight"], loaded["1.weight"])


def test_parameter_of_a_file_is_a_tensor_among_others(write):
    value, storages = floats("0", 1.5)
    loaded = read(write({"a": PARAMETER(value, True, HOOKS), "b": Call(PARAMETER, (value, True, HOOKS))}, storages))
    assert [array.tolist() for array in loaded.values()] == [[1.5], [1.5]]
