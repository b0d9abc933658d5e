"""Random transforms of colour and sharpness."""

import numbers
from collections.abc import Sequence
from typing import Any

from fastnn.compat.torchvision.transforms import _draw
from fastnn.compat.torchvision.transforms import functional as F
from fastnn.compat.torchvision.transforms._base import Transform, size_pair
from fastnn.compat.torchvision.transforms._random import _WithProbability

Interval = tuple[float, float]


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed in random order.

    Args:
        brightness, contrast, saturation: the factor is 1 plus or minus this much, or of (least, most).
        hue: the turn of the colour circle is plus or minus this much, up to 0.5, or of (least, most).
    """

    _shown = ("brightness", "contrast", "saturation", "hue")

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        self.brightness = _factors(brightness, "brightness")
        self.contrast = _factors(contrast, "contrast")
        self.saturation = _factors(saturation, "saturation")
        self.hue = _factors(hue, "hue", 0, (-0.5, 0.5))

    @staticmethod
    def get_params(brightness: Any, contrast: Any, saturation: Any, hue: Any) -> tuple[Any, ...]:
        """The order of the four, and their numbers, None for what is not changed."""
        intervals = (brightness, contrast, saturation, hue)
        return _draw.permutation(4), *(None if pair is None else _draw.uniform(*pair) for pair in intervals)

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        for position in order:
            if factors[position] is not None:
                img = _CHANGES[position](img, factors[position])
        return img


_CHANGES = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


def _factors(value: Any, name: str, center: int = 1, bound: Interval = (0, float("inf"))) -> Interval | None:
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        least, most = center - float(value), center + float(value)  # type: ignore[arg-type]
        least = max(least, 0.0) if center else least
    elif isinstance(value, tuple | list) and len(value) == 2:
        least, most = float(value[0]), float(value[1])
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not bound[0] <= least <= most <= bound[1]:
        raise ValueError(f"{name} values should be between {bound}, but got {[least, most]}.")
    return None if least == most == center else (least, most)


class RandomGrayscale(_WithProbability):
    """Grey with probability p, in as many channels as before."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, F.get_dimensions(img)[0])


class GaussianBlur(Transform):
    """Blurred by a Gaussian whose standard deviation is of `sigma`, (least, most) or one number."""

    _shown = ("kernel_size", "sigma")

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        self.kernel_size = size_pair(kernel_size, "Kernel size should be a tuple/list of two integers")
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:  # type: ignore[operator]
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif not isinstance(sigma, Sequence) or len(sigma) != 2:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        elif not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError("sigma values should be positive and of the form (min, max).")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """The standard deviation."""
        return _draw.uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(*self.sigma)
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])


class RandomInvert(_WithProbability):
    """White for black with probability p."""

    def change(self, img: Any) -> Any:
        return F.invert(img)


class RandomPosterize(_WithProbability):
    """Only the upper bits of each byte with probability p."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def extra_repr(self) -> str:
        return f"bits={self.bits},p={self.p}"


class RandomSolarize(_WithProbability):
    """What is `threshold` or brighter inverted with probability p."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold},p={self.p}"


class RandomAdjustSharpness(_WithProbability):
    """Sharper (a factor above 1) or softer with probability p."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def extra_repr(self) -> str:
        return f"sharpness_factor={self.sharpness_factor},p={self.p}"


class RandomAutocontrast(_WithProbability):
    """Each channel stretched from black to white with probability p."""

    def change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(_WithProbability):
    """Each channel spread evenly with probability p."""

    def change(self, img: Any) -> Any:
        return F.equalize(img)
