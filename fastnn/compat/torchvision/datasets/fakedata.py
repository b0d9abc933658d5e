"""Noise in the place of images."""

from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torchvision.datasets.vision import Transform, VisionDataset
from fastnn.compat.torchvision.transforms.functional import to_pil_image

__all__ = ["FakeData"]

__getattr__ = missing(__name__)


class FakeData(VisionDataset[tuple[Any, Any]]):
    """Images of Pillow with normal noise, and random labels; always the same.

    Args:
        size: how many.
        image_size: (C, H, W).
        num_classes: labels are below this.
        random_offset: a number that makes it another set.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform = None,
        target_transform: Transform = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size, self.image_size, self.num_classes = size, image_size, num_classes
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < self.size:
            raise IndexError(f"{type(self).__name__} index out of range")
        rng = np.random.default_rng(index + self.random_offset)
        noise = rng.standard_normal(self.image_size, np.float32)
        return self._transformed(to_pil_image(new(noise % 1)), int(rng.integers(self.num_classes)))

    def __len__(self) -> int:
        return self.size
