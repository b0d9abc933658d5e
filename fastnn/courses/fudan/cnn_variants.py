"""Fudan, project 2: what the studies compare, an optimiser of one's own among it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import nn, optim

__all__ = ["BASELINE", "BASELINE_NAMES", "STUDIES", "Lion", "Variant"]


# ---- optimisers ------------------------------------------------------------------------------------------------------
class Lion(optim.Optimizer):
    """Steps of one size: only the sign of the averaged gradient counts (Chen et al., 2023)."""

    def __init__(self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})

    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        mean = state.get("mean", 0.0)
        parameter -= group["lr"] * np.sign(beta1 * mean + (1 - beta1) * gradient)
        state["mean"] = beta2 * mean + (1 - beta2) * gradient


def _adamw(model: nn.Module) -> optim.Optimizer:
    return optim.AdamW(model.parameters(), lr=2e-3)


def _muon(model: nn.Module) -> optim.Optimizer:
    """Muon for the weights between the first and the last layer, AdamW for these two, biases and batch norm."""
    named = dict(model.named_parameters())
    hidden = [name for name, p in named.items() if p.ndim > 1 and name not in ("conv1.weight", "fc2.weight")]
    rest = [parameter for name, parameter in named.items() if name not in hidden]
    muon = optim.Muon([named[name] for name in hidden], lr=0.02, weight_decay=0.01)
    return optim.MultiOptimizer([muon, optim.AdamW(rest, lr=2e-3)])


# ---- what is compared ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Variant:
    """One training.

    Attributes:
        name: in tables and legends.
        network: arguments of `cnn_network.network`.
        loss: makes the criterion.
        l1, l2: l1 * sum |w| + l2 * sum w^2 of all weights, biases and batch norm left out, is added to the loss.
        optimizer: makes it for a network.
        seed: of initial weights, dropout, order and augmentation.
    """

    name: str
    network: Mapping[str, Any] = field(default_factory=dict)
    loss: Callable[[], Any] = nn.CrossEntropyLoss
    l1: float = 0.0
    l2: float = 0.0
    optimizer: Callable[[nn.Module], optim.Optimizer] = _adamw
    seed: int = 0


BASELINE = Variant("baseline")
# What it is called among the variants of a study.
BASELINE_NAMES = {
    "filters": "16 filters",
    "losses": "cross-entropy",
    "activations": "ReLU",
    "optimizers": "AdamW, lr 2e-3",
    "parts": "with both",
}


def _activation(name: str, make: Callable[[], nn.Module]) -> Variant:
    return Variant(name, network={"activation": make})


def _optimizer(name: str, make: Callable[..., optim.Optimizer], **settings: Any) -> Variant:
    return Variant(name, optimizer=lambda model: make(model.parameters(), **settings))


# The baseline belongs to every study and is trained once. Learning rates are common ones for each optimiser; they
# were not searched for, and neither were the weights of the penalties.
STUDIES: dict[str, tuple[Variant, ...]] = {
    "seeds": (Variant("another seed", seed=1), Variant("a third seed", seed=2)),
    "filters": (
        Variant("8 filters", network={"filters": 8}),
        Variant("24 filters", network={"filters": 24}),
        Variant("32 filters", network={"filters": 32}),
    ),
    "parts": (
        Variant("no batch norm", network={"batch_norm": False}),
        Variant("no residual connections", network={"residual": False}),
    ),
    "losses": (
        Variant("label smoothing 0.1", loss=lambda: nn.CrossEntropyLoss(label_smoothing=0.1)),
        Variant("focal loss, gamma 2", loss=nn.FocalLoss),
        Variant("multi-class hinge", loss=nn.MultiMarginLoss),
        Variant("cross-entropy + L2, 1e-4", l2=1e-4),
        Variant("cross-entropy + L1, 1e-5", l1=1e-5),
        Variant("cross-entropy + L1 + L2", l1=1e-5, l2=1e-4),
        Variant("no dropout", network={"dropout": 0.0}),
        Variant("dropout 0.5", network={"dropout": 0.5}),
    ),
    "activations": (
        _activation("leaky ReLU 0.1", lambda: nn.LeakyReLU(0.1)),
        _activation("PReLU", nn.PReLU),
        _activation("ELU", nn.ELU),
        _activation("GELU", nn.GELU),
        _activation("SiLU", nn.SiLU),
        _activation("softplus", nn.Softplus),
        _activation("tanh", nn.Tanh),
        _activation("sigmoid", nn.Sigmoid),
    ),
    "optimizers": (
        _optimizer("SGD, lr 0.1", optim.SGD, lr=0.1),
        _optimizer("SGD, Nesterov 0.9, lr 0.05", optim.SGD, lr=0.05, momentum=0.9, nesterov=True),
        _optimizer("Adagrad, lr 0.01", optim.Adagrad, lr=0.01),
        _optimizer("RMSprop, lr 1e-3", optim.RMSprop, lr=1e-3),
        _optimizer("Adam, lr 2e-3", optim.Adam, lr=2e-3),
        Variant("Muon, lr 0.02, and AdamW", optimizer=_muon),
        _optimizer("Lion (own), lr 3e-4", Lion, lr=3e-4),
    ),
}  # fmt: skip
