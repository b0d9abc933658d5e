"""torch.torch_version: the version of PyTorch whose names fastnn has."""

import re
from typing import Any

from fastnn import __version__ as _fastnn
from fastnn.compat.torch._missing import missing

__all__ = ["TorchVersion", "__version__"]


def _numbers(version: Any) -> tuple[int, ...]:
    parts = version if isinstance(version, tuple | list) else re.findall(r"\d+", str(version).partition("+")[0])[:3]
    numbers = [int(part) for part in parts]
    return tuple(numbers + [0] * (3 - len(numbers)))


class TorchVersion(str):
    """A version that is compared number by number, with texts such as "1.12" and tuples such as (1, 12).

    Example:
        >>> import fastnn.compat.torch as torch
        >>> torch.__version__ >= "2.6", torch.__version__ > (10, 0)
        (True, False)
    """

    __slots__ = ()

    def __lt__(self, other: Any) -> bool:
        return _numbers(self) < _numbers(other)

    def __le__(self, other: Any) -> bool:
        return _numbers(self) <= _numbers(other)

    def __gt__(self, other: Any) -> bool:
        return _numbers(self) > _numbers(other)

    def __ge__(self, other: Any) -> bool:
        return _numbers(self) >= _numbers(other)

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) if isinstance(other, TorchVersion) else _numbers(self) == _numbers(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


__version__ = TorchVersion(f"2.13.0+fastnn.{re.sub('[^a-zA-Z0-9.]', '.', _fastnn)}")

__getattr__ = missing(__name__)
