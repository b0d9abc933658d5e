"""Fudan, project 2, first part: the figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import insight
from fastnn.courses.drawing import new_figure

__all__ = ["attention", "compare", "confusion", "curves", "feature_maps", "filters", "landscape"]


def _percent(values: Any) -> list[float]:
    return [100 * float(value) for value in values]


def compare(runs: Mapping[str, Mapping[str, Any]]) -> Any:
    """Validation accuracy over the epochs of all trainings, and their errors at the end."""
    figure = new_figure(11, 0.36 * len(runs) + 2.8)
    left, right = figure.subplots(1, 2)
    insight.plot_curves(
        {name: _percent(run["val_accuracy"]) for name, run in runs.items()}, left, ylabel="validation accuracy (%)"
    )
    _tell_apart(left)
    errors = {name: 100 - _percent(run["val_accuracy"])[-1] for name, run in runs.items()}
    insight.plot_bars(errors, right, xlabel="validation error (%)", number="{:.2f}")
    return figure


def _tell_apart(ax: Any) -> None:
    """Give lines of the same colour different markers, and put the legend below, where it hides nothing."""
    seen: list[Any] = []
    for line in ax.lines:
        line.set_marker("os^"[min(seen.count(line.get_color()), 2)])
        line.set_markersize(4)
        seen.append(line.get_color())
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, fontsize=8, frameon=False)


def curves(result: Mapping[str, Any]) -> Any:
    """Loss and accuracy of one training."""
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    names = {"train": "training", "val": "validation"}
    insight.plot_curves(
        {name: list(map(float, result[f"{part}_loss"])) for part, name in names.items()}, left, ylabel="loss"
    )
    insight.plot_curves(
        {name: _percent(result[f"{part}_accuracy"]) for part, name in names.items()}, right, ylabel="accuracy (%)"
    )
    return figure


def confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> Any:
    """Of the test images."""
    return insight.plot_confusion_matrix(matrix, classes).figure


def filters(weight: NDArray) -> Any:
    """Of the first convolution."""
    return insight.plot_filters(weight, columns=8).figure


def feature_maps(image: NDArray[np.uint8], features: Mapping[str, NDArray]) -> Any:
    """An image, and maps of some layers by what they are called."""
    figure = new_figure(11, 3.2)
    first, *others = figure.subplots(1, 1 + len(features))
    insight.plot_images(image[None], ax=first, title="image")
    for ax, (name, maps) in zip(others, features.items(), strict=True):
        h, w = maps.shape[1:]
        insight.plot_feature_maps(maps, ax, limit=16, title=f"{name} stage, {h}x{w} pixels")
    return figure


def attention(images: NDArray[np.uint8], titles: Sequence[str], maps: Mapping[str, NDArray]) -> Any:
    """A column for each image, a row for each kind of map over it."""
    figure = new_figure(1.75 * len(images) + 0.5, 1.75 * (1 + len(maps)) + 0.6)
    rows = figure.subplots(1 + len(maps), len(images), squeeze=False)
    for column, (image, title) in enumerate(zip(images, titles, strict=True)):
        insight.plot_images(image[None], ax=rows[0, column])
        rows[0, column].set_title(title, fontsize=9)
        for row, values in enumerate(maps.values(), 1):
            insight.plot_overlay(image, values[column], rows[row, column], colorbar=False)
    for row, name in enumerate(("image", *maps)):
        # Outside of the axes, which have no labels of their own.
        rows[row, 0].text(-0.08, 0.5, name, transform=rows[row, 0].transAxes, rotation=90, va="center", ha="right")
    return figure


def landscape(lines: Sequence[Mapping[str, Any]], plane: Mapping[str, Any]) -> Any:
    """Losses along lines, and the contours of a plane of them."""
    figure = new_figure(11, 4.6)
    left, right = figure.subplots(1, 2)
    for number, line in enumerate(lines, 1):
        found = insight.LossLandscape(line["alphas"], None, line["losses"])
        insight.plot_loss_landscape(found, left, label=f"direction {number}")
    insight.plot_loss_landscape(insight.LossLandscape(plane["alphas"], plane["betas"], plane["losses"]), right)
    return figure
