"""Saarland exercise, last question: networks of several linear layers, and what arrives at each of them."""

import numpy as np
from numpy.typing import NDArray

from fastnn import nn

__all__ = ["BATCH_NORM", "COURSE_INIT", "KAIMING", "VARIANTS", "WEIGHT_DECAY", "build", "signal_and_gradient"]

WEIGHT_DECAY = 1e-3  # the exercise's

COURSE_INIT, KAIMING, BATCH_NORM = "N(0, 1e-3)", "Kaiming", "N(0, 1e-3) and batch norm"
VARIANTS = (COURSE_INIT, KAIMING, BATCH_NORM)


def build(hidden: list[int], variant: str, dropout: float = 0.0) -> nn.Sequential:
    """Linear and ReLU for each number of hidden units, and a last Linear to ten classes, for images as rows of pixels.

    Args:
        hidden: units of each hidden layer.
        variant: one of `VARIANTS`: how weights begin, and whether batch norm precedes each ReLU.
        dropout: part of the hidden units that is dropped.
    """
    model = nn.Sequential(nn.Flatten())
    n_in = 3072
    for n_out in hidden:
        model.append(nn.Linear(n_in, n_out))
        if variant == BATCH_NORM:
            model.append(nn.BatchNorm1d(n_out))
        model.append(nn.ReLU())
        if dropout:
            model.append(nn.Dropout(dropout))
        n_in = n_out
    model.append(nn.Linear(n_in, 10))
    for layer in model:
        if isinstance(layer, nn.Linear):
            if variant == KAIMING:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.normal_(layer.weight, std=1e-3)
            assert layer.bias is not None  # Linear's default
            nn.init.zeros_(layer.bias)
    model.input_grad = False
    return model


def signal_and_gradient(model: nn.Sequential, x: NDArray, y: NDArray) -> list[dict[str, float]]:
    """What arrives at each linear layer of a network, forwards and backwards.

    Returns:
        For each linear layer: `signal`, the standard deviation over the images of its outputs, averaged over its units,
        which is the part that tells images apart; `gradient`, the root mean square of the loss's gradient with respect
        to its weights; `decay`, the same of WEIGHT_DECAY * weights, which Adam adds to it.
    """
    criterion = nn.CrossEntropyLoss()
    signals = []
    scores = x
    for layer in model:
        scores = layer(scores)
        if isinstance(layer, nn.Linear):
            signals.append(float(scores.std(axis=0).mean()))
    criterion(scores, y)
    model.zero_grad()
    model.backward(criterion.backward())
    rows = []
    for signal, layer in zip(signals, (layer for layer in model if isinstance(layer, nn.Linear)), strict=True):
        gradient, weight = (np.asarray(array, np.float64) for array in (layer.weight.grad, layer.weight.data))
        decay = WEIGHT_DECAY * float(np.sqrt(np.mean(weight**2)))
        rows.append({"signal": signal, "gradient": float(np.sqrt(np.mean(gradient**2))), "decay": decay})
    return rows
