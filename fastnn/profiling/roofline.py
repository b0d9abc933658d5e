"""The roofline plot of a profile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn._figures import new_axes
from fastnn.functional._conv2d_algorithm import WINOGRAD_OUTPUTS

if TYPE_CHECKING:
    from fastnn.profiling.result import Profile, ProfileRow

__all__ = ["plot_roofline"]

# Of the palette of Okabe and Ito, which colour-blind people can tell apart too; the markers differ as well.
_STYLES = {
    "forward": {"color": "#0072B2", "marker": "o"},
    "backward data": {"color": "#D55E00", "marker": "s"},
    "backward weight": {"color": "#009E73", "marker": "^"},
    "backward": {"color": "#CC79A7", "marker": "D"},
}
_FONT_POINTS = 6.5
# Columns of the list of layers: so many lines of it are as high as the axes.
_LINES = 34


def plot_roofline(profile: Profile, ax: Any = None) -> Any:
    """Plot the roofline of `profile`; see `Profile.plot`."""
    ax = new_axes((10, 5.5), 120) if ax is None else ax
    rows = [row for row in profile.rows if row.intensity is not None and row.gflops is not None]
    alike = _alike(rows)
    numbers = {path: index for index, paths in enumerate(alike, 1) for path in paths}
    ax.set_xscale("log")
    ax.set_yscale("log")
    _limits(ax, profile, rows)
    _roofs(ax, profile, rows)
    for direction, style in _STYLES.items():
        for is_winograd in (False, True):
            points = [
                row for row in rows if row.direction == direction and (row.algorithm in WINOGRAD_OUTPUTS) == is_winograd
            ]
            if not points:
                continue
            look: dict[str, Any] = {**style, "markeredgecolor": "white", "markeredgewidth": 0.4}
            if is_winograd:
                look.update(markerfacecolor="white", markeredgecolor=style["color"], markeredgewidth=1.2)
            x, y = zip(*((row.intensity, row.gflops) for row in points), strict=True)
            label = f"{direction}, by Winograd" if is_winograd else direction
            ax.plot(x, y, linestyle="none", markersize=5, label=label, **look)
    kinds = {row.path: row.kind for row in rows}
    _legend(ax, [f"{number}  {_names(paths)}, {kinds[paths[0]]}" for number, paths in enumerate(alike, 1)])
    ax.set_xlabel("multiplications and additions for each byte moved at least")
    ax.set_ylabel("GF/s")
    threads = "1 thread" if profile.threads == 1 else f"{profile.threads} threads"
    ax.set_title(f"{profile.cpu}, {profile.isa}, {threads}, {profile.dtype}, {profile.batch_size} images", fontsize=9)
    ax.grid(alpha=0.3, which="both", linewidth=0.4)
    _number_markers(ax, rows, numbers)  # last: what stands beside the axes takes room from them
    return ax


def _alike(rows: list[ProfileRow]) -> list[list[str]]:
    """The paths of the layers, those of one kind that do the same work together: their markers stand in one column."""
    work: dict[str, list[Any]] = {}
    for row in rows:
        work.setdefault(row.path, [row.kind]).append((row.direction, row.multiplications, row.bytes))
    found: dict[tuple[Any, ...], list[str]] = {}
    for path, done in work.items():
        found.setdefault(tuple(done), []).append(path)
    return list(found.values())


def _names(paths: list[str]) -> str:
    first = paths[0] or "."
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} like it"


def _limits(ax: Any, profile: Profile, rows: list[ProfileRow]) -> None:
    """Room for all markers, for the corner of the roof, and above it."""
    x = [row.intensity for row in rows if row.intensity]
    y = [row.gflops for row in rows if row.gflops]
    if profile.peak_gflops and profile.bandwidth_gbs:
        x.append(profile.peak_gflops / profile.bandwidth_gbs)
        y.append(profile.peak_gflops)
    if x and y:
        ax.set_xlim(min(x) / 2, max(x) * 2)
        ax.set_ylim(min(y) / 2, max(y) * 2)


def _roofs(ax: Any, profile: Profile, rows: list[ProfileRow]) -> None:
    peak, bandwidth = profile.peak_gflops, profile.bandwidth_gbs
    if not peak or not bandwidth:
        return
    left, right = ax.get_xlim()
    corner = peak / bandwidth
    style: dict[str, Any] = {"color": "black", "linewidth": 1.2}
    ax.plot([left, corner], [left * bandwidth, peak], linestyle="--", label=f"{bandwidth:.1f} GB/s streamed", **style)
    ax.plot([corner, right], [peak, peak], linestyle="-", label=f"{peak:.0f} GF/s of multiply-adds", **style)
    # A tile of so many outputs has 9 multiplications for each, as they are counted, and is made of fewer.
    for down, across in sorted({WINOGRAD_OUTPUTS[row.algorithm] for row in rows if row.algorithm in WINOGRAD_OUTPUTS}):
        saved = 9 * down * across / ((down + 2) * (across + 2))
        ax.plot([corner, right], [saved * peak] * 2, linestyle=":", color="0.35", linewidth=1.2,
                label=f"{saved:g} times that: tiles of {down}x{across} by Winograd")  # fmt: skip
        ax.set_ylim(top=max(ax.get_ylim()[1], 1.5 * saved * peak))


def _number_markers(ax: Any, rows: list[ProfileRow], numbers: dict[str, int]) -> None:
    """Write the number of its layers beside the highest marker of each direction: where it covers no other marker."""
    figure = ax.figure
    figure.draw_without_rendering()  # only now are the positions in pixels known
    pixel = figure.dpi / 72
    at = [ax.transData.transform((row.intensity, row.gflops)) / pixel for row in rows]  # points
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in at]
    highest: dict[tuple[int, str], int] = {}
    for i, row in enumerate(rows):
        key = (numbers[row.path], row.direction)
        if key not in highest or at[i][1] > at[highest[key]][1]:
            highest[key] = i
    for i in highest.values():
        row, (x, y) = rows[i], at[i]
        text = str(numbers[row.path])
        width, height = 0.62 * _FONT_POINTS * len(text) + 1, _FONT_POINTS + 1
        dx, dy = _free_place(x, y, width, height, taken)
        taken.append((x + dx - width / 2, y + dy - height / 2, x + dx + width / 2, y + dy + height / 2))
        far = math.hypot(dx, dy) > 13
        ax.annotate(
            text, (row.intensity, row.gflops), (dx, dy), textcoords="offset points", ha="center", va="center",
            fontsize=_FONT_POINTS, color=_STYLES[row.direction]["color"],
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "0.5", "shrinkA": 3} if far else None,
        )  # fmt: skip


def _free_place(
    x: float, y: float, width: float, height: float, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float]:
    """The offset, on circles of growing radius, of a box that meets none of `taken`; the farthest if all do."""
    dx = dy = 0.0
    for radius in range(9, 90, 4):
        for turn in range(24):
            angle = math.pi / 4 + turn * math.pi / 12
            dx, dy = radius * math.cos(angle), radius * math.sin(angle)
            left, low = x + dx - width / 2, y + dy - height / 2
            if not any(
                left < right_ and left_ < left + width and low < high_ and low_ < low + height
                for left_, low_, right_, high_ in taken
            ):
                return dx, dy
    return dx, dy


def _legend(ax: Any, names: list[str]) -> None:
    """Lines and directions, then the names of the numbered layers, right of the axes."""
    from matplotlib.lines import Line2D

    handles, _ = ax.get_legend_handles_labels()
    nothing = [Line2D([], [], linestyle="none", label=name) for name in names]
    columns = max(1, math.ceil((len(handles) + len(nothing)) / _LINES))
    legend = ax.legend(
        handles=[*handles, *nothing], loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, ncols=columns,
        fontsize=7, frameon=False, handlelength=1.6, labelspacing=0.35,
    )  # fmt: skip
    legend.set_zorder(5)
