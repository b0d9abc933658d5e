"""Why a gradient is wrong: hypotheses, each tried on the numbers.

A cause is named only if correcting it explains at least 99.9 % of the deviation at every entry that was checked.
"""

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
        given: the gradient in question, whole.
        positions: entries, in C order, of which `numeric` has the right values.
        numeric: see `positions`.
        dy: what the backward of the module that owns the parameter was given.
        counts: numbers of which a factor may be one, by name: `{"the batch size": 8}`.
    """

    value: NDArray
    given: NDArray
    positions: NDArray[np.intp]
    numeric: NDArray
    dy: NDArray | None = None
    counts: dict[str, int] = field(default_factory=dict)

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
    """For an input: mean and variance were taken for constants. The residual is then a line over the input, one for
    each group of elements that are normalised together."""
    if evidence.value.ndim < 2:
        return None
    index = np.unravel_index(evidence.positions, evidence.value.shape)
    for axis, groups in ((1, "channel"), (0, "image")):
        words = _line_per_group(evidence, np.moveaxis(evidence.value, axis, 0), index[axis], groups)
        if words is not None:
            return words
    return None


def _line_per_group(evidence: Evidence, value: NDArray, group: NDArray[np.intp], name: str) -> str | None:
    given, x, residual = evidence.at(evidence.given), evidence.at(evidence.value), evidence.residual
    means = value.reshape(len(value), -1).mean(axis=1)
    constant, centred, line = (np.zeros(len(x)) for _ in range(3))
    for g in np.unique(group):
        own = group == g
        if own.sum() < 4:  # two points are always on a line
            return None
        x_own, r_own = x[own] - means[g], residual[own]
        constant[own] = r_own.mean()
        square = float(x_own @ x_own)
        centred[own] = x_own * (x_own @ r_own / square if square else 0.0)
        design = np.stack([np.ones_like(x_own), x_own], axis=1)
        line[own] = design @ np.linalg.lstsq(design, r_own, rcond=None)[0]
    for correction, missing in (
        (constant, "through the mean is"),
        (centred, "through the variance is"),
        (line, "through mean and variance are"),
    ):
        if evidence.explains(given + correction):
            return f"the terms {missing} missing: both depend on all elements of each {name}"
    return None


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
    _regulariser,
    _normalisation,
    _some_entries,
)
