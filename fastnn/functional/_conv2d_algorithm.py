"""Which algorithm is to compute a convolution: asked for, preferred, or 'auto', which src_c/ops/conv2d.c decides."""

from collections.abc import Sequence

from fastnn import _check, _runtime

Pair = tuple[int, int]

# Outputs of a tile, down and across.
WINOGRAD_OUTPUTS = {"winograd": (2, 2), "winograd24": (2, 4), "winograd4": (4, 4)}
WINOGRAD_NEEDS = "a 3 x 3 kernel, stride 1, dilation 1, groups 1 and padding 0 to 2"


def _winograd_can(kernel: Sequence[int], stride: Pair, pad: Pair, dilation: Pair, groups: int) -> bool:
    fits = tuple(kernel) == (3, 3) and stride == dilation == (1, 1) and groups == 1
    return fits and min(pad) >= 0 and max(pad) <= 2


def check_algorithm(
    operation: str, algorithm: str, kernel: Sequence[int], stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> None:
    """Raise ValueError unless there is such an algorithm and it can do this convolution."""
    if not isinstance(algorithm, str) or algorithm not in _runtime.CONV2D_ALGORITHMS:
        known = ", ".join(_runtime.CONV2D_ALGORITHMS)
        raise ValueError(f"{operation}: algorithm must be one of {known}. Received: {_check.shown(algorithm)}")
    if algorithm in WINOGRAD_OUTPUTS and not _winograd_can(kernel, stride, pad, dilation, groups):
        raise _check.fail(
            operation,
            f"algorithm {algorithm!r} needs {WINOGRAD_NEEDS}",
            kernel=tuple(kernel),
            stride=stride,
            dilation=dilation,
            groups=groups,
            padding=pad,
        )


def wanted(
    algorithm: str, preferred: str, kernel: Sequence[int], stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> tuple[str, str]:
    """The algorithm to plan with, and who wants it, '' for 'auto'; for arguments that `check_algorithm` let pass."""
    if algorithm != "auto":
        return algorithm, "asked for"
    if preferred in WINOGRAD_OUTPUTS and not _winograd_can(kernel, stride, pad, dilation, groups):
        return "direct", f"{preferred} is preferred and needs {WINOGRAD_NEEDS}"
    return preferred, "" if preferred == "auto" else "preferred"
