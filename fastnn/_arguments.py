"""Checks of arguments that are not arrays or numbers (those are in `_check.py`)."""

import os
from collections.abc import Mapping
from typing import Any

from fastnn import nn
from fastnn._check import shown

__all__ = ["axes", "function", "model", "path", "sequence", "text"]


def model(operation: str, name: str, value: Any) -> nn.Module:
    """`value` if it is a module. A class is told to be no instance."""
    if not isinstance(value, nn.Module):
        hint = f"; make an instance: {value.__name__}(...)" if isinstance(value, type) else ""
        raise TypeError(f"{operation}: {name} must be an nn.Module{hint}. Received: {shown(value)}")
    return value


def function(operation: str, name: str, value: Any, *, may_be_class: bool = True) -> Any:
    """`value` if it can be called. Where a class makes no sense, it is told to be no instance."""
    if not callable(value) or (isinstance(value, type) and not may_be_class):
        hint = f"; make an instance: {value.__name__}(...)" if isinstance(value, type) else ""
        raise TypeError(f"{operation}: {name} must be callable{hint}. Received: {shown(value)}")
    return value


def text(operation: str, name: str, value: Any) -> str:
    """`value` if it is a str."""
    if not isinstance(value, str):
        raise TypeError(f"{operation}: {name} must be a text. Received: {shown(value)}")
    return value


def path(operation: str, name: str, value: Any) -> str:
    """`value`, a name of a file or folder, as a str."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str) or not os.fspath(value):
        raise TypeError(f"{operation}: {name} must be the name of a file or folder. Received: {shown(value)}")
    if "\0" in os.fspath(value):
        raise ValueError(f"{operation}: {name} must not hold a null character. Received: {shown(value)}")
    return os.fspath(value)


def sequence(operation: str, name: str, value: Any) -> list[Any]:
    """`value`, anything but a text or a dict that can be gone through, as a list."""
    if isinstance(value, str | bytes | Mapping):
        raise TypeError(f"{operation}: {name} must be a list. Received: {shown(value)}")
    try:
        return list(value)
    except TypeError:
        raise TypeError(f"{operation}: {name} must be a list. Received: {shown(value)}") from None


def axes(operation: str, value: Any) -> Any:
    """`value` if it is None or matplotlib axes."""
    if value is not None and not (hasattr(value, "set_xlabel") and hasattr(value, "figure")):
        raise TypeError(f"{operation}: ax must be axes of matplotlib. Received: {shown(value)}")
    return value
