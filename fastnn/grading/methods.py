"""Methods of a submission's classes, as functions that `check` can call."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.grading.errors import StudentError
from fastnn.grading.sandbox import Handle, Sandbox

__all__ = ["Method", "as_function"]


@dataclass(frozen=True)
class Method:
    """A method of a class, as a function.

    Each call makes an object of the class, sets attributes, and calls the method with the other arguments. If there is
    an argument `cache`, that is the object, and none is made: so `backward` meets the object of its `forward`.

    Attributes:
        class_name, method: their names.
        arguments: the parameters of the function, in the words of the operation.
        new: the arguments of the class: sizes of arrays, "w.0" for the first axis of the argument w, or of the array
            of this name in an argument that is a dict.
        set: attribute -> the argument that it gets.
        returns: what the function returns: "result", of the method, "self", the object, or attributes, "grads.W" for
            an item of one that is a dict.
    """

    class_name: str
    method: str
    arguments: tuple[str, ...]
    new: tuple[str, ...] = ()
    set: Mapping[str, str] = field(default_factory=dict)
    returns: tuple[str, ...] = ("result",)


def as_function(box: Sandbox, method: Method) -> Callable[..., Any]:
    """The function that a method stands for.

    Raises:
        StudentError: there is no such class or method.
    """
    make = box.function(method.class_name)
    box.function(f"{method.class_name}.{method.method}")

    def student(*arguments: Any, **options: Any) -> Any:
        given = {**dict(zip(method.arguments, arguments, strict=False)), **options}
        made = given.pop("cache") if "cache" in method.arguments else make(*(_size(size, given) for size in method.new))
        if not isinstance(made, Handle):
            raise StudentError("TypeError", f"{method.class_name} makes no object")
        for name, argument in method.set.items():
            box.set(made, name, given[argument])
        passed = [given[name] for name in method.arguments if name in given and name not in method.set.values()]
        result = box.method(made, method.method)(*passed)
        found = [_returned(box, made, name, result) for name in method.returns]
        return found[0] if len(found) == 1 else tuple(found)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    student.__name__ = student.__qualname__ = method.method
    parameters = [inspect.Parameter(name, kind) for name in method.arguments]
    student.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return student


def _size(size: str, given: Mapping[str, Any]) -> int:
    name, axis = size.split(".")
    tables = [given, *(value for value in given.values() if isinstance(value, dict))]
    array = next((table[name] for table in tables if isinstance(table.get(name), np.ndarray)), None)
    if array is None or int(axis) >= array.ndim:
        raise ValueError(f"new: no argument has the size {size}")
    return array.shape[int(axis)]


def _returned(box: Sandbox, made: Handle, name: str, result: Any) -> Any:
    if name == "result":
        return result
    if name == "self":
        return made
    attribute, *keys = name.split(".")
    value = box.get(made, attribute)
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise StudentError("KeyError", f"after {made.type_name}, {attribute} has no item {key!r}")
        value = value[key]
    return value
