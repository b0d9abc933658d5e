"""Transforms that draw nothing, and those that choose among others."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.compat.torch._tensor import new
from fastnn.compat.torchvision.transforms import _draw
from fastnn.compat.torchvision.transforms import functional as F
from fastnn.compat.torchvision.transforms._base import Transform, size_pair
from fastnn.compat.torchvision.transforms._images import InterpolationMode, array_of, as_mode


class Compose:
    """Transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _listed(f"{type(self).__name__}(", self.transforms)


def _listed(head: str, transforms: Any) -> str:
    return "\n".join([head, *(f"    {transform}" for transform in transforms), ")"])


class ToTensor(Transform):
    """An image of Pillow, or an array (H, W, C) or (H, W), as a tensor (C, H, W); bytes become floats in 0..1."""

    def forward(self, img: Any) -> Any:
        return F.to_tensor(img)


class PILToTensor(Transform):
    """An image of Pillow as a tensor (C, H, W) of its own numbers."""

    def forward(self, img: Any) -> Any:
        return F.pil_to_tensor(img)


class ConvertImageDtype(Transform):
    """A tensor in another dtype, where white stays white."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def forward(self, img: Any) -> Any:
        return F.convert_image_dtype(img, self.dtype)


class ToPILImage(Transform):
    """A tensor (C, H, W) or an array (H, W, C) as an image of Pillow."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def forward(self, img: Any) -> Any:
        return F.to_pil_image(img, self.mode)

    def extra_repr(self) -> str:
        return "" if self.mode is None else f"mode={self.mode}"


class Normalize(Transform):
    """(x - mean) / std of a tensor, for each channel."""

    _shown = ("mean", "std")

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, img: Any) -> Any:
        return F.normalize(img, self.mean, self.std, self.inplace)


class Resize(Transform):
    """The image at another size: (h, w), or one number for its shorter side."""

    _shown = ("size", "interpolation", "max_size", "antialias")

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        if not isinstance(size, int | Sequence):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size, self.interpolation, self.max_size, self.antialias = size, as_mode(interpolation), max_size, antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(Transform):
    """The window in the middle."""

    _shown = ("size",)

    def __init__(self, size: Any) -> None:
        self.size = size_pair(size)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)


class Pad(Transform):
    """The image with more around it."""

    _shown = ("padding", "fill", "padding_mode")

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        F.sides_of(padding)
        if not isinstance(fill, int | float | tuple | list):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in F.PADDING_MODES:
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)


class Lambda(Transform):
    """A function of one's own."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def forward(self, img: Any) -> Any:
        return self.lambd(img)


class FiveCrop(Transform):
    """The four corners and the middle."""

    _shown = ("size",)

    def __init__(self, size: Any) -> None:
        self.size = size_pair(size)

    def forward(self, img: Any) -> Any:
        return F.five_crop(img, self.size)


class TenCrop(Transform):
    """The four corners and the middle, of the image and of its mirror image."""

    _shown = ("size", "vertical_flip")

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        self.size, self.vertical_flip = size_pair(size), vertical_flip

    def forward(self, img: Any) -> Any:
        return F.ten_crop(img, self.size, self.vertical_flip)


class Grayscale(Transform):
    """Grey, in one channel or three."""

    _shown = ("num_output_channels",)

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)


class LinearTransformation(Transform):
    """(flattened x - mean_vector) @ transformation_matrix, in the shape of x: whitening."""

    def __init__(self, transformation_matrix: Any, mean_vector: Any) -> None:
        rows, columns = transformation_matrix._data.shape
        if rows != columns:
            raise ValueError(f"transformation_matrix should be square. Got {rows} x {columns} rectangular matrix.")
        if len(mean_vector._data) != rows:
            raise ValueError(f"mean_vector should have length {rows}. Got {len(mean_vector._data)}")
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def forward(self, img: Any) -> Any:
        x, matrix = array_of("LinearTransformation", img), self.transformation_matrix._data
        n = math.prod(x.shape[-3:])
        if n != len(matrix):
            raise ValueError(f"Input tensor {x.shape[-3:]} and transformation matrix {matrix.shape} do not fit.")
        flat = x.reshape(-1, n) - self.mean_vector._data
        return new((flat @ matrix.astype(flat.dtype)).reshape(x.shape))


# ---- of others -------------------------------------------------------------------------------------------------------
class RandomApply(Transform):
    """Transforms one after the other, with probability p."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        if not _draw.coin(self.p):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _listed(f"{type(self).__name__}(\n    p={self.p}", self.transforms)


class _OfSeveral(Transform):
    def __init__(self, transforms: Any) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __repr__(self) -> str:
        return _listed(f"{type(self).__name__}(", self.transforms)


class RandomOrder(_OfSeveral):
    """Transforms one after the other, in random order."""

    def forward(self, img: Any) -> Any:
        for position in _draw.permutation(len(self.transforms)):
            img = self.transforms[position](img)
        return img


class RandomChoice(_OfSeveral):
    """One of several transforms, in proportion to the weights `p`."""

    def __init__(self, transforms: Any, p: Any = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def forward(self, img: Any) -> Any:
        weights = np.ones(len(self.transforms)) if self.p is None else np.asarray(self.p, float)
        chosen = _draw.generator().choice(len(self.transforms), p=weights / weights.sum())
        return self.transforms[chosen](img)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"
