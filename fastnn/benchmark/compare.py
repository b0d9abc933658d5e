"""A training step of five networks, side by side with PyTorch: forward, loss, backward, SGD with momentum.

Every contestant is a process that is built, warmed up and kept; then they take turns, A B C A B C, one at a time, and
the table shows medians over the rounds. Before anything is timed, all of them compute the loss and all gradients of the
same weights on the same batch, and these must agree. PyTorch runs with NCHW and channels_last tensors, each as it is
and compiled, each with and without huge pages (THP_MEM_ALLOC_ENABLE=1); the ratio is to the best of these.

Needs `pip install torch==2.13.0`, and a C++ compiler for torch.compile.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np

import fastnn

NETWORKS = ("keras_cnn", "vgg_a", "vgg_a_bn", "resnet20", "airbench94")
TORCH_MODES = {  # name: (channels_last, compiled)
    "nchw": (False, False),
    "channels_last": (True, False),
    "compile": (False, True),
    "compile_channels_last": (True, True),
}
# What holds the libraries under PyTorch to an instruction set.
TORCH_LIMITS = {
    "baseline": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {},
}
# Idle threads of OpenMP spin for some milliseconds before they sleep: let those of the last contestant fall asleep.
PAUSE = 0.05


class Contestant:
    """A worker process and the times of its steps."""

    def __init__(self, name: str, settings: dict[str, Any], environment: dict[str, str]) -> None:
        self.name = name
        self.medians: list[float] = []  # seconds a step, one for each round
        self.steps = 0
        worker = Path(__file__).with_name("_training_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(worker), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with status {self.process.wait()}; its words are above")
        return json.loads(line)

    def run(self, seconds: float) -> float:
        answer = self.ask(do="time", first=self.steps, seconds=seconds)
        if not np.isfinite(answer["loss"]):
            raise SystemExit(f"{self.name}: the loss is {answer['loss']}")
        self.steps += len(answer["seconds"]) + 1
        return statistics.median(answer["seconds"])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def contestants(network: str, batch: int, args: argparse.Namespace) -> list[Contestant]:
    common = {"network": network, "batch": batch, "threads": args.threads}
    threads = {"OMP_NUM_THREADS": str(args.threads), "THP_MEM_ALLOC_ENABLE": "0"}
    result = [Contestant("fastnn", {"library": "fastnn", **common}, {**threads, "FASTNN_ISA": args.isa})]
    for mode in args.modes:
        channels_last, compiled = TORCH_MODES[mode]
        settings = {"library": "torch", "channels_last": channels_last, "compiled": compiled, **common}
        for huge_pages in ("0", "1"):
            name = f"torch {mode}" + (" +thp" if huge_pages == "1" else "")
            environment = {**threads, **TORCH_LIMITS[args.isa], "THP_MEM_ALLOC_ENABLE": huge_pages}
            result.append(Contestant(name, settings, environment))
    return result


def check_agreement(sides: list[Contestant], folder: str) -> None:
    """All sides have the same loss and the same gradients, up to float32 rounding."""
    ours: dict[str, np.ndarray] = {}
    our_loss = 0.0
    for side in sides:
        path = str(Path(folder) / "gradients.npz")
        loss = side.ask(do="gradients", path=path)["loss"]
        with np.load(path, allow_pickle=False) as file:
            theirs = {name: file[name] for name in file.files}
        if side is sides[0]:
            ours, our_loss = theirs, loss
            # Some are zero but for rounding (a bias before batch norm): measure them by the size of the others.
            typical = np.sqrt(np.mean([np.mean(np.square(g)) for g in ours.values()]))
            continue
        if theirs.keys() != ours.keys():
            raise SystemExit(f"{side.name}: other parameters have gradients: {sorted(theirs.keys() ^ ours.keys())}")
        if abs(loss - our_loss) > 1e-4 * abs(our_loss):
            raise SystemExit(f"{side.name}: the loss is {loss}, ours is {our_loss}")
        for name, gradient in ours.items():
            error = np.sqrt(np.mean(np.square(gradient - theirs[name])))
            size = np.sqrt(np.mean(np.square(gradient)))
            # A rounding error that moves one activation over the kink of a ReLU, or the maximum of a pool to its
            # neighbour, is as large as one image's share of the gradient.
            if error > 0.02 * size + 1e-3 * typical:
                raise SystemExit(f"{side.name}: the gradient of {name} differs by {error:.2e}, its size is {size:.2e}")


def compare(network: str, batch: int, args: argparse.Namespace) -> dict[str, Any]:
    sides = contestants(network, batch, args)
    try:
        with tempfile.TemporaryDirectory() as folder:
            check_agreement(sides, folder)
        for _ in range(args.warmup):
            for side in sides:
                side.run(0)
        for _ in range(args.rounds):
            for side in sides:
                time.sleep(PAUSE)
                side.medians.append(side.run(args.seconds))
    finally:
        for side in sides:
            side.close()
    speeds = {side.name: batch / statistics.median(side.medians) for side in sides}
    best = max((name for name in speeds if name != "fastnn"), key=speeds.__getitem__)
    # The ratio of each round, since two neighbours in time share the clock; then their median.
    (best_side,) = (side for side in sides if side.name == best)
    ratios = [theirs / ours for theirs, ours in zip(best_side.medians, sides[0].medians, strict=True)]
    return {
        "network": network,
        "batch": batch,
        "images_per_second": speeds,
        "best_torch": best,
        "ratio": statistics.median(ratios),
        "ratio_lowest": min(ratios),
        "ratio_highest": max(ratios),
        "seconds_per_step": {side.name: side.medians for side in sides},
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=fastnn.models.names(), default=NETWORKS)
    parser.add_argument("--batch", nargs="+", type=int, default=[128])
    parser.add_argument("--threads", type=int, default=fastnn.num_threads())
    parser.add_argument("--modes", nargs="+", choices=TORCH_MODES, default=list(TORCH_MODES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of timed steps, each round and contestant")
    parser.add_argument("--warmup", type=int, default=3, help="rounds of two steps before any that counts")
    parser.add_argument("--isa", choices=fastnn.available_isas(), default=fastnn.isa(), help="for all sides")
    parser.add_argument("--out", help="write the results to this JSON file")
    return parser.parse_args()


def print_result(row: dict[str, Any]) -> None:
    print(f"\n{row['network']}, batch {row['batch']}: images/s")
    for name, speed in sorted(row["images_per_second"].items(), key=lambda item: -item[1]):
        print(f"  {name:28s} {speed:8.0f}")
    spread = f"{row['ratio_lowest']:.2f} to {row['ratio_highest']:.2f}"
    print(f"  fastnn / {row['best_torch']}: {row['ratio']:.2f} ({spread})", flush=True)


def print_table(rows: list[dict[str, Any]]) -> None:
    print(
        "\n| network | batch | fastnn, images/s | best PyTorch, images/s | which | ratio |\n|---|---|---|---|---|---|"
    )
    for row in rows:
        speeds, best = row["images_per_second"], row["best_torch"]
        print(
            f"| {row['network']} | {row['batch']} | {speeds['fastnn']:.0f} | {speeds[best]:.0f} | "
            f"{best.removeprefix('torch ')} | {row['ratio']:.2f} |"
        )


def main() -> None:
    args = parse_arguments()
    try:
        torch_version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit("PyTorch is needed: pip install torch==2.13.0, or run make bench-torch") from None
    about = {**machine.description(), "torch": torch_version, "threads": args.threads, "isa": args.isa}
    print(f"{about['cpu']}, {args.isa}, {args.threads} threads, fastnn {fastnn.__version__}, torch {torch_version}")
    rows = []
    for batch in args.batch:
        for network in args.networks:
            rows.append(compare(network, batch, args))
            print_result(rows[-1])
            # After each, so that an interrupted run leaves what it measured.
            settings = {name: value for name, value in vars(args).items() if name != "out"}
            machine.write_json(args.out, {"machine": about, "settings": settings, "rows": rows})
    print_table(rows)


if __name__ == "__main__":
    main()
