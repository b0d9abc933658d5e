"""The `fastnn` command: reads the options, calls what does the work, and turns errors into sentences."""

import argparse
import contextlib
import functools
import io
import os
import platform
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn
from fastnn import _machine, _runtime
from fastnn._options import USAGE, parser
from fastnn._system import is_closed_pipe
from fastnn._terminal import say
from fastnn.distributed.environment import launched_ranks

if TYPE_CHECKING:
    from fastnn.training import Callback, Run

__all__ = ["main"]

_FAILED = 1  # the exit code, besides 0 and USAGE


def _train(arguments: argparse.Namespace) -> int:
    from fastnn import training
    from fastnn.training.plan import plan

    if arguments.recipe == "list":
        width = max(len(name) for name in training.RECIPES)
        for recipe in training.RECIPES.values():
            print(f"{recipe.name:<{width}} {recipe.description}")
        return 0
    if arguments.threads is not None:
        fastnn.set_num_threads(arguments.threads)
    if arguments.shards is not None and arguments.shards < 1:
        raise ValueError(f"--shards must be at least 1. Received: {arguments.shards}")
    options: dict[str, Any] = {
        "recipe": arguments.recipe,
        "dataset": arguments.dataset,
        "epochs": arguments.epochs,
        "seed": arguments.seed,
        "out": arguments.out,
        "resume": arguments.resume,
        "data_root": arguments.data,
        "download": arguments.download,
        "n_train": arguments.train_images,
        "n_test": arguments.test_images,
        "shards": arguments.shards,
    }
    if arguments.tensorboard is not None:
        from fastnn.interop.tensorboard import import_tensorboardx

        import_tensorboardx()  # if it is missing, the user learns it now
    boards = functools.partial(_boards, arguments.tensorboard)
    if launched_ranks() > 1:
        from fastnn.distributed.command import train_together

        return train_together(options, arguments.threads, explain=_explained, begins=_say_what_runs, callbacks=boards)
    run, train_set, test_set = plan(**options, say=say)
    _say_what_runs(run)
    training.train_recipe(run, train_set, test_set, say=print, callbacks=boards(run, train_set, test_set))
    return 0


def _boards(folder: str | None, run: "Run", train_set: Any, test_set: Any) -> "list[Callback]":
    if folder is None:
        return []
    from fastnn.interop.tensorboard import board_of_recipe

    return [board_of_recipe(folder, run, train_set, test_set)]


def _say_what_runs(run: "Run", processes: str = "") -> None:
    threads = "1 thread" if fastnn.num_threads() == 1 else f"{fastnn.num_threads()} threads"
    shards = "" if run.shards is None else f", {run.shards} shards"
    where = f"{processes}{threads}, {fastnn.isa()}"
    say(f"{run.recipe.name} on {run.dataset}, seed {run.seed}{shards}, {where}; results go to {run.folder}")


def _reproduce(arguments: argparse.Namespace) -> int:
    from fastnn.courses.command import reproduce

    return reproduce(arguments)


def _run_script(arguments: argparse.Namespace) -> int:
    from fastnn.compat.program import Module, Script
    from fastnn.compat.run import run

    # What argparse leaves after a -- is the script's, too.
    words = [*(arguments.module or []), *arguments.script]
    if not words:
        raise ValueError(f"say {'which script' if arguments.module is None else 'which module'} to run")
    what = Script(words[0]) if arguments.module is None else Module(words[0])
    return run(what, words[1:], quiet=arguments.quiet, guests=arguments.guests)


def _check_script(arguments: argparse.Namespace) -> int:
    from fastnn.compat.check import check

    return check(arguments.paths, as_json=arguments.json)


def _info(arguments: argparse.Namespace) -> None:
    build = fastnn.build_info()
    openmp = f"OpenMP {build['openmp']}" if build["openmp"] else "no OpenMP: one thread"
    rows = {
        "fastnn": f"{build['version']}, Python {platform.python_version()}, NumPy {np.__version__}",
        "built": f"{', '.join(build['built_isas'])}; {openmp}" if build["compiled"] else "no compiled module",
        "CPU": f"{_machine.cpu_name()}; {fastnn.available_threads()} usable; {', '.join(build['available_isas'])}",
        "runs": f"{build['isa']} kernels" if build["backend"] == "native" else "the NumPy reference",
        "threads": str(build["threads"]),
    }
    for name, text in rows.items():
        print(f"{name:<8} {text}")


def _summary(arguments: argparse.Namespace) -> None:
    from fastnn import _user_network, models

    for name in ("batch", "input"):
        value = getattr(arguments, name)
        if (min(value) if name == "input" else value) < 1:
            raise ValueError(f"--{name} must be at least 1. Received: {value}")
    name = arguments.model
    model = _user_network.network_of(name)
    with _user_network.user_code(name):
        summary = models.summarize(model, (arguments.batch, *arguments.input))
        if _user_network.is_user_network(name):
            summary = summary._replace(notes=_trial(model, max(arguments.batch, 2), arguments.input))
        print(summary)


def _explain(arguments: argparse.Namespace) -> None:
    from fastnn.insight.command import explain_command

    explain_command(arguments)


def _trial(model: "fastnn.nn.Module", batch: int, shape: Sequence[int]) -> tuple[str, ...]:
    """What `model.check` finds; an error, too, since a network that only predicts need not be able to train."""
    try:
        return model.check((batch, *shape), batch_size=None).notes
    except (ValueError, TypeError, RuntimeError) as error:
        return (" ".join(["training fails:", _sentence(error), *_notes(error)]),)


def _profile(arguments: argparse.Namespace) -> None:
    from fastnn.profiling.command import profile_command

    profile_command(arguments)


def _export(arguments: argparse.Namespace) -> None:
    from fastnn.interop.command import export_command

    export_command(arguments)


def _bench(arguments: argparse.Namespace) -> None:
    from fastnn.benchmark.command import bench

    bench(arguments)


def _grade(arguments: argparse.Namespace) -> int:
    from fastnn.grading.command import grade_command

    return grade_command(arguments)


_COMMANDS = {
    "train": _train,
    "reproduce": _reproduce,
    "run": _run_script,
    "check": _check_script,
    "info": _info,
    "summary": _summary,
    "explain": _explain,
    "export": _export,
    "profile": _profile,
    "bench": _bench,
    "grade": _grade,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 failed, 2 wrong options or data, 130 interrupted.

    An error is one sentence on standard error; with FASTNN_DEBUG=1 in the environment it is a traceback.
    """
    try:
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if is_closed_pipe(error):  # whoever read our output has seen enough
            _drop_stdout()
            return _FAILED
        # The disk is full, say.
        say(f"fastnn: {_sentence(error)}")
        _drop_stdout()
        return USAGE
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as exit_request:  # argparse has said what there is to say
        return int(exit_request.code or 0)
    try:
        _runtime.check_environment()
    except (ValueError, RuntimeError) as error:
        say(f"fastnn: {error}")
        return USAGE
    try:
        # A script is to find standard output as Python makes it.
        with contextlib.nullcontext() if arguments.command == "run" else _any_text_on_stdout():
            return _COMMANDS[arguments.command](arguments) or 0  # most commands return nothing: they succeed or raise
    except KeyboardInterrupt as error:
        say(f"fastnn: {error}" if str(error) else "fastnn: interrupted")
        return 128 + getattr(error, "signal_number", signal.SIGINT)  # as a shell counts them
    except Exception as error:
        if isinstance(error, OSError) and is_closed_pipe(error):
            raise
        if os.environ.get("FASTNN_DEBUG") == "1":
            raise
        say(_explained(error))
        return USAGE if isinstance(error, ValueError | OSError | ImportError) else _FAILED


@contextlib.contextmanager
def _any_text_on_stdout() -> Iterator[None]:
    """Within the block, what standard output cannot write (its encoding may be ASCII) is written as \\u1234."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    errors = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):  # it flushes
            stream.reconfigure(errors=errors)


def _drop_stdout() -> None:
    """What is still to be written goes nowhere; the interpreter would try again at its end, and complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _notes(error: BaseException | None) -> list[str]:
    """What is known besides, of the error or of that of a user's code which it tells of: one line each."""
    notes: list[str] = []
    while error is not None and not notes:
        notes, error = getattr(error, "__notes__", []), error.__cause__
    return notes


def _explained(error: BaseException) -> str:
    """What is known of an error, for a person; with FASTNN_DEBUG=1 in the environment, its traceback."""
    if os.environ.get("FASTNN_DEBUG") == "1":
        return "".join(traceback.format_exception(error)).rstrip()
    return "\n    ".join([f"fastnn: {_sentence(error)}", *_notes(error)])


def _sentence(error: BaseException) -> str:
    """What an exception says, on one line."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    else:
        text = str(error)
    words = " ".join(text.split())
    known = isinstance(error, ValueError | OSError | ImportError | ArithmeticError) and words
    return words if known else f"{type(error).__name__}: {words}"
