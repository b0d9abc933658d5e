"""The sigmoid function."""

from typing import Any

import numpy as np

from fastnn import reference
from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(label: str, shape: tuple[int, ...], scale: float = 2.0, dtype: Any = np.float64, **more: Any) -> Case:
        x = (scale * rng.standard_normal(shape)).astype(dtype)
        inputs = {"x": x, "dy": rng.standard_normal(shape).astype(dtype), "y": reference.sigmoid(x).astype(dtype)}
        return Case(f"{label}shape {shape}", inputs, **more)

    return [
        case("", (5, 4)),
        case("", (3, 7), scale=5.0),
        case("one sample, ", (1, 6)),
        case("vector, ", (9,), tags=("vector",)),
        case("images, ", (2, 3, 4, 5), tags=("images",)),
        case("large numbers, ", (4, 5), scale=1000.0, tags=("large numbers",)),
        case("float32, ", (5, 5), dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right_forward(inputs: Inputs) -> Results:
    return {"y": reference.sigmoid(double(inputs)["x"])}


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    x = double(inputs)["x"]
    y = reference.sigmoid(x)
    if "overflow for large numbers" in wrong:
        y = np.exp(x) / (1 + np.exp(x))
    if "the minus in the exponent is missing" in wrong:
        y = reference.sigmoid(-x)
    if "the 1 in the denominator is missing" in wrong:
        y = 1 / np.exp(-x)
    if "brackets are missing around the denominator" in wrong:
        y = 1 + np.exp(-x)
    if "1 is subtracted in the denominator" in wrong:
        y = 1 / (1 - np.exp(-x))
    if "the reciprocal is missing" in wrong:
        y = np.exp(-x)
    if "tanh instead of the sigmoid" in wrong:
        y = np.tanh(x)
    if "the sigmoid of 2 x" in wrong:
        y = reference.sigmoid(2 * x)
    if "the sigmoid of x / 2" in wrong:
        y = reference.sigmoid(x / 2)
    if "rounded to 0 or 1" in wrong:
        y = (x > 0).astype(np.float64)
    if "softmax instead of the sigmoid" in wrong:
        y = reference.softmax(x, -1)
    if "ReLU instead of the sigmoid" in wrong:
        y = np.maximum(x, 0)
    if "the logarithm of the sigmoid" in wrong:
        y = -np.logaddexp(0, -x)
    if "the derivative of the sigmoid is returned" in wrong:
        y = y * (1 - y)
    if "2 to the power of -x instead of e" in wrong:
        y = reference.sigmoid(x * np.log(2))
    if "the hard sigmoid, made of straight lines" in wrong:
        y = np.clip(x / 6 + 0.5, 0, 1)
    return {"y": y}


def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    y = i["y"]
    if "by_x" in i:
        y = reference.sigmoid(i["x"])
    return {"dx": reference.sigmoid_backward(i["dy"], y)}


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    dy, x, y = i["dy"], i["x"], i["y"]
    if "by_x" in i:
        y = reference.sigmoid(x)
    if "the sigmoid is applied to y again" in wrong:
        y = reference.sigmoid(y)
    if "x is taken for y" in wrong:
        y = x
    dx = dy * y * (1 - y)
    if "the factor 1 - y is missing" in wrong:
        dx = dy * y
    if "the factor y is missing" in wrong:
        dx = dy * (1 - y)
    if "1 + y for 1 - y" in wrong:
        dx = dy * y * (1 + y)
    if "y - 1 for 1 - y" in wrong:
        dx = dy * y * (y - 1)
    if "1 - y**2 is the derivative of tanh" in wrong:
        dx = dy * (1 - y * y)
    if "dy is ignored" in wrong:
        dx = y * (1 - y)
    if "dy is handed on as it came" in wrong:
        dx = dy
    if "y squared for y" in wrong:
        dx = dy * y * y * (1 - y)
    if "1 - y squared" in wrong:
        dx = dy * y * (1 - y) ** 2
    if "brackets are missing: y * 1 - y" in wrong:
        dx = dy * y - y
    if "brackets are missing: dy * (y - y**2) became dy * y - y**2" in wrong:
        dx = dy * y - y * y
    if "dy is added instead of multiplied" in wrong:
        dx = dy + y * (1 - y)
    if "multiplied by x once too often" in wrong:
        dx = dx * x
    if "the derivative of ReLU" in wrong:
        dx = dy * (y > 0.5)
    return {"dx": dx}


def _quantities(inputs: Inputs) -> dict[str, float]:
    return {"the batch size": len(inputs["x"]), "the number of entries": inputs["x"].size}


_HINTS = {
    **FLOAT32_HINT,
    "large numbers": "overflow for large numbers: exp(x) is infinite for x > 709. Use 1 / (1 + exp(-x)) for x >= 0 and "
    "exp(x) / (1 + exp(x)) for x < 0",
    "vector": "wrong only for arrays with one axis: the sigmoid acts on every entry",
    "images": "wrong only for arrays with four axes: the sigmoid acts on every entry",
}
_RIGHT = "y = 1 / (1 + exp(-x))"
_RIGHT_BACKWARD = "dx = dy * y * (1 - y)"
_NAMES = ("x", "y", "dy")

OPERATION = Operation(
    name="sigmoid",
    title="Sigmoid",
    formula=f"""\
{_RIGHT}
{_RIGHT_BACKWARD}, where y is the result of forward""",
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
                "overflow for large numbers": "exp(x) / (1 + exp(x)) is infinity / infinity for large x; " + _RIGHT,
                "the minus in the exponent is missing": _RIGHT,
                "the 1 in the denominator is missing": _RIGHT,
                "brackets are missing around the denominator": _RIGHT,
                "1 is subtracted in the denominator": _RIGHT,
                "the reciprocal is missing": _RIGHT,
                "tanh instead of the sigmoid": _RIGHT,
                "the sigmoid of 2 x": _RIGHT,
                "the sigmoid of x / 2": _RIGHT,
                "rounded to 0 or 1": _RIGHT,
                "softmax instead of the sigmoid": "nothing is normalised: each entry is for itself",
                "ReLU instead of the sigmoid": _RIGHT,
                "the logarithm of the sigmoid": _RIGHT,
                "the derivative of the sigmoid is returned": _RIGHT,
                "2 to the power of -x instead of e": _RIGHT,
                "the hard sigmoid, made of straight lines": _RIGHT,
            },
            quantities=_quantities,
            hints=_HINTS,
        ),
        PartOfOperation(
            name="backward",
            forms=(
                Form("pytorch", "backward(dy, y) -> dx", ("dy", "y"), ("dx",), names=_NAMES),
                Form(
                    "pytorch",
                    "backward(dy, x) -> dx, for a second parameter that is called x",
                    ("dy", "x"),
                    ("dx",),
                    extra={"by_x": True},
                    names=_NAMES,
                ),
                Form("pytorch", "backward(dy, cache) -> dx", ("dy", "cache"), ("dx",), names=("dy",)),
                Form("cs231n", "backward(dout, cache) -> dx", ("dy", "cache"), ("dx",), names=("dout", "cache")),
            ),
            cases=_cases,
            right=_right_backward,
            compute=_backward,
            mistakes={
                "the sigmoid is applied to y again": "y is the result of the sigmoid already: " + _RIGHT_BACKWARD,
                "x is taken for y": _RIGHT_BACKWARD + ", with y = sigmoid(x)",
                "the factor 1 - y is missing": _RIGHT_BACKWARD,
                "the factor y is missing": _RIGHT_BACKWARD,
                "1 + y for 1 - y": _RIGHT_BACKWARD,
                "y - 1 for 1 - y": "the sign is flipped: " + _RIGHT_BACKWARD,
                "1 - y**2 is the derivative of tanh": _RIGHT_BACKWARD,
                "dy is ignored": "the derivative y * (1 - y) must be multiplied by dy",
                "dy is handed on as it came": "the derivative is missing: " + _RIGHT_BACKWARD,
                "y squared for y": _RIGHT_BACKWARD,
                "1 - y squared": _RIGHT_BACKWARD,
                "brackets are missing: y * 1 - y": _RIGHT_BACKWARD,
                "brackets are missing: dy * (y - y**2) became dy * y - y**2": _RIGHT_BACKWARD,
                "dy is added instead of multiplied": _RIGHT_BACKWARD,
                "multiplied by x once too often": _RIGHT_BACKWARD,
                "the derivative of ReLU": _RIGHT_BACKWARD,
            },
            quantities=_quantities,
            hints=_HINTS,
        ),
    ),
)
