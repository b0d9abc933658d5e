"""The sum of two arrays."""

from __future__ import annotations

from numpy.typing import NDArray

__all__ = ["add"]


def add(a: NDArray, b: NDArray) -> NDArray:
    """y = a + b"""
    return a + b
