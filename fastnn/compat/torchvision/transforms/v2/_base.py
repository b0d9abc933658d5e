"""What a transform of version 2 may be called with: an image, or a sample, of which images are changed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fastnn import _random
from fastnn.compat.torchvision.transforms import _draw
from fastnn.compat.torchvision.transforms._base import Transform as TransformV1
from fastnn.compat.torchvision.transforms._images import is_pil, is_tensor

__all__ = ["OnImages", "Transform", "images_in", "mapped"]


def _leaves(sample: Any) -> Iterator[Any]:
    if isinstance(sample, Mapping):
        for part in sample.values():
            yield from _leaves(part)
    elif isinstance(sample, tuple | list):
        for part in sample:
            yield from _leaves(part)
    else:
        yield sample


def images_in(sample: Any) -> list[Any]:
    """The images of a sample: those of Pillow, or, if there is none, the first tensor."""
    leaves = list(_leaves(sample))
    images = [leaf for leaf in leaves if is_pil(leaf)]
    return images or [leaf for leaf in leaves if is_tensor(leaf) or isinstance(leaf, np.ndarray)][:1]


def mapped(sample: Any, function: Callable[[Any], Any]) -> Any:
    """The sample with each leaf changed."""
    if isinstance(sample, Mapping):
        return type(sample)({key: mapped(part, function) for key, part in sample.items()})  # type: ignore[call-arg]
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*(mapped(part, function) for part in sample))
    if isinstance(sample, tuple | list):
        return type(sample)(mapped(part, function) for part in sample)
    return function(sample)


class OnImages:
    """Before a transform of version 1: done to each image of a sample, all with the same random numbers."""

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        change = super().forward  # type: ignore[misc]
        sample = inputs if len(inputs) != 1 else inputs[0]
        if len(inputs) == 1 and not isinstance(sample, tuple | list | Mapping):
            return change(sample) if images_in(sample) else sample
        images = images_in(sample)
        if len(images) > 1:
            state: Any = _draw.generator().bit_generator.state
            change_one = change

            def change(image: Any) -> Any:
                if image is images[0]:
                    return change_one(image)
                bits = np.random.PCG64()
                bits.state = state
                with _random.drawing_from(np.random.Generator(bits)):
                    return change_one(image)

        return mapped(sample, lambda leaf: change(leaf) if any(leaf is image for image in images) else leaf)


class Transform(TransformV1):
    """A transform of one's own: `transform(inpt, params)`, with what `make_params(flat_inputs)` draws for a sample."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.transform is not there")

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) != 1 else inputs[0]
        images = images_in(sample)
        params = self.make_params(list(_leaves(sample)))
        return mapped(
            sample,
            lambda leaf: self.transform(leaf, params) if any(leaf is image for image in images) else leaf,
        )
