"""How weights lie in memory, which is fastnn's own affair."""

from typing import Any

from fastnn.compat.torch._missing import missing

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

__getattr__ = missing(__name__)


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """The module itself: its weights lie as the kernels read them"""
    return module


def convert_conv3d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """The module itself: its weights lie as the kernels read them"""
    return module
