"""torch.distributions.bernoulli"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._random import source
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.utils import broadcast_all, logits_to_probs, probs_to_logits
from fastnn.compat.torch.nn import functional as F

__all__ = ["Bernoulli"]


class Binary(Distribution):
    """What is given by a probability, or its log-odds."""

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        if probs is None:
            (self.logits,) = broadcast_all(logits)
        else:
            (self.probs,) = broadcast_all(probs)
        super().__init__((self.logits if probs is None else self.probs).shape, validate_args=validate_args)

    def __getattr__(self, name: str) -> Any:
        # The one of the two that was not given; it then stays.
        if name == "probs" and "logits" in self.__dict__:
            self.probs = logits_to_probs(self.logits, is_binary=True)
            return self.probs
        if name == "logits" and "probs" in self.__dict__:
            self.logits = probs_to_logits(self.probs, is_binary=True)
            return self.logits
        raise AttributeError(f"{type(self).__name__} object has no attribute {name!r}")

    @property
    def param_shape(self) -> Size:
        return self._batch_shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        name = "probs" if "probs" in self.__dict__ else "logits"
        return type(self)(**{name: getattr(self, name).expand(Size(batch_shape))}, validate_args=False)


class Bernoulli(Binary):
    """1 with probability `probs`, else 0."""

    support = constraints.boolean
    has_enumerate_support = True

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        p = self.probs._data
        return new(np.where(p == 0.5, np.nan, p >= 0.5).astype(p.dtype))

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        p = self.probs._data
        return new(np.asarray(source(None).random(tuple(self._extended_shape(sample_shape))) < p, p.dtype))

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        logits, target = broadcast_all(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, target, reduction="none")

    def entropy(self) -> Any:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Any:
        values = np.arange(2, dtype=self.probs._data.dtype).reshape(-1, *[1] * len(self._batch_shape))
        return new(np.broadcast_to(values, (2, *self._batch_shape)).copy() if expand else values)


__getattr__ = missing(__name__)
