"""What data sets of images have in common."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.utils.data import Dataset
from fastnn.data._files import DataError, DataNotFoundError
from fastnn.data.image import needs_pillow

__all__ = ["InMemory", "StandardTransform", "VisionDataset", "as_torchvision_raises"]

_T_co = TypeVar("_T_co", covariant=True)
Transform = Callable[[Any], Any] | None

__getattr__ = missing(__name__)


class VisionDataset(Dataset[_T_co]):
    """Something with images and targets.

    Args:
        root: the folder that its files are in.
        transforms: called with an image and its target, gives both; in the place of the other two.
        transform: called with an image.
        target_transform: called with a target.
    """

    _repr_indent = 4

    def __init__(
        self,
        root: Any = None,
        transforms: Callable[[Any, Any], Any] | None = None,
        transform: Transform = None,
        target_transform: Transform = None,
    ) -> None:
        has_separate = transform is not None or target_transform is not None
        if transforms is not None and has_separate:
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transform, self.target_transform = transform, target_transform
        self.transforms = StandardTransform(transform, target_transform) if has_separate else transforms

    def __len__(self) -> int:
        raise NotImplementedError

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}"]
        lines += [] if self.root is None else [f"Root location: {self.root}"]
        lines += self.extra_repr().splitlines()
        lines += [] if self.transforms is None else [repr(self.transforms)]
        return "\n".join([f"Dataset {type(self).__name__}", *(" " * self._repr_indent + line for line in lines)])

    def extra_repr(self) -> str:
        return ""

    def _transformed(self, image: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


class StandardTransform:
    """A transform of images and one of targets, as one of both."""

    def __init__(self, transform: Transform = None, target_transform: Transform = None) -> None:
        self.transform, self.target_transform = transform, target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        for head, transform in (("Transform: ", self.transform), ("Target transform: ", self.target_transform)):
            if transform is not None:
                first, *rest = repr(transform).splitlines()
                lines += [head + first, *(" " * len(head) + line for line in rest)]
        return "\n".join(lines)


class InMemory(VisionDataset[tuple[Any, Any]]):
    """Images of bytes and labels in memory. `DataLoader` makes whole batches of these if it knows the transform.

    Attributes:
        data: the images, (N, H, W, C) or (N, H, W).
        targets: a label for each.
    """

    data: Any
    targets: Any

    def __len__(self) -> int:
        return len(self.data)

    def _whole_images(self) -> NDArray[np.uint8] | None:
        """`data` as (N, C, H, W); None if a script has put something else there than images of bytes."""
        raise NotImplementedError

    def _whole_labels(self) -> NDArray[Any] | None:
        """`targets` as integers; None if they are none, or not one for each image."""
        labels = np.asarray(getattr(self.targets, "_data", self.targets))
        is_usual = labels.dtype.kind in "iu" and labels.shape == (len(self),)
        return labels if is_usual else None

    def _image(self, pixels: NDArray[np.uint8]) -> Any:
        """What the transform gets: an image of Pillow, or these pixels, of which ToTensor makes the same."""
        from fastnn.compat.torchvision._pipeline import begins_with_to_tensor

        if begins_with_to_tensor(self.transform):
            return pixels
        needs_pillow(f"torchvision.datasets.{type(self).__name__}")
        from PIL import Image

        return Image.fromarray(pixels)


@contextmanager
def as_torchvision_raises() -> Iterator[None]:
    """Let missing and damaged files be a RuntimeError, which scripts may expect."""
    try:
        yield
    except (DataNotFoundError, DataError) as error:
        raise RuntimeError(str(error)) from error
