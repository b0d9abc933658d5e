"""`fastnn bench --suite`: all layers of `layers`, or all networks of `networks`, alternating with PyTorch."""

import contextlib
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastnn.benchmark.compare import Settings, take_turns
from fastnn.benchmark.contestant import TORCH_LIMITS, TORCH_MODES, Contestant
from fastnn.benchmark.layers import LAYERS, Layer
from fastnn.benchmark.networks import Network
from fastnn.benchmark.report import markdown, ratio, ratio_text

__all__ = ["BATCHES", "MODES", "USUAL", "geometric_mean", "report", "report_networks", "run_layers", "run_networks"]

BATCHES = (1, 8, 64, 256)
MODES = ("nchw", "channels_last")  # a layer alone is not worth compiling
USUAL = {
    "layers": Settings(threads=1, isa="reference", modes=MODES, rounds=3, seconds=0.1, warmup=1),
    "networks": Settings(threads=1, isa="reference", modes=MODES, rounds=3, seconds=1.0, warmup=1),
}
_MOST_MULTIPLICATIONS = 4e9  # of a forward that fits: a step of some tenths of a second
_MOST_VALUES = 1 << 26  # of input and result, 256 MB
_WORST = 10


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean of ratios.

    Example:
        >>> geometric_mean([0.5, 2.0, 8.0])
        2.0
    """
    return math.exp(statistics.fmean(map(math.log, values)))


def fits(layer: Layer, batch: int) -> bool:
    """Whether this layer with so many images is part of the suite.

    Example:
        >>> [fits(Layer("VGG-16", 64, 64, 224, 3, 1, 1, 1), batch) for batch in (1, 8)]
        [True, False]
    """
    return layer.multiplications(batch) <= _MOST_MULTIPLICATIONS and layer.values(batch) <= _MOST_VALUES


def run_layers(
    settings: Settings, batches: Sequence[int], layers: Sequence[int], done: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Time forward and backward of layers, for each batch size that the suite includes.

    The contestants are fastnn and PyTorch in the modes of `settings`; 'nchw' and 'channels_last' make sense here. Their
    outputs and gradients must agree before they are timed.

    Args:
        settings: the settings of the comparison.
        batches: the numbers of images.
        layers: the indices of the layers in `LAYERS`.
        done: called with each row as soon as it is complete.
    Returns:
        A list of dicts: "network"; "layer"; "batch"; "multiplications"; "seconds", by contestant, a median for each
        round; "best_torch"; "ratio", with median, lowest and highest; None without PyTorch.
    Raises:
        ArithmeticError, RuntimeError: as for `compare`.
    """
    rows = []
    with _sides(settings) as sides:
        for number in layers:
            layer = LAYERS[number]
            for batch in batches:
                if fits(layer, batch):
                    times = _times(sides, settings, suite="layers", number=number, batch=batch)
                    about = {"network": layer.network, "layer": layer.name, "batch": batch}
                    rows.append({**about, "multiplications": layer.multiplications(batch), **times})
                    done(rows[-1])
    return rows


def run_networks(
    settings: Settings,
    batches: Sequence[int] | None,
    networks: Sequence[Network],
    done: Callable[[dict[str, Any]], None],
) -> list[dict[str, Any]]:
    """Time training steps and inference of networks.

    Args:
        settings: the settings of the comparison.
        batches: the numbers of images in a step. None: those of each network.
        networks: networks from `NETWORKS`.
        done: called with each row as soon as it is complete.
    Returns:
        A list of dicts: "network"; "mode", 'training' or 'inference'; "batch"; "seconds", "best_torch" and "ratio" as
        for `run_layers`.
    Raises:
        ArithmeticError, RuntimeError: as for `compare`.
    """
    rows = []
    with _sides(settings) as sides:
        for network in networks:
            for mode, usual in (("training", network.training), ("inference", network.inference)):
                for batch in batches or (usual,):
                    request = {"suite": "networks", "name": network.name, "inference": mode == "inference"}
                    times = _times(sides, settings, batch=batch, **request)
                    rows.append({"network": network.name, "mode": mode, "batch": batch, **times})
                    done(rows[-1])
    return rows


@contextlib.contextmanager
def _sides(settings: Settings) -> Iterator[list[Contestant]]:
    """The processes that take turns, fastnn first."""
    with contextlib.ExitStack() as stack:
        sides = []
        for name, own, environment in _contestants(settings):
            sides.append(Contestant(name, own, environment, "fastnn.benchmark.suite_worker"))
            stack.callback(sides[-1].close)
        yield sides


def _contestants(s: Settings) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    threads = {"OMP_NUM_THREADS": str(s.threads)}
    ours = {**threads, "FASTNN_ISA": s.isa, "FASTNN_CONV2D_ALGORITHM": "auto"}  # whatever the environment says
    result = [("fastnn", {"library": "fastnn", "threads": s.threads}, ours)]
    for mode in s.modes:
        own = {"library": "torch", "threads": s.threads, "channels_last": TORCH_MODES[mode][0]}
        result.append((f"torch {mode}", own, {**threads, **TORCH_LIMITS.get(s.isa, {})}))
    return result


def _times(sides: Sequence[Contestant], s: Settings, **request: Any) -> dict[str, Any]:
    """seconds, best_torch and ratio of what this request asks the sides to make."""
    for side in sides:
        side.load(**request)
    take_turns(sides, s)
    others = [side for side in sides if side.library == "torch"]
    best = min(others, key=lambda side: statistics.median(side.medians)) if others else None
    return {
        "seconds": {side.name: side.medians for side in sides},
        "best_torch": None if best is None else best.name,
        "ratio": None if best is None else ratio(sides[0].medians, best.medians),
    }


def report(rows: Sequence[dict[str, Any]]) -> str:
    """The result of the suite of layers as text, with two tables in Markdown: networks, and the slowest layers.

    Without PyTorch there is one table of all layers with the times of fastnn.
    """
    if any(row["ratio"] is None for row in rows):
        return markdown([_cells(row) for row in rows])
    ratios = [row["ratio"]["median"] for row in rows]
    below = sum(value < 1 for value in ratios)
    lines = [
        f"{len(rows)} layers, forward and backward: geometric mean {geometric_mean(ratios):.2f} times PyTorch's better "
        f"layout, {below} slower than it.",
        "",
        markdown(_by_network(rows)),
        "",
        "The slowest against PyTorch:",
        "",
        markdown([_cells(row) for row in sorted(rows, key=lambda row: row["ratio"]["median"])[:_WORST]]),
    ]
    return "\n".join(lines)


def report_networks(rows: Sequence[dict[str, Any]]) -> str:
    """The result of the suite of networks as text, with a table in Markdown."""
    lines = []
    for mode in ("training", "inference"):
        ratios = [row["ratio"]["median"] for row in rows if row["mode"] == mode and row["ratio"] is not None]
        if ratios:
            mean, below = geometric_mean(ratios), sum(value < 1 for value in ratios)
            lines.append(
                f"{mode.capitalize()} of {len(ratios)} networks: geometric mean {mean:.2f} times PyTorch's better "
                f"layout, {below} slower than it."
            )
    return "\n\n".join([*lines, markdown([_cells(row) for row in rows])])


def _by_network(rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    batches = sorted({row["batch"] for row in rows})
    result = []
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network]
        cells = {"network": network, "layers": str(len(own)), "geometric mean": _mean(own)}
        for batch in batches:
            cells[f"batch {batch}"] = _mean([row for row in own if row["batch"] == batch])
        result.append(cells)
    total = {"network": "all", "layers": str(len(rows)), "geometric mean": _mean(rows)}
    return [*result, {**total, **{f"batch {b}": _mean([row for row in rows if row["batch"] == b]) for b in batches}}]


def _mean(rows: Sequence[dict[str, Any]]) -> str:
    return f"{geometric_mean([row['ratio']['median'] for row in rows]):.2f}" if rows else ""


def _milliseconds(seconds: float) -> str:
    """To three digits.

    Example:
        >>> [_milliseconds(seconds) for seconds in (12.3456, 0.00123456)]
        ['12346', '1.23']
    """
    return f"{1e3 * seconds:.0f}" if seconds >= 1 else f"{1e3 * seconds:.3g}"


def _cells(row: dict[str, Any]) -> dict[str, str]:
    seconds = {name: statistics.median(times) for name, times in row["seconds"].items()}
    cells: dict[str, str] = {"network": row["network"]}
    cells.update({name: row[name] for name in ("layer", "mode") if name in row})
    cells["batch"] = str(row["batch"])
    cells["fastnn, ms"] = _milliseconds(seconds["fastnn"])
    if row["ratio"] is not None:
        cells["best PyTorch, ms"] = _milliseconds(seconds[row["best_torch"]])
        cells["which"] = row["best_torch"].removeprefix("torch ")
        cells["ratio (range)"] = ratio_text(row["ratio"])
    return cells
