"""CIFAR-10 and CIFAR-100."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.datasets.vision import InMemory, Transform, as_torchvision_raises
from fastnn.data import CIFAR10 as NumPyCIFAR10
from fastnn.data import _cifar100

__all__ = ["CIFAR10", "CIFAR100"]

__getattr__ = missing(__name__)


class CIFAR10(InMemory):
    """50,000 training or 10,000 test images of 10 classes.

    The files are looked for where `fastnn.data.CIFAR10` finds them: in `root`, as a folder or as the archive, in the
    folder that FASTNN_DATA names, and in the cache folder. Archives are not unpacked, and pickles not executed.

    Attributes:
        data: (N, 32, 32, 3), uint8.
        targets: a list of integers.
        classes, class_to_idx: the names, and the label of each.
    Raises:
        RuntimeError: the files are nowhere, or damaged.
    """

    base_folder = "cifar-10-batches-py"

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        with as_torchvision_raises():
            images, labels, names = self._read(self.root, bool(train), bool(download))
        self.data: NDArray[np.uint8] = images.transpose(0, 2, 3, 1)
        self.targets = labels.tolist()
        self.classes = list(names)
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}

    @staticmethod
    def _read(root: Any, train: bool, download: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
        found = NumPyCIFAR10(root, train, download)
        return found.images, found.labels, NumPyCIFAR10.names

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self._transformed(self._image(self.data[index]), self.targets[index])

    def _whole_images(self) -> NDArray[np.uint8] | None:
        data = self.data
        is_usual = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 4 and data.shape[3] == 3
        return data.transpose(0, 3, 1, 2) if is_usual else None

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """50,000 training or 10,000 test images of 100 classes, as `CIFAR10`."""

    base_folder = "cifar-100-python"

    @staticmethod
    def _read(root: Any, train: bool, download: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
        return *_cifar100.read(root, train, download), _cifar100.NAMES
