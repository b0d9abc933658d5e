"""The command `fastnn reproduce`: run recipes, and report the rows whose number is not the expected one."""

import argparse
import textwrap
import time
from pathlib import Path
from typing import Any

import fastnn
from fastnn import courses
from fastnn._terminal import say
from fastnn.courses.progress import duration

__all__ = ["reproduce"]


def reproduce(arguments: argparse.Namespace) -> int:
    """Run the command. Returns 0 if every row of every report passes, else 1."""
    if arguments.list:
        _list()
        return 0
    if arguments.name is None:
        raise ValueError("say which recipe, or all; --list shows them")
    if arguments.threads is not None:
        fastnn.set_num_threads(arguments.threads)
    every = arguments.name == "all"
    chosen = courses.names() if every else [courses.get(arguments.name).name]
    options = _options(arguments)
    if every:
        _refuse_unknown(options, chosen)
    failed = []
    for name in chosen:
        known = {key: value for key, value in options.items() if not every or key in courses.get(name).options}
        folder = Path(arguments.out) if arguments.out is not None else courses.default_folder(name, arguments.quick)
        if every and arguments.out is not None:
            folder /= name
        start = time.perf_counter()
        report = courses.run(name, quick=arguments.quick, out=folder, data=arguments.data, seed=arguments.seed, **known)
        seconds = duration(time.perf_counter() - start)
        print(f"{name}: {report.verdict()} ({seconds}); {folder / 'report.html'}", flush=True)
        if report.failed:
            failed.append(f"{name}: {'; '.join(report.failed)}")
    for text in failed:
        say(f"fastnn: not as expected: {text}")
    return 1 if failed else 0


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of recipes that were given."""
    if arguments.seed < 0:
        raise ValueError(f"--seed must not be negative. Received: {arguments.seed}")
    for key in ("epochs", "n_items"):
        value = getattr(arguments, key)
        if value is not None and value < 1:
            raise ValueError(f"--{key.replace('_', '-')} must be at least 1. Received: {value}")
    options = {key: getattr(arguments, key) for key in ("epochs", "n_items", "model", "image")}
    options["full"] = True if arguments.full else None
    return {key: value for key, value in options.items() if value is not None}


def _refuse_unknown(options: dict[str, Any], chosen: list[str]) -> None:
    """With `all`, an option goes to the recipes that have it; one that none has is a mistake."""
    for key in options:
        if not any(key in courses.get(name).options for name in chosen):
            raise ValueError(f"no recipe has the option --{key.replace('_', '-')}")


def _list() -> None:
    by_course: dict[str, list[courses.Recipe]] = {}
    for name in courses.names():
        recipe = courses.get(name)
        by_course.setdefault(recipe.course, []).append(recipe)
    for course, recipes in sorted(by_course.items()):
        print(course)
        for recipe in recipes:
            options = "".join(f" [--{option.replace('_', '-')}]" for option in recipe.options)
            print(f"  {recipe.name}{options}")
            print(textwrap.fill(recipe.about, 100, initial_indent="      ", subsequent_indent="      "))
