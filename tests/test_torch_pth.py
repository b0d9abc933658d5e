"""Files of PyTorch: what torch.save writes is read, and what is written torch.load reads with weights_only=True."""

import argparse
import collections
import io
import os
import random
import warnings

import numpy as np
import pytest
from hypothesis import given
from pth_files import HOOKS, PARAMETER, Named, floats, objects, pickled
from pth_files import new_format as hand_made
from pth_splices import instructions_of, spliced

import fastnn
from fastnn import nn
from fastnn.training._pth import AsDevice, AsDType, AsSize, AsTensor, Makers, read_pth, write_pth

pytestmark = pytest.mark.torch

SPLICES = int(os.environ.get("FASTNN_FUZZ", "1000"))
PLAIN = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
NEW_ONLY = ["uint16", "uint32", "uint64"]
WIDENED = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


@pytest.fixture(params=[True, False], ids=["zip", "old"])
def new_format(request):
    return request.param


def saved(torch, value, new_format=True):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=new_format)
    return file


def written(value, **settings):
    file = io.BytesIO()
    write_pth(value, file, **settings)
    file.seek(0)
    return file


def assert_same(torch, ours, theirs, path="it"):
    """What `read_pth` gave against what `torch.load` gives, in all parts and their classes."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, np.ndarray), path
        wide = theirs.detach()
        if str(theirs.dtype).removeprefix("torch.") in WIDENED:
            wide = wide.float()
        expected = wide.numpy()
        assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape), path
        np.testing.assert_array_equal(ours, expected, err_msg=path)
        if theirs.dtype == wide.dtype and 0 not in ours.shape:
            steps = {axis: step for axis, step in enumerate(theirs.stride()) if ours.shape[axis] > 1}
            assert {axis: ours.strides[axis] // ours.itemsize for axis in steps} == steps, path
    elif isinstance(theirs, torch.Size):
        assert (type(ours), ours) == (tuple, tuple(theirs)), path
    elif isinstance(theirs, torch.dtype | torch.device):
        assert ours == str(theirs), path
    elif isinstance(theirs, dict):
        assert (type(ours), list(ours)) == (type(theirs), list(theirs)), path
        for key in theirs:
            assert_same(torch, ours[key], theirs[key], f"{path}[{key!r}]")
    elif isinstance(theirs, list | tuple):
        assert (type(ours), len(ours)) == (type(theirs), len(theirs)), path
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same(torch, *pair, f"{path}[{index}]")
    elif isinstance(theirs, argparse.Namespace):
        assert_same(torch, vars(ours), vars(theirs), path)
    else:
        assert type(ours) is type(theirs), path
        np.testing.assert_array_equal(ours, theirs, err_msg=path)


def small_model(torch):
    tnn = torch.nn
    return tnn.Sequential(tnn.Conv2d(3, 4, 3), tnn.BatchNorm2d(4), tnn.Flatten(), tnn.Linear(4, 2))


# ---- read ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", PLAIN + NEW_ONLY + WIDENED)
def test_torch_numbers_of_every_type_are_read(torch, new_format, dtype):
    codes = torch.arange(256, dtype=torch.uint8)
    kind = getattr(torch, dtype)
    tensors = [codes.to(kind), torch.tensor([0, 1, 2]).to(kind), torch.zeros((2, 0), dtype=kind)]
    if kind.itemsize == 1 and dtype != "bool":
        tensors.append(codes.view(kind))
    elif kind.itemsize == 2:
        tensors.append(torch.arange(-(2**15), 2**15).to(torch.int16).view(kind))
    assert_same(torch, read_pth(saved(torch, tensors, new_format)), tensors)


VIEWS = {
    "transposed": lambda x: x.t(),
    "permuted": lambda x: x.view(2, 3, 20).permute(2, 0, 1),
    "part": lambda x: x[3:5, 4:],
    "every third": lambda x: x[::3, ::2],
    "diagonal": lambda x: x.diagonal(1),
    "expanded": lambda x: x[:, :1].expand(10, 7),
    "windows": lambda x: x.reshape(-1).unfold(0, 5, 1),
    "one": lambda x: x[3, 4],
    "axes of one": lambda x: x[None, :, None, 3:4].transpose(1, 3),
    "as strided": lambda x: x.as_strided((3, 4), (7, 2), 11),
    "channels last": lambda x: x.view(2, 4, 5, 3).permute(0, 3, 1, 2),
    "empty": lambda x: x[:0],
}


@pytest.mark.parametrize("name", VIEWS)
def test_torch_views_are_read_as_views(torch, new_format, name):
    x = torch.arange(120.0).view(10, 12)
    value = {"x": x, "view": VIEWS[name](x)}
    loaded = read_pth(saved(torch, value, new_format))
    assert_same(torch, loaded, value)
    shared = value["view"].untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert np.shares_memory(loaded["x"], loaded["view"]) == (shared and value["view"].numel() > 0)


def test_torch_tied_weights_share_memory(torch, new_format):
    tnn = torch.nn
    model = tnn.Sequential(tnn.Linear(3, 3), tnn.Linear(3, 3))
    model[1].weight = model[0].weight
    loaded = read_pth(saved(torch, model.state_dict(), new_format))
    assert_same(torch, loaded, model.state_dict())
    assert np.shares_memory(loaded["0.weight"], loaded["1.weight"])
    assert not np.shares_memory(loaded["0.bias"], loaded["1.bias"])


def trained(torch, make):
    model = small_model(torch)
    optimizer = make(model.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(2, 3, 3, 3)).sum().backward()
        optimizer.step(lambda: model(torch.ones(2, 3, 3, 3)).sum())
    return optimizer


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "Adagrad": {},
    "Adadelta": {},
    "Adafactor": {},
    "ASGD": {},
    "Rprop": {},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "LBFGS": {},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_torch_state_of_an_optimizer_is_read(torch, new_format, name):
    torch.manual_seed(0)
    optimizer = trained(torch, lambda parameters: getattr(torch.optim, name)(parameters, **OPTIMIZERS[name]))
    state = optimizer.state_dict()
    loaded = read_pth(saved(torch, {"epoch": 3, "optimizer": state}, new_format))
    assert_same(torch, loaded, {"epoch": 3, "optimizer": state})


SCHEDULERS = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3]},
    "ConstantLR": {},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.5},
    "CosineAnnealingLR": {"T_max": 5},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
    "PolynomialLR": {},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.2},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 10},
    "ReduceLROnPlateau": {},
    "LambdaLR": {"lr_lambda": lambda epoch: 0.5**epoch},
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_torch_state_of_a_scheduler_is_read(torch, new_format, name):
    optimizer = torch.optim.SGD(small_model(torch).parameters(), lr=0.1, momentum=0.9)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **SCHEDULERS[name])
    for _ in range(3):
        optimizer.step()
        scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))
    state = scheduler.state_dict()
    assert_same(torch, read_pth(saved(torch, state, new_format)), state)


def nested(torch):
    return {
        "epoch": 12,
        "best": np.float64(0.5),
        "args": argparse.Namespace(lr=0.1, arch="resnet18", layers=[2, 2]),
        "history": [{"loss": 0.5, "acc": (0.1, 0.2)}, {"loss": float("inf"), "acc": None}],
        "size": torch.Size([2, 3]),
        "sizes": [torch.ones(2, 3).shape, torch.ones(()).shape],
        "dtype": torch.float16,
        "device": torch.device("cuda:1"),
        "ordered": collections.OrderedDict([("b", torch.ones(2)), ("a", 1)]),
        "default": collections.defaultdict(list, {1: [2]}),
        "counter": collections.Counter("aab"),
        "numpy": [np.arange(6.0).reshape(2, 3), np.int64(3), np.float32(0.5), np.bool_(True), np.array(2)],
        "rng": torch.get_rng_state(),
        "numpy rng": np.random.RandomState(0).get_state(),
        "keys": {1: 1, 2.5: 2, None: 3, (1, "a"): 4, False: 5},
        "set": {1, 2},
        "frozenset": frozenset([3]),
        "texts": ["", "\N{GRINNING FACE}", "a\0b", "x" * 300],
        "bytes": [b"", bytes(range(256)), bytearray(b"ab")],
        "numbers": [2**31, -(2**31) - 1, 2**70, 1e308, -0.0, 1 + 2j],
        "parameter": torch.nn.Parameter(torch.arange(3.0)),
        "leaf": torch.zeros(2, requires_grad=True),
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_torch_nested_objects_are_read(torch, new_format, protocol):
    value = nested(torch)
    del value["numpy rng"]  # NumPy's arrays are not equal by `==`
    file = io.BytesIO()
    torch.save(value, file, pickle_protocol=protocol, _use_new_zipfile_serialization=new_format)
    assert_same(torch, read_pth(file), value)


def test_torch_state_of_numpys_random_numbers_is_read(torch, new_format):
    state = np.random.RandomState(0).get_state()
    name, keys, *rest = read_pth(saved(torch, state, new_format))
    assert [name, *rest] == [state[0], *state[2:]]
    np.testing.assert_array_equal(keys, state[1])


def test_torch_hooks_get_what_is_needed_to_make_its_tensors_again(torch, new_format):
    value = nested(torch)
    make = Makers(
        tensor=lambda array, requires_grad: torch.from_numpy(array).requires_grad_(requires_grad),
        parameter=torch.nn.Parameter,
        size=torch.Size,
        dtype=lambda name: getattr(torch, name.removeprefix("torch.")),
        device=torch.device,
    )
    loaded = read_pth(saved(torch, value, new_format), make=make)
    for name in ("size", "sizes", "dtype", "device"):
        assert (loaded[name], type(loaded[name])) == (value[name], type(value[name]))
    assert isinstance(loaded["parameter"], torch.nn.Parameter)
    assert [loaded[name].requires_grad for name in ("parameter", "leaf", "rng")] == [True, True, False]
    assert torch.equal(loaded["parameter"], value["parameter"])


@pytest.mark.parametrize("byteorder", [True, False])
@pytest.mark.parametrize("crc", [True, False])
def test_torch_archive_is_read_with_and_without_checksums_and_byte_order(torch, byteorder, crc):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(crc)
    try:
        file = io.BytesIO()
        torch.save({"a": torch.arange(5)}, file, _disable_byteorder_record=not byteorder)
    finally:
        torch.serialization.set_crc32_options(before)
    assert read_pth(file)["a"].tolist() == [0, 1, 2, 3, 4]


def test_torch_file_by_its_name_is_read(torch, tmp_path, new_format):
    """Its folder in the archive has the name of the file."""
    for name in ("w.pth", "no suffix", "ünï cödé.pt", "a.tar"):
        torch.save({"a": torch.arange(5)}, tmp_path / name, _use_new_zipfile_serialization=new_format)
        assert read_pth(tmp_path / name)["a"].tolist() == [0, 1, 2, 3, 4]
        assert fastnn.load(tmp_path / name)["a"].tolist() == [0, 1, 2, 3, 4]


def test_torch_reads_the_same_of_pickles_of_other_instructions(torch):
    """Where both read one: what PyTorch takes and this does not is no data, and the other way round."""
    value, storages = floats("0", 1.5, 2.5, -1.0, 3.0, shape=(2, 2))
    state = {"w": value, "p": PARAMETER(value, True, HOOKS), "a": [1, 2.5, "x", (None, {3}), b"b", bytearray(b"y")],
             "o": collections.OrderedDict(a=1), "s": Named("torch", "Size")([2, 3])}  # fmt: skip
    instructions, rng = instructions_of(pickled(state)), random.Random(0)
    both = 0
    for _ in range(SPLICES):
        content = hand_made(spliced(rng, instructions), storages)
        try:
            ours = read_pth(io.BytesIO(content))
        except fastnn.FileError:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs = torch.load(io.BytesIO(content), weights_only=True)
            except Exception:  # of any kind
                continue
        assert_same(torch, ours, theirs)
        both += 1
    assert both > SPLICES / 20


# ---- refused ---------------------------------------------------------------------------------------------------------
def refused(torch, value, new_format, words):
    with pytest.raises(fastnn.FileError, match=words):
        read_pth(saved(torch, value, new_format))


def test_torch_whole_model_is_refused_with_advice(torch, tmp_path, new_format):
    model = small_model(torch)
    torch.save(model, tmp_path / "w.pth", _use_new_zipfile_serialization=new_format)
    for function in (read_pth, fastnn.load):
        with pytest.raises(fastnn.FileError, match=r"w\.pth: .*save.*: torch\.save\(model\.state_dict\(\), path\)"):
            function(tmp_path / "w.pth")
    refused(torch, {"model": model}, new_format, r"torch\.save\(model\.state_dict\(\), path\)")
    optimizer = torch.optim.Adam(model.parameters())
    refused(torch, optimizer, new_format, r"an object of torch\.optim\.adam\.Adam, which is not read")


def test_torch_program_of_torchscript_is_refused_with_advice(torch, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "w.pt")
    with pytest.raises(fastnn.FileError, match=r"w\.pt: a program of TorchScript.*torch\.jit\.load"):
        fastnn.load(tmp_path / "w.pt")


def test_torch_other_tensors_are_refused_with_advice(torch, new_format):
    x = torch.ones(2, 2)
    refused(torch, {"a": x.to_sparse()}, new_format, r"to_dense")
    refused(torch, {"a": x.to(torch.complex64)}, new_format, r"its tensor 'a' has numbers of the type 'complex64'")
    refused(torch, {"a": torch.view_as_complex(x).conj()}, new_format, r"complex64|conjugated")
    refused(torch, {"a": torch._neg_view(x)}, new_format, r"resolve_neg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are deprecated
        quantized = torch.quantize_per_tensor(x, 0.5, 0, torch.qint8)
        refused(torch, {"a": quantized}, new_format, r"dequantize")
    refused(torch, {"a": torch.ones(2, device="meta")}, new_format, r"which is not read")
    refused(torch, x.untyped_storage(), new_format, r"a storage")


# ---- written ---------------------------------------------------------------------------------------------------------
def read_by_torch(torch, file):
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("dtype", PLAIN + NEW_ONLY)
def test_torch_reads_written_arrays_of_every_type(torch, dtype):
    arrays = {
        "a": np.arange(6).reshape(2, 3).astype(dtype),
        "scalar": np.array(1).astype(dtype),
        "empty": np.zeros((0, 2), dtype),
        "big": np.arange(3).astype(np.dtype(dtype).newbyteorder(">")),
        "backwards": np.arange(3).astype(dtype)[::-1],
    }
    for old in (False,) if dtype in NEW_ONLY else (False, True):
        loaded = read_by_torch(torch, written(arrays, old_format=old))
        for name, array in arrays.items():
            assert loaded[name].dtype == getattr(torch, dtype)
            np.testing.assert_array_equal(loaded[name].numpy(), array)
            assert loaded[name].is_contiguous()


@pytest.mark.parametrize("old", [False, True])
def test_torch_reads_written_objects(torch, old):
    value = nested(torch)
    for name in ("args", "default", "numpy", "numpy rng", "frozenset"):
        del value[name]  # PyTorch reads these with weights_only=False
    value["best"] = 0.5

    def stands_for(part):
        match part:
            case torch.nn.Parameter():
                return AsTensor(part.detach().numpy(), part.requires_grad, is_parameter=True)
            case torch.Tensor():
                return AsTensor(part.detach().numpy(), part.requires_grad)
            case torch.Size():
                return AsSize(tuple(part))
            case torch.dtype():
                return AsDType(str(part).removeprefix("torch."))
            case torch.device():
                return AsDevice(part.type, part.index)
        return None

    loaded = read_by_torch(torch, written(value, stands_for=stands_for, old_format=old))
    assert repr(loaded) == repr(value)
    assert [type(part) for part in loaded.values()] == [type(part) for part in value.values()]


@given(value=objects)
def test_torch_reads_written_objects_of_any_parts(torch, value):
    loaded = read_by_torch(torch, written(value))
    assert (repr(loaded), type(loaded)) == (repr(value), type(value))
    again = read_pth(saved(torch, value))
    assert (repr(again), type(again)) == (repr(value), type(value))


@pytest.mark.parametrize("old", [False, True])
def test_torch_reads_other_written_objects_without_weights_only(torch, old):
    value = nested(torch)
    value = {name: value[name] for name in ("args", "default", "numpy", "frozenset")}
    file = written(value, stands_for=lambda part: None, old_format=old)
    with pytest.raises(Exception, match="Weights only"):
        read_by_torch(torch, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    value["numpy"][1:4] = [3, 0.5, True]  # numbers of NumPy are written as Python's
    assert repr(loaded) == repr(value)


@pytest.mark.parametrize("old", [False, True])
def test_torch_sees_written_arrays_of_one_memory_as_one_storage(torch, old):
    x = np.arange(24.0).reshape(4, 6)
    arrays = {"x": x, "t": x.T, "part": x[1:3, 2:], "every": x[::2], "flat": x.reshape(-1), "copy": x.copy()}
    loaded = read_by_torch(torch, written(arrays, old_format=old))
    storage = loaded["x"].untyped_storage().data_ptr()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array)
        assert (loaded[name].untyped_storage().data_ptr() == storage) == (name != "copy")
    loaded["x"][1, 2] = -1
    assert [loaded[name].min().item() for name in arrays] == [-1, -1, -1, 0, -1, 0]


def test_torch_reads_object_at_several_places_as_one(torch):
    part = {"a": [np.ones(2)]}
    loaded = read_by_torch(torch, written([part, part, part["a"], part["a"][0]]))
    assert loaded[0] is loaded[1]
    assert loaded[0]["a"] is loaded[2]
    assert loaded[2][0] is loaded[3]


def test_torch_finds_written_storages_where_it_maps_memory(torch, tmp_path):
    arrays = {"a": np.arange(5.0), "b": np.arange(7, dtype=np.int8), "c": np.arange(300, dtype=np.float32)}
    write_pth(arrays, tmp_path / "w.pth")
    loaded = torch.load(tmp_path / "w.pth", mmap=True, weights_only=True)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array)
        assert loaded[name].data_ptr() % 64 == 0


def test_torch_reads_written_archive_of_64_bits(torch, monkeypatch):
    monkeypatch.setattr("zipfile.ZIP64_LIMIT", 500)
    loaded = read_by_torch(torch, written({"a": np.arange(1000.0), "b": np.arange(7.0)}))
    assert (loaded["a"].tolist(), loaded["b"].tolist()) == (list(range(1000)), list(range(7)))


# ---- models ----------------------------------------------------------------------------------------------------------
def layers(library):
    """A model of many kinds of layers, of either library."""
    return library.Sequential(
        library.Conv2d(3, 4, 3), library.Conv2d(4, 4, 3, groups=2, bias=False), library.BatchNorm2d(4),
        library.BatchNorm1d(4), library.GroupNorm(2, 4), library.LayerNorm(4), library.ConvTranspose2d(4, 2, 3),
        library.Linear(4, 2), library.Embedding(5, 4), library.LSTM(4, 3, num_layers=2), library.PReLU(),
        library.ModuleList([library.Linear(2, 2), library.ModuleDict({"a": library.Linear(2, 2)})]),
    )  # fmt: skip


def test_torch_model_takes_what_fastnn_saves_under_the_same_names(torch, tmp_path):
    ours, theirs = layers(nn), layers(torch.nn)
    fastnn.save(ours, tmp_path / "w.pth", {"note": "text"})
    state = torch.load(tmp_path / "w.pth", weights_only=True)
    assert isinstance(state, collections.OrderedDict)
    assert list(state) == list(theirs.state_dict())
    assert str(theirs.load_state_dict(state)) == "<All keys matched successfully>"
    for key, array in ours.state_dict().items():
        np.testing.assert_array_equal(theirs.state_dict()[key].numpy(), array)
        assert theirs.state_dict()[key].dtype == state[key].dtype


@pytest.mark.parametrize("place", [None, "state_dict", "model"])
def test_torch_weights_are_taken_by_a_model(torch, tmp_path, new_format, place):
    ours, theirs = layers(nn), layers(torch.nn)
    state = theirs.state_dict()
    value = state if place is None else {"epoch": 3, place: state, "optimizer": {"state": {}, "param_groups": []}}
    torch.save(value, tmp_path / "w.pth", _use_new_zipfile_serialization=new_format)
    assert fastnn.load(tmp_path / "w.pth", ours) == ([], [])
    for key, array in ours.state_dict().items():
        np.testing.assert_array_equal(array, state[key].numpy())


@pytest.mark.parametrize("kind", ["half", "bfloat16"])
def test_torch_weights_of_16_bits_are_taken_as_float32(torch, tmp_path, new_format, kind):
    ours, theirs = layers(nn), getattr(layers(torch.nn), kind)()
    torch.save(theirs.state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=new_format)
    fastnn.load(tmp_path / "w.pth", ours)
    for key, tensor in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key], tensor.float().numpy())


def test_torch_weights_of_data_parallel_are_taken(torch, tmp_path, new_format):
    theirs = small_model(torch)
    parallel = torch.nn.DataParallel(theirs)
    torch.save(parallel.state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=new_format)
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    fastnn.load(tmp_path / "w.pth", ours)
    np.testing.assert_array_equal(ours[3].weight.data, theirs[3].weight.detach().numpy())


def test_torch_what_is_read_is_written_as_it_was(torch, new_format):
    state = trained(torch, torch.optim.Adam).state_dict()
    value = {"optimizer": state, "model": small_model(torch).state_dict(), "epoch": 3}
    loaded = read_by_torch(torch, written(read_pth(saved(torch, value, new_format))))
    assert repr(loaded) == repr(torch.load(io.BytesIO(saved(torch, value).getvalue()), weights_only=True))
    assert loaded["model"]._metadata == value["model"]._metadata
