"""The roofline of a profile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

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
    """Draw `profile`; see `Profile.plot`."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(10, 5.5), dpi=120, layout="constrained").add_subplot()
    rows = [row for row in profile.rows if row.intensity is not None and row.gflops is not None]
    numbers = {path: index for index, path in enumerate(dict.fromkeys(row.path for row in rows), 1)}
    ax.set_xscale("log")
    ax.set_yscale("log")
    _limits(ax, profile, rows)
    _roofs(ax, profile)
    for direction, style in _STYLES.items():
        points = [row for row in rows if row.direction == direction]
        if points:
            ax.plot(*zip(*((row.intensity, row.gflops) for row in points), strict=True), linestyle="none",
                    markersize=5, markeredgecolor="white", markeredgewidth=0.4, label=direction, **style)  # fmt: skip
    kinds = {row.path: row.kind for row in rows}
    _legend(ax, [f"{number}  {path or '.'}, {kinds[path]}" for path, number in numbers.items()])
    ax.set_xlabel("multiplications and additions for each byte moved at least")
    ax.set_ylabel("GF/s")
    threads = "1 thread" if profile.threads == 1 else f"{profile.threads} threads"
    ax.set_title(f"{profile.cpu}, {profile.isa}, {threads}, {profile.dtype}, {profile.batch_size} images", fontsize=9)
    ax.grid(alpha=0.3, which="both", linewidth=0.4)
    _number_markers(ax, rows, numbers)  # last: what stands beside the axes takes room from them
    return ax


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


def _roofs(ax: Any, profile: Profile) -> None:
    peak, bandwidth = profile.peak_gflops, profile.bandwidth_gbs
    if not peak or not bandwidth:
        return
    left, right = ax.get_xlim()
    corner = peak / bandwidth
    style: dict[str, Any] = {"color": "black", "linewidth": 1.2}
    ax.plot([left, corner], [left * bandwidth, peak], linestyle="--", label=f"{bandwidth:.1f} GB/s streamed", **style)
    ax.plot([corner, right], [peak, peak], linestyle="-", label=f"{peak:.0f} GF/s of multiply-adds", **style)


def _number_markers(ax: Any, rows: list[ProfileRow], numbers: dict[str, int]) -> None:
    """Write the number of its layer beside each marker: at the nearest place where it covers no other."""
    figure = ax.figure
    figure.draw_without_rendering()  # only now are the positions in pixels known
    pixel = figure.dpi / 72
    at = [ax.transData.transform((row.intensity, row.gflops)) / pixel for row in rows]  # points
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in at]
    for row, (x, y) in zip(rows, at, strict=True):
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
