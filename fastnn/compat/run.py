"""`fastnn run`: runs a script that was written for PyTorch, in this process, as `python` would."""

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import thread as pools

import fastnn
from fastnn._terminal import say
from fastnn.compat import imports, notebooks, notes, program
from fastnn.compat._installed import NO_IPYTHON, package_of
from fastnn.compat.imports import ScriptImports
from fastnn.compat.layers import LAYERS
from fastnn.compat.processes import tell_processes

__all__ = ["run"]

_FAILED, _INTERRUPTED = 1, 130
_ISA_NAMES = {"avx512": "AVX-512", "avx2": "AVX2", "neon": "NEON", "reference": "NumPy reference"}
_HIDDEN = (__file__, imports.__file__, notebooks.__file__, program.__file__)


def run(
    what: program.Script | program.Module,
    arguments: Sequence[str],
    *,
    quiet: bool = False,
    guests: Sequence[str] = (),
    layers: Mapping[str, str] = LAYERS,
) -> int:
    """Run a script or module to its end and return its exit code.

    The process is the script's from here on: `__main__`, `sys.argv`, `sys.path` and what it imports stay as the script
    left them, for what it has registered to run at the exit of the process.

    Args:
        what: to run.
        arguments: of the script.
        quiet: whether to leave out the line that says what it ran on, and notes.
        guests: installed packages that get the layers as well.
        layers: a library -> the package that stands for it.
    Raises:
        NotFoundError: there is no such module.
    """
    notes.is_quiet = quiet
    script_imports = ScriptImports(what.folder, layers, looks_around=what.looks_around, guests=guests)
    script_imports.install()
    tell_processes(what, script_imports)
    if not _has_safe_path():
        sys.path[0] = what.path
    sys.argv = [what.argv0, *arguments]
    threads = set(threading.enumerate())
    start = time.perf_counter()

    def main() -> None:
        module = what.main()
        script_imports.prepare(module, is_main=True)
        sys.argv[0] = what.argv0
        sys.modules["__main__"] = module
        for code in what.codes():
            exec(code, vars(module))

    code = _exit_code(main, script_imports)
    code = _exit_code(lambda: _join(threads), script_imports) or code
    if not quiet:
        _say_what_it_ran_on(what.name, time.perf_counter() - start, layers)
    return code


def _has_safe_path() -> bool:
    """Whether Python was told (`-P`) not to look for modules where the script lies."""
    return sys.flags.safe_path


def _exit_code(call: Callable[[], None], script_imports: ScriptImports) -> int:
    """What a process of Python would exit with that does this; it also says what Python would."""
    try:
        call()
        return 0
    except SystemExit as request:
        if request.code is None or isinstance(request.code, int):
            return int(request.code or 0)
        say(str(request.code))
        return _FAILED
    except program.NotFoundError:
        raise
    except BaseException as caught:
        error = caught
    # Not within `except`: what the script's hook raises must not have this error as its context.
    _show(error)
    _explain(error, script_imports)
    return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else _FAILED


def _show(error: BaseException) -> None:
    """The script's own traceback, by the hook that the script may have set."""
    error.__traceback__ = imports.without_frames_of(error.__traceback__, _is_hidden)
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except Exception as caught:
        of_hook = caught
    else:
        return
    of_hook.__traceback__ = imports.without_frames_of(of_hook.__traceback__, _is_hidden)
    say("Error in sys.excepthook:")
    sys.__excepthook__(type(of_hook), of_hook, of_hook.__traceback__)
    say("\nOriginal exception was:")
    sys.__excepthook__(type(error), error, error.__traceback__)


def _is_hidden(filename: str) -> bool:
    return filename in _HIDDEN or filename.startswith("<frozen ")


def _explain(error: BaseException, script_imports: ScriptImports) -> None:
    """Say what is not to be seen from an error: that there are no notebooks, or no libraries outside of the folder."""
    if isinstance(error, NameError) and error.name == "get_ipython":
        say(f"fastnn run: {NO_IPYTHON}")
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return
    library = error.name.partition(".")[0]
    frames = traceback.extract_tb(error.__traceback__)
    if library not in script_imports.layers or not frames or _is_hidden(frames[-1].filename):
        return
    filename = frames[-1].filename
    if script_imports.is_own_code(filename):
        return
    package = package_of(filename)
    if package is not None:
        say(
            f"fastnn run: {package} is installed, and gets fastnn for {library} if it is asked for: "
            f"fastnn run --with {package} ..."
        )
    else:
        say(
            f"fastnn run: {filename} is not below {script_imports.folder}, whose code alone gets fastnn for {library}. "
            "If it is yours, add a folder above both to PYTHONPATH."
        )


def _join(before: set[threading.Thread]) -> None:
    """Wait for threads that the script started, as Python does before a process ends.

    Those of pools (`concurrent.futures`) are told to end when the process does, and not before.
    """
    while True:
        own = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
        running = [thread for thread in own if thread not in pools._threads_queues]
        if not running:
            return
        running[0].join()


def _say_what_it_ran_on(name: str, seconds: float, layers: Mapping[str, str]) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()  # so that the line comes after what the script has printed
    if not any(layer in sys.modules for layer in layers.values()):
        say(f"fastnn run: {name} did not import {' or '.join(layers)}; it ran in {seconds:.1f} s")
        return
    threads = "1 thread" if fastnn.num_threads() == 1 else f"{fastnn.num_threads()} threads"
    isa = _ISA_NAMES.get(fastnn.isa(), fastnn.isa())
    say(f"fastnn run: {name} ran on fastnn {fastnn.__version__} ({isa}, {threads}) in {seconds:.1f} s, not on PyTorch")
