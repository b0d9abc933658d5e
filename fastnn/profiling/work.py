"""The least that a layer has to do: multiplications without padding, and bytes that must be moved."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnn import nn
from fastnn.functional._conv2d_geometry import geometry
from fastnn.models._observe import arrays_in

__all__ = ["backward_bytes", "forward_bytes", "multiplications", "nbytes", "operation_bytes", "valid_multiplications"]

# Layers whose gradient depends on x, or on a result of its size. Others depend on dy alone (a maximum on an index which
# is small), and of layers that users write nothing is known: what is counted must be true for all.
_READ_INPUT = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.ELU, nn.GELU, nn.GroupNorm, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.LayerNorm, nn.LeakyReLU, nn.LocalResponseNorm, nn.LogSoftmax, nn.Mish,
    nn.PReLU, nn.RMSNorm, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid, nn.Softmax, nn.Softplus, nn.Tanh,
)  # fmt: skip


def _valid_taps(size: int, out: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """Pairs of an output position and a tap of which the tap lies within the image, along one axis."""
    source = np.arange(out)[:, None] * stride - pad + np.arange(kernel) * dilation
    return int(((source >= 0) & (source < size)).sum())


def valid_multiplications(
    x: Any,
    weight: Any,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> int:
    """The number of multiplications of a convolution, in any direction, without those by the padding's zeros.

    Args:
        x: the input of `functional.conv2d`, or anything with its shape.
        weight: the filters, or anything with their shape.
        stride, padding, dilation, groups: as in `functional.conv2d`.
    Example:
        >>> from fastnn.profiling.work import valid_multiplications
        >>> valid_multiplications(np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 3, 3)), padding=1)
        100
    """
    g = geometry("valid_multiplications", x.shape, weight.shape, stride, padding, dilation, groups)
    axes = zip(x.shape[2:], g.out, weight.shape[2:], g.stride, g.pad, g.dilation, strict=True)
    taps_h, taps_w = (_valid_taps(*axis) for axis in axes)
    return x.shape[0] * weight.shape[0] * weight.shape[1] * taps_h * taps_w


def multiplications(layer: nn.Module, arguments: Iterable[Any]) -> int:
    """The number of multiplications in one forward of a convolution or linear layer; 0 for any other layer."""
    x: Any = next(iter(arguments), None)
    if isinstance(layer, nn.Conv2d):
        settings = (layer.stride, layer.padding, layer.dilation, layer.groups)
        return valid_multiplications(x, layer.weight, *settings)
    if isinstance(layer, nn.ConvTranspose2d):  # the convolution that it is the backward of reads its result
        axes = zip(x.shape[2:], layer.kernel_size, layer.stride, layer.padding, layer.dilation,
                       layer.output_padding, strict=True)  # fmt: skip
        taps_h, taps_w = (
            _valid_taps((size - 1) * stride - 2 * pad + dilation * (kernel - 1) + extra + 1,
                        size, kernel, stride, pad, dilation)
            for size, kernel, stride, pad, dilation, extra in axes
        )  # fmt: skip
        return len(x) * layer.weight.shape[0] * layer.weight.shape[1] * taps_h * taps_w
    if isinstance(layer, nn.Linear):
        return np.size(x) * layer.out_features
    return 0


def nbytes(values: Any) -> int:
    """The total size in bytes of the arrays in `values`."""
    return sum(array.nbytes for array in arrays_in(values))


def _parameter_bytes(layer: Any, trained_only: bool = False) -> int:
    own = getattr(layer, "_parameters", {}).values()
    return sum(p.data.nbytes for p in own if p is not None and (p.requires_grad or not trained_only))


def _is_view(result: Any, arguments: Any) -> bool:
    """Whether nothing was moved: the result is memory of an argument."""
    return isinstance(result, np.ndarray) and any(np.may_share_memory(a, result) for a in arrays_in(arguments))


def operation_bytes(inputs: tuple[Any, ...], results: Any) -> int:
    """The bytes that one forward or backward of an operation must move at least: inputs and results, except views."""
    made = [result for result in arrays_in(results) if not _is_view(result, inputs)]
    return nbytes(inputs) + nbytes(made) if made else 0


def forward_bytes(layer: Any, arguments: Sequence[Any], y: Any) -> int:
    """The bytes that one forward of a layer must move at least: inputs, outputs and weights."""
    return 0 if _is_view(y, arguments) else nbytes(arguments) + nbytes(y) + _parameter_bytes(layer)


def backward_bytes(layer: Any, input_bytes: int, arguments: Sequence[Any], dx: Any) -> dict[str, int]:
    """The bytes that one backward of a layer must move at least, as {direction: bytes}.

    The direction is 'backward' for layers that do not distinguish data and weight.
    """
    if layer._modules or _is_view(dx, arguments):  # a container that goes back by itself lets its layers work
        return {"backward": 0}
    dy_bytes, dx_bytes = nbytes(arguments), nbytes(dx)
    weights, gradients = _parameter_bytes(layer), _parameter_bytes(layer, trained_only=True)
    return {
        "backward data": dy_bytes + weights + dx_bytes,
        "backward weight": dy_bytes + input_bytes + gradients,
        "backward": dy_bytes + dx_bytes + weights + gradients + (input_bytes if isinstance(layer, _READ_INPUT) else 0),
    }
