"""The random numbers of layers and initialisers: one generator, seeded by `manual_seed`.

Data loaders have generators of their own. Masks that C draws (dropout) are counter-based: this generator gives a key,
and the mask is a function of key and position, whatever the number of threads.
"""

import operator
from typing import Any

import numpy as np

_generator = np.random.Generator(np.random.PCG64())


def manual_seed(seed: int) -> None:
    """Seed initialisers and dropout: the same seed gives the same network and the same training, bit for bit.

    Example:
        >>> import fastnn
        >>> fastnn.manual_seed(0); first = nn.Linear(2, 2).weight.data
        >>> fastnn.manual_seed(0); bool((nn.Linear(2, 2).weight.data == first).all())
        True
    """
    global _generator
    seed = operator.index(seed)
    if seed < 0:
        raise ValueError(f"manual_seed: a non-negative integer is needed. Received: {seed}")
    _generator = np.random.Generator(np.random.PCG64(seed))


def generator() -> np.random.Generator:
    """The generator that layers and initialisers draw from."""
    return _generator


def draw_key() -> int:
    """A fresh 64-bit key for a counter-based mask."""
    return int(_generator.integers(0, 2**64, dtype=np.uint64))


def random_state() -> dict[str, Any]:
    """The generator's state, of plain JSON types, for a checkpoint."""
    return dict(_generator.bit_generator.state)


def set_random_state(state: Any) -> None:
    """Continue from a state of `random_state`."""
    bit_generator = np.random.PCG64()
    bit_generator.state = state
    global _generator
    _generator = np.random.Generator(bit_generator)
