"""Saliency maps: which pixels decide what a network predicts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _arguments, _check, nn
from fastnn.autograd import Observer, no_grad, observing
from fastnn.insight._state import input_gradients, targets_or_best
from fastnn.models._observe import arrays_in

__all__ = ["grad_cam", "occlusion", "saliency"]


def _one_hot(labels: NDArray[np.intp], scores: NDArray) -> NDArray:
    dscores = np.zeros(scores.shape, scores.dtype)
    dscores[np.arange(len(labels)), labels] = 1
    return dscores


def saliency(model: nn.Module, x: NDArray, target: ArrayLike | None = None) -> NDArray:
    """The saliency map: how strongly the score of a class depends on each pixel.

    The value of a pixel is |dscore/dx|, the largest over its channels.

    Args:
        model: the network, whose output are scores (N, classes). It runs in evaluation mode. Its state, its modes and
            its gradients stay as they are.
        x: images, or feature vectors.
        target: the class whose score is taken: one for all images, or one for each. None (default): the predicted ones.
    Shape:
        - x: (N, C, H, W), or (N, features)
        - Output: (N, H, W), or (N, features)
    Raises:
        ValueError: the output of the network is not (N, classes), or there is no such class.
    Example:
        >>> from fastnn import insight
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        >>> insight.saliency(model, np.ones((5, 3, 2, 2), np.float32)).shape
        (5, 2, 2)

    Source: Simonyan et al., 2014, "Deep inside convolutional networks: visualising image classification models and
    saliency maps".
    """
    _arguments.model("saliency", "model", model)
    x = _check.floats("saliency", "x", x, (2, 4))
    with input_gradients(model):
        scores = model(x)
        dx = np.abs(model.backward(_one_hot(targets_or_best("saliency", target, scores), scores)))
    return dx.max(axis=1) if dx.ndim == 4 else dx


class _LastRun(Observer):
    """What a layer gives in its last forward, and the gradient with respect to that."""

    sees_gradients = True

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self.features: NDArray | None = None
        self.gradient: NDArray | None = None

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if module is not self._layer:
            return
        if phase == "forward":
            first = next(arrays_in(results), None)
            self.features = None if first is None else first.copy()  # a later layer of a user may write into it
        elif self.gradient is None and inputs:  # backward runs in reverse: the first is that of the last forward
            self.gradient = np.array(inputs[0])


def grad_cam(
    model: nn.Module,
    x: NDArray,
    layer: str | nn.Module,
    target: ArrayLike | None = None,
    size: tuple[int, int] | None = None,
) -> NDArray:
    """Grad-CAM: where the features of a layer speak for a class.

    The map is max(0, sum over k of a[k] * A[k]), where A[k] is the k-th channel of the layer's output and a[k] is the
    mean of dscore/dA[k] over its pixels.

    Args:
        model: the network, whose output are scores (N, classes). It runs in evaluation mode. Its state, its modes and
            its gradients stay as they are.
        x: the images.
        layer: a module of the network, or its path as in `named_modules()`; usually the last convolution or the
            activation after it. If it runs several times, its last run counts.
        target: the class whose score is taken: one for all images, or one for each. None (default): the predicted ones.
        size: (height, width) to which the map is resized, by bilinear interpolation. None (default): that of x.
    Shape:
        - x: (N, C, H, W)
        - Output: (N, height, width), >= 0. Divide each map by its maximum to compare images.
    Raises:
        ValueError: there is no such layer, its output is not (N, K, H, W), or there is no such class.
    Example:
        >>> from fastnn import insight
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> insight.grad_cam(model, np.ones((2, 3, 9, 9), np.float32), "1").shape
        (2, 9, 9)

    Source: Selvaraju et al., 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization".
    """
    _arguments.model("grad_cam", "model", model)
    x = _check.floats("grad_cam", "x", x, 4)
    watched = _find(model, layer)
    seen = _LastRun(watched)
    with input_gradients(model), observing(seen):
        scores = model(x)
        model.backward(_one_hot(targets_or_best("grad_cam", target, scores), scores))
    features, gradient, kind = seen.features, seen.gradient, type(watched).__name__
    if features is None or gradient is None:
        raise ValueError(f"grad_cam: {kind} takes no part in this network's forward and backward")
    if features.ndim != 4:
        raise ValueError(f"grad_cam: the layer must give (N, K, H, W). Received: {kind} gives {features.shape}")
    maps = np.maximum(np.einsum("nk,nkhw->nhw", gradient.mean(axis=(2, 3)), features), 0)
    return _resize(maps, x.shape[2:] if size is None else _check.pair("grad_cam", "size", size, 1))


def _find(model: nn.Module, layer: str | nn.Module) -> nn.Module:
    for path, module in model.named_modules():
        if module is layer or (isinstance(layer, str) and path == layer):
            return module
    paths = ", ".join(repr(path) for path, _ in model.named_modules() if path)
    given = repr(layer) if isinstance(layer, str) else type(layer).__name__
    raise ValueError(f"grad_cam: the network has no layer {given}; it has {paths or 'none'}")


def _resize(maps: NDArray, size: tuple[int, ...]) -> NDArray:
    """Bilinear interpolation of (N, H, W) between the centres of pixels; the border is continued outwards."""
    for axis, wanted in zip((1, 2), size, strict=True):
        have = maps.shape[axis]
        if have == wanted:
            continue
        place = np.clip((np.arange(wanted) + 0.5) * have / wanted - 0.5, 0, have - 1)
        first = np.minimum(place.astype(np.intp), max(have - 2, 0))
        second = np.minimum(first + 1, have - 1)
        part = (place - first).astype(maps.dtype).reshape((-1, 1) if axis == 1 else (-1,))
        maps = np.take(maps, first, axis) * (1 - part) + np.take(maps, second, axis) * part
    return maps


def occlusion(
    model: nn.Module,
    x: NDArray,
    target: ArrayLike | None = None,
    window: int | tuple[int, int] = 8,
    stride: int | tuple[int, int] = 4,
    fill: ArrayLike = 0.0,
    batch_size: int = 256,
) -> NDArray:
    """The occlusion map: how much the score of a class falls when a window of the image is covered.

    The value of a pixel is the mean, over all windows that cover it, of (score of the image - score with the window
    covered). The windows cover the whole image: the last one of a row or column is moved back to fit in.

    Args:
        model: the network, whose output are scores (N, classes). It runs in evaluation mode. Its state, its modes and
            its gradients stay as they are.
        x: the images.
        target: the class whose score is taken: one for all images, or one for each. None (default): those predicted for
            the whole images.
        window: (height, width) of the window in pixels, or one number for a square. Default 8.
        stride: the distance from one window to the next in pixels; at most `window`, so that every pixel is covered.
            Default 4.
        fill: the value of the covered pixels: one number, or one for each channel. Default 0, the mean of normalised
            images.
        batch_size: the number of images that run through the network at a time. Default 256.
    Shape:
        - x: (N, C, H, W)
        - Output: (N, H, W)
    Raises:
        ValueError: the window is larger than the image or smaller than the stride, or there is no such class.
    Example:
        >>> from fastnn import insight
        >>> model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> insight.occlusion(model, np.ones((1, 2, 4, 4), np.float32), 0, window=2, stride=2)[0, 0]
        array([0.25, 0.25, 0.25, 0.25], dtype=float32)

    Source: Zeiler and Fergus, 2014, "Visualizing and understanding convolutional networks".
    """
    _arguments.model("occlusion", "model", model)
    x = _check.floats("occlusion", "x", x, 4)
    n, channels, *size = x.shape
    covered = _check.pair("occlusion", "window", window, 1)
    steps = _check.pair("occlusion", "stride", stride, 1)
    batch_size = _check.integer("occlusion", "batch_size", batch_size, 1)
    if any(w > s for w, s in zip(covered, size, strict=True)):
        raise _check.fail("occlusion", f"the window {covered} is larger than the images", x=x)
    if any(step > w for step, w in zip(steps, covered, strict=True)):
        raise ValueError(f"occlusion: stride must not exceed window. Received: stride={steps}, window={covered}")
    patch = _check.reals("occlusion", "fill", fill).astype(x.dtype)
    if patch.shape not in ((), (channels,)):
        raise ValueError(f"occlusion: fill must be a number or one for each of {channels} channels. Received: {fill!r}")
    patch = patch.reshape(-1, 1, 1)
    rows, columns = (_starts(s, w, step) for s, w, step in zip(size, covered, steps, strict=True))
    corners = [(row, column) for row in rows for column in columns]
    falls = np.zeros((n, *size), x.dtype)
    times = np.zeros(size, x.dtype)
    for row, column in corners:
        times[row : row + covered[0], column : column + covered[1]] += 1
    jobs = [(image, *corner) for image in range(n) for corner in corners]
    with input_gradients(model), no_grad():
        scores = np.array(model(x))
        labels = targets_or_best("occlusion", target, scores)
        for begin in range(0, len(jobs), batch_size):
            part = jobs[begin : begin + batch_size]
            batch = x[[image for image, _, _ in part]]
            for image, (_, row, column) in zip(batch, part, strict=True):
                image[:, row : row + covered[0], column : column + covered[1]] = patch
            now = model(batch)
            for i, (image, row, column) in enumerate(part):
                label = labels[image]
                fall = scores[image, label] - now[i, label]
                falls[image, row : row + covered[0], column : column + covered[1]] += fall
    return falls / times


def _starts(size: int, window: int, stride: int) -> list[int]:
    count = math.ceil((size - window) / stride) + 1
    return [min(i * stride, size - window) for i in range(count)]
