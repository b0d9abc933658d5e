"""The loss around trained parameters, and the range of the losses of several trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _arguments, _check, _random, nn
from fastnn._tables import aligned, html_table
from fastnn.autograd import no_grad
from fastnn.insight._state import moved, preserved

__all__ = ["LossLandscape", "loss_landscape", "lr_band"]

_NORMALIZE = ("filter", "layer", None)
_BATCH_NORM = ("running", "batch")


class LossLandscape(NamedTuple):
    """The result of `loss_landscape`. It prints as a table.

    Attributes:
        alphas: (steps,), the distances along the first direction; 0 is the network as it is.
        betas: (steps,), the distances along the second direction; None if there is only one.
        losses: (steps,); or (steps, steps), with losses[i, k] at alphas[i] and betas[k]. Far from the minimum, losses
            may be inf or nan.
    """

    alphas: NDArray[np.float64]
    betas: NDArray[np.float64] | None
    losses: NDArray[np.float64]

    def __str__(self) -> str:
        head, rows = self._cells()
        return "\n".join(aligned([head, *rows], ()))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return html_table(*self._cells(), ())

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """A row for each alpha; with two directions, a column for each beta."""
        table = self.losses.reshape(len(self.alphas), -1)
        head = ["loss"] if self.betas is None else [f"beta {beta:+.4g}" for beta in self.betas]
        rows = [
            [f"{alpha:+.4g}", *(f"{loss:.6g}" for loss in losses)]
            for alpha, losses in zip(self.alphas, table, strict=True)
        ]
        return ["alpha", *head], rows


def loss_landscape(
    model: nn.Module,
    criterion: Any,
    batches: Iterable[Any],
    *,
    directions: int = 1,
    steps: int = 21,
    span: float = 1.0,
    seed: int = 0,
    normalize: str | None = "filter",
    include_vectors: bool = False,
    batch_norm: str = "running",
) -> LossLandscape:
    """The mean loss at theta + alpha * d (+ beta * e), for random directions d and e in parameter space.

    Weights can be scaled without changing what a network with ReLU or batch norm computes. A direction of fixed length
    therefore says nothing about the sharpness of a minimum. Filter normalisation removes this effect: each filter of d
    (each row of a linear layer) is scaled to the norm of the filter that it is added to.

    The network runs in evaluation mode: there is no dropout, and running statistics are not updated. Afterwards
    parameters, gradients, buffers and modes are what they were, bit for bit.

    Args:
        model: the network, with parameters theta. Frozen parameters (`requires_grad` False) are not moved.
        criterion: the loss; `criterion(logits, y)` returns the mean over a batch.
        batches: (x, y) pairs. All are read once and kept, so that every point sees the same images.
        directions: 1 (default) for a line, 2 for a plane.
        steps: the number of points along each direction; an odd number includes theta itself. Default 21.
        span: alpha and beta run from -span to span. At 1 (default), a direction is as long as the parameters.
        seed: the seed of the directions. Default 0.
        normalize: 'filter' (default); 'layer', one scale for each parameter; or None for directions as they are drawn.
        include_vectors: also move parameters of one dimension (biases, weights of batch norm), each scaled like one
            filter. A bias that is zero is not moved. Default False.
        batch_norm: the statistics that batch norm uses: 'running' (default), those of theta, at every point; or
            'batch', those of the images at the point, as in training.
    Returns:
        A `LossLandscape` of alphas, betas and losses.
    Raises:
        ValueError: an argument is outside its range, or there are no images.
    Example:
        >>> from fastnn import insight
        >>> model = nn.Linear(4, 2)
        >>> batch = np.eye(4, dtype=np.float32), np.array([0, 1, 1, 0])
        >>> line = insight.loss_landscape(model, nn.CrossEntropyLoss(), [batch], steps=5)
        >>> line.alphas.tolist(), line.losses.shape
        ([-1.0, -0.5, 0.0, 0.5, 1.0], (5,))
        >>> bool(line.losses[2] == nn.CrossEntropyLoss()(model(batch[0]), batch[1]))
        True

    Source: Li et al., 2018, "Visualizing the loss landscape of neural nets".
    """
    name = "loss_landscape"
    _arguments.model(name, "model", model)
    _arguments.function(name, "criterion", criterion, may_be_class=False)
    directions = _check.integer(name, "directions", directions, 1, 2)
    seed = _check.integer(name, "seed", seed, 0)
    include_vectors = _check.boolean(name, "include_vectors", include_vectors)
    steps = _check.integer(name, "steps", steps, 2)
    span = _check.number(name, "span", span, 0, finite=True)
    if not span:
        raise ValueError(f"{name}: span must be a positive number. Received: {span!r}")
    _check.one_of(name, "normalize", normalize, _NORMALIZE)
    _check.one_of(name, "batch_norm", batch_norm, _BATCH_NORM)
    kept = [_pair(name, batch) for batch in _arguments.sequence(name, "batches", batches)]
    if not sum(len(x) for x, _ in kept):
        raise ValueError(f"{name}: the batches hold no images")
    parameters = [p for p in model.parameters() if p.requires_grad and (include_vectors or p.ndim > 1)]
    rng = np.random.default_rng(seed)
    chosen = [[_direction(rng, p.data, normalize) for p in parameters] for _ in range(directions)]
    # Whole numbers, so that the middle is exactly 0 and the loss there exactly that of theta.
    alphas = span * np.arange(1 - steps, steps, 2) / (steps - 1)
    losses = np.empty((steps,) * directions)
    theta = [p.data for p in parameters]
    with preserved(model), no_grad():
        model.eval()
        if batch_norm == "batch":
            for module in model.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    module.train()
        random_state = _random.random_state()
        for index in np.ndindex(losses.shape):
            for number, parameter in enumerate(parameters):
                place = theta[number]
                for position, direction in zip(index, chosen, strict=True):
                    place = moved(place, float(alphas[position]), direction[number])
                parameter.data = place
            _random.set_random_state(random_state)  # a layer that is random in evaluation, too, is the same everywhere
            losses[index] = _mean_loss(model, criterion, kept)
    return LossLandscape(alphas, alphas.copy() if directions == 2 else None, losses)


def _pair(operation: str, batch: Any) -> tuple[NDArray, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise TypeError(f"{operation}: batches must hold pairs (x, y). Received: {_check.shown(batch)}")
    x, y = batch
    array = _check.array(operation, "x of batches", x)
    if not array.ndim:
        raise _check.fail(operation, "x of batches must hold images", x=array)
    return array, y


def _direction(rng: np.random.Generator, weight: NDArray, normalize: str | None) -> NDArray:
    """A random direction for one parameter, in its dtype."""
    drawn = rng.standard_normal(weight.shape)
    if normalize is not None:
        each = normalize == "filter" and weight.ndim > 1
        axes = tuple(range(1, weight.ndim)) if each else None
        length = np.sqrt(np.square(drawn).sum(axis=axes, keepdims=True))
        wanted = np.sqrt(np.square(weight, dtype=np.float64).sum(axis=axes, keepdims=True))
        drawn *= wanted / np.maximum(length, np.finfo(np.float64).tiny)
    return drawn.astype(weight.dtype)


def _mean_loss(model: nn.Module, criterion: Any, batches: Sequence[tuple[Any, Any]]) -> float:
    """Over all images; far from theta it may overflow, which is a result, not an accident."""
    if len(batches) == 1:
        weights = [1.0]
    else:
        images = sum(len(x) for x, _ in batches)
        weights = [len(x) / images for x, _ in batches]
    with np.errstate(over="ignore", invalid="ignore"):
        return sum(
            weight * float(criterion(model(x), y)) for weight, (x, y) in zip(weights, batches, strict=True) if len(x)
        )


def lr_band(
    losses_by_lr: Mapping[float, ArrayLike] | Sequence[ArrayLike],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smallest and the largest loss of each step over several trainings, usually with different learning rates.

    A narrow band means that the loss hardly depends on the step size.

    Args:
        losses_by_lr: {learning rate: losses of all steps}, or a list of the losses of each training. A NaN counts as
            infinite, since that training has diverged.
    Shape:
        - each entry: (steps,)
        - Output: two arrays (steps,), float64: the minimum and the maximum
    Raises:
        ValueError: there are no trainings, or they differ in length.
    Example:
        >>> from fastnn import insight
        >>> minimum, maximum = insight.lr_band({0.1: [2.0, 1.0], 0.01: [2.5, 2.0], 1.0: [2.0, float("nan")]})
        >>> minimum.tolist(), maximum.tolist()
        ([2.0, 1.0], [2.5, inf])

    Source: the band of Santurkar et al., 2018, "How does batch normalization help optimization?", over trainings
    instead of steps along one gradient, as Fudan's course on neural networks draws it.
    """
    given: Any = losses_by_lr.values() if isinstance(losses_by_lr, Mapping) else losses_by_lr
    entries = _arguments.sequence("lr_band", "losses_by_lr", given)
    curves = [_check.numbers("lr_band", "losses_by_lr", entry) for entry in entries]
    if not curves or any(curve.ndim != 1 or curve.shape != curves[0].shape for curve in curves):
        shapes = ", ".join(str(curve.shape) for curve in curves) or "nothing"
        raise ValueError(f"lr_band: the losses of one or more trainings of equal length are needed. Received: {shapes}")
    table = np.stack(curves)
    table[np.isnan(table)] = np.inf
    return table.min(axis=0), table.max(axis=0)
