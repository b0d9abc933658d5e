"""Data sets, batches and augmentation: your own images, CIFAR-10, MNIST, a synthetic set, all from memory."""

from fastnn.data._files import DataError, DataNotFoundError
from fastnn.data.affine import Rotate, Scale, Translate
from fastnn.data.augment import (
    AlternatingFlip,
    Augmentation,
    Compose,
    Cutout,
    RandomCrop,
    RandomHorizontalFlip,
)
from fastnn.data.cifar10 import CIFAR10
from fastnn.data.colour import Brightness, Contrast, GaussianNoise, Hue, Saturation
from fastnn.data.dataset import Dataset
from fastnn.data.image import read_image
from fastnn.data.image_folder import ImageFolder
from fastnn.data.loader import Loader
from fastnn.data.mixing import CutMix, MixUp
from fastnn.data.mnist import MNIST
from fastnn.data.preprocessing import Preprocessing
from fastnn.data.shapes32 import Shapes32

__all__ = [
    "CIFAR10",
    "MNIST",
    "AlternatingFlip",
    "Augmentation",
    "Brightness",
    "Compose",
    "Contrast",
    "CutMix",
    "Cutout",
    "DataError",
    "DataNotFoundError",
    "Dataset",
    "GaussianNoise",
    "Hue",
    "ImageFolder",
    "Loader",
    "MixUp",
    "Preprocessing",
    "RandomCrop",
    "RandomHorizontalFlip",
    "Rotate",
    "Saturation",
    "Scale",
    "Shapes32",
    "Translate",
    "read_image",
]
