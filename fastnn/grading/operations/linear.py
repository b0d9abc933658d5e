"""The fully connected layer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.grading.operation import Case, Form, Inputs, Operation, PartOfOperation, Results, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT, GRADIENTS, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(label: str, n: int, d_in: int, d_out: int, dtype: Any = np.float64, **more: Any) -> Case:
        arrays = {
            "x": rng.standard_normal((n, d_in)),
            "weight": rng.standard_normal((d_out, d_in)),
            "bias": rng.standard_normal(d_out),
            "dy": rng.standard_normal((n, d_out)),
        }
        inputs = {name: array.astype(dtype) for name, array in arrays.items()}
        return Case(f"{label}N={n}, in={d_in}, out={d_out}", inputs, **more)

    return [
        case("", 5, 4, 3),
        case("", 3, 2, 6),
        case("square weight, ", 5, 4, 4, tags=("square weight",)),
        case("all sizes equal, ", 4, 4, 4, tags=("square weight",)),
        case("one sample, ", 1, 4, 3, tags=("one sample",)),
        case("one input, ", 4, 1, 3, tags=("one input",)),
        case("one output, ", 4, 3, 1, tags=("one output",)),
        case("float32, ", 6, 5, 4, np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


def _right_forward(inputs: Inputs) -> Results:
    i = double(inputs)
    return {"y": reference.linear(i["x"], i["weight"], i["bias"])}


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    x, weight, bias = i["x"], i["weight"], i["bias"]
    product = x @ (weight if "the weight is not transposed" in wrong else weight.T)
    if "the product is taken in the other order" in wrong:
        product = weight @ x
    if "the bias is not added" in wrong:
        bias = np.zeros_like(bias)
    if "the bias is subtracted" in wrong:
        bias = -bias
    if "the bias is added twice" in wrong:
        bias = 2 * bias
    if "the bias is multiplied" in wrong:
        return {"y": product * bias}
    if "the sum of the bias is added to every output" in wrong:
        bias = np.full_like(bias, bias.sum())
    if "the bias is added along the samples" in wrong:
        return {"y": product + bias[:, None]}
    if "an activation is applied (ReLU)" in wrong:
        return {"y": np.maximum(product + bias, 0)}
    if "an activation is applied (sigmoid)" in wrong:
        return {"y": reference.sigmoid(product + bias)}
    return {"y": product + bias}


def _forward_terms(inputs: Inputs) -> dict[str, dict[str, NDArray]]:
    i = double(inputs)
    y = i["x"] @ i["weight"].T
    return {"y": {"of the product with the weight": y, "of the bias": np.broadcast_to(i["bias"], y.shape)}}


def _right_backward(inputs: Inputs) -> Results:
    i = double(inputs)
    return dict(zip(GRADIENTS, reference.linear_backward(i["dy"], i["x"], i["weight"]), strict=True))


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    dy, x, weight, n = i["dy"], i["x"], i["weight"], len(i["x"])
    dx, dweight, dbias = dy @ weight, dy.T @ x, dy.sum(0)
    if "dx uses the transposed weight" in wrong:
        dx = dy @ weight.T
    if "dx without the weight" in wrong:
        dx = dy
    if "dx without dy" in wrong:
        dx = np.ones_like(dy) @ weight
    if "dx averaged over the batch" in wrong:
        dx = dx / n
    if "dweight is transposed" in wrong:
        dweight = dweight.T
    if "the product for dweight is taken in the wrong order" in wrong:
        dweight = x @ dy.T
    if "dweight averaged over the batch instead of summed" in wrong:
        dweight = dweight / n
    if "dweight without x" in wrong:
        dweight = dy.T @ np.ones_like(x)
    if "dweight without dy" in wrong:
        dweight = np.ones_like(dy).T @ x
    if "dweight uses only the first sample" in wrong:
        dweight = np.outer(dy[0], x[0])
    if "dweight uses only the last sample" in wrong:
        dweight = np.outer(dy[-1], x[-1])
    if "dbias not summed over the batch" in wrong:
        dbias = dy
    if "dbias averaged over the batch instead of summed" in wrong:
        dbias = dbias / n
    if "dbias summed along the wrong axis" in wrong:
        dbias = dy.sum(1)
    if "dbias summed over everything" in wrong:
        dbias = np.asarray(dy.sum())
    if "dbias is the batch size: dy is ignored" in wrong:
        dbias = np.full_like(dbias, n)
    if "dbias is 1: dy is ignored" in wrong:
        dbias = np.ones_like(dbias)
    if "dbias keeps the axis of the batch" in wrong:
        dbias = dbias[None]
    return {"dx": dx, "dweight": dweight, "dbias": dbias}


def _quantities(inputs: Inputs) -> dict[str, float]:
    n, d_in = inputs["x"].shape
    return {"the batch size": n, "the number of inputs": d_in, "the number of outputs": len(inputs["bias"])}


_ROW = frozenset({"weight", "dweight"})
_PYTORCH = ("x", "weight", "bias", "dy")
_CS231N = ("x", "w", "b", "dout", "cache")
_HINTS = {
    **FLOAT32_HINT,
    "one sample": "wrong only for a batch of one sample: is an axis lost?",
    "square weight": "wrong only where the weight is square",
}

OPERATION = Operation(
    name="linear",
    title="Fully connected layer",
    formula="""\\
PyTorch, weight (out, in): y = x @ weight.T + bias; dx = dy @ weight, dweight = dy.T @ x, dbias = sum of dy over axis 0
cs231n,  w (in, out):      y = x @ w + b;           dx = dy @ w.T,    dw = x.T @ dy,      db = sum of dy over axis 0""",
    parts=(
        PartOfOperation(
            name="forward",
            forms=(
                Form("pytorch", "forward(x, weight, bias) -> y", ("x", "weight", "bias"), ("y",), names=_PYTORCH),
                Form(
                    "cs231n",
                    "forward(x, w, b) -> (out, cache), or -> out, with w of shape (in, out)",
                    ("x", "weight", "bias"),
                    ("y",),
                    transposed=_ROW,
                    names=_CS231N,
                ),
            ),
            cases=_cases,
            right=_right_forward,
            compute=_forward,
            mistakes={
                "the weight is not transposed": "weight has the shape (out, in): y = x @ weight.T + bias; for w of "
                "shape "
                "(in, out), x @ w",
                "the product is taken in the other order": "y = x @ weight.T + bias",
                "the bias is not added": "the bias is forgotten: y = x @ weight.T + bias",
                "the bias is subtracted": "y = x @ weight.T + bias",
                "the bias is added twice": "y = x @ weight.T + bias",
                "the bias is multiplied": "y = x @ weight.T + bias",
                "the sum of the bias is added to every output": "each output has a bias of its own",
                "the bias is added along the samples": "the bias belongs to the columns",
                "an activation is applied (ReLU)": "the layer itself has none",
                "an activation is applied (sigmoid)": "the layer itself has none",
            },
            terms=_forward_terms,
            quantities=_quantities,
            hints=_HINTS,
        ),
        PartOfOperation(
            name="backward",
            forms=(
                Form(
                    "pytorch",
                    "backward(dy, x, weight) -> (dx, dweight, dbias)",
                    ("dy", "x", "weight"),
                    GRADIENTS,
                    names=_PYTORCH,
                ),
                Form(
                    "pytorch", "backward(dy, cache) -> (dx, dweight, dbias)", ("dy", "cache"), GRADIENTS, names=_PYTORCH
                ),
                Form(
                    "cs231n",
                    "backward(dout, cache) -> (dx, dw, db)",
                    ("dy", "cache"),
                    GRADIENTS,
                    transposed=_ROW,
                    names=_CS231N,
                ),
                Form(
                    "cs231n",
                    "backward(dout, x, w) -> (dx, dw, db)",
                    ("dy", "x", "weight"),
                    GRADIENTS,
                    transposed=_ROW,
                    names=_CS231N,
                ),
            ),
            cases=_cases,
            right=_right_backward,
            compute=_backward,
            mistakes={
                "dx uses the transposed weight": "each input gets the sum over the outputs: dx = dy @ weight for "
                "weight "
                "(out, in), dout @ w.T for w (in, out)",
                "dx without the weight": "dx = dy @ weight",
                "dx without dy": "dy is ignored: dx = dy @ weight",
                "dx averaged over the batch": "dx has a row for each sample; nothing is averaged",
                "dweight is transposed": "the gradient has the shape of the weight",
                "the product for dweight is taken in the wrong order": "it must sum over the samples",
                "dweight averaged over the batch instead of summed": "divided by the batch size; dy holds that "
                "factor already",
                "dweight without x": "dweight sums dy times x",
                "dweight without dy": "dy is ignored: dweight sums dy times x",
                "dweight uses only the first sample": "sum over all samples",
                "dweight uses only the last sample": "assigned in a loop instead of added: sum over all samples",
                "dbias not summed over the batch": "the sum over axis 0 is missing: the bias acts on every sample",
                "dbias averaged over the batch instead of summed": "mean for sum; dy holds that factor already",
                "dbias summed along the wrong axis": "sum over the samples: axis 0",
                "dbias summed over everything": "axis=0 is missing in the sum",
                "dbias is the batch size: dy is ignored": "dbias = dy.sum(axis=0)",
                "dbias is 1: dy is ignored": "dbias = dy.sum(axis=0)",
                "dbias keeps the axis of the batch": "keepdims=True: the gradient has the shape of the bias, (out,)",
            },
            quantities=_quantities,
            hints=_HINTS,
        ),
    ),
)
