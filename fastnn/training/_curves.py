"""Curves of a history as SVG, for notebooks: small, without scripts, on light and dark ground."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

__all__ = ["curves_html"]

_WIDTH, _HEIGHT = 280, 120  # of one chart, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 20, 18
# Training is a whole line, validation a dashed one; both colours stand out from white and from black.
_LINES = {"train": ("#2a7fc9", ""), "val": ("#d9730d", "5 3")}
_MOST_POINTS = 500


def curves_html(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """A chart for each name: that of training and of validation over the epochs."""
    charts = [chart for name in names if (chart := _chart(rows, name))]
    return (
        f'<div style="display: flex; flex-wrap: wrap; gap: 12px; margin-bottom: 12px">{"".join(charts)}</div>'
        if charts
        else ""
    )


def _points(rows: Sequence[dict[str, Any]], column: str) -> list[tuple[float, float]]:
    found = []
    for number, row in enumerate(rows, 1):
        value = row.get(column)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            epoch = row.get("epoch", number)
            found.append((float(epoch) if isinstance(epoch, int | float) else float(number), float(value)))
    step = -(-len(found) // _MOST_POINTS)
    return found if len(found) <= _MOST_POINTS else [*found[:-1:step], found[-1]]


def _chart(rows: Sequence[dict[str, Any]], name: str) -> str:
    curves = {part: points for part in _LINES if len(points := _points(rows, f"{part}_{name}")) > 1}
    if not curves:
        return ""
    xs = [x for points in curves.values() for x, _ in points]
    ys = [y for points in curves.values() for _, y in points]
    (x_low, x_high), (y_low, y_high) = _range(xs), _range(ys)

    def place(x: float, y: float) -> str:
        right, up = (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)
        return (
            f"{_LEFT + right * (_WIDTH - _LEFT - _RIGHT):.1f},{_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM):.1f}"
        )

    words = "; ".join(f"{part} from {points[0][1]:.4g} to {points[-1][1]:.4g}" for part, points in curves.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" font-size="11" fill="currentColor">',
        f"<title>{escape(name)} by epoch: {escape(words)}</title>",
        f'<path d="M{_LEFT},{_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.5"/>',
        _label(_LEFT, 13, "start", name, bold=True),
        _label(_LEFT - 4, _TOP + 8, "end", f"{y_high:.3g}"),
        _label(_LEFT - 4, _HEIGHT - _BOTTOM, "end", f"{y_low:.3g}"),
        _label(_LEFT, _HEIGHT - 4, "start", f"{x_low:g}"),
        _label(_WIDTH - _RIGHT, _HEIGHT - 4, "end", f"epoch {x_high:g}"),
    ]
    for index, (part, points) in enumerate(curves.items()):
        colour, dashes = _LINES[part]
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        line = " ".join(place(x, y) for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"{dashed}/>')
        x = _WIDTH - _RIGHT - 52 * (len(curves) - index)
        parts.append(
            f'<path d="M{x},9h14" stroke="{colour}" stroke-width="1.8"{dashed}/>' + _label(x + 18, 13, "start", part)
        )
    return "".join([*parts, "</svg>"])


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _label(x: float, y: float, anchor: str, text: str, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
