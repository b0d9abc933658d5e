"""What tensors look like in print: PyTorch's texts, but for the name of the operation in `grad_fn=<...>`, fastnn's own.

Example:
    >>> import fastnn.compat.torch as torch
    >>> torch.ones(2, 3) / 3
    tensor([[0.3333, 0.3333, 0.3333],
            [0.3333, 0.3333, 0.3333]])
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._dtype import default_numpy_dtype, torch_dtype
from fastnn.compat.torch._grad_fn import name_of

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "text_of"]

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options: dict[str, Any] = {**_PROFILES["default"], "sci_mode": None}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed.

    Args:
        precision: digits behind the point.
        threshold: larger tensors are printed by their edges.
        edgeitems: how many elements of each axis these are, on both sides.
        linewidth: where lines break.
        profile: "default", "short" or "full", before the others are set.
        sci_mode: whether to print powers of ten; None lets the numbers decide.
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update(_PROFILES.get(profile, {}) if profile is not None else {})
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The settings of `set_printoptions`."""
    return dict(_options)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Within the block, tensors are printed with these settings."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def text_of(tensor: Any) -> str:
    """What `print(tensor)` shows."""
    array = tensor._data
    name = type(tensor).__name__
    prefix = "tensor(" if name in ("Tensor", "Parameter") else f"{name}("
    notes = []
    default = default_numpy_dtype()
    if not array.size:
        if array.ndim != 1:
            notes.append(f"size={tuple(array.shape)}")
        is_usual = array.dtype == default
    else:
        if not _options["edgeitems"]:
            notes.append(f"size={tuple(array.shape)}")
        is_usual = array.dtype in (default, np.int64, np.bool_)
    if not is_usual:
        notes.append(f"dtype={torch_dtype(array.dtype)!r}")
    if tensor._op is not None:
        notes.append(f"grad_fn=<{name_of(tensor._op)}>")
    elif tensor._requires_grad:
        notes.append("requires_grad=True")
    return _with_notes(prefix + _numbers(array, len(prefix)), notes, len(prefix))


def _with_notes(text: str, notes: list[str], indent: int) -> str:
    """Notes behind the numbers, on a new line where the last one is full."""
    used = len(text) - text.rfind("\n") + 1
    for note in notes:
        if used + len(note) + 2 > _options["linewidth"]:
            text += f",\n{' ' * indent}{note}"
            used = indent + len(note)
        else:
            text += f", {note}"
            used += len(note) + 2
    return f"{text})"


# ---- numbers ---------------------------------------------------------------------------------------------------------
def _numbers(array: NDArray, indent: int) -> str:
    """The elements in brackets, all of the same width."""
    if not array.size:
        return "[]"
    is_cut = array.size > _options["threshold"]
    cut = _edges(array) if is_cut else array
    shown = cut.astype(np.float32) if array.dtype == np.float16 else cut
    kind, least = _format_of(shown)
    texts = [_text(value, kind) for value in shown.ravel().tolist()]
    width = max(least, *(len(text) for text in texts), 0) if kind == "plain" else least
    return _in_brackets(iter([text.rjust(width) for text in texts]), array.shape, is_cut, indent, width)


def _edges(array: NDArray) -> NDArray:
    """The elements of a large array that are printed."""
    n = _options["edgeitems"]
    for axis, size in enumerate(array.shape):
        if size > 2 * n:
            array = np.take(array, [*range(n), *range(size - n, size)], axis)
    return array


def _format_of(array: NDArray) -> tuple[str, int]:
    """How elements are printed, and the width of the finite ones that are not 0."""
    if array.dtype.kind != "f":
        return "plain", 1
    values = array[np.isfinite(array) & (array != 0)].astype(np.float64)
    if not values.size:
        return "whole", 1
    size = np.abs(values)
    is_wide = size.max() / size.min() > 1000 or size.max() > 1e8 or size.min() < 1e-4
    mode = _options["sci_mode"]
    if is_wide if mode is None else mode:
        kind = "powers"
    else:
        kind = "whole" if np.all(values == np.ceil(values)) else "fixed"
    return kind, max(len(_text(value, kind)) for value in values.tolist())


def _text(value: Any, kind: str) -> str:
    if kind == "plain":
        return str(value)
    if kind == "whole":
        return f"{value:.0f}." if math.isfinite(value) else str(value)
    return f"{value:.{_options['precision']}{'e' if kind == 'powers' else 'f'}}"


def _in_brackets(texts: Iterator[str], shape: tuple[int, ...], is_cut: bool, indent: int, width: int) -> str:
    """The next texts of an array of this shape, of which the middle is left out if it `is_cut`."""
    if not shape:
        return next(texts)
    n = _options["edgeitems"]
    has_gap = is_cut and shape[0] > 2 * n
    count = 2 * n if has_gap else shape[0]
    if len(shape) == 1:
        parts = [next(texts) for _ in range(count)]
        if has_gap:
            parts.insert(n, " ..." if n else "...")
        a_line = max(1, (_options["linewidth"] - indent) // (width + 2))
        lines = [", ".join(parts[i : i + a_line]) for i in range(0, len(parts), a_line)]
        return f"[{_line_end(indent).join(lines)}]"
    parts = [_in_brackets(texts, shape[1:], is_cut, indent + 1, width) for _ in range(count)]
    if has_gap:
        parts.insert(n, "...")
    return f"[{_line_end(indent, len(shape) - 1).join(parts)}]"


def _line_end(indent: int, lines: int = 1) -> str:
    return "," + "\n" * lines + " " * (indent + 1)
