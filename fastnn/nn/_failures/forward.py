"""The notes of an error in a forward: the place, the way of the arrays, what to write instead."""

from typing import Any

from fastnn.nn._failures.advice import advice
from fastnn.nn._failures.places import is_ours, place
from fastnn.nn._failures.traces import modules_in
from fastnn.nn._failures.walk import Failure, Step, is_layer, walk

__all__ = ["notes"]

_MOST_STEPS, _FIRST_STEPS = 8, 2


def notes(root: Any, error: Exception, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> list[str]:
    """One text for each note.

    The network is run again to see the way; if it does not fail in the same way again (it draws random numbers of its
    own, say), the place is what the traceback tells, and there is no way.
    """
    try:
        failure = walk(root, error, arguments, keywords)
    except Exception:  # a module of a user that cannot be copied
        failure = None
    if failure is None:
        chain = modules_in(error)
        return [_where(root, chain[-1])] if chain and chain[-1] is not root else []
    is_alone = failure.module is failure.root and is_layer(failure.root)
    found = [] if is_alone else [_where(failure.root, failure.module)]
    if failure.start and not (is_alone and not failure.way):
        several = len(failure.ways) > 1 and failure.operation is not None and not is_layer(failure.module)
        for name, way in zip(_NUMBERS, failure.ways if several else [failure.way], strict=False):
            found.append(f"{name if several else ''}{_way(failure, way)}")
    texts = advice(failure, error)
    return found + ([_of_torch(text) for text in texts] if not root._takes_arrays else texts)


_TORCH = {
    ".astype(numpy.float32)": ".float()",
    ".astype(numpy.float64)": ".double()",
    ".astype(numpy.int64)": ".long()",
    "numpy.repeat(x, 3, axis=1)": "x.repeat(1, 3, 1, 1)",
    "x.transpose(": "x.permute(",
}


def _of_torch(text: str) -> str:
    """For a script that is written for PyTorch."""
    for ours, theirs in _TORCH.items():
        text = text.replace(ours, theirs)
    return text


_NUMBERS = ("first: ", "second: ", "third: ")


def _where(root: Any, module: Any) -> str:
    return f"in {place(root, module)}" if is_ours(module) else f"in the forward of {place(root, module)}"


def _way(failure: Failure, way: list[Step]) -> str:
    shown = way
    if len(shown) > _MOST_STEPS:  # what keeps the shape is passed over, but for the last
        shown = [step for i, step in enumerate(way) if step.after != step.before or i == len(way) - 1]
    parts = [f"{step.label} {step.after}" for step in shown]
    if len(parts) > _MOST_STEPS:
        parts = [*parts[:_FIRST_STEPS], "...", *parts[_FIRST_STEPS - _MOST_STEPS :]]
    return " -> ".join([f"input {', '.join(map(str, failure.start))}", *parts])
