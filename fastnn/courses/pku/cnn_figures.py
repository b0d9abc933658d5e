"""The figures of the PKU course's third part."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import data
from fastnn.courses.drawing import COLOURS, MARKERS, new_figure
from fastnn.training.plots import count_epochs

# Raw pixels and too large a rate make the first losses huge: shown in full they would flatten the rest.
LARGEST_LOSS = 3.5


def plot_runs(runs: Mapping[str, Mapping[str, NDArray]], what: str) -> Any:
    """Loss, top-1 and top-5 accuracy side by side, training above, validation below.

    Args:
        runs: by label, the arrays of `cnn_training.train`.
        what: what the labels are.
    """
    figure = new_figure(11, 6)
    axes = figure.subplots(2, 3, sharex=True, sharey="col")
    lines: list[Any] = []
    for (_, run), colour, marker in zip(runs.items(), COLOURS, MARKERS, strict=False):
        log, epochs = run["log"], run["epochs"]
        for column, percent in ((1, 1), (2, 100), (3, 100)):
            above, below = axes[0, column - 1], axes[1, column - 1]
            alone = marker if len(log) == 1 else None  # a line through one point shows nothing
            (line,) = above.plot(log[:, 0], percent * log[:, column], color=colour, linewidth=1.2, marker=alone)
            style: dict[str, Any] = {"marker": marker, "markersize": 4.5, "linewidth": 1, "linestyle": "--"}
            (dots,) = below.plot(epochs[:, 0], percent * epochs[:, column + 3], color=colour, **style)
        lines.append((line, dots))
    axes[0, 0].set_ylim(0, LARGEST_LOSS)
    for row, part in zip(axes, ("training", "validation"), strict=True):
        for ax, name in zip(row, ("loss", "top-1 accuracy (%)", "top-5 accuracy (%)"), strict=True):
            ax.set_ylabel(f"{part} {name}")
            ax.grid(alpha=0.3, which="both")
            ax.set_xlim(left=0)
    for ax in axes[1]:
        count_epochs(ax)
    from matplotlib.legend_handler import HandlerTuple

    handler = {tuple: HandlerTuple(ndivide=None)}
    figure.legend(lines, list(runs), title=what, loc="outside upper center", ncols=len(lines), handler_map=handler)
    return figure


def shown_augmentations(side: int) -> dict[str, data.Augmentation]:
    """By name, augmentations strong enough to be seen on a picture of so many pixels."""
    return {
        "mirrored": data.RandomHorizontalFlip(1.0),
        "cropped": data.RandomCrop(side // 8),
        "rotated": data.Rotate((10, 25)),
        "enlarged": data.Scale((1.2, 1.4)),
        "covered": data.Cutout(side // 3),
        "brightness": data.Brightness((0.5, 0.7)),
        "contrast": data.Contrast((0.4, 0.6)),
        "saturation": data.Saturation((1.8, 2.2)),
        "hue": data.Hue((0.15, 0.25)),
        "noise": data.GaussianNoise(0.06),
    }


def plot_augmentations(image: NDArray[np.uint8], seed: int = 3) -> Any:
    """The picture, and what each augmentation makes of it: those of position above, those of colour below.

    Args:
        image: (3, H, W).
        seed: of what is random about them.
    """
    rng = np.random.default_rng(seed)
    changed = {
        name: augmentation(image[None], rng)[0]
        for name, augmentation in shown_augmentations(min(image.shape[1:])).items()
    }
    names = list(changed)
    figure = new_figure(12, 5)
    parts: Any = figure.subfigures(2)
    for part, shown, kind in zip(parts, (names[:5], names[5:]), ("position", "colour"), strict=True):
        part.suptitle(f"Augmentation of {kind}", fontsize=11)
        for ax, name in zip(part.subplots(1, 6), ["original", *shown], strict=True):
            # Pixels as squares: on an enlarged picture, smoothing would hide what happened to them.
            ax.imshow(changed.get(name, image).transpose(1, 2, 0), interpolation="nearest")
            ax.set_title(name, fontsize=9)
            ax.set_axis_off()
    return figure
