"""Mixing the images of a batch with each other, and their labels alike.

Sources: Zhang et al., 2018, "mixup: Beyond empirical risk minimization"; Yun et al., 2019, "CutMix: Regularization
strategy to train strong classifiers with localizable features".
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._tensor import new
from fastnn.compat.torchvision.transforms import _draw
from fastnn.compat.torchvision.transforms._base import Transform
from fastnn.compat.torchvision.transforms._images import is_tensor

__all__ = ["CutMix", "MixUp"]


class _Mixing(Transform):
    """Called with a batch of images (N, C, H, W) and labels: (N,) integers, or (N, classes) probabilities.

    Image i gets parts of image i - 1, the first of the last.
    """

    _shown = ("alpha", "num_classes")

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None, labels_getter: Any = "default") -> None:
        if labels_getter != "default":
            raise ValueError(
                f"{type(self).__name__}: labels_getter is not in fastnn: call it with images and labels, as in "
                "mixup(*default_collate(batch))"
            )
        self.alpha, self.num_classes = float(alpha), num_classes

    def __call__(self, *inputs: Any) -> Any:
        given = inputs[0] if len(inputs) == 1 else inputs
        name = type(self).__name__
        if not isinstance(given, tuple | list) or len(given) != 2 or not all(map(is_tensor, given)):
            raise ValueError(f"{name}: images and labels of a batch are needed, two tensors")
        x, labels = (part._data for part in given)
        if x.ndim != 4:
            raise ValueError(f"Expected a batched input with 4 dims, but got {x.ndim} dimensions instead.")
        part = float(_draw.generator().beta(self.alpha, self.alpha))
        y, part = self.mix(x, np.roll(x, 1, axis=0), part)
        targets = self._probabilities(labels, len(x))
        mixed = (targets * part + np.roll(targets, 1, axis=0) * (1 - part)).astype(targets.dtype)
        made = (new(y), new(mixed))
        return list(made) if isinstance(given, list) else made

    forward = __call__

    def mix(self, x: NDArray[Any], others: NDArray[Any], part: float) -> tuple[NDArray[Any], float]:
        """The images, and how much of each is its own."""
        raise NotImplementedError

    def _probabilities(self, labels: NDArray[Any], n: int) -> NDArray[Any]:
        name = type(self).__name__
        if len(labels) != n or labels.ndim > 2:
            raise ValueError(f"{name}: labels {labels.shape} do not fit {n} images")
        if labels.ndim == 2:
            if self.num_classes is not None and labels.shape[1] != self.num_classes:
                raise ValueError(
                    f"When passing 2D labels, the number of elements in last dimension must match num_classes: "
                    f"{labels.shape[1]} != {self.num_classes}."
                )
            return labels if labels.dtype.kind == "f" else labels.astype(np.float32)
        if self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")
        return np.eye(self.num_classes, dtype=np.float32)[labels]


class MixUp(_Mixing):
    """Sums of two images, in parts of a Beta(alpha, alpha) distribution."""

    def mix(self, x: NDArray[Any], others: NDArray[Any], part: float) -> tuple[NDArray[Any], float]:
        if x.dtype.kind != "f":
            raise ValueError("MixUp: images must be floats")
        return others * x.dtype.type(1 - part) + x * x.dtype.type(part), part


class CutMix(_Mixing):
    """A rectangle of another image, whose area is of a Beta(alpha, alpha) distribution."""

    def mix(self, x: NDArray[Any], others: NDArray[Any], part: float) -> tuple[NDArray[Any], float]:
        h, w = x.shape[2:]
        half = 0.5 * math.sqrt(1 - part)
        column, row = _draw.integer(0, w), _draw.integer(0, h)
        half_w, half_h = int(half * w), int(half * h)
        left, right = max(column - half_w, 0), min(column + half_w, w)
        top, bottom = max(row - half_h, 0), min(row + half_h, h)
        y = x.copy()
        y[..., top:bottom, left:right] = others[..., top:bottom, left:right]
        return y, 1 - (right - left) * (bottom - top) / (w * h)
