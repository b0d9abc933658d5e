"""MNIST and sets in its form."""

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torchvision.datasets.vision import InMemory, Transform, as_torchvision_raises
from fastnn.data import mnist

__all__ = ["KMNIST", "MNIST", "FashionMNIST"]

_OTHERS = "MNIST, FashionMNIST and KMNIST are there"
__getattr__ = missing(__name__, {"EMNIST": _OTHERS, "QMNIST": _OTHERS})


class MNIST(InMemory):
    """60,000 training or 10,000 test images of digits.

    The files are looked for in `root`, in MNIST/raw below it, and where else `fastnn.data.MNIST` finds them; they may
    be compressed.

    Attributes:
        data: (N, 28, 28), uint8, a tensor.
        targets: (N,), int64, a tensor.
        classes, class_to_idx: the names, and the label of each.
    Raises:
        RuntimeError: the files are nowhere, or damaged.
    """

    classes: ClassVar = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
        "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip

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
            images, labels = mnist.read(self._origin(), self.root, bool(train), bool(download))
        self.data: Tensor = new(images)
        self.targets: Tensor = new(labels.astype(np.int64))

    def _origin(self) -> mnist.Origin:
        return mnist.Origin("MNIST", mnist.FOLDERS, mnist._MIRRORS, mnist._SHA256, "MNIST/raw")

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        data, targets = (getattr(value, "_data", value) for value in (self.data, self.targets))
        return self._transformed(self._image(np.asarray(data[index])), int(targets[index]))

    def _whole_images(self) -> NDArray[np.uint8] | None:
        data: Any = getattr(self.data, "_data", self.data)
        is_usual = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 3
        return data[:, None] if is_usual else None

    def _whole_labels(self) -> NDArray[Any] | None:
        found = super()._whole_labels()
        return None if found is None else found.astype(np.int64)

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.classes)}

    @property
    def raw_folder(self) -> str:
        return str(Path(self.root, type(self).__name__, "raw"))

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"

    # ---- old names ---------------------------------------------------------------------------------------------------
    @property
    def train_data(self) -> Tensor:
        return self._renamed("train_data", "data")

    @property
    def test_data(self) -> Tensor:
        return self._renamed("test_data", "data")

    @property
    def train_labels(self) -> Tensor:
        return self._renamed("train_labels", "targets")

    @property
    def test_labels(self) -> Tensor:
        return self._renamed("test_labels", "targets")

    def _renamed(self, old: str, name: str) -> Tensor:
        warnings.warn(f"{old} has been renamed {name}", stacklevel=3)
        return getattr(self, name)


class FashionMNIST(MNIST):
    """60,000 training or 10,000 test images of clothes, in FashionMNIST/raw below `root` or the folder that FASTNN_DATA
    names.

    Source: Xiao, Rasul and Vollgraf, 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms".
    """

    classes: ClassVar = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip

    def _origin(self) -> mnist.Origin:
        return mnist.Origin("FashionMNIST", _FASHION_FOLDERS, _FASHION_MIRRORS, _FASHION_SHA256, "FashionMNIST/raw")


class KMNIST(MNIST):
    """60,000 training or 10,000 test images of Japanese characters in cursive, in KMNIST/raw below `root` or the folder
    that FASTNN_DATA names.

    Source: Clanuwat et al., 2018, "Deep learning for classical Japanese literature".
    """

    classes: ClassVar = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]

    def _origin(self) -> mnist.Origin:
        return mnist.Origin("KMNIST", _KMNIST_FOLDERS, _KMNIST_MIRRORS, _KMNIST_SHA256, "KMNIST/raw")


# Never the place itself, whose files of these names are MNIST's.
_FASHION_FOLDERS = ("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "fashion_mnist", "fashionmnist")
_KMNIST_FOLDERS = ("KMNIST/raw", "KMNIST", "kmnist")
_FASHION_MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
_KMNIST_MIRRORS = ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
_FASHION_SHA256 = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
_KMNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
    "train-labels-idx1-ubyte.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
    "t10k-images-idx3-ubyte.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
    "t10k-labels-idx1-ubyte.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
}
