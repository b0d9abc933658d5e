"""Weights files: the same bytes each time, checksums, number types, foreign files, and what goes with the weights."""

import io
import json
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest

import fastnn
from fastnn import data, nn, training
from fastnn.training import _dtypes, _safetensors

PREPROCESSING = data.Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.1), size=(32, 32), classes=("cat", "Hündin"))


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def trained(folder, model=None):
    """A network, and the folder with the checkpoints that `fit` has written of it."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) if model is None else model
    batches = [(np.eye(4, dtype=np.float32), np.arange(4))] * 3
    training.fit(model, batches, epochs=2, val_loader=batches, out=folder, progress=False)
    return model


def raw(header, content=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def same(a, b):
    return list(a) == list(b) and all(x.tobytes() == y.tobytes() for x, y in zip(a.values(), b.values(), strict=True))


# ---- the format ------------------------------------------------------------------------------------------------------
ARRAYS = {
    name: np.arange(6).reshape(2, 3).astype(name)
    for name in ("bool", "u1", "i1", "u2", "i2", "u4", "i4", "f4", "u8", "i8", "f8", "c8")
} | {
    "half": np.arange(3).astype("f2"),
    "scalar": np.float32(3),
    "empty": np.zeros((0, 5)),
    "big": np.arange(3, dtype=">f4"),
}


def test_safetensors_library_reads_what_is_written(tmp_path):
    from safetensors.numpy import load_file

    fastnn.save(ARRAYS, tmp_path / "a.safetensors", {"note": 'a "quoted" text, ünï'})
    loaded = load_file(tmp_path / "a.safetensors")
    assert loaded.keys() == ARRAYS.keys()
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.dtype == np.asarray(ARRAYS[name]).dtype.newbyteorder("=")
        assert array.shape == np.shape(ARRAYS[name])


def test_safetensors_files_of_the_library_are_read(tmp_path):
    from safetensors.numpy import save_file

    arrays = {name: np.array(array, order="C") for name, array in ARRAYS.items() if name not in ("big", "half")}
    save_file(arrays, tmp_path / "a", {"x": "y", "a": "b"})
    loaded = fastnn.load(tmp_path / "a")
    assert list(loaded) == sorted(arrays)
    for name, array in loaded.items():
        assert (array.dtype, array.shape) == (arrays[name].dtype, arrays[name].shape)
        np.testing.assert_array_equal(array, arrays[name])


def test_safetensors_tensors_lie_at_multiples_of_their_size(tmp_path):
    fastnn.save(ARRAYS, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["data_offsets"][0] % np.asarray(ARRAYS[name]).itemsize == 0


def test_equal_states_are_equal_files(tmp_path):
    weights = {name: np.asarray(array) for name, array in ARRAYS.items()}
    metadata = {f"key {number}": str(number) for number in range(20)}
    contents = set()
    for number, order in enumerate((1, -1)):
        path = tmp_path / f"{number}.safetensors"
        fastnn.save(dict(list(weights.items())[::order]), path, dict(list(metadata.items())[::order]))
        contents.add(path.read_bytes())
    assert len(contents) == 1
    for number in range(2):
        training.save_state(tmp_path / f"state {number}", {"a": weights, "step": 3})
    assert (tmp_path / "state 0").read_bytes() == (tmp_path / "state 1").read_bytes()


def test_names_of_any_characters_come_back(tmp_path):
    names = ["", "ünï", "\N{GRINNING FACE}", "\ud800", 'a"b\\c', "\n", "x" * 1000]
    fastnn.save({name: np.full(2, index) for index, name in enumerate(names)}, tmp_path / "a.safetensors")
    loaded = fastnn.load(tmp_path / "a.safetensors")
    assert {name: array[0] for name, array in loaded.items()} == {name: index for index, name in enumerate(names)}


def test_array_in_another_order_is_written_as_its_values(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 4)
    fastnn.save({"a": array.transpose(2, 0, 1), "b": array[:, ::-1]}, tmp_path / "a.safetensors")
    loaded = fastnn.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(loaded["a"], array.transpose(2, 0, 1))
    np.testing.assert_array_equal(loaded["b"], array[:, ::-1])


# ---- checksum --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["weights", "state"])
def test_every_flipped_bit_is_noticed(tmp_path, kind):
    path = tmp_path / "a.safetensors"
    if kind == "weights":
        fastnn.save(network(), path)
    else:
        training.save_state(path, {"a": np.arange(99.0), "step": 17})
    whole = path.read_bytes()
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        try:
            _safetensors._read(io.BytesIO(content), len(content))
        except ValueError:
            continue
        # Only in the name of the checksum: the file then looks like one of another program.
        assert b'"fastnn_crc32":"' not in content


def test_flipped_bit_in_a_weight_is_called_damage(tmp_path):
    path = tmp_path / "a.safetensors"
    fastnn.save(network(), path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(training.CheckpointError, match=r"a\.safetensors: damaged.*checksum"):
        fastnn.load(path, network())


def test_checksum_is_the_crc_of_the_file_with_zeros_in_its_place(tmp_path):
    path = tmp_path / "a.safetensors"
    fastnn.save({"a": np.arange(5.0)}, path, {"note": '"fastnn_crc32":"11111111"'})
    content = path.read_bytes()
    before, key, after = content.partition(b'"fastnn_crc32":"')
    zeros = before + key + b"0" * 8 + after[8:]
    assert int(after[:8], 16) == zlib.crc32(zeros[8:])
    assert fastnn.load(path)["a"][4] == 4


def test_file_without_a_checksum_is_read(tmp_path):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    (tmp_path / "a").write_bytes(raw({"a": entry}, struct.pack("<f", 7)))
    assert fastnn.load(tmp_path / "a")["a"] == 7


# ---- number types ----------------------------------------------------------------------------------------------------
def float8(code, exponent_bits, finite, unsigned_zero=False):
    """By the definition, one number at a time."""
    mantissa_bits = 7 - exponent_bits
    sign, rest = -1 if code >> 7 else 1, code & 127
    exponent, mantissa = rest >> mantissa_bits, rest & (2**mantissa_bits - 1)
    bias = 2 ** (exponent_bits - 1) - 1
    if unsigned_zero:
        bias += 1
        if code == 128:
            return np.nan
    if finite and rest == 127 and not unsigned_zero:
        return np.nan
    if not finite and exponent == 2**exponent_bits - 1:
        return sign * np.inf if mantissa == 0 else np.nan
    if exponent == 0:
        return sign * mantissa * 2.0 ** (1 - bias - mantissa_bits)
    return sign * (1 + mantissa / 2**mantissa_bits) * 2.0 ** (exponent - bias)


@pytest.mark.parametrize(("name", "bits", "finite"), [("F8_E4M3", 4, True), ("F8_E5M2", 5, False)])
def test_float8_loads_as_exactly_its_values(tmp_path, name, bits, finite):
    entry = {"dtype": name, "shape": [16, 16], "data_offsets": [0, 256]}
    (tmp_path / "a").write_bytes(raw({"a": entry}, bytes(range(256))))
    loaded = fastnn.load(tmp_path / "a")["a"]
    assert (loaded.dtype, loaded.shape) == (np.float32, (16, 16))
    np.testing.assert_array_equal(loaded.ravel(), [float8(code, bits, finite) for code in range(256)])
    assert np.signbit(loaded.ravel()[128])
    largest = {"F8_E4M3": 448, "F8_E5M2": 57344}[name]
    assert np.nanmax(loaded[np.isfinite(loaded)]) == largest


@pytest.mark.parametrize(("name", "bits"), [("F8_E4M3FNUZ", 4), ("F8_E5M2FNUZ", 5)])
def test_float8_without_minus_zero_loads_as_exactly_its_values(tmp_path, name, bits):
    entry = {"dtype": name, "shape": [256], "data_offsets": [0, 256]}
    (tmp_path / "a").write_bytes(raw({"a": entry}, bytes(range(256))))
    loaded = fastnn.load(tmp_path / "a")["a"]
    np.testing.assert_array_equal(loaded, [float8(code, bits, True, unsigned_zero=True) for code in range(256)])
    assert np.nanmax(loaded) == {"F8_E4M3FNUZ": 240, "F8_E5M2FNUZ": 57344}[name]


def test_float8_of_exponents_loads_as_powers_of_two(tmp_path):
    entry = {"dtype": "F8_E8M0", "shape": [256], "data_offsets": [0, 256]}
    (tmp_path / "a").write_bytes(raw({"a": entry}, bytes(range(256))))
    loaded = fastnn.load(tmp_path / "a")["a"]
    np.testing.assert_array_equal(loaded[:255].astype(float), 2.0 ** np.arange(-127, 128))
    assert np.isnan(loaded[255])


@pytest.mark.parametrize("offset", [0, 1])
def test_bfloat16_loads_as_the_upper_half_of_float32(tmp_path, offset):
    codes = np.arange(65536, dtype="<u2")
    header = {"a": {"dtype": "BF16", "shape": [65536], "data_offsets": [offset, offset + 131072]}}
    if offset:  # numbers of others need not lie at multiples of their size
        header["b"] = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
    (tmp_path / "a").write_bytes(raw(header, bytes(offset) + codes.tobytes()))
    loaded = fastnn.load(tmp_path / "a")["a"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded.view(np.uint32), codes.astype(np.uint32) << 16)
    assert loaded[0x3FC0] == 1.5


def test_float16_loads_as_float32_and_stays_in_a_state(tmp_path):
    halves = np.arange(65536, dtype="<u2").view("<f2")
    fastnn.save({"a": halves}, tmp_path / "a.safetensors")
    loaded = fastnn.load(tmp_path / "a.safetensors")["a"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, halves.astype(np.float32))
    training.save_state(tmp_path / "s", {"a": halves})
    assert training.load_state(tmp_path / "s")["a"].dtype == np.float16


def test_bool_of_any_byte_is_true_or_false(tmp_path):
    entry = {"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]}
    (tmp_path / "a").write_bytes(raw({"a": entry}, b"\0\1\2\xff"))
    loaded = fastnn.load(tmp_path / "a")["a"]
    assert loaded.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_unknown_number_type_is_a_sentence(tmp_path):
    entry = {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}
    (tmp_path / "a").write_bytes(raw({"layer": entry}, b"\0"))
    with pytest.raises(training.CheckpointError, match=r"'layer' has numbers of the type 'F4'; .*BF16.* can be read"):
        fastnn.load(tmp_path / "a")


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([None]), np.zeros(1, "c16"), np.zeros(1, "f4,i4"),
                                   np.zeros(1, "M8[s]"), np.zeros(1, np.longdouble)])  # fmt: skip
def test_array_that_no_file_holds_is_refused_with_its_name(tmp_path, array):
    with pytest.raises(TypeError, match="'layer'"):
        fastnn.save({"layer": array}, tmp_path / "a.safetensors")
    with pytest.raises(TypeError, match="'layer'"):
        training.save_state(tmp_path / "a", {"layer": array})
    assert list(tmp_path.iterdir()) == []
    assert _dtypes.name_of(np.dtype(">f4")) == "F32"


# ---- checkpoints as weights ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_load_takes_the_weights_of_a_checkpoint(tmp_path, name):
    model = trained(tmp_path)
    other = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    assert fastnn.load(tmp_path / name, other) == ([], [])
    weights = training.load_state(tmp_path / name)["model"]
    assert same(weights, other.state_dict())
    assert same(weights, fastnn.load(tmp_path / name))
    if name == "last.safetensors":
        assert same(weights, model.state_dict())


def test_load_of_another_state_says_what_it_is(tmp_path):
    training.save_state(tmp_path / "s", {"step": 1, "lr": 2, "b": 3, "c": 4}, kind="stage")
    with pytest.raises(
        training.CheckpointError, match=r"holds a stage of fastnn without weights: step, lr, b and 1 more"
    ):
        fastnn.load(tmp_path / "s")
    training.save_state(tmp_path / "s", {"model": {"a": np.zeros(1), "b": 2}})
    with pytest.raises(training.CheckpointError, match="not a mapping of names to arrays"):
        fastnn.load(tmp_path / "s")
    with pytest.raises(training.CheckpointError, match="not a stage of fastnn but a 'checkpoint'"):
        training.load_state(tmp_path / "s", kind="stage")
    fastnn.save({"a": np.zeros(1)}, tmp_path / "w")
    with pytest.raises(training.CheckpointError, match="not a checkpoint of fastnn but weights"):
        training.load_state(tmp_path / "w")


def test_state_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(training.checkpoint, "_FORMAT", "2")
    training.save_state(tmp_path / "s", {"model": {}})
    monkeypatch.undo()
    for read in (training.load_state, fastnn.load):
        with pytest.raises(training.CheckpointError, match="another format"):
            read(tmp_path / "s")


def test_load_of_other_weights_is_a_short_message(tmp_path):
    fastnn.save({f"layer {number:02}.weight": np.zeros(1) for number in range(60)}, tmp_path / "w")
    model = network()
    before = {key: array.copy() for key, array in model.state_dict().items()}
    with pytest.raises(ValueError, match="w: does not fit Sequential") as info:
        fastnn.load(tmp_path / "w", model)
    assert str(info.value).split("Sequential: ")[1] == (
        "missing keys: 0.weight, 0.bias, 1.weight and 6 more; "
        "unexpected keys: layer 00.weight, layer 01.weight, layer 02.weight and 57 more"
    )
    assert same(before, model.state_dict())
    result = fastnn.load(tmp_path / "w", model, strict=False)
    assert (len(result.missing_keys), len(result.unexpected_keys)) == (9, 60)


def test_load_takes_the_prefix_of_data_parallel_off(tmp_path):
    model = nn.Linear(3, 2)
    fastnn.save({f"module.{key}": array for key, array in model.state_dict().items()}, tmp_path / "w")
    other = nn.Linear(3, 2)
    fastnn.load(tmp_path / "w", other)
    assert same(model.state_dict(), other.state_dict())


# ---- preprocessing ---------------------------------------------------------------------------------------------------
def test_preprocessing_travels_with_the_weights(tmp_path):
    model, other = network(), network()
    model.preprocessing = PREPROCESSING
    fastnn.save(model, tmp_path / "w.safetensors")
    fastnn.load(tmp_path / "w.safetensors", other)
    assert other.preprocessing == training.read_preprocessing(tmp_path / "w.safetensors") == PREPROCESSING


def test_preprocessing_of_a_file_without_leaves_that_of_the_model(tmp_path):
    fastnn.save(network(), tmp_path / "w.safetensors")
    model = network()
    model.preprocessing = PREPROCESSING
    fastnn.load(tmp_path / "w.safetensors", model)
    assert model.preprocessing == PREPROCESSING
    assert training.read_preprocessing(tmp_path / "w.safetensors") is None


@pytest.mark.parametrize("value", [PREPROCESSING, None])
def test_preprocessing_of_a_checkpoint_is_restored(tmp_path, value):
    model = network()
    state = {"model": dict(model.state_dict()), "preprocessing": None if value is None else value.to_dict()}
    training.save_state(tmp_path / "c", state)
    fastnn.load(tmp_path / "c", model)
    assert model.preprocessing == training.read_preprocessing(tmp_path / "c") == value


@pytest.mark.parametrize("text", ["", "[", "1", "{}", '{"mean": []}', "[" * 99, '{"a": 1, "a": 2}', "huge", "zero std"])
def test_preprocessing_that_makes_no_sense_changes_nothing(tmp_path, text):
    values = PREPROCESSING.to_dict()
    if text == "huge":
        text = json.dumps({**values, "mean": [10**400]})
    if text == "zero std":
        text = json.dumps({**values, "std": [0.0]})
    model = nn.Linear(1, 1, bias=False)
    before = model.weight.data.copy()
    entry = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}
    (tmp_path / "w").write_bytes(raw({"__metadata__": {"fastnn_preprocessing": text}, "weight": entry}, bytes(4)))
    with pytest.raises(training.CheckpointError, match="w: its preprocessing"):
        fastnn.load(tmp_path / "w", model)
    np.testing.assert_array_equal(model.weight.data, before)
    assert model.preprocessing is None


def test_preprocessing_of_another_type_is_not_saved(tmp_path):
    model = network()
    model.preprocessing = {"mean": 0}
    with pytest.raises(TypeError, match=r"save_weights: model\.preprocessing must be a data\.Preprocessing.*dict"):
        fastnn.save(model, tmp_path / "w")


# ---- arguments -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["m.npz", "m.h5", "m.pkl", "m.ckpt", "m.v2", "m.safetensors.gz"])
def test_save_by_another_suffix_is_an_error_that_says_what_to_do(tmp_path, name):
    with pytest.raises(
        ValueError,
        match=r"save_weights: path must end in \.safetensors, \.pth or \.pt.*Received: .*Write '.*safetensors'",
    ):
        fastnn.save(network(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m", "m.safetensors", "M.SAFETENSORS"])
def test_save_by_these_names_writes(tmp_path, name):
    fastnn.save(network(), str(tmp_path / name))
    assert fastnn.load(tmp_path / name, network()) == ([], [])


@pytest.mark.parametrize(("call", "words"), [
    (lambda p: fastnn.save("same", p), r"save_weights: model must be a Module or its state_dict. Received: 'same'"),
    (lambda p: fastnn.save(3, p), r"save_weights: model must be .* Received: 3"),
    (lambda p: fastnn.save(network(), ""), r"save_weights: path must be the name of a file. Received: ''"),
    (lambda p: fastnn.save(network(), None), r"save_weights: path must be the name of a file. Received: None"),
    (lambda p: fastnn.save(p, network()), r"save_weights: the arguments are in the wrong order"),
    (lambda p: fastnn.save(str(p), {"a": np.zeros(1)}), r"save_weights: the arguments are in the wrong order"),
    (lambda p: fastnn.save({"a": "text"}, p), r"save_weights: model\['a'\] must be an array of numbers. .*'text'"),
    (lambda p: fastnn.save({1: np.zeros(1)}, p), r"save_weights: the keys of model must be names .* Received: 1"),
    (lambda p: fastnn.save({}, p, "note"), r"save_weights: metadata must be texts by name. Received: 'note'"),
    (lambda p: fastnn.save({}, p, {"a": 1}), r"save_weights: metadata must be texts by name. Received: 'a': 1"),
    (lambda p: fastnn.save({}, p, {"fastnn": "1"}), r"save_weights: names in metadata must not begin with 'fastnn'"),
    (lambda p: fastnn.load(network(), p), r"load_weights: path must be the name of a file, and comes first"),
    (lambda p: fastnn.load(3), r"load_weights: path must be the name of a file. Received: 3"),
    (lambda p: fastnn.load(""), r"load_weights: path must be the name of a file. Received: ''"),
    (lambda p: fastnn.load(p, "model"), r"load_weights: model must be a Module or None. Received: 'model'"),
    (lambda p: training.read_preprocessing(None), r"read_preprocessing: path must be the name of a file"),
    (lambda p: training.load_state(b"x"), r"load_state: path must be the name of a file"),
])  # fmt: skip
def test_arguments_that_make_no_sense_are_one_sentence(tmp_path, call, words):
    with pytest.raises((TypeError, ValueError), match=words) as info:
        call(tmp_path / "a")
    assert len(str(info.value)) < 200
    assert list(tmp_path.iterdir()) == []


# ---- files of others -------------------------------------------------------------------------------------------------
def zipped(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"content" * 9)
    return buffer.getvalue()


@pytest.mark.parametrize(("content", "words"), [
    (zipped("archive/data.pkl"), r"w: truncated within its pickle"),
    (pickle.dumps({"a": 1}, 2), r"a pickle that torch\.save has not written"),
    (pickle.dumps({"a": 1}, 4), r"a pickle that torch\.save has not written"),
    (zipped("a.npy"), r"a zip archive, such as NumPy's \.npz"),
    (b"\x89HDF\r\n\x1a\n" + bytes(99), r"an HDF5 file"),
    (b"\x93NUMPY\x01\x00v\x00{", r"an array of NumPy"),
    (b"\x1f\x8b\x08\x00" + bytes(99), r"compressed by gzip"),
    (b"short", r"not a whole safetensors file: it has only 5 bytes"),
    (b"", r"not a whole safetensors file: it has only 0 bytes"),
    (b"a text of some length, but nothing else", r"not a whole safetensors file: 39 bytes, its header alone"),
    (struct.pack("<Q", 3) + b"abc", r"not a safetensors file: no header of 3 bytes"),
])  # fmt: skip
def test_load_says_what_a_foreign_file_is(tmp_path, content, words):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(training.CheckpointError, match=words) as info:
        fastnn.load(tmp_path / "w", network())
    assert info.value.path == str(tmp_path / "w")
    assert "header too large" not in str(info.value)


@pytest.mark.parametrize("content", [zipped("archive/data.pkl"), pickle.dumps({"a": 1}, 2)])
def test_load_state_of_a_file_of_pytorch_says_what_it_is(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(training.CheckpointError, match=r"w\.pth: a file of PyTorch.*fastnn\.load reads the weights"):
        training.load_state(tmp_path / "w.pth")


def test_load_of_a_folder_says_so(tmp_path):
    with pytest.raises(training.CheckpointError, match="not a file but a folder"):
        fastnn.load(tmp_path)
