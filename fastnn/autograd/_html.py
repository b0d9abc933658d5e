"""A tensor as HTML, for notebooks: what it is, statistics, and some of its numbers."""

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastnn.autograd.tensor import Tensor

__all__ = ["tensor_html"]

_MOST_NUMBERS = 100  # of an array that is shown whole
_EDGE = 2  # numbers at each end of an axis of others


def tensor_html(tensor: "Tensor", title: str) -> str:
    """A line of facts, a line of statistics, and the numbers: all of a small tensor, else those at the ends."""
    array = np.asarray(tensor._data)
    shape = "\u00d7".join(map(str, array.shape)) or "one number"
    facts = [shape, str(array.dtype), f"{_bytes(array.nbytes)}"]
    facts += ["requires_grad"] if tensor.requires_grad else []
    facts += [] if tensor.grad is None else [f"gradient of norm {np.linalg.norm(np.asarray(tensor.grad)):.4g}"]
    numbers = np.array2string(array, separator=", ", threshold=_MOST_NUMBERS, edgeitems=_EDGE, max_line_width=100)
    lines = [f"<div><b>{escape(title)}</b> {escape(', '.join(facts))}</div>"]
    if statistics := _statistics(array):
        lines.append(f'<div style="opacity: 0.75">{escape(statistics)}</div>')
    return "\n".join([*lines, f'<pre style="overflow-x: auto">{escape(numbers)}</pre>'])


def _bytes(n: int) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.4g} {unit}"
        n /= 1000  # type: ignore[assignment]
    return f"{n:.4g} GB"


def _statistics(array: NDArray[Any]) -> str:
    """Of the finite numbers; how many others there are."""
    if array.size < 2:
        return ""
    if array.dtype.kind == "b":
        return f"{int(array.sum()):,} of {array.size:,} true"
    finite, words = array, []
    if array.dtype.kind == "f":
        is_finite = np.isfinite(array)
        if not is_finite.all():
            finite = array[is_finite]
            words = [f"{int(np.isnan(array).sum()):,} NaN", f"{int(np.isinf(array).sum()):,} infinite"]
    if finite.size:
        mean, deviation = finite.mean(dtype=np.float64), finite.std(dtype=np.float64)
        words = [
            f"min {finite.min():.4g}", f"mean {mean:.4g}", f"max {finite.max():.4g}",
            f"standard deviation {deviation:.4g}", *words,
        ]  # fmt: skip
    return ", ".join(words)
