"""Outputs: whether they are what the loss wants, and whether they are the same in the same circumstances."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _several, nn
from fastnn.autograd import Observer, Op, no_grad, observing
from fastnn.doctor._criteria import wants
from fastnn.doctor.findings import Finding

__all__ = ["depends_on_mode", "examine_modes", "examine_outputs", "last_operation", "modes_in_training"]

# Sums of probabilities differ from 1 by rounding only: in float32 by about classes * 6e-8.
SUM_TOLERANCE = 1e-3
# Outputs for an image alone and among others differ by the rounding of products in another order.
SAME = 1e-3
# What a bounded function gives as scores: between them and the loss there should be none.
BOUNDED = ("sigmoid", "tanh", "relu", "relu6", "hardtanh", "hardsigmoid")


class _Last(Observer):
    def __init__(self, model: nn.Module) -> None:
        self.name = ""
        self._modules = {
            id(module): type(module).__name__.lower() for module in model.modules() if module._modules == {}
        }

    def operation(self, op: Op, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase == "forward":
            self.name = str(getattr(op, "name", type(op).__name__)).lower()

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase == "forward" and self._modules.get(id(module), "") in BOUNDED:
            self.name = self._modules[id(module)]


def last_operation(model: nn.Module, x: Any) -> tuple[str, Any]:
    """The name of the last operation of a forward, such as 'relu', and its outputs; in the mode the model is in."""
    last = _Last(model)
    with observing(last), no_grad():
        outputs = _several.call(model, x)
    return last.name, outputs


def examine_outputs(outputs: Any, criterion: Any, last: str = "") -> list[Finding]:
    """Findings about the outputs of a batch, given the criterion and the name of the last operation."""
    wanted = wants(criterion)
    if not wanted or not isinstance(outputs, np.ndarray) or outputs.ndim < 1 or not np.isfinite(outputs).all():
        return []
    if wanted == "binary scores":
        return _before_sigmoid(outputs, last)
    if outputs.ndim < 2 or not outputs.size:
        return []
    if outputs.shape[1] < 2:
        return [
            Finding(
                "output_width",
                "error",
                f"the network has {outputs.shape[1]} output, whose softmax is always 1, so that the loss is always 0",
                "one output for two classes",
                "let the last layer have 2 outputs, or take nn.BCEWithLogitsLoss",
            )
        ]
    wide = np.moveaxis(outputs, 1, -1).reshape(-1, outputs.shape[1]).astype(np.float64)
    is_softmax = bool((wide >= 0).all() and (abs(wide.sum(axis=1) - 1) < SUM_TOLERANCE).all())
    if wanted == "log-probabilities":
        return _for_nll(wide, is_softmax)
    if wanted == "scores" and is_softmax:
        return [_softmax_twice(wide)]
    if last in BOUNDED and wanted == "scores":
        return [_bounded(wide, last)]
    return []


def _softmax_twice(wide: NDArray) -> Finding:
    classes = wide.shape[1]
    best = np.log(np.e + classes - 1) - 1
    return Finding(
        "softmax_before_cross_entropy",
        "error",
        f"outputs lie in {wide.min():.3g}..{wide.max():.3g} and sum to 1 for each image; of probabilities as scores "
        f"the loss cannot fall below {best:.3g}",
        "the network ends in softmax, and the loss applies softmax again",
        "leave out the softmax: the loss wants scores. For probabilities, apply functional.softmax to the outputs",
    )


def _bounded(wide: NDArray, last: str) -> Finding:
    return Finding(
        "activation_before_cross_entropy",
        "warning",
        f"the last operation is {last}, and outputs lie in {wide.min():.3g}..{wide.max():.3g}",
        "an activation after the last layer bounds the scores, and has no gradient where it is flat",
        "let the network end with the linear layer",
    )


def _for_nll(wide: NDArray, is_softmax: bool) -> list[Finding]:
    with np.errstate(over="ignore"):
        totals = np.exp(wide).sum(axis=1)
    if bool((abs(totals - 1) < SUM_TOLERANCE).all()):
        return []
    return [
        Finding(
            "log_softmax_missing",
            "error",
            f"exp(outputs) sums to {totals.min():.3g}..{totals.max():.3g} for each image, not to 1",
            "the network ends in softmax without its logarithm" if is_softmax else "the network gives scores",
            "let the network end in log_softmax, or give its scores to nn.CrossEntropyLoss",
        )
    ]


def _before_sigmoid(outputs: NDArray, last: str) -> list[Finding]:
    if last not in BOUNDED:
        return []
    return [
        Finding(
            "activation_before_cross_entropy",
            "error" if last == "sigmoid" else "warning",
            f"the last operation is {last}, and outputs lie in {outputs.min():.3g}..{outputs.max():.3g}",
            "the network ends in an activation, and the loss applies sigmoid to its outputs",
            "leave out the activation: the loss wants scores. For probabilities, apply sigmoid to the outputs",
        )
    ]


# ---- modes -----------------------------------------------------------------------------------------------------------
def examine_modes(model: nn.Module, x: Any) -> list[Finding]:
    """Findings about what `eval()` and `train()` do to this network. It changes the modes, and buffers in training.

    Args:
        model: the network.
        x: a batch of at least two images.
    """
    model.eval()
    # Of a class that overrides `train`, the modes afterwards count.
    stuck = [(path, module) for path, module in model.named_modules() if module.training]
    with no_grad():
        together, again = _several.call(model, x), _several.call(model, x)
        half = _several.call(model, _several.mapped(lambda part: part[: (len(part) + 1) // 2], x))
    found = []
    random = _difference(again, together)
    if random > SAME:
        found.append(
            Finding(
                "random_at_test_time",
                "warning",
                f"after eval(), two runs of the same batch differ by {random:.1%} of the largest output",
                "dropout or noise goes on after eval()",
                "let it depend on self.training, and register layers as attributes, so that eval() reaches them",
                _first(stuck, ("dropout",)),
            )
        )
    elif _difference(half, together) > SAME:
        found.append(
            Finding(
                "batch_norm_mode",
                "warning",
                f"after eval(), the outputs for an image change by {_difference(half, together):.1%} of the largest "
                "output with the other images of its batch",
                "batch norm goes on with the statistics of the batch: eval() does not reach it, or it keeps no running "
                "statistics (track_running_stats=False)",
                "register layers as attributes, so that eval() reaches them, and let them keep running statistics",
                _first(stuck or list(model.named_modules()), ("norm",)),
            )
        )
    model.train()
    return [*found, *modes_in_training(model)]


def modes_in_training(model: nn.Module) -> list[Finding]:
    """Findings about the modes that layers are in while they are trained."""
    still = [(path, m) for path, m in model.named_modules() if not m.training and depends_on_mode(m)]
    trained = [(path, m) for path, m in still if any(p.requires_grad for p in m.parameters()) or not _has_own(m)]
    if not trained:
        return []
    return [
        Finding(
            "eval_mode_in_training",
            "warning",
            f"{len(trained)} layers are in eval mode while they are trained, the first is {trained[0][0]} "
            f"({type(trained[0][1]).__name__})",
            "eval() was called before, or train() does not reach them",
            "call model.train() before training; freeze a layer by requires_grad_(False) as well",
            trained[0][0],
        )
    ]


def _has_own(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def depends_on_mode(module: nn.Module) -> bool:
    """Whether this layer does another thing in training than at test time."""
    name = type(module).__name__
    return not module._modules and ("BatchNorm" in name or "Dropout" in name)


def _first(named: Iterable[tuple[str, nn.Module]], words: tuple[str, ...]) -> str:
    leaves = [(path, type(module).__name__.lower()) for path, module in named if not module._modules]
    return next((path for path, kind in leaves if any(word in kind for word in words)), "")


def _difference(few: Any, many: Any) -> float:
    """The largest difference between the outputs of the first images, as a part of the largest output."""
    pairs = [(a, b[: len(a)]) for (_, a), (_, b) in zip(_several.parts("", few), _several.parts("", many), strict=True)
             if isinstance(a, np.ndarray) and a.ndim and a.dtype.kind == "f"]  # fmt: skip
    largest = 0.0
    for a, b in pairs:
        scale = float(abs(b).max(initial=0.0))
        if scale > 0 and np.isfinite(scale):
            largest = max(largest, float(abs(a - b).max(initial=0.0)) / scale)
    return largest
