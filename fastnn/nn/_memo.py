"""What a layer found out once and need not find out again."""

from typing import Any, NamedTuple


class Memo(NamedTuple):
    """A value that holds as long as `key` is the same; keys hold identities of arrays, which `kept` keeps alive.

    A copy of a layer has arrays of its own, so a memo does not go with it.
    """

    key: tuple[Any, ...]
    kept: Any
    value: Any

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()
