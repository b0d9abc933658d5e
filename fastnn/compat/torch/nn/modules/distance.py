"""Distances between vectors."""

from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]

__getattr__ = missing(__name__, ABSENT)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis"""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """x1 @ x2 / (|x1| |x2|) along `dim`"""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
