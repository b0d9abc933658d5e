"""Layers without initial values."""

import inspect
from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules.module import Module

__all__ = ["skip_init"]

__getattr__ = missing(__name__)


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """The module, with its initial values: drawing them takes no time that counts"""
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    return module_cls(*args, **kwargs)
