"""The memory cache: what a caller can still reach is never used again, what nobody reaches is, and it stays bounded."""

import copy
import ctypes
import gc
import os
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from oracle import wait_for_child

import fastnn
from fastnn import _memory, _native, nn, optim, training
from fastnn import functional as F
from fastnn.benchmark import memory

LARGE = (64, 1024)  # 256 KB of float32: from the cache, not from the C allocator


@pytest.fixture(autouse=True)
def _empty_cache():
    gc.collect()
    fastnn.empty_cache()
    yield
    gc.collect()
    fastnn.empty_cache()


def address(array):
    return array.__array_interface__["data"][0]


def blocks_overlap(a, b):
    return address(a) < address(b) + b.nbytes and address(b) < address(a) + a.nbytes


VIEWS = {
    "itself": lambda a: a,
    "slice": lambda a: a[3:5],
    "strided": lambda a: a[::7, 1::3],
    "reversed": lambda a: a[::-1],
    "one element": lambda a: a[10:11, 20],
    "reshape": lambda a: a.reshape(-1),
    "transpose": lambda a: a.T,
    "asarray of a view": lambda a: np.asarray(a[1:].T),
    "view of another dtype": lambda a: a.view(np.uint32),
    "broadcast": lambda a: np.broadcast_to(a[0], (5, *a[0].shape)),
    "sliding window": lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, axis=1),
    "expanded": lambda a: a[None, ..., None],
    "memoryview": lambda a: memoryview(a),
    "array of a memoryview": lambda a: np.asarray(memoryview(a)),
    "ctypes": lambda a: np.ctypeslib.as_ctypes(a.reshape(-1)),
    "real part": lambda a: a.real,
    "flat iterator": lambda a: a.flat,
    "subclass": lambda a: a.view(np.recarray),
    "from dlpack": lambda a: np.from_dlpack(a),
    "view of a view of a view": lambda a: a[1:][1:].reshape(2, -1)[:, 3:],
}


@pytest.mark.parametrize("kind", VIEWS)
def test_memory_a_view_keeps_its_block(kind):
    array = _memory.empty(LARGE, np.float32)
    array[...] = 7
    view = VIEWS[kind](array)
    span = (address(array), array.nbytes)
    del array
    gc.collect()
    others = [_memory.empty(LARGE, np.float32) for _ in range(8)]
    for other in others:
        other[...] = -1
        assert address(other) >= sum(span) or address(other) + other.nbytes <= span[0]
    values = np.array(list(view)) if kind == "flat iterator" else np.array(view)
    assert (values.view(np.float32) == 7).all() if values.dtype == np.uint32 else (values == 7).all()


@pytest.mark.parametrize("kind", VIEWS)
def test_memory_a_block_returns_when_the_last_view_dies(kind):
    array = _memory.empty(LARGE, np.float32)
    where = address(array)
    view = VIEWS[kind](array)
    del array
    del view
    gc.collect()
    assert address(_memory.empty(LARGE, np.float32)) == where
    assert fastnn.memory_info()["used"] == 0


def test_memory_results_of_operations_are_never_overwritten(rng):
    """The same through the public functions: thirty results that are kept, thirty that are dropped in between."""
    kept = []
    for i in range(30):
        x = rng.standard_normal((4, 8, 32, 32)).astype(np.float32)
        y = F.relu(x)
        kept.append((y[i % 4, ::2].T, np.maximum(x, 0)[i % 4, ::2].T))
        F.relu(-x)
    for view, expected in kept:
        np.testing.assert_array_equal(view, expected)


def test_memory_two_living_arrays_never_share(rng):
    living = []
    for _ in range(400):
        if living and rng.random() < 0.5:
            del living[rng.integers(len(living))]
        size = int(rng.integers(20_000, 200_000))
        new = _memory.empty((size,), np.float32)
        assert not any(blocks_overlap(new, other) for other in living)
        living.append(new)


def test_memory_similar_sizes_share_blocks():
    first = _memory.empty((100_000,), np.float32)
    where = address(first)
    del first
    assert address(_memory.empty((99_000,), np.float32)) == where


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5, 7), (16384,), (16385,), LARGE, (3, 5, 7, 1001)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
def test_memory_arrays_are_aligned_writable_and_contiguous(shape, dtype):
    array = _memory.empty(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    assert array.nbytes <= _memory._TINY or address(array) % 64 == 0
    array[...] = 1
    assert (array == 1).all()


def test_memory_cache_is_reused_by_arrays_of_other_sizes():
    """Sizes that grow: all take the same piece, which is joined again each time."""
    for n in range(20_000, 2_000_000, 13_337):
        _memory.empty((n,), np.float32)
        info = fastnn.memory_info()
        assert info["used"] == 0
        assert info["cached"] <= info["most_used"]
    assert fastnn.memory_info()["most_used"] <= 2_000_000 * 4 + _native.PAGE_SIZE


def test_memory_of_random_sizes_stays_near_what_is_used(rng):
    living = []
    for _ in range(3000):
        if len(living) > 20:
            del living[int(rng.integers(len(living)))]
        living.append(_memory.empty((int(rng.integers(20_000, 2_000_000)),), np.float32))
    info = fastnn.memory_info()
    # Best fit with pieces that are joined leaves less than half as much idle as is used, in practice.
    assert info["used"] + info["cached"] <= 1.5 * info["most_used"]


def test_memory_is_flat_over_many_steps():
    x = np.ones((8, 8, 32, 32), np.float32)
    F.relu(F.relu(x))
    before = fastnn.memory_info()["most_used"]
    for _ in range(50):
        F.relu(F.relu(x))
    assert fastnn.memory_info()["most_used"] == before


def _small_network(channels, size):
    def conv():
        return nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Residual(nn.Sequential(conv(), nn.BatchNorm2d(channels), nn.ReLU(), conv(), nn.BatchNorm2d(channels))),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * (size // 2) ** 2, 10),
    )


def _resident_without_holes():
    """Bytes in memory, without the cache and what else is free but kept by the C allocator, which is glibc's choice."""
    gc.collect()
    fastnn.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return memory.resident()


@pytest.mark.slow
def test_memory_is_flat_over_two_thousand_steps_of_random_batch_sizes(rng):
    channels, size, largest, steps, warmup = 8, 8, 256, 2000, 500
    fastnn.set_num_threads(1)  # so small steps gain nothing from more, and on a busy machine wait for them
    fastnn.manual_seed(0)
    model = _small_network(channels, size)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = rng.standard_normal((largest, 3, size, size)).astype(np.float32)
    labels = rng.integers(0, 10, largest)

    def step(n):
        criterion(model(images[:n]), labels[:n])
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()

    def resident():
        step(1)  # in the place of the activations of the last batch
        return _resident_without_holes()

    # No batch, and no two in a row, need more than the largest.
    for _ in range(2):
        step(largest)
        step(largest)
        training.evaluate(model, [(images, labels)])
    most = fastnn.memory_info()["most_used"]
    before = 0
    for number, n in enumerate(rng.integers(1, largest + 1, steps), start=1):
        step(int(n))
        if number % 100 == 0:
            training.evaluate(model, [(images, labels)])
        info = fastnn.memory_info()
        assert info["most_used"] <= most, number
        assert info["used"] + info["cached"] <= 1.5 * most, number
        if number == warmup:  # most batch sizes have occurred, and what is kept for each is there
            before = resident()
    # Less than if each step had left behind half of what a single image is after the first convolution.
    lost = channels * size**2 * np.dtype(np.float32).itemsize // 2
    assert resident() <= before + (steps - warmup) * lost


def test_memory_empty_cache_frees_and_keeps_what_is_used():
    kept, dropped = _memory.empty(LARGE, np.float32), _memory.empty(LARGE, np.float32)
    kept[...] = 3
    del dropped
    assert fastnn.memory_info()["cached"] > 0
    fastnn.empty_cache()
    info = fastnn.memory_info()
    assert info["cached"] == 0
    assert info["used"] == info["most_used"] > 0
    assert (kept == 3).all()


def test_memory_empty_cache_frees_what_lies_between_living_arrays():
    first, between, last = (_memory.empty((1 << 22,), np.float32) for _ in range(3))
    for array in (first, between, last):
        array[...] = 1
    resident = memory.resident()
    n_bytes = between.nbytes
    del array, between
    fastnn.empty_cache()
    assert fastnn.memory_info()["cached"] == 0
    assert memory.resident() <= resident - 0.9 * n_bytes
    again = _memory.empty((1 << 22,), np.float32)
    assert address(first) < address(again) < address(last)
    assert (first == 1).all()
    assert (last == 1).all()


def test_memory_failed_allocation_leaves_the_books_right():
    _memory.empty(LARGE, np.float32)
    before = fastnn.memory_info()
    with pytest.raises(MemoryError):
        _memory.empty((2**60,), np.uint8)
    after = fastnn.memory_info()
    assert after["used"] == before["used"] == 0
    assert after["most_used"] == before["most_used"]


def test_memory_copies_are_independent():
    array = _memory.empty(LARGE, np.float32)
    array[...] = 5
    copies = [array.copy(), copy.deepcopy(array), pickle.loads(pickle.dumps(array))]
    array[...] = 0
    assert all((c == 5).all() for c in copies)


def test_memory_array_in_a_reference_cycle_returns():
    class Node:
        pass

    node = Node()
    node.self, node.array = node, _memory.empty(LARGE, np.float32)
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None
    assert fastnn.memory_info()["used"] == 0


def test_memory_garbage_collector_may_run_at_any_allocation():
    """Arrays die in there, while others are made."""
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for n in range(200):
            cycle = [_memory.empty((20_000 + n,), np.float32)]
            cycle.append(cycle)
            del cycle
            _memory.empty((20_000,), np.float32)[...] = 1
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert fastnn.memory_info()["used"] == 0


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ((-1,), ValueError),
        ((-(2**40),), ValueError),
        ((-(2**70),), ValueError),
        ((-3, 2), ValueError),
        ((-3, -2), ValueError),
        ((-300, -20_000), ValueError),
        ((0, -1), ValueError),
        ((2**48,), MemoryError),
        ((2**60,), MemoryError),
        ((2**61, 4), MemoryError),
        ((2**62,), MemoryError),
        ((2**63,), MemoryError),
        ((2**70,), MemoryError),
        ((2**31, 2**31, 2**31), MemoryError),
        ((0, 2**70), ValueError),
    ],
)
def test_memory_absurd_sizes_are_errors(shape, error):
    with pytest.raises(error):
        _memory.empty(shape, np.float32)
    assert fastnn.memory_info()["used"] == 0


def test_memory_many_threads_at_once():
    wrong = []

    def work(number):
        generator = np.random.default_rng(number)
        kept = []
        for i in range(300):
            array = _memory.empty((int(generator.integers(17_000, 90_000)),), np.float32)
            array[...] = number * 1000 + i
            kept.append((array[::97], number * 1000 + i))
            if len(kept) > 6:
                view, value = kept.pop(int(generator.integers(len(kept))))
                if not (view == value).all():
                    wrong.append((number, i))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    gc.collect()
    assert fastnn.memory_info()["used"] == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_memory_fork_while_other_threads_allocate():
    stop = threading.Event()

    def allocate():
        kept = []
        while not stop.is_set():
            kept = [_memory.empty((n,), np.uint8) for n in range(70_000, 200_000, 10_000)]
        del kept

    threads = [threading.Thread(target=allocate) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                arrays = [_memory.empty(LARGE, np.float32) for _ in range(20)]
                for n, array in enumerate(arrays):
                    array[...] = n
                right = all((array == n).all() for n, array in enumerate(arrays))
                fastnn.empty_cache()
                os._exit(0 if right and fastnn.memory_info()["cached"] == 0 else 1)
            wait_for_child(child)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("n_bytes", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20, 5 << 20])
def test_memory_workspace_is_large_enough_and_aligned(n_bytes):
    scratch = _memory.workspace(n_bytes)
    assert scratch.nbytes >= max(n_bytes, 1)
    assert address(scratch) % 64 == 0
    scratch[...] = 1


def test_memory_workspace_is_of_its_thread():
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(_memory.workspace, 1000).result()
        again = pool.submit(_memory.workspace, 2000).result()
    assert address(other) == address(again)
    assert address(_memory.workspace(1000)) == address(_memory.workspace(2000)) != address(other)


def test_memory_workspace_too_large_to_keep_returns():
    scratch = _memory.workspace(5 << 20)
    assert fastnn.memory_info()["used"] == 5 << 20
    del scratch
    assert fastnn.memory_info()["used"] == 0
