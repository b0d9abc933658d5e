"""torch.distributions.geometric"""

from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import log, log1p, where
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.bernoulli import Binary
from fastnn.compat.torch.distributions.utils import broadcast_all
from fastnn.compat.torch.nn import functional as F

__all__ = ["Geometric"]


class Geometric(Binary):
    """How many attempts fail before one succeeds, with probability `probs`."""

    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        if self._validate_args and probs is not None and not (self.probs._data > 0).all():
            raise ValueError(f"Geometric: probs must be above 0. Received:\n{self.probs!r}")

    @property
    def mean(self) -> Any:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Any:
        return new(np.zeros_like(self.probs._data))

    @property
    def variance(self) -> Any:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Any = ()) -> Any:
        p = self.probs._data
        drawn = self._uniform(self._extended_shape(sample_shape), p.dtype)._data
        with np.errstate(divide="ignore"):
            return new(np.asarray(np.floor(np.log(drawn) / np.log1p(-p)), p.dtype))

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        value, probs = broadcast_all(value, self.probs)
        is_certain = new((probs._data == 1) & (value._data == 0))
        return value * log1p(-where(is_certain, 0.0, probs)) + log(self.probs)

    def entropy(self) -> Any:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs


__getattr__ = missing(__name__)
