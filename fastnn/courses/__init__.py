"""The assignments of four university courses, each reproduced by one recipe.

    report = courses.run("pku-mlp", out="runs/pku-mlp")

A recipe is a function with the decorator `@recipe`, in a file in the folder of its course. All of them are found.
"""

import importlib
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnn import _arguments, _check
from fastnn._random import random_state, set_random_state
from fastnn.courses import recipe as _recipes
from fastnn.courses.context import Context, MissingExtraError
from fastnn.courses.recipe import Recipe
from fastnn.courses.report import Report

__all__ = ["Context", "MissingExtraError", "Recipe", "Report", "default_folder", "get", "names", "run"]

# What a recipe may need beyond the packages that come with fastnn: by module, its name and what pip calls it.
_EXTRAS = {"optuna": ("Optuna", "tune"), "PIL": ("Pillow", "image")}


def names() -> list[str]:
    """The names of all recipes.

    Example:
        >>> from fastnn import courses
        >>> "pku-mlp" in courses.names()
        True
    """
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return sorted(_recipes.registry)


def get(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ValueError: there is no recipe of that name.
    Example:
        >>> from fastnn import courses
        >>> courses.get("pku-mlp").name
        'pku-mlp'
    """
    known = names()
    if not isinstance(name, str):
        raise TypeError(f"get: name must be a text. Received: {_check.shown(name)}")
    if name not in known:
        raise ValueError(f"there is no recipe {name!r}; choose from {', '.join(known)}")
    return _recipes.registry[name]


def default_folder(name: str, quick: bool = False) -> Path:
    """The default folder for the results of a recipe. It never changes, so that running a recipe again continues it.

    Args:
        name: the name of the recipe.
        quick: whether it is the folder of a quick run.
    Example:
        >>> from fastnn import courses
        >>> courses.default_folder("pku-mlp").as_posix()
        'runs/pku-mlp'
    """
    _arguments.text("default_folder", "name", name)
    quick = _check.boolean("default_folder", "quick", quick)
    return Path("runs") / (f"{name}-quick" if quick else name)


def run(
    name: str,
    *,
    quick: bool = False,
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    seed: int = 0,
    say: Callable[[str], Any] | None = None,
    **options: Any,
) -> Report:
    """Run a recipe and write its report. Stages that an earlier run stored in `out` are not run again.

    Args:
        name: one of `names()`.
        quick: run the same code on less data, in at most a minute. Default False.
        out: the folder for the results. None (default): `default_folder(name, quick)`.
        data: the first folder to look for data in. None (default) skips it.
        seed: the seed of everything random that the course does not fix. Default 0.
        say: a function that is called with messages. None (default) prints them to standard error.
        options: options of the recipe, such as `epochs=2`. None stands for the recipe's own value.
    Returns:
        The report. `report.failed` lists the rows whose number is not the expected one.
    Raises:
        ValueError: there is no such recipe, it has no such option, or the data is damaged.
        MissingExtraError: the recipe needs a package that is not installed.
        OSError: the folder cannot be written, or the data is not found.
        KeyboardInterrupt: the run was interrupted. The same call continues it.
    """
    recipe = get(name)
    quick = _check.boolean("run", "quick", quick)
    seed = _check.integer("run", "seed", seed, 0)
    if say is not None:
        _arguments.function("run", "say", say)
    for key, value in (("out", out), ("data", data)):
        if value is not None:
            _arguments.path("run", key, value)
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in recipe.options:
            known = f"it has {', '.join(recipe.options)}" if recipe.options else "it has none"
            raise ValueError(f"{name} has no option {key!r}; {known}")
    folder = default_folder(name, quick) if out is None else Path(out)
    context = Context(recipe, folder, quick=quick, data=data, seed=seed, options=given, say=say)
    state = random_state()
    try:
        recipe.function(context)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{name} was interrupted; run it again to continue") from None
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        called, extra = _EXTRAS[package]
        raise MissingExtraError(
            f"{name} needs {called}, which is not installed: pip install 'fastnn[{extra}]'"
        ) from None
    finally:
        set_random_state(state)
    context.finish()
    return context.report
