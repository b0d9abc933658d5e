"""PKU, assignment 2, part 2: the network with batch norm, right and with usual mistakes in its backward pass."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import nn
from fastnn.courses.pku import digits

__all__ = ["EPS", "FAULTS", "Fault", "ObservedBatchNorm1d", "make_network"]

EPS = 1e-5


class ObservedBatchNorm1d(nn.BatchNorm1d):
    """Batch norm that remembers the statistics of every batch and the tensors of its first step.

    With momentum None its running statistics are plain means over all batches.

    Args:
        num_features: as of `BatchNorm1d`.
        fault: a wrong formula to use for dx, see `FAULTS`; None for the right one.
    """

    def __init__(self, num_features: int, fault: "Fault | None" = None) -> None:
        super().__init__(num_features, eps=EPS, momentum=None)
        self.fault = fault
        self.means: list[NDArray] = []
        self.variances: list[NDArray] = []
        self.first_step: dict[str, NDArray] = {}

    def forward(self, x: NDArray) -> NDArray:
        if self.training:
            self.means.append(x.mean(axis=0))
            self.variances.append(x.var(axis=0))  # the biased one: divided by the number of samples
            self._inputs = x
        return super().forward(x)

    def backward(self, dy: NDArray) -> NDArray | None:
        dx = super().backward(dy)
        assert self.weight is not None  # it is affine
        assert self.bias is not None
        if self.fault is not None:
            x, std = self._inputs, np.sqrt(self.variances[-1] + EPS)
            dx = self.fault.dx(dy * self.weight.data, (x - self.means[-1]) / std, std)
        if not self.first_step and dx is not None:
            self.first_step = {
                "x": self._inputs,
                "dout": dy,
                "dx": dx,
                "dgamma": self.weight.grad,
                "dbeta": self.bias.grad,
            }
        return dx


class Fault(NamedTuple):
    """A mistake in the backward pass.

    Attributes:
        done: what was done wrong, after "you".
        loss: the last of the 50 losses, by which it is recognised.
        dx: the wrong gradient of the layer's input, from the gradient of the normalised input, the normalised input
            and the standard deviation. The right one is (g - mean of g - x_hat * mean of (g * x_hat)) / std.
    """

    done: str
    loss: float
    dx: Callable[[NDArray, NDArray, NDArray], NDArray]


def _mean_term(g: NDArray) -> NDArray:
    """What dx gets through the batch's mean."""
    return g.mean(axis=0)


def _variance_term(g: NDArray, x_hat: NDArray) -> NDArray:
    """What dx gets through the batch's variance."""
    return x_hat * (g * x_hat).mean(axis=0)


FAULTS = (
    Fault("dropped the mean and the variance terms of dx", 0.84335, lambda g, x_hat, std: g / std),
    Fault("dropped the variance term of dx", 0.83233, lambda g, x_hat, std: (g - _mean_term(g)) / std),
    Fault("dropped the mean term of dx", 0.82820, lambda g, x_hat, std: (g - _variance_term(g, x_hat)) / std),
    Fault(
        "dropped both terms and multiplied by sqrt(var + eps) instead of dividing by it",
        0.23577,
        lambda g, x_hat, std: g * std,
    ),
)


def make_network(fault: Fault | None = None) -> nn.Sequential:
    """784 - 16 - batch norm - sigmoid - 1 - sigmoid, in float64, with the assignment's initial weights.

    Example:
        >>> make_network()(np.eye(2, 784)).shape
        (2, 1)
    """
    values = digits.initial_values()
    norm = ObservedBatchNorm1d(digits.HIDDEN, fault)
    model = nn.Sequential(
        nn.Linear(digits.PIXELS, digits.HIDDEN, bias=False),
        norm,
        nn.Sigmoid(),
        nn.Linear(digits.HIDDEN, 1, bias=False),
        nn.Sigmoid(),
    ).astype(np.float64)
    arrays = {
        "0.weight": values["W1"].T,
        "1.weight": values["gamma"],
        "1.bias": values["beta"],
        "3.weight": values["W2"].T,
    }
    model.load_state_dict(arrays, strict=False)  # the running statistics keep their start
    return model
