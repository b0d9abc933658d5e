"""Dropout."""

from typing import Any

from fastnn import nn as array
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.activation import InPlace

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d"]

__getattr__ = missing(__name__, ABSENT)


class _DropoutNd(InPlace):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd, array.Dropout):
    """In training, 0 with probability p, else x / (1 - p)"""

    def forward(self, input: Any) -> Any:
        return F.dropout(input, self.p, self.training)


class Dropout2d(_DropoutNd, array.Dropout2d):
    """Dropout of whole channels"""

    def forward(self, input: Any) -> Any:
        return F.dropout2d(input, self.p, self.training)


class Dropout1d(_DropoutNd):
    """Dropout of whole channels of sequences"""

    def forward(self, input: Any) -> Any:
        return F.dropout1d(input, self.p, self.training)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean and variance of what comes from SELU"""

    def forward(self, input: Any) -> Any:
        return F.alpha_dropout(input, self.p, self.training)
