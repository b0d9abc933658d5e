"""Random transforms of where things are: crops, mirrors, turns, holes."""

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torchvision.transforms import _draw
from fastnn.compat.torchvision.transforms import functional as F
from fastnn.compat.torchvision.transforms._base import (
    Transform,
    angles,
    checked_fill,
    fill_for,
    sequence_of,
    size_pair,
)
from fastnn.compat.torchvision.transforms._images import InterpolationMode, array_of, as_mode

_TRIES = 10  # to fit a rectangle into an image


class RandomCrop(Transform):
    """A window anywhere on the image, which may be padded before."""

    _shown = ("size", "padding")

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = tuple(size_pair(size))
        self.padding, self.pad_if_needed, self.fill, self.padding_mode = padding, pad_if_needed, fill, padding_mode

    @staticmethod
    def get_params(img: Any, output_size: Any) -> tuple[int, int, int, int]:
        """Top, left, height, width."""
        _, h, w = F.get_dimensions(img)
        height, width = output_size
        if h < height or w < width:
            raise ValueError(f"Required crop size {(height, width)} is larger than input image size {(h, w)}")
        if (h, w) == (height, width):
            return 0, 0, h, w
        return _draw.integer(0, h - height + 1), _draw.integer(0, w - width + 1), height, width

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            _, h, w = F.get_dimensions(img)
            if w < self.size[1]:
                img = F.pad(img, [self.size[1] - w, 0], self.fill, self.padding_mode)
            if h < self.size[0]:
                img = F.pad(img, [0, self.size[0] - h], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))


class _WithProbability(Transform):
    """With probability p."""

    _shown: tuple[str, ...] = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def forward(self, img: Any) -> Any:
        return self.change(img) if _draw.coin(self.p) else img

    def change(self, img: Any) -> Any:
        raise NotImplementedError


class RandomHorizontalFlip(_WithProbability):
    """Mirrored left and right with probability p."""

    def change(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(_WithProbability):
    """Mirrored up and down with probability p."""

    def change(self, img: Any) -> Any:
        return F.vflip(img)


class RandomResizedCrop(Transform):
    """A window of random area and shape, at one size."""

    def __init__(
        self,
        size: Any,
        scale: Any = (0.08, 1.0),
        ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        self.size, self.interpolation, self.antialias = size_pair(size), as_mode(interpolation), antialias
        self.scale, self.ratio = _interval(scale, "Scale"), _interval(ratio, "Ratio")
        _warn_of_order(scale, ratio)

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any) -> tuple[int, int, int, int]:
        """Top, left, height, width."""
        _, height, width = F.get_dimensions(img)
        for _ in range(_TRIES):
            h, w = _rectangle(height * width, scale, ratio, width_over_height=True)
            if 0 < w <= width and 0 < h <= height:
                return _draw.integer(0, height - h + 1), _draw.integer(0, width - w + 1), h, w
        h, w = height, width  # the middle, as far as the shape allows
        if width / height < min(ratio):
            h = round(width / min(ratio))
        elif width / height > max(ratio):
            w = round(height * max(ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        window = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *window, self.size, self.interpolation, antialias=self.antialias)

    def extra_repr(self) -> str:
        scale, ratio = (tuple(round(value, 4) for value in pair) for pair in (self.scale, self.ratio))
        return (
            f"size={self.size}, scale={scale}, ratio={ratio}, interpolation={self.interpolation.value}, "
            f"antialias={self.antialias}"
        )


def _interval(value: Any, name: str) -> Any:
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} should be a sequence")
    return value


def _warn_of_order(scale: Any, ratio: Any) -> None:
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)


def _rectangle(area: float, scale: Any, ratio: Any, width_over_height: bool) -> tuple[int, int]:
    """Height and width of a random part of `area`, of a shape whose logarithm is uniform."""
    part = area * _draw.uniform(*scale)
    shape = math.exp(_draw.uniform(math.log(ratio[0]), math.log(ratio[1])))
    if width_over_height:
        shape = 1 / shape
    return round(math.sqrt(part * shape)), round(math.sqrt(part / shape))


class RandomRotation(Transform):
    """Turned by an angle of `degrees`: (least, most), or plus or minus one number."""

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        self.degrees, self.interpolation, self.expand = angles(degrees, "degrees"), as_mode(interpolation), expand
        if center is not None:
            sequence_of(center, "center", (2,))
        self.center, self.fill = center, checked_fill(fill)

    @staticmethod
    def get_params(degrees: Any) -> float:
        """The angle."""
        return _draw.uniform(float(degrees[0]), float(degrees[1]))

    def forward(self, img: Any) -> Any:
        fill = fill_for(img, self.fill, F.get_dimensions(img)[0])
        return F.rotate(img, self.get_params(self.degrees), self.interpolation, self.expand, self.center, fill)

    def extra_repr(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        start = f"degrees={self.degrees}, interpolation={self.interpolation.value}, expand={self.expand}"
        return f"{start}{center}, fill={self.fill}"


class RandomAffine(Transform):
    """Turned, moved, scaled and sheared.

    Args:
        degrees: (least, most), or plus or minus one number.
        translate: the largest moves, as fractions of width and height.
        scale: (least, most).
        shear: degrees along x, (least, most) or plus or minus one number; or these along x and along y.
    """

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        self.degrees, self.interpolation = angles(degrees, "degrees"), as_mode(interpolation)
        if translate is not None:
            sequence_of(translate, "translate", (2,))
            if not all(0.0 <= part <= 1.0 for part in translate):
                raise ValueError("translation values should be between 0 and 1")
        if scale is not None:
            sequence_of(scale, "scale", (2,))
            if min(scale) <= 0:
                raise ValueError("scale values should be positive")
        self.translate, self.scale = translate, scale
        self.shear = None if shear is None else angles(shear, "shear", (2, 4))
        if center is not None:
            sequence_of(center, "center", (2,))
        self.fill, self.center = checked_fill(fill), center

    @staticmethod
    def get_params(
        degrees: Any, translate: Any, scale_ranges: Any, shears: Any, img_size: Any
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Angle, translation, scale, shear; `img_size` is (width, height)."""
        angle = _draw.uniform(float(degrees[0]), float(degrees[1]))
        moved = (0, 0)
        if translate is not None:
            reach = [float(part * side) for part, side in zip(translate, img_size, strict=True)]
            moved = (round(_draw.uniform(-reach[0], reach[0])), round(_draw.uniform(-reach[1], reach[1])))
        scale = 1.0 if scale_ranges is None else _draw.uniform(*scale_ranges)
        shear = (0.0, 0.0)
        if shears is not None:
            shear = (_draw.uniform(*shears[:2]), _draw.uniform(*shears[2:]) if len(shears) == 4 else 0.0)
        return angle, moved, scale, shear

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        drawn = self.get_params(self.degrees, self.translate, self.scale, self.shear, [width, height])
        fill = fill_for(img, self.fill, channels)
        return F.affine(img, *drawn, interpolation=self.interpolation, fill=fill, center=self.center)

    def extra_repr(self) -> str:
        parts = [f"degrees={self.degrees}"]
        parts += [f"{name}={value}" for name in ("translate", "scale", "shear") if (value := getattr(self, name))]
        parts += (
            [] if self.interpolation is InterpolationMode.NEAREST else [f"interpolation={self.interpolation.value}"]
        )
        parts += [f"fill={self.fill}"] if self.fill != 0 else []
        parts += [] if self.center is None else [f"center={self.center}"]
        return ", ".join(parts)


class RandomPerspective(_WithProbability):
    """Seen from elsewhere with probability p: each corner moves inwards by up to half of `distortion_scale`."""

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__(p)
        self.distortion_scale, self.interpolation = distortion_scale, as_mode(interpolation)
        self.fill = checked_fill(fill)

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[list[list[int]], list[list[int]]]:
        """The corners [x, y], clockwise from the top left, and where they go."""
        reach_x, reach_y = int(distortion_scale * (width // 2)), int(distortion_scale * (height // 2))
        corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        moved = []
        for x, y in corners:
            new_x = _draw.integer(0, reach_x + 1) if x == 0 else _draw.integer(width - reach_x - 1, width)
            new_y = _draw.integer(0, reach_y + 1) if y == 0 else _draw.integer(height - reach_y - 1, height)
            moved.append([new_x, new_y])
        return corners, moved

    def change(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        corners = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, *corners, self.interpolation, fill_for(img, self.fill, channels))


class RandomErasing(_WithProbability):
    """A rectangle of random area and shape in a tensor covered with probability p.

    Args:
        scale: (least, most) part of the area.
        ratio: (least, most) height over width.
        value: what covers it: a number, one for each channel, or "random" for normal noise.
        inplace: write into the tensor.
    """

    _shown = ("p", "scale", "ratio", "value", "inplace")

    def __init__(
        self,
        p: float = 0.5,
        scale: Any = (0.02, 0.33),
        ratio: Any = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        if not isinstance(value, numbers.Number | str | tuple | list):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        self.scale, self.ratio = _interval(scale, "Scale"), _interval(ratio, "Ratio")
        _warn_of_order(scale, ratio)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        super().__init__(p)
        self.value, self.inplace = value, inplace

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any, value: Any = None) -> tuple[int, int, int, int, Tensor]:
        """Top, left, height, width and what covers it; the image itself if no rectangle fits."""
        channels, height, width = array_of("RandomErasing", img).shape[-3:]
        for _ in range(_TRIES):
            h, w = _rectangle(height * width, scale, ratio, width_over_height=False)
            if h < height and w < width:
                if value is None:
                    cover = _draw.generator().standard_normal((channels, h, w), np.float32)
                else:
                    cover = np.asarray(value, np.float32)[:, None, None]
                return _draw.integer(0, height - h + 1), _draw.integer(0, width - w + 1), h, w, new(cover)
        return 0, 0, height, width, img

    def change(self, img: Any) -> Any:
        value = None if isinstance(self.value, str) else self.value
        if value is not None:
            value = [float(part) for part in value] if isinstance(value, tuple | list) else [float(value)]  # type: ignore[arg-type]
            channels = array_of("RandomErasing", img).shape[-3]
            if len(value) not in (1, channels):
                raise ValueError(
                    f"If value is a sequence, it should have either a single value or {channels} (number of input "
                    "channels)"
                )
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)
