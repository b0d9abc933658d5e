"""torch.distributions.dirichlet"""

from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import xlogy
from fastnn.compat.torch._random import source
from fastnn.compat.torch._special import digamma, lgamma
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution

__all__ = ["Dirichlet"]


class Dirichlet(Distribution):
    """Probabilities of K cases: the product of x_k^(concentration_k - 1), up to a factor.

    Gradients of samples would need derivatives by the concentrations, which are not there: `sample`.
    """

    arg_constraints: ClassVar = {"concentration": constraints.positive}
    support = constraints.simplex

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration._data.ndim < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Any:
        a = self.concentration._data
        drawn = np.asarray(source(None).standard_gamma(a, tuple(self._extended_shape(sample_shape))))
        drawn = np.maximum(drawn, np.finfo(np.float64).tiny)
        return new((drawn / drawn.sum(-1, keepdims=True)).astype(a.dtype))

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        a = self.concentration
        return xlogy(a - 1, value).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

    def entropy(self) -> Any:
        a = self.concentration
        total, k = a.sum(-1), a._data.shape[-1]
        return lgamma(a).sum(-1) - lgamma(total) - (k - total) * digamma(total) - ((a - 1.0) * digamma(a)).sum(-1)


__getattr__ = missing(__name__)
