"""The cost of a network: shapes, parameters, multiplications and memory of every layer."""

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
    """One run of a layer, a row of a `Summary`.

    Attributes:
        path: the path of the layer in the network.
        kind: the name of its class.
        output_shape: the shape of its output; a tuple of shapes if there are several.
        parameters: the number of its parameters.
        multiplications: the number of multiplications of a convolution or linear layer, including those by the padding;
            0 for other layers.
        activation_bytes: the size of its output in bytes.
    """

    path: str
    kind: str
    output_shape: tuple[Any, ...]
    parameters: int
    multiplications: int
    activation_bytes: int


class Summary(NamedTuple):
    """The layers of a network in the order in which they run. It prints as a table.

    Attributes:
        layers: one `LayerSummary` for each run of a layer without sublayers.
        batch_size: the number of images, or other examples, in the batch that ran.
        parameters: the number of parameters of the network; shared parameters count once.
        trainable_parameters: the number of those that are not frozen.
        parameter_bytes: the size of all parameters in bytes.
        notes: what would go wrong in training, as found by `Module.check`.
    """

    layers: list[LayerSummary]
    batch_size: int
    parameters: int
    trainable_parameters: int
    parameter_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def multiplications(self) -> int:
        """The number of multiplications in one forward pass of the batch, including those by the padding."""
        return sum(layer.multiplications for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """The total size in bytes of the outputs of all layers, most of which training keeps for the backward pass."""
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
                shape_text(layer.output_shape),
                f"{layer.parameters:,}" if layer.parameters else "",
                f"{layer.multiplications:,}" if layer.multiplications else "",
                bytes_text(layer.activation_bytes),
            )
            for layer in self.layers
        ]

    def _totals(self) -> list[tuple[str, str]]:
        frozen = self.parameters - self.trainable_parameters
        return [
            (
                "parameters",
                f"{self.parameters:,} ({bytes_text(self.parameter_bytes)})"
                + (f", of which {frozen:,} are not trained" if frozen else ""),
            ),
            (
                "multiplications",
                f"{self.multiplications:,} forward for a batch of {self.batch_size}, "
                f"{self.multiplications // self.batch_size:,} per image; training takes about three times as many",
            ),
            (
                "memory",
                f"{bytes_text(self.activation_bytes)} of activations for a batch of {self.batch_size}; "
                f"{bytes_text(3 * self.parameter_bytes)} of parameters, gradients and momentum",
            ),
            *(("note", note) for note in self.notes),
        ]


_HEAD = ("layer", "kind", "output shape", "parameters", "multiplications", "memory")
_LEFT = {0, 1, 2}


def shape_text(shape: tuple[Any, ...]) -> str:
    """A shape as text: 2x3; several shapes are separated by commas."""
    several = bool(shape) and isinstance(shape[0], tuple)
    return ", ".join(map(shape_text, shape)) if several else "x".join(map(str, shape))


def bytes_text(n: int) -> str:
    """A number of bytes as text, for example 1.5 MB."""
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000  # type: ignore[assignment]
    return f"{n:.2f} GB"


def multiplications_of(layer: nn.Module, x: Any, results: list[NDArray]) -> int:
    """The multiplications in one forward of a convolution or linear layer, padding included; 0 for any other layer."""
    if isinstance(layer, nn.ConvTranspose2d):
        return x.size * math.prod(layer.weight.shape[1:])
    if results and isinstance(layer, nn.Conv2d | nn.Linear):
        return results[0].size * math.prod(layer.weight.shape[1:])
    return 0


def shapes_of(operation: str, given: Any, name: str = "input_shape") -> Any:
    """The checked shape of an input; a tuple or a dict of shapes for several inputs."""
    if isinstance(given, dict) and given:
        return {key: _checked_shape(operation, f"{name}[{key!r}]", shape) for key, shape in given.items()}
    if isinstance(given, tuple | list) and given and all(isinstance(shape, tuple | list) for shape in given):
        return tuple(_checked_shape(operation, f"{name}[{i}]", shape) for i, shape in enumerate(given))
    return _checked_shape(operation, name, given)


def _zeros(shapes: Any, dtype: Any) -> Any:
    if isinstance(shapes, dict):
        return {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    is_one = isinstance(shapes[0], int)
    return np.zeros(shapes, dtype) if is_one else tuple(np.zeros(shape, dtype) for shape in shapes)


def _checked_shape(operation: str, name: str, given: Any) -> tuple[int, ...]:
    if isinstance(given, int):
        raise TypeError(f"{operation}: {name} must be several integers, (N, C, H, W). Received: {given!r}")
    shape = _check.integers(operation, name, given, 1)
    _check.fits_memory(operation, "an input", shape)
    return shape


def summarize(model: nn.Module, input_shape: Any = (1, 3, 32, 32)) -> Summary:
    """Summarise a network: run a batch of zeros through it, and note the cost of every layer.

    Args:
        model: the network. Neither its state nor the random generator is changed.
        input_shape: the shape of the batch, usually (N, C, H, W). For several inputs: a tuple of shapes, or a dict of
            shapes by the names of the arguments. Default (1, 3, 32, 32).
    Returns:
        A `Summary`, which prints as a table.
    Raises:
        TypeError: model is not an `nn.Module`, or the shape does not consist of integers; and all errors of the layers.
        ValueError: a size is not positive; and all errors of the layers.
    Example:
        >>> from fastnn import models
        >>> summary = models.summarize(models.keras_cnn(), (1, 3, 32, 32))
        >>> summary.parameters, summary.multiplications
        (2168746, 26579968)
    """
    _arguments.model("summarize", "model", model)
    shapes = shapes_of("summarize", input_shape)
    dtype = next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))
    return summary_of(model, _zeros(shapes, dtype))


def summary_of(model: nn.Module, inputs: Any) -> Summary:
    """The summary for an input, or for several in a tuple or a dict."""
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
            LayerSummary(path, type(layer).__name__, shape, n_parameters, multiplications_of(layer, x, arrays), n_bytes)
        )

    modes = [(module, module.training) for module in model.modules()]
    parameters = list(model.parameters())
    model.eval()
    try:
        with observe(model, visit), no_grad():
            _several.call(model, inputs)
    finally:
        for module, training in modes:
            module.training = training
    return Summary(
        layers,
        _several.first_length(inputs) or 0,
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if p.requires_grad),
        sum(p.data.nbytes for p in parameters),
    )
