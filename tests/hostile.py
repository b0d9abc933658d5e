"""How files that mean harm are tried: an error with the file's name, in time, and without taking all memory."""

import time
from pathlib import Path

import pytest

import fastnn

SECONDS = 5
MEGABYTE = 1 << 20
# What honest files need: five batches of CIFAR-10 and one file of them; MNIST; a course's arrays; a picture.
CIFAR10, MNIST, ARRAYS, PICTURE = 400 * MEGABYTE, 190 * MEGABYTE, 40 * MEGABYTE, MEGABYTE
# A network of ten million weights with its optimiser.
CHECKPOINT = 160 * MEGABYTE


def refused(read, path, memory, words=None):
    """The error of `read(path)`, which comes in time and needs no more than `memory`."""
    # The kernel's highest mark begins anew; what Python itself can count would make everything ten times slower.
    Path("/proc/self/clear_refs").write_text("5")
    before, start = memory_mark(), time.process_time()
    with pytest.raises(fastnn.FileError, match=words) as info:
        read(path)
    seconds, taken = time.process_time() - start, memory_mark() - before
    assert str(info.value).startswith(str(path))
    assert len(str(info.value)) < 1200 + len(str(path))
    assert seconds < SECONDS
    assert taken < memory, f"{taken >> 20} MB"


def memory_mark():
    """The most bytes that this process had in memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def made(table, name):
    """Content and words of a row; what is large is made only now."""
    content, words = table[name]
    return content() if callable(content) else content, words
