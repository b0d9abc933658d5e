"""Instance normalisation: every channel of every image by itself."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn.autograd.tensor import array_of
from fastnn.functional.batchnorm import batch_norm
from fastnn.functional.groupnorm import group_norm

__all__ = ["InstanceNormResult", "instance_norm"]


class InstanceNormResult(NamedTuple):
    """What `instance_norm` returns.

    Attributes:
        y: the normalised activation.
        running_mean, running_var: the running statistics after this batch, or None.
    """

    y: Any
    running_mean: NDArray | None
    running_var: NDArray | None


def instance_norm(
    x: ArrayLike,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> InstanceNormResult:
    """Normalise every channel of every image over its pixels.

    y[n, c] = (x[n, c] - mean[n, c]) / sqrt(variance[n, c] + eps) * weight[c] + bias[c], with the biased variance, or,
    without use_input_stats, with the running statistics of the channel.

    With use_input_stats, the running statistics move towards those of x:
    running = (1 - momentum) * running + momentum * the mean over all images, where the variance is the unbiased one.
    The arguments are not changed: the new ones are part of the result.

    Args:
        x: activations.
        running_mean, running_var: running statistics; with use_input_stats, None if they are not wanted.
        weight, bias: scale and offset of every channel, or None.
        use_input_stats: whether to normalise with the statistics of x.
        momentum: weight of this batch in the running statistics.
        eps: added to the variance.
    Shape:
        - x: (N, C, L) or (N, C, H, W), float32 or float64
        - running_mean, running_var, weight, bias: (C,); weight and bias of the dtype of x
        - Result: an `InstanceNormResult`; y has the shape of x
    Raises:
        ValueError: shapes do not fit; there is one pixel only; running statistics are missing.
    Example:
        >>> instance_norm(np.array([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0).y
        array([[[-1.,  1.],
                [-1.,  1.]]])

    Source: Ulyanov et al., 2016, "Instance normalization: the missing ingredient for fast stylization".
    """
    name = "instance_norm"
    array = _check.floats(name, "x", array_of(x), (3, 4))
    use_input_stats = _check.boolean(name, "use_input_stats", use_input_stats)
    channels = array.shape[1]
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    mean, var, *affine = (_check.values(name, key, array_of(v), channels, "channel") for key, v in given.items())
    _check.same_dtype(name, x=array, weight=affine[0], bias=affine[1])
    momentum, eps = _check.number(name, "momentum", momentum, 0, 1), _check.epsilon(name, eps)
    if (mean is None) != (var is None) or not (use_input_stats or mean is not None):
        reason = "running_mean and running_var must both be given" + " or both be None" * use_input_stats
        raise ValueError(f"{name}: {reason}. {_check.received(running_mean=running_mean, running_var=running_var)}")
    if not use_input_stats:
        return InstanceNormResult(batch_norm(x, mean, var, weight, bias, False, momentum, eps).y, mean, var)
    if math.prod(array.shape[2:]) == 1 and array.size:
        raise _check.fail(name, "one pixel has no variance: x needs several in each channel", x=array)
    y = group_norm(x, channels, weight, bias, eps).y
    if mean is not None and var is not None and array.size:
        pixels = tuple(range(2, array.ndim))
        wide = array.astype(np.float64)
        with np.errstate(all="ignore"):  # infinity and NaN are results
            mean = _moved(mean, wide.mean(pixels), momentum)
            var = _moved(var, wide.var(pixels, ddof=1), momentum)
    return InstanceNormResult(y, mean, var)


def _moved(running: NDArray, of_images: NDArray, momentum: float) -> NDArray:
    moved = (1 - momentum) * running.astype(np.float64) + momentum * of_images.mean(axis=0)
    return moved.astype(running.dtype)
