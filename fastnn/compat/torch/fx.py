"""torch.fx: programs that change models, which fastnn has not."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

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
    "wrap",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, _ADVICE))
