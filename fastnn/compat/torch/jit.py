"""torch.jit: programs of PyTorch's own. Modules and functions run as they are; there are no files of programs."""

from collections.abc import Callable
from typing import Any, Final

from fastnn.compat.notes import note
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules.module import Module

__all__ = [
    "Final",
    "ScriptModule",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "trace",
    "trace_module",
    "unused",
    "wait",
]


class ScriptModule(Module):
    """A module, for `isinstance`: `script` and `trace` give the module itself, which is of its own class."""


def script(obj: Any, optimize: None = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> Any:
    """The module or function itself."""
    note("torch.jit: modules and functions run as they are")
    return obj


def trace(
    func: Any,
    example_inputs: Any = None,
    optimize: None = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_kwarg_inputs: Any = None,
    _store_inputs: bool = True,
) -> Any:
    """The module or function itself, branches and all."""
    return script(func)


def trace_module(
    mod: Any,
    inputs: Any,
    optimize: None = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_inputs_is_kwarg: bool = False,
    _store_inputs: bool = True,
) -> Any:
    """The module itself, branches and all."""
    return script(mod)


def freeze(mod: Any, preserved_attrs: list[str] | None = None, optimize_numerics: bool = True) -> Any:
    """The module itself."""
    return mod


def optimize_for_inference(mod: Any, other_methods: list[str] | None = None) -> Any:
    """The module itself."""
    return mod


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself; or, called with a setting, what gives a function back."""
    return drop if callable(drop) else export


def export(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself."""
    return fn


unused = script_method = script_if_tracing = export


def interface(obj: Any) -> Any:
    """The class itself."""
    return obj


def is_scripting() -> bool:
    """Whether this is a program of PyTorch's own: no."""
    return False


is_tracing = onednn_fusion_enabled = is_scripting


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value."""
    return the_value


class _Done:
    """The result of a function that was called at once."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def wait(self) -> Any:
        return self._value

    value = wait


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `wait` gives the result of: it is computed now."""
    return _Done(func(*args, **kwargs))


def wait(future: Any) -> Any:
    """The result of `fork`."""
    return future.wait()


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Nothing to set: there are no programs to optimise."""
    return []


def enable_onednn_fusion(enabled: bool) -> None:
    """Nothing to set: there are no programs to optimise."""


_AS_WEIGHTS = "save weights, torch.save(model.state_dict(), path), and make the model by its class"
__getattr__ = missing(
    __name__,
    {
        "load": _AS_WEIGHTS,
        "save": _AS_WEIGHTS,
        "ScriptFunction": "functions run as they are",
    },
)
