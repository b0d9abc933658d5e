"""What has to be done to an image before a network sees it, as one value that is kept with the weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["Preprocessing"]

_RESIZES = ("crop", "squash", "pad")
_MOST_PIXELS, _MOST_NAMES = 1 << 16, 1 << 20


@dataclass(frozen=True)
class Preprocessing:
    """How images become the input of a network: x = (v - mean) / std, of images of one size, and what the classes mean.

    `training.fit` puts it on the model (`model.preprocessing`), `fastnn.save` writes it into the file of the weights,
    `fastnn.load` brings it back, and `training.predict_classes` uses it.

    Args:
        mean, std: one number, or one for each channel, in units of 0..1.
        size: (height, width) of the images; None if the network takes any.
        channels: 1 for grey, 3 for colour.
        resize: what is done to an image of another size: 'crop' scales it to cover `size` and cuts off what stands over
            on the longer side, evenly; 'squash' scales each side on its own; 'pad' scales it to fit, the rest black.
        classes: the names of the classes; empty if they have none.
    Raises:
        TypeError, ValueError: a value makes no sense; the message shows it.
    Example:
        >>> from fastnn import data
        >>> seen = data.Preprocessing(mean=(0.5,), std=(0.25,), size=(28, 28), channels=1, classes=("cat", "dog"))
        >>> data.Preprocessing.from_dict(seen.to_dict()) == seen
        True
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    size: tuple[int, int] | None = None
    channels: int = 3
    resize: str = "crop"
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        def fail(name: str, needed: str) -> ValueError:
            return ValueError(f"Preprocessing: {name} must be {needed}. Received: {getattr(self, name)!r}")

        if type(self.channels) is not int or not 1 <= self.channels <= 4096:
            raise fail("channels", "a positive integer")
        for name in ("mean", "std"):
            values = _tuple(getattr(self, name))
            numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
            if len(values) not in (1, self.channels) or not numbers or not all(map(math.isfinite, values)):
                raise fail(name, f"one finite number, or {self.channels}")
            object.__setattr__(self, name, tuple(float(value) for value in values))
        if min(self.std) <= 0:
            raise fail("std", "positive")
        if self.size is not None:
            size = _tuple(self.size)
            if len(size) != 2 or not all(type(side) is int and 1 <= side <= _MOST_PIXELS for side in size):
                raise fail("size", "None, or two positive integers (height, width)")
            object.__setattr__(self, "size", size)
        if self.resize not in _RESIZES:
            raise fail("resize", "'crop', 'squash' or 'pad'")
        classes = _tuple(self.classes)
        if len(classes) > _MOST_NAMES or not all(isinstance(name, str) for name in classes):
            raise fail("classes", "names")
        object.__setattr__(self, "classes", classes)

    def to_dict(self) -> dict[str, Any]:
        """All of it, of JSON's types."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            TypeError, ValueError: it is not the result of one.
        """
        names = cls.__dataclass_fields__
        if not isinstance(values, Mapping) or set(values) != set(names):
            raise ValueError(f"Preprocessing: the fields {', '.join(names)} are needed")
        return cls(**values)


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
