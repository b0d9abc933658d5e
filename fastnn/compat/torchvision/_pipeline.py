"""Whole batches of data sets in memory, where a transform is one that is known here.

The usual transforms, of images of Pillow before ToTensor and of floats after it, are done to all images of a batch at
once, each with random numbers of its own: crops, flips and the normalisation in fastnn's one pass in C, the others by
NumPy. Each gives the pixels that Pillow gives, so that a batch has the distribution that it would have image by image.
What is not known (`None` instead of a step) is left to the data set's items.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._dtype import default_numpy_dtype, numpy_dtype
from fastnn.compat.torch._tensor import new
from fastnn.compat.torchvision import _batches
from fastnn.compat.torchvision.datasets.vision import InMemory
from fastnn.compat.torchvision.transforms import functional as F
from fastnn.compat.torchvision.transforms import transforms as v1
from fastnn.compat.torchvision.transforms import v2
from fastnn.compat.torchvision.transforms._images import InterpolationMode
from fastnn.data import augment

__all__ = ["begins_with_to_tensor", "maker_of"]

Array = NDArray[Any]
Shape = tuple[int, ...]  # (C, H, W)
Step = Callable[[Array, np.random.Generator], Array]  # of a batch of floats, which it may write into
Maker = Callable[[NDArray[np.int64], np.random.Generator], list[Any]]


def maker_of(dataset: Any) -> Maker | None:
    """What makes the batch [images, labels] of indices into `dataset`, or None."""
    if not isinstance(dataset, InMemory) or dataset.target_transform is not None or not _has_own_items(dataset):
        return None
    images, labels = dataset._whole_images(), dataset._whole_labels()
    if images is None or labels is None or 0 in images.shape:
        return None
    plan = _plan_of(dataset.transform, images.shape[1:])
    if plan is None:
        return None
    images = np.ascontiguousarray(images)
    return lambda indices, rng: [new(plan.batch(images, indices, rng)), new(labels[indices])]


def _has_own_items(dataset: InMemory) -> bool:
    """Whether items are what the class of this package gives, and not those of a subclass of the script's."""
    package = InMemory.__module__.rpartition(".")[0]
    own = next(kind for kind in type(dataset).__mro__ if kind.__module__.startswith(f"{package}."))
    methods = ("__getitem__", "__getitems__", "__len__", "_whole_images", "_whole_labels", "_image", "_transformed")
    return all(getattr(type(dataset), name, None) is getattr(own, name, None) for name in methods)


def begins_with_to_tensor(transform: Any) -> bool:
    """Whether the first thing that is done to an image is to make a tensor of it, for which it need not be Pillow's."""
    steps = _flat(transform)
    return bool(steps) and type(steps[0]) in (v1.ToTensor, v2.ToImage)


def _flat(transform: Any) -> list[Any]:
    """The transforms one after the other."""
    if type(transform) in (v1.Compose, v2.Compose) and isinstance(transform.transforms, Sequence):
        return [step for part in transform.transforms for step in _flat(part)]
    return [transform]


# ---- the plan --------------------------------------------------------------------------------------------------------
@dataclass
class _Plan:
    """Steps in order: moves while the batch is gathered, on bytes (as floats 0..255), normalisation, after it."""

    moves: list[augment.PlacementAugmentation] = field(default_factory=list)
    on_bytes: list[Step] = field(default_factory=list)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    after: list[Step] = field(default_factory=list)
    dtype: np.dtype[Any] = field(default_factory=default_numpy_dtype)

    def batch(self, images: NDArray[np.uint8], indices: NDArray[np.int64], rng: np.random.Generator) -> Array:
        placement = augment.Placement(indices, images.shape[2:])
        rest: list[Step] = []
        for move in self.moves:
            if rest or not move.place(placement, rng):
                rest.append(move)
        if rest or self.on_bytes:
            x = placement.apply(images, 0.0, 1 / 255)  # of float32 these are whole numbers
            for step in (*rest, *self.on_bytes):
                x = step(x, rng)
            x = _normalised(x.astype(self.dtype, copy=False), self.mean, self.std)
        else:
            x = placement.apply(images, self.mean, self.std, self.dtype)
        for step in self.after:
            x = step(x, rng)
        return x


def _normalised(x: Array, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    x /= x.dtype.type(255)
    x -= np.asarray(mean, x.dtype)[:, None, None]
    x /= np.asarray(std, x.dtype)[:, None, None]
    return x


def _plan_of(transform: Any, shape: Shape) -> _Plan | None:
    """The plan for images (C, H, W)."""
    steps = _flat(transform)
    plan = _Plan()
    if plan.dtype not in (np.float32, np.float64):
        return None
    place = _to_tensor_at(steps)
    if place is None:
        return None
    begin, end = place
    for step in (*steps[:begin], *steps[begin + 1 : end - 1]):
        added = _add_before(plan, step, shape)
        if added is None:
            return None
        shape = added
    is_normalised = False
    for step in steps[end:]:
        if type(step) in (v1.Normalize, v2.Normalize) and not is_normalised and not plan.after:
            statistics = [_per_channel(value, shape[0]) for value in (step.mean, step.std)]
            if statistics[0] is None or statistics[1] is None or min(statistics[1]) <= 0:
                return None
            plan.mean, plan.std = statistics  # type: ignore[assignment]
            is_normalised = True
        elif not _add_after(plan, step, shape, is_normalised):
            return None
    return plan


def _to_tensor_at(steps: list[Any]) -> tuple[int, int] | None:
    """Where bytes become floats in 0..1, and where that ends: ToTensor; or version 2's ToImage, transforms that do not
    care whether bytes are of an image or of a tensor, and ToDtype(float32, scale=True)."""
    for position, step in enumerate(steps):
        if type(step) in (v1.ToTensor, v2.ToTensor):
            return position, position + 1
        if type(step) in (v2.ToImage, v2.PILToTensor, v1.PILToTensor):
            end = position + 1
            while end < len(steps) and type(steps[end]) in _OF_ANY_BYTES:
                end += 1
            return (position, end + 1) if end < len(steps) and _is_scaling(steps[end]) else None
    return None


def _is_scaling(step: Any) -> bool:
    """Whether it makes floats in 0..1 of bytes."""
    if type(step) not in (v2.ToDtype, v1.ConvertImageDtype, v2.ConvertImageDtype):
        return False
    return getattr(step, "scale", True) and numpy_dtype(step.dtype) == default_numpy_dtype()


def _per_channel(value: Any, channels: int) -> tuple[float, ...] | None:
    numbers = np.asarray(getattr(value, "_data", value))
    if numbers.dtype.kind not in "fiu" or numbers.ndim > 1 or numbers.size not in (1, channels):
        return None
    return tuple(float(number) for number in numbers.ravel())


def _add_before(plan: _Plan, step: Any, shape: Shape) -> Shape | None:
    """Add a transform of an image of Pillow; the shape that images have then, or None if it is not known."""
    move = _move_of(step, shape)
    if move is None:
        maker = _ON_BYTES.get(type(step))
        change = None if maker is None else maker(step, shape)
        if change is None:
            return None
    elif isinstance(move, augment.PlacementAugmentation) and not plan.on_bytes:
        plan.moves.append(move)
        return shape
    else:
        change = move
    if change is not _NOTHING:
        plan.on_bytes.append(change)
    return change.new_shape(shape) if isinstance(change, _batches.Reshaping) else shape


def _add_after(plan: _Plan, step: Any, shape: Shape, is_normalised: bool) -> bool:
    """Add a transform of a tensor; False if it is not known."""
    kind = type(step)
    if kind in (v1.RandomErasing, v2.RandomErasing):
        if not isinstance(step.value, str) and np.size(step.value) not in (1, shape[0]):
            return False
        plan.after.append(_batches.Erasing(step.p, step.scale, step.ratio, step.value))
        return True
    if kind in (v1.RandomVerticalFlip, v2.RandomVerticalFlip):
        plan.after.append(_batches.VerticalFlip(step.p))
        return True
    move = _move_of(step, shape)
    if move is None or (isinstance(move, augment.RandomCrop) and is_normalised and move.mode == "zeros"):
        return False  # zeros would be of the mean's colour
    if move is _NOTHING:
        return True
    if isinstance(move, augment.PlacementAugmentation) and not plan.after and not plan.on_bytes:
        plan.moves.append(move)
    else:
        plan.after.append(move)
    return True


def _nothing(x: Array, rng: np.random.Generator) -> Array:
    return x


_NOTHING: Step = _nothing


def _move_of(step: Any, shape: Shape) -> Step | None:
    """A flip, or a crop of the image's own size, as fastnn has it."""
    kind = type(step)
    if kind in (v1.RandomHorizontalFlip, v2.RandomHorizontalFlip):
        return augment.RandomHorizontalFlip(step.p)
    if kind not in (v1.RandomCrop, v2.RandomCrop) or tuple(step.size) != shape[1:]:
        return None
    if step.padding is None or step.padding == 0:
        return _NOTHING
    sides = {step.padding} if isinstance(step.padding, int) else set(step.padding)
    side = sides.pop()
    mode = {"constant": "zeros", "reflect": "reflect"}.get(step.padding_mode)
    is_black = step.padding_mode != "constant" or step.fill in (0, (0, 0, 0), [0, 0, 0])
    if sides or mode is None or not is_black or not 0 < side < min(shape[1:]):
        return None
    return augment.RandomCrop(side, mode)


# ---- what is done to bytes -------------------------------------------------------------------------------------------
def _vertical_flip(step: Any, shape: Shape) -> Step:
    return _batches.VerticalFlip(step.p)


def _jitter(step: Any, shape: Shape) -> Step | None:
    intervals = (step.brightness, step.contrast, step.saturation, step.hue)
    if shape[0] == 3 and (step.hue is None or _has_pillow()):
        return _batches.Jitter(*intervals)
    return None if shape[0] != 1 else _batches.Jitter(*intervals[:2], None, None)


def _has_pillow() -> bool:
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        return False
    return True


def _grey(step: Any, shape: Shape) -> Step | None:
    return _batches.Grey(step.p) if shape[0] == 3 else _NOTHING


def _rotation(step: Any, shape: Shape) -> Step | None:
    if step.interpolation is not InterpolationMode.NEAREST or step.expand or step.center is not None:
        return None
    fill = _batches.colour(step.fill, shape[0])
    return None if fill is None else _batches.Rotation(step.degrees, fill)


def _crop(step: Any, shape: Shape) -> Step | None:
    """A crop that is not among the moves."""
    sides = (0,) * 4 if step.padding is None else F.sides_of(step.padding)
    return _crop_of(step.size, sides, step.fill, step.padding_mode, shape)


def _pad(step: Any, shape: Shape) -> Step | None:
    left, top, right, bottom = sides = F.sides_of(step.padding)
    size = (shape[1] + top + bottom, shape[2] + left + right)
    return _crop_of(size, sides, step.fill, step.padding_mode, shape)


def _crop_of(size: Any, sides: Any, fill: Any, padding_mode: str, shape: Shape, centred: bool = False) -> Step | None:
    colour = _batches.colour(fill, shape[0])
    left, top, right, bottom = sides
    fits = size[0] <= shape[1] + top + bottom and size[1] <= shape[2] + left + right
    if colour is None or min(sides) < 0 or not fits or (any(sides) and padding_mode != "constant"):
        return None
    return _batches.Crop((size[0], size[1]), sides, colour, centred)


def _center_crop(step: Any, shape: Shape) -> Step | None:
    return _crop_of(step.size, (0,) * 4, 0, "constant", shape, centred=True)


def _resizing(step: Any, shape: Shape) -> Step | None:
    if step.interpolation not in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC):
        return None
    size = [step.size] if isinstance(step.size, int) else step.size
    h, w = F._new_size(shape[1], shape[2], size, step.max_size)
    if (h, w) == shape[1:]:
        return _NOTHING
    return _batches.Resizing((shape[1], shape[2]), (h, w), step.interpolation.value)


def _grayscale(step: Any, shape: Shape) -> Step | None:
    channels = step.num_output_channels
    return _batches.Grayscale(channels) if channels in (1, 3) else None


def _affine(step: Any, shape: Shape) -> Step | None:
    if step.interpolation is not InterpolationMode.NEAREST or step.center is not None:
        return None
    fill = _batches.colour(step.fill, shape[0])
    drawn = (step.degrees, step.translate, step.scale, step.shear)
    return None if fill is None else _batches.Affine(*drawn, fill)


# In torchvision these are images of Pillow; after ToTensor they would be done to floats.
_ON_BYTES: dict[type, Callable[[Any, Shape], Step | None]] = {
    v1.RandomVerticalFlip: _vertical_flip, v2.RandomVerticalFlip: _vertical_flip,
    v1.ColorJitter: _jitter, v2.ColorJitter: _jitter,
    v1.RandomGrayscale: _grey, v2.RandomGrayscale: _grey,
    v1.RandomRotation: _rotation, v2.RandomRotation: _rotation,
    v1.RandomAffine: _affine, v2.RandomAffine: _affine,
    v1.RandomCrop: _crop, v2.RandomCrop: _crop,
    v1.CenterCrop: _center_crop, v2.CenterCrop: _center_crop,
    v1.Pad: _pad, v2.Pad: _pad,
    v1.Resize: _resizing, v2.Resize: _resizing,
    v1.Grayscale: _grayscale, v2.Grayscale: _grayscale,
}  # fmt: skip
_OF_ANY_BYTES = (
    v1.RandomHorizontalFlip, v2.RandomHorizontalFlip, v1.RandomVerticalFlip, v2.RandomVerticalFlip, v1.RandomCrop,
    v2.RandomCrop, v1.CenterCrop, v2.CenterCrop, v1.Pad, v2.Pad,
)  # fmt: skip
