"""The generators of threads: seeded, derived, repeatable; and states that are checked before anything changes."""

import copy
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from oracle import output_of

import fastnn
from fastnn import _random, nn, optim


@pytest.fixture(autouse=True)
def _same_state_afterwards():
    state = fastnn.random_state()
    yield
    fastnn.set_random_state(state)


def in_thread(function, name=None):
    """What `function` returns in a new thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()), name=name)
    thread.start()
    thread.join()
    return results[0]


def draw():
    return [_random.draw_key() for _ in range(3)]


def seeded(seed):
    fastnn.manual_seed(seed)
    return draw()


def pcg64(seed):
    generator = np.random.Generator(np.random.PCG64(seed))
    return [int(generator.integers(0, 2**64, dtype=np.uint64)) for _ in range(3)]


# ---- which numbers ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**64, 2**200, np.int64(7)])
def test_random_manual_seed_gives_the_numbers_of_pcg64(seed):
    assert seeded(seed) == pcg64(int(seed))


def test_random_manual_seed_seeds_the_thread_that_calls_it():
    fastnn.manual_seed(3)
    assert in_thread(lambda: seeded(5)) == pcg64(5)
    assert draw() == pcg64(3)


def test_random_a_thread_that_seeds_itself_keeps_its_numbers_when_the_main_thread_seeds():
    def work():
        fastnn.manual_seed(5)
        first = _random.draw_key()
        at.wait()
        at.wait()
        return [first, _random.draw_key(), _random.draw_key()]

    at = threading.Barrier(2)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        at.wait()
        fastnn.manual_seed(9)
        at.wait()
        assert future.result() == pcg64(5)


def test_random_other_threads_have_streams_of_their_own():
    """By the main thread's seed, the thread's name and the number of threads of this name."""
    fastnn.manual_seed(3)
    a, b, a_again = in_thread(draw, "a"), in_thread(draw, "b"), in_thread(draw, "a")
    assert draw() == pcg64(3)
    assert len({*a, *b, *a_again, *pcg64(3)}) == 12
    fastnn.manual_seed(3)
    assert [in_thread(draw, name) for name in ("b", "a", "a")] == [b, a, a_again]
    fastnn.manual_seed(4)
    assert in_thread(draw, "a") != a


def test_random_a_thread_that_lives_on_follows_the_main_threads_seed():
    with ThreadPoolExecutor(1, thread_name_prefix="worker") as pool:
        fastnn.manual_seed(3)
        first = pool.submit(draw).result()
        assert pool.submit(draw).result() != first
        fastnn.manual_seed(3)
        assert pool.submit(draw).result() == first


def test_random_streams_are_the_same_in_the_next_run_of_a_program():
    code = """
import threading, fastnn
from fastnn import _random
fastnn.manual_seed(1)
keys = {}
threads = [threading.Thread(target=lambda n=n: keys.update({n: _random.draw_key()})) for n in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(keys.items()), _random.draw_key())
"""
    assert output_of(code) == output_of(code)


def test_random_processes_that_are_not_seeded_differ():
    code = "from fastnn import _random; print(_random.draw_key())"
    assert output_of(code) != output_of(code)


def test_random_a_name_may_be_any_text():
    assert in_thread(draw, "Übung \ud800 \0") != in_thread(draw, "")


def _train(seed):
    fastnn.manual_seed(seed)
    model = nn.Sequential(nn.Linear(20, 30), nn.Dropout(0.4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(30, 3))
    optimizer, criterion = optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    x, labels = np.random.default_rng(seed).standard_normal((16, 20)).astype(np.float32), np.arange(16) % 3
    for _ in range(30):
        optimizer.zero_grad()
        criterion(model(x), labels)
        model.backward(criterion.backward())
        optimizer.step()
    return b"".join(value.tobytes() for value in model.state_dict().values())


def test_random_threads_that_train_at_once_have_the_bits_of_one_after_the_other():
    alone = [_train(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(5):
            assert list(pool.map(_train, range(3))) == alone


# ---- states ----------------------------------------------------------------------------------------------------------
def test_random_state_goes_through_json_and_continues():
    fastnn.manual_seed(3)
    _random.generator().integers(0, 2**32, dtype=np.uint32)  # half of a 64-bit number is kept
    state = json.loads(json.dumps(fastnn.random_state()))
    assert state["has_uint32"] == 1
    expected = _random.generator().integers(0, 2**32, 5, dtype=np.uint32)
    fastnn.set_random_state(state)
    np.testing.assert_array_equal(_random.generator().integers(0, 2**32, 5, dtype=np.uint32), expected)


def test_random_state_is_that_of_the_thread():
    fastnn.manual_seed(3)
    state = fastnn.random_state()

    def work():
        before = draw()
        fastnn.set_random_state(state)
        return before, draw()

    before, after = in_thread(work)
    assert before != pcg64(3)
    assert after == pcg64(3) == draw()


def test_random_a_thread_that_set_its_state_keeps_its_numbers_when_the_main_thread_seeds():
    fastnn.manual_seed(3)
    state = fastnn.random_state()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(fastnn.set_random_state, state).result()
        fastnn.manual_seed(9)
        assert pool.submit(draw).result() == pcg64(3)


def test_random_state_of_the_main_thread_keeps_the_streams_of_others():
    fastnn.manual_seed(3)
    expected = in_thread(draw, "a")
    fastnn.manual_seed(3)
    fastnn.set_random_state(fastnn.random_state())
    assert in_thread(draw, "a") == expected


def _without(name):
    return lambda state: state.pop(name)


def _with(*path, value):
    def change(state):
        for name in path[:-1]:
            state = state[name]
        state[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_without("state"), ValueError),
        (_without("has_uint32"), ValueError),
        (_with("more", value=1), ValueError),
        (_with("bit_generator", value="MT19937"), ValueError),
        (_with("bit_generator", value=None), ValueError),
        (_with("state", value=-1), TypeError),
        (_with("state", value={"state": 1}), ValueError),
        (_with("state", "state", value=-1), ValueError),
        (_with("state", "state", value=2**128), ValueError),
        (_with("state", "state", value=1.5), TypeError),
        (_with("state", "state", value="1"), TypeError),
        (_with("state", "state", value=True), TypeError),
        (_with("state", "inc", value=-1), ValueError),
        (_with("state", "inc", value=2**128 + 1), ValueError),
        (_with("state", "inc", value=2), ValueError),
        (_with("has_uint32", value=2), ValueError),
        (_with("has_uint32", value=None), TypeError),
        (_with("uinteger", value=-1), ValueError),
        (_with("uinteger", value=2**32), ValueError),
    ],
)
def test_random_bad_state_is_refused_and_changes_nothing(change, error):
    before = fastnn.random_state()
    state = copy.deepcopy(before)
    change(state)
    with pytest.raises(error, match=r"^set_random_state: .*Received: "):
        fastnn.set_random_state(state)
    assert fastnn.random_state() == before


@pytest.mark.parametrize("state", [None, -1, "PCG64", [], 1.0, ("state",)])
def test_random_state_must_be_a_dictionary(state):
    before = fastnn.random_state()
    with pytest.raises(TypeError, match=r"^set_random_state: state must be a dictionary. Received: "):
        fastnn.set_random_state(state)
    assert fastnn.random_state() == before


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (-1, ValueError),
        (None, TypeError),
        ("1", TypeError),
        (1.0, TypeError),
        (True, TypeError),
        (np.float16(1), TypeError),
    ],
)
def test_random_bad_seed_is_refused_and_changes_nothing(seed, error):
    before = fastnn.random_state()
    with pytest.raises(error, match=r"^manual_seed: .*Received: "):
        fastnn.manual_seed(seed)
    assert fastnn.random_state() == before
