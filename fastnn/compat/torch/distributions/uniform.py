"""torch.distributions.uniform"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import clamp, log
from fastnn.compat.torch._random import source
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.utils import broadcast_all

__all__ = ["Uniform"]


class Uniform(Distribution):
    """Even numbers in [low, high)."""

    arg_constraints: ClassVar = {"low": constraints.real, "high": constraints.real}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        if self._validate_args and not (self.low._data < self.high._data).all():
            raise ValueError("Uniform is not defined when low>= high")

    @property
    def support(self) -> constraints.Constraint:
        low, high = self.low._data, self.high._data
        text = f"Interval(lower_bound={self.low!r}, upper_bound={self.high!r})"
        return constraints.Constraint(text, lambda x: (x >= low) & (x <= high))

    @property
    def mean(self) -> Any:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Any:
        return new(np.full_like(self.low._data, np.nan))

    @property
    def stddev(self) -> Any:
        return (self.high - self.low) / 12**0.5

    @property
    def variance(self) -> Any:
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Any = ()) -> Any:
        dtype = self.low._data.dtype
        drawn = np.asarray(source(None).random(tuple(self._extended_shape(sample_shape))), dtype)
        return self.low + new(np.minimum(drawn, 1 - np.finfo(dtype).epsneg)) * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        inside = (self.low._data <= value._data) & (value._data < self.high._data)
        return log(new(inside.astype(self.low._data.dtype))) - log(self.high - self.low)

    def cdf(self, value: Any) -> Any:
        self._check_value(value)
        return clamp((value - self.low) / (self.high - self.low), 0, 1)

    def icdf(self, value: Any) -> Any:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Any:
        return log(self.high - self.low)


__getattr__ = missing(__name__)
