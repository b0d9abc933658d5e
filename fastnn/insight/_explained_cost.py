"""What a layer or a network does with an input of some shape: sizes, algorithms, kernels."""

from typing import Any, NamedTuple

import numpy as np

from fastnn import _runtime, _several, nn
from fastnn._tables import aligned
from fastnn.autograd.observer import Observer, observing
from fastnn.autograd.tensor import mapped
from fastnn.functional._conv2d_plan import plan_for
from fastnn.insight._state import frozen_randomness, preserved
from fastnn.models._observe import arrays_in, observe
from fastnn.models.summary import Summary, bytes_text, multiplications_of, shape_text, summary_of
from fastnn.profiling.algorithms import algorithm_of
from fastnn.profiling.run import left_as_found

__all__ = ["cost", "costs_of_parts"]

_DIRECTIONS = ("forward", "backward data", "backward weight")


def cost(layer: nn.Module, inputs: Any) -> list[str]:
    """Lines about one layer."""
    arrays = list(arrays_in(inputs))
    summary = _summary(layer, inputs)
    run = summary.layers[-1] if summary.layers else None
    output = () if run is None else run.output_shape
    n_parameters = f"{summary.parameters:,} ({bytes_text(summary.parameter_bytes)})"
    rows = [
        ("input", ", ".join(f"{shape_text(x.shape) or 'a number'} of {x.dtype}" for x in arrays)),
        ("output", shape_text(output) if output else "a number"),
        ("parameters", n_parameters if summary.parameters else ""),
        (
            "multiplications",
            f"{summary.multiplications:,} forward; training takes about three times as many"
            if summary.multiplications
            else "",
        ),
        (
            "memory",
            f"{bytes_text(sum(x.nbytes for x in arrays))} of input"
            + (f", {bytes_text(summary.activation_bytes)} of output" if summary.activation_bytes else ""),
        ),
        ("machine", _machine()),
        ("algorithm", ": ".join(algorithm_of(layer, "forward", ())) if isinstance(layer, nn.Linear) else ""),
        ("kernels", ", ".join(_kernels(layer, inputs))),
    ]
    lines = aligned([row for row in rows if row[1]], {0, 1})
    if isinstance(layer, nn.Conv2d):
        lines += ["", *_algorithms(layer, arrays[0].shape)]
    return lines


def costs_of_parts(model: nn.Module, inputs: Any) -> list[str]:
    """A table of the layers of a network: multiplications, and the algorithm of each direction."""
    found: list[tuple[str, nn.Module, tuple[int, ...], str, int]] = []

    def visit(path: str, layer: nn.Module, x: Any, y: Any) -> None:
        x_shape = next((array.shape for array in arrays_in(x)), ())
        results = list(arrays_in(y))
        shapes = tuple(array.shape for array in results)
        shown = shape_text(shapes[0] if len(shapes) == 1 else shapes)
        found.append((path, layer, x_shape, shown, multiplications_of(layer, x, results)))

    with observe(model, visit):
        _summary(model, inputs)
    total = sum(entry[-1] for entry in found)
    rows: list[tuple[str, ...]] = [("layer", "kind", "output shape", "multiplications", "share", *_DIRECTIONS)]
    for path, layer, x_shape, shown, n in found:
        directions = (algorithm_of(layer, direction, x_shape)[0] for direction in _DIRECTIONS)
        share = f"{100 * n / total:.1f} %" if n else ""
        rows.append((path, type(layer).__name__, shown, f"{n:,}" if n else "", share, *directions))
    lines = aligned(rows, {0, 1, 2, 5, 6, 7})
    rule = "-" * max(map(len, lines))
    ends = aligned([("multiplications", f"{total:,} forward"), ("machine", _machine())], {0, 1})
    return [lines[0], rule, *lines[1:], rule, *ends]


def _summary(model: nn.Module, inputs: Any) -> Summary:
    with preserved(model), left_as_found(model, None), frozen_randomness(model), np.errstate(all="ignore"):
        return summary_of(model, inputs)


def _machine() -> str:
    if _runtime.uses_reference():
        return "the NumPy reference"
    n = _runtime.num_threads()
    return f"{_runtime.isa()} kernels, {n} thread{'s' if n > 1 else ''}"


class _Kernels(Observer):
    def __init__(self) -> None:
        self.plans: dict[str, Any] = {}

    def kernel(self, name: str, *details: Any) -> None:
        self.plans[name] = details[0] if details else None


def _kernels(layer: nn.Module, inputs: Any) -> list[str]:
    """Functions of the compiled module that run in a step of training, forward and back, in this order."""
    look = _Kernels()
    with preserved(layer), left_as_found(layer, None), frozen_randomness(layer), np.errstate(all="ignore"):
        layer.train()
        with observing(look):
            y = _several.call(layer, inputs)
            if isinstance(layer, nn.Loss):
                layer.backward()
            elif any(x.dtype.kind == "f" for x in arrays_in(inputs)) or list(layer.parameters()):
                layer.backward(mapped(lambda part: np.ones_like(part) if isinstance(part, np.ndarray) else None, y))
    if isinstance(layer, nn.Conv2d):  # which has a table of its plans
        return list(look.plans)
    return [name if plan is None else f"{name} ({plan.algorithm}, {plan.way})" for name, plan in look.plans.items()]


# ---- algorithms ------------------------------------------------------------------------------------------------------
class _Costs(NamedTuple):
    """Multiplications of the other algorithms, direct having 1; as the planner counts them."""

    winograd: float
    winograd24: float


def _algorithms(layer: Any, x_shape: tuple[int, ...]) -> list[str]:
    plan = plan_for("explain", x_shape, layer.weight.shape, layer.weight.dtype, layer.settings())
    rows: list[tuple[str, ...]] = [("direction", "algorithm", "way", "workspace", "multiplications (estimate)", "why")]
    for direction in _DIRECTIONS:
        algorithm, why = algorithm_of(layer, direction, x_shape)
        found = plan.directions[direction.replace(" ", "_")]
        way, workspace, others = "", "", ""
        if found is not None:
            way, workspace = found.way, bytes_text(found.workspace)
            costs = _Costs(found.winograd, found.winograd24)
            shares = [f"{name} {share:.2f}" for name, share in costs._asdict().items() if share]
            others = ", ".join(["direct 1", *shares])
        rows.append((direction, algorithm, way, workspace, others, why.removeprefix(f"{algorithm}: ")))
    return aligned(_without_empty(rows), set(range(6)))


def _without_empty(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    return [tuple(row[i] for i in kept) for row in rows]
