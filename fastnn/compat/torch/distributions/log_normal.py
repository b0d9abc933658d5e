"""torch.distributions.log_normal"""

from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import exp, expm1
from fastnn.compat.torch.distributions.normal import Normal
from fastnn.compat.torch.distributions.transformed_distribution import TransformedDistribution
from fastnn.compat.torch.distributions.transforms import ExpTransform

__all__ = ["LogNormal"]


class LogNormal(TransformedDistribution):
    """e^x of a normal x."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

    @property
    def loc(self) -> Any:
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return exp(self.loc + self.scale**2 / 2)

    @property
    def mode(self) -> Any:
        return exp(self.loc - self.scale**2)

    @property
    def variance(self) -> Any:
        square = self.scale**2
        return expm1(square) * exp(2 * self.loc + square)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        base = self.base_dist.expand(batch_shape)
        return LogNormal(base.loc, base.scale, validate_args=False)

    def entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc


__getattr__ = missing(__name__)
