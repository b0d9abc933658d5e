"""torch.distributions.laplace"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import absolute, expm1, log, log1p, sign
from fastnn.compat.torch._random import source
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.utils import broadcast_all

__all__ = ["Laplace"]


class Laplace(Distribution):
    """exp(-|x - loc| / scale) / (2 scale)"""

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def stddev(self) -> Any:
        return 2**0.5 * self.scale

    @property
    def variance(self) -> Any:
        return 2 * self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = source(None).laplace(size=tuple(self._extended_shape(sample_shape)))
        return self.loc + new(np.asarray(drawn, self.loc._data.dtype)) * self.scale

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        return -log(2 * self.scale) - absolute(value - self.loc) / self.scale

    def cdf(self, value: Any) -> Any:
        self._check_value(value)
        distance = value - self.loc
        return 0.5 - 0.5 * sign(distance) * expm1(-absolute(distance) / self.scale)

    def icdf(self, value: Any) -> Any:
        term = value - 0.5
        return self.loc - self.scale * sign(term) * log1p(-2 * absolute(term))

    def entropy(self) -> Any:
        return 1 + log(2 * self.scale)


__getattr__ = missing(__name__)
