"""Transforms of whole batches, each image with random numbers of its own.

Those of bytes give what Pillow gives for each image: its rounding, its luminance, its way to the nearest pixel. Batches
are floats with whole numbers of 0..255, (N, C, H, W), best with channels last in memory: then each image is one block.
"""

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _random
from fastnn.compat.torch.nn._resampling_weights import resampling_weights
from fastnn.compat.torchvision.transforms.functional import _inverse_matrix
from fastnn.compat.torchvision.transforms.transforms import RandomAffine

__all__ = [
    "Affine", "Crop", "Erasing", "Grayscale", "Grey", "Jitter", "Reshaping", "Resizing", "Rotation", "VerticalFlip",
    "colour",
]  # fmt: skip

Array = NDArray[Any]
Interval = tuple[float, float] | None
Shape = tuple[int, ...]

_TRIES = 10  # to fit a rectangle into an image
_UNIT = 1 << 22  # what weights of pixels are counted in when Pillow resizes bytes
_AT_ONCE = 16  # images: of 224 x 224 pixels these take 20 MB in float64
_FIXED = 1 << 16  # Pillow's fixed-point numbers have 16 bits behind the point


def colour(fill: Any, channels: int) -> tuple[int, ...] | None:
    """A fill as whole numbers of each channel; None if it is something else."""
    values = [0 if fill is None else fill] if not isinstance(fill, tuple | list) else list(fill)
    if len(values) not in (1, channels) or not all(isinstance(value, numbers.Real) for value in values):
        return None
    return tuple(int(value) for value in values) * (channels // len(values))


class VerticalFlip:
    """Mirrored up and down with probability p."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        chosen = rng.random(len(x)) < self.p
        x[chosen] = x[chosen, :, ::-1]
        return x


# ---- colour ----------------------------------------------------------------------------------------------------------
def luminance(x: Array) -> Array:
    """(N, 1, H, W), whole numbers: how bright each pixel is."""
    if x.shape[1] == 1:
        return x
    red, green, blue = (x[:, channel].astype(np.int32) for channel in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(x.dtype)[:, None]


def _blend(x: Array, other: Any, part: Array) -> Array:
    """`part` of x and the rest of the other, cut to whole numbers of 0..255. In float32, as Pillow computes it."""
    other = np.asarray(other, np.float32)
    mixed = other + part.astype(np.float32)[:, None, None, None] * (x.astype(np.float32, copy=False) - other)
    return np.trunc(mixed.clip(0, 255)).astype(x.dtype, copy=False)


def brightness(x: Array, factors: Array) -> Array:
    return _blend(x, 0.0, factors)


def contrast(x: Array, factors: Array) -> Array:
    means = luminance(x).mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    return _blend(x, np.floor(means + 0.5), factors)


def saturation(x: Array, factors: Array) -> Array:
    return _blend(x, luminance(x), factors)


def hue(x: Array, factors: Array) -> Array:
    """All images as one tall one, so that Pillow is called twice only."""
    from PIL import Image

    n, channels, h, w = x.shape
    pixels = np.ascontiguousarray(x.transpose(0, 2, 3, 1), np.uint8).reshape(n * h, w, channels)
    turned = np.array(Image.fromarray(pixels).convert("HSV")).reshape(n, h, w, channels)
    turned[..., 0] += (factors * 255).astype(np.int64).astype(np.uint8)[:, None, None]
    back = Image.frombytes("HSV", (w, n * h), turned.tobytes()).convert("RGB")
    return np.asarray(back, x.dtype).reshape(n, h, w, channels).transpose(0, 3, 1, 2)


_CHANGES = (brightness, contrast, saturation, hue)


class Jitter:
    """Brightness, contrast, saturation and hue, of those that have an interval, in an order of each image's own."""

    def __init__(self, *intervals: Interval) -> None:
        given = [(change, pair) for change, pair in zip(_CHANGES, intervals, strict=True) if pair is not None]
        self.changes = [change for change, _ in given]
        self.intervals = [pair for _, pair in given]

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        n = len(x)
        orders = rng.permuted(np.tile(np.arange(len(self.changes)), (n, 1)), axis=1)
        factors = [rng.uniform(*pair, n) for pair in self.intervals]
        return self.changed(x, orders, factors)

    def changed(self, x: Array, orders: Array, factors: list[Array]) -> Array:
        """With given orders (N, changes) and, for each change, factors (N,)."""
        pixels = x.transpose(0, 2, 3, 1)
        for turn in orders.T:
            for number, change in enumerate(self.changes):
                chosen = np.flatnonzero(turn == number)
                if chosen.size:
                    changed = change(pixels[chosen].transpose(0, 3, 1, 2), factors[number][chosen])
                    pixels[chosen] = changed.transpose(0, 2, 3, 1)
        return x


class Grey:
    """Grey with probability p."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        chosen = np.flatnonzero(rng.random(len(x)) < self.p)
        x[chosen] = luminance(x[chosen])
        return x


# ---- maps ------------------------------------------------------------------------------------------------------------
def moved(x: Array, matrices: Array, fill: tuple[int, ...]) -> Array:
    """Each image under a map of its own, by nearest pixels.

    Args:
        matrices: (N, 6): pixel (column, row) of the result comes from (a x + b y + c, d x + e y + f) of the image, all
            counted from the corner, of the pixels' centres.
    """
    n, channels, h, w = x.shape
    a, b, c, d, e, f = matrices.T

    def fixed(value: Array) -> NDArray[np.int64]:
        return np.floor(value * _FIXED + 0.5).astype(np.int64)[:, None, None]

    columns, rows = np.arange(w), np.arange(h)[:, None]
    from_x = (fixed(c + a * 0.5 + b * 0.5) + fixed(a) * columns + fixed(b) * rows) >> 16
    from_y = (fixed(f + d * 0.5 + e * 0.5) + fixed(d) * columns + fixed(e) * rows) >> 16
    outside = (from_x < 0) | (from_x >= w) | (from_y < 0) | (from_y >= h)
    places = (np.arange(n)[:, None, None] * h + from_y) * w + from_x
    places[outside] = 0
    y = x.transpose(0, 2, 3, 1).reshape(-1, channels)[places]
    y[outside] = fill
    return y.transpose(0, 3, 1, 2)


class Rotation:
    """Turned by an angle of `degrees`, counter-clockwise."""

    def __init__(self, degrees: Any, fill: tuple[int, ...]) -> None:
        self.degrees, self.fill = degrees, fill

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        return self.turned(x, rng.uniform(self.degrees[0], self.degrees[1], len(x)))

    def turned(self, x: Array, degrees: Array) -> Array:
        """By given angles."""
        h, w = x.shape[2:]
        turn = -np.radians(degrees % 360.0)
        cosine, sine = np.round(np.cos(turn), 15), np.round(np.sin(turn), 15)
        c = -cosine * (w / 2) - sine * (h / 2) + w / 2
        f = sine * (w / 2) - cosine * (h / 2) + h / 2
        return moved(x, np.stack([cosine, sine, c, -sine, cosine, f], axis=1), self.fill)


class Affine:
    """Turned, moved, scaled and sheared, as `RandomAffine` draws it."""

    def __init__(self, degrees: Any, translate: Any, scale: Any, shear: Any, fill: tuple[int, ...]) -> None:
        self.ranges, self.fill = (degrees, translate, scale, shear), fill

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        h, w = x.shape[2:]
        with _random.drawing_from(rng):
            drawn = [RandomAffine.get_params(*self.ranges, [w, h]) for _ in range(len(x))]
        return self.mapped(x, drawn)

    def mapped(self, x: Array, drawn: list[tuple[Any, ...]]) -> Array:
        """By a given (angle, translation, scale, shear) for each image."""
        middle = (x.shape[3] * 0.5, x.shape[2] * 0.5)
        matrices = [_inverse_matrix(middle, *of_image) for of_image in drawn]
        return moved(x, np.array(matrices).reshape(-1, 6), self.fill)


# ---- other shapes ----------------------------------------------------------------------------------------------------
class Reshaping:
    """A step whose images have another shape (C, H, W)."""

    def new_shape(self, shape: Shape) -> Shape:
        raise NotImplementedError


class Crop(Reshaping):
    """A window of images that are padded before: anywhere, for each image another one, or in the middle.

    Args:
        size: (height, width).
        sides: left, top, right, bottom.
        fill: the colour of the padding.
    """

    def __init__(
        self, size: tuple[int, int], sides: tuple[int, int, int, int], fill: tuple[int, ...], centred: bool = False
    ) -> None:
        self.size, self.sides, self.fill, self.centred = size, sides, fill, centred

    def new_shape(self, shape: Shape) -> Shape:
        return shape[0], *self.size

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        pixels = _padded(x.transpose(0, 2, 3, 1), self.sides, self.fill)
        n, h, w, _ = pixels.shape
        height, width = self.size
        if self.centred:
            top, left = round((h - height) / 2), round((w - width) / 2)
            return pixels[:, top : top + height, left : left + width].transpose(0, 3, 1, 2)
        rows = rng.integers(0, h - height + 1, n)[:, None] + np.arange(height)
        columns = rng.integers(0, w - width + 1, n)[:, None] + np.arange(width)
        return pixels[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None]].transpose(0, 3, 1, 2)


def _padded(pixels: Array, sides: tuple[int, int, int, int], fill: tuple[int, ...]) -> Array:
    """(N, H, W, C) with more around it."""
    if not any(sides):
        return pixels
    left, top, right, bottom = sides
    n, h, w, channels = pixels.shape
    result = np.empty((n, h + top + bottom, w + left + right, channels), pixels.dtype)
    result[...] = fill
    result[:, top : top + h, left : left + w] = pixels
    return result


class Resizing(Reshaping):
    """Another size, by whole numbers as Pillow has it: weights have 22 bits behind the point, and each of the two
    passes, first along rows, ends with bytes."""

    def __init__(self, size: tuple[int, int], new_size: tuple[int, int], mode: str) -> None:
        self.size = new_size
        self.down, self.across = (
            None if n == new else _rounded(resampling_weights(n, new, mode, antialias=True) * _UNIT)
            for n, new in zip(size, new_size, strict=True)
        )

    def new_shape(self, shape: Shape) -> Shape:
        return shape[0], *self.size

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        return np.concatenate([self._resized(part) for part in np.split(x, range(_AT_ONCE, len(x), _AT_ONCE))])

    def _resized(self, x: Array) -> Array:
        y = x.astype(np.float64)  # whose 53 bits hold sums of 8 + 22 bits
        if self.across is not None:
            y = np.floor((y @ self.across.T + _UNIT / 2) / _UNIT).clip(0, 255)
        if self.down is not None:
            y = np.floor((self.down @ y + _UNIT / 2) / _UNIT).clip(0, 255)
        return y.astype(x.dtype)


def _rounded(values: Array) -> Array:
    """To the nearest whole number, halves away from zero."""
    return np.trunc(values + np.copysign(0.5, values))


class Grayscale(Reshaping):
    """Grey, in one channel or three."""

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def new_shape(self, shape: Shape) -> Shape:
        return self.channels, *shape[1:]

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        return np.repeat(luminance(x), self.channels, axis=1)


# ---- holes -----------------------------------------------------------------------------------------------------------
class Erasing:
    """A rectangle of random area and shape covered with probability p, of floats of any range.

    Args:
        value: a number, one for each channel, or "random" for normal noise.
    """

    def __init__(self, p: float, scale: Any, ratio: Any, value: Any) -> None:
        self.p, self.scale, self.ratio = p, scale, ratio
        self.value = None if isinstance(value, str) else np.atleast_1d(np.asarray(value, np.float32))[:, None, None]

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        (n, _, h, w) = x.shape
        covered = rng.random(n) < self.p
        area = rng.uniform(self.scale[0], self.scale[1], (n, _TRIES)) * (h * w)
        shape = np.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), (n, _TRIES)))
        height, width = np.rint(np.sqrt(area * shape)), np.rint(np.sqrt(area / shape))
        fits = (height < h) & (width < w)
        first = fits.argmax(axis=1)
        height, width = (sides[np.arange(n), first].astype(np.int64)[:, None] for sides in (height, width))
        covered &= fits.any(axis=1)
        height[~covered] = 0
        width[~covered] = 0
        top, left = rng.integers(0, h - height + 1), rng.integers(0, w - width + 1)
        rows, columns = np.arange(h), np.arange(w)
        is_row = (rows >= top) & (rows < top + height)
        is_column = (columns >= left) & (columns < left + width)
        mask = is_row[:, None, :, None] & is_column[:, None, None, :]
        value = rng.standard_normal(x.shape, np.float32) if self.value is None else self.value
        np.copyto(x, value, where=mask, casting="same_kind")
        return x
