"""Looking at every layer while a network runs."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from fastnn import _arguments, nn

__all__ = ["observe"]


@contextlib.contextmanager
def observe(model: nn.Module, visit: Callable[[str, nn.Module, Any, Any], None]) -> Iterator[None]:
    """Within the block, call `visit(path, layer, x, y)` after each forward of each layer that has no sublayers."""

    _arguments.model("observe", "model", model)
    _arguments.function("observe", "visit", visit)

    def watched(path: str, layer: nn.Module) -> Callable[[Any], Any]:
        forward = layer.forward

        def forward_and_visit(x: Any) -> Any:
            y = forward(x)
            visit(path, layer, x, y)
            return y

        return forward_and_visit

    leaves = [(path, module) for path, module in model.named_modules() if next(module.children(), None) is None]
    for path, layer in leaves:
        object.__setattr__(layer, "forward", watched(path, layer))  # shadows the method of the class
    try:
        yield
    finally:
        for _, layer in leaves:
            object.__delattr__(layer, "forward")
