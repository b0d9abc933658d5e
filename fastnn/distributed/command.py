"""`mpirun -n 4 fastnn train`: one training in several processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastnn
from fastnn import training
from fastnn._terminal import say
from fastnn.distributed._agreement import agree
from fastnn.distributed._processes import Processes
from fastnn.distributed._world import World
from fastnn.training.plan import choose_recipe, open_dataset, plan

__all__ = ["DEFAULT_SHARDS", "train_together"]

DEFAULT_SHARDS = 8


def train_together(
    options: dict[str, Any],
    threads: int | None,
    explain: Callable[[BaseException], str],
    begins: Callable[[training.Run, str], Any],
    callbacks: Callable[[training.Run, Any, Any], list[training.Callback]],
) -> int:
    """Train a recipe in all processes of a launcher. Rank 0 decides, writes and prints.

    Args:
        options: the arguments of `training.plan.plan`.
        threads: of each process, or None for its share of the CPUs.
        explain: an error in words.
        begins: called on rank 0 with what is to be trained, and a text about the processes.
        callbacks: called on rank 0 with what is to be trained and the images, gives callbacks of that rank alone.
    Returns:
        The exit code.
    """
    with Processes(explain=explain) as processes:
        if threads is not None:
            fastnn.set_num_threads(threads)
        agree(
            processes.communicator,
            "arguments",
            {f"--{name.replace('_', '-')}": value for name, value in options.items() if name != "data_root"},
            "give all processes the same arguments",
        )
        run, train_set, test_set = _planned(processes, options)
        command = f"mpirun -n {processes.size} fastnn train --resume {run.folder}"
        processes.communicator.set_hint(
            lambda: f"continue with: {command} (or any number)" if _has_checkpoint(run.folder) else ""
        )
        if processes.is_main:
            each = "each with " if processes.size > 1 else ""
            begins(run, f"{processes.size} processes, {each}")
        own = callbacks(run, train_set, test_set) if processes.is_main else []
        try:
            with World(run.shards or DEFAULT_SHARDS, processes=processes) as world:
                training.train_recipe(run, train_set, test_set, print, own, world)
        except training.Interrupted as error:
            if processes.is_main:
                raise
            return 128 + error.signal_number  # rank 0 says it
    return 0


def _has_checkpoint(folder: Path) -> bool:
    return (folder / "last.safetensors").is_file()


def _planned(processes: Processes, options: dict[str, Any]) -> tuple[training.Run, Any, Any]:
    """What rank 0 decides, and the data set of this process."""
    exchange = processes.communicator.exchange
    if processes.is_main:
        run, train_set, test_set = plan(**options, say=say)
        run = replace(run, shards=run.shards or DEFAULT_SHARDS)
        if run.shards is not None and processes.size > run.shards:
            raise ValueError(
                f"{processes.size} processes cannot share {run.shards} shards: start at most {run.shards}, or give a "
                "larger --shards (which gives other bits)"
            )
        decided = {
            "recipe": run.recipe.name,
            "epochs": run.recipe.epochs,
            "dataset": run.dataset,
            "folder": str(run.folder),
            "seed": run.seed,
            "n_train": run.n_train,
            "n_test": run.n_test,
            "resume": None if run.resume is None else str(run.resume),
            "shards": run.shards,
        }
        exchange("the plan", decided)
        return run, train_set, test_set
    told = exchange("the plan", {})[0]
    _, train_set, test_set = open_dataset(
        told["dataset"], options["data_root"], options["download"], told["n_train"], told["n_test"], _silent
    )
    run = training.Run(
        choose_recipe(told["recipe"], told["epochs"]),
        told["dataset"],
        Path(told["folder"]),
        told["seed"],
        told["n_train"],
        told["n_test"],
        None if told["resume"] is None else Path(told["resume"]),
        progress=False,
        shards=told["shards"],
    )
    return run, train_set, test_set


def _silent(text: str) -> None:
    """Rank 0 says the same."""
