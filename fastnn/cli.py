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
        description="Train a recipe. The results go to a new folder in runs/, or to --out: metrics.json, history.csv,"
        " curves.png, weights.safetensors, and last.safetensors, from which a training can continue.",
        allow_abbrev=False,
    )
    train.add_argument(
        "--recipe",
        metavar="NAME",
        help="what to train and how, for example cifar10-94 (default: cifar10-75); --recipe list shows them all",
    )
    train.add_argument(
        "--dataset",
        metavar="NAME",
        help="cifar10, shapes32 (synthetic, needs no files), or auto: cifar10 if it is found or can be downloaded, "
        "else shapes32 (default: auto)",
    )
    train.add_argument("--data", metavar="DIR", help="where to look for the data set first")
    train.add_argument("--download", action="store_true", help="download the data set if it is not found")
    train.add_argument(
        "--epochs", metavar="N", type=float, help="number of passes over the training images (default: the recipe's)"
    )
    train.add_argument(
        "--seed", metavar="N", type=int, help="seed of initialisation, order and augmentation (default: 0)"
    )
    train.add_argument(
        "--threads", metavar="N", type=int, help="number of threads; results are the same (default: all CPUs)"
    )
    train.add_argument("--train-images", metavar="N", type=int, help="use only the first N training images")
    train.add_argument("--test-images", metavar="N", type=int, help="use only the first N test images")
    train.add_argument("--out", metavar="DIR", help="folder for the results")
    train.add_argument(
        "--resume",
        metavar="auto|PATH",
        help="continue, bit for bit, from a checkpoint or from the folder that contains one; auto continues the "
        "newest unfinished run of the same recipe, data set and seed, if there is one",
    )
    train.set_defaults(run=_train)

    _add_reproduce(commands)
    _add_run(commands)
    _add_check(commands)

    info = commands.add_parser("info", help="show the build, the CPU and the kernels in use", allow_abbrev=False)
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
    summary.add_argument("--batch", metavar="N", type=int, default=1, help="images (default: 1)")
    summary.set_defaults(run=_summary)

    _add_profile(commands)
    _add_bench(commands)
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
        help="do an assignment of a course and compare every number with the published one",
        description="Run the recipe of an assignment. The results go to runs/NAME, or to --out: report.html and "
        "report.md, metrics.json, history.csv, figures. The same command continues a run that was interrupted. The "
        "exit code is 1 if a number is not the expected one.",
        allow_abbrev=False,
    )
    reproduce.add_argument("name", metavar="NAME|all", nargs="?", help="name of the recipe, or all")
    reproduce.add_argument("--list", action="store_true", help="show the recipes, by course, with their options")
    reproduce.add_argument("--quick", action="store_true", help="run the same code on less data, in at most a minute")
    reproduce.add_argument(
        "--out", metavar="DIR", help="folder for the results; with all, each recipe has a folder in it"
    )
    reproduce.add_argument("--data", metavar="DIR", help="where to look for data first")
    reproduce.add_argument("--epochs", metavar="N", type=int, help="number of passes over the training images")
    reproduce.add_argument("--n-items", metavar="N", type=int, help="use only N training images")
    reproduce.add_argument("--model", metavar="NAME", help="the network, for recipes that offer a choice")
    reproduce.add_argument("--image", metavar="FILE", help="the image that shows the augmentation")
    reproduce.add_argument("--full", action="store_true", help="search every point, not a part of them")
    reproduce.add_argument(
        "--seed", metavar="N", type=int, default=0, help="seed of what the course leaves open (default: 0)"
    )
    reproduce.add_argument(
        "--threads", metavar="N", type=int, help="number of threads; results are the same (default: all CPUs)"
    )
    reproduce.set_defaults(run=_reproduce)


def _add_run(commands: "argparse._SubParsersAction[_Parser]") -> None:
    run = commands.add_parser(
        "run",
        help="run a script written for PyTorch, as it is, on fastnn",
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
        help="list what a script uses of PyTorch that fastnn lacks",
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
        "the multiply-add peak and the streaming bandwidth of this machine.",
        allow_abbrev=False,
    )
    profile.add_argument("model", metavar="MODEL", help=f"the name of a model or of a recipe, or {_OWN}")
    _add_input(profile, [3, 32, 32])
    profile.add_argument("--batch-size", metavar="N", type=int, help="images of a step (default: the recipe's, or 128)")
    profile.add_argument("--threads", metavar="N", type=int, help="number of threads (default: all CPUs)")
    profile.add_argument("--rounds", metavar="N", type=int, default=7, help="number of timed steps (default: 7)")
    profile.add_argument(
        "--forecast-threads",
        nargs="+",
        metavar="N",
        type=int,
        help="instead of the layers, predict how long a step takes on so many threads, and what limits it there",
    )
    profile.add_argument("--out", metavar="DIR", help="write profile.txt, profile.csv and roofline.png to this folder")
    profile.set_defaults(run=_profile)


def _add_bench(commands: "argparse._SubParsersAction[_Parser]") -> None:
    bench = commands.add_parser(
        "bench",
        help="time training steps or inference, in turns with PyTorch if it is installed",
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
        help="images of a step (default: 128 512, with --inference 1 32 512, with --suite its own)",
    )
    bench.add_argument(
        "--inference", action="store_true", help="time the forward in eval mode instead of training steps"
    )
    bench.add_argument("--threads", metavar="N", type=int, help="threads of every contestant (default: all CPUs)")
    bench.add_argument(
        "--modes",
        nargs="*",
        metavar="MODE",
        help="modes of PyTorch: nchw, channels_last, compile, compile_channels_last (default: all); --modes without a"
        " value times fastnn alone",
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
        help="rounds of two steps that are not counted, at the start (default: 3, with --suite 1)",
    )
    bench.add_argument("--isa", metavar="NAME", help="hold all sides to baseline, avx2 or avx512")
    bench.add_argument("--json", "--out", dest="json", metavar="FILE", help="also write all figures to this file")
    bench.set_defaults(run=_bench)


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
    from fastnn import _user_network, models, training

    for name in ("batch", "input"):
        value = getattr(arguments, name)
        if (min(value) if name == "input" else value) < 1:
            raise ValueError(f"--{name} must be at least 1. Received: {value}")
    name = arguments.model
    if _user_network.is_user_network(name):
        model = _user_network.load_network(name)
    elif name in training.RECIPES:
        model = training.RECIPES[name].make_model()
    else:
        model = models.create(name)
    with _user_network.user_code(name):
        print(models.summarize(model, (arguments.batch, *arguments.input)))


def _profile(arguments: argparse.Namespace) -> None:
    from fastnn.profiling.command import profile_command

    profile_command(arguments)


def _bench(arguments: argparse.Namespace) -> None:
    from fastnn.benchmark.command import bench

    bench(arguments)


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
        say(f"fastnn: {_sentence(error)}")
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


def _sentence(error: Exception) -> str:
    """What an exception says, on one line."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    else:
        text = str(error)
    words = " ".join(text.split())
    known = isinstance(error, ValueError | OSError | ImportError | ArithmeticError) and words
    return words if known else f"{type(error).__name__}: {words}"
