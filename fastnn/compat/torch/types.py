"""torch.types: names for annotations."""

import os
from typing import IO, Any, TypeAlias

from fastnn.compat.torch._device import device
from fastnn.compat.torch._missing import missing

__all__ = ["Device", "FileLike", "Number", "Storage"]

Number: TypeAlias = int | float | bool
Device: TypeAlias = device | str | int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
Storage: TypeAlias = Any

__getattr__ = missing(__name__)
