"""Pictures for TensorBoard: pixels of arrays and figures, first filters, images with predicted classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, insight, nn

__all__ = ["Examples", "filters_of", "pixels_of"]


def pixels_of(operation: str, picture: Any) -> NDArray[np.uint8]:
    """A picture as bytes (H, W, 1) or (H, W, 3).

    Raises:
        ValueError: an array has another shape.
        TypeError: it is no picture.
    """
    figure = picture if hasattr(picture, "savefig") else getattr(picture, "figure", None)
    if hasattr(figure, "savefig"):
        return _drawn(figure)
    array = _check.reals(operation, "picture", picture)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[0] not in (1, 3) or not array.size:
        raise ValueError(f"{operation}: (H, W) or (C, H, W) with C = 1 or 3 is needed. Received: {array.shape}")
    if array.dtype != np.uint8:
        array = np.rint(np.clip(np.nan_to_num(array), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(array.transpose(1, 2, 0))


def _drawn(figure: Any) -> NDArray[np.uint8]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    before = figure.canvas
    canvas = FigureCanvasAgg(figure)
    try:
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3]
    finally:
        figure.set_canvas(before)


def filters_of(model: nn.Module) -> tuple[str, Any]:
    """The path of the first convolution of a network, and axes with its filters.

    Raises:
        ValueError: there is none.
    """
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            return f"{path}.weight" if path else "weight", insight.plot_filters(module.weight.data)
    raise ValueError(f"TensorBoard: filters=True draws the first Conv2d, and {type(model).__name__} has none")


@dataclass(frozen=True)
class Examples:
    """Images whose classes are predicted again and again.

    Attributes:
        x: as the network gets them, (N, C, H, W).
        labels: their classes, (N,); None if unknown.
    """

    x: NDArray
    labels: NDArray | None

    @classmethod
    def checked(cls, owner: str, given: Any) -> "Examples":
        """Images, or a pair of images and labels.

        Raises:
            ValueError, TypeError: they are something else.
        """
        x, labels = given if isinstance(given, tuple | list) and len(given) == 2 else (given, None)
        x = _check.floats(owner, "images of predictions", x, 4)
        if x.shape[1] not in (1, 3) or not len(x):
            raise _check.fail(owner, "predictions need images of one or three channels, (N, C, H, W)", x=x)
        if labels is not None:
            labels = _check.array(owner, "labels of predictions", labels)
            if labels.shape != (len(x),) or labels.dtype.kind not in "iu":
                raise _check.fail(owner, "predictions need an integer label for each image", x=x, labels=labels)
        return cls(x.copy(), None if labels is None else labels.copy())

    def drawn(self, outputs: Any, class_names: Sequence[str] | None, preprocessing: Any) -> Any:
        """Axes with the images, and above each the likeliest class, its probability, and the true one if it differs.

        Raises:
            ValueError: the outputs are not scores of classes, or there are fewer names than classes.
        """
        if not isinstance(outputs, np.ndarray) or outputs.ndim != 2 or outputs.shape[1] < 2:
            shape = getattr(outputs, "shape", type(outputs).__name__)
            raise ValueError(f"TensorBoard: predictions need outputs (N, classes). The network gave: {shape}")
        names = class_names or getattr(preprocessing, "classes", ()) or [str(i) for i in range(outputs.shape[1])]
        if len(names) < outputs.shape[1]:
            raise ValueError(f"TensorBoard: {outputs.shape[1]} class_names are needed. Received: {len(names)}")
        scores = outputs.astype(np.float64)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        titles = []
        for index, row in enumerate(scores):
            best = int(row.argmax())
            title = f"{names[best]} {100 * row[best]:.0f} %"
            if self.labels is not None and self.labels[index] != best:
                title += f"\nis {_named(names, int(self.labels[index]))}"
            titles.append(title)
        return insight.plot_images(_visible(self.x, preprocessing), titles)


def _named(names: Sequence[str], label: int) -> str:
    return names[label] if 0 <= label < len(names) else str(label)


def _visible(x: NDArray, preprocessing: Any) -> NDArray:
    """Images in [0, 1]: without the normalisation, if it is known; else those outside are stretched."""
    if preprocessing is not None and len(preprocessing.mean) in (1, x.shape[1]):
        mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (preprocessing.mean, preprocessing.std))
        return x * std + mean
    low, high = x.min(), x.max()
    return x if low >= 0 and high <= 1 else (x - low) / max(float(high - low), 1e-12)
