"""torchvision.transforms: what is done to images before a network sees them.

Images of Pillow need Pillow (`pip install "fastnn[image]"`); tensors do not.
"""

# ruff: noqa: F403 (the names are in the `__all__` of the two files)

from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.transforms import autoaugment, functional, v2
from fastnn.compat.torchvision.transforms import transforms as transforms
from fastnn.compat.torchvision.transforms.autoaugment import *
from fastnn.compat.torchvision.transforms.transforms import *

__all__ = [*autoaugment.__all__, *transforms.__all__, "functional", "v2"]

__getattr__ = missing(__name__, transforms.MISSING)
