"""torch.distributions.multivariate_normal"""

import math
from typing import Any, ClassVar

import numpy as np

from fastnn.compat.torch import linalg
from fastnn.compat.torch._linalg import matmul
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import log
from fastnn.compat.torch._random import source
from fastnn.compat.torch._shapes import diagonal
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions import constraints
from fastnn.compat.torch.distributions.distribution import Distribution

__all__ = ["MultivariateNormal"]


class MultivariateNormal(Distribution):
    """Vectors of normal numbers, by one of: their covariances, the inverse of these, their Cholesky factor.

    Gradients go to `loc`, and through samples to `scale_tril`; those of log_prob to matrices are not there.
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc._data.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = [x for x in (covariance_matrix, precision_matrix, scale_tril) if x is not None]
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        if given[0]._data.ndim < 2:
            raise ValueError("MultivariateNormal: a matrix is needed, or a stack of them")
        n = loc._data.shape[-1]
        batch = Size(np.broadcast_shapes(loc._data.shape[:-1], given[0]._data.shape[:-2]))
        self.loc = loc.expand(batch + Size((n,)))
        matrix = given[0].expand(batch + Size((n, n)))
        if scale_tril is not None:
            self.scale_tril = matrix
        elif covariance_matrix is not None:
            self.covariance_matrix = matrix
        else:
            self.precision_matrix = matrix
        super().__init__(batch, Size((n,)), validate_args)
        if covariance_matrix is not None:
            self.scale_tril = linalg.cholesky(matrix)
        elif precision_matrix is not None:
            self.scale_tril = linalg.cholesky(linalg.inv(matrix))

    def __getattr__(self, name: str) -> Any:
        # What was not given; it then stays.
        if name == "covariance_matrix" and "scale_tril" in self.__dict__:
            self.covariance_matrix = matmul(self.scale_tril, self.scale_tril.mT)
            return self.covariance_matrix
        if name == "precision_matrix" and "scale_tril" in self.__dict__:
            self.precision_matrix = linalg.inv(self.covariance_matrix)
            return self.precision_matrix
        raise AttributeError(f"{type(self).__name__} object has no attribute {name!r}")

    @property
    def mean(self) -> Any:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Any:
        return (self.scale_tril**2).sum(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = Size(batch_shape) + self._event_shape
        tril = self.scale_tril.expand(shape + self._event_shape)
        return type(self)(self.loc.expand(shape), scale_tril=tril, validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = source(None).standard_normal((*self._extended_shape(sample_shape), 1))
        return self.loc + matmul(self.scale_tril, new(np.asarray(drawn, self.loc._data.dtype))).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        self._check_value(value)
        whitened = matmul(linalg.inv(self.scale_tril), (value - self.loc).unsqueeze(-1)).squeeze(-1)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + (whitened**2).sum(-1)) - self._half_log_det()

    def _half_log_det(self) -> Any:
        return log(diagonal(self.scale_tril, 0, -2, -1)).sum(-1)

    def entropy(self) -> Any:
        return 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()

    def __repr__(self) -> str:
        names = ("loc", "covariance_matrix", "precision_matrix", "scale_tril")
        texts = [f"{name}: {Size(self.__dict__[name]._data.shape)}" for name in names if name in self.__dict__]
        return f"MultivariateNormal({', '.join(texts)})"


__getattr__ = missing(__name__)
