"""Recipes, and the decorator that registers them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.courses.context import Context

__all__ = ["Recipe", "recipe", "registry"]


@dataclass(frozen=True)
class Recipe:
    """An assignment, and the function that does it.

    Attributes:
        name: the name under which it is run.
        course: the course whose assignment it is.
        title: the title of the report.
        about: one sentence for the report and the list of recipes.
        function: the function that does it, and fills `context.report`.
        options: the names of its options, as `context.option` takes them.
        drawing_options: the options among them that only change drawings. Stored stages are used whatever their values.
        version: a number to increase when the function computes something else, so that stored stages are not used.
    """

    name: str
    course: str
    title: str
    about: str
    function: "Callable[[Context], None]"
    options: tuple[str, ...] = ()
    drawing_options: tuple[str, ...] = ()
    version: int = 1


# By name, in the order in which the files are read.
registry: dict[str, Recipe] = {}


def recipe(
    name: str,
    *,
    course: str,
    title: str,
    about: str,
    options: tuple[str, ...] = (),
    drawing_options: tuple[str, ...] = (),
    version: int = 1,
) -> "Callable[[Callable[[Context], None]], Callable[[Context], None]]":
    """Register the decorated function as a recipe. The arguments are the attributes of `Recipe`.

    Raises:
        ValueError: there is another recipe of that name, or a drawing option is not among the options.
    """
    if not set(drawing_options) <= set(options):
        raise ValueError(f"{name}: the drawing options {drawing_options} must be among the options {options}")

    def register(function: "Callable[[Context], None]") -> "Callable[[Context], None]":
        if name in registry:
            raise ValueError(f"there are two recipes {name!r}")
        registry[name] = Recipe(name, course, title, about, function, tuple(options), tuple(drawing_options), version)
        return function

    return register
