"""PKU, assignment 2, part 2: batch norm for inference, with the statistics of several rules."""

import numpy as np
from numpy.typing import NDArray

from fastnn import nn
from fastnn.courses.pku.bn_network import ObservedBatchNorm1d

__all__ = ["cumulative_statistics", "statistics_rules", "validation_loss"]


def cumulative_statistics(norm: nn.BatchNorm1d, samples: int) -> tuple[NDArray, NDArray]:
    """Means over all batches, of `samples` each, of the batch's mean and of its biased variance.

    The layer keeps the unbiased variance, as PyTorch does, which is n / (n - 1) times the biased one.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("the layer has no running statistics")
    return norm.running_mean, norm.running_var * ((samples - 1) / samples)


def validation_loss(model: nn.Sequential, mean: NDArray, variance: NDArray, x: NDArray, y: NDArray) -> float:
    """The loss of images in eval mode, with these statistics; the network stays as it is."""
    norm: nn.BatchNorm1d = model[1]  # type: ignore[assignment]
    before = norm.running_mean, norm.running_var
    norm.running_mean, norm.running_var = mean, variance
    model.eval()
    try:
        return float(nn.BCELoss(reduction="sum")(model(x), y))
    finally:
        model.train()
        norm.running_mean, norm.running_var = before


def _moving_average(values: list[NDArray], decay: float, start: NDArray) -> NDArray:
    average = start
    for value in values:
        average = decay * average + (1 - decay) * value
    return average


def statistics_rules(norm: ObservedBatchNorm1d, samples: int) -> list[tuple[str, float, NDArray, NDArray]]:
    """Ways to get statistics for inference from those of the batches: name, published loss, mean, variance."""
    means, variances = norm.means, norm.variances
    mean, variance = np.mean(means, axis=0), np.mean(variances, axis=0)
    zero = np.zeros_like(mean)

    def moving(decay: float) -> tuple[NDArray, NDArray]:
        return _moving_average(means, decay, zero), _moving_average(variances, decay, zero)

    late = [_moving_average(values, 0.99, values[0]) for values in (means, variances)]
    return [
        ("mean over all batches, biased variance", 0.028552, mean, variance),
        ("mean over all batches, unbiased variance", 0.029686, mean, variance * (samples / (samples - 1))),
        ("moving average, decay 0.9, from zeros", 0.027659, *moving(0.9)),
        ("moving average, decay 0.99, from zeros", 0.011864, *moving(0.99)),
        ("moving average, decay 0.99, from the first batch", 0.029620, late[0], late[1]),
        ("the last batch only", 0.027565, means[-1], variances[-1]),
    ]
