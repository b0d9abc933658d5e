"""What a submission may take."""

from dataclasses import dataclass

from fastnn import _check

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What a submission may take, of each sandbox.

    Attributes:
        time: seconds of the clock for loading the file, and for each call of a function.
        total: seconds of all of them together.
        memory: MB beyond what the interpreter and NumPy take.
        output: KB that it may print, on standard output and on standard error.
        result: MB of all arrays in what a function returns.
    Raises:
        TypeError, ValueError: a limit is no positive number.
    Example:
        >>> from fastnn.grading import Limits
        >>> Limits(time=2).total
        120.0
    """

    time: float = 10.0
    total: float = 120.0
    memory: int = 1024
    output: int = 256
    result: int = 64

    def __post_init__(self) -> None:
        for name in ("time", "total"):
            _check.number("Limits", name, getattr(self, name), 0.01, 86_400)
        for name, most in {"memory": 1 << 20, "output": 1 << 20, "result": 4096}.items():
            _check.integer("Limits", name, getattr(self, name), 1, most)
