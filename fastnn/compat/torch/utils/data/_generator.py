"""What samplers and loaders draw from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _random

__all__ = ["batch_generator", "draw_seed", "numpy_generator", "permutation"]


def numpy_generator(generator: Any) -> np.random.Generator:
    """NumPy's generator of a `torch.Generator`; without one, the generator that `torch.manual_seed` seeds."""
    if generator is None:
        return _random.generator()
    found = getattr(generator, "_numpy", generator)
    if not isinstance(found, np.random.Generator):
        raise TypeError(f"a torch.Generator is needed. Received: {type(generator).__name__}")
    return found


def permutation(generator: Any, n: int) -> NDArray[np.int64]:
    """0..n-1 in random order."""
    return numpy_generator(generator).permutation(n)


def draw_seed(generator: Any) -> int:
    """A fresh seed of 63 bits."""
    return int(numpy_generator(generator).integers(2**63 - 1))


def batch_generator(*key: int) -> np.random.Generator:
    """The generator of one batch: which thread makes the batch, and when, does not matter."""
    return np.random.Generator(np.random.PCG64(key))
