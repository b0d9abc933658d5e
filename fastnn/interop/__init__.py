"""fastnn's models in the field's other tools. Each function and class loads the tool that it is for at first use."""

import importlib
from typing import Any

# Their name here -> the module that they are in (PEP 562).
_MODULES = {
    "NetClassifier": "sklearn",
    "NetRegressor": "sklearn",
    "TensorBoard": "tensorboard",
    "export_onnx": "onnx",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"fastnn.interop.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'fastnn.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_MODULES)
