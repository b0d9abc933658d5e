"""Loss and accuracy over many batches."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Meter", "top_k_hits"]


def top_k_hits(logits: NDArray, labels: NDArray, k: int = 1) -> int:
    """How many labels are among the k classes of largest logit; among equals the first class counts as the larger.

    Args:
        logits: (N, classes).
        labels: (N,) classes, or (N, classes) probabilities, whose first largest one is taken.
        k: at least 1.

    Example:
        >>> from fastnn.training import top_k_hits
        >>> logits = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
        >>> top_k_hits(logits, np.array([1, 1])), top_k_hits(logits, np.array([1, 1]), k=2)
        (1, 2)
    """
    if labels.ndim == 2:
        labels = labels.argmax(axis=1)
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    # `not <=` rather than `>`: a NaN counts as larger, so a network of NaNs is right about nothing.
    ahead = ~(logits <= own) | ((logits == own) & (np.arange(logits.shape[1]) < labels[:, None]))
    return int((ahead.sum(axis=1) < k).sum())


class Meter:
    """Means over images: loss, top-1 and top-5 accuracy."""

    def __init__(self) -> None:
        self.images = 0
        self.loss_sum = 0.0
        self.hits = 0
        self.hits5 = 0

    def update(self, loss: float, logits: NDArray, labels: NDArray) -> None:
        """Add a batch; `loss` is its mean."""
        n = len(logits)
        self.images += n
        self.loss_sum += float(loss) * n
        self.hits += top_k_hits(logits, labels)
        self.hits5 += top_k_hits(logits, labels, 5)

    @property
    def loss(self) -> float:
        return self.loss_sum / self.images if self.images else float("nan")

    @property
    def accuracy(self) -> float:
        return self.hits / self.images if self.images else float("nan")

    @property
    def top5(self) -> float:
        return self.hits5 / self.images if self.images else float("nan")

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: state[name] for name in vars(self)})
