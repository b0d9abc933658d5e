"""Imports of a submission: packages that do nothing while it is graded, and words for those that are not there."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterable
from typing import Any

__all__ = ["install"]


class _Nothing:
    """Gives itself whatever is asked or called; it holds no value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> "_Nothing":
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(f"{self._name}.{name}")

    def __call__(self, *arguments: Any, **options: Any) -> "_Nothing":
        return _Nothing(f"{self._name}()")

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def __repr__(self) -> str:
        return f"<{self._name}, which does nothing while a submission is graded>"


class _NothingModule(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(f"{self.__name__}.{name}")


class _Ignored(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds packages that are ignored, and everything in them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in self._names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _NothingModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


class _Refused(importlib.abc.MetaPathFinder):
    """Is asked last: says which packages there are."""

    def __init__(self, allowed: Iterable[str]) -> None:
        *first, last = ["the standard library", "NumPy", *allowed]
        self._words = f"{', '.join(first)} and {last}"

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if "." not in name:
            raise ModuleNotFoundError(f"No module named {name!r}: a submission may import {self._words}", name=name)


def install(allowed: Iterable[str], ignored: Iterable[str]) -> None:
    sys.meta_path.insert(0, _Ignored(ignored))
    sys.meta_path.append(_Refused(allowed))
