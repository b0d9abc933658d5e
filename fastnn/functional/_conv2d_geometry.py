"""The hyper-parameters of a convolution, checked once."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from fastnn import _check


class Geometry(NamedTuple):
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


def check_settings(
    operation: str,
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
) -> tuple[tuple[int, int], tuple[int, int] | str, tuple[int, int], int]:
    """All of them as a convolution takes them, whatever its shapes are."""
    return (
        _check.pair(operation, "stride", stride, 1),
        padding_argument(operation, padding),
        _check.pair(operation, "dilation", dilation, 1),
        _check.integer(operation, "groups", groups, 1, _check.MOST_SETTING),
    )


def geometry(
    operation: str,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
) -> Geometry:
    """Check that the shapes of x and weight and the hyper-parameters fit together."""
    steps, pads, dilations, groups = check_settings(operation, stride, padding, dilation, groups)

    def fail(reason: str) -> ValueError:
        shapes = {"x.shape": x_shape, "weight.shape": weight_shape}
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return _check.fail(operation, reason, **shapes, **settings)

    c_out, c_in_group, *kernel = weight_shape
    if min(weight_shape) < 1:
        raise fail("weight must not be empty")
    if x_shape[1] != c_in_group * groups:
        expected = f"{c_in_group * groups}" + (f" ({groups} groups of {c_in_group})" if groups > 1 else "")
        raise fail(f"x has {x_shape[1]} channels, weight expects {expected}")
    if c_out % groups:
        raise fail(f"{c_out} output channels cannot be cut into {groups} groups")
    if pads == "same" and steps != (1, 1):
        raise fail("padding='same' needs stride 1")
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    total = total_padding(pads, kernel, dilations)
    out = [(size + t - r - 1) // s + 1 if size + t > r else 0
           for size, t, r, s in zip(x_shape[2:], total, reach, steps, strict=True)]  # fmt: skip
    if min(out) < 1 or min(x_shape[2:]) < 1:
        raise fail(
            f"the kernel reaches over {reach[0] + 1} x {reach[1] + 1} pixels, the padded image has only "
            f"{x_shape[2] + total[0]} x {x_shape[3] + total[1]}"
        )
    if math.prod((x_shape[0], c_out, *out)) > _check.MOST_ELEMENTS:
        raise fail(f"the result would have the shape {(x_shape[0], c_out, *out)}, which no memory holds")
    return Geometry(steps, (total[0] // 2, total[1] // 2), dilations, groups, (out[0], out[1]))
