"""A convolution with the batch norm after it in the same pass, as it is in evaluation."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray

from fastnn.autograd.tape import Op
from fastnn.functional._conv2d_plan import Norm
from fastnn.functional.batchnorm import BatchNorm
from fastnn.functional.conv2d import Conv2d

__all__ = ["Conv2dNorm", "fits"]


def fits(weight: NDArray, *vectors: Any) -> bool:
    """Whether the convolution can read these vectors as they are: running mean and variance, scale and offset."""
    dtype, shape = weight.dtype, weight.shape[:1]
    if vectors[0] is None:
        return False
    for vector in vectors:
        array = getattr(vector, "_data", vector)
        if array is not None and not (array.dtype == dtype and array.shape == shape and array.flags.c_contiguous):
            return False
    return True


class Conv2dNorm(Op):
    """activation(batch_norm(conv2d(x, weight, bias), scale, offset) + residual) with running statistics.

    What a backward needs of the convolution's result is not kept, but computed again if there is one.
    """

    keeps: ClassVar = {0: "x", 1: "weight", 2: "bias", 3: "scale", 4: "offset", 5: "residual"}
    is_exact = is_fresh = adds = True

    def __init__(
        self, settings: tuple[Any, ...], mean: NDArray, variance: NDArray, eps: float, activation: str | None
    ) -> None:
        self.settings, self.statistics, self.eps, self.activation = settings, (mean, variance), eps, activation

    def forward(
        self,
        x: NDArray,
        weight: NDArray,
        bias: NDArray | None,
        scale: NDArray | None,
        offset: NDArray | None,
        residual: NDArray | None,
    ) -> NDArray:
        norm = Norm(*self.statistics, scale, offset, self.eps, self.activation)
        stride, padding, dilation, groups, algorithm = self.settings
        convolution = Conv2d(stride, padding, dilation, groups, algorithm, norm)
        y = convolution.forward(x, weight, bias, residual)
        if self.needs_grad:
            self.x, self.weight, self.bias, self.scale, self.offset = x, weight, bias, scale, offset
            self.residual = residual
        return y

    def backward(self, dy: NDArray, addend: NDArray | None = None) -> Any:
        need_x, need_weight, need_bias, *_, need_residual = self.needs_grad
        convolution = Conv2d(*self.settings)
        convolution.needs_grad = need_x, need_weight, need_bias
        between = convolution.forward(self.x, self.weight, self.bias)
        norm = BatchNorm("batch_norm_activation", *self.statistics, False, 0.0, self.eps, self.activation)
        norm.needs_grad = True, self.needs_grad[3], self.needs_grad[4], need_residual
        norm.forward(between, self.scale, self.offset, self.residual)
        dbetween, dscale, doffset, dresidual = norm.backward(dy)
        if dresidual is dy and need_residual:
            dresidual = dy.copy("K")
        keywords = {} if addend is None else {"addend": addend}
        return (*convolution.backward(dbetween, **keywords), dscale, doffset, dresidual)
