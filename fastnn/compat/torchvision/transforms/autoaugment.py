"""Learned and random sequences of transforms.

Sources: Cubuk et al., 2019, "AutoAugment: Learning augmentation policies from data"; Cubuk et al., 2020,
"RandAugment: Practical automated data augmentation with a reduced search space"; Mueller and Hutter, 2021,
"TrivialAugment: Tuning-free yet state-of-the-art data augmentation".
"""

import math
from enum import Enum
from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.transforms import _draw
from fastnn.compat.torchvision.transforms import functional as F
from fastnn.compat.torchvision.transforms._base import Transform, fill_for
from fastnn.compat.torchvision.transforms._images import InterpolationMode

__all__ = ["AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]

__getattr__ = missing(__name__, {"AugMix": "use RandAugment or TrivialAugmentWide"})


def _change(img: Any, name: str, magnitude: float, mode: InterpolationMode, fill: Any) -> Any:
    def affine(translate: list[int], shear: list[float], center: list[int] | None = None) -> Any:
        return F.affine(img, 0.0, translate, 1.0, shear, interpolation=mode, fill=fill, center=center)

    match name:
        case "Identity":
            return img
        case "ShearX":
            return affine([0, 0], [math.degrees(math.atan(magnitude)), 0.0], [0, 0])
        case "ShearY":
            return affine([0, 0], [0.0, math.degrees(math.atan(magnitude))], [0, 0])
        case "TranslateX":
            return affine([int(magnitude), 0], [0.0, 0.0])
        case "TranslateY":
            return affine([0, int(magnitude)], [0.0, 0.0])
        case "Rotate":
            return F.rotate(img, magnitude, interpolation=mode, fill=fill)
        case "Posterize":
            return F.posterize(img, int(magnitude))
        case "Solarize":
            return F.solarize(img, magnitude)
        case "AutoContrast" | "Equalize" | "Invert":
            return getattr(F, name.lower())(img)
    adjust = {"Brightness": "brightness", "Color": "saturation", "Contrast": "contrast", "Sharpness": "sharpness"}
    return getattr(F, f"adjust_{adjust[name]}")(img, 1.0 + magnitude)


_PLAIN = ("Identity", "AutoContrast", "Equalize", "Invert")
_UNSIGNED = ("Posterize", "Solarize", *_PLAIN)
_ENHANCE = ("Brightness", "Color", "Contrast", "Sharpness")


def _signed(name: str, magnitude: float) -> float:
    """Either sign, where that makes a difference."""
    return magnitude if name in _UNSIGNED or _draw.coin(0.5) else -magnitude


def _magnitudes(bins: int, size: tuple[int, int], shear: float, turn: float, gain: float, lost_bits: int) -> Any:
    """For each transform its strengths, weakest first, and for those that have none one 0."""
    h, w = size
    most = {"ShearX": shear, "ShearY": shear, "TranslateX": w, "TranslateY": h, "Rotate": turn}
    found = {name: np.linspace(0.0, strength, bins) for name, strength in most.items()}
    found |= {name: np.linspace(0.0, gain, bins) for name in _ENHANCE}
    found["Posterize"] = 8 - np.rint(np.arange(bins) / ((bins - 1) / lost_bits))
    found["Solarize"] = np.linspace(255.0, 0.0, bins)
    # Strengths are of float32, as in torchvision: a rounded one decides on which side of a whole number a shift lies.
    return {name: values.astype(np.float32) for name, values in found.items()}


def _usual_magnitudes(bins: int, h: int, w: int) -> Any:
    reach = 150.0 / 331.0  # of the side: AutoAugment's search was for images of 331 pixels
    return _magnitudes(bins, (reach * h, reach * w), 0.3, 30.0, 0.9, 4)  # type: ignore[arg-type]


class AutoAugmentPolicy(Enum):
    """On which data a policy was learned."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# Pairs of (transform, probability, strength of 0..9).
_IMAGENET = """
Posterize .4 8, Rotate .6 9; Solarize .6 5, AutoContrast .6 -; Equalize .8 -, Equalize .6 -;
Posterize .6 7, Posterize .6 6; Equalize .4 -, Solarize .2 4; Equalize .4 -, Rotate .8 8;
Solarize .6 3, Equalize .6 -; Posterize .8 5, Equalize 1 -; Rotate .2 3, Solarize .6 8; Equalize .6 -, Posterize .4 6;
Rotate .8 8, Color .4 0; Rotate .4 9, Equalize .6 -; Equalize 0 -, Equalize .8 -; Invert .6 -, Equalize 1 -;
Color .6 4, Contrast 1 8; Rotate .8 8, Color 1 2; Color .8 8, Solarize .8 7; Sharpness .4 7, Invert .6 -;
ShearX .6 5, Equalize 1 -; Color .4 0, Equalize .6 -; Equalize .4 -, Solarize .2 4; Solarize .6 5, AutoContrast .6 -;
Invert .6 -, Equalize 1 -; Color .6 4, Contrast 1 8; Equalize .8 -, Equalize .6 -
"""
_CIFAR10 = """
Invert .1 -, Contrast .2 6; Rotate .7 2, TranslateX .3 9; Sharpness .8 1, Sharpness .9 3;
ShearY .5 8, TranslateY .7 9; AutoContrast .5 -, Equalize .9 -; ShearY .2 7, Posterize .3 7;
Color .4 3, Brightness .6 7; Sharpness .3 9, Brightness .7 9; Equalize .6 -, Equalize .5 -;
Contrast .6 7, Sharpness .6 5; Color .7 7, TranslateX .5 8; Equalize .3 -, AutoContrast .4 -;
TranslateY .4 3, Sharpness .2 6; Brightness .9 6, Color .2 8; Solarize .5 2, Invert 0 -;
Equalize .2 -, AutoContrast .6 -; Equalize .2 -, Equalize .6 -; Color .9 9, Equalize .6 -;
AutoContrast .8 -, Solarize .2 8; Brightness .1 3, Color .7 0; Solarize .4 5, AutoContrast .9 -;
TranslateY .9 9, TranslateY .7 9; AutoContrast .9 -, Solarize .8 3; Equalize .8 -, Invert .1 -;
TranslateY .7 9, AutoContrast .9 -
"""
_SVHN = """
ShearX .9 4, Invert .2 -; ShearY .9 8, Invert .7 -; Equalize .6 -, Solarize .6 6; Invert .9 -, Equalize .6 -;
Equalize .6 -, Rotate .9 3; ShearX .9 4, AutoContrast .8 -; ShearY .9 8, Invert .4 -; ShearY .9 5, Solarize .2 6;
Invert .9 -, AutoContrast .8 -; Equalize .6 -, Rotate .9 3; ShearX .9 4, Solarize .3 3; ShearY .8 8, Invert .7 -;
Equalize .9 -, TranslateY .6 6; Invert .9 -, Equalize .6 -; Contrast .3 3, Rotate .8 4; Invert .8 -, TranslateY 0 2;
ShearY .7 6, Solarize .4 8; Invert .6 -, Rotate .8 4; ShearY .3 7, TranslateX .9 3; ShearX .1 6, Invert .6 -;
Solarize .7 2, TranslateY .6 7; ShearY .8 4, Invert .8 -; ShearX .7 9, TranslateY .8 3;
ShearY .8 5, AutoContrast .7 -; ShearX .7 2, Invert .1 -
"""
_POLICIES = {
    AutoAugmentPolicy.IMAGENET: _IMAGENET,
    AutoAugmentPolicy.CIFAR10: _CIFAR10,
    AutoAugmentPolicy.SVHN: _SVHN,
}
Step = tuple[str, float, int | None]


def _parsed(text: str) -> list[tuple[Step, ...]]:
    pairs = [[step.split() for step in pair.split(",")] for pair in text.split(";")]
    return [
        tuple((name, float(p), None if strength == "-" else int(strength)) for name, p, strength in pair)
        for pair in pairs
    ]


class AutoAugment(Transform):
    """One of 25 learned pairs of transforms, each with its probability and strength. For bytes or images of Pillow."""

    _shown = ("policy", "fill")

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        self.policy, self.interpolation, self.fill = policy, interpolation, fill
        self.policies = _parsed(_POLICIES[AutoAugmentPolicy(policy)])

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, list[float], list[bool]]:
        """Which pair, and for each of it a number in [0, 1) and whether the strength is positive."""
        numbers = [_draw.uniform(0, 1) for _ in range(2)]
        return _draw.integer(0, transform_num), numbers, [_draw.coin(0.5) for _ in range(2)]

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        fill = fill_for(img, self.fill, channels)
        chosen, numbers, positive = self.get_params(len(self.policies))
        magnitudes = _usual_magnitudes(10, height, width)
        for (name, p, strength), number, is_positive in zip(self.policies[chosen], numbers, positive, strict=True):
            if number <= p:
                magnitude = 0.0 if strength is None else float(magnitudes[name][strength])
                if not is_positive and name not in _UNSIGNED:
                    magnitude = -magnitude
                img = _change(img, name, magnitude, self.interpolation, fill)
        return img


class RandAugment(Transform):
    """`num_ops` transforms of 14, drawn evenly, each of strength `magnitude`. For bytes or images of Pillow."""

    _shown = ("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill")

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins
        self.interpolation, self.fill = interpolation, fill

    def forward(self, img: Any) -> Any:
        channels, height, width = F.get_dimensions(img)
        fill = fill_for(img, self.fill, channels)
        magnitudes = _usual_magnitudes(self.num_magnitude_bins, height, width)
        names = [*_PLAIN[:3], *magnitudes]
        for _ in range(self.num_ops):
            name = names[_draw.integer(0, len(names))]
            magnitude = _signed(name, float(magnitudes[name][self.magnitude])) if name in magnitudes else 0.0
            img = _change(img, name, magnitude, self.interpolation, fill)
        return img


class TrivialAugmentWide(Transform):
    """One transform of 14 with one strength, all drawn evenly. For bytes or images of Pillow."""

    _shown = ("num_magnitude_bins", "interpolation", "fill")

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        self.num_magnitude_bins, self.interpolation, self.fill = num_magnitude_bins, interpolation, fill

    def forward(self, img: Any) -> Any:
        fill = fill_for(img, self.fill, F.get_dimensions(img)[0])
        magnitudes = _magnitudes(self.num_magnitude_bins, (32.0, 32.0), 0.99, 135.0, 0.99, 6)  # type: ignore[arg-type]
        names = [*_PLAIN[:3], *magnitudes]
        name = names[_draw.integer(0, len(names))]
        magnitude = 0.0
        if name in magnitudes:
            magnitude = _signed(name, float(magnitudes[name][_draw.integer(0, self.num_magnitude_bins)]))
        return _change(img, name, magnitude, self.interpolation, fill)
