"""Why a gradient is wrong: hypotheses, each tried on the numbers.

A cause is named only if correcting it explains at least 99.9 % of the deviation at every entry that was checked.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Evidence", "likely_cause"]


@dataclass(frozen=True)
class Evidence:
    """What is known about a wrong gradient.

    Attributes:
        value: the parameter, or the input.
        given: the whole wrong gradient.
        positions: the entries, in C order, that were checked.
        numeric: the right values at these positions.
        dy: the argument of backward of the module that owns the parameter.
        counts: numbers that the wrong gradient may have as a factor, by name: `{"the batch size": 8}`.
        is_input: whether `value` is the input of a layer, so that its axes are images and channels.
        scales: vectors that may be a factor of the channels, by name: the parameters of the layer.
    """

    value: NDArray
    given: NDArray
    positions: NDArray[np.intp]
    numeric: NDArray
    dy: NDArray | None = None
    counts: dict[str, int] = field(default_factory=dict)
    scales: dict[str, NDArray] = field(default_factory=dict)
    is_input: bool = True

    def at(self, array: NDArray) -> NDArray:
        """The entries of an array of the parameter's shape."""
        return np.ascontiguousarray(array).reshape(-1)[self.positions]

    @property
    def residual(self) -> NDArray:
        """What would have to be added."""
        return self.numeric - self.at(self.given)

    def explains(self, corrected: NDArray) -> bool:
        """Whether these are the right values."""
        deviation = np.abs(self.residual).max()
        return bool(np.abs(corrected - self.numeric).max() <= 1e-3 * deviation)


def likely_cause(evidence: Evidence) -> str:
    """The first hypothesis that holds, as words, or what pattern the wrong entries have."""
    for hypothesis in _HYPOTHESES:
        words = hypothesis(evidence)
        if words is not None:
            return words
    return "no simple cause explains the difference"


def _not_finite(evidence: Evidence) -> str | None:
    if not np.isfinite(evidence.given).all():
        return "the gradient holds NaN or infinity"
    if not np.isfinite(evidence.numeric).all():
        return "the result of forward holds NaN or infinity near this point"
    return None


def _zero(evidence: Evidence) -> str | None:
    if evidence.at(evidence.given).any():
        return None
    return "the gradient is zero: backward does not compute it, or adds it to something else"


def _sign(evidence: Evidence) -> str | None:
    return "the sign is wrong" if evidence.explains(-evidence.at(evidence.given)) else None


def _factor(evidence: Evidence) -> str | None:
    given = evidence.at(evidence.given)
    factor = float(given @ evidence.numeric / (given @ given))
    if factor == 0 or not evidence.explains(factor * given):
        return None
    sign = " and the sign is wrong" if factor < 0 else ""
    ratio = abs(factor)
    too_small = ratio > 1
    times = ratio if too_small else 1 / ratio
    matches = [name for name, count in evidence.counts.items() if count > 1 and abs(times - count) < 1e-3 * count]
    what = f"{times:.6g} times too {'small' if too_small else 'large'}{sign}"
    if abs(times - 2) < 2e-3:
        hint = "the square of a loss or a regulariser with or without its 1/2"
        also = f"; {' or '.join(matches)} is 2, too" if matches else ""
        return f"the gradient is {what}: {hint}{also}"
    if matches:
        hint = "a mean in backward, a sum in forward" if too_small else "a sum in backward, a mean in forward"
        return f"the gradient is {what}, which is {' or '.join(matches)}: {hint}"
    # One entry is a multiple of every other: that alone says nothing.
    return f"the gradient is {what}: a constant factor" if len(given) > 1 else None


def _permuted(evidence: Evidence) -> str | None:
    given = evidence.given
    for a, b in itertools.combinations(range(given.ndim), 2):
        if given.shape[a] == given.shape[b] and evidence.explains(evidence.at(given.swapaxes(a, b))):
            return "the gradient is transposed" + (f": axes {a} and {b} are exchanged" if given.ndim > 2 else "")
    if given.ndim == 4 and evidence.explains(evidence.at(given[..., ::-1, ::-1])):
        return "the gradient is rotated by 180 degrees: a convolution in the place of a cross-correlation, or reverse"
    for axes in _subsets(range(given.ndim)):
        if evidence.explains(evidence.at(np.flip(given, axes))):
            return f"the gradient is reversed along axis {' and '.join(map(str, axes))}"
    return None


def _unchanged(evidence: Evidence) -> str | None:
    dy = evidence.dy
    if dy is not None and dy.shape == evidence.given.shape and np.array_equal(dy, evidence.given):
        return "dy is handed on as it came: the derivative of the layer is missing"
    return None


def _without_dy(evidence: Evidence) -> str | None:
    dy = evidence.dy
    if dy is None or dy.shape != evidence.given.shape or dy.ndim == 0:
        return None
    given, at = evidence.at(evidence.given), evidence.at(dy)
    if evidence.explains(given * at):
        return "dy is not in it: the derivative of the layer must be multiplied by dy"
    if at.all() and evidence.explains(given / at):
        return "dy is in it twice"
    return None


def _regulariser(evidence: Evidence) -> str | None:
    value, residual = evidence.at(evidence.value), evidence.residual
    if len(value) < 2:
        return None
    for term, name, meaning in (
        (value, "the parameter", "squares (reg * sum(p**2) has the derivative 2 * reg * p)"),
        (np.sign(value), "the sign of the parameter", "magnitudes (reg * sum(|p|) has the derivative reg * sign(p))"),
    ):
        if term.any():
            factor = float(term @ residual / (term @ term))
            if evidence.explains(evidence.at(evidence.given) + factor * term):
                verb = "missing or too small" if factor > 0 else "too large"
                return f"{factor:.6g} times {name} should be added: the term of a regulariser of {meaning} is {verb}"
    return None


def _wrong_axes(evidence: Evidence) -> str | None:
    """For a bias: the gradient is dy, summed over other axes than those that it was added along."""
    dy, given = evidence.dy, evidence.given
    if dy is None or given.ndim != 1 or dy.ndim < 2:
        return None
    right = tuple(axis for axis in range(dy.ndim) if axis != 1)
    for axes in _subsets(range(dy.ndim)):
        total = dy.sum(axis=axes)
        if axes != right and total.shape in (given.shape, ()) and _same(np.broadcast_to(total, given.shape), given):
            return f"dy is summed over the axes {axes}; {right} would be right"
        mean = dy.mean(axis=axes)
        if axes != right and mean.shape in (given.shape, ()) and _same(np.broadcast_to(mean, given.shape), given):
            return f"dy is averaged over the axes {axes}; its sum over {right} would be right"
    if dy.shape[1:] == given.shape:
        for row, name in ((0, "first"), (-1, "last")):
            if _same(dy[row], given):
                return f"only the {name} row of dy is in the gradient: it is assigned, not summed"
    return None


def _normalisation(evidence: Evidence) -> str | None:
    """For an input of which the elements of each channel, or of each image, are normalised together: mean and variance
    were taken for constants, or the rest has a wrong factor. The right gradient is then, in each group, the sum of a
    factor times the given one, a constant, and a multiple of the input."""
    if evidence.value.ndim < 2:
        return None
    index = np.unravel_index(evidence.positions, evidence.value.shape)
    for has_factor in (False, True):
        for axis, name in ((1, "channel"), (0, "image")) if evidence.is_input else ((1, "column"), (0, "row")):
            groups = _groups(evidence, axis, index[axis])
            for has_mean, has_variance, missing in _MISSING_TERMS:
                if not (has_factor or has_mean or has_variance):
                    continue
                factors = _fit(evidence, groups, has_factor, has_mean, has_variance)
                if factors is None:
                    continue
                words = f"{missing} missing: mean and variance depend on all elements of each {name}" if missing else ""
                if not has_factor:
                    return words
                factor = _factor_of_groups(evidence, axis, name, factors)
                if factor is not None:
                    return f"{factor}; {words}" if words else factor
    return None


# (the constant is missing, the multiple of the input is missing, words)
_MISSING_TERMS = (
    (False, False, ""),
    (True, False, "the term through the mean is"),
    (False, True, "the term through the variance is"),
    (True, True, "the terms through mean and variance are"),
)
_Group = tuple[int, NDArray[np.bool_], NDArray]


def _groups(evidence: Evidence, axis: int, numbers: NDArray[np.intp]) -> list[_Group]:
    """(number, which entries, their x minus the mean of the group) of each group along an axis."""
    value = np.moveaxis(evidence.value, axis, 0)
    means = value.reshape(len(value), -1).mean(axis=1)
    x = evidence.at(evidence.value)
    return [(int(g), numbers == g, x[numbers == g] - means[g]) for g in np.unique(numbers)]


def _fit(
    evidence: Evidence, groups: list[_Group], has_factor: bool, has_mean: bool, has_variance: bool
) -> dict[int, float] | None:
    """The factor of each group, if these terms explain what is wrong."""
    given = evidence.at(evidence.given)
    corrected, factors = np.zeros(len(given)), {}
    if has_factor and len(groups) < 2:  # that is a constant factor
        return None
    for number, own, x in groups:
        columns = [given[own]] * has_factor + [np.ones(len(x))] * has_mean + [x] * has_variance
        if len(x) < len(columns) + 2:  # so many points are always on such a line
            return None
        design = np.stack(columns, axis=1)
        known = 0.0 if has_factor else given[own]
        solution = np.linalg.lstsq(design, evidence.numeric[own] - known, rcond=None)[0]
        corrected[own] = known + design @ solution
        factors[number] = float(solution[0]) if has_factor else 1.0
    return factors if evidence.explains(corrected) else None


def _factor_of_groups(evidence: Evidence, axis: int, name: str, factors: dict[int, float]) -> str | None:
    """What the factors are by which the groups are wrong."""
    found = np.array(list(factors.values()))
    value = np.moveaxis(evidence.value, axis, 0)
    variance = value.reshape(len(value), -1).var(axis=1)[list(factors)]
    for power, words in (
        (-1.0, "multiplied by the root of the variance instead of divided by it"),
        (-0.5, "not divided by the root of the variance"),
        (0.5, "divided by the root of the variance once too often"),
    ):
        if np.allclose(found, variance**power, rtol=1e-2):  # the eps beside the variance is not known
            return f"the gradient of each {name} is {words}"
    for scale_name, scale in evidence.scales.items():
        if scale.shape == (len(value),) and scale.all():
            own = scale[list(factors)]
            for power, words in ((1, "is not multiplied by"), (-1, "is multiplied once too often by")):
                if np.allclose(found, own**power, rtol=1e-3):
                    return f"the gradient of each {name} {words} {scale_name}"
    if np.isclose(found, 1, rtol=1e-3).any():  # what the wrong ones have in common says more
        return None
    return f"the gradient of each {name} is wrong by a factor of its own, from {found.min():.4g} to {found.max():.4g}"


def _some_entries(evidence: Evidence) -> str | None:
    """What the wrong entries have in common."""
    residual = np.abs(evidence.residual)
    wrong = residual > 1e-3 * residual.max()
    if wrong.all():
        return None
    words = f"{int(wrong.sum())} of {len(wrong)} entries are wrong"
    index = np.unravel_index(evidence.positions, evidence.given.shape)
    for axis, places in enumerate(index):
        found = np.unique(places[wrong])
        if len(found) == 1 and len(np.unique(places)) > 1:
            return f"{words}, all at index {found[0]} of axis {axis}"
    return words


def _subsets(axes: Iterable[int]) -> Iterator[tuple[int, ...]]:
    items = tuple(axes)
    return itertools.chain.from_iterable(itertools.combinations(items, n) for n in range(1, len(items) + 1))


def _same(a: NDArray, b: NDArray) -> bool:
    return bool(np.abs(a - b).max() <= 1e-9 * np.abs(b).max())


# In this order: what explains more with less comes first.
_HYPOTHESES: tuple[Callable[[Evidence], str | None], ...] = (
    _not_finite,
    _zero,
    _sign,
    _factor,
    _permuted,
    _wrong_axes,
    _unchanged,
    _without_dy,
    _regulariser,
    _normalisation,
    _some_entries,
)
