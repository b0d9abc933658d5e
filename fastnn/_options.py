"""The options of the `fastnn` command and of its subcommands."""

import argparse
import sys
from typing import NoReturn

import fastnn
from fastnn._terminal import say

__all__ = ["USAGE", "parser"]

USAGE = 2  # the exit code of wrong options


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        say(f"{self.prog}: {message} (see {self.prog} --help)")
        sys.exit(USAGE)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `command` of its result names the subcommand."""
    top = _Parser(prog="fastnn", description="Train convolutional networks on a CPU.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

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
    train.add_argument(
        "--shards",
        metavar="N",
        type=int,
        help="cut every batch into N shards, so that several processes can share them: mpirun -n 4 fastnn train "
        "--shards 8 gives the same bits as 1, 2 or 8 processes (default: whole batches; 8 under mpirun)",
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
    train.add_argument(
        "--tensorboard",
        metavar="DIR",
        help="write curves, histograms, pictures and the graph of the network to this folder, for TensorBoard (needs "
        "tensorboardX)",
    )

    _add_reproduce(commands)
    _add_run(commands)
    _add_check(commands)

    commands.add_parser(
        "info",
        help="show the version, the CPU and the kernels in use",
        description="Show the version, the instruction sets that were compiled and that the CPU supports, and the "
        "settings in use. Include it in bug reports.",
        allow_abbrev=False,
    )

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

    _add_export(commands)
    _add_profile(commands)
    _add_bench(commands)
    _add_grade(commands)
    return top


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


def _add_export(commands: "argparse._SubParsersAction[_Parser]") -> None:
    export = commands.add_parser(
        "export",
        help="write a network as an ONNX file, for other programs",
        description="Write a network, with the weights of a file, as an ONNX file, which ONNX Runtime and many other "
        'programs read. It takes batches of any size. The package onnx is needed: pip install "fastnn[onnx]".',
        allow_abbrev=False,
    )
    export.add_argument("model", metavar="MODEL", help=f"the name of a model or of a recipe, or {_OWN}")
    export.add_argument("--onnx", metavar="FILE", required=True, help="the file to write, for example net.onnx")
    export.add_argument(
        "--weights",
        metavar="FILE",
        help="the trained weights: weights.safetensors of `fastnn train`, a checkpoint, or a file of PyTorch "
        "(default: new random weights)",
    )
    _add_input(export, [3, 32, 32])
    export.add_argument("--opset", metavar="N", type=int, default=18, help="version of ONNX's operators (default: 18)")


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
        help="restrict all contestants to baseline, avx2, avx512 or neon (default: the one that fastnn info shows)",
    )
    bench.add_argument(
        "--json", "--out", dest="json", metavar="FILE", help="also write all results to this file, as JSON"
    )


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
