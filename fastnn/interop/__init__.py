"""Other tools: estimators for scikit-learn. Each part needs a package that fastnn itself does not."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.interop.sklearn import NetClassifier as NetClassifier
    from fastnn.interop.sklearn import NetRegressor as NetRegressor

# Loaded at first use: name -> module.
_WHERE = {
    "NetClassifier": "sklearn",
    "NetRegressor": "sklearn",
}

__all__ = ["NetClassifier", "NetRegressor"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"fastnn.interop.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'fastnn.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
