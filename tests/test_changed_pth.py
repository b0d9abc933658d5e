"""Small files of PyTorch, cut and changed everywhere: they are read, or there is one kind of error."""

import argparse
import collections
import os
import random
import struct

import numpy as np
import pytest
from pth_files import FORMATS, HOOKS, PARAMETER, floats, old_format, pickled, storage, tensor
from pth_splices import instructions_of, spliced
from pth_watch import watched

import fastnn
from fastnn import nn
from fastnn.training._pth import read_pth

SPLICES = int(os.environ.get("FASTNN_FUZZ", "300"))


@pytest.fixture(params=FORMATS)
def write(request):
    """Makes the content of a file in each of the two formats."""
    return FORMATS[request.param]


def small(write):
    value, storages = floats("0", 1.5, 2.5, -1.0, 3.0, shape=(2, 2))
    other = tensor(storage("1", "LongStorage", 1), ())
    state = {"w": value, "n": other, "p": PARAMETER(value, True, HOOKS), "a": [1, 2.5, "x", (None, {3})]}
    storages["1"] = struct.pack("<q", 7)
    return write(state, storages, **({"itemsizes": {"0": 4, "1": 8}} if write is old_format else {}))


def read_or_refuse(path, content):
    """Whether it is read; the one error that there may be has the file's name."""
    path.write_bytes(content)
    try:
        watched(path)
    except fastnn.FileError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017
        return False
    return True


def test_truncated_file_is_refused(tmp_path, write):
    content = small(write)
    path = tmp_path / "w.pth"
    assert read_or_refuse(path, content)
    for length in range(len(content)):
        assert not read_or_refuse(path, content[:length]), length
        with pytest.raises(fastnn.FileError, match=r"w\.pth: "):
            fastnn.load(path)


def test_file_with_a_byte_missing_or_more_is_read_or_refused(tmp_path, write):
    content = small(write)
    path = tmp_path / "w.pth"
    read = 0
    for place in range(len(content)):
        read += read_or_refuse(path, content[:place] + content[place + 1 :])
        read += read_or_refuse(path, content[:place] + b"\0" + content[place:])
    assert read < len(content) / 5


def test_file_with_a_changed_byte_is_read_or_refused(tmp_path, write):
    content = small(write)
    path = tmp_path / "w.pth"
    rng = random.Random(0)
    read = 0
    for place, byte in enumerate(content):
        for changed in (byte ^ 1 << rng.randrange(8), rng.choice(b"().0RQbctuahq\x81\x85\x93\xff")):
            read += read_or_refuse(path, content[:place] + bytes([changed]) + content[place + 1 :])
    assert read < 2 * len(content) * 0.6


@pytest.mark.parametrize("protocol", [2, 5])
def test_pickle_of_other_instructions_is_read_or_refused(tmp_path, write, protocol):
    value, storages = floats("0", 1.5, 2.5, -1.0, 3.0, shape=(2, 2))
    state = {"w": value, "p": PARAMETER(value, True, HOOKS), "a": [1, 2.5, "x", (None, {3}), b"b", bytearray(b"y")],
             "o": collections.OrderedDict(a=1), "n": np.arange(3), "x": argparse.Namespace(a=1),
             "f": np.float32(1)}  # fmt: skip
    instructions, rng = instructions_of(pickled(state, protocol)), random.Random(protocol)
    read = 0
    for _ in range(SPLICES):
        read += read_or_refuse(tmp_path / "w.pth", write(spliced(rng, instructions), storages))
    assert SPLICES * 0.01 < read < SPLICES * 0.5


def test_refused_file_changes_no_weights(tmp_path, write):
    model = nn.Linear(2, 2)
    before = {key: array.copy() for key, array in model.state_dict().items()}
    value, storages = floats("0", *range(4), shape=(2, 2))
    state = {"weight": value, "bias": tensor(storage("0", "FloatStorage", 4), (5,))}
    (tmp_path / "w.pth").write_bytes(write(state, storages))
    with pytest.raises(fastnn.FileError, match="its tensor 'bias' reaches outside"):
        fastnn.load(tmp_path / "w.pth", model)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_file_that_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(fastnn.FileError, match="not a file but"):
        read_pth(tmp_path / "w.pth")
