"""Which algorithm computes a convolution: asked for, preferred, or the cheaper one.

The cheaper one is a matter of shapes and of the instruction set, never of threads or of what ran before, so that the
same program gives the same bits. The choice is made for each direction: 'forward', 'backward_data' (dx) and
'backward_weight' (dweight).
"""

import math
from collections.abc import Sequence

from fastnn import _check, _runtime
from fastnn.functional._conv2d_geometry import Geometry, geometry

DIRECTIONS = ("forward", "backward_data", "backward_weight")

Pair = tuple[int, int]

# Outputs of a tile, down and across.
WINOGRAD_OUTPUTS = {"winograd": (2, 2), "winograd24": (2, 4), "winograd4": (4, 4)}
_WINOGRAD_NEEDS = "a 3 x 3 kernel, stride 1, dilation 1, groups 1 and padding 0 to 2"

# What Winograd's algorithm costs besides its products, in multiplications of the direct one: fitted to measured times,
# and rounded. One rule serves float32 and float64.
# For every tile and channel, from or to all positions. AVX2 has half as many lanes to do it with, and not half the
# multiply-adds on the CPUs that were measured; and too few registers for 24 positions.
_TRANSFORM_CHANNEL = {"winograd": 100, "winograd24": 180}
_TRANSFORM_CHANNEL_AVX2 = {"winograd": 150, "winograd24": 300}
_TRANSFORM_FILTER = {"forward": 25, "backward_data": 25, "backward_weight": 94}  # for pairs of channels, each position
_WORTH_IT = 0.95  # of the cost of the direct algorithm; about as far as these constants can be trusted


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
            f"algorithm {algorithm!r} needs {_WINOGRAD_NEEDS}",
            kernel=tuple(kernel),
            stride=stride,
            dilation=dilation,
            groups=groups,
            padding=pad,
        )


def _valid_taps(size: int, out: int, pad: int) -> int:
    """Along one axis: the pairs of an output and one of its 3 taps that fall on the image and not on padding."""
    return sum(max(0, min(out, size + pad - tap) - max(0, pad - tap)) for tap in range(3))


# WINOGRAD_SPLIT_IMAGES: from so many images on, tiles that stand over the border make do with fewer products.
_SPLIT_IMAGES = 32


def _products(size: int, out: int, pad: int, n: int, outputs: int) -> int:
    """Along one axis: the products that the tiles of `outputs` each take; see winograd.h."""
    side, rest = outputs + 2, out % outputs
    last = side if n < _SPLIT_IMAGES else side - 2 if outputs == 2 and out - 1 - pad + 2 >= size else side - 1
    return out // outputs * side + (last if rest else 0)


def _share_of_direct(
    algorithm: str, direction: str, isa: str, x_shape: tuple[int, ...], c_out: int, g: Geometry
) -> float:
    """What one of Winograd's algorithms costs as a share of what the direct one does."""
    n, c_in, h, w = x_shape
    axes = [(h, g.out[0], g.pad[0]), (w, g.out[1], g.pad[1])]
    if direction == "backward_data":
        axes = [(out, size, 2 - pad) for size, out, pad in axes]
    tile = WINOGRAD_OUTPUTS[algorithm]
    tiles = n * math.prod(-(-out // outputs) for (_, out, _), outputs in zip(axes, tile, strict=True))
    products = n * math.prod(_products(*axis, n, outputs) for axis, outputs in zip(axes, tile, strict=True))
    positions = math.prod(outputs + 2 for outputs in tile)
    filters = c_in * c_out
    channel = (_TRANSFORM_CHANNEL_AVX2 if isa == "avx2" else _TRANSFORM_CHANNEL)[algorithm]
    winograd = (
        products * filters + channel * tiles * (c_in + c_out) + _TRANSFORM_FILTER[direction] * positions * filters
    )
    direct = n * filters * _valid_taps(h, g.out[0], g.pad[0]) * _valid_taps(w, g.out[1], g.pad[1])
    return winograd / direct


# For so few results of a filter (FNN_FEW_ROWS), im2col has a product that reads the weights once, in the order of
# memory; direct reads them for every row of the map. It matters where they come from memory, not from a cache.
_FEW_ROWS = 16
_MANY_WEIGHTS = 1 << 20


def decide(
    direction: str,
    algorithm: str,
    preferred: str,
    isa: str,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    g: Geometry,
) -> tuple[str, str]:
    """The algorithm, and why, for arguments that `check_algorithm` let pass."""
    can = _winograd_can(weight_shape[2:], g.stride, g.pad, g.dilation, g.groups)
    if algorithm != "auto":
        return algorithm, f"{algorithm}: asked for"
    if preferred in WINOGRAD_OUTPUTS and not can:
        return "direct", f"direct: {preferred} is preferred and needs {_WINOGRAD_NEEDS}"
    if preferred != "auto":
        return preferred, f"{preferred}: preferred"
    if not x_shape[0]:
        return "direct", "direct: no images"
    rows, weights = x_shape[0] * math.prod(g.out), math.prod(weight_shape)
    if direction == "forward" and rows <= _FEW_ROWS and weights >= _MANY_WEIGHTS and g.groups == 1:
        return "im2col", f"im2col: only {rows} results of each filter, so that reading the weights takes the time"
    if not can:
        return "direct", f"direct: winograd needs {_WINOGRAD_NEEDS}"
    shares = {name: _share_of_direct(name, direction, isa, x_shape, weight_shape[0], g) for name in _TRANSFORM_CHANNEL}
    best = min(shares, key=shares.__getitem__)
    chosen = best if shares[best] < _WORTH_IT else "direct"
    return chosen, f"{best}: {shares[best]:.2f} of the multiplications of direct"


def explain(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
    direction: str = "forward",
) -> tuple[str, str]:
    """Which algorithm `conv2d` and `conv2d_backward` take for arrays of these shapes, and why.

    Args:
        x_shape, weight_shape: (N, C_in, H, W) and (C_out, C_in / groups, kernel_h, kernel_w).
        stride, padding, dilation, groups, algorithm: as in `conv2d`.
        direction: 'forward', 'backward_data' for dx, 'backward_weight' for dweight.
    Returns:
        The algorithm and the reason in a few words.
    Raises:
        ValueError: as `conv2d`; or there is no such direction.
    Example:
        >>> explain((128, 64, 32, 32), (64, 64, 3, 3), padding=1)
        ('winograd24', 'winograd24: 0.43 of the multiplications of direct')
        >>> explain((128, 512, 2, 2), (512, 512, 3, 3), padding=1)[0]
        'direct'
        >>> explain((1, 512, 2, 2), (512, 512, 3, 3), padding=1)[0]
        'im2col'
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"conv2d: direction must be one of {', '.join(DIRECTIONS)}. Received: {direction!r}")
    shapes = tuple(x_shape), tuple(weight_shape)
    g = geometry("conv2d", *shapes, stride, padding, dilation, groups)
    check_algorithm("conv2d", algorithm, weight_shape[2:], g.stride, g.pad, g.dilation, g.groups)
    return decide(direction, algorithm, _runtime.conv2d_algorithm(), _runtime.isa(), *shapes, g)
