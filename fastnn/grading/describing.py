"""Where and how numbers are wrong that no known mistake explains."""

import numpy as np
from numpy.typing import NDArray

from fastnn.grading.operation import PartOfOperation

__all__ = ["describe", "first_wrong_place"]


def describe(part: PartOfOperation, observations: list) -> str:
    """What the wrong cases, and the wrong entries in them, have in common; '' if only the shape is wrong."""
    wrong = [o for o in observations if o.received is not None and not o.right]
    right = [o for o in observations if o.right]
    words = _by_tags(part, wrong, right)
    same_shape = [o for o in wrong if o.received.shape == o.expected.shape]
    if not same_shape:
        return "; ".join(words)
    most = max(same_shape, key=lambda o: o.expected.size)
    detail = _by_place(most) or _by_factor(same_shape)
    if not words:
        words = [
            "the numbers are wrong in every case"
            if not right
            else f"the numbers are wrong in {len(wrong)} of {len(wrong) + len(right)} cases"
        ]
    return f"{'; '.join(words)}{f'; {detail}' if detail else ''}; no known mistake gives these numbers"


def _by_tags(part: PartOfOperation, wrong: list, right: list) -> list[str]:
    tags = set.intersection(*(set(o.case.tags) for o in wrong)) if wrong else set()
    found = [tag for o in wrong for tag in o.case.tags if tag in tags and not any(tag in r.case.tags for r in right)]
    words = [part.hints.get(tag, f"wrong only with {tag}") for tag in dict.fromkeys(found)]
    absent = set.intersection(*(set(o.case.tags) for o in right)) if right else set()
    absent = {tag for tag in absent if not any(tag in o.case.tags for o in wrong)}
    if not words and absent and right:
        words = [f"right only with {', '.join(sorted(absent))}"]
    if not words and wrong and right and len(wrong) < len(right):
        words = [f"wrong only in the case {wrong[0].case.label}"] if len(wrong) == 1 else []
    if wrong and all(o.received.shape == o.expected.shape and not np.isfinite(o.received).all() for o in wrong):
        words.append("there are NaN or infinite numbers: an overflow, a division by 0, or a logarithm of 0")
    return words


def _by_factor(wrong: list) -> str:
    if all(_nearly(o.expected, o.received) for o in wrong):
        return "they are right to about 5 digits: are they computed in float32, or with another small constant?"
    factors = []
    for o in wrong:
        square = float(np.vdot(o.expected, o.expected))
        if not square or not np.isfinite(o.received).all():
            return ""
        factor = float(np.vdot(o.expected, o.received)) / square
        with np.errstate(all="ignore"):
            if np.abs(o.received - factor * o.expected).max(initial=0) > 1e-5 * np.abs(o.received).max(initial=0):
                return _by_axis(o.expected, o.received)
        factors.append(factor)
    if max(factors) - min(factors) <= 1e-5 * max(map(abs, factors)):
        return f"they are {factors[0]:.6g} times the right ones in every case"
    some = ", ".join(f"{factor:.4g}" for factor in factors[:3])
    return f"they are proportional to the right ones, with another factor in each case: {some}"


def _nearly(expected: NDArray, received: NDArray) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.abs(received - expected).max(initial=0) <= 1e-5 * np.abs(expected).max(initial=0))


def _by_axis(expected: NDArray, received: NDArray) -> str:
    if expected.ndim < 2:
        return ""
    with np.errstate(all="ignore"):
        ratio, difference = received / expected, received - expected
    for axis in range(expected.ndim):
        others = tuple(a for a in range(expected.ndim) if a != axis)
        if np.ptp(ratio, axis=others).max() <= 1e-6 * np.abs(ratio).max():
            return f"each index of axis {axis} is wrong by a factor of its own"
        if np.ptp(difference, axis=others).max() <= 1e-6 * np.abs(difference).max():
            return f"each index of axis {axis} is wrong by a constant of its own"
    return ""


def _by_place(o: object) -> str:
    expected, received = o.expected, o.received  # type: ignore[attr-defined]
    wrong: NDArray = wrong_entries(expected, received, o.deviation)  # type: ignore[attr-defined]
    if wrong.all() or not wrong.any() or expected.ndim == 0:
        return ""
    words = f"{int(wrong.sum())} of {wrong.size} entries are wrong"
    for axis in range(expected.ndim):
        found = np.unique(np.nonzero(wrong)[axis])
        if len(found) == 1 and expected.shape[axis] > 1:
            return f"{words}, all at index {found[0]} of axis {axis}"
        whole = np.atleast_1d(wrong.all(axis=tuple(a for a in range(expected.ndim) if a != axis)))
        if 0 < len(found) < expected.shape[axis] and whole[found].all():
            return f"{words}, all those at the indices {', '.join(map(str, found))} of axis {axis}"
    if expected.ndim == 4 and not wrong[:, :, 1:-1, 1:-1].any():
        return f"{words}, all at the border of the image"
    return words


def wrong_entries(expected: NDArray, received: NDArray, deviation: float) -> NDArray[np.bool_]:
    """Which entries differ by more than rounding."""
    with np.errstate(all="ignore"):
        return ~(np.abs(received - expected) <= deviation)


def first_wrong_place(expected: NDArray, received: NDArray, deviation: float) -> tuple[int, ...]:
    """The index of the first wrong entry."""
    wrong = wrong_entries(expected, received, deviation)
    return tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.any() else ()
