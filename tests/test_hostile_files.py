"""Weights, checkpoints and JSON made by hand to do harm."""

import json
import struct
import time

import numpy as np
import pytest
from hostile import CHECKPOINT, MEGABYTE, SECONDS, made, refused

import fastnn
from fastnn import nn, training
from fastnn._json import parse_json

# ---- JSON ------------------------------------------------------------------------------------------------------------
TEXTS = {
    "nested a million deep": (lambda: "[" * 1_000_000, "lists and objects"),
    "nested 100 deep": ("[" * 100 + "]" * 100, "nested more than 64 deep"),
    "nested in texts only": ('"' + "[" * 100, "Unterminated"),
    "empty objects": (lambda: "[" + "{}," * 900_000 + "{}]", "lists and objects"),
    "closing brackets": (lambda: "]" * 3_000_000, "lists and objects"),
    "numbers": (lambda: "[" + "1.5," * 4_000_000 + "1]", "values"),
    "texts": (lambda: "[" + '"",' * 4_000_000 + '""]', "values"),
    "a long text": (lambda: '"' + "a" * (17 << 20) + '"', "characters"),
    "backslashes": (lambda: '"' + "\\" * ((1 << 24) - 1), "Unterminated"),
    "backslashes and quotes": (lambda: '"' + '\\"' * 4_000_000, "values"),
    "a number of 100,000 digits": ("9" * 100_000, "limit|digits"),
    "a key twice": ('{"a": 1, "b": {"c": 1, "c": 2}}', "a key twice"),
    "nothing": ("", "Expecting value"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_json_is_refused(name):
    text, words = made(TEXTS, name)
    start = time.process_time()
    with pytest.raises(ValueError, match=words):
        parse_json(text)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("text", ['{"a": "[[[\\"{{", "b": ["}", "\\\\"]}', "[[[]]]", '""', "NaN", '{"\\ud800": 1}',
                                  "[" * 64 + "]" * 64])  # fmt: skip
def test_harmless_json_is_read(text):
    assert repr(parse_json(text)) == repr(json.loads(text))


# ---- safetensors -----------------------------------------------------------------------------------------------------
def raw(header, content=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def entry(shape=(1,), offsets=(0, 4), dtype="F32", **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


TENSORS = {
    "a header of 2**64": (raw({}, length=2**64 - 1), "its header alone"),
    "a header of 2**63": (raw({}, b"a" * 99, length=2**63), "its header alone"),
    "a header of 20 MB": (lambda: raw(b"{" + b" " * (20 << 20) + b"}"), "no header"),
    "no JSON": (raw(b"{abc}"), "its header is"),
    "no UTF-8": (raw(b'{"\xff": 1}'), "its header is"),
    "a list": (raw([]), "no header"),
    "a header nested deep": (raw(b'{"a":' * 100_000), "deep"),
    "a tensor twice": (raw(b'{"a": %b, "a": %b}' % ((json.dumps(entry()).encode(),) * 2), bytes(4)), "twice"),
    "shape of a gigabyte": (raw({"a": entry((1 << 28,), (0, 1 << 30))}, bytes(4)), "4 bytes of tensors"),
    "another shape": (raw({"a": entry((2,))}, bytes(4)), "its shape does not fit"),
    "a product that overflows": (raw({"a": entry((2**32, 2**32), (0, 0))}), "nonsense"),
    "huge sides without elements": (raw({"a": entry((0, 2**60, 2**60), (0, 0))}), "nonsense"),
    "a side of 10**400": (raw({"a": entry((10**400, 0), (0, 0))}), "nonsense"),
    "1,000 dimensions": (raw({"a": entry((1,) * 1000)}, bytes(4)), "nonsense"),
    "negative sides": (raw({"a": entry((-1, -1))}, bytes(4)), "nonsense"),
    "fractions": (raw({"a": entry((1.0,))}, bytes(4)), "nonsense"),
    "true": (raw({"a": entry((True,))}, bytes(4)), "nonsense"),
    "no list": (raw({"a": entry("1")}, bytes(4)), "nonsense"),
    "three offsets": (raw({"a": entry(offsets=(0, 4, 8))}, bytes(4)), "nonsense"),
    "offsets backwards": (raw({"a": entry(offsets=(4, 0))}, bytes(4)), "nonsense"),
    "one key more": (raw({"a": entry(more=1)}, bytes(4)), "nonsense"),
    "one key less": (raw({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)), "nonsense"),
    "a number": (raw({"a": 1}, bytes(4)), "nonsense"),
    "overlap": (raw({"a": entry(), "b": entry(offsets=(2, 6))}, bytes(6)), "overlap"),
    "the same bytes twice": (raw({"a": entry(), "b": entry()}, bytes(4)), "overlap"),
    "a gap": (raw({"a": entry(), "b": entry(offsets=(8, 12))}, bytes(12)), "gap"),
    "more bytes": (raw({"a": entry()}, bytes(5)), "5 bytes of tensors, 4 are expected"),
    "a type of a list": (raw({"a": entry(dtype=["F32"])}, bytes(4)), "type"),
    "metadata of numbers": (raw({"__metadata__": {"a": 1}, "a": entry()}, bytes(4)), "metadata"),
    "metadata of a text": (raw({"__metadata__": "a", "a": entry()}, bytes(4)), "metadata"),
    "a checksum of letters": (raw({"__metadata__": {"fastnn_crc32": "zzzzzzzz"}, "a": entry()}, bytes(4)), "checksum"),
    "a wrong checksum": (raw({"__metadata__": {"fastnn_crc32": "00000000"}, "a": entry()}, bytes(4)), "checksum"),
    "200,000 tensors": (lambda: raw(b"{" + b",".join(b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % k
                                             for k in range(200_000)) + b"}"), "JSON"),
    "a long name": (lambda: raw({"n" * 10_000_000: 1}), "nonsense"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_hostile_safetensors_file_is_refused(tmp_path, name):
    content, words = made(TENSORS, name)
    (tmp_path / "w.safetensors").write_bytes(content)
    model = nn.Linear(1, 1)
    before = model.weight.data.copy()
    refused(lambda path: fastnn.load(path, model), tmp_path / "w.safetensors", CHECKPOINT, words)
    np.testing.assert_array_equal(model.weight.data, before)


def state_file(state, **metadata):
    texts = {"fastnn_kind": "checkpoint", "fastnn_format": "1", "fastnn": state, **metadata}
    return raw({"__metadata__": texts, "t": entry()}, bytes(4))


T = '{"$": "tensor", "name": "t"}'
STATES = {
    "nothing": ("", "Expecting value"),
    "no JSON": ("{", "Expecting"),
    "a list": (f"[{T}]", "not a mapping"),
    "a number": ("1", "not a mapping"),
    "nested deep": ('{"a": ' + "[" * 100_000, "deep"),
    "a tensor that is missing": (f'{{"a": {T}, "b": {{"$": "tensor", "name": "u"}}}}', "'u' is missing"),
    "a tensor twice": (f'{{"a": {T}, "b": {T}}}', "used twice"),
    "a tensor that nobody uses": ("{}", "nothing refers to t"),
    "a name that is no text": ('{"a": {"$": "tensor", "name": ["t"]}}', "form"),
    "a tensor without a name": ('{"a": {"$": "tensor"}}', "form"),
    "a tensor with more": ('{"a": {"$": "tensor", "name": "t", "x": 1}}', "form"),
    "another form": ('{"a": {"$": "object", "items": []}}', "form"),
    "a form that is no text": ('{"a": {"$": ["tuple"], "items": []}}', "form"),
    "a form without items": ('{"a": {"$": "tuple"}}', "form"),
    "items that are no list": ('{"a": {"$": "tuple", "items": {"a": 1}}}', "form"),
    "a map of numbers": ('{"a": {"$": "map", "items": [1, 2]}}', "keys"),
    "a map of triples": ('{"a": {"$": "map", "items": [[1, 2, 3]]}}', "keys"),
    "a list as key": ('{"a": {"$": "map", "items": [[[1], 2]]}}', "keys"),
    "true as key": ('{"a": {"$": "map", "items": [[true, 2]]}}', "keys"),
    "a huge number as key": (f'{{"a": {{"$": "map", "items": [[{2**61 - 1}, 2]]}}}}', "keys"),
    "keys of equal hashes": (lambda: '{"a": {"$": "map", "items": ['
                             + ",".join(f"[{k * (2**61 - 1)}, 2]" for k in range(1, 50_000)) + "]}}", "keys"),
    "a key twice": ('{"a": {"$": "map", "items": [[1, 2], [1, 3]]}}', "twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_hostile_checkpoint_is_refused(tmp_path, name):
    text, words = made(STATES, name)
    (tmp_path / "c").write_bytes(state_file(text))
    for read in (training.load_state, fastnn.load):
        refused(read, tmp_path / "c", CHECKPOINT, words)


def test_checkpoint_without_its_state_is_refused(tmp_path):
    header = {"__metadata__": {"fastnn_kind": "checkpoint", "fastnn_format": "1"}, "t": entry()}
    (tmp_path / "c").write_bytes(raw(header, bytes(4)))
    refused(training.load_state, tmp_path / "c", MEGABYTE, "damaged")


def test_load_short_of_memory_is_an_ordinary_error_with_the_name(tmp_path, monkeypatch):
    fastnn.save({"a": np.zeros(9)}, tmp_path / "w")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("fastnn.training._safetensors.np.empty", fail)
    with pytest.raises(MemoryError, match="w: there is not enough memory"):
        fastnn.load(tmp_path / "w")


@pytest.mark.parametrize("state", [{"a": {True: 1}}, {"a": {1.5: 1}}, {"a": {2**61 - 1: 1}}, {"a": {(1,): 1}},
                                   {"a": {None: 1}}])  # fmt: skip
def test_state_with_keys_that_cannot_be_read_again_is_not_written(tmp_path, state):
    with pytest.raises(TypeError, match=r"a checkpoint cannot hold the key .* in a"):
        training.save_state(tmp_path / "c", state)
    assert list(tmp_path.iterdir()) == []


def test_state_that_is_too_deep_or_too_large_is_not_written(tmp_path, monkeypatch):
    circle = []
    circle.append(circle)
    with pytest.raises(ValueError, match="nested more than"):
        training.save_state(tmp_path / "c", {"a": circle})
    with monkeypatch.context() as context:
        context.setattr("fastnn._json._MOST_CONTAINERS", 100)
        with pytest.raises(ValueError, match="JSON of more than"):
            training.save_state(tmp_path / "c", {"a": [[] for _ in range(201)]})
    assert list(tmp_path.iterdir()) == []
    deepest = 0
    for depth in range(1, 100):
        value = 1
        for _ in range(depth):
            value = ({0: value},)
        try:
            training.save_state(tmp_path / "c", {"a": value})
        except ValueError:
            break
        assert training.load_state(tmp_path / "c") == {"a": value}
        deepest = depth
    assert deepest >= 8


def test_file_error_cuts_a_long_message():
    error = fastnn.FileError("x" * 10_000_000, "a")
    assert len(str(error)) < 8100
    assert str(error).startswith("a: xxx")
