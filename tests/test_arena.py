"""Pieces of large blocks: they never overlap, and what is free is joined."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn import _arena
from fastnn._arena import PAGE, Arena

SEGMENT = 64 * PAGE


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch):
    monkeypatch.setattr(_arena, "_LEAST_SEGMENT", SEGMENT)


def check(arena, living):
    """The pieces and the holes cover every segment once; no two holes touch; the books agree with them."""
    for number, segment in arena._segments.items():
        pieces = [(begin, size, "piece") for n, begin, size in living if n == number]
        holes = [(begin, size, "hole") for begin, (size, _) in segment.holes.items()]
        end = 0
        for begin, size, _ in sorted(pieces + holes):
            assert begin == end
            end = begin + size
        assert end == segment.size
        kinds = [kind for *_, kind in sorted(pieces + holes)]
        assert ("hole", "hole") not in itertools.pairwise(kinds)
        assert segment.begin_of == {begin + size: begin for begin, (size, _) in segment.holes.items()}
    listed = [(n, begin, size) for n, segment in arena._segments.items() for begin, (size, _) in segment.holes.items()]
    assert arena._holes == sorted(listed)
    untouched = sum(u for segment in arena._segments.values() for _, u in segment.holes.values())
    assert arena.used == sum(size for *_, size in living)
    assert arena.touched == sum(segment.size for segment in arena._segments.values()) - untouched
    assert arena.used <= arena.touched


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "take", "give", "give", "release"]), st.integers(0, 10**6)), max_size=60
    )
)
def test_arena_covers_its_segments_exactly_whatever_happens(actions):
    arena, living = Arena(), []
    for action, number in actions:
        if action == "take":
            piece, memory = arena.take(1 + number % (3 * SEGMENT // 2))
            assert len(memory) == 1 + number % (3 * SEGMENT // 2)
            living.append(piece)
        elif action == "give" and living:
            arena.give_back(living.pop(number % len(living)))
        elif action == "release":
            arena.release()
            assert arena.touched == arena.used
        check(arena, living)
    for piece in living:
        arena.give_back(piece)
    arena.release()
    assert (arena.used, arena.touched, arena._segments, arena._holes) == (0, 0, {}, [])


def test_arena_takes_the_first_hole_that_fits():
    arena = Arena()
    pieces = [arena.take(size * PAGE)[0] for size in (5, 1, 3, 1, 4, 1)]
    for index in (0, 2, 4):
        arena.give_back(pieces[index])
    assert arena.take(3 * PAGE)[0][1] == pieces[0][1]
    assert arena.take(4 * PAGE)[0] == pieces[4]
    assert arena.take(2 * PAGE)[0][1] == pieces[0][1] + 3 * PAGE
    assert arena.take(3 * PAGE)[0] == pieces[2]


def test_arena_counts_memory_once_however_often_it_is_used():
    arena = Arena()
    for _ in range(5):
        arena.give_back(arena.take(10 * PAGE)[0])
        arena.give_back(arena.take(7 * PAGE)[0])
    assert arena.touched == 10 * PAGE


def test_arena_takes_a_block_of_the_exact_size_if_a_larger_one_is_refused(monkeypatch):
    class Limited(_arena._Segment):
        def __init__(self, size):
            if size > 2 * SEGMENT:
                raise MemoryError
            super().__init__(size)

    monkeypatch.setattr(_arena, "_Segment", Limited)
    arena = Arena()
    sizes = [arena._segments[arena.take(SEGMENT)[0][0]].size for _ in range(4)]
    assert sizes == [SEGMENT, SEGMENT, 2 * SEGMENT, 2 * SEGMENT]
    arena.take(SEGMENT + PAGE)
    with pytest.raises(MemoryError):
        arena.take(3 * SEGMENT)
    check(arena, [*[(n, b, SEGMENT) for n, b in ((0, 0), (1, 0), (2, 0), (2, SEGMENT))], (3, 0, SEGMENT + PAGE)])
