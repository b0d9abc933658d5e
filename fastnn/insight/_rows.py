"""The rows of a gradient check: what is given, beside what is right."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.insight._causes import Evidence, likely_cause
from fastnn.insight._differences import Comparison, Differences
from fastnn.insight._gradcheck_result import GradientRow

__all__ = ["Context", "accumulated", "checked", "refused", "repeats"]

# Rounding in units of what the numbers are, of sums that are added in another order.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Context:
    """What the rows of one check share.

    Attributes:
        differences: the finite differences of the function.
        max_entries: the number of entries that are checked in larger arrays.
        rng: the generator that chooses them.
        counts: numbers that a wrong gradient may have as a factor, by name.
        scales: vectors that may be missing as a factor, by name: the layer's own parameters.
    """

    differences: Differences
    max_entries: int
    rng: np.random.Generator
    counts: dict[str, int] = field(default_factory=dict)
    scales: dict[str, NDArray] = field(default_factory=dict)


def checked(context: Context, name: str, array: NDArray, gradient: Any, dy: NDArray | None = None) -> GradientRow:
    """The row of one gradient; `dy` is what its layer was given."""
    problem = _unusable(name, array, gradient)
    if problem:
        return refused(name, array, problem)
    if not array.size:
        return GradientRow(name, array.shape, 0, 0.0, (), 0.0, 0.0, 0)
    given = np.zeros(array.shape) if gradient is None else np.array(gradient, np.float64)
    positions = np.arange(array.size)
    if array.size > context.max_entries:
        positions = np.sort(context.rng.choice(array.size, context.max_entries, replace=False))
    found = context.differences.compare(array, given, positions)
    worst = int(np.argmax(np.where(np.isfinite(found.errors), found.errors, np.inf)))
    cause = ""
    if found.wrong.any():
        missing = "there is no gradient: backward does not compute it"
        cause = missing if gradient is None else _cause(context, found, array, given, dy, name.startswith("input"))
    return GradientRow(
        name,
        array.shape,
        len(positions),
        float(found.errors[worst]),
        tuple(int(i) for i in np.unravel_index(positions[worst], array.shape)),
        float(found.analytic[worst]),
        float(found.numeric[worst]),
        int(found.kinks.sum()),
        cause,
        int(found.wrong.sum()),
        int((found.wrong & found.kinks).sum()),
    )


def refused(name: str, array: NDArray, cause: str) -> GradientRow:
    """The row of a gradient of which no number can be compared."""
    return GradientRow(name, array.shape, 0, np.inf, (), np.nan, np.nan, 0, cause)


def _unusable(name: str, array: NDArray, gradient: Any) -> str:
    """Why no number of it can be compared, or ''."""
    if gradient is None:
        return ""
    if not isinstance(gradient, np.ndarray | np.generic):
        return f"the gradient is of type {type(gradient).__name__}, an array is needed"
    if gradient.shape != array.shape:
        transposed = ": it is transposed" if gradient.shape == array.shape[::-1] else ""
        return f"the gradient has the shape {gradient.shape}, {array.shape} is needed{transposed}"
    if gradient.dtype.kind != "f":
        return f"the gradient has the dtype {gradient.dtype}, floating point is needed"
    if name.startswith("input") and gradient.dtype != np.float64:
        return f"the gradient has the dtype {gradient.dtype}, that of x is float64: backward converts it"
    return ""


def _cause(
    context: Context, found: Comparison, array: NDArray, given: NDArray, dy: NDArray | None, is_input: bool
) -> str:
    used = ~found.kinks if (found.wrong & ~found.kinks).any() else np.ones_like(found.kinks)
    positions, numeric = found.positions[used], found.numeric[used]
    return likely_cause(Evidence(array, given, positions, numeric, dy, context.counts, context.scales, is_input))


def repeats(first: NDArray, second: NDArray) -> bool:
    """Whether two results are the same, but for rounding."""
    return first.shape == second.shape and _close(first, second, _size(first))


def accumulated(row: GradientRow, first: Any, prior: NDArray | None, second: Any) -> GradientRow:
    """The row; marked as wrong if the gradients of a second backward were not added.

    Args:
        row: the row of a gradient that is right.
        first: the gradient after the first backward.
        prior: what `.grad` held before the second one; None for the input, whose gradients do not add up.
        second: the gradient after the second backward.
    """
    alone = np.zeros(row.shape) if first is None else np.asarray(first, np.float64)
    if second is None and first is None and prior is None:
        return row
    if not isinstance(second, np.ndarray | np.generic) or second.shape != row.shape:
        return replace(row, cause="a second forward and backward leave no gradient of this shape")
    expected = alone if prior is None else prior + alone
    size = _size(alone) + (0.0 if prior is None else _size(prior))
    if _close(second, expected, size):
        return row
    if prior is not None and _close(second, alone, size):
        return replace(row, cause="backward overwrites .grad: it must add to what is there (parameter.add_grad)")
    if prior is not None and _close(second, prior, size):
        return replace(row, cause="backward leaves a .grad that is there as it is: it must add (parameter.add_grad)")
    return replace(
        row, cause="a second forward and backward of the same input give another gradient: an earlier one has an effect"
    )


def _close(a: Any, b: NDArray, size: float) -> bool:
    return bool(np.allclose(a, b, rtol=0, atol=_ROUNDING * size, equal_nan=True))


def _size(array: NDArray) -> float:
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
