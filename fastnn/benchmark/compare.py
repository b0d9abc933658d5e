"""One network and batch size: all contestants agree, then take turns."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, models
from fastnn._user_network import is_user_network
from fastnn.benchmark.contestant import FASTNN_ALGORITHMS, TORCH_LIMITS, TORCH_MODES, Contestant
from fastnn.benchmark.report import ratio

__all__ = ["PAUSE", "Settings", "compare", "take_turns"]

# Seconds before a turn. Idle threads of OpenMP spin for some milliseconds before they sleep: let those of the last
# contestant fall asleep.
PAUSE = 0.05


@dataclass(frozen=True)
class Settings:
    """The settings of a comparison.

    Attributes:
        threads: the number of threads of every contestant.
        isa: the instruction set for all contestants: one of `fastnn.available_isas()`; 'reference' leaves it to them.
        modes: the modes of PyTorch, keys of `TORCH_MODES`. Each runs with and without huge pages. Empty for fastnn
            alone.
        inference: time the forward in evaluation mode instead of training steps.
        rounds: the number of turns of each contestant that count.
        seconds: the time of each turn in seconds.
        warmup: the number of turns of two steps before those that count.
        shape: the shape of one image.
        classes: the number of classes of the labels.
    Raises:
        TypeError, ValueError: a setting is invalid.
    """

    threads: int
    isa: str
    modes: tuple[str, ...] = tuple(TORCH_MODES)
    inference: bool = False
    rounds: int = 7
    seconds: float = 1.0
    warmup: int = 3
    shape: tuple[int, ...] = (3, 32, 32)
    classes: int = 10

    def __post_init__(self) -> None:
        for name, minimum in (("threads", 1), ("rounds", 1), ("warmup", 0)):
            _check.integer("Settings", name, getattr(self, name), minimum)
        _check.number("Settings", "seconds", self.seconds, 0, finite=True)
        _check.boolean("Settings", "inference", self.inference)
        _check.one_of("Settings", "isa", self.isa, ("reference", *TORCH_LIMITS))
        if not isinstance(self.modes, tuple | list):
            raise TypeError(f"Settings: modes must be a tuple. Received: {_check.shown(self.modes)}")
        for mode in self.modes:
            _check.one_of("Settings", "modes", mode, tuple(TORCH_MODES))


def compare(network: str, batch: int, settings: Settings) -> dict[str, Any]:
    """Time steps of one network with fastnn, with fastnn restricted to single convolution algorithms, and with PyTorch.

    Every contestant is a process of its own. All must compute the same results; then they take turns.

    Args:
        network: one of `models.names()`, or a network of the user's, 'net.py:make_net'.
        batch: the number of images in a step.
        settings: the settings of the comparison.
    Returns:
        A dict: "network"; "batch"; "mode", 'training' or 'inference'; "seconds_per_step", "images_per_second" and
        "memory", by contestant; "best_torch", the fastest mode of PyTorch; "ratio_to_best_torch", by contestant of
        fastnn, how many times as fast it is: median, lowest and highest over the rounds. Without PyTorch, "best_torch"
        is None and "ratio_to_best_torch" is empty.
    Raises:
        ArithmeticError: two contestants compute different results, or one computes infinities or NaN.
        RuntimeError: the process of a contestant ended early.
        TypeError, ValueError: there is no such network, or batch is not a positive integer.
    """
    if not isinstance(network, str) or not (network in models.names() or is_user_network(network)):
        raise ValueError(f"compare: there is no model {_check.shown(network)}; choose from {', '.join(models.names())}")
    batch = _check.integer("compare", "batch", batch, 1)
    if not isinstance(settings, Settings):
        raise TypeError(f"compare: settings must be Settings. Received: {_check.shown(settings)}")
    with contextlib.ExitStack() as stack:
        sides: list[Contestant] = []
        for arguments in _contestants(network, batch, settings):
            sides.append(Contestant(*arguments))
            stack.callback(sides[-1].close)
        take_turns(sides, settings)
        memory = {side.name: side.memory() for side in sides}
    speeds = {side.name: batch / statistics.median(side.medians) for side in sides}
    return {
        "network": network,
        "batch": batch,
        "mode": "inference" if settings.inference else "training",
        "images_per_second": speeds,
        **_ratios(sides, speeds),
        "memory": memory,
        "seconds_per_step": {side.name: side.medians for side in sides},
    }


def take_turns(sides: Sequence[Contestant], settings: Settings) -> None:
    """Compare the results of all contestants, then time each in every round. Its `medians` are its seconds per step.

    Raises:
        ArithmeticError: two contestants compute different results, or one computes infinities or NaN.
    """
    _check_agreement(sides)
    for _ in range(settings.warmup):
        for side in sides:
            side.run(0)
    for _ in range(settings.rounds):
        for side in sides:
            time.sleep(PAUSE)
            side.medians.append(side.run(settings.seconds))


def _contestants(network: str, batch: int, s: Settings) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    """The arguments of each `Contestant`, fastnn first: with it all others must agree."""
    common = {
        "network": network, "batch": batch, "threads": s.threads, "inference": s.inference,
        "shape": list(s.shape), "classes": s.classes,
    }  # fmt: skip
    threads = {"OMP_NUM_THREADS": str(s.threads), "THP_MEM_ALLOC_ENABLE": "0"}
    isa = {} if s.isa == "reference" else {"FASTNN_ISA": s.isa}
    result = [
        (name, {"library": "fastnn", **common}, {**threads, **isa, "FASTNN_CONV2D_ALGORITHM": algorithm})
        for name, algorithm in FASTNN_ALGORITHMS.items()
    ]
    # A network of the user's has no twin in PyTorch.
    for mode in () if is_user_network(network) else s.modes:
        channels_last, compiled = TORCH_MODES[mode]
        settings = {"library": "torch", "channels_last": channels_last, "compiled": compiled, **common}
        for huge_pages in ("0", "1"):
            name = f"torch {mode}" + (" +thp" if huge_pages == "1" else "")
            limits = TORCH_LIMITS.get(s.isa, {})
            result.append((name, settings, {**threads, **limits, "THP_MEM_ALLOC_ENABLE": huge_pages}))
    return result


def _ratios(sides: Sequence[Contestant], speeds: dict[str, float]) -> dict[str, Any]:
    """best_torch and ratio_to_best_torch of `compare`."""
    others = [side for side in sides if side.library == "torch"]
    if not others:
        return {"best_torch": None, "ratio_to_best_torch": {}}
    best = max(others, key=lambda side: speeds[side.name])
    ours = {side.name: ratio(side.medians, best.medians) for side in sides if side.library == "fastnn"}
    return {"best_torch": best.name, "ratio_to_best_torch": ours}


def _check_agreement(sides: Sequence[Contestant]) -> None:
    """All sides have the same loss and gradients, or the same output, up to float32 rounding."""
    with tempfile.TemporaryDirectory() as folder:
        ours, *others = (side.results(folder) for side in sides)
    for side, theirs in zip(sides[1:], others, strict=True):
        difference = _difference(ours, theirs)
        if difference:
            raise ArithmeticError(f"{side.name} does not compute what fastnn does: {difference}")


def _difference(ours: dict[str, NDArray], theirs: dict[str, NDArray]) -> str:
    """What differs by more than rounding explains; empty if nothing does."""
    if theirs.keys() != ours.keys():
        return f"only one has {', '.join(sorted(theirs.keys() ^ ours.keys()))}"
    gradients = [array for name, array in ours.items() if name not in ("loss", "output")]
    # Some are zero but for rounding (a bias before batch norm): measure them by the size of the others.
    typical = np.sqrt(np.mean([np.mean(np.square(g)) for g in gradients])) if gradients else 0.0
    for name, array in ours.items():
        error = np.sqrt(np.mean(np.square(array - theirs[name])))
        size = np.sqrt(np.mean(np.square(array)))
        # A rounding error that moves one activation over the kink of a ReLU, or the maximum of a pool to its
        # neighbour, is as large as one image's share of the gradient.
        allowed = 1e-4 * size if name == "loss" else 1e-3 * size if name == "output" else 0.02 * size + 1e-3 * typical
        if not error <= allowed:
            return f"{name} differs by {error:.2e}, its size is {size:.2e}"
    return ""
