"""How fast conv2d is: each direction and algorithm, as GF/s and as a share of the multiply-add peak of the same run.

Only multiplications with pixels of the image count: taps that fall on padding are not work, though other libraries do
them. The work is that of the definition whatever the algorithm, so that Winograd's, which multiplies less, can exceed
the peak; it can do all of these shapes. Everything is interleaved: one round measures the peak and every case once, and
the table shows medians over the rounds, so that a clock that drifts, drifts for all.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import common
import numpy as np

from fastnn import _machine
from fastnn import functional as F
from fastnn._layout import pixel_major
from fastnn.benchmark.report import where, write_json
from fastnn.profiling.work import valid_multiplications

# (height and width, input channels, output channels) of 3x3 convolutions with padding 1
SHAPES = [
    (32, 64, 64),
    (16, 64, 128),
    (16, 128, 128),
    (8, 128, 256),
    (8, 256, 256),
    (4, 256, 512),
    (4, 512, 512),
    (2, 512, 512),
]
DIRECTIONS = ("forward", "backward_data", "backward_weight")
ALGORITHMS = ("direct", "winograd", "winograd24", "winograd4", "im2col")


def case(direction: str, algorithm: str, n: int, size: int, c_in: int, c_out: int, dtype: type) -> Callable[[], object]:
    """The call to time, on random data that lies as in a network."""
    rng = np.random.default_rng(0)

    def images(channels: int) -> np.ndarray:
        return pixel_major(rng.standard_normal((n, channels, size, size), np.float32).astype(dtype))

    weight = np.ascontiguousarray(rng.standard_normal((3, 3, c_in, c_out)).astype(dtype)).transpose(3, 2, 0, 1)
    x, dy = images(c_in), images(c_out)
    if direction == "forward":
        return lambda: F.conv2d(x, weight, padding=1, algorithm=algorithm)
    data = direction == "backward_data"
    return lambda: F.conv2d_backward(
        dy, x, weight, padding=1, algorithm=algorithm, need_dx=data, need_dweight=not data, need_dbias=False
    )


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def parse_arguments() -> argparse.Namespace:
    parser = common.parser(__doc__, rounds=15)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--directions", nargs="+", choices=DIRECTIONS, default=DIRECTIONS)
    parser.add_argument("--algorithms", nargs="+", choices=("auto", *ALGORITHMS), default=ALGORITHMS)
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="only the first so many shapes")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    common.prepare(args)
    dtype = np.dtype(args.dtype).type
    print(f"{where(args.isa, args.threads)}, {args.dtype}, batch {args.batch}")
    rows, peaks = [], []
    for size, c_in, c_out in SHAPES[: args.shapes]:
        keys = [(direction, algorithm) for direction in args.directions for algorithm in args.algorithms]
        calls = {key: case(*key, args.batch, size, c_in, c_out, dtype) for key in keys}
        times: dict[tuple[str, str], list[float]] = {key: [] for key in keys}
        shape_peaks = []
        for key in keys:
            calls[key]()  # warm
        _machine.fma_peak(dtype, args.threads)
        for _ in range(args.rounds):
            shape_peaks.append(_machine.fma_peak(dtype, args.threads))
            for key in keys:
                times[key].append(seconds(calls[key]))
        peak = statistics.median(shape_peaks)
        peaks.append(peak)
        x, weight = (np.empty(shape, bool) for shape in ((args.batch, c_in, size, size), (c_out, c_in, 3, 3)))
        flops = 2.0 * valid_multiplications(x, weight, padding=1)
        for (direction, algorithm), measured in times.items():
            gflops = flops / statistics.median(measured) / 1e9
            rows.append({
                "size": size, "c_in": c_in, "c_out": c_out, "direction": direction, "algorithm": algorithm,
                "milliseconds": statistics.median(measured) * 1e3, "gflops": gflops, "peak": peak,
                "share_of_peak": gflops / peak,
            })  # fmt: skip
        print_shape(rows[-len(keys) :], args.algorithms)
    print(f"\nmultiply-add peak of this run: {statistics.median(peaks):.0f} GF/s")
    settings = {name: value for name, value in vars(args).items() if name != "json"}
    write_json(args.json, {"machine": _machine.description(), "settings": settings, "rows": rows})


def print_shape(rows: list[dict], algorithms: list[str]) -> None:
    first = rows[0]
    print(f"\n{first['size']}x{first['size']}  {first['c_in']} -> {first['c_out']}   (peak {first['peak']:.0f} GF/s)")
    for algorithm in algorithms:
        cells = [
            f"{row['direction']} {row['gflops']:6.0f} GF/s {row['share_of_peak']:4.0%}"
            for row in rows
            if row["algorithm"] == algorithm
        ]
        print(f"  {algorithm:8s} " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()
