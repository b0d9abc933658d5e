"""torch.distributions: random tensors with densities, as policies and variational models need them.

policy = Categorical(logits=net(state))
action = policy.sample()
loss = -policy.log_prob(action) * reward
"""

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.distributions import constraints, kl, transforms, utils
from fastnn.compat.torch.distributions.bernoulli import Bernoulli
from fastnn.compat.torch.distributions.beta import Beta
from fastnn.compat.torch.distributions.categorical import Categorical
from fastnn.compat.torch.distributions.dirichlet import Dirichlet
from fastnn.compat.torch.distributions.distribution import Distribution
from fastnn.compat.torch.distributions.exponential import Exponential
from fastnn.compat.torch.distributions.gamma import Gamma
from fastnn.compat.torch.distributions.geometric import Geometric
from fastnn.compat.torch.distributions.independent import Independent
from fastnn.compat.torch.distributions.kl import kl_divergence, register_kl
from fastnn.compat.torch.distributions.laplace import Laplace
from fastnn.compat.torch.distributions.log_normal import LogNormal
from fastnn.compat.torch.distributions.mixture_same_family import MixtureSameFamily
from fastnn.compat.torch.distributions.multivariate_normal import MultivariateNormal
from fastnn.compat.torch.distributions.normal import Normal
from fastnn.compat.torch.distributions.one_hot_categorical import OneHotCategorical, OneHotCategoricalStraightThrough
from fastnn.compat.torch.distributions.poisson import Poisson
from fastnn.compat.torch.distributions.transformed_distribution import TransformedDistribution
from fastnn.compat.torch.distributions.transforms import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
    Transform,
    identity_transform,
)
from fastnn.compat.torch.distributions.uniform import Uniform

__all__ = [
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Categorical",
    "ComposeTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "Gamma",
    "Geometric",
    "Independent",
    "Laplace",
    "LogNormal",
    "MixtureSameFamily",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Poisson",
    "SigmoidTransform",
    "SoftplusTransform",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "constraints",
    "identity_transform",
    "kl",
    "kl_divergence",
    "register_kl",
    "transforms",
    "utils",
]

_RELAXED = "use torch.nn.functional.gumbel_softmax"
_SCIPY = "use scipy.stats, or write log_prob and sample in a subclass of torch.distributions.Distribution"
_NAMES = (
    "Binomial", "Cauchy", "Chi2", "ContinuousBernoulli", "ExponentialFamily", "FisherSnedecor", "GeneralizedPareto",
    "Gumbel", "HalfCauchy", "HalfNormal", "InverseGamma", "Kumaraswamy", "LKJCholesky", "LogisticNormal",
    "LowRankMultivariateNormal", "Multinomial", "NegativeBinomial", "Pareto", "StudentT", "VonMises", "Weibull",
    "Wishart",
)  # fmt: skip
__getattr__ = missing(
    __name__, {**dict.fromkeys(_NAMES, _SCIPY), "RelaxedBernoulli": _RELAXED, "RelaxedOneHotCategorical": _RELAXED}
)
