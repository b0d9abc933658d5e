"""Softmax cross-entropy, the loss of classification."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.losses import Loss, labels_weight

__all__ = ["CrossEntropyLoss"]


class CrossEntropyLoss(Loss):
    """The cross-entropy of the target and the softmax of the input.

    For a row x and its target distribution q (one-hot for a label),

        loss = -sum over c of weight[c] * q'[c] * log softmax(x)[c]
        q' = (1 - label_smoothing) * q + label_smoothing / C

    `forward` computes the gradient along with the loss, in one pass, and `backward` returns it.

    Args:
        weight: one for each class.
        ignore_index: rows with this label have no loss and no gradient.
        reduction: 'mean', 'sum', or 'none'. With labels, the mean divides by the sum of weight[label] over the rows
            that are not ignored; with probabilities, by the number of rows.
        label_smoothing: the part of the target, in [0, 1], that is spread evenly over all classes.
    Shape:
        - Input: (N, C) or (N, C, d1, ...), scores before softmax; float32 or float64
        - Target: (N) or (N, d1, ...), labels of any integer dtype; or probabilities like the input
        - Output: a float; with reduction='none' an array (N) or (N, d1, ...)
    Attributes:
        weight: buffer (C,), or None
    Raises:
        ValueError: shapes do not fit, or a label lies outside [0, C); the message names the first one.
    Example:
        >>> criterion = nn.CrossEntropyLoss()
        >>> round(criterion(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1])), 4)
        0.41
        >>> criterion.backward().round(4)
        array([[-0.0596,  0.0596],
               [ 0.25  , -0.25  ]])

    Source: PyTorch's definition of the mean; Szegedy et al., 2016, "Rethinking the Inception architecture for computer
    vision" (label smoothing).
    """

    targets_are_classes = True
    function = staticmethod(F.cross_entropy)

    def __init__(
        self,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self.ignore_index = _check.integer("CrossEntropyLoss", "ignore_index", ignore_index, -(2**63))
        self.label_smoothing = _check.number("CrossEntropyLoss", "label_smoothing", label_smoothing, 0, 1)

    def settings(self) -> dict[str, Any]:
        return {
            "weight": self._buffers["weight"],
            "ignore_index": self.ignore_index,
            "reduction": self.reduction,
            "label_smoothing": self.label_smoothing,
        }

    def averaged_over(self, input: NDArray, target: NDArray) -> float:
        """The sum of weight[label] over the rows that are not ignored; of probabilities, the number of rows."""
        target = np.asarray(target)
        if target.dtype.kind == "f":
            return target.size // target.shape[1]
        return labels_weight(target, self.ignore_index, self.weight)
