"""Normalisations within one example."""

from typing import Any

from fastnn import nn as array
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.module import Module, made

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]

__getattr__ = missing(__name__, ABSENT)


def _refill(module: Module) -> None:
    for name, value in (("weight", 1), ("bias", 0)):
        parameter = module._parameters.get(name)
        if parameter is not None:
            parameter._data[...] = value


class LayerNorm(array.LayerNorm, Module):
    """Normalisation over the last axes"""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, bias)
        made(self, device, dtype)

    reset_parameters = _refill

    def extra_repr(self) -> str:
        words = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"{words}, bias={self.bias is not None}"


class GroupNorm(array.GroupNorm, Module):
    """Normalisation over groups of channels"""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        super().__init__(num_groups, num_channels, eps, affine)
        if not bias:
            self._parameters["bias"] = None
        made(self, device, dtype)

    reset_parameters = _refill

    def extra_repr(self) -> str:
        words = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{words}, bias={self.bias is not None}"


class RMSNorm(array.RMSNorm, Module):
    """x / sqrt(mean of x^2 + eps) * weight, over the last axes"""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine)
        made(self, device, dtype)

    reset_parameters = _refill


class LocalResponseNorm(array.LocalResponseNorm, Module):
    """x, divided by what its neighbours among the channels sum up to"""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(size, alpha, beta, k)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
