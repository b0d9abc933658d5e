"""Single operations side by side with PyTorch: milliseconds, their ratio, and GB/s of what must be moved at least.

Both libraries run in this process, in turns, on the same float32 numbers, and must agree before anything is timed.
PyTorch runs as in training, with autograd, and on both NCHW and channels_last tensors (optimisers: fused and foreach);
a round times all of them, and the ratio is to the best. ReLU has a row more, against PyTorch's in place, which fast
scripts use and fastnn does not have. NumPy, and so fastnn, asks the system for huge pages; PyTorch does if it is told
to, which it is unless --no-huge-pages is given.

What must be moved are the arrays in the column 'moved', each as often as it is named there. Batch norm reads x for its
statistics and again to normalise it, since no cache close to a core holds it meanwhile; going back, the same is true of
dy and x. A maximum is found again by its number in the window, one byte, which is what fastnn keeps (PyTorch: eight).
What there is one of for each channel is not counted. GB/s are fastnn's; the streaming bandwidth that they are compared
with is measured in the same rounds, on arrays too long for most caches, so that smaller activations can exceed it.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import common
import numpy as np

from fastnn import _layout, _machine, nn, optim
from fastnn.benchmark.compare import PAUSE
from fastnn.benchmark.contestant import TORCH_LIMITS
from fastnn.benchmark.report import markdown, ratio, ratio_text, where, write_json
from fastnn.benchmark.worker import build, time_steps

ACTIVATIONS = [(64, 32), (256, 8)]  # (channels, height and width)
SCORES = [(512, 10), (128, 1000)]  # (images, classes)
# operation: (how either library's nn makes the layer, moved forward, moved backward)
LAYERS: dict[str, tuple[Callable[[Any, int], Any], list[str], list[str]]] = {
    "batch_norm": (lambda nn, channels: nn.BatchNorm2d(channels), ["x", "x", "y"], ["dy", "x", "dy", "x", "dx"]),
    "relu": (lambda nn, channels: nn.ReLU(), ["x", "y"], ["dy", "y", "dx"]),
    "max_pool": (lambda nn, channels: nn.MaxPool2d(2), ["x", "y", "taps"], ["dy", "taps", "dx"]),
    "avg_pool": (lambda nn, channels: nn.AdaptiveAvgPool2d(1), ["x", "y"], ["dy", "dx"]),
}
# operation: (class of either library's optim, its settings, moved)
OPTIMIZERS: dict[str, tuple[str, dict[str, float], list[str]]] = {
    "sgd": ("SGD", {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}, ["w", "dw", "u", "w", "u"]),
    "adam": ("Adam", {"lr": 1e-3}, ["w", "dw", "m", "v", "w", "m", "v"]),
}
OPTIMIZED = "vgg_a"
TOLERANCE = 1e-5  # root mean square, relative: some units of float32's rounding


@dataclass(frozen=True)
class Case:
    """What is timed: calls that return all that they compute.

    Attributes:
        name, shape: for people.
        moved: names of arrays, one for each time that an array must be read or written.
        sizes: bytes of these arrays.
        ours: fastnn's call.
        theirs: PyTorch's calls, by what distinguishes them.
    """

    name: str
    shape: str
    moved: list[str]
    sizes: dict[str, int]
    ours: Callable[[], Any]
    theirs: dict[str, Callable[[], Any]]


# ---- cases -----------------------------------------------------------------------------------------------------------
def layer_cases(operation: str, batch: int) -> Iterator[Case]:
    """A layer forward and backward, on each of `ACTIVATIONS`."""
    import torch  # in functions, since the options tell what its environment is to be

    rng = np.random.default_rng(0)
    make, moved_forward, moved_backward = LAYERS[operation]
    for channels, size in ACTIVATIONS:
        x = _layout.pixel_major(rng.standard_normal((batch, channels, size, size), np.float32))
        layer = make(nn, channels)
        y = layer(x)
        dy = _layout.pixel_major(rng.standard_normal(y.shape, np.float32))
        forward: dict[str, Callable[[], Any]] = {}
        in_place: dict[str, Callable[[], Any]] = {}
        backward: dict[str, Callable[[], Any]] = {}
        for layout, memory_format in (("nchw", torch.contiguous_format), ("channels_last", torch.channels_last)):
            tx, tdy = (torch.from_numpy(array).clone(memory_format=memory_format) for array in (x, dy))
            in_place[layout] = partial(outputs, torch.relu_, tx.clone())
            module = make(torch.nn, channels)
            inputs = (tx.requires_grad_(), *module.parameters())
            forward[layout] = partial(outputs, module, tx)
            backward[layout] = partial(torch.autograd.grad, module(tx), inputs, tdy, retain_graph=True)
        sizes = {"x": x.nbytes, "dx": x.nbytes, "y": y.nbytes, "dy": y.nbytes, "taps": y.size}
        shape = " x ".join(map(str, x.shape))
        ours = partial(outputs, layer, x)
        yield Case(f"{operation} forward", shape, moved_forward, sizes, ours, forward)
        if operation == "relu":
            yield Case("relu forward, PyTorch's in place", shape, moved_forward, sizes, ours, in_place)
        yield Case(f"{operation} backward", shape, moved_backward, sizes, partial(gradients, layer, dy), backward)


def outputs(layer: Callable[[Any], Any], x: Any) -> tuple[Any]:
    """Of a layer of either library."""
    return (layer(x),)


def gradients(layer: Any, dy: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of fastnn's layer, with respect to its last input and to its parameters."""
    layer.zero_grad()
    dx = layer.backward(dy)
    return dx, *(parameter.grad for parameter in layer.parameters())


def cross_entropy_cases(operation: str, batch: int) -> Iterator[Case]:
    """The loss and its gradient, on each of `SCORES`, whatever the batch."""
    import torch

    rng = np.random.default_rng(0)
    for rows, classes in SCORES:
        x, labels = rng.standard_normal((rows, classes), np.float32), rng.integers(0, classes, rows)
        tensors = torch.tensor(x, requires_grad=True), torch.from_numpy(labels)
        ours = partial(loss_and_gradient, nn.CrossEntropyLoss(), x, labels)
        theirs = partial(torch_loss_and_gradient, torch.nn.CrossEntropyLoss(), *tensors)
        name, shape = f"{operation} forward and backward", f"{rows} x {classes}"
        sizes = {"x": x.nbytes, "labels": labels.nbytes, "dx": x.nbytes}
        yield Case(name, shape, ["x", "labels", "dx"], sizes, ours, {"contiguous": theirs})


def loss_and_gradient(criterion: Any, x: np.ndarray, labels: np.ndarray) -> tuple[Any, ...]:
    """Of fastnn's criterion."""
    return criterion(x, labels), criterion.backward()


def torch_loss_and_gradient(criterion: Any, x: Any, labels: Any) -> tuple[Any, ...]:
    """Of PyTorch's criterion."""
    x.grad = None
    loss = criterion(x, labels)
    loss.backward()
    return loss, x.grad


def optimizer_cases(operation: str, batch: int) -> Iterator[Case]:
    """A step of all parameters of a network, whatever the batch."""
    import torch

    rng = np.random.default_rng(0)
    name, settings, moved = OPTIMIZERS[operation]
    parameters = list(build(OPTIMIZED).parameters())
    for p in parameters:
        p.grad = _layout.empty_like(p.data)
        p.grad[...] = 1e-3 * rng.standard_normal(p.shape, np.float32)
    theirs: dict[str, Callable[[], Any]] = {}
    for kind in ("fused", "foreach"):
        # As PyTorch lays them out; fastnn's filters lie in another order.
        tensors = [torch.from_numpy(p.data.copy(order="C")).requires_grad_() for p in parameters]
        for tensor, p in zip(tensors, parameters, strict=True):
            tensor.grad = torch.from_numpy(p.grad.copy(order="C"))
        optimizer = getattr(torch.optim, name)(tensors, **settings, **{kind: True})
        theirs[kind] = partial(stepped, optimizer, tensors)
    ours = partial(stepped, getattr(optim, name)(parameters, **settings), [p.data for p in parameters])
    n_bytes = sum(p.data.nbytes for p in parameters)
    shape = f"{OPTIMIZED}, {sum(p.size for p in parameters) / 1e6:.2f} M parameters"
    yield Case(f"{operation} step", shape, moved, dict.fromkeys(moved, n_bytes), ours, theirs)


def stepped(optimizer: Any, weights: list[Any]) -> list[Any]:
    """The weights after a step of either library's optimiser, which changes them in place."""
    optimizer.step()
    return weights


CASES: dict[str, Callable[[str, int], Iterator[Case]]] = {
    **dict.fromkeys(LAYERS, layer_cases),
    "cross_entropy": cross_entropy_cases,
    **dict.fromkeys(OPTIMIZERS, optimizer_cases),
}


# ---- measuring -------------------------------------------------------------------------------------------------------
def check(case: Case) -> None:
    """Raise ArithmeticError unless all compute the same, up to rounding."""
    for _ in range(2):  # the first step of SGD has no momentum yet
        ours = [as_array(value) for value in case.ours()]
        theirs = {name: [as_array(value) for value in call()] for name, call in case.theirs.items()}
    for name, arrays in theirs.items():
        for mine, other in zip(ours, arrays, strict=True):
            assert mine.shape == other.shape
            error, size = (np.sqrt(np.mean(np.square(array))) for array in (mine - other, mine))
            if not error <= TOLERANCE * size:
                what = f"{case.name}, {case.shape}: torch {name}"
                raise ArithmeticError(f"{what} differs by {error:.2e} from fastnn, whose size is {size:.2e}")


def as_array(value: Any) -> np.ndarray:
    """A result of either library."""
    return value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)


def turn(call: Callable[[], Any], seconds: float) -> float:
    """The median time of the calls of a turn that lasts so many seconds."""
    time.sleep(PAUSE)
    return statistics.median(time_steps(lambda _: call(), 0, seconds)["seconds"])


def measure(case: Case, args: argparse.Namespace, stream: _machine.Stream) -> dict[str, Any]:
    """The results of a case."""
    check(case)
    calls = {"fastnn": case.ours, **{f"torch {name}": call for name, call in case.theirs.items()}}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    bandwidths = []
    for _ in range(args.rounds):
        time.sleep(PAUSE)
        bandwidths.append(stream.bandwidth(args.threads))
        for name, call in calls.items():
            seconds[name].append(turn(call, args.seconds))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    best = min((name for name in calls if name != "fastnn"), key=medians.__getitem__)
    n_bytes = sum(case.sizes[name] for name in case.moved)
    speed, bandwidth = n_bytes / medians["fastnn"] / 1e9, statistics.median(bandwidths)
    return {
        "operation": case.name,
        "shape": case.shape,
        "milliseconds": {name: 1e3 * median for name, median in medians.items()},
        "best_torch": best,
        "ratio_to_best_torch": {"fastnn": ratio(seconds["fastnn"], seconds[best])},
        "moved": case.moved,
        "bytes": n_bytes,
        "gigabytes_per_second": speed,
        "streaming_gigabytes_per_second": bandwidth,
        "share_of_streaming": speed / bandwidth,
        "seconds_per_call": seconds,
    }


def cells(row: dict[str, Any]) -> dict[str, str]:
    """A row of the table: {column: cell}."""
    best = row["best_torch"]
    return {
        "operation": row["operation"],
        "shape": row["shape"],
        "fastnn, ms": f"{row['milliseconds']['fastnn']:.3f}",
        "best PyTorch, ms": f"{row['milliseconds'][best]:.3f}",
        "which": best.removeprefix("torch "),
        "ratio (range)": ratio_text(row["ratio_to_best_torch"]["fastnn"]),
        "moved": " + ".join(row["moved"]),
        "GB/s": f"{row['gigabytes_per_second']:.1f}",
        "of streaming": f"{row['share_of_streaming']:.0%}",
    }


def parse_arguments() -> argparse.Namespace:
    parser = common.parser(__doc__, rounds=7)
    parser.add_argument("--operations", nargs="+", choices=CASES, default=list(CASES), help="default: all")
    parser.add_argument("--seconds", type=float, default=0.2, help="of timed calls in each turn (default: 0.2)")
    parser.add_argument(
        "--huge-pages",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether PyTorch asks the system for huge pages (default: yes)",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    common.prepare(args)
    # Before PyTorch is loaded, which reads these once.
    os.environ.update(TORCH_LIMITS[args.isa], THP_MEM_ALLOC_ENABLE=str(int(args.huge_pages)))
    import torch

    torch.set_num_threads(args.threads)
    settings = {name: value for name, value in vars(args).items() if name != "json"}
    about = {**_machine.description(), "torch": torch.__version__}
    stream = _machine.Stream(np.float32)
    rows: list[dict[str, Any]] = []
    for operation in args.operations:
        for case in CASES[operation](operation, args.batch):
            rows.append(measure(case, args, stream))
            print(f"{case.name}, {case.shape}: {cells(rows[-1])['ratio (range)']}", file=sys.stderr, flush=True)
            # After each, so that an interrupted run leaves what it measured.
            write_json(args.json, {"machine": about, "settings": settings, "rows": rows})
    pages = "with" if args.huge_pages else "without"
    print(f"{where(args.isa, args.threads)}, PyTorch {torch.__version__} {pages} huge pages, float32\n")
    print(markdown([cells(row) for row in rows]))


if __name__ == "__main__":
    common.require_torch("bench-operations")
    main()
