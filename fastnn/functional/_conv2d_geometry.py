"""The hyper-parameters of a convolution, checked once."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import NDArray

from fastnn.functional import _check


@dataclass(frozen=True)
class Geometry:
    """The checked arguments of one convolution."""

    stride: tuple[int, int]
    pad: tuple[int, int]  # above, to the left
    dilation: tuple[int, int]
    groups: int
    out: tuple[int, int]  # height, width of the result


def padding_argument(operation: str, padding: int | Sequence[int] | str) -> tuple[int, int] | str:
    """`padding` as (vertical, horizontal), or 'same' or 'valid'."""
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"{operation}: padding must be integers, 'same' or 'valid'. Received: {padding!r}")
        return padding
    return _check.pair(operation, "padding", padding, 0)


def total_padding(padding: tuple[int, int] | str, kernel: Sequence[int], dilation: tuple[int, int]) -> tuple[int, int]:
    """What a checked `padding` adds to the height and width of an image; half of it, rounded down, comes first."""
    if padding == "same":
        return dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1)
    return (0, 0) if isinstance(padding, str) else (2 * padding[0], 2 * padding[1])


def geometry(
    operation: str,
    x: NDArray,
    weight: NDArray,
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
) -> Geometry:
    """Check that x, weight and the hyper-parameters fit together."""
    stride_hw = _check.pair(operation, "stride", stride, 1)
    dilation_hw = _check.pair(operation, "dilation", dilation, 1)
    groups = _check.integer(operation, "groups", groups, 1)
    c_out, c_in_group, kernel_h, kernel_w = weight.shape
    if min(weight.shape) < 1:
        raise _check.fail(operation, "weight must not be empty", weight=weight)
    if x.shape[1] != c_in_group * groups:
        expected = f"{c_in_group * groups}" + (f" ({groups} groups of {c_in_group})" if groups > 1 else "")
        raise _check.fail(operation, f"x has {x.shape[1]} channels, weight expects {expected}", x=x, weight=weight)
    if c_out % groups:
        raise _check.fail(operation, f"{c_out} output channels cannot be cut into {groups} groups", weight=weight)
    reach = [d * (k - 1) for d, k in zip(dilation_hw, (kernel_h, kernel_w), strict=True)]
    padding = padding_argument(operation, padding)
    if padding == "same" and stride_hw != (1, 1):
        raise ValueError(f"{operation}: padding='same' needs stride 1. Received: stride={stride!r}")
    total = total_padding(padding, (kernel_h, kernel_w), dilation_hw)
    out = [(size + t - r - 1) // s + 1 if size + t > r else 0
           for size, t, r, s in zip(x.shape[2:], total, reach, stride_hw, strict=True)]  # fmt: skip
    if min(out) < 1 or min(x.shape[2:]) < 1:
        raise _check.fail(
            operation,
            f"the kernel reaches over {reach[0] + 1} x {reach[1] + 1} pixels, the padded image has only "
            f"{x.shape[2] + total[0]} x {x.shape[3] + total[1]}",
            x=x,
            weight=weight,
            padding=padding,
        )
    return Geometry(stride_hw, (total[0] // 2, total[1] // 2), dilation_hw, groups, (out[0], out[1]))
