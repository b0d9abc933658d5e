"""Shapes by PyTorch's name."""

import math
from typing import Any

__all__ = ["Size", "sizes_of"]


class Size(tuple):
    """A shape: a tuple with PyTorch's text and `numel`."""

    __slots__ = ()

    def numel(self) -> int:
        """How many elements something of this shape has."""
        return math.prod(self)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Any:
        return Size(super().__add__(tuple(other)))

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"


def sizes_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    return tuple([size if type(size) is int else size.__index__() for size in sizes])
