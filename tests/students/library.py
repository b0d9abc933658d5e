"""How the functions beside this file are collected: what is wrong with each, in words that a report must have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Submission:
    """Functions that a student might hand in."""

    operation: str
    what: str
    functions: dict[str, Callable]
    named: str = ""  # a regular expression that one of the mistakes must match; "": nothing is wrong


RIGHT: list[Submission] = []
WRONG: list[Submission] = []


def _functions(body: type) -> dict[str, Callable]:
    return {name: value for name, value in vars(body).items() if callable(value) and not name.startswith("_")}


def right(operation: str, what: str, **functions: Callable) -> Any:
    """Collect functions that are right: as arguments, or as the body of a class."""
    if functions:
        RIGHT.append(Submission(operation, what, functions))
        return None

    def collect(body: type) -> type:
        RIGHT.append(Submission(operation, what, _functions(body)))
        return body

    return collect


def wrong(operation: str, what: str, named: str) -> Callable[[type], type]:
    """Collect the functions in a class, one of which has the mistake `what`."""

    def collect(body: type) -> type:
        WRONG.append(Submission(operation, what, _functions(body), named))
        return body

    return collect
