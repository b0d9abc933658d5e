"""What other tools read and write: TensorBoard's event files."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.interop.tensorboard import TensorBoard as TensorBoard

# Name -> the module that it is in, loaded at first use.
_WHERE = {"TensorBoard": "tensorboard"}

__all__ = ["TensorBoard"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"fastnn.interop.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'fastnn.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
