"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, overload

from numpy.typing import NDArray

from fastnn import _check, _runtime
from fastnn import functional as F
from fastnn.nn import _call, _joining
from fastnn.nn.module import Module

__all__ = ["Identity", "Residual", "Sequential"]


class Identity(Module):
    """y = x.

    Args:
        *args, **kwargs: ignored, so that it can stand in for any layer.
    Shape:
        - Input, output: any
    Example:
        >>> nn.Identity(54, unused=True)(np.array([1.0, 2.0]))
        array([1., 2.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: NDArray) -> NDArray:
        return x

    def backward(self, dy: Any = None) -> Any:
        return super().backward(dy) if "_hooks" in vars(self) else dy

    backward.is_derived = True  # type: ignore[attr-defined]


class Sequential(Module):
    """Modules applied one after the other; their names are "0", "1", ...

    Batch norm with the activation after it, and a `Residual` with the ReLU after it, are computed in one pass over
    memory; `fastnn.joined_layers(False)` switches that off.

    Args:
        *modules: the modules, in order; or one dict, whose keys are their names.
    Shape:
        - Input: that of the first module
        - Output: that of the last one
    Raises:
        TypeError: not a module.
    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> model(np.zeros((3, 4), np.float32)).shape, len(model), type(model[1]).__name__
        ((3, 2), 3, 'ReLU')
    """

    _goes_back_by_parts = True
    is_sequence = True  # for `_joining`; a subclass with a forward of its own is none

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, named in modules[0].items():
                if not isinstance(named, Module):
                    raise TypeError(f"{type(self).__name__}: {name} must be a Module. Received: {_check.shown(named)}")
                self.add_module(name, named)
            return
        for module in modules:
            self.append(module)

    def append(self, module: Any) -> Sequential:
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"Sequential: modules are needed. Received: {_check.shown(module)}")
        self._modules[str(len(self._modules))] = module
        return self

    def forward(self, x: Any) -> Any:
        own = vars(self)  # assigning attributes takes its time
        own["_plan"] = plan = _joining.plan(self._modules.values(), own.get("_plan"))
        for step in plan.steps:
            x = step(x)
        return x

    def backward(self, dy: Any = None) -> Any:
        if self._modules and not _call.called_in_parts(self):
            return super().backward(dy)
        for module in reversed(self._modules.values()):
            if dy is None:
                break
            dy = module.backward(dy)
        return dy

    backward.is_derived = True  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        modules = list(self._modules.values())
        return Sequential(*modules[index]) if isinstance(index, slice) else modules[index]

    def __setitem__(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"Sequential: modules are needed. Received: {type(module).__name__}")
        name = list(self._modules)[index]
        self._modules[name] = module


class Residual(Module):
    """y = body(x) + shortcut(x).

    Args:
        body: a module.
        shortcut: a module whose result has the shape of body's; None for the identity.
    Shape:
        - Input: that of body and shortcut
        - Output: that of both
    Raises:
        ValueError: the two results differ in shape.
    Example:
        >>> block = nn.Residual(nn.Conv2d(8, 8, 3, padding=1))
        >>> block(np.zeros((2, 8, 5, 5), np.float32)).shape
        (2, 8, 5, 5)

    Source: He et al., 2016, "Deep residual learning for image recognition".
    """

    _goes_back_by_parts = True
    adds_shortcut = True  # for `_joining`; a subclass with a forward of its own does not

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        for name, module in (("body", body), ("shortcut", shortcut)):
            if not isinstance(module, Module) and (name == "body" or module is not None):
                raise TypeError(f"Residual: {name} must be a module. Received: {_check.shown(module)}")
        self.body = body
        self.shortcut = Identity() if shortcut is None else shortcut

    def forward(self, x: Any) -> Any:
        if _runtime.joined_layers() and _joining.ends_with_norm(self):
            return _joining.residual(self, x)
        y, skipped = self.body(x), self.shortcut(x)
        self.check_shapes(y, skipped)
        return F.add(y, skipped)

    def check_shapes(self, y: Any, skipped: Any) -> None:
        """Raise unless the results of body and shortcut can be added."""
        if y.shape != skipped.shape:
            raise ValueError(f"Residual: body gives {y.shape}, shortcut gives {skipped.shape}; they must be equal")

    def backward(self, dy: Any = None) -> Any:
        if not _call.called_in_parts(self):
            return super().backward(dy)
        dx, dskipped = self.body.backward(dy), self.shortcut.backward(dy)
        return None if dx is None or dskipped is None else F.add(dx, dskipped)

    backward.is_derived = True  # type: ignore[attr-defined]
