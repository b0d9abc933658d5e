"""What the scripts of this folder share: their options, and what they say without PyTorch."""

import argparse
import importlib.util
import sys

import fastnn


def require_torch(target: str) -> None:
    """End the script with a sentence unless PyTorch is installed, as `make target` does."""
    if importlib.util.find_spec("torch") is None:
        sys.exit(f"PyTorch is needed: pip install torch==2.13.0, or run make {target}")


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options of every script that runs in one process; `rounds` is the default."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--batch", type=positive, default=128, help="images (default: 128)")
    result.add_argument("--threads", type=positive, default=fastnn.num_threads(), help="default: all CPUs")
    result.add_argument("--rounds", type=positive, default=rounds, help=f"turns of each (default: {rounds})")
    result.add_argument("--isa", choices=fastnn.available_isas(), default=fastnn.isa())
    result.add_argument("--json", "--out", metavar="FILE", help="write the results to this file, too")
    return result


def positive(text: str) -> int:
    """The type of an option that is a number of things."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def prepare(args: argparse.Namespace) -> None:
    """Let fastnn run as the options say."""
    fastnn.set_num_threads(args.threads)
    fastnn.set_isa(args.isa)
