"""The two-layer network of the courses: scores, loss and gradients."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.grading.operation import Case, Form, Inputs, Misfit, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, double
from fastnn.grading.operations.softmax_cross_entropy import GRADIENT_MISTAKES, LOSS_MISTAKES, gradient_with, loss_with
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]

_WEIGHTS = ("w1", "b1", "w2", "b2")
_GRADIENTS = ("dw1", "db1", "dw2", "db2")


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(label: str, n: int, d: int, h: int, c: int, reg: float, dtype: Any = np.float64, **more: Any) -> Case:
        scale = more.pop("scale", 1.0)
        arrays = {
            "x": scale * rng.standard_normal((n, d)),
            "w1": rng.standard_normal((d, h)),
            "b1": rng.standard_normal(h),
            "w2": rng.standard_normal((h, c)),
            "b2": rng.standard_normal(c),
        }
        inputs: Inputs = {name: array.astype(dtype) for name, array in arrays.items()}
        inputs |= {"labels": rng.integers(0, c, n), "reg": reg, "half": settings["half"]}
        return Case(f"{label}N={n}, D={d}, H={h}, C={c}, reg={reg:g}", inputs, **more)

    return [
        case("", 5, 4, 6, 3, 0.1),
        case("no penalty, ", 6, 3, 5, 4, 0.0, tags=("reg 0",)),
        case("", 3, 7, 4, 5, 0.7),
        case("all sizes equal, ", 4, 4, 4, 4, 0.3),
        case("one sample, ", 1, 3, 4, 2, 0.05, tags=("one sample",)),
        case("large inputs, ", 4, 3, 5, 3, 0.01, scale=1000.0, tags=("large scores",)),
        case("float32, ", 5, 4, 6, 3, 0.2, np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right(inputs: Inputs) -> Results:
    i = double(inputs)
    before = reference.linear(i["x"], i["w1"].T, i["b1"])
    hidden = reference.relu(before)
    scores = reference.linear(hidden, i["w2"].T, i["b2"])
    labels = i["labels"].astype(np.int64)
    loss, dscores = reference.cross_entropy_and_gradient(scores, labels, None, -100, "mean", 0.0)
    dhidden, dw2, db2 = reference.linear_backward(dscores, hidden, i["w2"].T)
    _, dw1, db1 = reference.linear_backward(reference.relu_backward(dhidden, hidden), i["x"], i["w1"].T)
    reg = i["reg"] * (0.5 if i["half"] else 1.0)
    return {
        "scores": scores,
        "loss": np.asarray(loss + reg * (np.square(i["w1"]).sum() + np.square(i["w2"]).sum())),
        "dw1": dw1.T + 2 * reg * i["w1"],
        "db1": db1,
        "dw2": dw2.T + 2 * reg * i["w2"],
        "db2": db2,
    }


def _forward(i: Inputs, wrong: Wrong) -> tuple[NDArray, NDArray, NDArray]:
    """What is before the ReLU, what is after it, and the scores."""
    b1, b2 = i["b1"], i["b2"]
    if "the first bias is not added" in wrong:
        b1 = 0 * b1
    if "the second bias is not added" in wrong:
        b2 = 0 * b2
    before = i["x"] @ i["w1"] + b1
    hidden = np.maximum(before, 0)
    if "the ReLU is missing" in wrong:
        hidden = before
    if "sigmoid instead of ReLU" in wrong:
        hidden = reference.sigmoid(before)
    if "tanh instead of ReLU" in wrong:
        hidden = np.tanh(before)
    if "leaky ReLU instead of ReLU" in wrong:
        hidden = np.where(before > 0, before, 0.01 * before)
    if "the ReLU comes before the bias" in wrong:
        hidden = np.maximum(i["x"] @ i["w1"], 0) + b1
    scores = hidden @ i["w2"] + b2
    if "a ReLU after the second layer, too" in wrong:
        scores = np.maximum(scores, 0)
    return before, hidden, scores


def _compute(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    n = len(i["x"])
    before, hidden, scores = _forward(i, wrong)
    labels = i["labels"]
    loss = loss_with(scores, labels, "mean", wrong)
    dscores = gradient_with(scores, labels, "mean", wrong)
    seen = before if "dW2 uses the hidden layer before the ReLU" in wrong else hidden
    dw2, db2 = seen.T @ dscores, dscores.sum(0)
    dhidden = dscores @ i["w2"].T
    mask = before > 0
    if "the mask of the ReLU is taken from its gradient" in wrong:
        mask = dhidden > 0
    if "the ReLU is missing in backward" in wrong or "the ReLU is missing" in wrong:
        mask = np.ones_like(mask)
    if "the mask of the ReLU is inverted" in wrong:
        mask = ~mask
    dbefore = dhidden * mask
    if "multiplied by the hidden layer instead of its mask" in wrong:
        dbefore = dhidden * hidden
    if "sigmoid instead of ReLU" in wrong:
        dbefore = dhidden * hidden * (1 - hidden)
    if "tanh instead of ReLU" in wrong:
        dbefore = dhidden * (1 - hidden**2)
    if "the derivative of the sigmoid instead of that of ReLU" in wrong:
        dbefore = dhidden * hidden * (1 - hidden)
    dw1, db1 = i["x"].T @ dbefore, dbefore.sum(0)
    if "the biases' gradients are averaged instead of summed" in wrong:
        db1, db2 = db1 / n, db2 / n
    if "the weights' gradients are divided by the batch size again" in wrong:
        dw1, dw2 = dw1 / n, dw2 / n
    if "db1 is taken before the ReLU's mask" in wrong:
        db1 = dhidden.sum(0)
    if "dW1 is taken before the ReLU's mask" in wrong:
        dw1 = i["x"].T @ dhidden
    if "the gradients of the biases are not summed over the samples" in wrong:
        db1, db2 = dbefore, dscores
    if "the gradients of the biases are summed along the wrong axis" in wrong:
        db1, db2 = dbefore.sum(1), dscores.sum(1)
    half = 0.5 if i["half"] else 1.0
    reg = i["reg"] * half
    penalised = np.square(i["w1"]).sum() + np.square(i["w2"]).sum()
    if "only W1 is penalised in the loss" in wrong:
        penalised = np.square(i["w1"]).sum()
    if "only W2 is penalised in the loss" in wrong:
        penalised = np.square(i["w2"]).sum()
    if "the biases are penalised, too, in the loss" in wrong:
        penalised += np.square(i["b1"]).sum() + np.square(i["b2"]).sum()
    if "the penalty is the norm, not its square" in wrong:
        penalised = np.sqrt(np.square(i["w1"]).sum()) + np.sqrt(np.square(i["w2"]).sum())
    if "the penalty is a sum of magnitudes (L1)" in wrong:
        penalised = np.abs(i["w1"]).sum() + np.abs(i["w2"]).sum()
    if "the penalty is a mean, not a sum" in wrong:
        penalised = np.square(i["w1"]).mean() + np.square(i["w2"]).mean()
    if "the penalty is divided by the batch size in the loss" in wrong:
        penalised = penalised / n
    in_loss, in_gradient = reg, 2 * reg
    if "the penalty is missing in the loss" in wrong:
        in_loss = 0.0
    if "a factor 1/2 before the penalty that does not belong there" in wrong:
        in_loss = reg / 2
    if "the factor 1/2 before the penalty is missing" in wrong:
        in_loss = 2 * reg
    if "reg is not used: the penalty has the factor 1" in wrong:
        in_loss = half
    if "the penalty is subtracted" in wrong:
        in_loss = -reg
    if "the penalty is missing in the gradients" in wrong:
        in_gradient = 0.0
    if "the factor 2 of the penalty's gradient is missing" in wrong:
        in_gradient = reg
    if "a factor 2 in the penalty's gradient that does not belong there" in wrong:
        in_gradient = 4 * reg
    if "the penalty's gradient is divided by the batch size" in wrong:
        in_gradient = in_gradient / n
    if "the penalty's gradient is subtracted" in wrong:
        in_gradient = -in_gradient
    own1, own2 = in_gradient * i["w1"], in_gradient * i["w2"]
    if "the penalty's gradient has the sign of the weights (L1)" in wrong:
        own1, own2 = i["reg"] * np.sign(i["w1"]), i["reg"] * np.sign(i["w2"])
    if "the penalty is missing in dW1" in wrong:
        own1 = 0 * own1
    if "the penalty is missing in dW2" in wrong:
        own2 = 0 * own2
    if "the gradients of the biases have a penalty, too" in wrong:
        db1, db2 = db1 + 2 * reg * i["b1"], db2 + 2 * reg * i["b2"]
    if "the scores are probabilities: the softmax is included" in wrong:
        scores = reference.softmax(scores, 1)
    return {
        "scores": scores,
        "loss": loss + in_loss * penalised,
        "dw1": dw1 + own1,
        "db1": db1,
        "dw2": dw2 + own2,
        "db2": db2,
    }


_FORWARD_MISTAKES = {
    "the ReLU is missing": "hidden = max(0, x @ W1 + b1)",
    "sigmoid instead of ReLU": "hidden = max(0, x @ W1 + b1)",
    "tanh instead of ReLU": "hidden = max(0, x @ W1 + b1)",
    "leaky ReLU instead of ReLU": "hidden = max(0, x @ W1 + b1)",
    "the first bias is not added": "hidden = max(0, x @ W1 + b1)",
    "the second bias is not added": "scores = hidden @ W2 + b2",
    "the ReLU comes before the bias": "hidden = max(0, x @ W1 + b1)",
    "a ReLU after the second layer, too": "scores may be negative",
}
_PENALTY = "loss + reg * (sum(W1**2) + sum(W2**2)); its gradient is 2 * reg * W"
_PENALTY_MISTAKES = {
    "the factor 2 of the penalty's gradient is missing": "halved: " + _PENALTY,
    "a factor 2 in the penalty's gradient that does not belong there": _PENALTY,
    "the penalty is missing in the loss": _PENALTY,
    "the penalty is missing in the gradients": _PENALTY,
    "the penalty is missing in dW1": _PENALTY,
    "the penalty is missing in dW2": _PENALTY,
    "a factor 1/2 before the penalty that does not belong there": _PENALTY + " (the setting half=True asks for 1/2)",
    "the factor 1/2 before the penalty is missing": "half=True asks for reg / 2",
    "only W1 is penalised in the loss": _PENALTY,
    "only W2 is penalised in the loss": _PENALTY,
    "the biases are penalised, too, in the loss": _PENALTY,
    "the gradients of the biases have a penalty, too": _PENALTY,
    "the penalty is the norm, not its square": _PENALTY,
    "the penalty is a sum of magnitudes (L1)": _PENALTY,
    "the penalty's gradient has the sign of the weights (L1)": _PENALTY,
    "the penalty is a mean, not a sum": _PENALTY,
    "the penalty is divided by the batch size in the loss": _PENALTY,
    "the penalty's gradient is divided by the batch size": _PENALTY,
    "the penalty is subtracted": _PENALTY,
    "the penalty's gradient is subtracted": _PENALTY,
    "reg is not used: the penalty has the factor 1": _PENALTY,
}
_BACKWARD_MISTAKES = {
    "the ReLU is missing in backward": "the gradient passes where the hidden layer is positive: dhidden[hidden <= 0] "
    "= 0",
    "the mask of the ReLU is taken from its gradient": "the mask is where the hidden layer is positive",
    "the mask of the ReLU is inverted": "the gradient passes where the hidden layer is positive",
    "multiplied by the hidden layer instead of its mask": "the derivative of ReLU is 1 or 0",
    "the derivative of the sigmoid instead of that of ReLU": "the derivative of ReLU is 1 or 0",
    "dW2 uses the hidden layer before the ReLU": "dW2 = hidden.T @ dscores",
    "db1 is taken before the ReLU's mask": "apply the mask first",
    "dW1 is taken before the ReLU's mask": "apply the mask first",
    "the biases' gradients are averaged instead of summed": "mean for sum: dscores holds the 1 / N already",
    "the weights' gradients are divided by the batch size again": "dscores holds the 1 / N already",
    "the gradients of the biases are not summed over the samples": "sum over axis 0",
    "the gradients of the biases are summed along the wrong axis": "sum over the samples: axis 0",
}


def _terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    i = double(inputs)
    reg = i["reg"] * (0.5 if i["half"] else 1.0)
    right = _right(inputs)
    terms = {}
    for name in ("w1", "w2"):
        penalty = 2 * reg * i[name]
        terms[f"d{name}"] = {"of the cross-entropy": right[f"d{name}"] - penalty, "of the penalty": penalty}
    return terms


def _quantities(inputs: Inputs) -> dict[str, float]:
    n, d = inputs["x"].shape
    h, c = inputs["w2"].shape
    return {
        "the batch size": n,
        "the number of classes": c,
        "the number of inputs": d,
        "the size of the hidden layer": h,
        "reg": inputs["reg"],
    }


def _params(i: Inputs) -> dict[str, Any]:
    return {"params": {"W1": i["w1"], "b1": i["b1"], "W2": i["w2"], "b2": i["b2"]}}


def _read(raw: Any, values: dict[str, Any]) -> Results:
    if not isinstance(raw, tuple | list) or len(raw) < 2:
        raise Misfit(
            "the results are (loss, gradients); gradients is a dict with W1, b1, W2, b2, or (dW1, db1, dW2, db2)"
        )
    loss, grads, *more = raw
    if more:
        grads = [grads, *more]
    if isinstance(grads, dict):
        found = {str(key).lower().removeprefix("d").replace("grad_", ""): value for key, value in grads.items()}
        names = {"weight1": "w1", "bias1": "b1", "weight2": "w2", "bias2": "b2"}
        found = {names.get(key, key): value for key, value in found.items()}
        missing = [name for name in _WEIGHTS if name not in found]
        if missing:
            raise Misfit(
                f"the dict of gradients has no {', '.join(missing)}; it has the keys {', '.join(map(str, grads))}"
            )
        grads = [found[name] for name in _WEIGHTS]
    if not isinstance(grads, tuple | list) or len(grads) != 4:
        raise Misfit("wrong number of results: four gradients are needed, (dW1, db1, dW2, db2) or a dict")
    return {"loss": loss, **dict(zip(_GRADIENTS, grads, strict=True))}


_HINTS = {
    **FLOAT32_HINT,
    "large scores": "overflow for large scores: subtract the largest score of each row before exp, and use log softmax",
    "reg 0": "wrong only without a penalty",
    "one sample": "wrong only for a batch of one sample",
}
_ROW = frozenset({"w1", "w2", "dw1", "dw2"})
_COMMON: dict[str, Any] = {
    "cases": _cases,
    "right": _right,
    "compute": _compute,
    "terms": _terms,
    "quantities": _quantities,
    "hints": _HINTS,
}
_LOSS_RESULTS = ("loss", *_GRADIENTS)
_REG = {"reg": 0.0}
_CS231N = ("x", "y", *_WEIGHTS, "reg", "params")
_PYTORCH = ("x", "labels", "weight1", "bias1", "weight2", "bias2", "reg")

OPERATION = Operation(
    name="two_layer_network",
    title="Two-layer network: linear, ReLU, linear, softmax cross-entropy with an L2 penalty",
    formula="""\
scores = max(0, x @ W1 + b1) @ W2 + b2, with W1 (D, H) and W2 (H, C)
loss = mean cross-entropy + reg * (sum(W1**2) + sum(W2**2)); with half=True, reg / 2. Biases are not penalised
style="pytorch": weights have the shapes (H, D) and (C, H)""",
    settings={"half": False},
    allowed={"half": (False, True)},
    parts=(
        PartOfOperation(
            name="forward",
            forms=(
                Form("cs231n", "forward(x, W1, b1, W2, b2) -> scores", ("x", *_WEIGHTS), ("scores",), names=_CS231N),
                Form(
                    "cs231n",
                    "forward(params, x) -> scores, with params = {W1, b1, W2, b2}",
                    ("params", "x"),
                    ("scores",),
                    arguments=_params,
                    names=_CS231N,
                ),
                Form(
                    "pytorch",
                    "forward(x, weight1, bias1, weight2, bias2) -> scores",
                    ("x", *_WEIGHTS),
                    ("scores",),
                    transposed=_ROW,
                    names=_PYTORCH,
                ),
            ),
            mistakes={
                **_FORWARD_MISTAKES,
                "the scores are probabilities: the softmax is included": "return the scores before the softmax",
            },
            **_COMMON,
        ),
        PartOfOperation(
            name="loss_and_gradient",
            forms=(
                Form(
                    "cs231n",
                    "loss_and_gradient(x, y, W1, b1, W2, b2, reg=0.0) -> (loss, {W1, b1, W2, b2}), or -> (loss, "
                    "(dW1, db1, dW2, db2))",
                    ("x", "labels", *_WEIGHTS),
                    _LOSS_RESULTS,
                    _REG,
                    read=_read,
                    names=_CS231N,
                ),
                Form(
                    "cs231n",
                    "loss_and_gradient(params, x, y, reg=0.0) -> (loss, {W1, b1, W2, b2}), with params = {W1, b1, "
                    "W2, b2}",
                    ("params", "x", "labels"),
                    _LOSS_RESULTS,
                    _REG,
                    arguments=_params,
                    read=_read,
                    names=_CS231N,
                ),
                Form(
                    "pytorch",
                    "loss_and_gradient(x, labels, weight1, bias1, weight2, bias2, reg=0.0) -> (loss, (dweight1, "
                    "dbias1, dweight2, dbias2))",
                    ("x", "labels", *_WEIGHTS),
                    _LOSS_RESULTS,
                    _REG,
                    read=_read,
                    transposed=_ROW,
                    names=_PYTORCH,
                ),
            ),
            mistakes={
                **_PENALTY_MISTAKES,
                **_BACKWARD_MISTAKES,
                **GRADIENT_MISTAKES,
                **LOSS_MISTAKES,
                **_FORWARD_MISTAKES,
            },
            **_COMMON,
        ),
    ),
)
