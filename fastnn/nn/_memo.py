"""What a layer found out once and need not find out again."""

from typing import Any, NamedTuple


class Memo(NamedTuple):
    """A value that holds as long as `key` is the same; keys hold identities of arrays, which `kept` keeps alive."""

    key: tuple[Any, ...]
    kept: Any
    value: Any
