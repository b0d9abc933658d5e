"""torchvision's names: data sets, transforms, pictures of tensors.

Example:
    >>> from fastnn.compat.torchvision import datasets, transforms
    >>> image, label = datasets.FakeData(2, (3, 8, 8), transform=transforms.ToTensor())[0]
    >>> image.shape, image.dtype
    (torch.Size([3, 8, 8]), torch.float32)
"""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision import _pipeline, datasets, io, models, ops, transforms, utils

__all__ = [
    "_pipeline",
    "datasets",
    "get_image_backend",
    "io",
    "models",
    "ops",
    "set_image_backend",
    "transforms",
    "utils",
]

__version__ = "0.28.0"  # whose names these are


def get_image_backend() -> str:
    """What images are read by: Pillow."""
    return "PIL"


def set_image_backend(backend: str) -> None:
    """Read images by Pillow; there is nothing else."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL'.")


def disable_beta_transforms_warning() -> None:
    """There is no such warning."""


__getattr__ = missing(
    __name__, {"tv_tensors": "transforms.v2 takes tensors and images of Pillow; boxes and masks are not transformed"}
)
