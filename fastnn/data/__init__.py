"""Images for training: CIFAR-10, MNIST, a synthetic set, batches from memory, and augmentation."""

from fastnn.data._files import DataError, DataNotFoundError
from fastnn.data.cifar10 import CIFAR10
from fastnn.data.dataset import Dataset
from fastnn.data.mnist import MNIST
from fastnn.data.shapes32 import Shapes32

__all__ = ["CIFAR10", "MNIST", "DataError", "DataNotFoundError", "Dataset", "Shapes32"]
