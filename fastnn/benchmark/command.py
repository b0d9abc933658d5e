"""The command `fastnn bench`: compare several networks and batch sizes, as a table in Markdown."""

import argparse
import importlib.metadata
import math
import statistics
from dataclasses import asdict, replace
from typing import Any

import fastnn
from fastnn import _machine, models
from fastnn._terminal import say
from fastnn._user_network import classes_of, is_user_network, load_network
from fastnn.benchmark import suite
from fastnn.benchmark.compare import Settings, compare
from fastnn.benchmark.contestant import FASTNN_ALGORITHMS, TORCH_MODES
from fastnn.benchmark.layers import LAYERS
from fastnn.benchmark.networks import NETWORKS
from fastnn.benchmark.report import markdown, ratio_text, where, write_json

__all__ = ["bench", "table"]

_NETWORKS = ("keras_cnn", "vgg_a", "vgg_a_bn", "resnet20", "airbench94")
_TRAINING_BATCHES = (128, 512)
_INFERENCE_BATCHES = (1, 32, 512)
_VARIANTS = [name.removeprefix("fastnn ") for name in FASTNN_ALGORITHMS if name != "fastnn"]


def bench(arguments: argparse.Namespace) -> None:
    """Run the comparison. The table goes to standard output, everything else to standard error."""
    torch = _torch_version()
    if arguments.suite is not None:
        _bench_suite(arguments, torch)
        return
    settings = _settings(arguments, has_torch=torch is not None)
    networks = arguments.networks or _NETWORKS
    classes = {name: _classes(name, settings.shape) for name in networks}
    batches = arguments.batch_sizes or (_INFERENCE_BATCHES if settings.inference else _TRAINING_BATCHES)
    if min(batches) < 1:
        raise ValueError(f"--batch-sizes must be at least 1. Received: {min(batches)}")
    about = {**_machine.description(), "torch": torch, "threads": settings.threads, "isa": settings.isa}
    sentence = _sentence(settings, torch)
    say(sentence)
    for name in filter(is_user_network, networks if settings.modes else ()):
        say(f"{name} runs in fastnn alone: there is no such network for PyTorch.")
    rows: list[dict[str, Any]] = []
    for batch in batches:
        for network in networks:
            rows.append(compare(network, batch, replace(settings, classes=classes[network])))
            say(_progress(rows[-1]))
            # After each, so that an interrupted run leaves what it measured.
            write_json(arguments.json, {"machine": about, "settings": asdict(settings), "rows": rows})
    print(f"{sentence}\n\n{table(rows)}")


_NOT_OF_SUITE = ("networks", "inference", "input")
_INPUT = [3, 32, 32]


def _bench_suite(arguments: argparse.Namespace, torch: str | None) -> None:
    for name in _NOT_OF_SUITE:
        if getattr(arguments, name):
            raise ValueError(f"--suite times layers and networks of its own: it takes no --{name}")
    if arguments.modes is None:
        arguments.modes = suite.MODES
    for mode in arguments.modes:
        if mode not in suite.MODES:
            raise ValueError(f"--modes must be among {', '.join(suite.MODES)} with --suite. Received: {mode!r}")
    settings = _settings(arguments, has_torch=torch is not None)
    batches = arguments.batch_sizes
    if batches is not None and min(batches) < 1:
        raise ValueError(f"--batch-sizes must be at least 1. Received: {min(batches)}")
    about = {**_machine.description(), "torch": torch, "threads": settings.threads, "isa": settings.isa}
    sentence = _sentence(settings, torch)
    say(sentence)
    rows: list[dict[str, Any]] = []

    def done(row: dict[str, Any]) -> None:
        rows.append(row)
        cells = " ".join(f"{name} {1e3 * statistics.median(times):.3f}" for name, times in row["seconds"].items())
        ratio = "" if row["ratio"] is None else f"; ratio {ratio_text(row['ratio'])}"
        say(f"{row['network']}, {row.get('layer', row.get('mode'))}, batch {row['batch']}, ms: {cells}{ratio}")
        write_json(arguments.json, {"machine": about, "settings": asdict(settings), "rows": rows})

    if arguments.suite == "networks":
        suite.run_networks(settings, batches, NETWORKS, done)
        print(f"{sentence}\n\n{suite.report_networks(rows)}")
        return
    suite.run_layers(settings, batches or suite.BATCHES, range(len(LAYERS)), done)
    if not rows:
        raise ValueError("--batch-sizes: no layer of the suite fits with so many images")
    print(f"{sentence}\n\n{suite.report(rows)}")


def _settings(arguments: argparse.Namespace, has_torch: bool) -> Settings:
    usual = suite.USUAL[arguments.suite] if arguments.suite else Settings
    rounds: int = usual.rounds if arguments.rounds is None else arguments.rounds
    seconds: float = usual.seconds if arguments.seconds is None else arguments.seconds
    warmup: int = usual.warmup if arguments.warmup is None else arguments.warmup
    for name in ("threads", "rounds"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} must be at least 1. Received: {value}")
    if warmup < 0:
        raise ValueError(f"--warmup must not be negative. Received: {warmup}")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"--seconds must be finite and not negative. Received: {seconds}")
    arguments.input = arguments.input or _INPUT
    if min(arguments.input) < 1:
        raise ValueError(f"--input must be at least 1. Received: {arguments.input}")
    isa = arguments.isa or fastnn.isa()
    if arguments.isa is not None and isa not in fastnn.available_isas():
        raise ValueError(f"--isa must be one of {', '.join(fastnn.available_isas())} here. Received: {isa!r}")
    modes = tuple(TORCH_MODES if arguments.modes is None else arguments.modes)
    for mode in modes:
        if mode not in TORCH_MODES:
            raise ValueError(f"--modes must be among {', '.join(TORCH_MODES)}. Received: {mode!r}")
    return Settings(
        threads=arguments.threads or fastnn.num_threads(),
        isa=isa,
        modes=modes if has_torch else (),
        inference=arguments.inference,
        rounds=rounds,
        seconds=seconds,
        warmup=warmup,
        shape=tuple(arguments.input),
    )


def _classes(name: str, shape: tuple[int, ...]) -> int:
    """Those of a network, which is made and run once: what is wrong with it should be told before anything starts."""
    own = is_user_network(name)
    if not own and name in models.names() and shape == Settings.shape:
        return Settings.classes
    return classes_of(name, load_network(name) if own else models.create(name), shape)


def _torch_version() -> str | None:
    """None without PyTorch. It is not imported: that is for the processes that run it."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def _sentence(settings: Settings, torch: str | None) -> str:
    """Where and with what all this was measured."""
    machine = where(settings.isa, settings.threads)
    if torch is None:
        return f"{machine}. PyTorch is not installed, so fastnn is alone (to compare: pip install torch==2.13.0)."
    return f"{machine}, PyTorch {torch}." if settings.modes else f"{machine}."


def _progress(row: dict[str, Any]) -> str:
    lines = [f"\n{row['network']}, {row['mode']}, batch {row['batch']}: images/s, MB"]
    for name, speed in sorted(row["images_per_second"].items(), key=lambda item: -item[1]):
        lines.append(f"  {name:28s} {speed:8.0f} {row['memory'][name]['bytes'] / 1e6:8.0f}")
    for name, ratio in row["ratio_to_best_torch"].items():
        lines.append(f"  {name} / {row['best_torch']}: {ratio_text(ratio)}")
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> str:
    """The results of `compare` as a table in Markdown, with columns for PyTorch if it ran.

    MB is the peak increase of memory during a step over that of the process with its libraries loaded.

    Example:
        >>> row = {"network": "resnet20", "batch": 8, "mode": "training", "best_torch": None,
        ...        "images_per_second": {"fastnn": 99.6, "fastnn direct": 80.2, "fastnn 2x2": 90.0,
        ...                               "fastnn 4x4": 110.1},
        ...        "memory": {"fastnn": {"bytes": 25_400_000}}}
        >>> print(table([row]))
        | network | mode | batch | fastnn, images/s | direct, images/s | 2x2, images/s | 4x4, images/s | fastnn, MB |
        |---|---|---|---|---|---|---|---|
        | resnet20 | training | 8 | 100 | 80 | 90 | 110 | 25 |
    """
    cells = [_cells(row) for row in rows]
    columns = max(cells, key=len)  # PyTorch may have run some of the networks only
    return markdown([{column: row.get(column, "") for column in columns} for row in cells])


def _cells(row: dict[str, Any]) -> dict[str, str]:
    """A row of the table: {column: cell}."""
    speeds, memory, best = row["images_per_second"], row["memory"], row["best_torch"]
    cells = {
        "network": row["network"],
        "mode": row["mode"],
        "batch": str(row["batch"]),
        "fastnn, images/s": f"{speeds['fastnn']:.0f}",
    }
    for name in _VARIANTS:
        cells[f"{name}, images/s"] = f"{speeds[f'fastnn {name}']:.0f}"
    if best is not None:
        ratios = row["ratio_to_best_torch"]
        cells["best PyTorch, images/s"] = f"{speeds[best]:.0f}"
        cells["which"] = best.removeprefix("torch ")
        cells["ratio (range)"] = ratio_text(ratios["fastnn"])
        for name in _VARIANTS:
            cells[f"ratio of {name} (range)"] = ratio_text(ratios[f"fastnn {name}"])
    cells["fastnn, MB"] = _megabytes(memory["fastnn"])
    if best is not None:
        cells["best PyTorch, MB"] = _megabytes(memory[best])
    return cells


def _megabytes(memory: dict[str, int]) -> str:
    return f"{memory['bytes'] / 1e6:.0f}"
