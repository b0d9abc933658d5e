"""Modules made of modules."""

from collections.abc import Iterator
from typing import Any, cast, overload

from numpy.typing import NDArray

from fastnn import _check, _runtime
from fastnn import functional as F
from fastnn.nn import _fusion
from fastnn.nn.batchnorm import BatchNorm1d, BatchNorm2d
from fastnn.nn.conv2d import Conv2d
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

    def backward(self, dy: NDArray) -> NDArray:
        return dy


class Sequential(Module):
    """Modules applied one after the other; their names are "0", "1", ...

    Batch norm with the activation after it, and a `Residual` with the ReLU after it, are computed in one pass over
    memory; `fastnn.joined_layers(False)` switches that off.

    Args:
        *modules: the modules, in order.
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

    _found_once = ("_plan",)

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> "Sequential":
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"Sequential: modules are needed. Received: {_check.shown(module)}")
        self._modules[str(len(self._modules))] = module
        return self

    def forward(self, x: Any) -> Any:
        own = vars(self)  # assigning attributes takes its time
        own["_plan"] = plan = _fusion.plan(self._modules.values(), own.get("_plan"))
        return _fusion.forward(plan.steps, x)

    def backward(self, dy: Any) -> Any:
        # Someone who calls the modules one by one can still let the container go back.
        plan = vars(self).get("_plan")
        return _fusion.backward(list(self._modules.values()) if plan is None else plan.steps, dy)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "input_grad":
            for module in self._modules.values():
                module.input_grad = value
                if next(module.parameters(), None) is not None:
                    break

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: int | slice) -> "Module | Sequential":
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

    _found_once = ("_before",)

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        for name, module in (("body", body), ("shortcut", shortcut)):
            if not isinstance(module, Module) and (name == "body" or module is not None):
                raise TypeError(f"Residual: {name} must be a module. Received: {_check.shown(module)}")
        self.body = body
        self.shortcut = Identity() if shortcut is None else shortcut

    def forward(self, x: NDArray) -> NDArray:
        if self.can_join():
            return self.forward_then(x, None)
        y, skipped = self.body.forward(x), self.shortcut.forward(x)
        self._check_shapes(y, skipped)
        return F.add(y, skipped)

    def can_join(self) -> bool:
        """Whether the body ends with batch norm, which can add the shortcut's result in its own pass."""
        return _runtime.joins_layers() and _fusion.is_itself(self, Residual) and self._last_norm() is not None

    def _last_norm(self) -> BatchNorm2d | None:
        """The batch norm at the end of the body, unless something there is not what it seems."""
        body = self._modules["body"]
        if not _fusion.is_itself(body, Sequential) or not body._modules:
            return None
        last = next(reversed(body._modules.values()))
        return cast(BatchNorm2d, last) if _fusion.is_itself(last, BatchNorm1d, BatchNorm2d) else None

    def forward_then(self, x: NDArray, activation: str | None) -> NDArray:
        """activation(forward(x)), if `can_join`."""
        *before, last = self._modules["body"]._modules.values()
        own = vars(self)
        own["_before"] = plan = _fusion.plan(before, own.get("_before"))
        steps, norm = plan.steps, cast(BatchNorm2d, last)
        conv = steps[-1] if steps else None
        if not self.training and isinstance(conv, Conv2d) and _fusion.is_itself(conv, Conv2d):
            y, skipped = _fusion.forward(steps[:-1], x), self.shortcut.forward(x)
            return norm.forward_after(conv, y, activation, skipped)
        y, skipped = _fusion.forward(steps, x), self.shortcut.forward(x)
        self._check_shapes(y, skipped)
        return norm.forward_then(y, activation, skipped)

    @property
    def last_activation(self) -> str | None:
        """What the last forward applied to its result."""
        norm = self._last_norm()
        return None if norm is None else norm.last_activation

    def _check_shapes(self, y: NDArray, skipped: NDArray) -> None:
        if y.shape != skipped.shape:
            raise ValueError(f"Residual: body gives {y.shape}, shortcut gives {skipped.shape}; they must be equal")

    def backward(self, dy: Any) -> NDArray | None:
        last = self._last_norm()
        if last is None or not last.last_had_residual:
            dy, dskipped = self.body.backward(dy), self.shortcut.backward(dy)
            return F.add(dy, dskipped) if self.input_grad else None
        dy, skipped = last.backward_then(dy)
        last.forget()
        dskipped = self.shortcut.backward(skipped)
        if self.input_grad and dskipped is not None:
            return _fusion.backward_onto(self._before.steps, dy, dskipped)
        _fusion.backward(self._before.steps, dy)
        return None

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "input_grad":
            self.body.input_grad = value
            self.shortcut.input_grad = value
