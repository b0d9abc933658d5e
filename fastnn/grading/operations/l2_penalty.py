"""The L2 penalty on large weights."""

from typing import Any

import numpy as np

from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION", "PENALTY_MISTAKES"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(label: str, shape: tuple[int, ...], reg: float, dtype: Any = np.float64, **more: Any) -> Case:
        weight = (1.5 * rng.standard_normal(shape) + 0.3).astype(dtype)
        inputs: Inputs = {"weight": weight, "reg": reg, "half": settings["half"]}
        return Case(f"{label}shape {shape}, reg={reg:g}", inputs, **more)

    return [
        case("", (4, 3), 0.05),
        case("", (5,), 0.3, tags=("vector",)),
        case("square, ", (3, 3), 2.0),
        case("filters, ", (2, 3, 3, 2), 0.7, tags=("filters",)),
        case("one number, ", (1, 1), 0.25, tags=("one number",)),
        case("no penalty, ", (4, 2), 0.0, tags=("reg 0",)),
        case("float32, ", (6, 5), 0.1, np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right(inputs: Inputs) -> Results:
    i = double(inputs)
    factor = 0.5 if i["half"] else 1.0
    return {
        "loss": np.asarray(factor * i["reg"] * np.square(i["weight"]).sum()),
        "dweight": 2 * factor * i["reg"] * i["weight"],
    }


def _compute(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    weight, reg = i["weight"], i["reg"]
    factor = 0.5 if i["half"] else 1.0
    size = np.square(weight).sum()
    if "the norm instead of its square: the root is too many" in wrong:
        size = np.sqrt(size)
    if "the sum of the magnitudes: an L1 penalty" in wrong:
        size = np.abs(weight).sum()
    if "the sum of the weights, not of their squares" in wrong:
        size = weight.sum()
    if "the square of the sum, not the sum of the squares" in wrong:
        size = weight.sum() ** 2
    if "the mean of the squares instead of their sum" in wrong:
        size = np.square(weight).mean()
    if "divided by the number of rows" in wrong:
        size = size / len(weight)
    if "the third power" in wrong:
        size = (weight**3).sum()
    if "the largest square instead of the sum" in wrong:
        size = np.square(weight).max()
    direction = 2 * factor * weight
    if "the gradient of an L1 penalty: the sign of the weights" in wrong:
        direction = np.sign(weight)
    if "the squares of the weights" in wrong:
        direction = factor * np.square(weight)
    if "twice the squares of the weights" in wrong:
        direction = 2 * factor * np.square(weight)
    if "the magnitudes of the weights" in wrong:
        direction = np.abs(direction)
    if "the gradient of the norm: divided by the norm" in wrong:
        direction = weight / np.sqrt(np.square(weight).sum())
    if "the gradient is summed to one number" in wrong:
        direction = np.asarray(direction.sum())
    if "the gradient is divided by the number of entries" in wrong:
        direction = direction / weight.size
    if "the gradient is divided by the number of rows" in wrong:
        direction = direction / len(weight)
    if "the gradient has the wrong sign" in wrong:
        direction = -direction
    if "ones instead of the weights" in wrong:
        direction = 2 * factor * np.ones_like(weight)
    loss_reg = gradient_reg = reg
    if "reg is not used in the penalty" in wrong:
        loss_reg = 1.0
    if "reg is not used in the gradient" in wrong:
        gradient_reg = 1.0
    if "reg is squared in the penalty" in wrong:
        loss_reg = reg * reg
    if "reg is squared in the gradient" in wrong:
        gradient_reg = reg * reg
    if "divided by reg" in wrong:
        loss_reg = 1 / reg
    loss = factor * loss_reg * size
    gradient = gradient_reg * direction
    if "a factor 1/2 in the penalty that does not belong there" in wrong:
        loss = reg * size / 2
    if "the factor 1/2 of the penalty is missing" in wrong:
        loss = reg * size
    if "a factor 2 in the penalty that does not belong there" in wrong:
        loss = 2 * reg * size
    if "the factor 2 of the gradient is missing" in wrong:
        gradient = reg * weight
    if "a factor 2 in the gradient that does not belong there" in wrong:
        gradient = 2 * reg * weight
    if "the gradient is added to the weight (the updated weight is returned)" in wrong:
        gradient = weight - gradient
    if "the penalty has the wrong sign" in wrong:
        loss = -loss
    return {"loss": np.asarray(loss), "dweight": gradient}


_LOSS = "penalty = reg * sum(weight**2)"
_GRADIENT = "its derivative is 2 * reg * weight"
PENALTY_MISTAKES = {
    "a factor 1/2 in the penalty that does not belong there": _LOSS
    + ", without 1/2 (the setting half=True asks for 1/2)",
    "the factor 1/2 of the penalty is missing": "half=True asks for reg / 2 * sum(weight**2)",
    "a factor 2 in the penalty that does not belong there": _LOSS,
    "the norm instead of its square: the root is too many": _LOSS,
    "the sum of the magnitudes: an L1 penalty": _LOSS,
    "the sum of the weights, not of their squares": _LOSS,
    "the square of the sum, not the sum of the squares": _LOSS,
    "the mean of the squares instead of their sum": _LOSS,
    "divided by the number of rows": _LOSS,
    "the third power": _LOSS,
    "the largest square instead of the sum": _LOSS,
    "reg is not used in the penalty": _LOSS,
    "reg is squared in the penalty": _LOSS,
    "divided by reg": _LOSS,
    "the penalty has the wrong sign": _LOSS,
}
_GRADIENT_MISTAKES = {
    "the factor 2 of the gradient is missing": _GRADIENT + ": the penalty is reg * sum(weight**2), without 1/2",
    "a factor 2 in the gradient that does not belong there": "the penalty has the factor 1/2 (half=True)",
    "the gradient of an L1 penalty: the sign of the weights": _GRADIENT,
    "the squares of the weights": _GRADIENT,
    "twice the squares of the weights": _GRADIENT,
    "the magnitudes of the weights": _GRADIENT,
    "the gradient of the norm: divided by the norm": _GRADIENT,
    "the gradient is summed to one number": "each weight has a gradient of its own: " + _GRADIENT,
    "the gradient is divided by the number of entries": _GRADIENT,
    "the gradient is divided by the number of rows": _GRADIENT,
    "the gradient has the wrong sign": _GRADIENT,
    "ones instead of the weights": _GRADIENT,
    "reg is not used in the gradient": _GRADIENT,
    "reg is squared in the gradient": _GRADIENT,
    "the gradient is added to the weight (the updated weight is returned)": _GRADIENT,
}


def _quantities(inputs: Inputs) -> dict[str, float]:
    weight = inputs["weight"]
    return {"reg": inputs["reg"], "the number of weights": weight.size, "the number of rows": len(weight)}


_HINTS = {
    **FLOAT32_HINT,
    "vector": "wrong only for a vector",
    "filters": "wrong only for weights with four axes: the sum goes over all of them",
    "reg 0": "wrong only for reg = 0",
}
_ARGUMENTS = ("weight", "reg")
_COMMON: dict[str, Any] = {
    "cases": _cases,
    "right": _right,
    "compute": _compute,
    "quantities": _quantities,
    "hints": _HINTS,
}


def _forms(function: str, text: str, results: tuple[str, ...]) -> tuple[Form, ...]:
    return (
        Form("pytorch", f"{function}(weight, reg) -> {text}", _ARGUMENTS, results, names=_ARGUMENTS),
        Form("cs231n", f"{function}(W, reg) -> {text}", _ARGUMENTS, results, names=("w", "reg")),
    )


OPERATION = Operation(
    name="l2_penalty",
    title="L2 penalty on weights of any shape",
    formula="penalty = reg * sum(weight**2); gradient = 2 * reg * weight\n"
    "With half=True: penalty = reg / 2 * sum(weight**2); gradient = reg * weight",
    settings={"half": False},
    allowed={"half": (False, True)},
    parts=(
        PartOfOperation(
            name="penalty", forms=_forms("penalty", "loss", ("loss",)), mistakes=PENALTY_MISTAKES, **_COMMON
        ),
        PartOfOperation(
            name="gradient", forms=_forms("gradient", "dweight", ("dweight",)), mistakes=_GRADIENT_MISTAKES, **_COMMON
        ),
        PartOfOperation(
            name="loss_and_gradient",
            forms=_forms("loss_and_gradient", "(loss, dweight)", ("loss", "dweight")),
            mistakes={**PENALTY_MISTAKES, **_GRADIENT_MISTAKES},
            **_COMMON,
        ),
    ),
)
