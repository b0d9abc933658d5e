"""JSON from files that anybody may have written: limits come before memory is taken."""

import json
import re
from typing import Any

__all__ = ["parse_json"]

# Far above what a training writes: its history keeps 200 records, a large network has some thousand tensors.
_MOST_CHARACTERS, _MOST_VALUES, _MOST_CONTAINERS, _DEEPEST = 1 << 24, 1_000_000, 200_000, 64
# A text in quotes; one without an end goes to the end, so that no quotation mark is looked at twice.
_TEXT = re.compile(r'"(?:[^"\\]++|\\(?:.|\Z))*+(?:"|\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse_json(text: str) -> Any:
    """The value that `text` says, if it is of a sensible size.

    Raises:
        ValueError: it is not JSON, too large, too deep, or names a key twice.
    Example:
        >>> parse_json('{"a": [1, 2]}')
        {'a': [1, 2]}
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"JSON of {len(text):,} characters, {_MOST_CHARACTERS:,} are allowed")
    if text.count('"') > 4 * _MOST_VALUES:
        raise ValueError(f"JSON of more than {_MOST_VALUES:,} values")
    outside = _TEXT.sub("", text)
    if outside.count(",") > _MOST_VALUES:
        raise ValueError(f"JSON of more than {_MOST_VALUES:,} values")
    if sum(map(outside.count, "[]{}")) > 2 * _MOST_CONTAINERS:
        raise ValueError(f"JSON of more than {_MOST_CONTAINERS:,} lists and objects")
    depth = 0
    for bracket in _BRACKET.findall(outside):
        depth += 1 if bracket in "[{" else -1
        if depth > _DEEPEST:
            raise ValueError(f"JSON that is nested more than {_DEEPEST} deep")
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("JSON that names a key twice")
    return result
