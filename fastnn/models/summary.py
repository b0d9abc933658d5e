"""What a network costs: shapes, parameters, multiplications and memory of every layer."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _arguments, _check, _several, nn
from fastnn._tables import aligned, html_table
from fastnn.autograd import no_grad
from fastnn.models._observe import arrays_in, observe

__all__ = ["LayerSummary", "Summary", "summarize"]


class LayerSummary(NamedTuple):
    """One run of a layer in a `Summary`; `output_shape` is a tuple of shapes if it gives several arrays."""

    path: str
    kind: str
    output_shape: tuple[Any, ...]
    parameters: int
    multiplications: int
    activation_bytes: int


class Summary(NamedTuple):
    """The layers of a network in the order in which they run; it prints as a table."""

    layers: list[LayerSummary]
    batch_size: int
    parameters: int
    trainable_parameters: int
    parameter_bytes: int

    @property
    def multiplications(self) -> int:
        """Of one forward pass of the batch; taps on padding are counted."""
        return sum(layer.multiplications for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Results of all layers, most of which training keeps for backward."""
        return sum(layer.activation_bytes for layer in self.layers)

    def __str__(self) -> str:
        lines = aligned([_HEAD, *self._cells()], _LEFT)
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:], rule, *(f"{name:<15}  {text}" for name, text in self._totals())])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        totals = (f"{name}: {text}" for name, text in self._totals())
        return html_table(_HEAD, self._cells(), _LEFT, after=totals)

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                layer.path,
                layer.kind,
                _shape(layer.output_shape),
                f"{layer.parameters:,}" if layer.parameters else "",
                f"{layer.multiplications:,}" if layer.multiplications else "",
                _bytes(layer.activation_bytes),
            )
            for layer in self.layers
        ]

    def _totals(self) -> list[tuple[str, str]]:
        frozen = self.parameters - self.trainable_parameters
        return [
            (
                "parameters",
                f"{self.parameters:,} ({_bytes(self.parameter_bytes)})"
                + (f", of which {frozen:,} are not trained" if frozen else ""),
            ),
            (
                "multiplications",
                f"{self.multiplications:,} forward for a batch of {self.batch_size}, "
                f"{self.multiplications // self.batch_size:,} per image; training takes about three times as many",
            ),
            (
                "memory",
                f"{_bytes(self.activation_bytes)} of activations for a batch of {self.batch_size}; "
                f"{_bytes(3 * self.parameter_bytes)} of parameters, gradients and momentum",
            ),
        ]


_HEAD = ("layer", "kind", "output shape", "parameters", "multiplications", "memory")
_LEFT = {0, 1, 2}


def _shape(shape: tuple[Any, ...]) -> str:
    several = bool(shape) and isinstance(shape[0], tuple)
    return ", ".join(map(_shape, shape)) if several else "x".join(map(str, shape))


def _bytes(n: int) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000  # type: ignore[assignment]
    return f"{n:.2f} GB"


def _multiplications(layer: nn.Module, x: Any, results: list[NDArray]) -> int:
    if isinstance(layer, nn.ConvTranspose2d):
        return x.size * math.prod(layer.weight.shape[1:])
    if results and isinstance(layer, nn.Conv2d | nn.Linear):
        return results[0].size * math.prod(layer.weight.shape[1:])
    return 0


def _shapes(given: Any) -> Any:
    """The checked shape of a batch; a tuple or a dict of shapes for several inputs."""
    if isinstance(given, dict) and given:
        return {name: _checked_shape(f"input_shape[{name!r}]", shape) for name, shape in given.items()}
    if isinstance(given, tuple | list) and given and all(isinstance(shape, tuple | list) for shape in given):
        return tuple(_checked_shape(f"input_shape[{index}]", shape) for index, shape in enumerate(given))
    return _checked_shape("input_shape", given)


def _zeros(shapes: Any, dtype: Any) -> Any:
    if isinstance(shapes, dict):
        return {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    is_one = isinstance(shapes[0], int)
    return np.zeros(shapes, dtype) if is_one else tuple(np.zeros(shape, dtype) for shape in shapes)


def _first(shapes: Any) -> tuple[int, ...]:
    several = list(shapes.values()) if isinstance(shapes, dict) else shapes
    return shapes if isinstance(several[0], int) else several[0]


def _checked_shape(name: str, given: Any) -> tuple[int, ...]:
    if isinstance(given, int):
        raise TypeError(f"summarize: {name} must be several integers, (N, C, H, W). Received: {given!r}")
    shape = _check.integers("summarize", name, given, 1)
    _check.fits_memory("summarize", "an input", shape)
    return shape


def summarize(model: nn.Module, input_shape: Any = (1, 3, 32, 32)) -> Summary:
    """Run a batch of zeros through `model` and note what every layer does.

    Args:
        model: the network. Neither its state nor the random generator changes.
        input_shape: shape of the batch, (N, C, H, W), or whatever the network takes; for several inputs a tuple of
            shapes, or a dict of them by the names of its arguments.
    Raises:
        TypeError: model is no `nn.Module`, or the shape no integers; and what layers raise.
        ValueError: a size is not positive; and what layers raise.
    Example:
        >>> from fastnn import models
        >>> summary = models.summarize(models.keras_cnn(), (1, 3, 32, 32))
        >>> summary.parameters, summary.multiplications
        (2168746, 26579968)
    """
    _arguments.model("summarize", "model", model)
    shapes = _shapes(input_shape)
    layers: list[LayerSummary] = []
    counted: set[int] = set()  # a layer that is used twice has its parameters once

    def visit(path: str, layer: nn.Module, x: Any, y: Any) -> None:
        n_parameters = 0 if id(layer) in counted else sum(p.size for p in layer._parameters.values() if p is not None)
        counted.add(id(layer))
        arrays = list(arrays_in(y))
        shapes = tuple(array.shape for array in arrays)
        shape = shapes[0] if len(shapes) == 1 else shapes
        n_bytes = sum(array.nbytes for array in arrays)
        layers.append(
            LayerSummary(path, type(layer).__name__, shape, n_parameters, _multiplications(layer, x, arrays), n_bytes)
        )

    modes = [(module, module.training) for module in model.modules()]
    parameters = list(model.parameters())
    dtype = parameters[0].dtype if parameters else np.dtype(np.float32)
    model.eval()
    try:
        with observe(model, visit), no_grad():
            _several.call(model, _zeros(shapes, dtype))
    finally:
        for module, training in modes:
            module.training = training
    return Summary(
        layers,
        _first(shapes)[0],
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if p.requires_grad),
        sum(p.data.nbytes for p in parameters),
    )
