"""torch.utils.checkpoint: results that PyTorch computes twice to keep less; here they are kept."""

from collections.abc import Callable
from typing import Any

from fastnn.compat.notes import note
from fastnn.compat.torch._missing import missing

__all__ = ["checkpoint", "checkpoint_sequential", "set_checkpoint_debug_enabled", "set_checkpoint_early_stop"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), which keeps what its backward needs."""
    note("torch.utils.checkpoint: nothing is computed twice, so no memory is saved")
    return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """The functions one after the other."""
    if kwargs.pop("preserve_rng_state", None) is None and kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    for function in functions.children() if hasattr(functions, "children") else functions:
        input = checkpoint(function, input)
    return input


class _Setting:
    """A block with another setting, which changes nothing."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


set_checkpoint_early_stop = set_checkpoint_debug_enabled = _Setting

__getattr__ = missing(__name__)
