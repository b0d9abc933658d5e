"""torch.distributions.poisson"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import floor, xlogy
from fastnn.compat.torch._random import source
from fastnn.compat.torch._special import lgamma
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.utils import broadcast_all

__all__ = ["Poisson"]


class Poisson(Distribution):
    """rate^x exp(-rate) / x!"""

    arg_constraints: ClassVar = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.rate

    variance = mean

    @property
    def mode(self) -> Any:
        return floor(self.rate)

    def sample(self, sample_shape: Any = ()) -> Any:
        rate = self.rate._data
        return new(np.asarray(source(None).poisson(rate, tuple(self._extended_shape(sample_shape))), rate.dtype))

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        rate, value = broadcast_all(self.rate, value)
        return xlogy(value, rate) - rate - lgamma(value + 1)


__getattr__ = missing(__name__)
