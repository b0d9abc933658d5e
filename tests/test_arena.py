"""Pieces of large blocks: they never overlap, and what is free is joined."""

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn import _native as native

PAGE = native.PAGE_SIZE
SEGMENT = 64 * PAGE


def take(arena, n_pages):
    return native.Lease(arena, n_pages * PAGE)


def check(arena, living):
    """The pieces and the holes cover every segment once; no two holes touch; the books agree with them."""
    holes, segments = arena.holes(), arena.segments()
    pieces = [lease.piece for lease in living]
    assert holes == sorted(holes)
    for number, size in segments.items():
        parts = sorted(
            [(begin, size, "piece") for n, begin, size in pieces if n == number]
            + [(begin, size, "hole") for n, begin, size, _ in holes if n == number]
        )
        end = 0
        for begin, length, _ in parts:
            assert begin == end
            end = begin + length
        assert end == size
        assert ("hole", "hole") not in itertools.pairwise(kind for *_, kind in parts)
    assert {number for number, *_ in holes + pieces} <= set(segments)
    assert all(0 <= untouched <= size for *_, size, untouched in holes)
    used, touched, most_used = arena.counts()
    assert used == sum(size for *_, size in pieces)
    assert touched == sum(segments.values()) - sum(untouched for *_, untouched in holes)
    assert used <= touched
    assert used <= most_used


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "take", "give", "give", "release"]), st.integers(0, 10**6)), max_size=60
    )
)
def test_arena_covers_its_segments_exactly_whatever_happens(actions):
    arena, living = native.Arena(SEGMENT), []
    for action, number in actions:
        if action == "take":
            holes, wanted = arena.holes(), 1 + number % (3 * SEGMENT // 2)
            living.append(native.Lease(arena, wanted))
            assert memoryview(living[-1]).nbytes == wanted
            piece, n_bytes = living[-1].piece, -(-wanted // PAGE) * PAGE
            fitting = [(n, begin, n_bytes) for n, begin, size, _ in holes if size >= n_bytes]
            assert piece == (fitting or [(max(arena.segments()), 0, n_bytes)])[0]
        elif action == "give" and living:
            living.pop(number % len(living))
        elif action == "release":
            arena.release()
            used, touched, most_used = arena.counts()
            assert used == touched == most_used
        check(arena, living)
    living.clear()
    arena.release()
    assert (arena.counts(), arena.segments(), arena.holes()) == ((0, 0, 0), {}, [])


def test_arena_pieces_keep_what_is_written_and_do_not_overlap(rng):
    arena, living = native.Arena(SEGMENT), []
    for number in range(400):
        if living and rng.random() < 0.5:
            array, value = living.pop(rng.integers(len(living)))
            assert (array == value).all()
            del array
        else:
            n_bytes = int(rng.integers(1, SEGMENT // 4))
            array = np.ndarray((n_bytes,), np.uint8, buffer=native.Lease(arena, n_bytes))
            array[:] = number % 251
            living.append((array, number % 251))
            del array
        if number % 50 == 49:
            arena.release()
    assert all((array == value).all() for array, value in living)


def test_arena_takes_the_first_hole_that_fits():
    arena = native.Arena(SEGMENT)
    leases = [take(arena, n) for n in (5, 1, 3, 1, 4, 1)]
    places = [lease.piece for lease in leases]
    leases[0] = leases[2] = leases[4] = None
    first, second, third, fourth = (take(arena, n) for n in (3, 4, 2, 3))
    assert first.piece[1] == places[0][1]
    assert second.piece == places[4]
    assert third.piece[1] == places[0][1] + 3 * PAGE
    assert fourth.piece == places[2]


def test_arena_counts_memory_once_however_often_it_is_used():
    arena = native.Arena(SEGMENT)
    for _ in range(5):
        take(arena, 10)
        take(arena, 7)
    assert arena.counts() == (0, 10 * PAGE, 10 * PAGE)


def test_arena_most_used_is_the_peak_since_the_last_release():
    arena = native.Arena(SEGMENT)
    lease, other = take(arena, 5), take(arena, 3)
    del other
    assert arena.counts() == (5 * PAGE, 8 * PAGE, 8 * PAGE)
    arena.release()
    assert arena.counts() == (5 * PAGE,) * 3
    del lease
    assert arena.counts() == (0, 5 * PAGE, 5 * PAGE)


def test_arena_grows_by_as_much_as_it_has():
    arena = native.Arena(SEGMENT)
    leases = [take(arena, 64) for _ in range(5)]
    assert list(arena.segments().values()) == [SEGMENT, SEGMENT, 2 * SEGMENT, 4 * SEGMENT]
    leases.append(take(arena, 64 * 20))
    assert list(arena.segments().values())[-1] == 20 * SEGMENT
    check(arena, leases)


def test_arena_takes_a_block_of_the_exact_size_if_a_larger_one_is_refused():
    arena = native.Arena(2**60)  # no system has so much
    leases = [take(arena, n) for n in (3, 5, 5)]
    assert list(arena.segments().values()) == [3 * PAGE, 5 * PAGE, 5 * PAGE]
    check(arena, leases)


def test_arena_gives_up_idle_memory_before_it_is_out_of_memory():
    """A refused block first returns what is idle: whole segments, and the pages of holes."""
    arena = native.Arena(2**60)
    kept, dropped = take(arena, 3), take(arena, 5)
    del dropped
    assert list(arena.segments()) == [0, 1]
    larger = take(arena, 6)
    assert list(arena.segments()) == [0, 2]
    assert arena.counts()[1] == 9 * PAGE
    check(arena, [kept, larger])


def test_arena_out_of_memory_keeps_the_peak_and_the_books():
    arena = native.Arena(SEGMENT)
    kept, dropped = take(arena, 3), take(arena, 100)
    del dropped
    for n_bytes in (2**60, 2**63, 2**70, 0, -1):
        with pytest.raises(MemoryError):
            native.Lease(arena, n_bytes)
    assert arena.counts() == (3 * PAGE, 3 * PAGE, 103 * PAGE)
    check(arena, [kept])


def test_arena_many_pieces_and_holes():
    """More than the books have room for at first; every second one goes, so that nothing joins, then the rest."""
    arena = native.Arena(SEGMENT)
    leases = [take(arena, 1 + n % 3) for n in range(3000)]
    check(arena, leases)
    odd = leases[1::2]
    del leases
    assert len(arena.holes()) > 1400
    check(arena, odd)
    odd.clear()
    assert all(
        (0, size) in {(begin, length) for _, begin, length, _ in arena.holes()} for size in arena.segments().values()
    )


def test_arena_counts_a_released_hole_again_when_its_right_neighbour_returns():
    """The joined hole is taken for used, though a part may be free."""
    arena = native.Arena(SEGMENT)
    first, second, third, last = (take(arena, n) for n in (1, 2, 3, 1))
    del second
    arena.release()
    assert arena.counts()[1] == 5 * PAGE
    del third
    assert arena.counts()[1] == 7 * PAGE
    check(arena, [first, last])


def test_arena_joins_no_holes_of_different_segments():
    """Where one ends at the offset at which the other begins, in another segment."""
    arena = native.Arena(SEGMENT)
    leases = [take(arena, 64), take(arena, 64), take(arena, 64), take(arena, 63), take(arena, 1)]
    assert [lease.piece[:2] for lease in leases] == [(0, 0), (1, 0), (2, 0), (2, SEGMENT), (2, 2 * SEGMENT - PAGE)]
    leases[1] = leases[3] = None  # a hole that ends where the other one begins
    check(arena, [lease for lease in leases if lease])
    leases = [take(arena, 64), *leases]  # the first hole again
    leases[1] = None  # a piece that ends where the next hole begins
    check(arena, [lease for lease in leases if lease])


def test_arena_books_do_not_grow_with_time():
    arena = native.Arena(SEGMENT)
    tracemalloc.start()
    try:
        for _ in range(5000):
            take(arena, 1)
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 50_000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell")
def test_arena_release_returns_the_addresses_of_empty_segments():
    def pages():
        return int(Path("/proc/self/statm").read_text().split()[0])

    arena = native.Arena(1 << 30)
    before = pages()
    take(arena, 1)
    assert pages() >= before + (1 << 30) // PAGE
    arena.release()
    assert pages() < before + (1 << 29) // PAGE
    lease = take(arena, 1)
    del lease, arena
    assert pages() < before + (1 << 29) // PAGE


@pytest.mark.parametrize("least_segment", [0, -1])
def test_arena_refuses_segments_of_nothing(least_segment):
    with pytest.raises(ValueError, match="least_segment"):
        native.Arena(least_segment)
