"""Dropout: training, backward, inference. Masks are random, so the check learns from the result which were drawn."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.grading.calling import as_array, first_of
from fastnn.grading.operation import (
    ANY,
    Case,
    Form,
    Inputs,
    Misfit,
    Operation,
    PartOfOperation,
    Results,
    Settings,
    Wrong,
)
from fastnn.grading.operations._shared import FLOAT32_HINT, double
from fastnn.grading.tolerances import FLOAT32

__all__ = ["OPERATION"]


def _cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    def case(label: str, shape: tuple[int, ...], p: float, dtype: Any = np.float64, **more: Any) -> Case:
        mask = rng.random(shape) >= p
        arrays = {"x": rng.uniform(1, 2, shape) * rng.choice([-1, 1], shape), "dy": rng.standard_normal(shape)}
        inputs: Inputs = {name: array.astype(dtype) for name, array in arrays.items()}
        inputs |= {"p": p, "mask": mask, "training": True, "rng": np.random.default_rng(int(rng.integers(2**32)))}
        return Case(f"{label}shape {shape}, probability to drop {p:g}", inputs, **more)

    return [
        case("", (40, 30), 0.3),
        case("", (50, 20), 0.8),
        case("images, ", (4, 5, 10, 8), 0.2, tags=("images",)),
        case("one sample, ", (1, 1000), 0.6, tags=("one sample",)),
        case("little is dropped, ", (30, 30), 0.1, tags=("small p",)),
        case("float32, ", (30, 40), 0.4, np.float32, tags=("float32",), tolerance=FLOAT32),
    ]


# ---- training --------------------------------------------------------------------------------------------------------
def _learn_forward(inputs: Inputs, results: Results, forward: Results) -> Inputs:
    """The mask that was drawn: what is not 0 was kept."""
    y = results.get("y")
    if y is None or y.shape != inputs["x"].shape:
        return inputs
    return {**inputs, "mask": y != 0}


def _right_forward(inputs: Inputs) -> Results:
    return {**_forward(inputs, frozenset()), "share_kept deviation": _spread(inputs)}


def _spread(inputs: Inputs) -> float:
    """Five standard deviations of the share of a random mask, at most."""
    return 2.5 / math.sqrt(inputs["x"].size)


def _scale_with(scale: float, p: float, wrong: Wrong) -> float:
    """What the kept entries are multiplied by, with mistakes; `scale` without."""
    keep = 1 - p
    if "not scaled: the kept entries must be divided by the probability to keep" in wrong:
        scale = 1.0
    if "scaled by p rather than 1 - p: divided by the probability to drop" in wrong:
        scale = 1 / p if p else math.inf
    if "multiplied by the probability to keep instead of divided" in wrong:
        scale = keep
    if "multiplied by the probability to drop" in wrong:
        scale = p
    if "scaled twice" in wrong:
        scale = 1 / keep**2
    if "scaled by the root of the probability to keep" in wrong:
        scale = 1 / math.sqrt(keep)
    if "scaled by 2, whatever p is" in wrong:
        scale = 2.0
    return scale


def _forward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    x, p, mask = i["x"], i["p"], i["mask"]
    keep = 1 - p
    kept = keep
    if "p is taken for the probability to keep" in wrong:
        kept = p
    if "a normal random number is compared with p (randn for rand)" in wrong:
        kept = 0.5 * math.erfc(p / math.sqrt(2))
    if "a normal random number is compared with 1 - p (randn for rand)" in wrong:
        kept = 0.5 * (1 + math.erf(keep / math.sqrt(2)))
    if "half of the entries are dropped, whatever p is" in wrong:
        kept = 0.5
    if "the square of the probability" in wrong:
        kept = keep * keep
    if "nothing is dropped" in wrong:
        kept = 1.0
    if "everything is dropped" in wrong:
        kept = 0.0
    scale = 1 / keep
    scale = _scale_with(scale, p, wrong)
    y = np.where(mask, x * scale, 0)
    if "the mask is returned, not multiplied by x" in wrong:
        y = np.where(mask, scale, 0)
    if "the mask without its scale is returned" in wrong:
        y = mask.astype(np.float64)
    if "scaled by the share that was kept, not by the probability" in wrong:
        y = np.where(mask, x / max(mask.mean(), 1e-300), 0)
    if "x is returned unchanged" in wrong:
        y = x
    return {"y": y, "share_kept": np.asarray(kept), "same_for_all_samples": np.asarray(0.0)}


_SCALE_MISTAKES = {
    "not scaled: the kept entries must be divided by the probability to keep": "inverted dropout: y = x * mask / (1 "
    "- p), so that "
    "nothing has to be done at inference",
    "scaled by p rather than 1 - p: divided by the probability to drop": "divide by the probability to keep",
    "multiplied by the probability to keep instead of divided": "divide by the probability to keep",
    "multiplied by the probability to drop": "divide by the probability to keep",
    "scaled twice": "divide by the probability to keep once",
    "scaled by the root of the probability to keep": "divide by the probability to keep",
    "scaled by 2, whatever p is": "divide by the probability to keep",
}
_FORWARD_MISTAKES = {
    "nothing is dropped": "x is returned with no zeros: draw a mask",
    "everything is dropped": "is the mask made of integers, or is p taken for something else?",
    "p is taken for the probability to keep": "the wrong share is dropped. In PyTorch p is the probability to drop, "
    "in cs231n "
    "to keep; see the signature",
    "half of the entries are dropped, whatever p is": "use p",
    "a normal random number is compared with p (randn for rand)": "the mask needs uniform random numbers: "
    "np.random.rand",
    "a normal random number is compared with 1 - p (randn for rand)": "the mask needs uniform random numbers: "
    "np.random.rand",
    "the square of the probability": "two masks in place of one?",
    **_SCALE_MISTAKES,
    "the mask is returned, not multiplied by x": "y = x * mask / (1 - p)",
    "the mask without its scale is returned": "y = x * mask / (1 - p)",
    "scaled by the share that was kept, not by the probability": "divide by 1 - p",
    "x is returned unchanged": "y = x * mask / (1 - p)",
}


def _with_share(y: Any, values: dict[str, Any]) -> Results:
    """y, the share of entries that were kept, and whether the mask is one for all samples."""
    try:
        array = as_array("y", y)
    except Misfit:  # it is told when it is read
        return {"y": y}
    if array.dtype.kind not in "fiub" or array.shape != values["x"].shape:
        return {"y": y}
    mask = array != 0
    alike = len(mask) > 2 and 0 < mask.mean() < 1 and bool((mask == mask[:1]).all())
    if alike:  # then the share is that of few random numbers
        return {"y": y, "same_for_all_samples": np.asarray(1.0)}
    return {"y": y, "share_kept": np.asarray(mask.mean()), "same_for_all_samples": np.asarray(0.0)}


def _read_forward(raw: Any, values: dict[str, Any]) -> Results:
    y, more = first_of(raw)
    return {**_with_share(y, values), **more}


# ---- backward --------------------------------------------------------------------------------------------------------
def _learn_backward(inputs: Inputs, results: Results, forward: Results) -> Inputs:
    y = forward.get("y")
    if y is None or y.shape != inputs["x"].shape:
        return {**inputs, "_drawn": results.get("dx")}
    mask = y != 0
    if mask.all() or not mask.any():  # no mask: to hand on dy, or zeros, would be right
        return {**inputs, "_drawn": results.get("dx")}
    return {**inputs, "mask": mask, "_drawn": results.get("dx")}


def _right_backward(inputs: Inputs) -> Results:
    return _backward(inputs, frozenset())


def _backward(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    dy, p, mask, x = i["dy"], i["p"], i["mask"], i["x"]
    scale = 1 / (1 - p)
    drawn = i.get("_drawn")
    if "another mask is drawn in backward" in wrong and drawn is not None and drawn.shape == mask.shape:
        other = drawn != 0
        mask = other
    if "the mask is inverted" in wrong:
        mask = ~mask
    if "the mask is ignored: dy is handed on" in wrong:
        mask, scale = np.ones_like(mask), 1.0
    if "the mask is ignored: dy is only scaled" in wrong:
        mask = np.ones_like(mask)
    scale = _scale_with(scale, p, wrong)
    dx = np.where(mask, dy * scale, 0)
    if "dy is ignored: the mask alone" in wrong:
        dx = np.where(mask, scale, 0)
    if "multiplied by x" in wrong:
        dx = dx * x
    if "x is used in the place of dy" in wrong:
        dx = np.where(mask, x * scale, 0)
    return {"dx": dx}


_BACKWARD_MISTAKES = {
    "the mask is ignored: dy is handed on": "the entries that were dropped get no gradient: dx = dy * mask / (1 - p)",
    "the mask is ignored: dy is only scaled": "the entries that were dropped get no gradient: dx = dy * mask / (1 - p)",
    "the mask is inverted": "the gradient passes where x was kept",
    **_SCALE_MISTAKES,
    "another mask is drawn in backward": "the mask is drawn again: keep that of forward in the cache",
    "dy is ignored: the mask alone": "dx = dy * mask / (1 - p)",
    "multiplied by x": "dx = dy * mask / (1 - p)",
    "x is used in the place of dy": "dx = dy * mask / (1 - p)",
}


# ---- inference -------------------------------------------------------------------------------------------------------
def _inference_cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
    return [Case(c.label, {**c.inputs, "training": False}, c.tags, c.tolerance) for c in _cases(rng, settings)]


def _right_inference(inputs: Inputs) -> Results:
    return {"y": double(inputs)["x"]}


def _inference(inputs: Inputs, wrong: Wrong) -> Results:
    i = double(inputs)
    x, p, mask = i["x"], i["p"], i["mask"]
    y = x
    if "scaled at inference, too: multiplied by the probability to keep" in wrong:
        y = x * (1 - p)
    if "scaled at inference, too: divided by the probability to keep" in wrong:
        y = x / (1 - p)
    if "scaled at inference, too: multiplied by the probability to drop" in wrong:
        y = x * p
    if "active at inference: entries are dropped" in wrong:
        y = np.where(mask, x, 0)
    if "active at inference: entries are dropped and scaled" in wrong:
        y = np.where(mask, x / (1 - p), 0)
    if "all zeros at inference" in wrong:
        y = 0 * x
    return {"y": y}


_INFERENCE_MISTAKES = {
    "active at inference: entries are dropped and scaled": "at inference, dropout returns x as it is",
    "active at inference: entries are dropped": "at inference, dropout returns x as it is",
    "scaled at inference, too: multiplied by the probability to keep": "inverted dropout scales in training, so "
    "nothing is done "
    "at inference",
    "scaled at inference, too: divided by the probability to keep": "at inference, dropout returns x as it is",
    "scaled at inference, too: multiplied by the probability to drop": "at inference, dropout returns x as it is",
    "all zeros at inference": "at inference, dropout returns x as it is",
}


# ---- signatures ------------------------------------------------------------------------------------------------------
def _dropout_param(mode: str) -> Any:
    def arguments(i: Inputs) -> dict[str, Any]:
        return {"dropout_param": {"mode": mode, "p": 1 - i["p"]}}

    return arguments


def _scaled_mask(i: Inputs) -> dict[str, Any]:
    return {"mask": i["mask"] / (1 - i["p"])}


def _quantities(inputs: Inputs) -> dict[str, float]:
    return {"the probability to drop": inputs["p"], "the batch size": len(inputs["x"])}


def _fields(inputs: Inputs) -> dict[str, NDArray]:
    return {"x": inputs["x"].astype(np.float64)}


_HINTS = {
    **FLOAT32_HINT,
    "images": "wrong only for arrays with four axes",
    "one sample": "wrong only for a batch of one sample",
    "small p": "wrong only where little is dropped",
}
_SHARED = {
    "same_for_all_samples": "one mask for all samples: each sample needs a mask of its own (draw an array of x.shape)"
}
_RESULTS = ("y", "share_kept", "same_for_all_samples")
_PYTORCH = ("x", "p", "training", "dy", "mask", "rng", "seed")
_CS231N = ("x", "dropout_param", "dout", "cache")
_OPTIONS = {"training": True, "rng": ANY, "seed": None}

OPERATION = Operation(
    name="dropout",
    title="Dropout (inverted: scaled in training)",
    formula="""\
training: y = x / (1 - p) where kept, 0 where dropped; each entry is dropped with probability p, independently
backward: dx = dy / (1 - p) where kept, 0 where dropped, with the mask of forward; inference: y = x
PyTorch: p is the probability to drop. cs231n: p is the probability to keep, and 1 - p above is p""",
    parts=(
        PartOfOperation(
            name="forward",
            forms=(
                Form(
                    "pytorch",
                    "forward(x, p, training=True) -> y, or -> (y, mask), where p is the probability to drop",
                    ("x", "p"),
                    _RESULTS,
                    _OPTIONS,
                    read=_read_forward,
                    names=_PYTORCH,
                ),
                Form(
                    "cs231n",
                    "forward(x, dropout_param) -> (out, cache), with dropout_param = {mode: 'train', p}, where p is "
                    "the "
                    "probability to keep",
                    ("x", "dropout_param"),
                    _RESULTS,
                    arguments=_dropout_param("train"),
                    read=_read_forward,
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
            random=True,
            learn=_learn_forward,
            messages=_SHARED,
        ),
        PartOfOperation(
            name="backward",
            forms=(
                Form(
                    "pytorch",
                    "backward(dy, mask) -> dx, with what forward returned beside y",
                    ("dy", "cache"),
                    ("dx",),
                    names=_PYTORCH,
                ),
                Form(
                    "pytorch",
                    "backward(dy, mask, p) -> dx, where mask is True for what was kept",
                    ("dy", "mask", "p"),
                    ("dx",),
                    names=_PYTORCH,
                ),
                Form(
                    "pytorch",
                    "backward(dy, mask) -> dx, without forward: mask is 1 / (1 - p) for what was kept, 0 else",
                    ("dy", "mask"),
                    ("dx",),
                    arguments=_scaled_mask,
                    names=_PYTORCH,
                ),
                Form("cs231n", "backward(dout, cache) -> dx", ("dy", "cache"), ("dx",), names=_CS231N),
            ),
            cases=_cases,
            right=_right_backward,
            compute=_backward,
            mistakes=_BACKWARD_MISTAKES,
            fields=_fields,
            quantities=_quantities,
            hints=_HINTS,
            learn=_learn_backward,
        ),
        PartOfOperation(
            name="inference",
            forms=(
                Form("pytorch", "inference(x) -> y", ("x",), ("y",), {"p": ANY, "training": False}, names=_PYTORCH),
                Form(
                    "pytorch",
                    "inference(x, p, training) -> y, called with training=False",
                    ("x", "p"),
                    ("y",),
                    {"training": False, "rng": ANY, "seed": None},
                    names=_PYTORCH,
                ),
                Form(
                    "cs231n",
                    "inference(x, dropout_param) -> (out, cache), with dropout_param['mode'] = 'test'",
                    ("x", "dropout_param"),
                    ("y",),
                    arguments=_dropout_param("test"),
                    names=_CS231N,
                ),
            ),
            cases=_inference_cases,
            right=_right_inference,
            compute=_inference,
            mistakes=_INFERENCE_MISTAKES,
            quantities=_quantities,
            hints=_HINTS,
            learn=_learn_forward,
        ),
    ),
)
