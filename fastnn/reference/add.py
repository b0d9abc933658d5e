"""The sum of two arrays."""

from numpy.typing import NDArray

__all__ = ["add"]


def add(a: NDArray, b: NDArray) -> NDArray:
    """y = a + b"""
    return a + b
