"""Other tools: ONNX, scikit-learn, TensorBoard. Each part needs a package that fastnn itself does not."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.interop.onnx import export_onnx as export_onnx
    from fastnn.interop.sklearn import NetClassifier as NetClassifier
    from fastnn.interop.sklearn import NetRegressor as NetRegressor
    from fastnn.interop.tensorboard import TensorBoard as TensorBoard

# Loaded at first use: name -> module.
_WHERE = {
    "NetClassifier": "sklearn",
    "NetRegressor": "sklearn",
    "TensorBoard": "tensorboard",
    "export_onnx": "onnx",
}

__all__ = ["NetClassifier", "NetRegressor", "TensorBoard", "export_onnx"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"fastnn.interop.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'fastnn.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
