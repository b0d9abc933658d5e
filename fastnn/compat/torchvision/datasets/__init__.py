"""torchvision.datasets: CIFAR, MNIST and sets in its form, folders of images, noise."""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.datasets import cifar, fakedata, folder, mnist, utils, vision
from fastnn.compat.torchvision.datasets.cifar import CIFAR10, CIFAR100
from fastnn.compat.torchvision.datasets.fakedata import FakeData
from fastnn.compat.torchvision.datasets.folder import DatasetFolder, ImageFolder
from fastnn.compat.torchvision.datasets.mnist import KMNIST, MNIST, FashionMNIST
from fastnn.compat.torchvision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "KMNIST",
    "MNIST",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "VisionDataset",
    "cifar",
    "fakedata",
    "folder",
    "mnist",
    "utils",
    "vision",
]

_FOLDER = "unpack its images into a folder for each class, and read them by ImageFolder"
_DIGITS = "MNIST, FashionMNIST and KMNIST are there"
_OWN = "write a Dataset that reads its files"
__getattr__ = missing(
    __name__,
    {
        **dict.fromkeys(
            (
                "Caltech101", "Caltech256", "Country211", "DTD", "EuroSAT", "FGVCAircraft", "Flowers102", "Food101",
                "GTSRB", "INaturalist", "ImageNet", "Imagenette", "Omniglot", "OxfordIIITPet", "Places365", "STL10",
                "SUN397", "StanfordCars",
            ),
            _FOLDER,
        ),
        **dict.fromkeys(("EMNIST", "QMNIST", "USPS"), _DIGITS),
        **dict.fromkeys(
            ("CelebA", "Cityscapes", "CocoCaptions", "CocoDetection", "LFWPairs", "LFWPeople", "PCAM", "SEMEION",
             "SVHN", "VOCDetection", "VOCSegmentation", "WIDERFace"),
            _OWN,
        ),
    },
)  # fmt: skip
