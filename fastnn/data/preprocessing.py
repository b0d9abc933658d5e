"""What must be done to an image before a network sees it, kept as one value together with the weights."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _check, functional
from fastnn.data import _checks
from fastnn.data import image as _image

__all__ = ["Preprocessing"]

_MOST_PIXELS, _MOST_NAMES = 1 << 16, 1 << 20


@dataclass(frozen=True)
class Preprocessing:
    """How images become the input of a network: their size, channels and normalisation, and the names of the classes.

    x = (v - mean) / std

    v is a pixel in 0..1. `training.fit` sets the preprocessing as `model.preprocessing`, and `fastnn.save` writes it to
    the file of the weights. `fastnn.load` restores it, and `training.predict_classes` applies it.

    Args:
        mean: the number, or the number for each channel, that is subtracted, where 0 is black and 1 is full brightness.
        std: the number, or the number for each channel, to divide by.
        size: (height, width) of the images in pixels; None if the network takes any size.
        channels: 1 for grey, 3 for red, green and blue.
        resize: how an image of another shape is brought to `size`. 'crop' scales it until it covers `size` and cuts the
            excess evenly from both ends of the longer side. 'squash' scales each side separately. 'pad' scales it until
            it fits into `size` and fills the rest with black.
        classes: the names of the classes; empty if they have none.
    Raises:
        TypeError, ValueError: a value is invalid. The message shows it.
    Example:
        >>> from fastnn import data
        >>> seen = data.Preprocessing(mean=(0.5,), std=(0.25,), size=(28, 28), channels=1, classes=("cat", "dog"))
        >>> data.Preprocessing.from_dict(seen.to_dict()) == seen
        True
        >>> x = seen(np.full((28, 28), 255, np.uint8))
        >>> x.shape, x[0, 0, 0, 0].item()
        ((1, 1, 28, 28), 2.0)
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    size: tuple[int, int] | None = None
    channels: int = 3
    resize: str = "crop"
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        def fail(name: str, needed: str) -> ValueError:
            return ValueError(f"Preprocessing: {name} must be {needed}. Received: {_check.shown(getattr(self, name))}")

        if type(self.channels) is not int or not 1 <= self.channels <= 4096:
            raise fail("channels", "a positive integer")
        for name in ("mean", "std"):
            values = _tuple(getattr(self, name))
            if len(values) not in (1, self.channels) or not all(map(_is_finite, values)):
                raise fail(name, f"one finite number, or {self.channels}")
            object.__setattr__(self, name, tuple(float(value) for value in values))
        if min(self.std) <= 0:
            raise fail("std", "positive")
        if self.size is not None:
            size = _tuple(self.size)
            if len(size) != 2 or not all(type(side) is int and 1 <= side <= _MOST_PIXELS for side in size):
                raise fail("size", "None, or two positive integers (height, width)")
            object.__setattr__(self, "size", size)
        if not isinstance(self.resize, str) or self.resize not in _image.RESIZES:
            raise fail("resize", "'crop', 'squash' or 'pad'")
        classes = _tuple(self.classes)
        if len(classes) > _MOST_NAMES or not all(isinstance(name, str) for name in classes):
            raise fail("classes", "names")
        object.__setattr__(self, "classes", classes)

    def __call__(self, images: Any, dtype: DTypeLike = np.float32) -> NDArray:
        """Prepare images for the network: convert them to `channels` and `size`, and normalise them.

        Args:
            images: one image or a list of them. An image is a path, a Pillow image, or an array of bytes (C, H, W),
                (H, W, C) or (H, W) with 1, 3 or 4 channels (see `read_image`). Or an array of several images, (N, C, H,
                W) or (N, H, W, C). Arrays of floats are normalised only, as a `data.Loader` does; they must have the
                right channels and size.
            dtype: the dtype of the result, float32 (default) or float64.
        Shape:
            - Output: (N, channels, height, width); N = 1 for one image
        Raises:
            ValueError, TypeError: something is not an image, or images differ in size while `size` is None. The message
                says which.
            DataError, OSError: a file cannot be read.
            ImportError: Pillow is needed and not installed.
        """
        name = "Preprocessing"
        dtype = _check.float_dtype(name, dtype)
        if isinstance(images, np.ndarray) and images.ndim == 4:
            batch = self._batch(images)
        else:
            is_many = _checks.is_list(images) and not isinstance(images, np.ndarray)
            one_by_one = [self._pixels(item, position) for position, item in enumerate(images if is_many else [images])]
            if not one_by_one:
                raise ValueError(f"{name}: there is no image")
            batch = self._stacked(one_by_one)
        return functional.augment_batch(batch, np.arange(len(batch)), mean=self.mean, std=self.std, dtype=dtype)

    def to_dict(self) -> dict[str, Any]:
        """All fields as a dict of types that JSON can hold."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore a `Preprocessing` from the result of `to_dict`.

        Raises:
            TypeError, ValueError: `values` is not such a result.
        """
        names = cls.__dataclass_fields__
        if not isinstance(values, Mapping) or set(values) != set(names):
            raise ValueError(f"Preprocessing: the fields {', '.join(names)} are needed")
        return cls(**values)

    # ---- one image -----------------------------------------------------------------------------------------
    def _batch(self, images: NDArray) -> NDArray:
        """Many images in one array, which is used as it is if it fits."""
        if images.shape[1] == self.channels and self.size in (None, images.shape[2:]):
            return _checks.normalisable("Preprocessing", images)
        return self._stacked([self._pixels(item, position) for position, item in enumerate(images)])

    def _stacked(self, images: list[NDArray]) -> NDArray:
        first = images[0]
        for position, item in enumerate(images):
            if item.shape != first.shape:
                raise ValueError(
                    f"Preprocessing: images[{position}] has shape {item.shape}, images[0] {first.shape}: "
                    "without a size all must have one; use size="
                )
            if item.dtype != first.dtype:
                raise TypeError(
                    f"Preprocessing: images[{position}] has dtype {item.dtype}, images[0] {first.dtype}: "
                    "all must have one; cast them"
                )
        return np.stack(images)

    def _pixels(self, value: Any, position: int) -> NDArray:
        """One image, (channels, height, width)."""
        name = f"images[{position}]"
        if isinstance(value, str | os.PathLike):
            return _image.read_image(value, self.size, self.channels, self.resize)
        if _image.is_pillow_image(value):
            return self._of_pillow(name, value)
        pixels = _check.array("Preprocessing", name, value)
        pixels = self._channels_first(name, _checks.normalisable("Preprocessing", pixels, name))
        if len(pixels) == self.channels and self.size in (None, pixels.shape[1:]):
            return pixels
        if pixels.dtype != np.uint8:
            size = "any size" if self.size is None else f"size {self.size}"
            reason = f"{name} must be bytes, or have {self.channels} channels and {size}"
            raise ValueError(f"Preprocessing: {reason}. Received: shape {pixels.shape}, {pixels.dtype}")
        return self._of_pillow(name, _image.from_array(pixels))

    def _of_pillow(self, name: str, image: Any) -> NDArray:
        try:
            return _image.pixels_of(image, self.size, self.channels, self.resize)
        except (ValueError, OSError) as error:
            raise ValueError(f"Preprocessing: {name} cannot be used ({error})") from error

    def _channels_first(self, name: str, value: NDArray) -> NDArray:
        """(H, W), (C, H, W) or (H, W, C) as (C, H, W); where both are possible it is the former."""
        if value.ndim == 2 and value.size:
            return value[None]
        if value.ndim == 3 and value.size:
            for channels in ((self.channels,), (1, 3, 4)):
                if value.shape[0] in channels:
                    return value
                if value.shape[2] in channels:
                    return value.transpose(2, 0, 1)
        raise ValueError(
            f"Preprocessing: {name} must have shape (C, H, W), (H, W, C) or (H, W) with 1, 3 or 4 channels, here "
            f"{self.channels}; many grey images are images[:, None]. Received: {name}.shape={value.shape}"
        )


def _tuple(value: Any) -> tuple[Any, ...]:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
