"""Processes that a script starts import as it does.

One that is forked has all that the script has. One that begins anew (`spawn`, `forkserver`) is told by its parent how
to become ready, and then runs the script once more as `__mp_main__`, to have its functions and classes; here it is also
told what to install before.
"""

from collections.abc import Callable
from multiprocessing import spawn
from typing import Any

from fastnn.compat import notes
from fastnn.compat.imports import ScriptImports
from fastnn.compat.program import Module, Script

__all__ = ["run_again", "tell_processes"]


def tell_processes(what: Script | Module, script_imports: ScriptImports) -> None:
    """Let the processes that `multiprocessing` starts from now on run `what` with these imports."""
    what_name = what.file if isinstance(what, Script) else what.name
    told = _Told(script_imports.settings(), type(what), what_name)
    usual = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data = usual(name)
        module = data.pop("init_main_from_name", None)
        path = data.pop("init_main_from_path", None)
        # A package's __main__ is not run again.
        if path is not None or (module is not None and not module.endswith("__main__")):
            data["init_main_from_name"] = "fastnn.compat.spawned"
        return {"fastnn": told, **data}

    spawn.get_preparation_data = get_preparation_data


class _Told:
    """Installs the imports of a script in the process that receives it."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _receive, self._arguments


_received: tuple[ScriptImports, type[Script] | type[Module], str] | None = None


def _receive(settings: dict[str, Any], kind: type[Script] | type[Module], name: str) -> None:
    global _received
    notes.is_quiet = True  # the parent says it
    script_imports = ScriptImports(**settings)
    script_imports.install()
    _received = script_imports, kind, name


def run_again(space: dict[str, Any]) -> None:
    """Run the script of the parent process in the namespace of `__mp_main__`."""
    assert _received is not None
    script_imports, kind, name = _received
    what = kind(name)
    tell_processes(what, script_imports)
    module = what.main("__mp_main__")
    script_imports.prepare(module)
    space.clear()
    space.update(vars(module))
    for code in what.codes():
        exec(code, space)
