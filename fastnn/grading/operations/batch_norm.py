"""Batch normalisation of the columns of a matrix: training, backward, inference, and the running statistics."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.grading.calling import first_of
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
from fastnn.grading.operations._shared import double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(
        label: str, n: int, d: int, scale: float = 2.0, shift: float = 1.0, eps: float = 1e-5, **more: Any
    ) -> Case:
        dtype = more.pop("dtype", np.float64)
        x = scale * rng.standard_normal((n, d)) * rng.uniform(0.5, 1.5, d) + shift * rng.standard_normal(d)
        if more.pop("constant_column", False):
            x[:, 0] = x[0, 0]
        arrays = {
            "x": x,
            "weight": rng.uniform(0.5, 2, d),
            "bias": rng.standard_normal(d),
            "dy": rng.standard_normal((n, d)),
            "running_mean": rng.standard_normal(d),
            "running_var": rng.uniform(0.5, 2, d),
        }
        inputs: Inputs = {name: array.astype(dtype) for name, array in arrays.items()}
        inputs |= {"eps": eps, "momentum": 0.1 if len(more) == 0 else more.pop("momentum", 0.1)}
        return Case(f"{label}N={n}, D={d}, eps={eps:g}", inputs, **more)

    return [
        case("", 5, 4),
        case("", 7, 3, eps=0.1, momentum=0.3),
        case("small numbers, ", 6, 4, scale=0.01, shift=0.01, tags=("small numbers",)),
        case("square, ", 4, 4, shift=3.0),
        case("one feature, ", 6, 1, tags=("one feature",)),
        case("one column is constant, ", 5, 3, constant_column=True, tags=("zero variance",)),
        case("one sample, ", 1, 3, eps=0.01, tags=("one sample",)),
        case("large mean, ", 8, 3, shift=20.0, tags=("large mean",)),
        case("float32, ", 9, 4, dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


# ---- training, forward -----------------------------------------------------------------------------------------------
def _right_forward(inputs: Inputs) -> Results:
    i = double(inputs)
    mean, var = reference.batch_norm_statistics(i["x"])
    n, momentum = len(i["x"]), i["momentum"]
    seen = var * n / max(n - 1, 1) if i.get("unbiased") else var
    y = reference.batch_norm(i["x"], mean, 1 / np.sqrt(var + i["eps"]), i["weight"], i["bias"])
    return {
        "y": y,
        "running_mean": (1 - momentum) * i["running_mean"] + momentum * mean,
        "running_var": (1 - momentum) * i["running_var"] + momentum * seen,
    }


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    mean, var = statistics_with(i, wrong)
    inverse = inverse_with(var, i["eps"], wrong)
    if "running statistics used in training" in wrong:
        mean, inverse = i["running_mean"], inverse_with(i["running_var"], i["eps"], wrong)
    x_hat = (i["x"] - mean) * inverse
    if "the mean is added" in wrong:
        x_hat = (i["x"] + mean) * inverse
    if "the mean is subtracted after the division" in wrong:
        x_hat = i["x"] * inverse - mean
    return {"y": affine(x_hat, i, wrong), **_running(inputs, wrong)}


_RUNNING_MISTAKES = {
    "the momentum has the other convention": "is `momentum` the part of the old value that is kept (cs231n), or the "
    "part of "
    "the new one (PyTorch)? See the signature",
    "unbiased running variance": "this style keeps the running average of the biased variance, divided by N",
    "biased running variance": "PyTorch keeps the running average of the unbiased variance, divided by N - 1",
    "running statistics not updated": "the running mean and variance must be updated in training",
    "running statistics replaced, not averaged": "keep a part of the old value",
    "the old running value is not kept": "both parts of the average are needed",
    "the new statistic is not weighted": "the new value is multiplied by its part of the momentum",
    "the old running value is not weighted": "the old value is multiplied by its part of the momentum",
    "the running variance averages the standard deviation": "the running average is of the variance, not of its root",
    "the running variance has eps added": "eps is no part of the running average",
}
_FORWARD_MISTAKES = {
    **EPS_MISTAKES,
    **statistics_mistakes(0),
    "the mean is not subtracted": "x_hat = (x - mean) / sqrt(var + eps)",
    "the mean is added": "x_hat = (x - mean) / sqrt(var + eps)",
    "the mean is subtracted after the division": "brackets are missing: (x - mean) / sqrt(var + eps)",
    **AFFINE_MISTAKES,
    "running statistics used in training": "in training, x is normalised by the statistics of the batch itself",
    **_RUNNING_MISTAKES,
}


# ---- running statistics ----------------------------------------------------------------------------------------------
def _running(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    mean, var = statistics_with(i, wrong - {"the mean is not subtracted"})
    mean, var = mean.reshape(-1), var.reshape(-1)
    n, new = len(i["x"]), i["momentum"]
    unbiased = i.get("unbiased", False)
    if "unbiased running variance" in wrong:
        unbiased = True
    if "biased running variance" in wrong:
        unbiased = False
    if unbiased and "unbiased variance" not in wrong:
        var = var * n / max(n - 1, 1)
    if "the running variance averages the standard deviation" in wrong:
        var = np.sqrt(var)
    if "the running variance has eps added" in wrong:
        var = var + i["eps"]
    old = 1 - new
    if "the momentum has the other convention" in wrong:
        old, new = new, old
    if "running statistics not updated" in wrong:
        old, new = 1.0, 0.0
    if "running statistics replaced, not averaged" in wrong:
        old, new = 0.0, 1.0
    if "the old running value is not kept" in wrong:
        old = 0.0
    if "the new statistic is not weighted" in wrong:
        new = 1.0
    if "the old running value is not weighted" in wrong:
        old = 1.0
    return {
        "running_mean": old * i["running_mean"] + new * mean,
        "running_var": old * i["running_var"] + new * var,
    }


def _right_running(inputs: Inputs) -> Results:
    right = _right_forward(inputs)
    return {"running_mean": right["running_mean"], "running_var": right["running_var"]}


def _running_cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    return [case for case in _cases(rng, settings) if len(case.inputs["x"]) > 1]


# ---- training, backward ----------------------------------------------------------------------------------------------
def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    mean, var = reference.batch_norm_statistics(i["x"])
    invstd = 1 / np.sqrt(var + i["eps"])
    gradients = reference.batch_norm_backward(i["dy"], i["x"], mean, invstd, i["weight"], True)
    return dict(zip(("dx", "dweight", "dbias"), gradients, strict=True))


def _terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    return {"dx": backward_terms(double(inputs), frozenset())[0]}


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    return backward_with(double(inputs), wrong)


# ---- inference -------------------------------------------------------------------------------------------------------
def _right_inference(inputs: Inputs) -> Results:
    i = double(inputs)
    invstd = 1 / np.sqrt(i["running_var"] + i["eps"])
    return {"y": reference.batch_norm(i["x"], i["running_mean"], invstd, i["weight"], i["bias"])}


def _inference(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    mean, var = i["running_mean"], i["running_var"]
    if "statistics of the batch used at inference" in wrong:
        mean, var = i["x"].mean(0), i["x"].var(0)
    if "mean of the batch used at inference" in wrong:
        mean = i["x"].mean(0)
    if "variance of the batch used at inference" in wrong:
        var = i["x"].var(0)
    if "running mean and running variance exchanged" in wrong:
        mean, var = var, mean
    if "the running mean is not subtracted" in wrong:
        mean = np.zeros_like(mean)
    if "the running variance corrected for the sample size" in wrong:
        var = var * len(i["x"]) / np.float64(len(i["x"]) - 1)
    x_hat = (i["x"] - mean) * inverse_with(var, i["eps"], wrong)
    if "not normalised at inference" in wrong:
        x_hat = i["x"]
    return {"y": affine(x_hat, i, wrong)}


_INFERENCE_MISTAKES = {
    "statistics of the batch used at inference": "training statistics used at inference: use running_mean and "
    "running_var",
    "mean of the batch used at inference": "training statistics used at inference: use running_mean",
    "variance of the batch used at inference": "training statistics used at inference: use running_var",
    "the running mean is not subtracted": "x_hat = (x - running_mean) / sqrt(running_var + eps)",
    "running mean and running variance exchanged": "x_hat = (x - running_mean) / sqrt(running_var + eps)",
    "the running variance corrected for the sample size": "running_var is used as it is",
    "not normalised at inference": "x_hat = (x - running_mean) / sqrt(running_var + eps)",
    **EPS_MISTAKES,
    **AFFINE_MISTAKES,
}


# ---- signatures ------------------------------------------------------------------------------------------------------
def _bn_param(mode: str) -> Any:
    def arguments(i: Inputs) -> dict[str, Any]:
        return {
            "bn_param": {
                "mode": mode,
                "eps": i["eps"],
                "momentum": 1 - i["momentum"],
                "running_mean": i["running_mean"],
                "running_var": i["running_var"],
            }
        }

    return arguments


def _read_bn_param(raw: Any, values: dict[str, Any]) -> Results:
    """cs231n: (out, cache), and the running statistics in bn_param."""
    y, more = first_of(raw)
    param = values["bn_param"]
    return {"y": y, "running_mean": param["running_mean"], "running_var": param["running_var"], **more}


def _read_running(raw: Any, values: dict[str, Any]) -> Results:
    """(y, running_mean, running_var), or y alone if the statistics were updated in place."""
    if isinstance(raw, tuple | list) and len(raw) == 3:
        return dict(zip(("y", "running_mean", "running_var"), raw, strict=True))
    y, more = first_of(raw)
    return {"y": y, "running_mean": values["running_mean"], "running_var": values["running_var"], **more}


def _fields(inputs: Inputs) -> dict[str, NDArray]:
    i = double(inputs)
    return {
        "the weight (gamma)": i["weight"],
        "the standard deviation": np.sqrt(i["x"].var(0) + i["eps"]),
    }


def _quantities(inputs: Inputs) -> dict[str, float]:
    n, d = inputs["x"].shape
    return {"the batch size": n, "the number of features": d}


_HINTS = {
    "zero variance": "wrong only where a column is constant, so that its variance is 0: is eps where it must be?",
    "small numbers": "wrong only for small numbers, where eps matters",
    "one sample": "wrong only for a batch of one sample",
    "one feature": "wrong only for one feature (D = 1): is an axis dropped or squeezed?",
    "float32": "wrong only for float32: a number is rounded or converted on the way",
    "large mean": "wrong only where the mean is large: is the variance a difference of large numbers?",
}
_EPS = {"eps": 1e-5}
_GRADIENTS = ("dx", "dweight", "dbias")
_PYTORCH = ("x", "weight", "bias", "dy")
_CS231N = ("x", "gamma", "beta", "bn_param", "dout", "cache")
_RUNNING = ("running_mean", "running_var")

OPERATION = Operation(
    name="batch_norm",
    title="Batch normalisation of x (N, D)",
    formula="""\
y = weight * (x - mean) / sqrt(var + eps) + bias, with mean and biased variance of each column
dx = weight / sqrt(var + eps) * (dy - mean(dy) - x_hat * mean(dy * x_hat)); dweight = sum(dy * x_hat); dbias = sum(dy)
inference: mean and variance are the running ones
PyTorch: running = (1 - momentum) * running + momentum * new, where new is the unbiased variance
cs231n:  running = momentum * running + (1 - momentum) * new, where new is the biased variance""",
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
                    "pytorch",
                    "forward(x, weight, bias, running_mean, running_var, momentum=0.1, eps=1e-5) -> y, with the "
                    "running "
                    "statistics updated in place, or -> (y, running_mean, running_var)",
                    ("x", "weight", "bias", *_RUNNING),
                    ("y", *_RUNNING),
                    {"momentum": 0.1, **_EPS},
                    read=_read_running,
                    extra={"unbiased": True},
                    may_change=frozenset(_RUNNING),
                    names=_PYTORCH,
                ),
                Form(
                    "cs231n",
                    "forward(x, gamma, beta, bn_param) -> (out, cache), with bn_param = {mode: 'train', eps, momentum, "
                    "running_mean, running_var}, which is updated",
                    ("x", "weight", "bias", "bn_param"),
                    ("y", *_RUNNING),
                    arguments=_bn_param("train"),
                    read=_read_bn_param,
                    may_change=frozenset({"bn_param"}),
                    names=_CS231N,
                ),
            ),
            cases=_cases,
            right=_right_forward,
            compute=_forward,
            mistakes=_FORWARD_MISTAKES,
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
                    _GRADIENTS,
                    _EPS,
                    names=_PYTORCH,
                ),
                Form(
                    "pytorch",
                    "backward(dy, cache) -> (dx, dweight, dbias)",
                    ("dy", "cache"),
                    _GRADIENTS,
                    names=_PYTORCH,
                ),
                Form(
                    "cs231n", "backward(dout, cache) -> (dx, dgamma, dbeta)", ("dy", "cache"), _GRADIENTS, names=_CS231N
                ),
            ),
            cases=_cases,
            right=_right_backward,
            compute=_backward,
            mistakes=backward_mistakes(0),
            terms=_terms,
            fields=_fields,
            quantities=_quantities,
            hints=_HINTS,
        ),
        PartOfOperation(
            name="inference",
            forms=(
                Form(
                    "pytorch",
                    "inference(x, weight, bias, running_mean, running_var, eps=1e-5) -> y",
                    ("x", "weight", "bias", *_RUNNING),
                    ("y",),
                    _EPS,
                    names=_PYTORCH,
                ),
                Form(
                    "cs231n",
                    "inference(x, gamma, beta, bn_param) -> (out, cache), with bn_param['mode'] = 'test'",
                    ("x", "weight", "bias", "bn_param"),
                    ("y",),
                    arguments=_bn_param("test"),
                    names=_CS231N,
                ),
            ),
            cases=_cases,
            right=_right_inference,
            compute=_inference,
            mistakes=_INFERENCE_MISTAKES,
            fields=_fields,
            quantities=_quantities,
            hints=_HINTS,
        ),
        PartOfOperation(
            name="running",
            forms=(
                Form(
                    "pytorch",
                    "running(x, running_mean, running_var, momentum=0.1) -> (running_mean, running_var)",
                    ("x", *_RUNNING),
                    _RUNNING,
                    {"momentum": 0.1},
                    extra={"unbiased": True},
                    names=_PYTORCH,
                ),
            ),
            cases=_running_cases,
            right=_right_running,
            compute=_running,
            mistakes={
                **_RUNNING_MISTAKES,
                **{k: v for k, v in statistics_mistakes(0).items() if k != "unbiased variance"},
            },
            quantities=_quantities,
            hints=_HINTS,
        ),
    ),
)
