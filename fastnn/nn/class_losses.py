"""Losses of class scores other than cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.functional.class_losses import power
from fastnn.nn.losses import Loss, labels_weight

__all__ = ["FocalLoss", "MultiMarginLoss", "NLLLoss"]


class NLLLoss(Loss):
    """The negative log-likelihood: -weight[label] * input[label].

    Args:
        weight: one for each class.
        ignore_index: rows with this label have no loss and no gradient.
        reduction: 'mean' divides by the sum of weight[label] over the rows that are not ignored; 'sum'; or 'none'.
    Shape:
        - Input: (N, C) or (N, C, d1, ...), log-probabilities
        - Target: (N) or (N, d1, ...), integers
    Attributes:
        weight: buffer (C,), or None
    Raises:
        ValueError: shapes do not fit, or a label lies outside [0, C); the message names the first one.
        TypeError: the input is not float32 or float64, or the target holds no integers.
    Example:
        >>> round(nn.NLLLoss()(np.log([[0.5, 0.5], [0.25, 0.75]]), np.array([0, -100])), 4)
        0.6931

    Source: PyTorch's definition.
    """

    targets_are_classes = True
    function = staticmethod(F.nll_loss)

    def __init__(self, weight: ArrayLike | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self.ignore_index = _check.integer("NLLLoss", "ignore_index", ignore_index, -(2**63))

    def averaged_over(self, input: NDArray, target: NDArray) -> float:
        """The sum of weight[label] over the rows that are not ignored."""
        return labels_weight(target, self.ignore_index, self.weight)

    def settings(self) -> dict[str, Any]:
        return {"weight": self.weight, "ignore_index": self.ignore_index, "reduction": self.reduction}


class MultiMarginLoss(Loss):
    """The multi-class hinge: weight[label] / C * sum over j != label of max(0, margin - input[label] + input[j])^p.

    Args:
        p: 1, or 2 for squared margins.
        margin: how much lower than the label's score every other one should be.
        weight: one for each class.
        reduction: 'mean' over the rows, 'sum', or 'none'.
    Shape:
        - Input: (N, C), scores
        - Target: (N), integers
    Attributes:
        weight: buffer (C,), or None
    Raises:
        ValueError: shapes do not fit, or a label lies outside [0, C); the message names the first one.
        TypeError: the input is not float32 or float64, or the target holds no integers.
    Example:
        >>> nn.MultiMarginLoss()(np.array([[0.5, 0.0, -1.0, 2.0]]), np.array([0]))
        0.75

    Source: PyTorch's definition.
    """

    targets_are_classes = True
    function = staticmethod(F.multi_margin_loss)

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: ArrayLike | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.p = power("MultiMarginLoss", p)
        self.margin = _check.number("MultiMarginLoss", "margin", margin, finite=True)
        self._register_weight("weight", weight)

    def averaged_over(self, input: NDArray, target: NDArray) -> float:
        """The number of rows."""
        return np.size(target)

    def settings(self) -> dict[str, Any]:
        return {"p": self.p, "margin": self.margin, "weight": self.weight, "reduction": self.reduction}


class FocalLoss(Loss):
    """Cross-entropy with less weight on examples that are already classified well.

    loss = -alpha[label] * (1 - p)^gamma * log(p),    p = softmax(input)[label]

    Args:
        gamma: how far to look away from what is already right; 0 gives cross-entropy.
        alpha: weight of each class.
        reduction: 'mean' over the rows (whatever their alpha), 'sum', or 'none'.
    Shape:
        - Input: (N, C), scores before softmax
        - Target: (N), integers
    Attributes:
        alpha: buffer (C,), or None
    Raises:
        ValueError: shapes do not fit, or a label lies outside [0, C); the message names the first one.
        TypeError: the input is not float32 or float64, or the target holds no integers.
    Example:
        >>> round(nn.FocalLoss()(np.log([[0.5, 0.5]]), np.array([0])), 4)
        0.1733

    Source: Lin et al., 2017, "Focal loss for dense object detection", with softmax over the classes.
    """

    targets_are_classes = True
    function = staticmethod(F.focal_loss)

    def __init__(self, gamma: float = 2.0, alpha: ArrayLike | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.gamma = _check.number("FocalLoss", "gamma", gamma, 0)
        self._register_weight("alpha", alpha)

    def averaged_over(self, input: NDArray, target: NDArray) -> float:
        """The number of rows."""
        return np.size(target)

    def settings(self) -> dict[str, Any]:
        return {"gamma": self.gamma, "alpha": self.alpha, "reduction": self.reduction}
