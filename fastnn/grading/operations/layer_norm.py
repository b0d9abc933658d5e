"""Layer normalisation of the rows of a matrix."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._normalisation import (
    AFFINE_MISTAKES,
    EPS_MISTAKES,
    affine,
    backward_mistakes,
    backward_terms,
    backward_with,
    inverse_with,
    statistics_mistakes,
    statistics_with,
)
from fastnn.grading.operations._shared import FLOAT32_HINT, GRADIENTS, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(
        label: str,
        n: int,
        d: int,
        scale: float = 2.0,
        shift: float = 1.0,
        eps: float = 1e-5,
        dtype: Any = np.float64,
        constant_row: bool = False,
        **more: Any,
    ) -> Case:
        x = scale * rng.standard_normal((n, d)) * rng.uniform(0.5, 1.5, (n, 1)) + shift * rng.standard_normal((n, 1))
        if constant_row:
            x[0] = x[0, 0]
        arrays = {
            "x": x,
            "weight": rng.uniform(0.5, 2, d),
            "bias": rng.standard_normal(d),
            "dy": rng.standard_normal((n, d)),
        }
        inputs: Inputs = {name: array.astype(dtype) for name, array in arrays.items()}
        return Case(f"{label}N={n}, D={d}, eps={eps:g}", inputs | {"eps": eps}, **more)

    return [
        case("", 5, 4),
        case("", 3, 7, eps=0.1),
        case("small numbers, ", 4, 6, scale=0.01, shift=0.01, tags=("small numbers",)),
        case("square, ", 4, 4, shift=3.0),
        case("one sample, ", 1, 6, tags=("one sample",)),
        case("one row is constant, ", 3, 5, constant_row=True, tags=("zero variance",)),
        case("one feature, ", 3, 1, eps=0.01, tags=("one feature",)),
        case("large mean, ", 3, 8, shift=20.0, tags=("large mean",)),
        case("float32, ", 4, 9, dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right_forward(inputs: Inputs) -> Results:
    i = double(inputs)
    return {"y": reference.layer_norm(i["x"], i["weight"], i["bias"], i["eps"])[0]}


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    mean, var = statistics_with(i, wrong, 1)
    inverse = inverse_with(var, i["eps"], wrong)
    x_hat = (i["x"] - mean) * inverse
    if "the mean is added" in wrong:
        x_hat = (i["x"] + mean) * inverse
    if "the mean is subtracted after the division" in wrong:
        x_hat = i["x"] * inverse - mean
    if "root mean square normalisation: the mean is ignored" in wrong:
        x_hat = i["x"] * inverse_with(np.square(i["x"]).mean(1, keepdims=True), i["eps"], wrong)
    return {"y": affine(x_hat, i, wrong)}


def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    _, mean, invstd = reference.layer_norm(i["x"], i["weight"], None, i["eps"])
    gradients = reference.layer_norm_backward(i["dy"], i["x"], mean, invstd, i["weight"])
    return dict(zip(GRADIENTS, gradients, strict=True))


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    return backward_with(double(inputs), wrong, 1)


def _terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    return {"dx": backward_terms(double(inputs), frozenset(), 1)[0]}


def _fields(inputs: Inputs) -> dict[str, NDArray]:
    i = double(inputs)
    deviation = np.sqrt(i["x"].var(1, keepdims=True) + i["eps"])
    return {"the weight (gamma)": i["weight"], "the standard deviation": deviation}


def _quantities(inputs: Inputs) -> dict[str, float]:
    n, d = inputs["x"].shape
    return {"the batch size": n, "the number of features": d}


_EPS = {"eps": 1e-5}
_HINTS = {
    **FLOAT32_HINT,
    "zero variance": "wrong only where a row is constant, so that its variance is 0: is eps where it must be?",
    "small numbers": "wrong only for small numbers, where eps matters",
    "one sample": "wrong only for a batch of one sample",
    "one feature": "wrong only for one feature (D = 1)",
    "large mean": "wrong only where the mean is large: is the variance a difference of large numbers?",
}
_PYTORCH = ("x", "weight", "bias", "dy")
_CS231N = ("x", "gamma", "beta", "ln_param", "dout", "cache")


def _ln_param(i: Inputs) -> dict[str, Any]:
    return {"ln_param": {"eps": i["eps"]}}


OPERATION = Operation(
    name="layer_norm",
    title="Layer normalisation of x (N, D)",
    formula="""\
y = weight * (x - mean) / sqrt(var + eps) + bias, with mean and biased variance of each row
with g = dy * weight: dx = (g - mean(g) - x_hat * mean(g * x_hat)) / sqrt(var + eps), means of each row
dweight = sum(dy * x_hat) and dbias = sum(dy) over the samples""",
    parts=(
        PartOfOperation(
            name="forward",
            forms=(
                Form(
                    "pytorch",
                    "forward(x, weight, bias, eps=1e-5) -> y",
                    ("x", "weight", "bias"),
                    ("y",),
                    _EPS,
                    names=_PYTORCH,
                ),
                Form(
                    "cs231n",
                    "forward(x, gamma, beta, ln_param) -> (out, cache), with ln_param = {eps}",
                    ("x", "weight", "bias", "ln_param"),
                    ("y",),
                    arguments=_ln_param,
                    may_change=frozenset({"ln_param"}),
                    names=_CS231N,
                ),
            ),
            cases=_cases,
            right=_right_forward,
            compute=_forward,
            mistakes={
                **EPS_MISTAKES,
                **statistics_mistakes(1),
                "the mean is not subtracted": "x_hat = (x - mean) / sqrt(var + eps)",
                "the mean is added": "x_hat = (x - mean) / sqrt(var + eps)",
                "the mean is subtracted after the division": "brackets are missing: (x - mean) / sqrt(var + eps)",
                "root mean square normalisation: the mean is ignored": "subtract the mean: (x - mean) / sqrt(var + "
                "eps)",
                **AFFINE_MISTAKES,
            },
            fields=_fields,
            quantities=_quantities,
            hints=_HINTS,
        ),
        PartOfOperation(
            name="backward",
            forms=(
                Form(
                    "pytorch",
                    "backward(dy, x, weight, eps=1e-5) -> (dx, dweight, dbias)",
                    ("dy", "x", "weight"),
                    GRADIENTS,
                    _EPS,
                    names=_PYTORCH,
                ),
                Form(
                    "pytorch", "backward(dy, cache) -> (dx, dweight, dbias)", ("dy", "cache"), GRADIENTS, names=("dy",)
                ),
                Form(
                    "cs231n", "backward(dout, cache) -> (dx, dgamma, dbeta)", ("dy", "cache"), GRADIENTS, names=_CS231N
                ),
            ),
            cases=_cases,
            right=_right_backward,
            compute=_backward,
            mistakes=backward_mistakes(1),
            terms=_terms,
            fields=_fields,
            quantities=_quantities,
            hints=_HINTS,
        ),
    ),
)
