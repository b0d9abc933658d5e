"""How a function becomes a recipe."""

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
        name: by which it is run.
        course: whose assignment it is.
        title: of the report.
        about: one sentence for the report and the list of recipes.
        function: runs it, filling `context.report`.
        options: names of the settings that it takes, as `context.option` knows them.
        drawing_options: those of them that change drawings only; stored stages are used whatever they are.
        version: to be raised when the function computes something else, so that stored stages are not used again.
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
    """Register the function below as a recipe; see `Recipe` for the arguments.

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
