"""A tensor as HTML, for notebooks: what it is, statistics, and some of its numbers."""

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastnn.autograd.tensor import Tensor

__all__ = ["tensor_html"]

_MOST_NUMBERS = 100  # of an array that is shown whole
_EDGE = 3  # rows and columns at each end of what is shown of others


def tensor_html(tensor: "Tensor", title: str) -> str:
    """A line of facts, a line of statistics, and the numbers: all of a small tensor, else a part that unfolds."""
    array = np.asarray(tensor._data)
    shape = "x".join(map(str, array.shape)) or "one number"
    facts = [shape, str(array.dtype), f"{_bytes(array.nbytes)}"]
    facts += ["requires_grad"] if tensor.requires_grad else []
    facts += [] if tensor.grad is None else [f"gradient of norm {np.linalg.norm(np.asarray(tensor.grad)):.4g}"]
    lines = [f"<div><b>{escape(title)}</b> {escape(', '.join(facts))}</div>"]
    if statistics := _statistics(array):
        lines.append(f'<div style="opacity: 0.75">{escape(statistics)}</div>')
    return "\n".join([*lines, _numbers(array)])


def _numbers(array: NDArray[Any]) -> str:
    """All of them, or of a large array the ends of its first plane."""
    is_small = array.size <= _MOST_NUMBERS
    first = array if is_small else array[(0,) * max(array.ndim - 2, 0)]
    text = np.array2string(
        first, separator=", ", precision=4, threshold=_MOST_NUMBERS, edgeitems=_EDGE, max_line_width=100
    )
    page = f'<pre style="overflow-x: auto">{escape(text)}</pre>'
    if is_small:
        return page
    where = f"numbers of [{', '.join('0' * (array.ndim - 2))}]" if array.ndim > 2 else "numbers"
    return f"<details><summary>{where}</summary>{page}</details>"


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
            counts = {"NaN": int(np.isnan(array).sum()), "infinite": int(np.isinf(array).sum())}
            words = [f"{count:,} {name}" for name, count in counts.items() if count]
    if finite.size:
        mean, deviation = finite.mean(dtype=np.float64), finite.std(dtype=np.float64)
        words = [
            f"min {finite.min():.4g}", f"mean {mean:.4g}", f"max {finite.max():.4g}",
            f"standard deviation {deviation:.4g}", *words,
        ]  # fmt: skip
    return ", ".join(words)
