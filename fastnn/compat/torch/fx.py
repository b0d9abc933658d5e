"""torch.fx: programs that change models, which fastnn has not."""

from typing import Any

from fastnn.compat.torch._missing import missing

__all__ = ["wrap"]

_ADVICE = "write forward out, or use hooks: module.register_forward_hook(hook)"
_NAMES = (
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "Proxy",
    "Tracer",
    "Transformer",
    "symbolic_trace",
    "replace_pattern",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))


def wrap(fn_or_name: Any) -> Any:
    """The function, or its name: nothing looks into functions here."""
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name
