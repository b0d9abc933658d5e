"""What the pictures of the explanations share: one style, colours that everybody can tell apart, arrays as cells."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

# Of Okabe and Ito: colour-blind readers can tell them apart, too.
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
PALE, GREY = "#EEEEEE", "#999999"

plt.rcParams.update({
    "figure.facecolor": "white", "figure.dpi": 140, "figure.constrained_layout.use": True, "savefig.facecolor": "white",
    "font.size": 11, "axes.titlesize": 11, "axes.grid": False, "grid.alpha": 0.3, "lines.linewidth": 1.8,
    "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW]),
})  # fmt: skip


def panels(rows=1, columns=1, width=5.5, height=3.0, **options):
    """A figure whose words can still be read on a telephone, so it is narrow; and its axes."""
    return plt.subplots(rows, columns, figsize=(width, height), **options)


def on(colour):
    """Black or white, whichever can be read on this colour."""
    red, green, blue, _ = plt.matplotlib.colors.to_rgba(colour)
    return "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "white"


def cells(ax, values, colours=PALE, at=(0, 0), size=1.0, fontsize=10, edge="white", title=""):
    """Draw a matrix as a table of coloured cells: row 0 on top, its upper left corner at `at` = (x, y), y downwards.

    `values` are written into the cells (empty strings are not); `colours` is one colour or one for each cell.
    """
    values = np.atleast_2d(np.asarray(values, dtype=object))
    colours = np.broadcast_to(np.asarray(colours, dtype=object), values.shape)
    for (i, j), value in np.ndenumerate(values):
        x, y = at[0] + j * size, at[1] + i * size
        ax.add_patch(Rectangle((x, y), size, size, facecolor=colours[i, j], edgecolor=edge, linewidth=1.2))
        if str(value):
            ax.text(x + size / 2, y + size / 2, str(value), ha="center", va="center", fontsize=fontsize,
                    color=on(colours[i, j]))  # fmt: skip
    if title:
        ax.text(at[0] + values.shape[1] * size / 2, at[1] - 0.25 * size, title, ha="center", va="bottom", fontsize=11)


def sheet(ax, x, y):
    """Make `ax` a sheet of paper from (0, 0), or from the pairs x and y, with y downwards and equal units."""
    left, right = x if isinstance(x, tuple) else (0, x)
    top, bottom = y if isinstance(y, tuple) else (0, y)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set_axis_off()


def matrix_map(ax, matrix, title="", limit=None, numbers="{:g}", fontsize=10):
    """Draw a matrix in colours around zero, orange where positive and violet where negative, with its numbers."""
    matrix = np.asarray(matrix, float)
    limit = limit or np.abs(matrix).max() or 1
    image = ax.imshow(matrix, cmap="PuOr_r", vmin=-1.6 * limit, vmax=1.6 * limit)
    for (i, j), value in np.ndenumerate(matrix):
        if numbers:
            ax.text(j, i, numbers.format(value), ha="center", va="center", fontsize=fontsize)
    ax.set(xticks=[], yticks=[], title=title)
    return image
