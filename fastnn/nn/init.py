"""Initialisers."""

import numpy as np

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """The generator that layers draw from."""
    return _generator
