"""Numeric derivatives from both sides, and what they say about a gradient that was computed otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Comparison", "Differences"]

# A kink within one step spoils a difference. Where something disagrees, these parts of the step are tried in turn; at
# the last one, left and right derivatives of a smooth function agree.
_PARTS_OF_STEP = (1.0, 0.1, 0.01, 0.001)

# Rounding errors of a network, in units of the last place of its output.
_ROUNDING = 100
_EPS = float(np.finfo(np.float64).eps)


class _Estimate(NamedTuple):
    """Derivatives of sum(y * dy) by one entry."""

    central: float
    low: float  # the sums over y of the smaller and of the larger one-sided derivative: any choice of one side or the
    high: float  # other by each element of y, and anything between, lies between these
    noise: float  # what rounding may add to any of them


class Comparison(NamedTuple):
    """An array's gradient at some of its entries."""

    positions: NDArray[np.intp]  # in C order
    analytic: NDArray[np.float64]
    numeric: NDArray[np.float64]  # at a kink, the nearest value that would be right
    errors: NDArray[np.float64]  # relative to the largest entries of both gradients
    kinks: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


class Differences:
    """Differences of y = evaluate(), weighted with dy, while single entries of arrays that it reads are changed."""

    def __init__(self, evaluate: Callable[[], NDArray], dy: NDArray, step: float, tolerance: float) -> None:
        self._evaluate = evaluate
        self._dy = dy
        self._y = evaluate()
        self._step = step
        self._tolerance = tolerance

    def _estimate(self, array: NDArray, index: tuple[np.intp, ...], part: float) -> _Estimate:
        value = array[index]
        h = self._step * part * max(1.0, abs(float(value)))
        y = {}
        try:
            for side in (-1.0, -0.5, 0.5, 1.0):
                array[index] = value + side * h
                y[side] = self._evaluate()
        finally:
            array[index] = value
        # Differences of y before the sum over y: elements that do not change add no rounding error.
        forth, half_forth = (y[1.0] - self._y) * self._dy, (y[0.5] - self._y) * self._dy
        back, half_back = (self._y - y[-1.0]) * self._dy, (self._y - y[-0.5]) * self._dy
        right = (4 * half_forth - forth) / h  # the error is of second order in h
        left = (4 * half_back - back) / h
        central = np.sum(4 * (half_forth + half_back) - (forth + back) / 2) / (3 * h)  # of fourth order
        changed = (forth != 0) | (back != 0) | (half_forth != 0) | (half_back != 0)
        size = np.abs(self._y * self._dy)
        # An element that stays the same may have changed by less than its last place.
        noise = _EPS * (_ROUNDING * float(np.sum(size, where=changed)) + float(np.sum(size))) / h
        return _Estimate(
            float(central), float(np.minimum(left, right).sum()), float(np.maximum(left, right).sum()), noise
        )

    def compare(self, array: NDArray, analytic: NDArray, positions: NDArray[np.intp]) -> Comparison:
        """Check `analytic`, the gradient with respect to `array`, at these positions."""
        with np.errstate(invalid="ignore", over="ignore"):  # NaN is a result, too
            return self._compare(array, analytic, positions)

    def _compare(self, array: NDArray, analytic: NDArray, positions: NDArray[np.intp]) -> Comparison:
        given = analytic.reshape(-1)[positions]
        indices = list(zip(*np.unravel_index(positions, array.shape), strict=True)) if array.ndim else [()]
        first = [self._estimate(array, index, 1.0) for index in indices]
        numeric = np.array([estimate.central for estimate in first])
        # Where both gradients are rounding errors, they are compared with what rounding explains.
        floor = _largest(np.array([estimate.noise for estimate in first])) / self._tolerance
        scale = _largest(given) + _largest(numeric) + floor + float(np.finfo(np.float64).tiny)
        kinks, wrong = np.zeros(len(given), np.bool_), np.zeros(len(given), np.bool_)
        for i, (index, estimate) in enumerate(zip(indices, first, strict=True)):
            allowed = self._tolerance * scale + estimate.noise
            if not (abs(given[i] - estimate.central) <= allowed and estimate.high - estimate.low <= allowed):
                numeric[i], kinks[i], wrong[i] = self._look_closer(array, index, float(given[i]), scale)
        errors = np.abs(given - numeric) / scale
        return Comparison(positions, given, numeric, errors, kinks, wrong)

    def _look_closer(
        self, array: NDArray, index: tuple[np.intp, ...], given: float, scale: float
    ) -> tuple[float, bool, bool]:
        """(the derivative, whether there is a kink, whether the given one is wrong)."""
        smooth = None
        for part in _PARTS_OF_STEP:
            estimate = self._estimate(array, index, part)
            allowed = self._tolerance * scale + estimate.noise
            if estimate.high - estimate.low <= allowed:
                if abs(given - estimate.central) <= allowed:
                    return estimate.central, False, False
                smooth = estimate.central if smooth is None else smooth
        if estimate.high - estimate.low <= allowed or not np.isfinite(estimate.high - estimate.low):
            return (estimate.central if smooth is None else smooth), False, True
        nearest = min(max(given, estimate.low), estimate.high)
        return nearest, True, not abs(given - nearest) <= allowed


def _largest(values: NDArray) -> float:
    """The largest magnitude that is finite."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
