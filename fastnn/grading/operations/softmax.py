"""Softmax of the rows of a matrix."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(
        label: str, n: int, c: int, scale: float = 2.0, shift: Any = 0.0, dtype: Any = np.float64, **more: Any
    ) -> Case:
        x = (scale * rng.standard_normal((n, c)) + shift).astype(dtype)
        y = reference.softmax(x, 1).astype(dtype)
        inputs = {"x": x, "dy": rng.standard_normal((n, c)).astype(dtype), "y": y}
        return Case(f"{label}N={n}, C={c}", inputs, **more)

    return [
        case("", 5, 4),
        case("", 3, 6),
        case("square, ", 4, 4),
        case("one sample, ", 1, 5, tags=("one sample",)),
        case("one class, ", 4, 1, tags=("one class",)),
        case("scores near 1000, ", 4, 3, shift=1000.0, tags=("large scores",)),
        case("scores near -1000, ", 4, 3, shift=-1000.0, tags=("large scores", "very negative scores")),
        case(
            "rows of very different size, ", 3, 4, shift=np.array([[-2000.0], [0.0], [2000.0]]), tags=("large scores",)
        ),
        case("scores from -1000 to 1000, ", 5, 4, scale=1000.0, tags=("large scores",)),
        case("float32, ", 5, 3, dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right_forward(inputs: Inputs) -> Results:
    return {"y": reference.softmax(double(inputs)["x"], 1)}


def softmax_with(x: NDArray, wrong: Wrong) -> NDArray:
    """The softmax with mistakes, for this operation and the losses."""
    axis: int | None = 1
    if "softmax along the wrong axis" in wrong:
        axis = 0
    if "softmax over the whole array" in wrong:
        axis = None
    highest = x.max(axis=axis, keepdims=True)
    if "the maximum of the whole array is subtracted" in wrong:
        highest = x.max(keepdims=True)
    if "overflow for large scores" in wrong:
        highest = np.zeros_like(highest)
    if "the minimum is subtracted instead of the maximum" in wrong:
        highest = x.min(axis=axis, keepdims=True)
    if "the mean is subtracted instead of the maximum" in wrong:
        highest = x.mean(axis=axis, keepdims=True)
    if "the maximum is added instead of subtracted" in wrong:
        highest = -highest
    if "the maximum of each column is subtracted" in wrong:
        highest = x.max(axis=0, keepdims=True)
    e = np.exp(x - highest)
    total = e.sum(axis=axis, keepdims=True)
    if "the sum is taken without subtracting the maximum" in wrong:
        total = np.exp(x).sum(axis=axis, keepdims=True)
    if "the maximum is subtracted in the sum only" in wrong:
        e = np.exp(x)
    if "the exponentials are not divided by their sum" in wrong:
        total = np.ones_like(total)
    if "the mean of the exponentials for their sum" in wrong:
        total = total / x.shape[1]
    if "the largest exponential for their sum" in wrong:
        total = e.max(axis=axis, keepdims=True)
    if "the root of the sum of squares for the sum" in wrong:
        total = np.sqrt(np.square(e).sum(axis=axis, keepdims=True))
    return e / total


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    x = double(inputs)["x"]
    if "the sign of the scores is flipped" in wrong:
        x = -x
    if "2 to the power of x instead of e" in wrong:
        x = x * np.log(2)
    y = softmax_with(x, wrong)
    if "the exponential is missing" in wrong:
        y = x / x.sum(1, keepdims=True)
    if "the logarithm of the softmax" in wrong:
        y = reference.log_softmax(x, 1)
    if "1 for the largest, 0 for the others" in wrong:
        y = (x == x.max(1, keepdims=True)).astype(np.float64)
    if "sigmoid instead of softmax" in wrong:
        y = reference.sigmoid(x)
    if "softmax applied twice" in wrong:
        y = reference.softmax(y, 1)
    return {"y": y}


SOFTMAX_MISTAKES = {
    "overflow for large scores": "exp of a score near 1000 is infinite: subtract the largest score of each row first",
    "softmax along the wrong axis": "the classes are axis 1: each row sums to 1",
    "softmax over the whole array": "each row sums to 1: axis=1 is missing",
    "the maximum of the whole array is subtracted": "rows far below it become 0 / 0: subtract the maximum of each row",
    "the maximum of each column is subtracted": "the maximum of each row: axis=1",
    "the minimum is subtracted instead of the maximum": "then exp still overflows",
    "the mean is subtracted instead of the maximum": "then exp still may overflow",
    "the maximum is added instead of subtracted": "then exp overflows even sooner",
    "the sum is taken without subtracting the maximum": "numerator and denominator need the same shift",
    "the maximum is subtracted in the sum only": "numerator and denominator need the same shift",
    "the exponentials are not divided by their sum": "each row sums to 1",
    "the mean of the exponentials for their sum": "each row sums to 1",
    "the largest exponential for their sum": "each row sums to 1",
    "the root of the sum of squares for the sum": "each row sums to 1",
}


def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    return {"dx": reference.softmax_backward(i["dy"], i["y"], 1)}


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    dy, y, x = i["dy"], i["y"], i["x"]
    if "softmax is applied to y again" in wrong:
        y = reference.softmax(y, 1)
    if "x is taken for y" in wrong:
        y = x
    inner = (dy * y).sum(1, keepdims=True)
    if "the sum is taken along the wrong axis" in wrong:
        inner = (dy * y).sum(0, keepdims=True)
    if "the sum is taken over the whole array" in wrong:
        inner = (dy * y).sum()
    if "the mean of dy * y for the sum" in wrong:
        inner = inner / y.shape[1]
    if "y is missing in the sum" in wrong:
        inner = dy.sum(1, keepdims=True)
    if "dy is missing in the sum" in wrong:
        inner = y.sum(1, keepdims=True)
    if "the term of the sum is missing" in wrong:
        inner = np.zeros_like(inner)
    if "the term of the sum is added instead of subtracted" in wrong:
        inner = -inner
    dx = y * (dy - inner)
    if "the factor y is missing" in wrong:
        dx = dy - inner
    if "only the diagonal of the Jacobian is used: y * (1 - y)" in wrong:
        dx = dy * y * (1 - y)
    if "dy is ignored: y * (1 - y)" in wrong:
        dx = y * (1 - y)
    if "the sum is not multiplied by y" in wrong:
        dx = dy * y - inner
    if "dy is handed on as it came" in wrong:
        dx = dy
    if "the formula of the cross-entropy: y - dy" in wrong:
        dx = y - dy
    if "the formula of the log-softmax" in wrong:
        dx = dy - y * dy.sum(1, keepdims=True)
    return {"dx": dx}


def _terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    i = double(inputs)
    return {"dx": {"y * dy": i["y"] * i["dy"], "of the sum": -i["y"] * (i["dy"] * i["y"]).sum(1, keepdims=True)}}


def _quantities(inputs: Inputs) -> dict[str, float]:
    n, c = inputs["x"].shape
    return {"the batch size": n, "the number of classes": c}


_HINTS = {
    **FLOAT32_HINT,
    "large scores": "overflow for large scores: exp of a score near 1000 is infinite, and of -1000 zero; subtract "
    "the largest "
    "score of each row first",
    "one sample": "wrong only for a batch of one sample",
    "one class": "wrong only for a single class",
}
_SUM = "dx = y * (dy - sum(dy * y)), the sum over the classes of each row"
_NAMES = ("x", "y", "dy")

OPERATION = Operation(
    name="softmax",
    title="Softmax of x (N, C) along axis 1",
    formula=f"""\\
y = exp(x - max) / sum(exp(x - max)), max and sum of each row
{_SUM}""",
    parts=(
        PartOfOperation(
            name="forward",
            forms=(
                Form("pytorch", "forward(x) -> y", ("x",), ("y",), names=_NAMES),
                Form("cs231n", "forward(x) -> (out, cache), or -> out", ("x",), ("y",), names=("dout", "cache")),
            ),
            cases=_cases,
            right=_right_forward,
            compute=_forward,
            mistakes={
                **SOFTMAX_MISTAKES,
                "the exponential is missing": "y = exp(x) / sum(exp(x))",
                "the logarithm of the softmax": "y = exp(x) / sum(exp(x))",
                "the sign of the scores is flipped": "exp(x), not exp(-x)",
                "2 to the power of x instead of e": "use np.exp",
                "1 for the largest, 0 for the others": "softmax gives probabilities",
                "sigmoid instead of softmax": "each row sums to 1",
                "softmax applied twice": "once is right",
            },
            quantities=_quantities,
            hints=_HINTS,
        ),
        PartOfOperation(
            name="backward",
            forms=(
                Form("pytorch", "backward(dy, y) -> dx", ("dy", "y"), ("dx",), names=_NAMES),
                Form("pytorch", "backward(dy, cache) -> dx", ("dy", "cache"), ("dx",), names=("dy",)),
                Form("cs231n", "backward(dout, cache) -> dx", ("dy", "cache"), ("dx",), names=("dout", "cache")),
                Form(
                    "pytorch",
                    "backward(dy, x) -> dx, for a second parameter that is called x",
                    ("dy", "x"),
                    ("dx",),
                    names=_NAMES,
                ),
            ),
            cases=_cases,
            right=_right_backward,
            compute=_backward,
            mistakes={
                "the term of the sum is missing": "every y depends on all x of its row: " + _SUM,
                "the term of the sum is added instead of subtracted": _SUM,
                "only the diagonal of the Jacobian is used: y * (1 - y)": "every y depends on all x of its row: "
                + _SUM,
                "dy is ignored: y * (1 - y)": _SUM,
                "the sum is taken along the wrong axis": "over the classes of each row: axis 1",
                "the sum is taken over the whole array": "over the classes of each row: axis 1",
                "the mean of dy * y for the sum": _SUM,
                "y is missing in the sum": _SUM,
                "dy is missing in the sum": _SUM,
                "the factor y is missing": _SUM,
                "the sum is not multiplied by y": _SUM,
                "dy is handed on as it came": _SUM,
                "softmax is applied to y again": "y is the result of softmax already",
                "x is taken for y": _SUM + ", with y = softmax(x)",
                "the formula of the cross-entropy: y - dy": "that holds for softmax and cross-entropy together, not "
                "for softmax",
                "the formula of the log-softmax": _SUM,
            },
            terms=_terms,
            quantities=_quantities,
            hints=_HINTS,
        ),
    ),
)
