"""Loader: every image once, the same batches from the same seed, and no thread left behind."""

import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import Future

import numpy as np
import pytest
from oracle import layouts

import fastnn
from fastnn import _runtime, data

AUGMENT = [data.RandomCrop(2), data.RandomHorizontalFlip(), data.Brightness(0.2)]


def numbered(n, c=1, h=4, w=4):
    """Images that all of whose pixels are their label."""
    labels = np.arange(n)
    return np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (n, c, h, w)).copy(), labels


def collect(loader):
    return [(x.tobytes(), y.tobytes()) for x, y in loader]


@pytest.fixture(params=[True, False], ids=["prefetch", "direct"])
def prefetch(request):
    return request.param


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("n", "batch_size"), [(10, 3), (9, 3), (2, 5), (0, 4), (1, 1)])
def test_loader_hands_out_every_image_once(n, batch_size, shuffle, drop_last, prefetch):
    loader = data.Loader(*numbered(n), batch_size, shuffle=shuffle, drop_last=drop_last, prefetch=prefetch)
    batches = list(loader)
    assert len(batches) == len(loader)
    labels = [label for _, y in batches for label in y]
    assert len(set(labels)) == len(labels) == (n - n % batch_size if drop_last else n)
    assert shuffle or labels == sorted(labels)
    for x, y in batches:
        np.testing.assert_array_equal(x, np.broadcast_to((y / 255).astype(np.float32)[:, None, None, None], x.shape))
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert x.transpose(2, 3, 0, 1).flags.c_contiguous


def test_loader_normalises_bytes_exactly(rng):
    images = rng.integers(0, 256, (20, 3, 5, 5), dtype=np.uint8)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5, 0.6])
    ((x, y),) = data.Loader(images, mean=mean, std=std)
    expected = (images / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_array_equal(x, expected.astype(np.float32))
    assert y is None
    ((wide, _),) = data.Loader(images, mean=mean, std=std, dtype=np.float64)
    np.testing.assert_array_equal(wide, expected)
    # With an augmentation outside the fused pass, (v - mean) / std is computed in float32: three roundings.
    ((separate, _),) = data.Loader(images, mean=mean, std=std, augment=data.Brightness((1, 1)))
    np.testing.assert_allclose(separate, expected, atol=4 * np.finfo(np.float32).eps / 0.4)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1)))))
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_loader_accepts_any_layout_and_changes_nothing(layout, dtype, rng):
    images = rng.integers(0, 200, (6, 3, 5, 5)).astype(dtype)
    given = layouts(images)[layout]
    before = given.copy()
    ((x, _),) = data.Loader(given, mean=0.5, std=2, augment=[data.Hue(0)] if dtype == np.uint8 else None)
    values = images / 255 if dtype == np.uint8 else images
    np.testing.assert_allclose(x, (values - 0.5) / 2, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_loader_accepts_features(dtype, rng):
    features = rng.integers(0, 9, (7, 5)).astype(dtype)
    batches = list(data.Loader(features, np.arange(7), 4, mean=np.arange(5), std=2))
    values = features / 255 if dtype == np.uint8 else features
    np.testing.assert_allclose(np.concatenate([x for x, _ in batches]), (values - np.arange(5)) / 2, rtol=1e-6)
    assert batches[0][0].dtype == np.float32


def test_loader_order_depends_on_seed_and_epoch_only(prefetch):
    def epochs(seed):
        loader = data.Loader(*numbered(50), 8, shuffle=True, seed=seed, augment=AUGMENT, prefetch=prefetch)
        return [collect(loader) for _ in range(3)]

    first = epochs(1)
    assert first == epochs(1)
    assert first[0] != first[1] != first[2]
    assert first != epochs(2)


def test_loader_same_bits_with_and_without_prefetch_and_any_thread_count(threads):
    def batches(prefetch):
        images = np.random.default_rng(0).integers(0, 256, (300, 3, 32, 32), dtype=np.uint8)
        augment = [*AUGMENT, data.Rotate(10), data.CutMix()]
        loader = data.Loader(images, np.arange(300) % 10, 128, shuffle=True, augment=augment, prefetch=prefetch)
        return collect(loader)

    given = batches(True)
    assert given == batches(False)
    fastnn.set_num_threads(1)
    assert given == batches(False)


def test_loader_on_reference_backend_gives_the_same_batches(prefetch):
    loader = data.Loader(*numbered(30, 3), 8, augment=[data.RandomCrop(1), data.Cutout(2)], prefetch=prefetch)
    native = collect(loader)
    with fastnn.backend("reference"):
        loader.set_epoch(0)
        assert collect(loader) == native


def test_loader_computes_on_the_backend_of_its_consumer(prefetch):
    seen = []

    class Backend(data.Augmentation):
        def __call__(self, images, rng):
            seen.append(_runtime.uses_reference())
            return images

    loader = data.Loader(*numbered(8), 4, augment=Backend(), prefetch=prefetch)
    list(loader)
    with fastnn.backend("reference"):
        list(loader)
    assert seen == [False, False, True, True]


def test_loader_resumes_in_the_middle_of_an_epoch(prefetch):
    def make():
        return data.Loader(*numbered(50), 8, shuffle=True, augment=AUGMENT, prefetch=prefetch)

    whole = make()
    expected = [collect(whole), collect(whole), collect(whole)]
    interrupted = make()
    collect(interrupted)
    for number, _ in enumerate(interrupted):
        if number == 2:
            state = interrupted.state_dict()
            break
    assert state == {"seed": 0, "epoch": 1, "batch": 3} == interrupted.state_dict()
    resumed = make()
    resumed.load_state_dict(state)
    assert collect(resumed) == expected[1][3:]
    assert collect(resumed) == expected[2]
    resumed.set_epoch(1)
    assert collect(resumed) == expected[1]


def test_loader_abandoned_epoch_is_followed_by_the_next(prefetch):
    loader = data.Loader(*numbered(50), 8, shuffle=True, prefetch=prefetch)
    expected = [collect(loader), collect(loader)]
    loader.set_epoch(0)
    for _ in loader:
        break
    assert collect(loader) == expected[1]
    assert loader.epoch == 2


def test_loader_state_at_the_end_of_an_epoch_leaves_nothing_of_it():
    loader = data.Loader(*numbered(6), 3)
    states = [loader.state_dict() for _ in loader]
    other = data.Loader(*numbered(6), 3)
    other.load_state_dict(states[-1])
    assert list(other) == []
    assert other.state_dict() == {"seed": 0, "epoch": 1, "batch": 0} == loader.state_dict()


@pytest.mark.parametrize(
    "state", [{"seed": 1, "epoch": 0, "batch": 0}, {"epoch": 0}, {"seed": 0, "epoch": -1, "batch": 0}]
)
def test_loader_rejects_foreign_state(state):
    with pytest.raises(ValueError, match="Loader"):
        data.Loader(*numbered(4)).load_state_dict(state)


def test_loader_mixing_gives_probabilities():
    for loader in (data.Loader(data.Shapes32(20), augment=data.MixUp()),
                   data.Loader(*numbered(10), augment=[data.RandomCrop(1), data.CutMix()]),
                   data.Loader(numbered(10)[0], np.eye(10, dtype=np.float32), augment=data.MixUp())):  # fmt: skip
        ((x, y),) = loader
        assert y.shape == (len(x), 10)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


class _Broken(data.Augmentation):
    def __init__(self):
        self.calls = 0

    def __call__(self, images, rng):
        self.calls += 1
        if self.calls == 3:
            raise ZeroDivisionError("the third batch")
        return images


def test_loader_raises_errors_where_they_belong(prefetch):
    batches = iter(data.Loader(*numbered(50), 8, augment=_Broken(), prefetch=prefetch))
    next(batches)
    next(batches)
    with pytest.raises(ZeroDivisionError, match="the third batch"):
        next(batches)
    assert not data_threads()


def data_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastnn-data")]


def test_loader_thread_ends_with_the_iteration():
    loader = data.Loader(*numbered(50), 8)
    list(loader)
    assert not data_threads()
    for _ in loader:
        assert len(data_threads()) == 1
        break
    assert not data_threads()
    iterator = iter(loader)
    next(iterator)
    assert data_threads()
    iterator.close()
    assert not data_threads()


def test_loader_does_not_run_ahead_without_bound():
    class Counting(data.Augmentation):
        calls = 0

        def __call__(self, images, rng):
            Counting.calls += 1
            return images

    iterator = iter(data.Loader(*numbered(200), 4, augment=Counting()))
    next(iterator)
    time.sleep(0.1)
    assert Counting.calls <= 3
    iterator.close()


def run(script):
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", script], capture_output=True, text=True, timeout=60
    )


def test_loader_left_open_does_not_hold_up_the_end_of_the_interpreter():
    result = run(
        "import numpy as np; from fastnn import data\n"
        "iterator = iter(data.Loader(np.zeros((1000, 3, 32, 32), np.uint8), batch_size=10))\n"
        "next(iterator); print('end')"
    )
    assert (result.stdout, result.stderr, result.returncode) == ("end\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("started", ["before the fork", "in the child"])
def test_loader_works_in_a_forked_child(started):
    script = f"""
import os, signal, warnings
import numpy as np
from fastnn import data
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork with threads
images = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
loader = data.Loader(images, np.arange(40), 4)
expected = [y.tolist() for _, y in loader]
loader.set_epoch(0)
iterator = iter(loader)
seen = [next(iterator)[1].tolist()]
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    if {started!r} == "in the child":
        loader.set_epoch(0)
        iterator, seen = iter(loader), []
    seen += [y.tolist() for _, y in iterator]
    os._exit(0 if seen == expected else 1)
seen += [y.tolist() for _, y in iterator]
assert seen == expected
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    result = run(script)
    assert (result.stderr, result.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"batch_size": 0}, ValueError), ({"batch_size": 2.5}, TypeError), ({"seed": -1}, ValueError),
        ({"labels": [1, 2]}, ValueError), ({"labels": ["a"] * 4}, TypeError), ({"mean": [1, 2]}, ValueError),
        ({"std": 0}, ValueError), ({"std": -1}, ValueError), ({"dtype": np.int8}, TypeError),
        ({"augment": lambda images, rng: images}, TypeError), ({"augment": [data.MixUp()]}, ValueError),
        ({"augment": [data.MixUp(), data.Hue(0.1)], "labels": [0] * 4}, ValueError),
        ({"augment": data.MixUp(), "labels": [0, 1, 2, 3], "num_classes": 3}, ValueError),
        ({"augment": data.MixUp(), "labels": [0, 1, -2, 3]}, ValueError),
        ({"dataset": np.zeros((4, 3), np.uint8), "augment": data.RandomCrop(1)}, ValueError),
        ({"dataset": np.zeros(4, np.uint8)}, ValueError), ({"dataset": np.zeros((4, 3, 2, 2), np.int64)}, TypeError),
        ({"dataset": data.Shapes32(4), "labels": [0] * 4}, ValueError),
    ],
)  # fmt: skip
def test_loader_rejects_what_does_not_fit(change, error):
    arguments = {"dataset": np.zeros((4, 3, 6, 6), np.uint8)} | change
    with pytest.raises(error, match=r"Loader|Received"):
        data.Loader(**arguments)


# ---- iterations beside each other ------------------------------------------------------------------------------------
def orders(loader, epochs):
    """The labels of each epoch, by a loader of its own."""
    result = []
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        result.append([y.tolist() for _, y in loader])
    loader.set_epoch(0)
    return result


def shuffled(prefetch=True, **settings):
    return data.Loader(*numbered(50), 8, shuffle=True, prefetch=prefetch, **settings)


def test_loader_order_alone_depends_on_the_epoch_and_the_seed(prefetch):
    first, second, third = orders(shuffled(prefetch), 3)
    assert first != second != third != first
    assert orders(shuffled(prefetch, seed=1), 1) != [first]
    assert orders(shuffled(prefetch), 1) == [first]


def test_loader_augmentation_alone_depends_on_epoch_batch_and_seed():
    images = np.tile(np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8), (40, 1, 1, 1))

    def batches(epoch=0, **settings):
        loader = data.Loader(images, batch_size=20, augment=data.RandomCrop(3), **settings)
        loader.set_epoch(epoch)
        return [x.tobytes() for x, _ in loader]

    assert len({*batches(), *batches(epoch=1), *batches(seed=1)}) == 6
    assert batches() == batches()


def test_loader_draws_from_the_streams_of_published_runs():
    """Recipes are reproduced to the last digit: which stream gives what may not change."""
    images = np.arange(60, dtype=np.uint8).reshape(10, 1, 2, 3)
    loader = data.Loader(images, np.arange(10), 4, shuffle=True, augment=data.RandomHorizontalFlip(), seed=5)

    def stream(*key):
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(5, spawn_key=key)))

    for epoch in range(2):
        order = stream(0, epoch).permutation(10)
        for number, (x, y) in enumerate(loader):
            indices = order[4 * number : 4 * number + 4]
            flips = stream(1, epoch, number).random(len(indices)) < 0.5
            expected = np.where(flips[:, None, None, None], images[indices][..., ::-1], images[indices])
            np.testing.assert_array_equal(y, indices)
            np.testing.assert_array_equal(x, (expected / 255).astype(np.float32))


def test_loader_zip_with_itself_gives_two_orders(prefetch):
    loader = shuffled(prefetch)
    expected = orders(loader, 4)
    pairs = [(a.tolist(), b.tolist()) for (_, a), (_, b) in zip(loader, loader, strict=True)]
    assert [a for a, _ in pairs] == expected[0]
    assert [b for _, b in pairs] == expected[1]
    pairs = [(a.tolist(), b.tolist()) for (_, a), (_, b) in zip(loader, loader)]  # noqa: B905 - the second is left open
    assert [a for a, _ in pairs] == expected[2]
    assert [b for _, b in pairs] == expected[3]


def test_loader_loop_in_a_loop_gives_each_its_own_order(prefetch):
    loader = shuffled(prefetch)
    expected = orders(loader, 10)
    outer, inner = [], []
    for _, y in loader:
        outer.append(y.tolist())
        inner.append([y.tolist() for _, y in loader])
    assert outer == expected[0]
    assert inner == expected[1:8]  # seven batches: seven loops
    assert [y.tolist() for _, y in loader] == expected[8]


def test_loader_position_is_that_of_the_iteration_begun_last(prefetch):
    loader = shuffled(prefetch)
    first = iter(loader)
    assert loader.state_dict() == {"seed": 0, "epoch": 0, "batch": 0}
    next(first)
    second = iter(loader)
    assert (loader.epoch, loader.state_dict()["batch"]) == (1, 0)
    next(second)
    next(second)
    next(first)
    assert loader.state_dict() == {"seed": 0, "epoch": 1, "batch": 2}
    list(first)
    assert loader.state_dict() == {"seed": 0, "epoch": 1, "batch": 2}
    list(second)
    assert loader.state_dict() == {"seed": 0, "epoch": 2, "batch": 0}


def test_loader_set_epoch_does_not_disturb_an_iteration(prefetch):
    loader = shuffled(prefetch)
    expected = orders(loader, 6)
    batches = iter(loader)
    seen = [next(batches)[1].tolist()]
    loader.set_epoch(5)
    seen += [y.tolist() for _, y in batches]
    assert seen == expected[0]
    assert loader.state_dict() == {"seed": 0, "epoch": 5, "batch": 0}
    assert [y.tolist() for _, y in loader] == expected[5]


def test_loader_loaded_state_holds_for_one_iteration(prefetch):
    loader = shuffled(prefetch)
    expected = orders(loader, 2)
    loader.load_state_dict({"seed": 0, "epoch": 0, "batch": 5})
    assert loader.state_dict() == {"seed": 0, "epoch": 0, "batch": 5}
    resumed, following = iter(loader), iter(loader)
    assert [y.tolist() for _, y in resumed] == expected[0][5:]
    assert [y.tolist() for _, y in following] == expected[1]


def test_loader_releases_a_batch_before_it_waits_for_the_next(prefetch, monkeypatch):
    """So that the next one can use its memory."""
    freed, last = [], lambda: None

    class Watch(data.Augmentation):
        def __call__(self, images, rng):
            freed.append(last() is None)
            return images

    def result(future, *args):
        freed.append(last() is None)
        return waited(future, *args)

    waited = Future.result
    monkeypatch.setattr(Future, "result", result)
    for x, _ in data.Loader(*numbered(50), 8, prefetch=prefetch, augment=None if prefetch else Watch()):
        last = weakref.ref(x.base)
        del x, _
    assert freed == [True] * 7


# ---- threads ---------------------------------------------------------------------------------------------------------
def test_loader_thread_takes_one_core_and_the_consumer_all(monkeypatch):
    """What runs beside a training step must leave it the cores; without prefetching nothing runs beside it."""
    from fastnn.functional import augment

    asked = []

    class Spy:
        def __getattr__(self, name):
            function = getattr(fastnn._native, name)

            def spied(*args):
                if name in ("augment_batch", "warp_batch"):
                    asked.append((name, args[-1]))
                return function(*args)

            return spied

    monkeypatch.setattr(augment._runtime, "_native", Spy())
    fastnn.set_num_threads(2)
    for prefetch in (True, False):
        for _ in data.Loader(*numbered(30), 10, augment=[data.RandomCrop(1), data.Rotate(5)], prefetch=prefetch):
            data.Rotate(5)(np.zeros((1, 1, 4, 4), np.float32))
        n = 1 if prefetch else 2
        assert sorted(set(asked)) == sorted({("augment_batch", n), ("warp_batch", n), ("warp_batch", 2)})
        asked.clear()
