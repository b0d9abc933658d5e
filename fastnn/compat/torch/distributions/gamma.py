"""torch.distributions.gamma"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import clamp_min, log, xlogy
from fastnn.compat.torch._random import source
from fastnn.compat.torch._special import digamma, lgamma
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.utils import broadcast_all

__all__ = ["Gamma"]


class Gamma(Distribution):
    """rate^concentration * x^(concentration - 1) * exp(-rate * x) / gamma(concentration)

    Gradients of samples would need derivatives by the concentration, which are not there: `sample`, or `rsample` of
    parameters that require no gradient.
    """

    arg_constraints: ClassVar = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return clamp_min((self.concentration - 1) / self.rate, 0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate**2

    def sample(self, sample_shape: Any = ()) -> Any:
        dtype = self.concentration._data.dtype
        shape = tuple(self._extended_shape(sample_shape))
        drawn = source(None).gamma(self.concentration._data, 1 / self.rate._data, shape)
        return new(np.maximum(np.asarray(drawn, dtype), np.finfo(dtype).tiny))

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        return (
            xlogy(self.concentration, self.rate)
            + xlogy(self.concentration - 1, value)
            - self.rate * value
            - lgamma(self.concentration)
        )

    def entropy(self) -> Any:
        a = self.concentration
        return a - log(self.rate) + lgamma(a) + (1.0 - a) * digamma(a)


__getattr__ = missing(__name__)
