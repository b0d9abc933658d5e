"""The `fastnn` command: reads the options, calls what does the work, and turns errors into sentences."""

import argparse
import contextlib
import io
import os
import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np

import fastnn
from fastnn import _machine, _runtime
from fastnn._terminal import say

__all__ = ["main"]

# Exit codes, besides 0.
_FAILED, _USAGE = 1, 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        say(f"{self.prog}: {message} (see {self.prog} --help)")
        sys.exit(_USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastnn", description="Train convolutional networks on a CPU.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    train = commands.add_parser(
        "train",
        help="train a recipe and write a folder of results",
        description="Train a recipe: a network with its data set, optimiser, schedule and number of epochs. The "
        "results go to a new folder in runs/, or to --out: metrics.json, history.csv, curves.png, weights.safetensors "
        "(the trained weights) and last.safetensors (a checkpoint, from which --resume continues).",
        allow_abbrev=False,
    )
    train.add_argument(
        "--recipe",
        metavar="NAME",
        help="the recipe, for example cifar10-94 (default: cifar10-75); --recipe list shows all of them",
    )
    train.add_argument(
        "--dataset",
        metavar="NAME",
        help="cifar10; shapes32, a synthetic data set that needs no files; or auto (default): cifar10 if it is "
        "found or can be downloaded, else shapes32",
    )
    train.add_argument(
        "--data",
        metavar="DIR",
        help="the first folder to look for the data set in; then FASTNN_DATA and the cache folder are searched",
    )
    train.add_argument("--download", action="store_true", help="download the data set if it is not found")
    train.add_argument("--epochs", metavar="N", type=float, help="number of epochs (default: the recipe's)")
    train.add_argument(
        "--seed", metavar="N", type=int, help="seed of weights, order of images and augmentation (default: 0)"
    )
    train.add_argument(
        "--threads", metavar="N", type=int, help="number of threads (default: all CPUs); results do not depend on it"
    )
    train.add_argument("--train-images", metavar="N", type=int, help="use only the first N training images")
    train.add_argument("--test-images", metavar="N", type=int, help="use only the first N test images")
    train.add_argument("--out", metavar="DIR", help="folder for the results (default: a new one in runs/)")
    train.add_argument(
        "--resume",
        metavar="auto|PATH",
        help="continue from a checkpoint, or from the folder that contains one, bit for bit; auto continues the newest "
        "unfinished run of the same recipe, data set and seed, or begins if there is none",
    )
    train.set_defaults(run=_train)

    _add_reproduce(commands)
    _add_run(commands)
    _add_check(commands)

    info = commands.add_parser(
        "info",
        help="show the version, the CPU and the kernels in use",
        description="Show the version, the instruction sets that were compiled and that the CPU supports, and the "
        "settings in use. Include it in bug reports.",
        allow_abbrev=False,
    )
    info.set_defaults(run=_info)

    summary = commands.add_parser(
        "summary",
        help="show shapes, parameters, multiplications and memory of a network",
        description="Run a batch of zeros through a network and show every layer's output shape, parameters, "
        "multiplications and memory.",
        allow_abbrev=False,
    )
    summary.add_argument("model", metavar="MODEL", help=f"the name of a model or of a recipe, or {_OWN}")
    _add_input(summary, [3, 32, 32])
    summary.add_argument("--batch", metavar="N", type=int, default=1, help="number of images in the batch (default: 1)")
    summary.set_defaults(run=_summary)

    explain = commands.add_parser(
        "explain",
        help="explain a layer or an operation: formula, NumPy code, source, and how it runs",
        description="Show what a layer or an operation computes: its formula, forward and backward in NumPy, and the "
        "source. With --shape, show also sizes, multiplications, memory, kernels, and for convolutions the algorithms "
        "and the reasons for them.",
        allow_abbrev=False,
    )
    explain.add_argument(
        "what", metavar="NAME", help=f"conv2d, batch_norm, Linear, ...; the name of a model or of a recipe; or {_OWN}"
    )
    explain.add_argument("--shape", metavar="N,C,H,W", help="input shape with the batch, for example 128,64,16,16")
    explain.set_defaults(run=_explain)

    _add_profile(commands)
    _add_bench(commands)
    _add_grade(commands)
    return parser


# What the help calls a network of the user's.
_OWN = "your own: net.py:make_net or module:make_net, a function without arguments (or a class) that returns a Module"


def _add_input(parser: argparse.ArgumentParser, default: list[int] | None) -> None:
    parser.add_argument(
        "--input",
        nargs="+",
        metavar="N",
        type=int,
        default=default,
        help="shape of one image, or of one input of another kind (default: 3 32 32)",
    )


def _add_reproduce(commands: "argparse._SubParsersAction[_Parser]") -> None:
    reproduce = commands.add_parser(
        "reproduce",
        help="run a course assignment and compare its numbers with the published ones",
        description="Run the recipe of a course assignment. The results go to runs/NAME, or to --out: report.html and "
        "report.md, metrics.json, history.csv, figures. If a run was interrupted, the same command continues it. The "
        "exit code is 1 if a number is not the expected one, else 0. Options such as --epochs belong to some recipes "
        "only; --list shows which.",
        allow_abbrev=False,
    )
    reproduce.add_argument("name", metavar="NAME|all", nargs="?", help="the name of a recipe, or all")
    reproduce.add_argument("--list", action="store_true", help="show the recipes, by course, with their options")
    reproduce.add_argument("--quick", action="store_true", help="run the same code on less data, in at most a minute")
    reproduce.add_argument(
        "--out", metavar="DIR", help="folder for the results (default: runs/NAME); with all, it gets a folder for each"
    )
    reproduce.add_argument("--data", metavar="DIR", help="the first folder to look for data in")
    reproduce.add_argument("--epochs", metavar="N", type=int, help="number of epochs, passes over the training images")
    reproduce.add_argument("--n-items", metavar="N", type=int, help="use only N training images")
    reproduce.add_argument("--model", metavar="NAME", help="the network, for recipes that offer a choice")
    reproduce.add_argument("--image", metavar="FILE", help="an image file of your own, to illustrate the augmentation")
    reproduce.add_argument("--full", action="store_true", help="search all points of a grid instead of some of them")
    reproduce.add_argument(
        "--seed", metavar="N", type=int, default=0, help="seed of what the course does not fix (default: 0)"
    )
    reproduce.add_argument(
        "--threads", metavar="N", type=int, help="number of threads (default: all CPUs); results do not depend on it"
    )
    reproduce.set_defaults(run=_reproduce)


def _add_run(commands: "argparse._SubParsersAction[_Parser]") -> None:
    run = commands.add_parser(
        "run",
        help="run a PyTorch script, unchanged, on fastnn",
        usage="%(prog)s [-h] [--quiet] [--with PACKAGE] SCRIPT [ARGUMENT ...]\n"
        "       %(prog)s [-h] [--quiet] [--with PACKAGE] -m MODULE [ARGUMENT ...]",
        description="Run a script that was written for PyTorch, without PyTorch. Its `import torch` and `import "
        "torchvision` give fastnn's versions of these packages. Everything else is as with `python SCRIPT`. The cells"
        " of a notebook run one after another, without commands such as %matplotlib and !pip. `fastnn check SCRIPT` "
        "lists what a script needs that fastnn lacks. fastnn's versions are given to code in the script's folder "
        "(with -m, the current folder) and below it, in folders that the script adds to sys.path, and in folders "
        "above it that are on PYTHONPATH. Installed packages that import torch get them only if --with names these "
        "packages.",
        allow_abbrev=False,
    )
    run.add_argument("--quiet", action="store_true", help="leave out the last line, which says what the script ran on")
    run.add_argument(
        "--with",
        dest="guests",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="an installed package that gets fastnn's torch as well, such as einops; may be given several times",
    )
    run.add_argument(
        "-m",
        dest="module",
        metavar="MODULE",
        nargs=argparse.REMAINDER,
        help="a module or a package to run instead of a file, as with `python -m`, and its arguments",
    )
    run.add_argument(
        "script", metavar="SCRIPT", nargs=argparse.REMAINDER, help="the file or notebook to run, and its arguments"
    )
    run.set_defaults(run=_run_script)


def _add_check(commands: "argparse._SubParsersAction[_Parser]") -> None:
    check = commands.add_parser(
        "check",
        help="list what a PyTorch script uses that fastnn does not have",
        description="Read scripts, without running them, and list what they use of torch and torchvision that fastnn "
        "lacks: file, line and column, the name, and what to use instead. Modules of the same project that a script "
        "imports are read, too. 'maybe' marks what may be there after all, or may never be reached. The exit code is "
        "1 if something is certainly lacking, else 0.",
        allow_abbrev=False,
    )
    check.add_argument(
        "paths", metavar="SCRIPT", nargs="+", help="a file, a notebook, or a folder whose .py files are read"
    )
    check.add_argument("--json", action="store_true", help="print the findings as JSON, for programs")
    check.set_defaults(run=_check_script)


def _add_profile(commands: "argparse._SubParsersAction[_Parser]") -> None:
    profile = commands.add_parser(
        "profile",
        help="show where the time of a training step goes, layer by layer",
        description="Time every layer of a training step on random images, forward and backward, and compare it with "
        "the peak arithmetic speed and the memory bandwidth of this machine.",
        allow_abbrev=False,
    )
    profile.add_argument("model", metavar="MODEL", help=f"the name of a model or of a recipe, or {_OWN}")
    _add_input(profile, [3, 32, 32])
    profile.add_argument("--batch-size", metavar="N", type=int, help="images in a step (default: the recipe's, or 128)")
    profile.add_argument("--threads", metavar="N", type=int, help="number of threads (default: all CPUs)")
    profile.add_argument("--rounds", metavar="N", type=int, default=7, help="number of timed steps (default: 7)")
    profile.add_argument(
        "--forecast-threads",
        nargs="+",
        metavar="N",
        type=int,
        help="predict how long a step takes on these numbers of threads and what limits it, instead of timing layers",
    )
    profile.add_argument("--out", metavar="DIR", help="write profile.txt, profile.csv and roofline.png to this folder")
    profile.set_defaults(run=_profile)


def _add_bench(commands: "argparse._SubParsersAction[_Parser]") -> None:
    bench = commands.add_parser(
        "bench",
        help="time training or inference, compared with PyTorch if it is installed",
        description="Compare training steps of fastnn and PyTorch. Every contestant is a process of its own. They are"
        " warmed up and then take turns; the table, in Markdown, has the medians over the rounds. The contestants of "
        "fastnn are fastnn as it is, and fastnn with one algorithm only: direct, Winograd's with tiles of 2x2, and "
        "with tiles of 4x4. Those of PyTorch use NCHW or channels_last tensors, are compiled or not, and use huge "
        "pages or not. Ratios compare with PyTorch's best. Before anything is timed, all contestants compute from the"
        " same weights, and must agree. Without PyTorch, only fastnn is timed.",
        allow_abbrev=False,
    )
    bench.add_argument(
        "--suite",
        choices=("layers", "networks"),
        help="layers: time forward and backward of the convolutions and linear layers of published networks, with 1, "
        "8, 64 and 256 images where they fit (about 20 minutes). networks: time training and inference of whole "
        "published networks at their own image sizes (about 10 minutes). Both end with the geometric mean and the "
        "slowest rows",
    )
    bench.add_argument(
        "--networks",
        nargs="+",
        metavar="NAME",
        help=f"the networks (default: keras_cnn vgg_a vgg_a_bn resnet20 airbench94), or {_OWN}. A network of your own "
        "is timed in fastnn alone",
    )
    _add_input(bench, None)
    bench.add_argument(
        "--batch-sizes",
        "--batch",
        nargs="+",
        metavar="N",
        type=int,
        help="images in a step (default: 128 512; with --inference 1 32 512; with --suite its own)",
    )
    bench.add_argument(
        "--inference", action="store_true", help="time inference (forward in evaluation mode) instead of training steps"
    )
    bench.add_argument("--threads", metavar="N", type=int, help="threads of every contestant (default: all CPUs)")
    bench.add_argument(
        "--modes",
        nargs="*",
        metavar="MODE",
        help="modes of PyTorch: nchw, channels_last, compile, compile_channels_last (default: all); without a value, "
        "only fastnn is timed",
    )
    bench.add_argument("--rounds", metavar="N", type=int, help="number of rounds (default: 7, with --suite 3)")
    bench.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        help="seconds of timed steps in each round, for each contestant (default: 1, with --suite layers 0.1)",
    )
    bench.add_argument(
        "--warmup",
        metavar="N",
        type=int,
        help="number of rounds at the start, of two steps each, that are not counted (default: 3, with --suite 1)",
    )
    bench.add_argument(
        "--isa",
        metavar="NAME",
        help="restrict all contestants to baseline, avx2 or avx512 (default: the one that fastnn info shows)",
    )
    bench.add_argument(
        "--json", "--out", dest="json", metavar="FILE", help="also write all results to this file, as JSON"
    )
    bench.set_defaults(run=_bench)


def _add_grade(commands: "argparse._SubParsersAction[_Parser]") -> None:
    grade = commands.add_parser(
        "grade",
        help="grade functions that students wrote, and name their mistakes",
        description="Grade submissions: compare their functions with correct ones in many cases, and say what is "
        "wrong. Each runs in its own process, with limits of time, memory and output. A submission is a Python file or "
        "a notebook. For several, a table is shown. The exit code is 0 if the grading took place (see --fail-under).",
        allow_abbrev=False,
    )
    grade.add_argument(
        "submissions", metavar="SUBMISSION", nargs="*", help="a Python file, a notebook or a folder of them"
    )
    grade.add_argument(
        "--spec",
        metavar="FILE|NAME",
        required=True,
        help="the assignment: a file in TOML, or the name of one that comes with fastnn; --spec list shows them",
    )
    many = "; for several submissions FILE is a folder, which gets one file for each"
    grade.add_argument("--html", metavar="FILE", help=f"write the report as HTML{many}")
    grade.add_argument("--junit", metavar="FILE", help=f"write the report as JUnit XML{many}")
    grade.add_argument("--gradescope", metavar="FILE", help=f"write the report as Gradescope's results.json{many}")
    grade.add_argument("--csv", metavar="FILE", help="write the table of points of all submissions as CSV")
    grade.add_argument(
        "--seed", metavar="N", type=int, default=0, help="seed of the inputs to the functions (default: 0)"
    )
    grade.add_argument(
        "--time", metavar="S", type=float, help="time limit of each call in seconds (default: the assignment's, or 10)"
    )
    grade.add_argument(
        "--memory", metavar="MB", type=int, help="memory limit in megabytes (default: the assignment's, or 1024)"
    )
    grade.add_argument(
        "--fail-under", metavar="POINTS", type=float, help="exit with code 1 if a submission has fewer points"
    )
    grade.set_defaults(run=_grade)


def _train(arguments: argparse.Namespace) -> None:
    from fastnn import training
    from fastnn.training.plan import plan

    if arguments.recipe == "list":
        width = max(len(name) for name in training.RECIPES)
        for recipe in training.RECIPES.values():
            print(f"{recipe.name:<{width}} {recipe.description}")
        return
    if arguments.threads is not None:
        fastnn.set_num_threads(arguments.threads)
    run, train_set, test_set = plan(
        recipe=arguments.recipe,
        dataset=arguments.dataset,
        epochs=arguments.epochs,
        seed=arguments.seed,
        out=arguments.out,
        resume=arguments.resume,
        data_root=arguments.data,
        download=arguments.download,
        n_train=arguments.train_images,
        n_test=arguments.test_images,
        say=say,
    )
    threads = "1 thread" if fastnn.num_threads() == 1 else f"{fastnn.num_threads()} threads"
    say(f"{run.recipe.name} on {run.dataset}, seed {run.seed}, {threads}, {fastnn.isa()}; results go to {run.folder}")
    training.train_recipe(run, train_set, test_set, say=print)


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


def _bench(arguments: argparse.Namespace) -> None:
    from fastnn.benchmark.command import bench

    bench(arguments)


def _grade(arguments: argparse.Namespace) -> int:
    from fastnn.grading.command import grade_command

    return grade_command(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 failed, 2 wrong options or data, 130 interrupted.

    An error is one sentence on standard error; with FASTNN_DEBUG=1 in the environment it is a traceback.
    """
    try:
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        _drop_stdout()
        return _FAILED
    except OSError as error:  # the disk is full, say
        say(f"fastnn: {_sentence(error)}")
        _drop_stdout()
        return _USAGE
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as exit_request:  # argparse has said what there is to say
        return int(exit_request.code or 0)
    try:
        _runtime.check_environment()
    except (ValueError, RuntimeError) as error:
        say(f"fastnn: {error}")
        return _USAGE
    try:
        # A script is to find standard output as Python makes it.
        with contextlib.nullcontext() if arguments.command == "run" else _any_text_on_stdout():
            return arguments.run(arguments) or 0  # most commands return nothing: they succeed or raise
    except KeyboardInterrupt as error:
        say(f"fastnn: {error}" if str(error) else "fastnn: interrupted")
        return 128 + getattr(error, "signal_number", signal.SIGINT)  # as a shell counts them
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get("FASTNN_DEBUG") == "1":
            raise
        say("\n    ".join([f"fastnn: {_sentence(error)}", *_notes(error)]))
        return _USAGE if isinstance(error, ValueError | OSError | ImportError) else _FAILED


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


def _sentence(error: Exception) -> str:
    """What an exception says, on one line."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    else:
        text = str(error)
    words = " ".join(text.split())
    known = isinstance(error, ValueError | OSError | ImportError | ArithmeticError) and words
    return words if known else f"{type(error).__name__}: {words}"
