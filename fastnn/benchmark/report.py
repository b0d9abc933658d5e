"""The results of benchmarks: ratios with their range, tables in Markdown, files."""

import json
import os
import statistics
from collections.abc import Sequence
from typing import Any

import fastnn
from fastnn import _machine

__all__ = ["markdown", "ratio", "ratio_text", "where", "write_json"]


def where(isa: str, threads: int) -> str:
    """A short description of the machine, the instruction set and the number of threads."""
    n_threads = "1 thread" if threads == 1 else f"{threads} threads"
    return f"{_machine.cpu_name()}, {isa}, {n_threads}, fastnn {fastnn.__version__}"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How many times as fast fastnn is, from the seconds of each round.

    The ratio is taken in each round, since measurements close in time share the clock frequency. The result is its
    median and its range over the rounds.

    Args:
        ours: the seconds of fastnn, one number for each round.
        theirs: the seconds of the other library.
    Example:
        >>> ratio([1.0, 2.0, 4.0], [3.0, 4.0, 6.0])
        {'median': 2.0, 'lowest': 1.5, 'highest': 3.0}
    """
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def ratio_text(ratio: dict[str, float]) -> str:
    """A result of `ratio` as text.

    Example:
        >>> ratio_text({"median": 2.0, "lowest": 1.5, "highest": 3.0})
        '2.00 (1.50 to 3.00)'
    """
    return f"{ratio['median']:.2f} ({ratio['lowest']:.2f} to {ratio['highest']:.2f})"


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """A table in Markdown of rows {column: cell}.

    Example:
        >>> print(markdown([{"network": "resnet20", "batch": "8"}, {"network": "vgg_a", "batch": "16"}]))
        | network | batch |
        |---|---|
        | resnet20 | 8 |
        | vgg_a | 16 |
    """
    lines = ["| " + " | ".join(cells) + " |" for cells in (rows[0], *(row.values() for row in rows))]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def write_json(path: str | os.PathLike[str] | None, results: dict[str, Any]) -> None:
    """Write the results to the file `path`, unless it is None. If writing fails, an existing file is unchanged."""
    if path is not None:
        from fastnn.training import atomic_write  # only here: the contestants need none of it

        with atomic_write(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(results, indent=1) + "\n")
