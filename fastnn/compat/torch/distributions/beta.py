"""torch.distributions.beta"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import log1p, xlogy
from fastnn.compat.torch._random import source
from fastnn.compat.torch._special import digamma, lgamma
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.utils import broadcast_all

__all__ = ["Beta"]


def log_beta(a: Any, b: Any) -> Any:
    """log(gamma(a) gamma(b) / gamma(a + b))"""
    return lgamma(a) + lgamma(b) - lgamma(a + b)


class Beta(Distribution):
    """x^(concentration1 - 1) (1 - x)^(concentration0 - 1), up to a factor.

    Gradients of samples would need derivatives by the concentrations, which are not there: `sample`.
    """

    arg_constraints: ClassVar = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Any:
        a, b = self.concentration1._data, self.concentration0._data
        drawn = np.asarray(source(None).beta(a, b, tuple(self._extended_shape(sample_shape))), a.dtype)
        return new(np.clip(drawn, np.finfo(a.dtype).tiny, 1 - np.finfo(a.dtype).epsneg))

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        a, b = self.concentration1, self.concentration0
        return xlogy(a - 1, value) + (b - 1) * log1p(-value) - log_beta(a, b)

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        total = a + b
        return log_beta(a, b) - (a - 1) * digamma(a) - (b - 1) * digamma(b) + (total - 2) * digamma(total)


__getattr__ = missing(__name__)
