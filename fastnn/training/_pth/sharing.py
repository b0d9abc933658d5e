"""Which storages a file needs for some arrays: those that share memory get one of them, as in PyTorch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Place", "find_storages"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies: its storage's number, and offset and strides counted in elements."""

    storage: int
    offset: int
    strides: tuple[int, ...]


def find_storages(arrays: list[NDArray]) -> tuple[list[NDArray], list[Place]]:
    """The storages for some arrays in the order of the arrays, and the place of each array.

    Arrays of one dtype whose memory overlaps share a storage, which reaches from the first byte of any of them to the
    last. An array that shares with no other is contiguous in the file.
    """
    places: list[Place | None] = [None] * len(arrays)
    storages: list[NDArray] = []
    groups = {members[0]: members for members in _overlapping(arrays)}
    for index, array in enumerate(arrays):
        if places[index] is not None:
            continue
        members = groups.get(index, [index])
        views = [arrays[member] for member in members]
        if _are_laid_out_alike(views) and not _repeats(array):
            shared, offset_of = array, {member: (0, row_strides(arrays[member].shape)) for member in members}
        else:
            shared, start = _spanning(views)
            offset_of = {
                member: ((_bounds(arrays[member])[0] - start) // array.itemsize, _steps(arrays[member]))
                for member in members
            }
        for member, (offset, strides) in offset_of.items():
            places[member] = Place(len(storages), offset, strides)
        storages.append(shared)
    return storages, places  # type: ignore[return-value]  # none is left


def _overlapping(arrays: list[NDArray]) -> Iterator[list[int]]:
    """Groups of arrays, by their sorted indices, whose memory overlaps directly or by others of the group."""
    bounds = sorted(
        (array.dtype.str, *_bounds(array), index)
        for index, array in enumerate(arrays)
        if array.size and _has_steps(array)
    )
    group: list[int] = []
    kind, begin, end = "", 0, 0
    for dtype, low, high, index in bounds:
        if group and (dtype != kind or low >= end or (low - begin) % arrays[index].itemsize):
            yield sorted(group)
            group = []
        if not group:
            kind, begin, end = dtype, low, high
        group.append(index)
        end = max(end, high)
    if group:
        yield sorted(group)


def _bounds(array: NDArray) -> tuple[int, int]:
    """The addresses of its first byte and behind its last one, if it has steps."""
    address = array.__array_interface__["data"][0]
    reach = sum((side - 1) * step for side, step in zip(array.shape, array.strides, strict=True))
    return address, address + reach + array.itemsize


def _has_steps(array: NDArray) -> bool:
    """Whether PyTorch can have such strides: whole numbers of elements forwards."""
    return all(step >= 0 and step % array.itemsize == 0 for step in array.strides)


def _are_laid_out_alike(views: list[NDArray]) -> bool:
    """Whether all are the same elements in the same order."""
    if len(views) == 1:
        return True
    layouts = {
        (_bounds(view), view.nbytes if view.flags.c_contiguous else (view.shape, view.strides)) for view in views
    }
    return len(layouts) == 1


def _repeats(array: NDArray) -> bool:
    """Whether it has more elements than its memory, as an expanded one."""
    if not array.size or not _has_steps(array):
        return False
    low, high = _bounds(array)
    return array.nbytes > high - low


def _spanning(views: list[NDArray]) -> tuple[NDArray, int]:
    """The memory from the first byte of any view to the last, and its address."""
    start = min(_bounds(view)[0] for view in views)
    end = max(_bounds(view)[1] for view in views)
    first = next(view for view in views if _bounds(view)[0] == start)
    # The views overlap, so that all bytes between are of the memory that one of them has.
    count = (end - start) // first.itemsize
    return np.lib.stride_tricks.as_strided(first, (count,), (first.itemsize,), writeable=False), start


def row_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a contiguous tensor."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    return tuple(strides)


def _steps(array: NDArray) -> tuple[int, ...]:
    """Strides in elements; NumPy lets those of axes of one be anything."""
    in_rows = row_strides(array.shape)
    return tuple(
        step // array.itemsize if side > 1 else row
        for step, side, row in zip(array.strides, array.shape, in_rows, strict=True)
    )
