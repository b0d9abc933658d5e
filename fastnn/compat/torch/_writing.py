"""Writing into a recorded tensor: a new result, with what was written in its place."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.broadcasting import unbroadcast
from fastnn.autograd.tape import Op

__all__ = ["View", "WriteInto", "WriteIntoView"]


class WriteInto(Op):
    """x with `value` at an index."""

    is_exact = is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: NDArray, value: NDArray) -> NDArray:
        y = x.copy("K")
        y[self.index] = value
        self.like = value.shape, value.dtype
        return y

    def backward(self, dy: NDArray) -> tuple[NDArray | None, NDArray | None]:
        need_x, need_value = self.needs_grad
        dvalue = unbroadcast(np.array(dy[self.index]), *self.like) if need_value else None
        if not need_x:
            return None, dvalue
        dx = dy.copy("K")
        dx[self.index] = 0
        return dx, dvalue


class _Place:
    """Where a view lies in the memory of its base, and so in any block of memory in the base's order."""

    def __init__(self, base: NDArray, view: NDArray) -> None:
        self.order = sorted(range(base.ndim), key=lambda axis: -base.strides[axis])
        addresses = [array.__array_interface__["data"][0] for array in (base, view)]
        self.offset = addresses[1] - addresses[0]
        self.shape, self.strides = view.shape, view.strides
        if not base.transpose(self.order).flags.c_contiguous:
            raise RuntimeError(
                "a view of a tensor with gaps in memory cannot be written into: clone() the tensor first"
            )
        if any(step == 0 and size > 1 for step, size in zip(view.strides, view.shape, strict=True)):
            raise RuntimeError(
                "more than one element of the written-to tensor refers to a single memory location: clone() it first"
            )

    def block(self, array: NDArray) -> NDArray:
        """The elements in the base's order; of an array like the base, without a copy."""
        return array.transpose(self.order).reshape(-1)

    def whole(self, block: NDArray, shape: tuple[int, ...]) -> NDArray:
        return block.reshape([shape[axis] for axis in self.order]).transpose(np.argsort(self.order))

    def part(self, block: NDArray) -> NDArray:
        return np.ndarray(self.shape, block.dtype, block, self.offset, self.strides)


class WriteIntoView(Op):
    """x with `value` where a view of it lies."""

    is_exact = is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, base: NDArray, view: NDArray) -> None:
        self.place = _Place(base, view)

    def forward(self, x: NDArray, value: NDArray) -> NDArray:
        block = np.array(self.place.block(x))
        self.place.part(block)[...] = value
        return self.place.whole(block, x.shape)

    def backward(self, dy: NDArray) -> tuple[NDArray | None, NDArray | None]:
        block = np.array(self.place.block(dy))
        part = self.place.part(block)
        dvalue = part.copy()
        part[...] = 0
        return tuple(
            found if need else None
            for found, need in zip((self.place.whole(block, dy.shape), dvalue), self.needs_grad, strict=True)
        )  # type: ignore[return-value]


class View(Op):
    """The part of x, which lies in memory like the base, where a view of that lay."""

    is_exact = is_view = is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, base: NDArray, view: NDArray) -> None:
        self.place = _Place(base, view)

    def forward(self, x: NDArray) -> NDArray:
        self.x_shape = x.shape
        return self.place.part(self.place.block(x))

    def backward(self, dy: NDArray) -> NDArray:
        block = np.zeros(math.prod(self.x_shape), dy.dtype)
        self.place.part(block)[...] = dy
        return self.place.whole(block, self.x_shape)
