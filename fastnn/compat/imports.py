"""Gives the modules of a script's folder, and no others, a layer of fastnn when they import a library.

CPython looks up `__import__` in the builtins of the code that imports, and a module may have builtins of its own: they
are whatever its `__builtins__` is when its code starts, and every function, class body, lambda and `exec` in it
inherits them. So the script's modules get a copy with another `__import__`, and all other code imports as ever.
Wrapping `builtins.__import__` instead would slow all imports down and would have to guess who imports from `__file__`,
which code run by `exec` does not have; and an entry in `sys.modules` is seen by libraries that look there for PyTorch.
"""

import builtins
import functools
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import PurePath
from typing import Any

from fastnn.compat import layers
from fastnn.compat.layers import advice_of, in_layer, module_of

__all__ = ["INSTALLED", "ScriptImports", "is_own_code", "without_frames_of"]

_HIDDEN = (__file__, layers.__file__)
# Folders that hold what was installed, wherever they lie.
INSTALLED = ("site-packages", "dist-packages")


def _real(path: str) -> str:
    """A path without links, in small letters on Windows, which does not tell them from capitals."""
    return os.path.normcase(os.path.realpath(path))


_FASTNN = os.path.dirname(os.path.dirname(_real(__file__)))
_PREFIXES = {_real(prefix) for prefix in (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__))}


def is_own_code(path: str, folder: str) -> bool:
    """Whether a file belongs to who wrote the script in `folder`: it lies there or below, and was not installed there.

    Example:
        >>> from fastnn.compat.imports import is_own_code
        >>> is_own_code("/home/me/net/blocks/conv.py", "/home/me/net")
        True
        >>> is_own_code("/home/me/net/.venv/lib/python3.12/site-packages/tqdm/std.py", "/home/me/net")
        False
    """
    return _is_own_folder(os.path.dirname(path), folder)


@functools.cache
def _is_own_folder(path: str, folder: str) -> bool:
    real = _real(path)
    if _is_in(real, _FASTNN):
        return False
    as_given = os.path.normcase(os.path.abspath(path)), os.path.normcase(folder)
    return any(_below(*paths) for paths in (as_given, (real, _real(folder))))


@functools.cache
def _was_installed(folder: str) -> bool:
    """Whether a folder holds what was installed: packages, Python's own library, an environment."""
    real = _real(folder)
    above = [real, *map(str, PurePath(real).parents)]
    return (
        real in _PREFIXES
        or any(name in INSTALLED for name in PurePath(real).parts)
        or any(os.path.exists(os.path.join(path, "pyvenv.cfg")) for path in above)
    )


@functools.cache
def _is_above(path: str, folder: str) -> bool:
    """Whether a folder lies around the one of a script, with nothing between them that was installed."""
    if os.path.basename(path) in INSTALLED or _real(path) in _PREFIXES:
        return False
    return _is_own_folder(folder, path)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _below(path: str, folder: str) -> bool:
    if not _is_in(path, folder):
        return False
    # Python's own library may lie below as well: the script in a home folder that has an interpreter in it.
    if any(_is_in(path, prefix) and prefix != folder and _is_in(prefix, folder) for prefix in _PREFIXES):
        return False
    while path != folder:
        if os.path.basename(path) in INSTALLED or os.path.exists(os.path.join(path, "pyvenv.cfg")):
            return False
        path = os.path.dirname(path)
    return True


def without_frames_of(
    traceback: types.TracebackType | None, is_hidden: Callable[[str], bool]
) -> types.TracebackType | None:
    """A traceback from the first frame on whose file is not hidden."""
    while traceback is not None and is_hidden(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback


def _is_here(filename: str) -> bool:
    return filename in _HIDDEN


class ScriptImports:
    """What the modules of one folder import.

    Between `install` and `remove`, modules that are loaded from the folder have `builtins`, as does the script itself
    if it is run in a module that `prepare` has seen.

    Args:
        folder: of the script.
        packages: a library -> the package that stands for it.
        looks_around: whether to do the same for the other folders of its project: those that the script itself adds to
            `sys.path`, and those above it that are on `sys.path` from the start (PYTHONPATH).
        guests: installed modules and packages to do the same for.
    """

    def __init__(
        self,
        folder: str,
        packages: Mapping[str, str],
        *,
        looks_around: bool = False,
        guests: Collection[str] = (),
    ) -> None:
        self.folder, self.layers = folder, packages
        self._looks_around, self._guests = looks_around, guests
        self._path: list[str] = []  # before the script has changed it
        self.builtins = types.ModuleType("builtins")
        vars(self.builtins).update(vars(builtins))
        vars(self.builtins)["__import__"] = self._import
        self._finder = _Finder(self)
        self._sys = _ScriptSys(packages)
        self._undo: list[Callable[[], Any]] = []

    def install(self) -> None:
        self._path = list(sys.path)
        place = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
        sys.meta_path.insert(place, self._finder)
        self._undo.append(lambda: sys.meta_path.remove(self._finder))
        for module, name, function in (
            (importlib, "import_module", self._import_module),
            (importlib.util, "find_spec", self._find_spec),
        ):
            self._replace(module, name, function(getattr(module, name)))
        # Whoever puts a name there, `builtins.print = ...`, means the script, too.
        kind = builtins.__class__
        builtins.__class__ = _followed_by(vars(self.builtins))
        self._undo.append(lambda: setattr(builtins, "__class__", kind))

    def remove(self) -> None:
        """Import as before. Modules that were loaded keep what they have."""
        while self._undo:
            self._undo.pop()()

    def settings(self) -> dict[str, Any]:
        """Arguments that make the same in another process."""
        return {
            "folder": self.folder,
            "packages": dict(self.layers),
            "looks_around": self._looks_around,
            "guests": tuple(self._guests),
        }

    def is_guest(self, name: str) -> bool:
        """Whether a module is one of those installed ones that import as the script does."""
        return name.partition(".")[0] in self._guests

    def is_own_code(self, path: str) -> bool:
        """Whether a file belongs to who wrote the script."""
        return is_own_code(path, self.folder) or (self._looks_around and self._is_of_project(path))

    def _is_of_project(self, path: str) -> bool:
        for entry in sys.path:
            if isinstance(entry, str):
                folder = os.path.abspath(entry)
                is_its = not _was_installed(folder) if entry not in self._path else _is_above(folder, self.folder)
                if is_its and is_own_code(path, folder):
                    return True
        return False

    def prepare(self, module: types.ModuleType, *, is_main: bool = False) -> None:
        """Let the code that will run in `module` import as the folder's does."""
        # As CPython has it: the module itself in `__main__`, elsewhere its dictionary.
        vars(module)["__builtins__"] = self.builtins if is_main else vars(self.builtins)

    def _replace(self, module: types.ModuleType, name: str, value: Any) -> None:
        before = getattr(module, name)
        setattr(module, name, value)
        self._undo.append(lambda: setattr(module, name, before))

    def _asked_by_script(self) -> bool:
        """Whether the function that calls the function that asks this is the script's."""
        return sys._getframe(2).f_builtins is vars(self.builtins)

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        try:
            if level == 0 and isinstance(name, str):
                if in_layer(name, self.layers) is not None:
                    return self._of_layer(name, fromlist or ())
                if name == "sys" and _mentions(sys._getframe(1).f_code, "modules"):
                    return self._sys
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        except BaseException as error:
            # This function is not to be seen in the script's tracebacks. A bare `raise` adds no line for it.
            error.__traceback__ = without_frames_of(error.__traceback__, _is_here)
            raise

    def _of_layer(self, name: str, fromlist: Sequence[str]) -> types.ModuleType:
        module = module_of(name, self.layers)
        if not fromlist:
            return module_of(name.partition(".")[0], self.layers)
        # This is what imports the submodules among the names. It lets missing names pass.
        builtins.__import__(module.__name__, None, None, tuple(fromlist), 0)
        for wanted in fromlist:
            if wanted != "*":
                try:
                    getattr(module, wanted)
                except AttributeError as error:  # Python would replace the layer's words by its own
                    text = advice_of(error) or f"cannot import name {wanted!r} from {name!r} in fastnn"
                    path = getattr(module, "__file__", None)
                    raise ImportError(text, name=name, path=path) from None
        return module

    def _import_module(self, original: Callable[..., types.ModuleType]) -> Callable[..., types.ModuleType]:
        def import_module(name: str, package: str | None = None) -> types.ModuleType:
            try:
                if self._asked_by_script() and in_layer(name, self.layers) is not None:
                    return module_of(name, self.layers)
                return original(name, package)
            except BaseException as error:
                error.__traceback__ = without_frames_of(error.__traceback__, _is_here)
                raise

        return import_module

    def _find_spec(self, original: Callable[..., ModuleSpec | None]) -> Callable[..., ModuleSpec | None]:
        def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
            if self._asked_by_script():
                name = in_layer(name, self.layers) or name
            return original(name, package)

        return find_spec


class _Finder(MetaPathFinder):
    """Finds the modules of the script's folder, where Python does, and loads them with its builtins."""

    def __init__(self, imports: ScriptImports) -> None:
        self._imports = imports

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader:
            return None
        if not self._imports.is_guest(name) and not self._imports.is_own_code(spec.origin):
            return None
        spec.loader = _Loader(name, spec.origin, self._imports)
        return spec


class _Loader(SourceFileLoader):
    """Makes the module with the builtins in it; `exec`, which runs its code, then puts no others there."""

    def __init__(self, name: str, path: str, imports: ScriptImports) -> None:
        super().__init__(name, path)
        self._imports = imports

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        self._imports.prepare(module)
        return module


def _followed_by(copy: dict[str, Any]) -> type[types.ModuleType]:
    """A class of modules whose attributes are set in `copy`, too."""

    class Builtins(types.ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name not in ("__import__", "__class__"):
                copy[name] = value

        def __delattr__(self, name: str) -> None:
            super().__delattr__(name)
            copy.pop(name, None)

    return Builtins


def _mentions(code: types.CodeType, name: str) -> bool:
    return name in code.co_names or any(
        _mentions(inner, name) for inner in code.co_consts if isinstance(inner, types.CodeType)
    )


class _ScriptSys(types.ModuleType):
    """The module `sys` for code that looks at `sys.modules`: there it finds the layers under the libraries' names."""

    def __init__(self, packages: Mapping[str, str]) -> None:
        super().__init__("sys", sys.__doc__)
        vars(self)["modules"] = _ScriptModules(packages)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(sys, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(sys, name)

    def __dir__(self) -> list[str]:
        return dir(sys)


class _ScriptModules(MutableMapping[str, types.ModuleType]):
    def __init__(self, packages: Mapping[str, str]) -> None:
        self._layers = packages

    def _key(self, name: str) -> str:
        return (in_layer(name, self._layers) or name) if isinstance(name, str) else name

    def __getitem__(self, name: str) -> types.ModuleType:
        try:
            return sys.modules[self._key(name)]
        except KeyError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, module: types.ModuleType) -> None:
        sys.modules[self._key(name)] = module

    def __delitem__(self, name: str) -> None:
        del sys.modules[self._key(name)]

    def __iter__(self) -> Iterator[str]:
        loaded = list(sys.modules)
        for name in loaded:
            if in_layer(name, self._layers) is None:  # else it is a real library beside the layer, for others
                yield name
        for library, layer in self._layers.items():
            for name in loaded:
                if f"{name}.".startswith(f"{layer}."):
                    yield f"{library}{name.removeprefix(layer)}"

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def copy(self) -> dict[str, types.ModuleType]:
        return dict(self)
