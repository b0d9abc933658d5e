"""What is read of a reply of a submission's process, each of which anybody may have written."""

import inspect
import keyword
from typing import Any

import numpy as np

from fastnn.grading._child.transport import Decoder, TransportError

__all__ = ["containers_in", "mirror", "rows_of", "signature"]

_KINDS = {int(kind): kind for kind in inspect._ParameterKind}


def signature(rows: Any) -> inspect.Signature | None:
    """A signature of what the child says of it; None if that is none."""
    parameters = []
    for name, kind, has_default, default in rows_of(rows, str, int, bool, object):
        if not name.isidentifier() or keyword.iskeyword(name) or kind not in _KINDS:
            return None
        if type(default) not in (type(None), bool, int, float, str):
            return None
        given = default if has_default else inspect.Parameter.empty
        parameters.append(inspect.Parameter(name, _KINDS[kind], default=given))
    try:
        return inspect.Signature(parameters) if isinstance(rows, list) else None
    except ValueError:
        return None


def rows_of(value: Any, *kinds: type) -> list[list[Any]]:
    """Those items of a list that are lists of such values."""
    if not isinstance(value, list):
        return []
    return [
        row
        for row in value[:200]
        if isinstance(row, list)
        and len(row) == len(kinds)
        and all(kind is object or type(item) is kind for item, kind in zip(row, kinds, strict=True))
    ]


def containers_in(value: Any, containers: list[Any]) -> None:
    """The lists and dicts in a value, in the order in which a decoder makes them."""
    if isinstance(value, list | dict):
        containers.append(value)
    if isinstance(value, dict):
        for key, item in value.items():
            containers_in(key, containers)
            containers_in(item, containers)
    elif isinstance(value, list | tuple):
        for item in value:
            containers_in(item, containers)


def mirror(decoder: Decoder, changes: Any, arrays: list[np.ndarray], containers: list[Any]) -> None:
    """Change arguments as the child says it has changed them. All is read before anything is changed."""
    if type(changes) is not list or len(changes) != 2:
        if changes == []:
            return
        raise TransportError("no changes")
    new_arrays = []
    for number, tree in _all_rows(changes[0], int, list):
        value = decoder.decode(tree)
        if not 0 <= number < len(arrays) or not isinstance(value, np.ndarray):
            raise TransportError("a change of no argument")
        if value.shape != arrays[number].shape or value.dtype != arrays[number].dtype:
            raise TransportError("a change of an argument's shape")
        new_arrays.append((arrays[number], value))
    new_containers: list[tuple[Any, list[tuple[Any, Any]]]] = []
    for number, rows in _all_rows(changes[1], int, list):
        if not 0 <= number < len(containers):
            raise TransportError("a change of no argument")
        old, items = containers[number], []
        for key_tree, is_kept, tree in _all_rows(rows, object, bool, object):
            key = decoder.decode(key_tree)
            try:
                hash(key)
                items.append((key, old[key] if is_kept else decoder.decode(tree)))
            except (LookupError, TypeError):
                raise TransportError("a change of no argument") from None
        new_containers.append((old, items))
    for array, value in new_arrays:
        if array.flags.writeable:
            array[...] = value
    for container, items in new_containers:
        container.clear()
        if isinstance(container, dict):
            container.update(items)
        else:
            container.extend(value for _, value in items)


def _all_rows(value: Any, *kinds: type) -> list[list[Any]]:
    if type(value) is not list:
        raise TransportError("no changes")
    for row in value:
        if type(row) is not list or len(row) != len(kinds):
            raise TransportError("no changes")
        if not all(kind is object or type(item) is kind for item, kind in zip(row, kinds, strict=True)):
            raise TransportError("no changes")
    return value
