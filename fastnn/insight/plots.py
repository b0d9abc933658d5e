"""Plots of filters, feature maps, images, heat maps and confusion matrices.

Every function draws on the axes that it is given, or on those of a new figure that no window shows. It returns the
axes: `ax.figure.savefig("picture.png")` writes a file. As the last line of a notebook's cell they are shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _arguments, _check
from fastnn._figures import new_axes
from fastnn.insight.curves import plot_bars, plot_curves

__all__ = [
    "plot_bars",
    "plot_confusion_matrix",
    "plot_curves",
    "plot_feature_maps",
    "plot_filters",
    "plot_images",
    "plot_overlay",
]


def plot_confusion_matrix(
    matrix: ArrayLike, class_names: Sequence[str] | None = None, ax: Any = None, title: str = ""
) -> Any:
    """Plot a confusion matrix with its numbers in the cells.

    The colour of a cell is its fraction of the row, whether the numbers are counts or fractions.

    Args:
        matrix: the result of `confusion_matrix`, (C, C).
        class_names: the names of the C classes. Default: their numbers.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        title: the title of the plot. Default: none.
    Returns:
        The matplotlib axes.
    Raises:
        ValueError: the matrix is not square, or the number of names is not C.
    Example:
        >>> from fastnn import insight
        >>> insight.plot_confusion_matrix([[3, 1], [0, 2]], ["cat", "dog"]).get_ylabel()
        'true class'
    """
    _arguments.text("plot_confusion_matrix", "title", title)
    cells = _check.reals("plot_confusion_matrix", "matrix", matrix)
    if class_names is not None:
        class_names = [str(name) for name in _arguments.sequence("plot_confusion_matrix", "class_names", class_names)]
    if cells.ndim != 2 or cells.shape[0] != cells.shape[1]:
        raise ValueError(f"plot_confusion_matrix: a square matrix is needed. Received: matrix.shape={cells.shape}")
    n = len(cells)
    names = [str(i) for i in range(n)] if class_names is None else list(class_names)
    if len(names) != n:
        raise ValueError(f"plot_confusion_matrix: {n} class names are needed. Received: {len(names)}")
    side = max(3.5, 0.62 * n + 1.5)
    ax = new_axes((side + 0.6, side), 120) if _arguments.axes("plot_confusion_matrix", ax) is None else ax
    rows = cells.sum(axis=1, keepdims=True)
    parts = np.divide(cells, rows, out=np.zeros(cells.shape), where=rows > 0)
    image = ax.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    ax.grid(visible=False)  # that of a style sheet would lie over the numbers
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.set_label("part of the true class")
    counts = np.issubdtype(cells.dtype, np.integer)
    for (i, j), value in np.ndenumerate(cells):
        words = str(value) if counts else f"{value:.2f}"
        ax.text(j, i, words, ha="center", va="center", fontsize=8, color="white" if parts[i, j] > 0.5 else "black")
    upright = sum(map(len, names)) <= 4 * n
    ax.set_xticks(range(n), names, rotation=0 if upright else 45, ha="center" if upright else "right")
    ax.set_yticks(range(n), names)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.set_title(title)
    return ax


def plot_filters(
    weight: ArrayLike,
    image_shape: tuple[int, ...] | None = None,
    ax: Any = None,
    *,
    columns: int | None = None,
    channels_last: bool = False,
    limit: int | None = 64,
    title: str = "",
) -> Any:
    """Plot the filters of a convolution, or the rows of a first fully connected layer, as images.

    Filters over one or three channels are grey or colour images, each stretched to the full range of brightness.
    Filters over other numbers of channels become a table with a row for each filter and a column for each of its
    channels. There, positive weights are orange and negative ones violet, all on one scale.

    Args:
        weight: the weights, (K, C, kernel_h, kernel_w) or (K, features).
        image_shape: for (K, features): the shape (C, H, W) of the image that a row is. None (default): a square with
            one or three channels, whichever fits.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        columns: the number of images in a row of the plot. None (default): about a square.
        channels_last: for (K, features): the images were flattened in the order H, W, C. Default False.
        limit: the largest number of filters, and of channels, that are drawn; None for all. Default 64.
        title: the title of the plot. Default: none.
    Returns:
        The matplotlib axes.
    Raises:
        ValueError: weight has another shape, or its rows are not images of such a shape.
    Example:
        >>> from fastnn import insight
        >>> ax = insight.plot_filters(nn.Conv2d(3, 16, 5).weight.data)
        >>> ax.images[0].get_array().shape
        (23, 23, 3)
    """
    name = "plot_filters"
    _arguments.text(name, "title", title)
    channels_last = _check.boolean(name, "channels_last", channels_last)
    columns, limit = _optional_integer(name, "columns", columns), _optional_integer(name, "limit", limit)
    if image_shape is not None:
        image_shape = _check.integers(name, "image_shape", image_shape, 1)
    filters = _check.numbers(name, "weight", weight)
    if filters.ndim == 2:
        filters = _rows_as_images(filters, image_shape, channels_last)
    if filters.ndim != 4 or not filters.size:
        raise ValueError(
            f"plot_filters: (K, C, H, W) or (K, features) is needed. Received: weight.shape={filters.shape}"
        )
    filters = filters[:limit]
    if filters.shape[1] in (1, 3):
        return plot_images([_stretched(image) for image in filters], ax=ax, columns=columns, title=title)
    filters = filters[:, :limit]
    k, channels, h, w = filters.shape
    top = float(np.abs(filters).max()) or 1.0
    tiles = _mosaic(filters.reshape(k * channels, h, w), channels, np.nan)
    ax = new_axes(_figure_size(tiles.shape), 120) if _arguments.axes(name, ax) is None else ax
    image = ax.imshow(np.ma.masked_invalid(tiles), cmap="PuOr_r", vmin=-top, vmax=top, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03).set_label("weight")
    ax.set_facecolor("0.3")  # the gaps; white means 0
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(f"{channels} channels of the input")
    ax.set_ylabel(f"{k} filters")
    ax.set_title(title)
    return ax


def plot_feature_maps(
    maps: ArrayLike,
    ax: Any = None,
    *,
    columns: int | None = None,
    same_scale: bool = False,
    limit: int | None = 64,
    title: str = "",
) -> Any:
    """Plot the channels of a layer's output for one image.

    Args:
        maps: the output of a layer for one image, (C, H, W).
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        columns: the number of maps in a row of the plot. None (default): about a square.
        same_scale: use one scale of brightness for all maps, with a colour bar. Default False: each map has its own.
        limit: the largest number of maps that are drawn; None for all. Default 64.
        title: the title of the plot. Default: none.
    Returns:
        The matplotlib axes.
    Raises:
        ValueError: the array is not (C, H, W).
    Example:
        >>> from fastnn import insight
        >>> y = nn.Conv2d(3, 8, 3)(np.ones((1, 3, 10, 10), np.float32))
        >>> ax = insight.plot_feature_maps(y[0], columns=4)
        >>> ax.images[0].get_array().shape
        (17, 35)
    """
    name = "plot_feature_maps"
    _arguments.text(name, "title", title)
    same_scale = _check.boolean(name, "same_scale", same_scale)
    columns, limit = _optional_integer(name, "columns", columns), _optional_integer(name, "limit", limit)
    channels = _check.numbers(name, "maps", maps)
    if channels.ndim != 3 or not channels.size:
        raise ValueError(f"plot_feature_maps: (C, H, W) is needed. Received: maps.shape={channels.shape}")
    channels = channels[:limit]
    tiles = _mosaic(
        channels if same_scale else np.stack([_stretched(one) for one in channels]),
        columns or _columns(len(channels)),
        np.nan,
    )
    ax = new_axes(_figure_size(tiles.shape), 120) if _arguments.axes(name, ax) is None else ax
    image = ax.imshow(np.ma.masked_invalid(tiles), cmap="viridis", interpolation="nearest")
    if same_scale:
        ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03).set_label("activation")
    ax.set_axis_off()
    ax.set_title(title)
    return ax


def plot_images(
    images: ArrayLike | Sequence[NDArray],
    titles: Iterable[str] | None = None,
    ax: Any = None,
    *,
    columns: int | None = None,
    title: str = "",
) -> Any:
    """Plot a grid of images, each with a title if titles are given.

    Args:
        images: the images: uint8, or floats in [0, 1]. Values outside the range are clipped.
        titles: one title for each image. Default: none.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        columns: the number of images in a row of the plot. None (default): about a square.
        title: the title of the plot. Default: none.
    Shape:
        - images: (N, C, H, W) with C = 1 or 3, or (N, H, W)
    Returns:
        The matplotlib axes.
    Raises:
        ValueError: images have another shape, or the number of titles is not that of the images.
    Example:
        >>> from fastnn import insight
        >>> ax = insight.plot_images(np.zeros((4, 3, 8, 8), np.uint8), ["cat", "dog", "cat", "frog"])
        >>> [text.get_text() for text in ax.texts]
        ['cat', 'dog', 'cat', 'frog']
    """
    _arguments.text("plot_images", "title", title)
    columns = _optional_integer("plot_images", "columns", columns)
    titles = None if titles is None else _arguments.sequence("plot_images", "titles", titles)
    batch = _check.reals("plot_images", "images", images)
    if batch.dtype == np.uint8:
        batch = batch / 255
    if batch.ndim == 3:
        batch = batch[:, None]
    if batch.ndim != 4 or batch.shape[1] not in (1, 3) or not batch.size:
        raise ValueError(f"plot_images: (N, 1 or 3, H, W) or (N, H, W) is needed. Received: images.shape={batch.shape}")
    names = None if titles is None else [str(name) for name in titles]
    if names is not None and len(names) != len(batch):
        raise ValueError(f"plot_images: {len(batch)} titles are needed. Received: {len(names)}")
    n, _, h, w = batch.shape
    columns = columns or _columns(n)
    lines = max((name.count("\n") + 1 for name in names or ()), default=0)
    gap = max(2, math.ceil(0.22 * h * lines)) if lines else 1  # room for the text
    pixels = np.clip(batch.transpose(0, 2, 3, 1), 0, 1)
    tiles = _mosaic(np.broadcast_to(pixels, (n, h, w, 3)), columns, 1.0, gap)
    axes = _arguments.axes("plot_images", ax)
    ax = new_axes(_figure_size(tiles.shape, 1.25 if lines else 1.0), 120) if axes is None else axes
    ax.imshow(tiles, interpolation="nearest")
    for i, name in enumerate(names or ()):
        row, column = divmod(i, columns)
        ax.text(
            column * (w + gap) + (w - 1) / 2, row * (h + gap) - 1, name,
            ha="center", va="bottom", fontsize=8, clip_on=False,
        )  # fmt: skip
    ax.set_axis_off()
    ax.set_title(title, pad=6 + 12 * lines)
    return ax


def plot_overlay(
    image: ArrayLike,
    heat: ArrayLike,
    ax: Any = None,
    *,
    alpha: float = 0.55,
    colorbar: bool | None = None,
    title: str = "",
) -> Any:
    """Plot a heat map over an image. Warm colours mark the pixels that matter.

    The image is shown in grey, so that all colours belong to the heat map. A map with negative values, as `occlusion`
    gives, gets a colour scale with 0 in its middle.

    Args:
        image: the image, (C, H, W) with C = 1 or 3, or (H, W); numbers of any range.
        heat: the heat map, (H, W), as `saliency`, `grad_cam` and `occlusion` give it for one image.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        alpha: the opacity of the heat map, in [0, 1]. Default 0.55.
        colorbar: whether to draw a colour bar. None (default) draws it on new axes only. In a grid its numbers reach
            into the next image, unless the figure makes room: `plt.subplots(2, 4, layout="constrained")`.
        title: the title of the plot. Default: none.
    Returns:
        The matplotlib axes.
    Raises:
        ValueError: the shapes do not fit.
    Example:
        >>> from fastnn import insight
        >>> len(insight.plot_overlay(np.zeros((3, 8, 8)), np.eye(8)).images)
        2
    """
    _arguments.text("plot_overlay", "title", title)
    colorbar = ax is None if colorbar is None else _check.boolean("plot_overlay", "colorbar", colorbar)
    alpha = _check.number("plot_overlay", "alpha", alpha, 0, 1)
    picture, values = _check.numbers("plot_overlay", "image", image), _check.numbers("plot_overlay", "heat", heat)
    if picture.ndim == 3 and picture.shape[0] in (1, 3):
        picture = picture.mean(axis=0)
    if picture.ndim != 2 or picture.shape != values.shape:
        raise ValueError(
            f"plot_overlay: an image (C, H, W) and a map (H, W) are needed. "
            f"Received: image.shape={picture.shape}, heat.shape={values.shape}"
        )
    ax = new_axes((4.2 if colorbar else 3.5, 3.5), 120) if _arguments.axes("plot_overlay", ax) is None else ax
    ax.imshow(_stretched(picture), cmap="gray", vmin=0, vmax=1)
    top = float(np.abs(values).max(initial=0)) or 1.0
    signed = bool((values < 0).any())
    heat_map = ax.imshow(
        values, cmap="PuOr_r" if signed else "inferno", vmin=-top if signed else 0, vmax=top, alpha=alpha
    )
    if colorbar:
        ax.figure.colorbar(heat_map, ax=ax, fraction=0.046, pad=0.03)
    ax.set_axis_off()
    ax.set_title(title)
    return ax


def _optional_integer(operation: str, name: str, value: int | None) -> int | None:
    return None if value is None else _check.integer(operation, name, value, 1)


# ---- tiles -----------------------------------------------------------------------------------------------------------
def _stretched(image: NDArray) -> NDArray:
    """Values from 0 to 1; all 0.5 if they are equal."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else np.full(image.shape, 0.5)


def _columns(n: int) -> int:
    return math.ceil(math.sqrt(n))


def _mosaic(tiles: NDArray, columns: int, background: float, gap: int = 1) -> NDArray:
    """(N, H, W) or (N, H, W, 3) side by side, `gap` pixels apart."""
    n, h, w, *channels = tiles.shape
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    grid = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, *channels), background)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        grid[row * (h + gap) : row * (h + gap) + h, column * (w + gap) : column * (w + gap) + w] = tile
    return grid


def _figure_size(shape: tuple[int, ...], factor: float = 1.0) -> tuple[float, float]:
    """Inches: the longer side has five."""
    h, w = shape[:2]
    scale = 5 * factor / max(h, w)
    return max(2.5, w * scale), max(2.0, h * scale + 0.4)


def _rows_as_images(rows: NDArray, shape: tuple[int, ...] | None, channels_last: bool) -> NDArray:
    features = rows.shape[1]
    if shape is None:
        for channels in (3, 1):
            side = math.isqrt(features // channels)
            if side and channels * side * side == features:
                shape = (channels, side, side)
                break
    if shape is None or len(shape) != 3 or math.prod(shape) != features:
        raise ValueError(
            f"plot_filters: image_shape (C, H, W) must have as many elements as a row. "
            f"Received: weight.shape={rows.shape}, image_shape={shape}"
        )
    channels, h, w = shape
    if channels_last:
        return rows.reshape(-1, h, w, channels).transpose(0, 3, 1, 2)
    return rows.reshape(-1, channels, h, w)
