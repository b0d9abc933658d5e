"""The gradient of a function by central differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong

__all__ = ["OPERATION"]


class _Curve:
    """sum of weights * (sin(4 x) + x^3 / 3 + x), entry by entry; `rows` mixes neighbouring entries."""

    def __init__(self, weights: NDArray) -> None:
        self.weights = weights

    def values(self, x: NDArray) -> NDArray:
        """An array of the shape of x, whose derivative mixes neighbours."""
        x = np.asarray(x, np.float64)
        if x.shape != self.weights.shape:
            raise ValueError(f"f takes an array of shape {self.weights.shape}. Received: shape {x.shape}")
        flat = x.reshape(-1)
        return (np.sin(4 * flat) + flat**3 / 3 + flat * np.roll(flat, 1)).reshape(x.shape)

    def scalar(self, x: NDArray) -> float:
        """The sum of weights * values."""
        return float((self.weights * self.values(x)).sum())

    def gradient(self, x: NDArray) -> NDArray:
        """The exact derivative of `scalar`."""
        flat, weights = x.reshape(-1), self.weights.reshape(-1)
        own = weights * (4 * np.cos(4 * flat) + flat**2 + np.roll(flat, 1))
        return (own + np.roll(weights * flat, -1)).reshape(x.shape)


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(label: str, shape: tuple[int, ...], h: float, **more: Any) -> Case:
        curve = _Curve(rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape))
        x = rng.standard_normal(shape)
        inputs: Inputs = {"f": curve.scalar, "values": curve.values, "exact": curve.gradient, "x": x, "h": h}
        inputs["df"] = curve.weights
        return Case(f"{label}shape {shape}, h={h:g}", inputs, **more)

    return [
        case("", (4,), 1e-5, tags=("vector",)),
        case("", (3, 2), 1e-5, tags=("matrix",)),
        case("large step, ", (5,), 1e-2, tags=("vector", "large step")),
        case("large step, ", (2, 3), 0.03, tags=("matrix", "large step")),
        case("one number, ", (1,), 1e-2, tags=("one number",)),
        case("three axes, ", (2, 2, 3), 1e-4, tags=("three axes",)),
        case("square, ", (3, 3), 1e-2, tags=("matrix",)),
    ]


def _right(inputs: Inputs) -> Results:
    x, h = inputs["x"], inputs["h"]
    exact = inputs["exact"](x)
    central = _differences(inputs["f"], x, h)
    scale = abs(inputs["f"](x)) + 1
    # What central differences are away from the derivative, and what another small step may be.
    deviation = 1.5 * np.abs(central - exact).max() + 1e-13 * scale / h + 1e-6
    if h == _DEFAULT_STEP:
        deviation = 4e-5
    return {"dx": exact, "dx deviation": deviation, "x_afterwards": x}


_DEFAULT_STEP = 1e-5


def _differences(f: Callable[[NDArray], float], x: NDArray, h: float) -> NDArray:
    """(f(x + h) - f(x - h)) / (2 h), entry by entry."""
    dx = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[index] += h
        behind[index] -= h
        dx[index] = (f(ahead) - f(behind)) / (2 * h)
    return dx


def _compute(inputs: Inputs, wrong: Wrong) -> Results:
    f, h = inputs["f"], inputs["h"]
    if "df is ignored: the entries of f are summed without it" in wrong:
        values = inputs["values"]

        def f(x: NDArray) -> float:
            return float(values(x).sum())

    x = inputs["x"].copy()
    dx = np.zeros_like(x)
    kept = "x is not restored: it stays at x + h" in wrong
    left = "x is not restored: it stays at x - h" in wrong
    for index in np.ndindex(*x.shape):
        old = x[index]
        step = np.zeros_like(x)
        step[index] = h
        if "all entries are moved at once" in wrong:
            step[...] = h
        if "the whole row is moved at once" in wrong:
            step[index[0]] = h
        ahead, here, behind = f(x + step), f(x), f(x - step)
        difference = ahead - behind
        if "one-sided difference: f(x + h) - f(x)" in wrong:
            difference = 2 * (ahead - here)
        if "one-sided difference: f(x) - f(x - h)" in wrong:
            difference = 2 * (here - behind)
        if "one-sided difference, divided by 2 h" in wrong:
            difference = ahead - here
        if "x is not put back before the second step: f(x + h) - f(x)" in wrong:
            difference = ahead - here
        if "f(x + h) is divided by 2 h, f(x - h) is not subtracted" in wrong:
            difference = ahead
        if "f(x - h) is added instead of subtracted" in wrong:
            difference = ahead + behind
        if "the second derivative" in wrong:
            difference = (ahead - 2 * here + behind) / h * 2
        divisor = 2 * h
        if "divided by h instead of 2 h" in wrong:
            divisor = h
        if "not divided by the step" in wrong:
            divisor = 1.0
        if "divided by 2 only" in wrong:
            divisor = 2.0
        if "multiplied by 2 h instead of divided" in wrong:
            divisor = 1 / (2 * h)
        if "divided by 4 h instead of 2 h" in wrong:
            divisor = 4 * h
        if "divided by h squared" in wrong:
            divisor = h * h
        if "brackets are missing: / 2 * h" in wrong:
            divisor = 2 / h
        dx[index] = difference / divisor
        if kept:
            x[index] = old + h
        if left:
            x[index] = old - h
        if "only the first entry is computed" in wrong:
            break
    if "the sign is flipped: f(x - h) - f(x + h)" in wrong:
        dx = -dx
    if "the absolute value of the difference" in wrong:
        dx = np.abs(dx)
    if "the gradient is summed to one number" in wrong:
        dx = np.asarray(dx.sum())
    if "the gradient is flattened" in wrong:
        dx = dx.reshape(-1)
    if "only the first row is computed" in wrong:
        dx[1:] = 0
    if "only the last entry is computed" in wrong:
        flat = dx.reshape(-1)
        flat[:-1] = 0
    if "the gradient is rounded to integers" in wrong:
        dx = np.trunc(dx)
    return {"dx": dx, "x_afterwards": x}


_RIGHT = "dx[i] = (f(x with x[i] + h) - f(x with x[i] - h)) / (2 * h)"
_RESTORE = "put the old number back after each entry, or work on a copy; else later entries are taken at another point"
_MISTAKES = {
    "df is ignored: the entries of f are summed without it": "sum((f(x + h) - f(x - h)) * df) / (2 * h)",
    "one-sided difference: f(x + h) - f(x)": "its error is proportional to h, not to h squared: " + _RIGHT,
    "one-sided difference: f(x) - f(x - h)": "its error is proportional to h, not to h squared: " + _RIGHT,
    "divided by h instead of 2 h": "h not doubled: the points x + h and x - h are 2 h apart: " + _RIGHT,
    "one-sided difference, divided by 2 h": _RIGHT,
    "f(x + h) is divided by 2 h, f(x - h) is not subtracted": _RIGHT,
    "f(x - h) is added instead of subtracted": _RIGHT,
    "the second derivative": _RIGHT,
    "not divided by the step": _RIGHT,
    "divided by 2 only": _RIGHT,
    "multiplied by 2 h instead of divided": _RIGHT,
    "divided by 4 h instead of 2 h": _RIGHT,
    "divided by h squared": _RIGHT,
    "brackets are missing: / 2 * h": "write / (2 * h)",
    "the sign is flipped: f(x - h) - f(x + h)": _RIGHT,
    "the absolute value of the difference": _RIGHT,
    "x is not restored: it stays at x + h": _RESTORE,
    "x is not restored: it stays at x - h": _RESTORE,
    "all entries are moved at once": "move one entry at a time: " + _RIGHT,
    "the whole row is moved at once": "move one entry at a time; an array with several axes needs an index of each",
    "the gradient is summed to one number": "each entry has a derivative of its own",
    "the gradient is flattened": "the gradient has the shape of x",
    "only the first entry is computed": "is the return inside the loop?",
    "only the first row is computed": "go through all axes, with np.ndindex or np.nditer",
    "only the last entry is computed": "write into dx[i] inside the loop",
    "the gradient is rounded to integers": "the array of the gradient must hold floats",
}


def _quantities(inputs: Inputs) -> dict[str, float]:
    return {"the step h": inputs["h"], "the number of entries": inputs["x"].size}


def _read(raw: Any, values: dict[str, Any]) -> Results:
    return {"dx": raw, "x_afterwards": values["x"]}


def _array_function(i: Inputs) -> dict[str, Any]:
    return {"f": i["values"]}


_HINTS = {
    "large step": "wrong only for a large step, where the error of the method shows",
    "matrix": "wrong only for matrices: go through all axes",
    "three axes": "wrong only for arrays with three axes",
    "vector": "wrong only for vectors",
    "one number": "wrong only for a single number",
}
_RESULTS = ("dx", "x_afterwards")
_X = frozenset({"x"})

OPERATION = Operation(
    name="numeric_gradient",
    title="Gradient of f at x by central differences",
    formula=_RIGHT + "\nf takes an array and returns a number; x is as before when the function returns",
    parts=(
        PartOfOperation(
            name="gradient",
            forms=(
                Form(
                    "pytorch",
                    "gradient(f, x, h=1e-5) -> dx",
                    ("f", "x"),
                    _RESULTS,
                    {"h": _DEFAULT_STEP},
                    read=_read,
                    may_change=_X,
                    names=("f", "x", "h"),
                ),
                Form(
                    "cs231n",
                    "gradient(f, x, verbose=True, h=1e-5) -> grad",
                    ("f", "x"),
                    _RESULTS,
                    {"verbose": False, "h": _DEFAULT_STEP},
                    read=_read,
                    may_change=_X,
                    names=("f", "x", "verbose", "h"),
                ),
                Form(
                    "cs231n",
                    "gradient(f, x, df, h=1e-5) -> grad, where f returns an array, which df weights",
                    ("f", "x", "df"),
                    _RESULTS,
                    {"h": _DEFAULT_STEP},
                    arguments=_array_function,
                    read=_read,
                    may_change=_X,
                    names=("f", "x", "df", "h"),
                ),
            ),
            cases=_cases,
            right=_right,
            compute=_compute,
            mistakes=_MISTAKES,
            quantities=_quantities,
            hints=_HINTS,
            expensive=True,
        ),
    ),
)
