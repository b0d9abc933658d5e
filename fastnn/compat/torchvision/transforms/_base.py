"""What all transforms have in common, and what checks their arguments."""

import numbers
from collections.abc import Sequence
from typing import Any

from fastnn.compat.torch import nn
from fastnn.compat.torchvision.transforms._images import InterpolationMode, is_tensor

__all__ = ["Transform", "angles", "fill_for", "sequence_of", "size_pair"]


class Transform(nn.Module):
    """Called with an image, it calls its `forward`. A module, so that it can be part of `nn.Sequential`."""

    _shown: tuple[str, ...] = ()  # attributes in the text

    def __init__(self) -> None:
        super().__init__()

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Nothing is done to `forward`, which computes no gradients and takes arrays as images."""

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:  # the constructors of transforms, some of them a script's, do not make it
            nn.Module.__init__(self)
        super().__setattr__(name, value)

    def forward(self, img: Any, /) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.forward is not there")

    def __call__(self, img: Any) -> Any:
        return self.forward(img)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={_text(getattr(self, name))}" for name in self._shown)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


def _text(value: Any) -> str:
    return value.value if isinstance(value, InterpolationMode) else f"{value}"


def size_pair(size: Any, error: str = "Please provide only two dimensions (h, w) for size.") -> Any:
    """(h, w) of one number, or of a sequence of one or two."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(error)
    return size


def sequence_of(value: Any, name: str, sizes: tuple[int, ...]) -> None:
    """Raise TypeError or ValueError unless it is a sequence of such a length."""
    text = " or ".join(map(str, sizes))
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} should be a sequence of length {text}.")
    if len(value) not in sizes:
        raise ValueError(f"{name} should be a sequence of length {text}.")


def angles(value: Any, name: str, sizes: tuple[int, ...] = (2,)) -> list[float]:
    """[-value, value] of one number, or the numbers of a sequence."""
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        value = [-value, value]  # type: ignore[operator]
    else:
        sequence_of(value, name, sizes)
    return [float(degrees) for degrees in value]


def checked_fill(fill: Any) -> Any:
    if fill is None:
        return 0
    if not isinstance(fill, Sequence | numbers.Number):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


def fill_for(img: Any, fill: Any, channels: int) -> Any:
    """Of a tensor one number for each channel."""
    if not is_tensor(img) or fill is None:
        return fill
    return [float(fill)] * channels if isinstance(fill, int | float) else [float(value) for value in fill]
