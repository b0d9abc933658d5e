"""The checks of this package's arguments: what is wrong, with its name, and what to do instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _random, _several
from fastnn._check import array, shown

_FEW_CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency


def is_list(value: Any) -> bool:
    """Whether `value` is a list of something: a sequence that is no text, or an array with an axis."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def as_list(value: Any) -> list[Any]:
    """What is in `value`; or if nothing can be in it, `value` alone."""
    try:
        return [value] if isinstance(value, str | bytes) else list(value)
    except TypeError:
        return [value]


# ---- settings ----------------------------------------------------------------------------------------------
def interval(name: str, argument: str, value: Any, centre: float, low: float, high: float) -> tuple[float, float]:
    """`value` as two ordered numbers in [low, high]: itself, or `centre` plus and minus one number (cut to
    the range)."""
    if not is_list(value):
        amount = _check.number(name, argument, value, 0, high)
        return max(low, centre - amount), min(high, centre + amount)
    if len(value) != 2:
        raise ValueError(f"{name}: {argument} must be one number, or two in order. Received: {shown(value)}")
    first, last = (_check.number(name, argument, item, low, high) for item in value)
    if first > last:
        raise ValueError(f"{name}: {argument} must be one number, or two in order. Received: {shown(value)}")
    return first, last


def generator(name: str, rng: Any) -> np.random.Generator:
    """`rng`, or if it is None the generator that `fastnn.manual_seed` seeds."""
    if rng is None:
        return _random.generator()
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name}: rng must be a generator, as numpy.random.default_rng(0), or None. Received: {shown(rng)}"
        )
    return rng


def names(name: str, argument: str, value: Any) -> tuple[str, ...]:
    """`value`, a list of texts, as a tuple."""
    if not is_list(value) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{name}: {argument} must be names. Received: {shown(value)}")
    return tuple(map(str, value))


# ---- images and labels -------------------------------------------------------------------------------------
def image_array(name: str, value: ArrayLike) -> NDArray[Any]:
    """Images or features of one shape and dtype as an array, the first axis of which counts them."""
    if not isinstance(value, np.ndarray) and is_list(value):
        _check_alike(name, value)  # type: ignore[arg-type]
    images = _channels_first(name, "images", _numbers(name, "images", value))
    if images.ndim < 2:
        raise _check.fail(name, f"images has {images.ndim} dimensions, 2 or more are needed", images=images)
    return images


def inputs(name: str, value: Any) -> Any:
    """What a network gets: images or features as an array, or a tuple or dict of arrays of one length.

    Several arrays may have any number of axes and hold any numbers.
    """
    if not isinstance(value, dict | tuple):
        return image_array(name, value)
    made = {
        label: _channels_first(name, label, _numbers(name, label, part))
        for label, part in _several.parts("images", value)
    }
    together = dict(zip(value, made.values(), strict=True)) if isinstance(value, dict) else tuple(made.values())
    _several.check_lengths(name, "images", together)
    return together


def _numbers(name: str, argument: str, value: Any) -> NDArray[Any]:
    images = array(name, argument, value)
    if images.dtype.kind not in "fiub":
        hint = "; data.read_image and data.ImageFolder read files" if images.dtype.kind in "US" else ""
        raise TypeError(f"{name}: {argument} must hold numbers{hint}. Received: {argument}.dtype={images.dtype}")
    return images


def _channels_first(name: str, argument: str, images: NDArray[Any]) -> NDArray[Any]:
    if images.ndim == 4 and _has_channels_last(images.shape):
        shape = ", ".join(map(str, ("N", *images.shape[1:])))
        raise ValueError(
            f"{name}: {argument} has shape ({shape}): channels come first; use {argument}.transpose(0, 3, 1, 2). "
            f"{_check.received(**{argument: images})}"
        )
    return images


def _check_alike(name: str, images: Sequence[Any]) -> None:
    first: NDArray[Any] | None = None
    for position, image in enumerate(images):
        item = array(name, f"images[{position}]", image)
        first = item if first is None else first
        if item.shape != first.shape:
            raise ValueError(
                f"{name}: images[{position}] has shape {item.shape}, images[0] {first.shape}: all must have one size; "
                "resize them, e.g. with data.ImageFolder(size=) or data.read_image(size=)"
            )
        if item.dtype != first.dtype and isinstance(image, np.ndarray):
            raise TypeError(
                f"{name}: images[{position}] has dtype {item.dtype}, images[0] {first.dtype}: bytes count as v / 255 "
                "and floats as they are, so that all must have one; cast them"
            )


def _has_channels_last(shape: tuple[int, ...]) -> bool:
    """Whether (N, H, W, C) is likelier than (N, C, H, W). Narrow maps of many channels, as (N, 64, 4, 4), are the
    latter; of one channel only squares are the former, because (N, 16, 100, 1) is a sequence as well."""
    _, first, second, last = shape
    return last in _FEW_CHANNELS and first > 4 and second > 4 and (last > 1 or first == second)


def normalisable(name: str, images: NDArray[Any], argument: str = "images", otherwise: str = "") -> NDArray[Any]:
    """Images of uint8, float32 or float64; anything else is an error that shows the cast, and `otherwise`."""
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind in "iub":
        raise TypeError(
            f"{name}: {argument} has dtype {images.dtype}; bytes in 0..255 are {argument}.astype(numpy.uint8), "
            f"other numbers {argument}.astype(numpy.float32){otherwise}"
        )
    return _check.floats(name, argument, images)


def targets(name: str, value: Any, n: int, dtype: np.dtype[Any]) -> Any:
    """Labels or other targets of `n` images, or a tuple or dict of such: integers and a vector of booleans as int64,
    floats and booleans for several classes as `dtype`."""
    if not _several.is_several(value):
        return _targets(name, "labels", value, n, dtype)
    made = [_targets(name, label, part, n, dtype) for label, part in _several.parts("labels", value)]
    return dict(zip(value, made, strict=True)) if isinstance(value, dict) else tuple(made)


def _targets(name: str, argument: str, value: Any, n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    labels = array(name, argument, value)
    if labels.ndim == 0 or len(labels) != n:
        raise ValueError(
            f"{name}: one label for each image is needed. Received: {n} images, {argument}.shape={labels.shape}"
        )
    return as_numbers(name, argument, labels, dtype, "a label")


def as_numbers(name: str, argument: str, labels: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """Numbers that are not normalised: integers and a vector of booleans as int64, floats and other booleans as
    `dtype`."""
    if labels.dtype.kind in "iu" or labels.size == 0 or (labels.dtype.kind == "b" and labels.ndim == 1):
        if labels.dtype == np.uint64 and labels.size and labels.max() > np.iinfo(np.int64).max:
            raise ValueError(f"{name}: {what} is too large for int64. Received: {labels.max()}")
        return labels.astype(np.int64)
    if labels.dtype.kind not in "fb":
        raise TypeError(
            f"{name}: {argument} must be integers, booleans or floats. Received: {argument}.dtype={labels.dtype}"
        )
    with np.errstate(over="ignore"):
        cast = labels.astype(dtype)
    if np.isinf(cast).sum() > np.isinf(labels).sum():
        raise ValueError(f"{name}: {what} is too large for {dtype}; use dtype=float64, or smaller numbers")
    return cast
