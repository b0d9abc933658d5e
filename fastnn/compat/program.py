"""What `fastnn run` is asked to run: a file or a module, and which folder's code belongs to it."""

import importlib.util
import os
import sys
import traceback
import types
from collections.abc import Iterator
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path

from fastnn.compat.imports import is_own_code
from fastnn.compat.notebooks import cells, is_notebook
from fastnn.compat.notes import note

__all__ = ["Module", "NotFoundError", "Script"]


class NotFoundError(ValueError):
    """There is nothing of this name that can be run."""


class Script:
    """A file of Python, or a notebook.

    Args:
        name: of the file, as the user gave it.
    Attributes:
        folder: whose code belongs to it.
        path: what `sys.path` begins with.
        looks_around: whether code in other folders of its project belongs to it as well (`ScriptImports`).
        argv0: what `sys.argv` begins with.
    Raises:
        NotFoundError: there is no such file, or it is a folder.
        ValueError: it is called a notebook, and is none.
        OSError: it cannot be read.
    """

    def __init__(self, name: str) -> None:
        path = Path(name)
        if path.is_dir():
            has_main = (path / "__main__.py").is_file()
            remedy = f"{path / '__main__.py'}" if has_main else "a file in it, or a package of modules with -m"
            raise NotFoundError(f"{name} is a folder; run {remedy}")
        if not path.is_file():
            module = name if all(part.isidentifier() for part in name.split(".")) else ""
            raise NotFoundError(f"there is no file {name}" + (f"; for a module: -m {module}" if module else ""))
        self.name = name
        # As Python has it: absolute, but not resolved in `__file__`, and resolved in `sys.path`.
        self.file = os.path.join(os.getcwd(), name)
        self.folder = self.path = os.path.dirname(os.path.realpath(name))
        self.looks_around = True
        self.argv0 = name
        self._source = path.read_bytes()
        self._cells = list(cells(path)) if is_notebook(path) else None

    def main(self, name: str = "__main__") -> types.ModuleType:
        """The module that its code will run in."""
        main = types.ModuleType(name)
        loader = SourceFileLoader(name, self.file)
        vars(main).update(__file__=self.file, __cached__=None, __loader__=loader, __annotations__={})
        return main

    def codes(self) -> Iterator[types.CodeType]:
        """What to run, piece by piece, each compiled when its turn comes; files with their encoding (PEP 263)."""
        if self._cells is None:
            yield compile(self._source, self.file, "exec", dont_inherit=True)
            return
        if sys.excepthook is sys.__excepthook__:  # this one reads lines from files only, and not those of cells
            sys.excepthook = traceback.print_exception
        for cell in self._cells:
            for command in cell.commands:
                note(f"{command} is left out: it is a command of IPython")
            yield cell.compiled(self.file)


class Module:
    """A module, or the `__main__` of a package, as after `python -m`.

    Args:
        name: of the module; it is looked for in the working folder first.
    Attributes: as of `Script`. If the module lies below the working folder, all code there belongs to it, else its
        package.
    Raises:
        NotFoundError: there is no such module.
    """

    def __init__(self, name: str) -> None:
        is_file = name.endswith(".py") and os.path.exists(name)
        if is_file or not all(part.isidentifier() for part in name.split(".")):
            remedy = f"; for a file, leave out -m: {name}" if os.path.exists(name) else ""
            raise NotFoundError(f"{name!r} is no name of a module{remedy}")
        self.name, self.path, self.argv0 = name, os.getcwd(), "-m"
        top = PathFinder.find_spec(name.partition(".")[0], [self.path, *sys.path])
        if top is None:
            raise NotFoundError(f"there is no module {name!r} in {self.path}, nor is one installed")
        self.folder = self.path
        for place in _places(top):
            if not is_own_code(place, self.path):
                self.folder = place
        self.looks_around = self.folder == self.path

    def main(self, name: str = "__main__") -> types.ModuleType:
        """The module that its code will run in. Packages that it lies in are imported.

        Raises:
            NotFoundError: there is no such module.
        """
        self._spec = spec = self._found(self.name)
        self.argv0 = spec.origin or self.name
        main = types.ModuleType(name)
        vars(main).update(
            __file__=spec.origin, __cached__=spec.cached, __loader__=spec.loader, __package__=spec.parent,
            __spec__=spec, __annotations__={},
        )  # fmt: skip
        return main

    def codes(self) -> Iterator[types.CodeType]:
        loader = self._spec.loader
        code = loader.get_code(self._spec.name) if isinstance(loader, InspectLoader) else None
        if code is None:
            raise NotFoundError(f"{self.name} has no Python code to run")
        yield code

    def _found(self, name: str) -> ModuleSpec:
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # a package that it lies in is there, and imports what is not
            spec = None
        if spec is None:
            of_package = name != self.name
            reason = f"{self.name} is a package without __main__" if of_package else f"there is no module {name!r}"
            raise NotFoundError(reason)
        if spec.submodule_search_locations is not None:
            return self._found(f"{name}.__main__")
        return spec


def _places(spec: ModuleSpec) -> Iterator[str]:
    """Where a module lies: its file, or the folder of a package."""
    if spec.submodule_search_locations is not None:
        yield from spec.submodule_search_locations
    elif spec.origin is not None:
        yield spec.origin
