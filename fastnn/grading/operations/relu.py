"""ReLU."""

from typing import Any

import numpy as np

from fastnn import reference
from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(label: str, shape: tuple[int, ...], scale: float = 3.0, dtype: Any = np.float64, **more: Any) -> Case:
        x = scale * rng.standard_normal(shape)
        if more.pop("zeros", False):
            x[::2] = 0
        inputs: Inputs = {"x": x.astype(dtype), "dy": rng.standard_normal(shape).astype(dtype)}
        inputs["y"] = reference.relu(inputs["x"])
        return Case(f"{label}shape {shape}", inputs, **more)

    return [
        case("", (5, 4)),
        case("", (3, 7), scale=10.0),
        case("one sample, ", (1, 6)),
        case("images, ", (2, 3, 4, 5), tags=("images",)),
        case("vector, ", (9,), tags=("vector",)),
        case("small numbers, ", (4, 6), scale=0.1),
        case("zeros among x, ", (6, 3), tags=("zeros",), zeros=True),
        case("large numbers, ", (4, 4), scale=1000.0, tags=("large numbers",)),
        case("float32, ", (5, 5), dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _backward_cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    return _cases(rng, settings)


def _right_forward(inputs: Inputs) -> Results:
    return {"y": reference.relu(double(inputs)["x"])}


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    x = double(inputs)["x"]
    y = np.maximum(x, 0)
    if "the negative part is kept instead of the positive" in wrong:
        y = np.minimum(x, 0)
    if "x is returned unchanged" in wrong:
        y = x
    if "the absolute value is returned" in wrong:
        y = np.abs(x)
    for slope in _SLOPES:
        if f"negative numbers keep {slope:g} of their size (leaky ReLU)" in wrong:
            y = np.where(x > 0, x, slope * x)
    if "the mask is returned instead of the numbers" in wrong:
        y = (x > 0).astype(np.float64)
    if "cut off at 1" in wrong:
        y = np.clip(x, 0, 1)
    if "cut off at 6 (ReLU6)" in wrong:
        y = np.clip(x, 0, 6)
    if "the threshold is 1, not 0" in wrong:
        y = np.where(x > 1, x, 0)
    if "at least 1 instead of at least 0" in wrong:
        y = np.maximum(x, 1)
    if "the maximum of the whole array is taken" in wrong:
        y = np.asarray(max(x.max(), 0.0))
    if "negative numbers become -1" in wrong:
        y = np.where(x > 0, x, -1)
    if "softplus instead of ReLU" in wrong:
        y = np.logaddexp(x, 0)
    if "sigmoid instead of ReLU" in wrong:
        y = reference.sigmoid(x)
    if "tanh instead of ReLU" in wrong:
        y = np.tanh(x)
    if "ELU instead of ReLU" in wrong:
        y = reference.elu(x, 1.0)
    return {"y": y}


_SLOPES = (0.01, 0.1, 0.2, 0.001, 0.05)
_LEAKY = {
    f"negative numbers keep {slope:g} of their size (leaky ReLU)": "ReLU is 0 for negative numbers" for slope in _SLOPES
}


def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    results: Results = {"dx": reference.relu_backward(i["dy"], i["y"])}
    if "by_x" in i:  # the derivative at 0 is a matter of choice, if x is known
        at_zero = i["x"] == 0
        results["dx otherwise"] = [np.where(at_zero, share * i["dy"], results["dx"]) for share in (1.0, 0.5)]
    return results


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    dy, x, y = i["dy"], i["x"], i["y"]
    mask = y > 0
    if "the mask is inverted" in wrong:
        mask = ~mask
    if "the mask is taken from dy instead of x" in wrong:
        mask = dy > 0
    if "the mask is y >= 0, which is always true" in wrong:
        mask = np.ones_like(mask)
    if "the threshold of the mask is 1, not 0" in wrong:
        mask = y > 1
    dx = dy * mask
    if "dy is ignored: the mask alone is returned" in wrong:
        dx = mask.astype(np.float64)
    if "multiplied by y instead of by its mask" in wrong:
        dx = dy * y
    if "multiplied by x instead of by its mask" in wrong:
        dx = dy * x
    if "y is returned: the derivative of x is 1" in wrong:
        dx = y
    if "ReLU is applied to dy" in wrong:
        dx = np.maximum(dy, 0)
    if "both masks: of x and of dy" in wrong:
        dx = np.maximum(dy, 0) * mask
    if "-dy where x is negative (the derivative of the absolute value)" in wrong:
        dx = dy * np.sign(x)
    if "1 is used where x is negative" in wrong:
        dx = np.where(mask, dy, 1)
    if "1 is used where x is positive" in wrong:
        dx = np.where(mask, 1, dy)
    for slope in _SLOPES:
        if f"negative numbers keep {slope:g} of their size (leaky ReLU)" in wrong:
            dx = np.where(mask, dy, slope * dy)
    return {"dx": dx}


_NAMES = ("x", "y", "dy")
_HINTS = {
    **FLOAT32_HINT,
    "images": "wrong only for arrays with four axes: ReLU acts on every entry, whatever the shape",
    "vector": "wrong only for arrays with one axis: ReLU acts on every entry, whatever the shape",
    "zeros": "wrong only where x is exactly 0",
}


def _quantities(inputs: Inputs) -> dict[str, float]:
    return {"the batch size": len(inputs["x"]), "the number of entries": inputs["x"].size}


OPERATION = Operation(
    name="relu",
    title="ReLU",
    formula="""\\
y = max(x, 0)
dx = dy where x > 0, and 0 elsewhere; at x = 0 either is right""",
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
                "the negative part is kept instead of the positive": "y = max(x, 0), not min",
                "x is returned unchanged": "negative numbers become 0",
                "the absolute value is returned": "negative numbers become 0",
                **_LEAKY,
                "the mask is returned instead of the numbers": "y = x where x > 0",
                "cut off at 1": "there is no upper limit",
                "cut off at 6 (ReLU6)": "there is no upper limit",
                "the threshold is 1, not 0": "y = max(x, 0)",
                "at least 1 instead of at least 0": "y = max(x, 0)",
                "the maximum of the whole array is taken": "np.maximum acts on every entry, np.max does not",
                "negative numbers become -1": "negative numbers become 0",
                "softplus instead of ReLU": "y = max(x, 0)",
                "sigmoid instead of ReLU": "y = max(x, 0)",
                "tanh instead of ReLU": "y = max(x, 0)",
                "ELU instead of ReLU": "y = max(x, 0)",
            },
            quantities=_quantities,
            hints=_HINTS,
        ),
        PartOfOperation(
            name="backward",
            forms=(
                Form("pytorch", "backward(dy, y) -> dx", ("dy", "y"), ("dx",), names=_NAMES),
                Form("pytorch", "backward(dy, x) -> dx", ("dy", "x"), ("dx",), extra={"by_x": True}, names=_NAMES),
                Form(
                    "pytorch",
                    "backward(dy, cache) -> dx",
                    ("dy", "cache"),
                    ("dx",),
                    extra={"by_x": True},
                    names=("dy",),
                ),
                Form(
                    "cs231n",
                    "backward(dout, cache) -> dx",
                    ("dy", "cache"),
                    ("dx",),
                    extra={"by_x": True},
                    names=("dout", "cache"),
                ),
            ),
            cases=_backward_cases,
            right=_right_backward,
            compute=_backward,
            mistakes={
                "the mask is inverted": "the gradient passes where x is positive",
                "the mask is taken from dy instead of x": "the gradient passes where x, not dy, is positive",
                "the mask is y >= 0, which is always true": "dy is handed on as it came; y is 0 where x is negative, "
                "so the mask is y > 0",
                "the threshold of the mask is 1, not 0": "the gradient passes where x > 0",
                "dy is ignored: the mask alone is returned": "multiply the mask by dy",
                "multiplied by y instead of by its mask": "the derivative is 1, not y, where y > 0",
                "multiplied by x instead of by its mask": "the derivative is 1, not x, where x > 0",
                "y is returned: the derivative of x is 1": "dx = dy * (y > 0)",
                "ReLU is applied to dy": "the gradient passes where x, not dy, is positive",
                "both masks: of x and of dy": "negative gradients pass, too",
                "-dy where x is negative (the derivative of the absolute value)": "dx is 0 there",
                "1 is used where x is negative": "dx is 0 there",
                "1 is used where x is positive": "dy is ignored there: dx = dy * (y > 0)",
                **_LEAKY,
            },
            quantities=_quantities,
            hints=_HINTS,
        ),
    ),
)
