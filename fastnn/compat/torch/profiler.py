"""torch.profiler: where time goes. `fastnn profile` says so of a model."""

from typing import Any

from fastnn.compat.torch._missing import missing

__all__ = ["record_function"]


class record_function:
    """A block, or a function, with a name: nobody reads it here."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args

    def __enter__(self) -> "record_function":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, function: Any) -> Any:
        return function


PROFILE = "use `fastnn profile`, or fastnn.profiling"
_NAMES = (
    "profile",
    "schedule",
    "tensorboard_trace_handler",
    "ProfilerActivity",
    "ProfilerAction",
    "supported_activities",
)
__getattr__ = missing(__name__, dict.fromkeys(_NAMES, PROFILE))
