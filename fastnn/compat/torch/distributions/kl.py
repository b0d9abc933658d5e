"""torch.distributions.kl: how much one distribution differs from another."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compat.torch import linalg
from fastnn.compat.torch._linalg import matmul
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._pointwise import absolute, exp, log, where
from fastnn.compat.torch._special import digamma, lgamma
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.distributions.bernoulli import Bernoulli
from fastnn.compat.torch.distributions.beta import Beta, log_beta
from fastnn.compat.torch.distributions.categorical import Categorical
from fastnn.compat.torch.distributions.dirichlet import Dirichlet
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.exponential import Exponential
from fastnn.compat.torch.distributions.gamma import Gamma
from fastnn.compat.torch.distributions.geometric import Geometric
from fastnn.compat.torch.distributions.independent import Independent, sum_rightmost
from fastnn.compat.torch.distributions.laplace import Laplace
from fastnn.compat.torch.distributions.multivariate_normal import MultivariateNormal
from fastnn.compat.torch.distributions.normal import Normal
from fastnn.compat.torch.distributions.one_hot_categorical import OneHotCategorical
from fastnn.compat.torch.distributions.poisson import Poisson
from fastnn.compat.torch.distributions.transformed_distribution import TransformedDistribution
from fastnn.compat.torch.distributions.uniform import Uniform

__all__ = ["kl_divergence", "register_kl"]

_FUNCTIONS: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """Let a function compute `kl_divergence` of these two classes: a decorator."""
    for kind in (type_p, type_q):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected type to be a Distribution subclass but got {kind}")

    def register(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        _FUNCTIONS[type_p, type_q] = function
        return function

    return register


def kl_divergence(p: Any, q: Any) -> Any:
    """The mean of log p(x) - log q(x) over values x of p; of shape batch_shape.

    Raises:
        NotImplementedError: there is no formula for the two.
    """
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            function = _FUNCTIONS.get((kind_p, kind_q))
            if function is not None:
                return function(p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}: take the mean of "
        "p.log_prob(x) - q.log_prob(x) over samples x of p"
    )


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - log(ratio))


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    t = p.probs * (p.logits - q.logits)
    t = where(new(np.broadcast_to(q.probs._data == 0, t._data.shape)), np.inf, t)
    return where(new(np.broadcast_to(p.probs._data == 0, t._data.shape)), 0.0, t).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


def _x_log_x_over(x: Any, y: Any) -> Any:
    """x log(x / y), 0 where x is 0, infinite where y alone is 0."""
    shape = np.broadcast_shapes(x._data.shape, y._data.shape)
    x_zero, y_zero = (np.broadcast_to(value._data == 0, shape) for value in (x, y))
    t = x * log(where(new(x_zero | y_zero), 1.0, x / where(new(y._data == 0), 1.0, y)))
    return where(new(x_zero), 0.0, where(new(y_zero), np.inf, t))


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    return _x_log_x_over(p.probs, q.probs) + _x_log_x_over(1 - p.probs, 1 - q.probs)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - log(1 - q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (log(p.rate) - log(q.rate)) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    outside = (q.low._data > p.low._data) | (q.high._data < p.high._data)
    return where(new(outside), np.inf, log((q.high - q.low) / (p.high - p.low)))


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - log(ratio) - 1


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio, distance = p.scale / q.scale, absolute(p.loc - q.loc)
    return -log(ratio) + distance / q.scale + ratio * exp(-distance / p.scale) - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    difference = (a - b) * digamma(a)
    return b * log(p.rate / q.rate) + lgamma(b) - lgamma(a) + difference + (q.rate - p.rate) * (a / p.rate)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    return (
        log_beta(c, d) - log_beta(a, b) + (a - c) * digamma(a) + (b - d) * digamma(b) + (c + d - a - b) * digamma(a + b)
    )


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    constants = lgamma(total) - lgamma(b.sum(-1)) - (lgamma(a) - lgamma(b)).sum(-1)
    return constants + ((a - b) * (digamma(a) - digamma(a.sum(-1, keepdim=True)))).sum(-1)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be computed"
        )
    inverse = linalg.inv(q.scale_tril)
    spread = (matmul(inverse, p.scale_tril) ** 2).sum((-2, -1))
    distance = (matmul(inverse, (q.loc - p.loc).unsqueeze(-1)).squeeze(-1) ** 2).sum(-1)
    return q._half_log_det() - p._half_log_det() + 0.5 * (spread + distance - p.event_shape[0])


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: the two are Independent with different reinterpreted_batch_ndims")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("kl_divergence: the two are transformed in different ways")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p._more)


__getattr__ = missing(__name__)
