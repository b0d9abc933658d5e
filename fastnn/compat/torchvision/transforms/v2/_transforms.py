"""The transforms of version 1, for samples too; and those that only version 2 has."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compat.torch._dtype import DTYPES
from fastnn.compat.torchvision.transforms import _draw, autoaugment
from fastnn.compat.torchvision.transforms import transforms as v1
from fastnn.compat.torchvision.transforms._base import Transform as TransformV1
from fastnn.compat.torchvision.transforms.v2 import functional as F
from fastnn.compat.torchvision.transforms.v2._base import OnImages, mapped

# ---- cuts, sizes, maps -----------------------------------------------------------------------------------------------


class CenterCrop(OnImages, v1.CenterCrop):
    """The window in the middle."""


class FiveCrop(OnImages, v1.FiveCrop):
    """The four corners and the middle."""


class Pad(OnImages, v1.Pad):
    """The image with more around it."""


class RandomAffine(OnImages, v1.RandomAffine):
    """Turned, moved, scaled and sheared."""


class RandomCrop(OnImages, v1.RandomCrop):
    """A window anywhere on the image, which may be padded before."""


class RandomErasing(OnImages, v1.RandomErasing):
    """A rectangle of random area and shape covered with probability p."""


class RandomHorizontalFlip(OnImages, v1.RandomHorizontalFlip):
    """Mirrored left and right with probability p."""


class RandomPerspective(OnImages, v1.RandomPerspective):
    """Seen from elsewhere with probability p."""


class RandomResizedCrop(OnImages, v1.RandomResizedCrop):
    """A window of random area and shape, at one size."""


class RandomRotation(OnImages, v1.RandomRotation):
    """Turned by an angle of `degrees`."""


class RandomVerticalFlip(OnImages, v1.RandomVerticalFlip):
    """Mirrored up and down with probability p."""


class Resize(OnImages, v1.Resize):
    """The image at another size."""


class TenCrop(OnImages, v1.TenCrop):
    """The four corners and the middle, of the image and of its mirror image."""


# ---- colour ----------------------------------------------------------------------------------------------------------
class ColorJitter(OnImages, v1.ColorJitter):
    """Brightness, contrast, saturation and hue changed in random order."""

    def __init__(self, brightness: Any = None, contrast: Any = None, saturation: Any = None, hue: Any = None) -> None:
        super().__init__(*(0 if value is None else value for value in (brightness, contrast, saturation, hue)))


class GaussianBlur(OnImages, v1.GaussianBlur):
    """Blurred by a Gaussian of random width."""


class Grayscale(OnImages, v1.Grayscale):
    """Grey, in one channel or three."""


class RandomAdjustSharpness(OnImages, v1.RandomAdjustSharpness):
    """Sharper or softer with probability p."""


class RandomAutocontrast(OnImages, v1.RandomAutocontrast):
    """Each channel stretched from black to white with probability p."""


class RandomEqualize(OnImages, v1.RandomEqualize):
    """Each channel spread evenly with probability p."""


class RandomGrayscale(OnImages, v1.RandomGrayscale):
    """Grey with probability p, in as many channels as before."""


class RandomInvert(OnImages, v1.RandomInvert):
    """White for black with probability p."""


class RandomPosterize(OnImages, v1.RandomPosterize):
    """Only the upper bits of each byte with probability p."""


class RandomSolarize(OnImages, v1.RandomSolarize):
    """What is `threshold` or brighter inverted with probability p."""


class AutoAugment(OnImages, autoaugment.AutoAugment):
    """One of 25 learned pairs of transforms."""


class RandAugment(OnImages, autoaugment.RandAugment):
    """`num_ops` transforms of 14, drawn evenly."""


class TrivialAugmentWide(OnImages, autoaugment.TrivialAugmentWide):
    """One transform of 14 with one strength, all drawn evenly."""


class _RGB(TransformV1):
    def forward(self, img: Any) -> Any:
        return F.grayscale_to_rgb(img)


class RGB(OnImages, _RGB):
    """Grey in three channels; what has three stays."""


class _RandomChannelPermutation(TransformV1):
    def forward(self, img: Any) -> Any:
        return F.permute_channels(img, _draw.permutation(F.get_dimensions(img)[0]))


class RandomChannelPermutation(OnImages, _RandomChannelPermutation):
    """The channels in random order."""


class _GaussianNoise(TransformV1):
    _shown = ("mean", "sigma", "clip")

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def forward(self, img: Any) -> Any:
        return F.gaussian_noise(img, self.mean, self.sigma, self.clip)


class GaussianNoise(OnImages, _GaussianNoise):
    """Normal noise added to a tensor of floats or bytes."""


# ---- kinds -----------------------------------------------------------------------------------------------------------
class ConvertImageDtype(OnImages, v1.ConvertImageDtype):
    """A tensor in another dtype, where white stays white."""

    def __init__(self, dtype: Any = DTYPES["float32"]) -> None:
        super().__init__(dtype)


class LinearTransformation(OnImages, v1.LinearTransformation):
    """Whitening."""


class Normalize(OnImages, v1.Normalize):
    """(x - mean) / std of a tensor, for each channel."""


class PILToTensor(OnImages, v1.PILToTensor):
    """An image of Pillow as a tensor (C, H, W) of its own numbers."""


class ToPILImage(OnImages, v1.ToPILImage):
    """A tensor (C, H, W) or an array (H, W, C) as an image of Pillow."""


class ToTensor(OnImages, v1.ToTensor):
    """An image as a tensor (C, H, W) of floats in 0..1."""


class _ToImage(TransformV1):
    def forward(self, img: Any) -> Any:
        return F.to_image(img)


class ToImage(OnImages, _ToImage):
    """An image of Pillow, an array (H, W, C) or a tensor as a tensor (C, H, W) of the same numbers."""


class ToPureTensor(TransformV1):
    """The sample as it is: tensors have no other kind here."""

    def __call__(self, *inputs: Any) -> Any:
        return inputs if len(inputs) != 1 else inputs[0]

    forward = __call__


class _ToDtype(TransformV1):
    _shown = ("scale",)

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        if isinstance(dtype, dict):
            raise TypeError(
                "v2.ToDtype: a dict of dtypes by kinds of tensors is not in fastnn, whose tensors are of one kind: "
                "give the dtype of images"
            )
        self.dtype, self.scale = dtype, scale

    def forward(self, img: Any) -> Any:
        return F.to_dtype(img, self.dtype, self.scale)


class ToDtype(OnImages, _ToDtype):
    """A tensor in another dtype, with `scale` so that white stays white."""


class Identity(TransformV1):
    """The sample as it is."""

    def __call__(self, *inputs: Any) -> Any:
        return inputs if len(inputs) != 1 else inputs[0]

    forward = __call__


class Lambda(TransformV1):
    """A function of one's own, of everything in the sample that is of these types."""

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        self.lambd, self.types = lambd, types or (object,)

    def __call__(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) != 1 else inputs[0]
        return mapped(sample, lambda leaf: self.lambd(leaf) if isinstance(leaf, self.types) else leaf)

    forward = __call__


class _RandomResize(TransformV1):
    _shown = ("min_size", "max_size", "interpolation", "antialias")

    def __init__(
        self, min_size: int, max_size: int, interpolation: Any = v1.InterpolationMode.BILINEAR, antialias: Any = True
    ) -> None:
        self.min_size, self.max_size, self.interpolation, self.antialias = min_size, max_size, interpolation, antialias

    def forward(self, img: Any) -> Any:
        size = _draw.integer(self.min_size, self.max_size)
        return F.resize(img, [size], self.interpolation, antialias=self.antialias)


class RandomResize(OnImages, _RandomResize):
    """The shorter side at a random length of [min_size, max_size)."""


# ---- of others -------------------------------------------------------------------------------------------------------
class Compose(TransformV1):
    """Transforms one after the other."""

    def __init__(self, transforms: Any) -> None:
        if not isinstance(transforms, list | tuple) or not transforms:
            raise ValueError("Pass at least one transform")
        self.transforms = transforms

    def __call__(self, *inputs: Any) -> Any:
        return _one_after_the_other(self.transforms, inputs)

    forward = __call__

    def extra_repr(self) -> str:
        return "\n".join(["", *(f"      {transform!r}" for transform in self.transforms), ""])


def _one_after_the_other(transforms: Any, inputs: tuple[Any, ...]) -> Any:
    is_several = len(inputs) > 1
    for transform in transforms:
        outputs = transform(*inputs)
        inputs = outputs if is_several else (outputs,)
    return inputs if is_several else inputs[0]


class RandomApply(TransformV1):
    """Transforms one after the other, with probability p."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.transforms, self.p = transforms, p

    def __call__(self, *inputs: Any) -> Any:
        if not _draw.coin(self.p):
            return inputs if len(inputs) != 1 else inputs[0]
        return _one_after_the_other(self.transforms, inputs)

    forward = __call__


class RandomChoice(TransformV1):
    """One of several transforms, in proportion to the weights `p`."""

    def __init__(self, transforms: Any, p: Any = None) -> None:
        weights = np.ones(len(transforms)) if p is None else np.asarray(p, float)
        if len(weights) != len(transforms):
            raise ValueError(f"Length of p doesn't match the number of transforms: {len(weights)} != {len(transforms)}")
        self.transforms, self.p = transforms, (weights / weights.sum()).tolist()

    def __call__(self, *inputs: Any) -> Any:
        return self.transforms[_draw.generator().choice(len(self.transforms), p=self.p)](*inputs)

    forward = __call__


class RandomOrder(TransformV1):
    """Transforms one after the other, in random order."""

    def __init__(self, transforms: Any) -> None:
        self.transforms = transforms

    def __call__(self, *inputs: Any) -> Any:
        order = _draw.permutation(len(self.transforms))
        return _one_after_the_other([self.transforms[position] for position in order], inputs)

    forward = __call__
