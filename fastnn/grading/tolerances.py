"""When two results are equal.

A right result differs from the twin's by rounding only. In float64 one rounding is 1e-16 of the number; a sum over
the few hundred numbers of a case, or a variance computed as the mean of the squares minus the square of the mean, costs
at most six digits. So 1e-9 accepts every right way to compute a result, while the smallest mistake that is looked for,
a forgotten eps of 1e-5, changes far more. In float32 the same reasoning gives 5e-4.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLOAT32", "FLOAT64", "allowed", "equal", "largest"]

FLOAT64 = 1e-9
FLOAT32 = 5e-4


def largest(values: NDArray) -> float:
    """The largest magnitude that is finite."""
    values = np.asarray(values, np.float64)
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def allowed(tolerance: float, expected: NDArray, *terms: NDArray) -> float:
    """The largest deviation that rounding explains; where terms cancel, it is theirs that counts."""
    return tolerance * (max(largest(array) for array in (expected, *terms)) or 1e-3)


def equal(a: NDArray, b: NDArray, deviation: float) -> bool:
    """Whether the arrays have one shape, are finite at the same places, and differ by `deviation` at most."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return False
    return not finite.any() or bool(np.abs(a[finite] - b[finite]).max() <= deviation)
