"""torch.distributions.exponential"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import exp, log, log1p
from fastnn.compat.torch._random import source
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.utils import broadcast_all

__all__ = ["Exponential"]


class Exponential(Distribution):
    """rate * exp(-rate * x)"""

    arg_constraints: ClassVar = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return 1 / self.rate

    stddev = mean

    @property
    def mode(self) -> Any:
        return new(np.zeros_like(self.rate._data))

    @property
    def variance(self) -> Any:
        return self.rate**-2

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = source(None).standard_exponential(tuple(self._extended_shape(sample_shape)))
        return new(np.asarray(drawn, self.rate._data.dtype)) / self.rate

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        return log(self.rate) - self.rate * value

    def cdf(self, value: Any) -> Any:
        self._check_value(value)
        return 1 - exp(-self.rate * value)

    def icdf(self, value: Any) -> Any:
        return -log1p(-value) / self.rate

    def entropy(self) -> Any:
        return 1.0 - log(self.rate)


__getattr__ = missing(__name__)
