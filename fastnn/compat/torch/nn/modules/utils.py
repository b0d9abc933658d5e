"""Numbers as tuples of so many."""

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules._absent import ABSENT

__getattr__ = missing(__name__, ABSENT)


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))

    parse.__name__ = name
    return parse


_single, _pair, _triple, _quadruple = (
    _ntuple(n, name) for n, name in enumerate(("_single", "_pair", "_triple", "_quadruple"), 1)
)
