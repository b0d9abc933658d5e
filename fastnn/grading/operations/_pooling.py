"""What max and average pooling have in common: cases, windows, signatures."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn.grading.operation import Case, Form, Inputs, Settings, Wrong
from fastnn.grading.operations._shared import FLOAT32_HINT
from fastnn.grading.tolerances import FLOAT32

__all__ = [
    "HINTS",
    "OUTPUT_MISTAKES",
    "WINDOW_MISTAKES",
    "backward_forms",
    "forward_forms",
    "out_shape",
    "places",
    "pool_cases",
    "quantities",
]


def pool_cases(ties: bool) -> Callable[[np.random.Generator, Settings], list[Case]]:
    """Cases of a pooling; with `ties`, one whose windows have equal maxima."""

    def cases(rng: np.random.Generator, settings: Settings) -> list[Case]:
        def case(
            label: str,
            shape: tuple[int, int, int, int],
            kernel: tuple[int, int],
            stride: int,
            padding: int = 0,
            dtype: Any = np.float64,
            shift: float = 0.0,
            **more: Any,
        ) -> Case:
            x = rng.standard_normal(shape) + shift
            if "ties" in more.get("tags", ()):
                x = np.repeat(np.repeat(x[:, :, ::2, ::2], 2, 2), 2, 3)
            inputs: Inputs = {"x": x.astype(dtype), "kernel": kernel, "stride": stride, "padding": padding}
            inputs["dy"] = rng.standard_normal((*shape[:2], *out_shape(inputs, frozenset()))).astype(dtype)
            inputs["kernel_size"] = kernel[0] if kernel[0] == kernel[1] else kernel
            tags = [*more.pop("tags", ())]
            tags += ["overlapping windows"] * (stride < max(kernel)) + ["gaps"] * (stride > min(kernel))
            tags += ["padding"] * (padding > 0) + ["window that is not square"] * (kernel[0] != kernel[1])
            words = f"{label}x {shape}, kernel {inputs['kernel_size']}, stride {stride}"
            return Case(words + f", padding {padding}" * (padding > 0), inputs, tuple(tags), **more)

        found = [
            case("", (2, 3, 4, 6), (2, 2), 2),
            case("", (2, 2, 6, 9), (3, 3), 3),
            case(
                "negative numbers, ", (2, 2, 4, 4), (2, 2), 2, shift=-10.0, tags=("negative numbers", "square images")
            ),
            case("overlapping windows, ", (2, 2, 5, 7), (3, 3), 2),
            case("overlapping windows, ", (1, 2, 4, 5), (2, 2), 1, tags=("one image",)),
            case(
                "size that is no multiple, ", (2, 1, 5, 7), (2, 2), 2, tags=("one channel", "size that is no multiple")
            ),
            case("gaps, ", (2, 2, 7, 8), (2, 2), 3),
            case("padding, ", (2, 2, 4, 6), (2, 2), 2, 1),
            case("padding, ", (2, 2, 5, 6), (3, 3), 2, 1, shift=-5.0),
            case("window that is not square, ", (2, 2, 6, 6), (2, 3), 2),
            case("float32, ", (2, 2, 4, 6), (2, 2), 2, dtype=np.float32, tags=("float32",), tolerance=FLOAT32),
        ]
        if ties:
            found.append(case("ties, ", (2, 2, 4, 6), (2, 2), 2, tags=("ties",)))
        return found

    return cases


def _out(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def out_shape(i: Inputs, wrong: Wrong) -> tuple[int, int]:
    """Height and width of the result."""
    stride, p = i["stride"], i["padding"]
    (h, w), (r, s) = i["x"].shape[2:], i["kernel"]
    if "the stride is ignored" in wrong:
        stride = 1
    if "the size of the window is used as the stride" in wrong:
        return _out(h, r, r, p), _out(w, s, s, p)
    if "the size of the output is one too small" in wrong:
        return _out(h, r, stride, p) - 1, _out(w, s, stride, p) - 1
    if "the size of the output is rounded up" in wrong:
        return -(-(h + 2 * p - r) // stride) + 1, -(-(w + 2 * p - s) // stride) + 1
    if "the size of the output is the size of x divided by the stride" in wrong:
        return h // stride, w // stride
    if "the padding is ignored" in wrong:
        p = 0
    return _out(h, r, stride, p), _out(w, s, stride, p)


def places(i: Inputs, wrong: Wrong) -> Iterator[tuple[int, int, slice, slice]]:
    """(row, column of the output, rows, columns of the window in the padded image)."""
    stride, (r, s) = i["stride"], i["kernel"]
    out_h, out_w = out_shape(i, wrong)
    down = right = stride
    if "the stride is not used for the place of the window" in wrong or "the stride is ignored" in wrong:
        down = right = 1
    if (
        "the size of the window is used as the stride" in wrong
        or "the size of the window is used for its place" in wrong
    ):
        down, right = r, s
    first = 1 if "the window starts one pixel too late" in wrong else 0
    if "the window is one pixel too small" in wrong:
        r, s = max(r - 1, 1), max(s - 1, 1)
    if "the window is one pixel too large" in wrong:
        r, s = r + 1, s + 1
    if "the stride is used as the size of the window" in wrong:
        r = s = stride
    if "the last row and column of the output are left out" in wrong:
        out_h, out_w = out_h - 1, out_w - 1
    for a in range(out_h):
        for b in range(out_w):
            y, x = a * down + first, b * right + first
            if "rows and columns of the window are exchanged" in wrong:
                y, x = x, y
            yield a, b, slice(y, y + r), slice(x, x + s)


WINDOW_MISTAKES = {
    "the stride is not used for the place of the window": "for output (i, j) the window starts at (i * stride, j * "
    "stride)",
    "the size of the window is used for its place": "for output (i, j) the window starts at (i * stride, j * stride)",
    "the stride is used as the size of the window": "the window has the size kernel_size, whatever the stride",
    "the window starts one pixel too late": "off by one: the first window starts at pixel 0 of the padded image",
    "the window is one pixel too small": "off by one: the window is x[i * stride : i * stride + kernel_size]",
    "the window is one pixel too large": "off by one: the window is x[i * stride : i * stride + kernel_size]",
    "the last row and column of the output are left out": "off by one: the loops must reach every output",
    "rows and columns of the window are exchanged": "the first index is the row (height), the second the column "
    "(width)",
}

# Of the forward pass only: the result has the wrong size, or is computed in part.
OUTPUT_MISTAKES = {
    "the stride is ignored": "for output (i, j) the window starts at (i * stride, j * stride)",
    "the size of the window is used as the stride": "for output (i, j) the window starts at (i * stride, j * stride)",
    "the padding is ignored": "the windows start at -padding",
    "the size of the output is one too small": "off by one: (H + 2 * padding - kernel_size) // stride + 1",
    "the size of the output is rounded up": "(H + 2 * padding - kernel_size) // stride + 1, rounded down",
    "the size of the output is the size of x divided by the stride": "(H + 2 * padding - kernel_size) // stride + 1",
    "only the first image is computed": "go through all images",
    "only the first channel is computed": "go through all channels",
}

_OPTIONS = {"padding": 0}
_PYTORCH = ("x", "kernel_size", "stride", "padding", "dy")
_CS231N = ("x", "pool_param", "dout", "cache")


def _pool_param(i: Inputs) -> dict[str, Any]:
    height, width = i["kernel"]
    return {"pool_param": {"pool_height": height, "pool_width": width, "stride": i["stride"], "padding": i["padding"]}}


def _pool_param_plain(i: Inputs) -> dict[str, Any]:
    param = _pool_param(i)["pool_param"]
    if not i["padding"]:
        del param["padding"]
    return {"pool_param": param, "padding": i["padding"]}


def _is_square(case: Case) -> bool:
    height, width = case.inputs["kernel"]
    return height == width


def forward_forms() -> tuple[Form, ...]:
    """The accepted signatures of forward."""
    return (
        Form(
            "pytorch",
            "forward(x, kernel_size, stride, padding=0) -> y",
            ("x", "kernel_size", "stride"),
            ("y",),
            _OPTIONS,
            suits=_is_square,
            names=_PYTORCH,
        ),
        Form(
            "cs231n",
            "forward(x, pool_param) -> (out, cache), with pool_param = {pool_height, pool_width, stride}",
            ("x", "pool_param"),
            ("y",),
            _OPTIONS,
            arguments=_pool_param_plain,
            names=_CS231N,
        ),
    )


def backward_forms() -> tuple[Form, ...]:
    """The accepted signatures of backward."""
    return (
        Form(
            "pytorch",
            "backward(dy, x, kernel_size, stride, padding=0) -> dx",
            ("dy", "x", "kernel_size", "stride"),
            ("dx",),
            _OPTIONS,
            suits=_is_square,
            names=_PYTORCH,
        ),
        Form("pytorch", "backward(dy, cache) -> dx", ("dy", "cache"), ("dx",), names=("dy",)),
        Form("cs231n", "backward(dout, cache) -> dx", ("dy", "cache"), ("dx",), names=_CS231N),
    )


def quantities(inputs: Inputs) -> dict[str, float]:
    """Numbers that may be a wrong factor."""
    n, c, h, w = inputs["x"].shape
    r, s = inputs["kernel"]
    return {
        "the batch size": n,
        "the area of the window": r * s,
        "the height of the window": r,
        "the width of the window": s,
        "the stride": inputs["stride"],
        "the square of the stride": inputs["stride"] ** 2,
        "the number of channels": c,
        "the area of the image": h * w,
    }


HINTS = {
    **FLOAT32_HINT,
    "overlapping windows": "wrong only where windows overlap (the stride is smaller than the window): gradients must "
    "be "
    "added, not assigned, and the window starts at i * stride",
    "gaps": "wrong only where the stride is larger than the window",
    "padding": "right without padding, wrong with it",
    "window that is not square": "wrong only for a window that is not square: are its height and width told apart?",
    "negative numbers": "wrong only for negative numbers: does the maximum start at 0 instead of -infinity?",
    "size that is no multiple": "wrong only where the size is no multiple of the stride: the rest is left out",
    "ties": "wrong only where a window has several equal maxima: the gradient goes to one of them",
    "one image": "wrong only for a batch of one image",
    "one channel": "wrong only for one channel",
}
