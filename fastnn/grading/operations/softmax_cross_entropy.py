"""The cross-entropy of a softmax, and its gradient."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.grading.calling import first_of
from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, double
from fastnn.grading.operations.softmax import SOFTMAX_MISTAKES, softmax_with
from fastnn.grading.tolerances import FLOAT32

__all__ = ["GRADIENT_MISTAKES", "LOSS_MISTAKES", "OPERATION", "gradient_with", "loss_with"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(
        label: str, n: int, c: int, scale: float = 2.0, shift: Any = 0.0, dtype: Any = np.float64, **more: Any
    ) -> Case:
        scores = (scale * rng.standard_normal((n, c)) + shift).astype(dtype)
        labels = rng.integers(0, c, n)
        labels[: min(n, c)] = np.arange(min(n, c))
        rng.shuffle(labels)
        inputs: Inputs = {"scores": scores, "labels": labels, "reduction": settings["reduction"]}
        if settings["labels"] == "one_hot":
            inputs["one_hot"] = np.eye(c)[labels]
        return Case(f"{label}N={n}, C={c}", inputs, **more)

    return [
        case("", 5, 4),
        case("", 7, 3, scale=4.0),
        case("square, ", 4, 4),
        case("", 3, 6, shift=5.0),
        case("one sample, ", 1, 5, tags=("one sample",)),
        case("small scores, ", 6, 5, scale=0.01),
        case("scores near 1000, ", 5, 3, shift=1000.0, tags=("large scores",)),
        case("scores from -1000 to 1000, ", 5, 4, scale=1000.0, tags=("large scores", "large differences")),
        case(
            "rows of very different size, ", 3, 4, shift=np.array([[-2000.0], [0.0], [2000.0]]), tags=("large scores",)
        ),
        case("float32, ", 5, 3, dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right(inputs: Inputs) -> Results:
    i = double(inputs)
    arguments = i["scores"], i["labels"].astype(np.int64), None, -100, i["reduction"], 0.0
    loss, dscores = reference.cross_entropy_and_gradient(*arguments)
    return {"loss": loss, "dscores": dscores}


# ---- the loss --------------------------------------------------------------------------------------------------------
_TINY = (
    1e-1,
    1e-2,
    1e-3,
    1e-4,
    1e-5,
    1e-6,
    1e-7,
    1e-8,
    1e-9,
    1e-10,
    1e-11,
    1e-12,
    1e-13,
    1e-14,
    1e-15,
    1e-16,
    1e-20,
    1e-30,
    1e-100,
    1e-300,
)
_ADDED = {f"{tiny:g} is added to the probability before the logarithm": tiny for tiny in _TINY}
_CLIPPED = {f"the probability is clipped at {tiny:g} before the logarithm": tiny for tiny in _TINY}


def log_probabilities_with(scores: NDArray, wrong: Wrong) -> NDArray:
    """The logarithm of the softmax, with mistakes."""
    if "softmax applied twice" in wrong:
        scores = softmax_with(scores, wrong)
    if "the softmax is missing" in wrong:
        return np.log(scores)
    if "the logarithm of the sum of exponentials is missing" in wrong:
        return scores
    for phrase, tiny in _ADDED.items():
        if phrase in wrong:
            return np.log(softmax_with(scores, wrong) + tiny)
    for phrase, tiny in _CLIPPED.items():
        if phrase in wrong:
            return np.log(np.maximum(softmax_with(scores, wrong), tiny))
    if "logarithm of zero" in wrong or wrong & SOFTMAX_MISTAKES.keys():
        return np.log(softmax_with(scores, wrong))
    return reference.log_softmax(scores, 1)


def loss_with(scores: NDArray, labels: NDArray, reduction: str, wrong: Wrong) -> NDArray:
    """The loss, with mistakes."""
    n, c = scores.shape
    if "labels off by one: label - 1 is used" in wrong:
        labels = labels - 1
    if "labels off by one: label + 1 is used" in wrong:
        labels = (labels + 1) % c
    if "the largest score is taken for the label" in wrong:
        labels = scores.argmax(1)
    log_p = log_probabilities_with(scores, wrong)
    picked = log_p[np.arange(n), labels]
    if "every class counts, not only the label (the one-hot labels are forgotten)" in wrong:
        picked = log_p.sum(1)
    if "whole columns are picked: log_p[:, labels]" in wrong:
        picked = log_p[:, labels].sum(1)
    if "the terms of the binary cross-entropy are added" in wrong:
        p = np.exp(log_p)
        others = np.log(1 - p)
        others[np.arange(n), labels] = 0
        picked = picked + others.sum(1)
    if "the logarithm is missing" in wrong:
        picked = np.exp(picked)
    if "logarithm to the base 2" in wrong:
        picked = picked / np.log(2)
    if "logarithm to the base 10" in wrong:
        picked = picked / np.log(10)
    if "1 - p for -log p" in wrong:
        picked = np.exp(picked) - 1
    if "only the first sample counts" in wrong:
        picked = np.where(np.arange(n) == 0, picked, 0)
    if "only the last sample counts" in wrong:
        picked = np.where(np.arange(n) == n - 1, picked, 0)
    loss = -picked.sum()
    if reduction == "mean":
        loss = loss / n
        if "the loss is not divided by the batch size" in wrong:
            loss = loss * n
        if "the loss is divided by the batch size twice" in wrong:
            loss = loss / n
        if "the loss is divided by the number of classes instead of the batch size" in wrong:
            loss = loss * n / c
    elif "the loss is divided by the batch size" in wrong:
        loss = loss / n
    if "the loss is divided by the number of classes, too" in wrong:
        loss = loss / c
    if "the minus is missing" in wrong:
        loss = -loss
    if "the loss of each sample is returned" in wrong:
        return -picked
    return np.asarray(loss)


_LOSS = "loss = -mean(log softmax(scores)[i, label i])"
LOSS_MISTAKES = {
    "the loss is not divided by the batch size": "not averaged over the samples: " + _LOSS,
    "the loss is divided by the batch size": "the sum over the samples is asked for",
    "the loss is divided by the batch size twice": _LOSS,
    "the loss is divided by the number of classes instead of the batch size": _LOSS,
    "the loss is divided by the number of classes, too": "a mean over all of the N x C entries; divide by N",
    "the minus is missing": "the sign is flipped: " + _LOSS,
    "logarithm of zero": "the probability of a class far below the largest is 0, and its logarithm is -infinity: use "
    "log softmax = scores - max - log(sum(exp(scores - max)))",
    **SOFTMAX_MISTAKES,
    **dict.fromkeys(
        (*_ADDED, *_CLIPPED),
        "this changes the loss, most where scores differ much; use log softmax = scores - max - "
        "log(sum(exp(scores - max))), which needs no protection",
    ),
    "labels off by one: label - 1 is used": "classes are numbered from 0",
    "labels off by one: label + 1 is used": "classes are numbered from 0",
    "the largest score is taken for the label": "use the labels",
    "every class counts, not only the label (the one-hot labels are forgotten)": _LOSS,
    "whole columns are picked: log_p[:, labels]": "pick one entry of each row: log_p[np.arange(N), labels]",
    "the terms of the binary cross-entropy are added": "only the class of the label counts",
    "the logarithm is missing": _LOSS,
    "1 - p for -log p": _LOSS,
    "logarithm to the base 2": "use np.log",
    "logarithm to the base 10": "use np.log",
    "the softmax is missing": "scores are no probabilities",
    "the logarithm of the sum of exponentials is missing": "log softmax = scores - log(sum(exp(scores)))",
    "softmax applied twice": "once is right: are the scores probabilities already?",
    "only the first sample counts": _LOSS,
    "only the last sample counts": _LOSS,
    "the loss of each sample is returned": "one number: their mean",
}


# ---- the gradient ----------------------------------------------------------------------------------------------------
def gradient_with(scores: NDArray, labels: NDArray, reduction: str, wrong: Wrong) -> NDArray:
    """The gradient of the loss with respect to the scores, with mistakes."""
    n, c = scores.shape
    if "labels off by one: label - 1 is used" in wrong:
        labels = labels - 1
    if "labels off by one: label + 1 is used" in wrong:
        labels = (labels + 1) % c
    p = softmax_with(scores, wrong)
    if "the softmax is missing in the gradient" in wrong:
        p = scores
    if "the exponentials are not normalised in the gradient" in wrong:
        p = np.exp(scores)
    if "the logarithm of the softmax for the softmax" in wrong:
        p = reference.log_softmax(scores, 1)
    target = np.zeros((n, c))
    target[np.arange(n), labels] = 1
    if "1 is subtracted in whole columns: p[:, labels]" in wrong:
        target = np.zeros((n, c))
        target[:, labels] = 1
    if "1 is subtracted in whole rows: p[labels]" in wrong:
        target = np.zeros((n, c))
        target[labels] = 1
    if "the label's number is subtracted instead of 1" in wrong:
        target = target * labels[:, None]
    if "the label is subtracted from the whole row" in wrong:
        target = np.broadcast_to(labels[:, None], (n, c))
    if "the one-hot labels are forgotten" in wrong:
        target = np.zeros((n, c))
    if "the one-hot labels are added instead of subtracted" in wrong:
        target = -target
    d = p - target
    if "only the class of the label has a gradient" in wrong:
        d = d * (np.arange(c) == labels[:, None])
    if "the class of the label has no gradient" in wrong:
        d = d * (np.arange(c) != labels[:, None])
    if "the gradient with respect to the probabilities" in wrong:
        d = -target / p
    if "the probabilities are missing" in wrong:
        d = -target
    if "the gradient of a squared error through the softmax" in wrong:
        d = d * p * (1 - p)
    if "the gradient is 2 times too large" in wrong:
        d = 2 * d
    if "only the first sample has a gradient" in wrong:
        d = np.where(np.arange(n)[:, None] == 0, d, 0)
    if "only the last sample has a gradient" in wrong:
        d = np.where(np.arange(n)[:, None] == n - 1, d, 0)
    if "the sign of the gradient is flipped" in wrong:
        d = -d
    if reduction == "mean":
        if "only the probabilities are divided by the batch size" in wrong:
            return p / n - target
        if "only the one-hot labels are divided by the batch size" in wrong:
            return p - target / n
        d = d / n
        if "the gradient is not divided by the batch size" in wrong:
            d = d * n
        if "the gradient is divided by the batch size twice" in wrong:
            d = d / n
        if "the gradient is divided by the number of classes instead of the batch size" in wrong:
            d = d * n / c
    elif "the gradient is divided by the batch size" in wrong:
        d = d / n
    if "the gradient is divided by the number of classes, too" in wrong:
        d = d / c
    if "averaged over the samples" in wrong:
        d = d.mean(0)
    return d


_GRADIENT = "dscores = (softmax(scores) - one_hot(labels)) / N"
GRADIENT_MISTAKES = {
    "the gradient is not divided by the batch size": "the loss is a mean: " + _GRADIENT,
    "the gradient is divided by the batch size": "the loss is a sum over the samples",
    "the gradient is divided by the batch size twice": _GRADIENT,
    "the gradient is divided by the number of classes instead of the batch size": _GRADIENT,
    "the gradient is divided by the number of classes, too": _GRADIENT,
    "the one-hot labels are forgotten": "1 must be subtracted from the probability of the label: " + _GRADIENT,
    "the one-hot labels are added instead of subtracted": _GRADIENT,
    "the probabilities are missing": _GRADIENT,
    "the sign of the gradient is flipped": _GRADIENT,
    "1 is subtracted in whole columns: p[:, labels]": "at the wrong place; one entry of each row: p[np.arange(N), "
    "labels] -= 1",
    "1 is subtracted in whole rows: p[labels]": "at the wrong place; one entry of each row: p[np.arange(N), labels] "
    "-= 1",
    "the label's number is subtracted instead of 1": _GRADIENT,
    "the label is subtracted from the whole row": "the labels must be made one-hot: " + _GRADIENT,
    "only the probabilities are divided by the batch size": "subtract 1 before dividing by N",
    "only the one-hot labels are divided by the batch size": _GRADIENT,
    "only the class of the label has a gradient": "every class has one: " + _GRADIENT,
    "the class of the label has no gradient": _GRADIENT,
    "the gradient with respect to the probabilities": "go on through the softmax: " + _GRADIENT,
    "the gradient of a squared error through the softmax": _GRADIENT,
    "the gradient is 2 times too large": _GRADIENT,
    "the softmax is missing in the gradient": _GRADIENT,
    "the exponentials are not normalised in the gradient": _GRADIENT,
    "the logarithm of the softmax for the softmax": "take its exponential: " + _GRADIENT,
    "only the first sample has a gradient": _GRADIENT,
    "only the last sample has a gradient": _GRADIENT,
    "averaged over the samples": "every sample has a row of its own",
}


def _compute(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    arguments = i["scores"], i["labels"], i["reduction"], wrong
    return {"loss": loss_with(*arguments), "dscores": gradient_with(*arguments)}


def _terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    i = double(inputs)
    n = len(i["scores"]) if i["reduction"] == "mean" else 1
    target = np.eye(i["scores"].shape[1])[i["labels"]]
    return {
        "dscores": {"of the probabilities": reference.softmax(i["scores"], 1) / n, "of the one-hot labels": -target / n}
    }


def _quantities(inputs: Inputs) -> dict[str, float]:
    n, c = inputs["scores"].shape
    return {"the batch size": n, "the number of classes": c}


def _arguments(i: Inputs) -> dict[str, Any]:
    return {"labels": i.get("one_hot", i["labels"])}


def _read_loss(raw: Any, values: dict[str, Any]) -> Results:
    loss, more = first_of(raw)
    return {"loss": loss, **more}


_HINTS = {
    **FLOAT32_HINT,
    "large differences": "logarithm of zero, or a clipped probability: wrong only where scores differ by hundreds, "
    "so that "
    "probabilities are 0; use log softmax = scores - max - log(sum(exp(scores - max)))",
    "large scores": "overflow for large scores: exp of a score near 1000 is infinite; subtract the largest score of "
    "each row",
    "one sample": "wrong only for a batch of one sample",
}
_NAMES = ("scores", "labels")
_COMMON: dict[str, Any] = {
    "cases": _cases,
    "right": _right,
    "compute": _compute,
    "terms": _terms,
    "quantities": _quantities,
    "hints": _HINTS,
}


OPERATION = Operation(
    name="softmax_cross_entropy",
    title="Softmax and cross-entropy of scores (N, C) and labels (N,)",
    formula=f"{_LOSS}\n{_GRADIENT}\nWith reduction='sum' both are sums over the samples, without the division by N.",
    settings={"reduction": "mean", "labels": "indices"},
    allowed={"reduction": ("mean", "sum"), "labels": ("indices", "one_hot")},
    parts=(
        PartOfOperation(
            name="loss_and_gradient",
            forms=(
                Form(
                    "pytorch",
                    "loss_and_gradient(scores, labels) -> (loss, dscores)",
                    ("scores", "labels"),
                    ("loss", "dscores"),
                    arguments=_arguments,
                    names=_NAMES,
                ),
                Form(
                    "cs231n",
                    "loss_and_gradient(x, y) -> (loss, dx)",
                    ("scores", "labels"),
                    ("loss", "dscores"),
                    arguments=_arguments,
                    names=("x", "y"),
                ),
            ),
            mistakes={**LOSS_MISTAKES, **GRADIENT_MISTAKES},
            **_COMMON,
        ),
        PartOfOperation(
            name="forward",
            forms=(
                Form(
                    "pytorch",
                    "forward(scores, labels) -> loss, or -> (loss, cache)",
                    ("scores", "labels"),
                    ("loss",),
                    arguments=_arguments,
                    read=_read_loss,
                    names=_NAMES,
                ),
                Form(
                    "cs231n",
                    "forward(x, y) -> loss, or -> (loss, cache)",
                    ("scores", "labels"),
                    ("loss",),
                    arguments=_arguments,
                    read=_read_loss,
                    names=("x", "y"),
                ),
            ),
            mistakes=LOSS_MISTAKES,
            **_COMMON,
        ),
        PartOfOperation(
            name="backward",
            forms=(
                Form(
                    "pytorch",
                    "backward(scores, labels) -> dscores",
                    ("scores", "labels"),
                    ("dscores",),
                    arguments=_arguments,
                    names=_NAMES,
                ),
                Form("pytorch", "backward(cache) -> dscores", ("cache",), ("dscores",), names=_NAMES),
                Form(
                    "cs231n",
                    "backward(x, y) -> dx",
                    ("scores", "labels"),
                    ("dscores",),
                    arguments=_arguments,
                    names=("x", "y"),
                ),
                Form("cs231n", "backward(cache) -> dx", ("cache",), ("dscores",), names=("x", "y")),
            ),
            mistakes={
                **SOFTMAX_MISTAKES,
                **{k: v for k, v in LOSS_MISTAKES.items() if "labels off" in k},
                **GRADIENT_MISTAKES,
            },
            **_COMMON,
        ),
    ),
)
