"""What is public: the modules that the reference describes, the names in them, and what a short name stands for."""

import functools
import importlib
import importlib.util
import inspect
from types import ModuleType
from typing import Any

MODULES = (
    "fastnn",
    "fastnn.nn",
    "fastnn.nn.init",
    "fastnn.functional",
    "fastnn.optim",
    "fastnn.optim.schedules",
    "fastnn.data",
    "fastnn.training",
    "fastnn.distributed",
    "fastnn.models",
    "fastnn.insight",
    "fastnn.profiling",
    "fastnn.autograd",
    "fastnn.reference",
    "fastnn.benchmark",
    "fastnn.courses",
    "fastnn.tune",
    "fastnn.grading",
    "fastnn.doctor",
    "fastnn.interop",
)
# Shown in a module by its own name, described in another.
DESCRIBED_IN = {
    "fastnn": "fastnn.autograd",
    "fastnn.optim": "fastnn.optim.schedules",
    "fastnn.training": "fastnn.doctor",
}
# As examples import them.
SHORT_NAMES = {"F": "fastnn.functional", "np": "numpy"}


@functools.cache
def modules() -> tuple[str, ...]:
    return tuple(name for name in MODULES if importlib.util.find_spec(name))


def names_in(module: ModuleType) -> list[str]:
    """The public names of a module: `__all__`, or else all that stand in it; submodules are none."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return [name for name in names if not inspect.ismodule(getattr(module, name)) and not name.startswith("_")]


@functools.cache
def all_names() -> frozenset[str]:
    """Every public name in full: what the reference has a page for."""
    found = set()
    for module in modules():
        names = names_in(importlib.import_module(module))
        elsewhere = DESCRIBED_IN.get(module)
        if elsewhere:
            known = set(names_in(importlib.import_module(elsewhere)))
            names = [name for name in names if name not in known]
        found.update(f"{module}.{name}" for name in names)
    return frozenset(found)


@functools.cache
def classes() -> dict[type, str]:
    """Every public class, and its full name."""
    return {_get(name): name for name in sorted(all_names(), reverse=True) if inspect.isclass(_get(name))}


def _get(name: str) -> Any:
    """The object of a public name or of an attribute of one, or None."""
    for module in sorted(modules(), key=len, reverse=True):
        if name.startswith(f"{module}."):
            found: Any = importlib.import_module(module)
            for part in name.removeprefix(f"{module}.").split("."):
                found = (
                    inspect.getattr_static(found, part, None) if inspect.isclass(found) else getattr(found, part, None)
                )
            return found
    return None


def is_documented(name: str) -> bool:
    """Whether a page or an entry on a page describes it."""
    if name in all_names() or name in modules():
        return True
    owner, _, attribute = name.rpartition(".")
    if owner not in all_names() or attribute.startswith("_"):
        return False
    described = _get(owner)
    return inspect.isclass(described) and attribute in vars(described) and bool(inspect.getdoc(_get(name)))


@functools.cache
def find(text: str, scope: str = "") -> str | None:
    """The full public name that `text` stands for in the docstring of `scope`, or None."""
    name = text.removesuffix("()")
    if not name or not all(part.isidentifier() for part in name.split(".")):
        return None
    first, dot, rest = name.partition(".")
    if first in SHORT_NAMES:
        name = f"{SHORT_NAMES[first]}{dot}{rest}"
    candidates = []
    while scope:
        candidates.append(f"{scope}.{name}")
        scope = scope.rpartition(".")[0]
    if name.startswith("fastnn") or "." in name or candidates:
        candidates += [name, f"fastnn.{name}"]
    for candidate in candidates:
        if is_documented(candidate):
            return candidate
        module, _, last = candidate.rpartition(".")
        if module in DESCRIBED_IN and is_documented(f"{DESCRIBED_IN[module]}.{last}"):
            return f"{DESCRIBED_IN[module]}.{last}"
    return None
