"""How far a gradient can be trusted: the loss and the gradient further along the gradient's direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _arguments, _check, _random, nn
from fastnn.insight._state import moved, preserved

__all__ = ["GradientProbe", "beta_smoothness", "gradient_predictiveness", "probe_gradient"]


class GradientProbe(NamedTuple):
    """The result of `probe_gradient`, for K step sizes.

    Attributes:
        loss: the loss at theta.
        gradient_norm: ||g||, the norm of the gradient at theta over all parameters.
        step_sizes: (K,), the step sizes eta.
        losses: (K,), the loss at theta - eta * g.
        distances: (K,), ||grad L(theta - eta * g) - g||.
        smoothness: (K,), distances / (eta * ||g||); nan where the gradient is zero.
    """

    loss: float
    gradient_norm: float
    step_sizes: NDArray[np.float64]
    losses: NDArray[np.float64]
    distances: NDArray[np.float64]
    smoothness: NDArray[np.float64]

    @property
    def loss_range(self) -> tuple[float, float]:
        """The smallest and the largest loss along the direction, including that at theta."""
        values = [self.loss, *self.losses.tolist()]
        return min(values), max(values)

    @property
    def beta(self) -> float:
        """The largest value of `smoothness`: the effective beta-smoothness."""
        return float(self.smoothness.max())


def probe_gradient(
    model: nn.Module, criterion: Any, x: NDArray, y: NDArray, step_sizes: Sequence[float] | ArrayLike
) -> GradientProbe:
    """Measure the loss and the gradient at several distances along the negative gradient from theta.

    With g = grad L(theta), they are computed at theta - eta * g for every step size eta. If the gradient of the loss is
    beta-Lipschitz, ||grad L(theta - eta * g) - g|| <= beta * eta * ||g||. The quotient of the two sides without beta is
    the smoothness that this direction shows.

    The network runs in the mode it is in. In training mode, batch norm uses the statistics of the batch, and dropout
    draws the same mask at every point. Afterwards parameters, gradients, buffers and random generators are what they
    were, bit for bit. But layers have lost what their last `forward` kept: probe between steps, not before a
    `backward`.

    Args:
        model: the network, with parameters theta.
        criterion: the loss module: `criterion(logits, y)`, then `criterion.backward()`.
        x: the inputs of one batch.
        y: the targets of the batch.
        step_sizes: the step sizes eta, > 0. In a float32 network, eta * g must be well above its rounding errors.
    Returns:
        A `GradientProbe`.
    Raises:
        ValueError: there is no step size, one is not positive, or the model has no trainable parameters.
    Example:
        >>> from fastnn import insight
        >>> model = nn.Linear(1, 1, bias=False).astype(np.float64)
        >>> model.weight.data[...] = 2.0
        >>> x, y = np.array([[1.0]]), np.array([[0.0]])  # L(w) = w^2, with gradient 2 w: beta is 2
        >>> probe = insight.probe_gradient(model, nn.MSELoss(), x, y, [0.25, 0.5])
        >>> probe.losses.tolist(), probe.distances.tolist(), probe.beta
        ([1.0, 0.0], [2.0, 4.0], 2.0)

    Source: Santurkar et al., 2018, "How does batch normalization help optimization?".
    """
    name = "probe_gradient"
    _arguments.model(name, "model", model)
    _arguments.function(name, "criterion", criterion, may_be_class=False)
    x, y = _check.floats(name, "x", x), _check.reals(name, "y", y)
    if not x.ndim or (y.ndim and len(x) != len(y)) or not x.size:
        raise _check.fail(name, "one y for each x is needed", x=x, y=y)
    etas = np.atleast_1d(_check.numbers(name, "step_sizes", step_sizes))
    if etas.ndim != 1 or not etas.size or not (np.isfinite(etas) & (etas > 0)).all():
        raise ValueError(f"{name}: positive step sizes are needed in step_sizes. Received: {_check.shown(step_sizes)}")
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ValueError(f"{name}: the model has no parameters that are trained")
    theta = [p.data for p in trained]
    losses, distances = np.empty(len(etas)), np.empty(len(etas))
    with preserved(model):
        model.input_grad = False
        random_state = _random.random_state()

        def gradients() -> tuple[float, list[NDArray]]:
            _random.set_random_state(random_state)
            model.zero_grad()
            loss = float(criterion(model(x), y))
            model.backward(criterion.backward())
            return loss, [np.zeros_like(p.data) if p.grad is None else p.grad for p in trained]

        with np.errstate(over="ignore", invalid="ignore"):  # a step may lead out of bounds; inf and nan tell so
            loss, start = gradients()
            for k, eta in enumerate(etas):
                for parameter, place, direction in zip(trained, theta, start, strict=True):
                    parameter.data = moved(place, -float(eta), direction)
                losses[k], there = gradients()
                distances[k] = _norm(a - b for a, b in zip(there, start, strict=True))
            norm = _norm(start)
            smoothness = distances / (etas * norm) if norm else np.full(len(etas), np.nan)
    return GradientProbe(loss, norm, etas, losses, distances, smoothness)


def _norm(arrays: Any) -> float:
    """The Euclidean norm over several arrays, summed in double."""
    return float(np.sqrt(sum(float(np.square(array, dtype=np.float64).sum()) for array in arrays)))


def gradient_predictiveness(
    model: nn.Module, criterion: Any, x: NDArray, y: NDArray, step_sizes: Sequence[float] | ArrayLike
) -> NDArray[np.float64]:
    """Gradient predictiveness: ||grad L(theta - eta * g) - g|| for every step size eta, with g = grad L(theta).

    Small values mean that the gradient still points in the right direction after a long step.

    Args:
        model: the network, with parameters theta.
        criterion: the loss module: `criterion(logits, y)`, then `criterion.backward()`.
        x: the inputs of one batch.
        y: the targets of the batch.
        step_sizes: the step sizes eta, > 0.
    Shape:
        - Output: (K,), float64, one for each step size
    Raises:
        ValueError: there is no step size, one is not positive, or the model has no trainable parameters.
    Example:
        >>> from fastnn import insight
        >>> model = nn.Linear(1, 1, bias=False).astype(np.float64)
        >>> model.weight.data[...] = 2.0
        >>> batch = np.array([[1.0]]), np.array([[0.0]])
        >>> insight.gradient_predictiveness(model, nn.MSELoss(), *batch, [0.25, 0.5]).tolist()
        [2.0, 4.0]

    Source: Santurkar et al., 2018, "How does batch normalization help optimization?". `probe_gradient` gives the losses
    too, and says what happens to the model.
    """
    return probe_gradient(model, criterion, x, y, step_sizes).distances


def beta_smoothness(
    model: nn.Module, criterion: Any, x: NDArray, y: NDArray, step_sizes: Sequence[float] | ArrayLike
) -> float:
    """The effective beta-smoothness: the maximum over eta of ||grad L(theta - eta * g) - g|| / (eta * ||g||).

    It is a lower bound of the Lipschitz constant of the gradient; nan if the gradient is zero.

    Args:
        model: the network, with parameters theta.
        criterion: the loss module: `criterion(logits, y)`, then `criterion.backward()`.
        x: the inputs of one batch.
        y: the targets of the batch.
        step_sizes: the step sizes eta, > 0.
    Raises:
        ValueError: there is no step size, one is not positive, or the model has no trainable parameters.
    Example:
        >>> from fastnn import insight
        >>> model = nn.Linear(1, 1, bias=False).astype(np.float64)
        >>> model.weight.data[...] = 2.0
        >>> insight.beta_smoothness(model, nn.MSELoss(), np.array([[1.0]]), np.array([[0.0]]), [0.25, 0.5])
        2.0

    Source: Santurkar et al., 2018, "How does batch normalization help optimization?". `probe_gradient` gives the losses
    too, and says what happens to the model.
    """
    return probe_gradient(model, criterion, x, y, step_sizes).beta
